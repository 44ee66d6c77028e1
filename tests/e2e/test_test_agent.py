"""`serve --test-agent`: there when it is asked for, gone with its hub."""

import json
import os
import signal
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.e2e.hubs import HubProcess, until


def ask(hub: HubProcess, path: str, body: Any = None) -> Any:
    headers = {"Content-Type": "application/json", "A2A-Version": "1.0"}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"http://127.0.0.1:{hub.port}/agents/tck{path}", data, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def absent(hub: HubProcess) -> bool:
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(hub, "/.well-known/agent-card.json")
    with refused.value as answer:
        return bool(answer.code == 404)


def test_it_is_there_only_where_it_is_asked_for(hub_process: HubProcess) -> None:
    hub_process.serve("--ephemeral", "--test-agent")
    card = ask(hub_process, "/.well-known/agent-card.json")
    assert (card["name"], card["supportedInterfaces"][0]["url"]) == (
        "tck", f"http://127.0.0.1:{hub_process.port}/agents/tck",
    )  # fmt: skip
    message = {"messageId": "tck-artifact-text-1", "role": "ROLE_USER", "parts": [{"text": "x"}]}
    for base in ("", "/"):
        call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        task = ask(hub_process, base, call)["result"]["task"]
        assert task["artifacts"][0]["parts"] == [{"text": "Generated text content"}]


def test_it_can_be_stopped_like_every_agent(hub_process: HubProcess) -> None:
    hub_process.serve("--test-agent")
    for word in ("stop", "kill"):
        done = hub_process.synapse(word, "tck", "--workspace", "default", *(["-f"] if word == "kill" else []))
        assert (done.returncode, absent(hub_process)) == (0, True), done.stderr
        hub_process.synapse("serve", "--stop")
        hub_process.serve("--test-agent")


def test_it_does_not_outlive_its_hub(hub_process: HubProcess) -> None:
    first = hub_process.serve("--test-agent")
    listed = json.loads(hub_process.synapse("list", "--workspace", "default", "--json").stdout)
    assert [(row["name"], row["status"]) for row in listed] == [("tck", "READY")]
    os.kill(first.pid, signal.SIGKILL)
    first.wait(10)
    second = hub_process.serve("--test-agent")
    assert ask(hub_process, "/.well-known/agent-card.json")["name"] == "tck"
    os.kill(second.pid, signal.SIGKILL)
    second.wait(10)
    third = hub_process.serve()
    assert absent(hub_process)
    third.terminate()
    third.wait(10)
    fourth = hub_process.serve("--test-agent")
    fourth.terminate()
    fourth.wait(10)
    hub_process.serve()
    until(lambda: absent(hub_process))
    log = hub_process.synapse("events", "query", "--kinds", "agents.left", "--json").stdout
    assert log.count("agents.left") == 3
