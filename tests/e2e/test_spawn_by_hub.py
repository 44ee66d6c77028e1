"""Agents that the hub starts because it was asked to: `POST /spawn`, `POST /team/start`, and their verbs."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.core.server.test_ports import free_range
from tests.e2e.agents_kit import House
from tests.e2e.hubs import ROOT, alive, request, until

PERSON, WRITER = "person-secret-1", "writer-secret-2"
SLOW = "#!/bin/sh\ntouch {marker}\nsleep 1.5\n"


class Yard(House):
    """A house whose hub runs in a folder of its own, with tokens; `project` is another folder, in git."""

    def __init__(self, *, ports: bool = False) -> None:
        super().__init__()
        self.env |= {"SYNAPSE_HUB_AGENT_PORTS": "true" if ports else "false", "SYNAPSE_ADMIN_KEY": "admin-secret-3"}
        self.home, self.project = self.data / "home", self.data / "project"
        self.home.mkdir()
        self.project.mkdir()
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(self.project)]
        for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"]):
            subprocess.run([*git, *words], check=True, env=self.env)

    def open(self) -> "subprocess.Popen[str]":
        return self.serve("--token", f"read+write+person:{PERSON}", "--token", f"read+write:{WRITER}", cwd=self.home)

    def post(self, path: str, token: str = PERSON, at: int = 0, key: str = "", **body: Any) -> tuple[int, Any]:
        """HTTP's status, and what is answered."""
        headers = {"Content-Type": "application/json", "X-API-Key": token, "Idempotency-Key": key}
        return self.send_http(path, json.dumps(body).encode(), {n: v for n, v in headers.items() if v}, at)

    def send_http(self, path: str, body: bytes, headers: dict[str, str], at: int = 0) -> tuple[int, Any]:
        asked = urllib.request.Request(f"http://127.0.0.1:{at or self.port}{path}", body, headers)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def spawn(self, **body: Any) -> Any:
        status, told = self.post("/spawn", **{"profile": "demo", **body})
        assert status == 200, told
        return told

    def everybody(self) -> list[dict[str, Any]]:
        """Who is in any workspace."""
        return [
            agent
            for agent in self.call("agents.list", workspace="*", all=True).get("agents", [])
            if agent["agent_type"] not in ("person", "client")
        ]

    def environ(self, name: str) -> dict[str, str]:
        """What an agent's program was started with."""
        [pid] = (agent["pid"] for agent in self.everybody() if agent["name"] == name)
        child = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        lines = Path(f"/proc/{child}/environ").read_text().split("\0")
        return dict(line.partition("=")[::2] for line in lines if line)


@pytest.fixture(scope="module")
def shared() -> Iterator[Yard]:
    yard = Yard()
    try:
        yard.open()
        yield yard
    finally:
        yard.close()


@pytest.fixture
def yard(shared: Yard) -> Iterator[Yard]:
    yield shared
    left = [agent["agent_id"] for agent in shared.everybody()]
    if left:
        shared.synapse("kill", "-f", *left)


@pytest.fixture
def own() -> Iterator[Yard]:
    yard = Yard()
    yield yard
    yard.close()


# -- one


def test_an_agent_is_started_in_its_folder_and_given_its_first_task(yard: Yard) -> None:
    told = yard.spawn(name="Ann", role="helps", skill_set="go", task="PING hello", cwd=str(yard.project))
    assert (told["name"], told["id"], told["workspace"]) == ("ann", f"synapse-demo-{told['port']}", "project")
    assert told["status"] in ("STARTING", "READY", "PROCESSING")
    assert yard.task(told["task_id"])["answer"] == "PONG hello"
    [agent] = yard.everybody()
    assert (agent["role"], agent["skill_set"], agent["working_dir"]) == ("helps", "go", str(yard.project))
    [event] = [one for one in yard.events() if one["kind"] == "agents.spawned" and one["body"]["key"] == told["key"]]
    assert (event["body"]["profile"], event["body"]["task"]) == ("demo", told["task_id"])


