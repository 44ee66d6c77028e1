"""Webhooks and A2A push with a real hub: commands, paths, and what a killed hub still owes."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.e2e.hubs import HubProcess, until
from tests.e2e.test_agents_ports import Harbour

SECRETS = ("geheim-4711", "s3cret-push", "t0ken-push")


class Receiver:
    """A program on this machine that is called; it answers with `status`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.calls.append((self.path, dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def of(self, path: str) -> list[tuple[dict[str, str], Any]]:
        """The calls of a path so far: headers and body."""
        return [(headers, json.loads(body)) for asked, headers, body in self.calls if asked == path]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def ask(hub: HubProcess, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """The status and the JSON of a request to the hub."""
    content = None if body is None else json.dumps(body).encode()
    if content:
        headers = {"Content-Type": "application/json", **headers}
    request = Request(f"http://127.0.0.1:{hub.port}{path}", content, headers, method=method)
    try:
        with urlopen(request, timeout=20) as response:
            return response.status, json.loads(response.read())
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def ok(hub: HubProcess, *words: str, **more: Any) -> Any:
    """What a command that must succeed prints as JSON."""
    done = hub.synapse(*words, "--json", **more)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return json.loads(done.stdout)


def asked(hub: HubProcess) -> str:
    """A task for bob, a plain client."""
    ok(hub, "advertise", "--from", "bob", "--skill", "python")
    return str(ok(hub, "send", "bob", "do it")["task_id"])


def test_a_webhook_by_commands_is_signed_listed_without_its_secret_and_removed(
    hub_process: HubProcess, receiver: Receiver, tmp_path: Path
) -> None:
    relay = tmp_path / "relay.ndjson"
    hub_process.serve("--relay-log", str(relay))
    secret = tmp_path / "secret"
    secret.write_text(SECRETS[0] + "\n")
    made = ok(
        hub_process, "webhooks", "add", receiver.url("/hook"), "--event", "completed", "--secret-file", str(secret)
    )
    assert made["signed"] is True
    task = asked(hub_process)
    ok(hub_process, "reply", "fertig", "--to", task, "--from", "bob")
    [(headers, body)] = until(lambda: receiver.of("/hook"))
    assert (body["event"], body["task"]["id"]) == ("task.completed", task)
    signed = headers["X-Synapse-Timestamp"].encode() + b"." + receiver.calls[0][2]
    expected = hmac.new(SECRETS[0].encode(), signed, hashlib.sha256).hexdigest()
    assert headers["X-Synapse-Signature"] == f"sha256={expected}"
    [delivery] = until(
        lambda: [
            one
            for one in hub_process.call("webhooks.deliveries", id=made["id"])["deliveries"]
            if one["outcome"] == "delivered"
        ]
    )
    assert (delivery["status"], delivery["attempts"], delivery["task"]) == (200, 1, task)
    shown = hub_process.synapse("webhooks").stdout + hub_process.synapse("webhooks", "deliveries").stdout
    assert receiver.url("/hook") in shown
    said = [shown, hub_process.synapse("events").stdout, hub_process.log, relay.read_text()]
    said += [json.dumps(ok(hub_process, "webhooks", "list")), hub_process.synapse("events", "--json").stdout]
    assert not [text for text in said if SECRETS[0] in text]
    assert ok(hub_process, "webhooks", "remove", receiver.url("/hook"))["removed"] == [made["id"]]
    assert hub_process.synapse("webhooks", "remove", "w-none").returncode == 1
    assert "No webhooks" in hub_process.synapse("webhooks").stdout


def test_a_secret_comes_from_a_file_or_standard_input_and_what_is_none_is_told(
    hub_process: HubProcess, tmp_path: Path
) -> None:
    hub_process.serve()
    (tmp_path / "two").write_text("one\ntwo\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("nowhere", "two", "binary", "."):
        done = hub_process.synapse("webhooks", "add", "http://localhost:9/", "--secret-file", str(tmp_path / name))
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    (tmp_path / "secret").write_text(SECRETS[0])
    with (tmp_path / "secret").open() as given:
        made = ok(
            hub_process, "webhooks", "add", "http://localhost:9/", "--event", "input-required", "--secret-file", "-",
            stdin=given,
        )  # fmt: skip
    assert (made["signed"], made["events"]) == (True, ["task.input_required"])
    spellings = ("input_required", "task.input_required", "task.input-required", "task.failed")
    words = [word for event in spellings for word in ("--event", event)]
    made = ok(hub_process, "webhooks", "add", "http://localhost:9/more", *words)
    assert made["events"] == ["task.failed", "task.input_required"]
    assert hub_process.synapse("webhooks", "add", "http://localhost:9/", "--event", "done").returncode == 2


def test_the_paths_do_what_the_commands_do(hub_process: HubProcess, receiver: Receiver) -> None:
    hub_process.serve()
    status, made = ask(hub_process, "POST", "/webhooks", {"url": receiver.url("/hook"), "events": ["task.canceled"]})
    assert (status, made["events"]) == (200, ["task.canceled"])
    assert [one["id"] for one in ask(hub_process, "GET", "/webhooks")[1]["webhooks"]] == [made["id"]]
    assert ask(hub_process, "GET", "/webhooks/deliveries")[1] == {"deliveries": []}
    assert ask(hub_process, "DELETE", f"/webhooks?url={receiver.url('/hook')}")[1]["removed"] == [made["id"]]
    assert ask(hub_process, "DELETE", "/webhooks?id=w-none")[0] == 404
    for url in ("http://10.0.0.1/", "http://169.254.169.254/", f"http://localhost:{hub_process.port}/api/hub.shutdown"):
        status, refusal = ask(hub_process, "POST", "/webhooks", {"url": url})
        assert (status, refusal["code"]) == (409, "forbidden_address")
    assert "/webhooks" in ask(hub_process, "GET", "/api/openapi.json")[1]["paths"]


def test_doctor_names_a_webhook_that_is_not_told(hub_process: HubProcess, receiver: Receiver) -> None:
    hub_process.serve()
    ok(hub_process, "webhooks", "add", receiver.url("/hook?key=geheim"))
    for status, said in ((200, "nobody was called in vain"), (404, "it answers 404")):
        receiver.status = status
        task = asked(hub_process)
        ok(hub_process, "reply", "done", "--to", task, "--from", "bob")
        until(partial(made, hub_process, task))
        found = [check for check in doctor(hub_process) if check["name"] == "webhooks"]
        assert [said in check["said"] for check in found] == [True]
        assert "geheim" not in json.dumps(found)


def made(hub: HubProcess, task: str) -> bool:
    """Is it noted what became of the call about a task?"""
    calls = ok(hub, "webhooks", "deliveries")["deliveries"]
    return any(one["task"] == task and one["outcome"] != "waiting" for one in calls)


def doctor(hub: HubProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(hub.synapse("doctor", "--json").stdout)["checks"]
    return found


def test_the_paths_are_on_the_ports_of_agents_too(receiver: Receiver) -> None:
    house = Harbour()
    try:
        port = int(house.agent("bob", "guest")["port"])
        house.port = port  # what is asked from here on is asked there
        status, made = ask(house, "POST", "/webhooks", {"url": receiver.url("/hook"), "agent": "bob"})
        assert (status, made["agent"]) == (200, "bob")
        status, refusal = ask(house, "POST", "/webhooks", {"url": f"http://127.0.0.1:{port}/"})
        assert (status, refusal["code"]) == (409, "forbidden_address")
        assert ask(house, "GET", "/webhooks/deliveries")[0] == 200
        assert ask(house, "DELETE", f"/webhooks?id={made['id']}")[1]["removed"] == [made["id"]]
    finally:
        house.port = house.told["port"]
        house.close()


def test_private_networks_are_a_choice_of_the_person(hub_process: HubProcess) -> None:
    hub_process.env |= {"SYNAPSE_WEBHOOKS_ALLOW_PRIVATE": "true"}
    hub_process.serve()
    ok(hub_process, "webhooks", "add", "http://10.0.0.1/hook")
    refused = hub_process.synapse("webhooks", "add", "http://169.254.169.254/")
    assert refused.returncode == 1
    assert "link-local" in refused.stderr


def test_what_a_killed_hub_owes_is_told_by_the_next_one_and_once_it_is_noted_never_again(
    hub_process: HubProcess, receiver: Receiver
) -> None:
    hub_process.serve()
    receiver.status = 503
    ok(hub_process, "webhooks", "add", receiver.url("/hook"))
    task = asked(hub_process)
    push = {
        "url": receiver.url("/push"),
        "token": SECRETS[2],
        "authentication": {"scheme": "Bearer", "credentials": SECRETS[1]},
    }
    status, config = ask(
        hub_process, "POST", f"/agents/bob/tasks/{task}/pushNotificationConfigs", push, **{"A2A-Version": "1.0"}
    )  # fmt: skip
    assert (status, config["authentication"]["credentials"]) == (200, SECRETS[1])
    ok(hub_process, "reply", "fertig", "--to", task, "--from", "bob")
    until(lambda: receiver.of("/hook") and receiver.of("/push"))
    hub_process.kill()
    before = len(receiver.calls)
    receiver.status = 200
    hub_process.serve()
    until(lambda: len(receiver.calls) >= before + 3)
    (first, body), *_, (last, again) = receiver.of("/hook")
    assert first["X-Synapse-Event-Id"] == last["X-Synapse-Event-Id"]
    assert body == again
    artifact, status_update = receiver.of("/push")[-2:]
    assert "artifactUpdate" in artifact[1]
    assert status_update[1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert status_update[0]["Authorization"] == f"Bearer {SECRETS[1]}"
    assert status_update[0]["X-A2A-Notification-Token"] == SECRETS[2]
    until(lambda: hub_process.call("webhooks.deliveries")["deliveries"][0]["outcome"] == "delivered")
    settled = {"push.settled", "webhooks.settled"}
    until(lambda: settled <= {event["kind"] for event in hub_process.call("events.page", last=100)["events"]})
    told = len(receiver.calls)
    hub_process.kill()
    hub_process.serve()
    other = str(ok(hub_process, "send", "bob", "more")["task_id"])
    ok(hub_process, "reply", "done", "--to", other, "--from", "bob")
    until(lambda: len(receiver.calls) > told)
    assert [body["task"]["id"] for _, body in receiver.of("/hook")][-1] == other
    assert len(receiver.calls) == told + 1
    assert not [secret for secret in SECRETS if secret in hub_process.log]
    assert not [secret for secret in SECRETS if secret in hub_process.synapse("events", "--json").stdout]
