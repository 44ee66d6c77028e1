"""Agents elsewhere, of the official SDK and of another hub: targets like any other."""

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.external_kit import Says, SdkAgent, ask, card, kill_hub, send, task
from tests.e2e.hubs import HubProcess, until

KINDS = ("jsonrpc", "rest", "old", "quiet")


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, SdkAgent]]:
    """Agents of the SDK, by how they are spoken to, each started when it is first wanted."""
    folder = tmp_path_factory.mktemp("agents")

    class Started(dict[str, SdkAgent]):
        def __missing__(self, kind: str) -> SdkAgent:
            words = ("--quiet",) if kind == "quiet" else ()
            self[kind] = SdkAgent(folder, "jsonrpc" if kind == "quiet" else kind, *words)
            return self[kind]

    started = Started()
    for kind in KINDS:
        started[kind]
    yield started
    for agent in started.values():
        agent.close()


@pytest.fixture
def hub(hub_process: HubProcess) -> HubProcess:
    hub_process.env["SYNAPSE_EXTERNAL_PATIENCE"] = "3"
    return hub_process


def add(hub: HubProcess, agent: SdkAgent | Says, alias: str = "foreign", *words: str) -> dict[str, Any]:
    found: dict[str, Any] = ask(hub, "external", "add", agent.url, "--alias", alias, *words)
    return found


def said(hub: HubProcess, to: str, text: str, *words: str) -> str:
    done = hub.synapse("send", to, text, "--wait", "--timeout", "20", *words)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout.strip()


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_as_every_agent_does(hub: HubProcess, agents: dict[str, SdkAgent], kind: str) -> None:
    added = add(hub, agents[kind])
    spoken = {"jsonrpc": "JSONRPC 1.0", "rest": "HTTP+JSON 1.0", "old": "JSONRPC 0.3", "quiet": "JSONRPC 1.0"}
    assert f"{added['binding']} {added['protocol']}" == spoken[kind]
    assert added["streaming"] == (kind != "quiet")
    assert said(hub, "foreign", "just that") == "You said: just that"
    assert said(hub, "foreign", "chunks 0.2") == "one two three"
    assert said(hub, "foreign", "hello") == "hello yourself"
    for text, state, answer in (
        ("fail oh dear", "failed", "oh dear"),
        ("reject", "rejected", "That is not for me."),
        ("give-up", "canceled", "I changed my mind."),
    ):
        ended = task(hub, send(hub, "foreign", text))
        assert (ended["state"], ended["answer"]) == (state, answer)


def test_it_is_in_the_lists_and_knows_how_it_is(hub: HubProcess, agents: dict[str, SdkAgent]) -> None:
    add(hub, agents["jsonrpc"])
    [row] = ask(hub, "list")
    assert (row["name"], row["agent_type"], row["status"], row["transport"]) == ("foreign", "external", "READY", "a2a")
    assert row["endpoint"] == f"{agents['jsonrpc'].url}/a2a"
    assert row["role"] == "An agent of the SDK."
    assert {one["name"]: one["presence"] for one in ask(hub, "who")["participants"]}["foreign"] == "ONLINE"
    slow = send(hub, "foreign", "slow 30")
    until(lambda: hub.call("external.show", alias="foreign")["status"] == "PROCESSING")
    shown = hub.synapse("external", "show", "foreign").stdout
    assert "PROCESSING, 1 task" in shown
    assert "skill        Words: Does what the first word says. [test]" in shown
    kill_hub(hub)
    assert [one["alias"] for one in ask(hub, "external", "list")] == ["foreign"]
    assert task(hub, slow, "working")["agent"] == "foreign"


