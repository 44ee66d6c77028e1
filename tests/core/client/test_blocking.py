"""The client of commands against a door that behaves as a hub may at its worst."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synapse import paths
from synapse.client import blocking
from synapse.client.blocking import Client
from synapse.errors import BadRequest, NotFound, Refused, Unavailable
from tests.e2e.hubs import HubProcess

Answer = Callable[[dict[str, Any]], list[dict[str, Any]] | None]  # None: end the connection


class Door:
    """A local socket; `answer` says what comes back for each request but hello."""

    def __init__(self, path: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self.connections = 0
        self.answer: Answer = lambda request: [{"id": request["id"], "result": {"ok": True}}]
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(path)
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            self.connections += 1
            with connection, connection.makefile("rwb") as file:
                if not self._talk(file):
                    return

    def _talk(self, file: Any) -> bool:
        for line in file:
            request = json.loads(line)
            if request["method"] == "end":
                return False
            if request["method"] == "hello":
                answers: list[dict[str, Any]] | None = [{"id": request["id"], "result": {"port": 1}}]
            else:
                self.asked.append(request)
                answers = self.answer(request)
            if answers is None:
                return True
            file.write(b"".join(json.dumps(answer).encode() + b"\n" for answer in answers))
            file.flush()
        return True

    def close(self, path: str) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(path)
            last.sendall(b'{"method":"end"}\n')
            self._thread.join()
        self._listening.close()


@pytest.fixture
def door(hub_folder: HubProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    path = str(hub_folder.data / "door.sock")
    monkeypatch.setenv("SYNAPSE_SOCKET", path)
    monkeypatch.setenv("SYNAPSE_DATA", str(hub_folder.data))
    monkeypatch.setattr(blocking, "RETRIES", (0.0, 0.0))
    door = Door(path)
    yield door
    door.close(path)


@pytest.fixture
def hub_folder() -> Iterator[HubProcess]:
    process = HubProcess()
    yield process
    process.close()


def test_hello_goes_once_and_together_with_the_first_request(door: Door) -> None:
    with Client() as client:
        assert client.call("hub.status") == client.call("hub.status") == {"ok": True}
        assert client.welcome == {"port": 1}
    assert door.connections == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(400, BadRequest), (404, NotFound), (409, Refused), (503, Unavailable), (429, Exception)]
)
def test_a_refusal_is_raised_as_what_it_is(door: Door, status: int, kind: type[Exception]) -> None:
    data = {"code": "no", "status": status, "hint": 7}
    door.answer = lambda request: [{"id": request["id"], "error": {"code": -1, "message": "No.", "data": data}}]
    with Client() as client, pytest.raises(kind) as raised:
        client.call("x")
    error: Any = raised.value
    assert (error.code, error.sentence, error.details, error.status) == ("no", "No.", {"hint": 7}, status)


def test_notifications_between_are_passed_over(door: Door) -> None:
    door.answer = lambda request: [
        {"method": "event", "params": {}},
        {"id": 99, "result": {}},
        {"id": request["id"], "result": {"n": 1}},
    ]
    with Client() as client:
        assert client.call("x") == {"n": 1}


def test_a_refusal_that_cannot_name_its_request_is_not_waited_for_ever(door: Door) -> None:
    error = {"message": "This is not JSON.", "data": {"code": "bad_json", "status": 400}}
    door.answer = lambda request: [{"id": None, "error": error}]
    with Client() as client, pytest.raises(BadRequest, match="not JSON"):
        client.call("x")


def test_a_change_whose_answer_was_lost_is_asked_again_under_the_same_key(door: Door) -> None:
    door.answer = lambda request: None if len(door.asked) < 3 else [{"id": request["id"], "result": {}}]
    with Client() as client:
        client.change("messages.send", to="x")
    assert door.connections == 3
    assert len({request["params"]["idempotency_key"] for request in door.asked}) == 1


def test_two_changes_have_two_keys(door: Door) -> None:
    with Client() as client:
        client.change("x")
        client.change("x")
    assert len({request["params"]["idempotency_key"] for request in door.asked}) == 2


@pytest.mark.parametrize("code", ["stopping", "recovering"])
def test_a_hub_on_its_way_out_or_in_is_asked_again(door: Door, code: str) -> None:
    passing = {"message": "In a moment.", "data": {"code": code, "status": 503}}
    door.answer = lambda request: [
        {"id": request["id"], **({"error": passing} if len(door.asked) == 1 else {"result": {}})}
    ]
    with Client() as client:
        client.change("x")
    assert len(door.asked) == 2


def test_a_hub_that_closes_every_time_is_not_asked_for_ever(door: Door) -> None:
    door.answer = lambda request: None
    with Client() as client, pytest.raises(Unavailable, match="closed the connection"):
        client.change("x")
    assert len(door.asked) == 3


def test_a_hub_that_does_not_answer_is_not_waited_for_ever(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "PATIENCE", 0.1)
    door.answer = lambda request: []
    with Client() as client, pytest.raises(Unavailable, match="has not answered"):
        client.call("x")


def test_what_is_refused_at_the_door_is_said_and_not_tried_as_greeted(
    hub_folder: HubProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_folder.serve()
    for name, value in hub_folder.env.items():
        monkeypatch.setenv(name, value)
    with Client("not a name!") as client:
        for _ in range(2):
            with pytest.raises(BadRequest, match="is not a name"):
                client.call("hub.status")


def test_a_socket_that_may_not_be_opened_is_said(hub_folder: HubProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_DATA", str(hub_folder.data))
    monkeypatch.setenv("SYNAPSE_SOCKET", "/x/hub.sock")

    class Closed:
        def connect(self, path: str) -> None:
            raise PermissionError(1, "Operation not permitted")

        def close(self) -> None:
            pass

    monkeypatch.setattr(blocking, "socket", lambda family, kind: Closed())
    with Client() as client, pytest.raises(Unavailable, match="sandbox"):
        client.call("hub.status")


def test_it_says_who_is_calling_from_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SYNAPSE_WORKSPACE", "SYNAPSE_AGENT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USER", "ada")
    (tmp_path / "web" / ".git").mkdir(parents=True)
    (tmp_path / "web" / "src").mkdir()
    monkeypatch.chdir(tmp_path / "web" / "src")
    hello = blocking.identity("bob")
    assert (hello["as"], hello["user"], hello["folder"]) == ("bob", "ada", str(tmp_path / "web"))
    assert hello["pid"] == os.getpid()
    assert "folder" not in blocking.identity("bob", "house")


def test_a_worktree_belongs_to_its_project(tmp_path: Path) -> None:
    main, tree = tmp_path / "main", tmp_path / "tree"
    gitdir = main / ".git" / "worktrees" / "tree"
    gitdir.mkdir(parents=True)
    tree.mkdir()
    (gitdir / "commondir").write_text("../..\n")
    (tree / ".git").write_text(f"gitdir: {gitdir}\n")
    assert paths.project(str(tree)) == str(main)
    assert paths.project(str(main / ".git")) == str(main)
    assert paths.project(str(tmp_path)) == str(tmp_path)


def test_inside_an_agent_the_local_socket_wins_over_the_url_that_its_runner_names(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNAPSE_AGENT_ID", "synapse-demo-8150")
    monkeypatch.setenv("SYNAPSE_PORT", "8876")
    for url, token in (("http://127.0.0.1:8876", "inherited"), ("http://127.0.0.1:8876", "")):
        monkeypatch.setenv("SYNAPSE_URL", url)
        monkeypatch.setenv("SYNAPSE_TOKEN", token)
        with Client() as client:
            assert client.call("hub.status") == {"ok": True}
    assert door.connections == 2
    monkeypatch.setenv("SYNAPSE_URL", "http://127.0.0.1:1")  # another hub, which is not there
    with Client() as client, pytest.raises(Unavailable) as none:
        client.call("hub.status")
    assert none.value.code == "no_hub"
    with Client(url="") as client:
        assert client.call("hub.status") == {"ok": True}