def test_its_program_has_none_of_what_is_the_hubs_own(yard: Yard) -> None:
    told = yard.spawn(name="clean")
    environ = yard.environ("clean")
    assert {PERSON, WRITER, "admin-secret-3"}.isdisjoint(environ.values())
    assert environ["SYNAPSE_AGENT_ID"] == told["id"]
    assert environ["SYNAPSE_INSTRUCTIONS_ENABLED"] == "false"  # a setting, which the person chose
    status = Path(f"/proc/{yard.everybody()[0]['pid']}/status").read_text()
    mask = os.umask(0o022)
    os.umask(mask)
    assert f"Umask:\t{mask:04o}\n" in status


def test_without_a_folder_it_is_where_the_others_are_or_where_the_hub_was_started(yard: Yard) -> None:
    assert yard.spawn(name="first")["workspace"] == "home"
    second = yard.spawn(name="second", working_dir=str(yard.project))
    assert second["workspace"] == "project"
    third = yard.spawn(name="third", workspace="project")
    assert third["workspace"] == "project"
    assert yard.spawn(name="fourth", workspace="another", cwd=str(yard.project))["workspace"] == "another"
    there = {agent["name"]: agent["working_dir"] for agent in yard.everybody()}
    assert there == {"first": str(yard.home)} | dict.fromkeys(("second", "third", "fourth"), str(yard.project))


def test_it_may_have_a_worktree_and_a_port(yard: Yard) -> None:
    port = free_range()[0]
    told = yard.spawn(name="treed", worktree=True, port=port, cwd=str(yard.project))
    assert told["port"] == port
    named = yard.spawn(name="other", worktree="corner", message="PING there", cwd=str(yard.project))
    folders = {agent["name"]: Path(agent["working_dir"]) for agent in yard.everybody()}
    trees = yard.project / ".synapse" / "worktrees"
    assert folders == {"treed": trees / "treed", "other": trees / "corner"}
    assert yard.task(named["task_id"])["answer"] == "PONG there"


def test_a_saved_agent_is_started_by_its_id(yard: Yard) -> None:
    yard.synapse("agents", "add", "helper", "--profile", "demo", "--name", "saved", "--role", "kept")
    told = yard.spawn(profile="helper")
    assert (told["name"], yard.everybody()[0]["role"]) == ("saved", "kept")


def test_by_the_local_socket_it_is_the_same_verb(yard: Yard) -> None:
    with yard.peer() as peer:
        peer.hello(folder=str(yard.project), workspace="")
        told = peer.ask("agents.spawn", profile="demo", name="local", cwd=str(yard.project))["result"]
        assert (told["name"], told["workspace"]) == ("local", "project")
        refused = peer.ask("agents.spawn", profile="demo", name="local", cwd=str(yard.project))
        assert refused["error"]["data"]["code"] == "name_taken"


def test_ten_at_once_have_a_port_each(yard: Yard) -> None:
    with ThreadPoolExecutor(10) as pool:
        told = list(pool.map(lambda number: yard.spawn(name=f"one-{number}"), range(10)))
    assert len({one["port"] for one in told}) == 10
    assert sorted(agent["name"] for agent in yard.everybody()) == sorted(one["name"] for one in told)


FLASH = """command = ["sh", "-c", "echo no such model; exit 3"]\n"""
ABSENT = """command = ["is-not-installed"]\n"""


@pytest.mark.parametrize(
    ("body", "status", "code", "said"),
    [
        ({"profile": "nope"}, 404, "no_such_profile", "There is no profile and no saved agent 'nope'. There are: a"),
        ({"profile": "/bin/sh"}, 404, "no_such_profile", ""),
        ({"profile": "--help"}, 404, "no_such_profile", ""),
        ({"profile": ""}, 400, "no_profile", ""),
        ({"profile": "absent"}, 404, "no_such_program", "is-not-installed: command not found."),
        ({"profile": "flash"}, 409, "ended_at_once", "sh ended at once, with exit status 3. It said:\n  no such model"),
        ({"cwd": "relative"}, 400, "bad_folder", "an absolute path"),
        ({"cwd": "/a\0b"}, 400, "bad_folder", ""),
        ({"cwd": "/is/not/there"}, 400, "no_folder", "/is/not/there cannot be entered: No such file or directory."),
        ({"cwd": "/etc/passwd"}, 400, "no_folder", "Not a directory"),
        ({"cwd": "/", "working_dir": "/tmp"}, 400, "bad_request", ""),
        ({"name": "n n"}, 400, "bad_name", ""),
        ({"name": "all"}, 400, "reserved_name", ""),
        ({"role": "@/etc/passwd"}, 400, "bad_role", ""),
        ({"role": "x" * 20_000}, 400, "too_large", ""),
        ({"port": 80}, 400, "bad_port", ""),
        ({"task": " "}, 400, "no_text", ""),
        ({"task": "x" * 40_000}, 400, "too_large", ""),
        ({"task": "a", "message": "b"}, 400, "bad_request", ""),
        ({"worktree": True}, 409, "no_git", "`git init` makes one"),
        ({"worktree": "a b"}, 400, "bad_name", ""),
        ({"workspace": "a b"}, 400, "bad_name", ""),
        ({"words": ["x"]}, 400, "bad_request", "unknown field `words`"),
    ],
)  # fmt: skip
def test_what_cannot_be_started_is_refused_with_the_reason(
    yard: Yard, body: dict[str, Any], status: int, code: str, said: str
) -> None:
    yard.profile("flash", FLASH)
    yard.profile("absent", ABSENT)
    answered, told = yard.post("/spawn", **{"profile": "demo", "cwd": str(yard.home), **body})
    assert (answered, told["code"]) == (status, code), told
    assert said in told["detail"]
    assert yard.everybody() == []