def test_what_needs_a_terminal_or_its_will_is_refused(hub: HubProcess, agents: dict[str, SdkAgent]) -> None:
    add(hub, agents["jsonrpc"])
    for words, why in (
        (("stop", "foreign"), "runs elsewhere"),
        (("kill", "-f", "foreign"), "runs elsewhere"),
        (("attach", "foreign"), "no terminal here"),
        (("list", "--plain", "--from", "foreign"), "speaks for itself"),
        (("rename", "foreign", "--clear"), "no automatic name"),
        (("external", "add", agents["jsonrpc"].url, "--alias", "again"), "is that agent"),
        (("external", "add", agents["rest"].url, "--alias", "foreign"), "is here already"),
        (("external", "show", "nobody"), "There is foreign."),
    ):
        done = hub.synapse(*words)
        assert done.returncode != 0, words
        assert why in done.stderr, (words, done.stderr)
    assert hub.synapse("broadcast", "the main branch is frozen").returncode != 0  # nobody else is here
    assert agents["jsonrpc"].messages("m-") == []
    assert hub.synapse("rename", "foreign", "other").returncode == 0
    assert said(hub, "other", "still you") == "You said: still you"


def test_files_go_along_and_come_back(hub: HubProcess, agents: dict[str, SdkAgent], tmp_path: Path) -> None:
    add(hub, agents["jsonrpc"])
    (tmp_path / "two.txt").write_text("two")
    parts = json.loads(said(hub, "foreign", "parts", "--attach", str(tmp_path / "two.txt")))
    assert parts == [{"text": "parts"}, {"raw": "dHdv", "filename": "two.txt", "mediaType": "text/plain"}]
    done = send(hub, "foreign", "file")
    assert task(hub, done)["answer"] == "see the file"
    with hub.peer() as peer:
        peer.hello()
        told = peer.ask("tasks.get", task=done)["result"]
    assert [(piece["kind"], piece.get("filename", "")) for piece in told["answer"]] == [
        ("text", ""), ("raw", "three.bin"), ("url", ""), ("data", ""),
    ]  # fmt: skip
    assert told["answer"][1]["value"] == "AAEC"


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_waits_for_a_person_and_the_answer_goes_on_with_the_task(
    hub: HubProcess, agents: dict[str, SdkAgent], kind: str
) -> None:
    add(hub, agents[kind])
    asked = send(hub, "foreign", "ask-twice")
    task(hub, asked, "input-required")
    [item] = ask(hub, "waiting")
    assert (item["id"], item["kind"], item["agent"], item["what"]) == (asked, "elsewhere", "foreign", "Which one?")
    assert item["choices"] == ["red", "blue"]
    assert hub.synapse("external", "answer", asked, "blue").returncode == 0
    until(
        lambda: (
            [one["what"] for one in hub.call("attention.waiting", workspace="*").get("items", [])]
            == ["You said blue. Sure?"]
        )
    )
    assert hub.synapse("external", "answer", asked, "yes").returncode == 0
    assert task(hub, asked)["answer"] == "you chose yes"
    assert ask(hub, "waiting") == []
    sent = agents[kind].messages(asked)
    assert [message["parts"][0]["text"] for message in sent] == ["ask-twice", "blue", "yes"]
    assert len({message["task"] for message in sent}) == 1


@pytest.mark.parametrize("kind", ["jsonrpc", "quiet"])
def test_a_login_elsewhere_ends_the_wait_by_itself(hub: HubProcess, agents: dict[str, SdkAgent], kind: str) -> None:
    add(hub, agents[kind])
    asked = send(hub, "foreign", "login 3")
    assert task(hub, asked, "auth-required", "completed")["state"] == "auth-required"
    assert "Log in at" in ask(hub, "waiting")[0]["what"]
    assert task(hub, asked)["answer"] == "you are in"


