"""The page about A2A: its examples run, and what it says of the simple paths holds."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.e2e.agents_kit import House
from tests.e2e.hubs import ROOT

PAGE = ROOT / "docs" / "a2a.md"


@pytest.fixture(scope="module")
def home() -> Iterator[House]:
    house = House()
    try:
        house.serve("--background")
        house.agent("bob")
        yield house
    finally:
        house.close()


def ask(house: House, path: str, body: Any = None, agent: str = "bob", **headers: str) -> tuple[int, Any, Any]:
    content = None if body is None else json.dumps(body).encode()
    known = {"Content-Type": "application/json"} if content else {}
    url = f"http://127.0.0.1:{house.told['port']}/agents/{agent}{path}"
    try:
        with urlopen(Request(url, content, known | headers), timeout=20) as answer:
            return answer.status, json.loads(answer.read()), answer.headers
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), error.headers


def test_the_examples_run(home: House) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S)
    assert len(blocks) == 2
    for block in blocks:
        script = "set -e\n" + block.replace("127.0.0.1:8876", f"127.0.0.1:{home.told['port']}")
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert '"error"' not in done.stdout
        assert "problem:" not in done.stdout
    assert "TASK_STATE_COMPLETED" in subprocess.run(
        ["curl", "-sS", "-H", "A2A-Version: 1.0", f"http://127.0.0.1:{home.told['port']}/agents/bob/tasks"],
        capture_output=True, text=True, timeout=20, check=True,
    ).stdout  # fmt: skip


def test_every_path_of_the_page_is_there(home: House) -> None:
    table = re.findall(r"^\| `(?:GET|POST) (/[^`?]*)", PAGE.read_text(), re.M)
    assert len(table) > 5
    for path in table:
        status, told, _ = ask(home, path.replace("ID", "t-none"))
        assert status in (200, 404, 405), (path, told)
        assert told.get("code") != "no_such_path", path


def test_a_task_in_the_simple_shape(home: House) -> None:
    sender = {"sender_id": "ci", "sender_type": "script", "sender_endpoint": "http://127.0.0.1:1"}
    parts = [{"type": "text", "text": "what is 6*7"}, {"type": "data", "data": {"a": 1}}]
    _, told, _ = ask(
        home, "/tasks/send", {"message": {"parts": parts}, "metadata": {"sender": sender}, "context_id": "c"}
    )
    task = told["task"]
    assert (task["status"], task["context_id"], task["metadata"]) == ("submitted", "c", {"sender": sender})
    assert task["message"]["parts"] == parts
    with urlopen(f"http://127.0.0.1:{home.told['port']}/agents/bob/tasks/{task['id']}/subscribe", timeout=20) as stream:
        events = [block.split("\n") for block in stream.read().decode().strip().split("\n\n")]
    names = [line.removeprefix("event: ") for lines in events for line in lines if line.startswith("event: ")]
    assert names[-1] == "done"
    assert {"output", "status"} <= set(names)
    done = json.loads(events[-1][-1].removeprefix("data: "))["task"]
    assert (done["status"], done["artifacts"][0]["parts"][0]["text"][:3]) in {("completed", "42"), ("completed", "You")}
    last = next(int(line[4:]) for line in events[-1] if line.startswith("id: "))
    url = f"http://127.0.0.1:{home.told['port']}/agents/bob/tasks/{task['id']}/subscribe"
    with urlopen(Request(url, headers={"Last-Event-ID": str(last)}), timeout=20) as stream:
        assert stream.read().decode().count("event: ") == 1
    _, told, _ = ask(home, f"/tasks/{task['id']}")
    assert told["task"]["id"] == task["id"]
    assert "contextId" in ask(home, f"/tasks/{task['id']}", **{"A2A-Version": "1.0"})[1]
    _, told, _ = ask(home, "/tasks?context_id=c&status=completed&page_size=5")
    assert ([one["id"] for one in told["tasks"]], told["total"]) == ([task["id"]], 1)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/tasks/send", {"text": ""}, 400),
        ("/tasks/send", [], 400),
        ("/tasks/send", {"message": 5}, 400),
        ("/tasks/send", {"message": {"parts": "x"}}, 400),
        ("/tasks/send-priority?priority=9", {"text": "x"}, 400),
        ("/tasks/send-priority?priority=x", {"text": "x"}, 400),
        ("/tasks/send?queue=maybe", {"text": "x"}, 400),
        ("/tasks/none", None, 404),
        ("/tasks/none/cancel", {}, 404),
        ("/tasks/none/approve", {}, 404),
        ("/tasks/none/subscribe", None, 404),
        ("/tasks?status=odd", None, 400),
        ("/tasks?page_size=1000", None, 400),
        ("/reply-stack/get", None, 404),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_sentence(home: House, path: str, body: Any, status: int) -> None:
    code, told, _ = ask(home, path, body)
    assert (code, bool(told["error"]["message"])) == (status, True)
    assert told["error"]["details"][0]["metadata"]["code"]


def test_who_does_not_want_to_wait_for_a_busy_agent_is_told_so(home: House) -> None:
    home.agent("busy", "demo")
    port = home.told["port"]
    home.queue("busy", "SLOW 5 x")
    home.becomes("busy", "PROCESSING")
    body = Request(
        f"http://127.0.0.1:{port}/agents/busy/tasks/send?queue=false",
        b'{"text": "x"}',
        {"Content-Type": "application/json"},
    )
    with pytest.raises(HTTPError) as refused:
        urlopen(body, timeout=20)
    with refused.value as error:
        assert (error.code, error.headers["Retry-After"]) == (503, "5")


def test_an_agent_is_asked_for_its_finished_tasks_under_its_new_name(home: House) -> None:
    home.agent("rob")
    headers = {"A2A-Version": "1.0"}
    message = {"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": "what is 6*7"}]}
    push = {"url": "http://127.0.0.1:9/", "id": "p"}
    asked = {"message": message, "configuration": {"taskPushNotificationConfig": push}}
    status, told, _ = ask(home, "/message:send", asked, "rob", **headers)
    task = told["task"]["id"]
    assert (status, told["task"]["status"]["state"]) == (200, "TASK_STATE_COMPLETED")
    assert home.synapse("rename", "rob", "zed").returncode == 0
    assert ask(home, f"/tasks/{task}", None, "zed", **headers)[1]["id"] == task
    assert [one["id"] for one in ask(home, "/tasks", None, "zed", **headers)[1]["tasks"]] == [task]
    assert ask(home, f"/tasks/{task}/pushNotificationConfigs", None, "zed", **headers)[1]["configs"][0]["id"] == "p"
    home.agent("rob")
    assert ask(home, f"/tasks/{task}", None, "rob", **headers)[0] == 404
    assert ask(home, "/tasks", None, "rob", **headers)[1]["tasks"] == []


def test_while_an_agent_is_away_its_tasks_can_be_asked_for_and_it_cannot(home: House) -> None:
    home.agent("gone")
    done = home.send("gone", "what is 6*7", "--wait")
    assert home.synapse("stop", "gone").returncode == 0
    headers = {"A2A-Version": "1.0"}
    [task] = ask(home, "/tasks", None, "gone", **headers)[1]["tasks"]
    assert done
    assert ask(home, f"/tasks/{task['id']}", None, "gone", **headers)[0] == 200
    status, told, _ = ask(home, "/tasks/send", {"text": "more"}, "gone")
    assert (status, told["task"]["status"]) == (200, "submitted")
    assert ask(home, f"/tasks/{told['task']['id']}/cancel", {}, "gone")[1]["task"]["status"] == "canceled"
    status, told, _ = ask(home, "/.well-known/agent-card.json", None, "gone")
    assert (status, told["code"]) == (404, "agent_away")
    for path, body in (("/extendedAgentCard", None), ("/status", None), ("/tasks/send?queue=false", {"text": "x"})):
        status, told, _ = ask(home, path, body, "gone", **headers)
        assert (status, told["error"]["details"][0]["metadata"]["code"]) == (503, "unavailable")
    assert ask(home, "/reply-stack/get", None, "gone")[0] == 404