def test_a_name_or_a_port_that_somebody_has_is_refused(yard: Yard) -> None:
    there = yard.spawn(name="ann")
    assert yard.post("/spawn", profile="demo", name="ann")[1]["code"] == "name_taken"
    assert yard.post("/spawn", profile="demo", port=there["port"])[1]["code"] == "port_taken"
    assert len(yard.everybody()) == 1


# -- a team


def test_of_a_team_each_is_started_that_can_be(yard: Yard) -> None:
    specs = ["demo:ann:writes tests:go", "nope:x", "demo", 'demo:"b', "demo:ann", "flash:gone"]
    yard.profile("flash", FLASH)
    status, told = yard.post("/team/start", agents=specs, cwd=str(yard.project))
    assert (status, told["started"]) == (200, 3 - 1)
    rows = {row["spec"]: row for row in told["agents"]}
    assert list(rows) == specs
    codes = {spec: row["code"] for spec, row in rows.items() if row["code"]}
    taken = codes.pop("demo:ann", "") or codes.pop("demo:ann:writes tests:go")  # they start side by side
    assert taken == "name_taken"
    assert codes == {"nope:x": "no_such_profile", 'demo:"b': "bad_member", "flash:gone": "ended_at_once"}
    assert "no such model" in rows["flash:gone"]["error"]
    there = yard.everybody()
    assert {agent["agent_id"] for agent in there} == {row["id"] for row in rows.values() if row["started"]}
    assert {agent["workspace"] for agent in there} == {"project"}


@pytest.mark.parametrize(("agents", "code"), [([], "no_agents"), (["demo"] * 17, "too_many"), ("demo", "bad_request")])
def test_a_team_that_is_none_is_refused(yard: Yard, agents: Any, code: str) -> None:
    assert yard.post("/team/start", agents=agents)[1]["code"] == code
    assert yard.everybody() == []


def test_a_team_may_have_worktrees(yard: Yard) -> None:
    _, told = yard.post("/team/start", agents=["demo:one", "demo:two"], worktree=True, cwd=str(yard.project))
    assert told["started"] == 2, told
    trees = yard.project / ".synapse" / "worktrees"
    assert {Path(agent["working_dir"]) for agent in yard.everybody()} == {trees / "one", trees / "two"}


def test_on_an_agents_own_port_both_are_there_too() -> None:
    yard = Yard(ports=True)
    try:
        yard.open()
        first, *_ = free_range()
        port = yard.spawn(name="ann", port=first, cwd=str(yard.project))["port"]
        status, told = yard.post("/spawn", at=port, profile="demo", name="bob")
        assert (status, told["workspace"]) == (200, "project")
        status, told = yard.post("/team/start", at=port, agents=["demo:eve"])
        assert (status, told["agents"][0]["name"]) == (200, "eve")
        assert yard.post("/spawn", at=port, token="", profile="demo")[0] == 403
    finally:
        yard.close()


# -- who may