def test_a_conversation_keeps_its_context(hub: HubProcess, agents: dict[str, SdkAgent]) -> None:
    add(hub, agents["rest"])
    with hub.peer() as peer:
        peer.hello()
        first = peer.ask("tasks.submit", to="foreign", text="count")["result"]
        assert task(hub, first["task_id"])["answer"] == "message 1"
        for context, number in ((first["context"], 2), ("c-one", 1), ("c-one", 2), ("c-two", 1), (first["context"], 3)):
            told = peer.ask("tasks.submit", to="foreign", text="count", context=context)["result"]
            assert task(hub, told["task_id"])["answer"] == f"message {number}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_that_is_called_off_is_called_off_there(hub: HubProcess, agents: dict[str, SdkAgent], kind: str) -> None:
    add(hub, agents[kind])
    slow = send(hub, "foreign", "slow 50")
    task(hub, slow, "working")
    [message] = until(lambda: agents[kind].messages(slow))
    with hub.peer() as peer:
        peer.hello()
        peer.ask("tasks.cancel", task=slow)
    until(lambda: message["task"] in agents[kind].canceled())
    assert task(hub, slow)["state"] == "canceled"


@pytest.mark.parametrize("kind", KINDS)
def test_a_hub_that_is_killed_asks_for_the_task_and_does_not_send_it_again(
    hub: HubProcess, agents: dict[str, SdkAgent], kind: str
) -> None:
    add(hub, agents[kind])
    slow, asked = send(hub, "foreign", "slow 3"), send(hub, "foreign", "ask")
    task(hub, slow, "working")
    task(hub, asked, "input-required")
    kill_hub(hub)
    assert hub.synapse("external", "answer", asked, "red").returncode == 0
    assert task(hub, asked)["answer"] == "you chose red"
    assert task(hub, slow)["answer"] == "slept 3"
    assert len(agents[kind].messages(slow)) == 1
    assert len(agents[kind].messages(asked)) == 2


def test_what_was_called_off_while_it_could_not_be_told_is_called_off_later(hub: HubProcess, tmp_path: Path) -> None:
    answers: dict[str, Any] = {"CancelTask": (503, {}, b"")}

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if method == "GET":
            return 200, {}, card(f"http://{headers['Host']}")
        asked = json.loads(body)
        if asked["method"] in answers:
            told: tuple[int, dict[str, str], bytes] = answers[asked["method"]]
            return told
        state = {"id": "r-1", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}
        result = {"task": state} if asked["method"] == "SendMessage" else state
        return 200, {}, json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode()

    odd = Says(answer)
    try:
        add(hub, odd)
        slow = send(hub, "foreign", "anything")
        task(hub, slow, "working")
        with hub.peer() as peer:
            peer.hello()
            peer.ask("tasks.cancel", task=slow)
        until(lambda: "CancelTask" in [asked["method"] for asked in odd.posted()])
        kill_hub(hub)
        answers.clear()
        odd.asked.clear()
        assert ask(hub, "external", "list")[0]["alias"] == "foreign"
        until(lambda: [asked["method"] for asked in odd.posted()] == ["CancelTask"])
        assert odd.posted()[0]["params"] == {"id": "r-1"}
        until(lambda: "external.released" in [event["kind"] for event in hub.call("events.page", last=5)["events"]])
    finally:
        odd.close()


def test_what_cannot_be_reached_is_tried_again_and_then_given_up(hub: HubProcess, tmp_path: Path) -> None:
    agent = SdkAgent(tmp_path, "jsonrpc")
    try:
        add(hub, agent)
        agent.kill()
        early = send(hub, "foreign", "early")
        until(lambda: hub.call("external.show", alias="foreign")["status"] == "AWAY")
        agent.start()
        assert task(hub, early)["answer"] == "You said: early"
        assert len(agent.messages(early)) == 1
        lost = send(hub, "foreign", "slow 40")
        task(hub, lost, "working")
        agent.kill()
        late = send(hub, "foreign", "late")
        for id in (lost, late):
            ended = task(hub, id)
            assert ended["state"] == "failed"
            assert "foreign" in ended["answer"]
            assert "reach" in ended["answer"]
        agent.start()
        forgotten = send(hub, "foreign", "now")
        assert task(hub, forgotten)["answer"] == "You said: now"
    finally:
        agent.close()