@pytest.mark.parametrize("path", ["/spawn", "/team/start", "/api/agents.spawn"])
def test_only_a_person_may(yard: Yard, path: str) -> None:
    body = {"agents": ["demo"]} if path == "/team/start" else {"profile": "demo"}
    assert [yard.post(path, token=token, **body)[0] for token in ("", WRITER, "unknown-secret")] == [403, 403, 401]
    content, key = json.dumps(body).encode(), {"X-API-Key": PERSON}
    assert yard.send_http(path, content, key | {"Content-Type": "text/plain"})[0] == 415
    page = {"Content-Type": "application/json", "Origin": "https://evil.example"}
    assert yard.send_http(path, content, key | page)[0] == 403
    assert yard.everybody() == []


def test_an_agent_may_not_with_a_persons_token_either(yard: Yard) -> None:
    script = yard.home / "tries.py"
    script.write_text(
        "import urllib.request, urllib.error\n"
        f"asked = urllib.request.Request('http://127.0.0.1:{yard.port}/spawn', b'{{\"profile\": \"demo\"}}',"
        f" {{'Content-Type': 'application/json', 'X-API-Key': '{PERSON}'}})\n"
        "try: print(urllib.request.urlopen(asked).status)\n"
        "except urllib.error.HTTPError as error: print(error.code, error.read().decode())\n"
    )
    yard.agent("inside")
    assert "403" in yard.answer_of_command("inside", f"{sys.executable} {script}")
    assert len(yard.everybody()) == 1


# -- once, and nothing left


def test_a_repeat_under_one_key_starts_nobody_anew(own: Yard) -> None:
    own.open()
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: own.post("/spawn", key="k-1", profile="demo", task="PING once"), range(4)))
    assert {status for status, _ in told} == {200}
    assert len({(one["key"], one["task_id"]) for _, one in told}) == 1
    assert own.post("/spawn", key="k-1", profile="sh")[1]["code"] == "key_reused"
    _, team = own.post("/team/start", key="k-2", agents=["demo", "nope"])
    assert own.synapse("serve", "--stop").returncode == 0
    own.open()
    status, again = own.post("/spawn", key="k-1", profile="demo", task="PING once")
    assert (status, again["key"], again["task_id"]) == (200, told[0][1]["key"], told[0][1]["task_id"])
    assert own.post("/team/start", key="k-2", agents=["demo", "nope"]) == (200, team)
    until(lambda: sorted(agent["key"] for agent in own.everybody()) == sorted([again["key"], team["agents"][0]["key"]]))
    assert len(own.ask("history")["tasks"]) == 1


def test_a_repeat_after_a_refusal_tries_again(own: Yard) -> None:
    own.open()
    own.profile("late", ABSENT)
    assert own.post("/spawn", key="k", profile="late")[1]["code"] == "no_such_program"
    own.profile("late", """command = ["$SYNAPSE", "_demo-agent"]\n""")
    assert own.post("/spawn", key="k", profile="late")[0] == 200


def test_what_joined_before_its_hub_was_killed_is_found_by_the_repeat(own: Yard) -> None:
    """Also when the answer was not stored any more: the stay has the key."""
    own.open()
    asked = {"profile": "demo", "task": "PING once", "cwd": str(own.project), "idempotency_key": "k"}
    with own.peer() as peer:
        peer.hello()
        peer.send(request("agents.spawn", **asked))
        until(own.everybody)
        own.kill()
    assert own.ask("list", "--all") is not None  # a hub is there again: its runner's, or this command's
    until(lambda: not [pid for pid in own.mine() if b"_start" in Path(f"/proc/{pid}/cmdline").read_bytes()])
    with own.peer() as peer:
        peer.hello()
        told = peer.ask("agents.spawn", **asked)
        if told.get("error", {}).get("data", {}).get("code") == "ended":  # it was undone when its hub was gone
            told = peer.ask("agents.spawn", **asked | {"idempotency_key": "another"})
    assert own.task(told["result"]["task_id"])["answer"] == "PONG once"
    until(lambda: [agent["key"] for agent in own.everybody()] == [told["result"]["key"]])
    assert len(own.ask("history")["tasks"]) == 1