def test_one_that_breaks_off_has_an_unknown_outcome_and_is_not_asked_again(hub: HubProcess) -> None:
    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return (200, {}, card(f"http://{headers['Host']}")) if method == "GET" else (0, {}, b"")

    odd = Says(answer)
    try:
        add(hub, odd)
        ended = task(hub, send(hub, "foreign", "once"))
        assert ended["state"] == "failed"
        assert "Outcome unknown" in ended["answer"]
        assert len(odd.posted()) == 1
    finally:
        odd.close()


def test_a_hub_that_is_killed_while_it_sends_does_not_send_again(hub: HubProcess) -> None:
    silent: list[bool] = [True]

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if method == "GET":
            return 200, {}, card(f"http://{headers['Host']}")
        until(lambda: not silent, 20)
        return 0, {}, b""

    odd = Says(answer)
    try:
        add(hub, odd)
        once = send(hub, "foreign", "once")
        until(lambda: len(odd.posted()) == 1)
        kill_hub(hub)
        ended = task(hub, once)
        assert "Outcome unknown" in ended["answer"]
        assert len(odd.posted()) == 1
    finally:
        silent.clear()
        odd.close()


def test_credentials_lie_in_a_file_of_their_own_and_nowhere_else(hub: HubProcess, tmp_path: Path) -> None:
    agent = SdkAgent(tmp_path, "rest", "--token", "open-sesame")
    token = tmp_path / "token"
    token.write_text("open-sesame\n")
    try:
        add(hub, agent)
        ended = task(hub, send(hub, "foreign", "let me in"))
        assert ended["state"] == "failed"
        assert "credentials" in ended["answer"]
        told = hub.synapse("external", "refresh", "foreign", "--token-file", str(token))
        assert "sends along  Authorization" in told.stdout
        assert said(hub, "foreign", "let me in") == "You said: let me in"
        [secret] = (hub.data / "external").iterdir()
        assert (secret.stat().st_mode & 0o777, secret.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        everything = hub.synapse("external", "list", "--json").stdout + hub.synapse("events", "tail", "--json").stdout
        assert "sesame" not in everything
        for path in hub.data.rglob("*"):
            if path.is_file() and path != secret:
                assert b"sesame" not in path.read_bytes(), path
        kill_hub(hub)
        assert said(hub, "foreign", "and again") == "You said: and again"
        assert hub.synapse("external", "remove", "foreign").returncode == 0
        until(lambda: not any((hub.data / "external").iterdir()))
    finally:
        agent.close()


def test_one_that_is_removed_hears_of_it_and_what_it_had_fails(hub: HubProcess, agents: dict[str, SdkAgent]) -> None:
    agent = agents["jsonrpc"]
    add(hub, agent)
    slow = send(hub, "foreign", "slow 45")
    [message] = until(lambda: agent.messages(slow))
    task(hub, slow, "working")
    assert "no target any more" in hub.synapse("external", "remove", "foreign").stdout
    ended = task(hub, slow)
    assert (ended["state"], "removed" in ended["answer"]) == ("failed", True)
    until(lambda: message["task"] in agent.canceled())
    assert ask(hub, "external", "list") == []
    assert "There is no 'foreign'" in hub.synapse("send", "foreign", "hello?").stderr


def test_the_old_paths_do_the_same(hub: HubProcess, agents: dict[str, SdkAgent]) -> None:
    hub.serve()

    def http(method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{hub.port}{path}", method=method, data=json.dumps(body).encode() if body else None,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    added = http("POST", "/external/discover?workspace=house", {"url": agents["quiet"].url, "alias": "old"})
    assert (added["alias"], added["name"]) == ("old", "Foreign Agent")
    assert [one["alias"] for one in http("GET", "/external/agents?workspace=house")["agents"]] == ["old"]
    sent = http("POST", "/external/agents/old/send?workspace=house", {"message": "by http"})
    assert task(hub, sent["task_id"])["answer"] == "You said: by http"
    assert http("DELETE", "/external/agents/old?workspace=house")["alias"] == "old"
    assert ask(hub, "external", "list") == []


def test_many_tasks_go_side_by_side_and_each_conversation_in_order(
    hub: HubProcess, agents: dict[str, SdkAgent]
) -> None:
    add(hub, agents["jsonrpc"])
    with hub.peer() as peer:
        peer.hello()
        slow = [peer.ask("tasks.submit", to="foreign", text="slow 2")["result"]["task_id"] for _ in range(6)]
        counted = [
            peer.ask("tasks.submit", to="foreign", text="count", context="c-row")["result"]["task_id"] for _ in range(4)
        ]
    answers = [task(hub, id)["answer"] for id in counted]
    assert answers == [f"message {number}" for number in range(1, 5)]
    ended = [task(hub, id) for id in slow]
    assert {one["answer"] for one in ended} == {"slept 2"}
    assert max(one["ended_at"] for one in ended) - min(one["at"] for one in ended) < 10


def test_what_it_says_meanwhile_goes_to_whoever_watches(hub: HubProcess, agents: dict[str, SdkAgent]) -> None:
    """By our own A2A face, so that an agent elsewhere is an agent here to those who ask us."""
    add(hub, agents["rest"])
    message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "chunks 1"}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{hub.told['port']}/agents/foreign/message:stream?workspace=house",
        data=json.dumps({"message": message}).encode(),
        headers={"Content-Type": "application/json", "A2A-Version": "1.0"},
    )
    with urllib.request.urlopen(request, timeout=20) as stream:
        told = [json.loads(line[6:]) for line in stream.read().splitlines() if line.startswith(b"data: ")]
    artifacts = [one["artifactUpdate"] for one in told if "artifactUpdate" in one]
    shown = ""
    for one in artifacts:
        text = one["artifact"]["parts"][0]["text"]
        shown = shown + text if one.get("append") else text
    assert shown == "one two three"
    assert [one.get("append", False) for one in artifacts][:3] == [False, True, True]
    assert told[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


def test_only_a_person_adds_one(hub: HubProcess, agents: dict[str, SdkAgent]) -> None:
    hub.serve()
    with hub.peer() as peer:
        peer.hello()
        joined = peer.ask("agents.join", profile="claude", workspace="house", pid=os.getpid())["result"]
        peer.ask("agents.attach", key=joined["key"])
        told = peer.ask("external.add", url=agents["jsonrpc"].url)
    assert told["error"]["data"]["code"] == "not_permitted"


# -- what strangers say of themselves


def refused(hub: HubProcess, url: str, *words: str) -> str:
    """What is said when one cannot be added."""
    done = hub.synapse("external", "add", url, *words)
    assert done.returncode != 0
    assert done.stderr.startswith("synapse: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_hostile_cards_are_refused_or_cleaned(hub: HubProcess) -> None:
    cards: dict[str, tuple[int, dict[str, str], bytes]] = {}

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return cards.get(path.partition("/.well-known/agent-card.json")[0], (404, {}, b"{}"))

    odd = Says(answer)
    here = odd.url

    def interface(url: str) -> bytes:
        return card(here, supportedInterfaces=[{"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}])

    grpc = [{"url": here, "protocolBinding": "GRPC", "protocolVersion": "1.0"}]
    cards |= {
        "/huge": (200, {}, b'{"name": "' + b"x" * (2 << 20) + b'"}'),
        "/deep": (200, {}, b'{"name":' + b"[" * 5000 + b"]" * 5000 + b"}"),
        "/text": (200, {}, b"<html>hello</html>"),
        "/list": (200, {}, b"[]"),
        "/nameless": (200, {}, card(here, name=None)),
        "/number": (200, {}, card(here, name=7)),
        "/odd": (200, {}, card(here, supportedInterfaces={"url": here})),
        "/grpc": (200, {}, card(here, supportedInterfaces=grpc)),
        "/script": (200, {}, interface("javascript:alert(1)")),
        "/file": (200, {}, interface("file:///etc/passwd")),
        "/user": (200, {}, interface("http://me:secret@127.0.0.1/")),
        "/foreign": (200, {}, interface("http://127.0.0.1:1/")),
        "/metadata": (200, {}, interface("http://169.254.169.254/latest")),
        "/inside": (302, {"Location": "http://10.0.0.1/card"}, b""),
        "/moved": (302, {"Location": "http://169.254.169.254/latest"}, b""),
        "/loop": (302, {"Location": "/loop/.well-known/agent-card.json"}, b""),
        "/secret": (401, {}, b"{}"),
        "/broken": (500, {}, b"{}"),
        "/itself": (200, {}, interface(f"http://127.0.0.1:{hub.port}/agents/x")),
        "/fair": (
            200, {},
            card(
                here, name="Fair\u202e\n Name\x1b[31m", description="line\r\nline\x07 <b>&" + "y" * 5000,
                unknown={"a": [1]}, skills=[7, {"name": "one", "tags": "no list"}, {"id": 3}],
                capabilities=[], securitySchemes=["x"], security=[{}],
            ),
        ),
    }  # fmt: skip
    try:
        for path, why in (
            ("/huge", "more than"),
            ("/deep", "no JSON"),
            ("/text", "no JSON"),
            ("/list", "a JSON object"),
            ("/nameless", "no name"),
            ("/number", "no name"),
            ("/odd", "offers nothing"),
            ("/grpc", "offers GRPC 1.0; spoken here are"),
            ("/script", "must begin with http"),
            ("/file", "must begin with http"),
            ("/user", "user or password"),
            ("/foreign", "--origin http://127.0.0.1:1"),
            ("/metadata", "which is not where you said"),
            ("/inside", "private"),
            ("/moved", "link-local"),
            ("/loop", "redirects"),
            ("/secret", "--token-file"),
            ("/broken", "HTTP 500"),
            ("/nothing", "no agent card"),
        ):
            assert why in refused(hub, here + path), path
        assert "belongs to the hub" in refused(hub, f"{here}/itself", "--origin", f"http://127.0.0.1:{hub.port}")
        assert ask(hub, "external", "list") == []
        fair = ask(hub, "external", "add", f"{here}/fair")
        assert (fair["alias"], fair["name"]) == ("fair-name-31m", "Fair Name [31m")
        assert fair["description"].startswith("line line <b>&yyy")
        assert len(fair["description"]) == 1000
        assert [skill["name"] for skill in fair["skills"]] == ["one"]
    finally:
        odd.close()


def test_urls_that_cannot_be_meant_are_refused(hub: HubProcess, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    for words, why in (
        (("ftp://example.com",), "must begin with http"),
        (("example.com",), "must begin with http"),
        (("http://u:p@127.0.0.1",), "user or password"),
        (("http://10.255.255.1/",), "--allow-private"),
        (("http://127.0.0.1:1/",), "cannot be reached"),
        (("http://example.com/", "--token-file", str(token)), "--insecure"),
        (("http://127.0.0.1:1/", "--header", "X-API-Key: secret"), "@FILE"),
        (("http://127.0.0.1:1/", "--header", f"Host: @{token}"), "no header for credentials"),
        (("http://127.0.0.1:1/", "--token-file", str(tmp_path / "none")), "cannot be read"),
        (("http://127.0.0.1:1/?key=secret",), "--header"),
        (("http://127.0.0.1:1/", "--alias", "Two Words"), "is not a name"),
    ):
        assert why in refused(hub, *words), words


def test_credentials_are_never_sent_elsewhere(hub: HubProcess, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("hush")
    thief = Says(lambda method, path, headers, body: (200, {}, card(thief.url)))

    def lead(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 302, {"Location": f"{thief.url}{path}"}, b""

    honest = Says(lead)
    try:
        assert "not where you said" in refused(hub, honest.url, "--header", f"X-API-Key: @{key}")
        assert [headers["X-API-Key"] for _, _, headers, _ in honest.asked] == ["hush"]
        assert len(thief.asked) == 1
        assert "hush" not in str(thief.asked)
    finally:
        honest.close()
        thief.close()


@pytest.mark.parametrize("trouble", [200, 0, 503])
def test_an_answer_that_is_only_a_message_of_the_history_is_found_though_it_cannot_be_had_at_once(
    hub: HubProcess, trouble: int
) -> None:
    hub.env["SYNAPSE_EXTERNAL_PATIENCE"] = "60"  # how often it is asked, and when, is not what is looked at here
    looks = iter((trouble, trouble))

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if method == "GET":
            return 200, {}, card(f"http://{headers['Host']}")
        asked = json.loads(body)
        state: dict[str, Any] = {"id": "r", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}}
        if asked["params"].get("historyLength"):
            state["history"] = [{"messageId": "1", "role": "ROLE_AGENT", "parts": [{"text": "look behind you"}]}]
            if (status := next(looks, 200)) != 200:
                return status, {}, b""
        result = {"task": state} if asked["method"] == "SendMessage" else state
        return 200, {}, json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode()

    odd = Says(answer)
    try:
        add(hub, odd)
        assert said(hub, "foreign", "where?") == "look behind you"
        assert [each["method"] for each in odd.posted()].count("SendMessage") == 1
    finally:
        odd.close()


def test_an_answer_that_makes_no_sense_fails_the_task(hub: HubProcess) -> None:
    answers = iter((
        b"<html>",
        b"{}",
        b'{"result": 7}',
        b'{"error": {"code": -32603, "message": "out of order\\u001b[2J"}}',
        b'{"result": {"task": {"id": "", "status": {}}}}',
        b"[" * 100_000,
    ))  # fmt: skip

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, card(f"http://{headers['Host']}") if method == "GET" else next(answers)

    odd = Says(answer)
    try:
        add(hub, odd)
        for why in ("no JSON", "no JSON-RPC", "never said", "out of order", "never said", "no JSON"):
            ended = task(hub, send(hub, "foreign", "go on"))
            assert ended["state"] == "failed"
            assert why in ended["answer"], ended
    finally:
        odd.close()


@pytest.mark.parametrize("kind", ["jsonrpc", "quiet"])
def test_whenever_the_hub_is_killed_nothing_is_sent_twice_and_nothing_is_lost_without_a_word(
    hub: HubProcess, agents: dict[str, SdkAgent], kind: str
) -> None:
    add(hub, agents[kind])
    sent = []
    for pause in (0.0, 0.02, 0.05, 0.1, 0.2, 0.4):
        with hub.peer() as peer:
            peer.hello()
            for text in ("just that", "slow 0.3", "chunks 0.1"):
                told = peer.ask("tasks.submit", to="foreign", text=text)["result"]
                sent.append(told["task_id"])
        time.sleep(pause)
        kill_hub(hub)
        assert ask(hub, "external", "list")  # the next one
    answers = []
    for id in sent:
        ended = task(hub, id)
        messages = agents[kind].messages(id)
        if ended["state"] == "completed":
            assert len(messages) == 1
            answers.append(ended["answer"])
        else:
            assert "Outcome unknown" in ended["answer"] or "outcome is unknown" in ended["answer"], ended
            assert len(messages) <= 1
    assert set(answers) <= {"You said: just that", "slept 0.3", "one two three"}
    assert len(answers) > len(sent) // 2