def _hangs_up(yard: Yard, key: str, **body: Any) -> None:
    try:
        yard.post("/spawn", key=key, **{"profile": "demo", **body})
    except (OSError, ValueError):
        pass  # the hub was killed meanwhile


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_hub_that_ends_in_the_middle_leaves_neither_agent_nor_worktree(own: Yard, number: int) -> None:
    process = own.open()
    marker, hook = own.data / "began", own.project / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(SLOW.format(marker=marker))
    hook.chmod(0o700)
    asking = threading.Thread(
        target=_hangs_up, args=(own, "k"), kwargs={"worktree": "corner", "cwd": str(own.project), "name": "never"}
    )
    asking.start()
    until(marker.exists)
    process.send_signal(number)
    process.wait(10)
    asking.join()
    until(lambda: not own.mine())
    assert not (own.project / ".synapse" / "worktrees" / "corner").exists()
    assert own.everybody() == []


def test_agents_of_a_hub_that_keeps_nothing_end_with_it(own: Yard) -> None:
    process = own.serve("--ephemeral", "--token", PERSON, cwd=own.project)
    told = own.spawn(name="brief")
    listing = f"http://127.0.0.1:{own.port}/api/agents.list?all=true"
    with urllib.request.urlopen(urllib.request.Request(listing, headers={"X-API-Key": PERSON}), timeout=10) as answer:
        [agent] = [one for one in json.load(answer)["agents"] if one["key"] == told["key"]]
    assert alive(agent["pid"])
    process.send_signal(signal.SIGINT)
    process.wait(10)
    until(lambda: not alive(agent["pid"]))


def test_a_hub_in_the_background_wants_to_know_where(own: Yard) -> None:
    own.serve("--background", "--token", PERSON, cwd="/")
    assert own.post("/spawn", profile="demo")[1]["code"] == "no_folder"
    assert own.post("/spawn", profile="demo", cwd=str(own.home))[0] == 200


def test_a_start_that_a_person_interrupts_leaves_no_agent(own: Yard) -> None:
    own.open()
    for _ in range(5):
        process = own.start("start", "--name", "never", "demo", cwd=own.home, process_group=0)
        runner = until(lambda: _runners(own) or process.poll() is not None)  # noqa: B023 - it is called here
        if runner is True:
            continue  # it was quicker than we looked
        for pid in runner:
            os.kill(pid, signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        for pid in runner:
            with suppress(ProcessLookupError):  # it has been killed
                os.kill(pid, signal.SIGCONT)
        assert process.wait(10) in (0, 130)
        process.communicate()
        if process.returncode == 130:
            break
        own.synapse("kill", "-f", "never")
    assert process.returncode == 130
    until(lambda: not _runners(own))
    until(lambda: own.everybody() == [])


def _runners(yard: Yard) -> list[int]:
    found = []
    for pid in yard.mine():
        try:
            if b"_runner" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            pass  # it has ended
    return found


def test_the_examples_of_the_page_run(yard: Yard) -> None:
    if shutil.which("curl") is None:
        pytest.skip("not run: curl is absent")
    page = (ROOT / "docs" / "http.md").read_text()
    [example] = re.findall(r"^```\n(curl -sS http://127.0.0.1:8876/spawn.*?)^```", page, re.MULTILINE | re.DOTALL)
    script = example.replace("8876", str(yard.port)).replace("/home/ada/shop", str(yard.project))
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        env=yard.env | {"TOKEN": PERSON},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    one, team = map(json.loads, done.stdout.replace("}{", "}\n{", 1).splitlines())
    assert yard.task(one["task_id"])["answer"] == "42"
    assert (one["name"], team["started"], team["agents"][1]["name"]) == ("tester", 2, "writer")
    refusals = re.findall(
        r"`(\w+)`", page[page.index("cannot be started is refused") : page.index("`/team/start` takes up")]
    )
    assert {"no_such_profile", "name_taken", "ended_at_once"} <= set(refusals)


def test_what_lies_in_its_folder_is_not_taken_for_the_program(yard: Yard) -> None:
    """A repository that somebody else has written must not run as we, before its agent asks anybody."""
    (yard.home / "synapse").mkdir()
    (yard.home / "synapse" / "__init__.py").write_text(f"open({str(yard.home / 'ran')!r}, 'w')\nraise SystemExit(3)\n")
    told = yard.spawn(name="guarded", task=f"RUN {yard.program} --version", cwd=str(yard.home))
    yard.task(told["task_id"], "input-required")
    assert yard.synapse("start", "--name", "second", "demo", cwd=yard.home).returncode == 0
    assert not (yard.home / "ran").exists()
    shutil.rmtree(yard.home / "synapse")
