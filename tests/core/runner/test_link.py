"""The runner's line to the hub, against a hub that is played: order, retries, losses, and who starts a new one."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from synapse.errors import Refused, Unavailable
from synapse.runner import link as links
from synapse.runner.link import Link

AGENT = {"key": "a-1", "name": "bob", "id": "synapse-demo-8150", "workspace": "house", "port": 8150, "position": 1}


Answer = Callable[[dict[str, Any]], Any]


class Hub:
    """Answers every verb, after `meanwhile` has had its way; remembers what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Answer] = {
            "hello": lambda params: {"port": 8876},
            "agents.join": lambda params: AGENT,
            "agents.attach": lambda params: AGENT,
        }
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def close(self) -> None:
        """Die as a process does."""
        assert self._server is not None
        self._server.close()
        self.path.unlink(missing_ok=True)
        self.drop()
        await asyncio.sleep(0)

    def drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def push(self, method: str, **params: Any) -> None:
        for writer in self._writers:
            writer.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n")

    def verbs(self, *wanted: str) -> list[str]:
        return [verb for verb, _ in self.asked if not wanted or verb in wanted]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                self._take(json.loads(line), writer)
        except ConnectionError:
            pass  # dropped
        finally:
            self._writers.discard(writer)
            writer.close()

    def _take(self, frame: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        verb, params = frame["method"], frame["params"]
        self.asked.append((verb, params))
        answer = self.answers[verb](params) if verb in self.answers else {"ok": True}
        if answer is None:
            return
        what = "error" if isinstance(answer, dict) and "message" in answer else "result"
        writer.write(json.dumps({"jsonrpc": "2.0", "id": frame["id"], what: answer}).encode() + b"\n")


def refusal(status: int, code: str) -> Answer:
    return lambda params: {"code": -32000, "message": "No.", "data": {"status": status, "code": code}}


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    hub = Hub(tmp_path / "hub.sock")
    await hub.open()
    yield hub
    await hub.close()


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether a hub was to be started, at each look for one."""
    asked: list[bool] = []

    def find_or_start(data: str, path: str, *, start: bool) -> str:
        asked.append(start)
        if not Path(path).exists():
            raise Unavailable("no_hub", "None.")
        return path

    monkeypatch.setattr(links, "find_or_start", find_or_start)
    monkeypatch.setattr(links, "LOOK_AGAIN", (0.01,))
    monkeypatch.setattr(links, "JITTER", 0.0)
    return asked


@pytest.fixture
async def link(hub: Hub, starts: list[bool], tmp_path: Path) -> AsyncIterator[Link]:
    link = Link({"profile": "demo"}, data=str(tmp_path), socket=str(hub.path))
    assert await link.open() == AGENT
    yield link
    await link.close()
    await asyncio.sleep(0.01)


async def test_it_joins_attaches_and_tells_changes_in_order(link: Link, hub: Hub) -> None:
    answers = [link.change("one"), link.change("two"), link.change("three")]
    assert [await answer for answer in answers] == [{"ok": True}] * 3
    assert hub.verbs() == ["hello", "agents.join", "agents.attach", "one", "two", "three"]


async def test_a_refusal_is_the_callers_and_the_next_change_goes_on(link: Link, hub: Hub) -> None:
    hub.answers["one"] = refusal(409, "busy")
    first, second = link.change("one"), link.change("two")
    with pytest.raises(Refused):
        await first
    assert await second == {"ok": True}


async def test_after_a_loss_a_change_is_told_again_under_the_same_key(link: Link, hub: Hub) -> None:
    hub.answers["one"] = lambda params: None  # it dies before it answers
    first, second = link.change("one"), link.change("two")
    link.report(status="READY")
    await until(lambda: "one" in hub.verbs())
    del hub.answers["one"]
    hub.drop()
    assert [await first, await second] == [{"ok": True}] * 2
    told = [params["idempotency_key"] for verb, params in hub.asked if verb == "one"]
    assert len(told) == 2
    assert len(set(told)) == 1
    assert hub.verbs("agents.join") == ["agents.join"]
    assert [params["live"] for verb, params in hub.asked if verb == "agents.attach"][-1] == {"status": "READY"}


async def test_a_change_between_the_connection_and_its_acceptance_waits_for_that(link: Link, hub: Hub) -> None:
    told: list[asyncio.Future[Any]] = []
    link.on_back = lambda: told.append(link.change("early"))
    hub.asked.clear()
    hub.drop()
    await until(lambda: told and told[0].done())
    assert hub.verbs() == ["hello", "agents.attach", "early"]


async def test_a_hub_that_is_read_only_for_a_while_is_asked_again(
    link: Link, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "PAUSE", 0.01)
    hub.answers["one"] = refusal(503, "storage_unavailable")
    answer = link.change("one")
    await until(lambda: len(hub.verbs("one")) >= 2)
    del hub.answers["one"]
    assert await answer == {"ok": True}


async def test_what_was_handed_over_is_forgotten_before_a_new_hub_hands_over(link: Link, hub: Hub) -> None:
    heard: list[Any] = []
    link.on_back = lambda: heard.append("back")
    link.on_deliver = lambda params: heard.append(params["id"])

    def attach(params: dict[str, Any]) -> Any:
        hub.push("deliver", id="m-1")
        return AGENT

    hub.answers["agents.attach"] = attach
    hub.drop()
    await until(lambda: len(heard) == 2)
    assert heard == ["back", "m-1"]


async def test_what_is_handed_over_right_behind_the_hub_s_yes_is_heard_when_that_is_known(link: Link, hub: Hub) -> None:
    heard: list[Any] = []
    link.on_deliver = lambda params: heard.append((params["id"], link.connected))

    def attach(params: dict[str, Any]) -> Any:
        hub.push("deliver", id="m-1")
        return AGENT

    hub.answers["agents.attach"] = attach
    hub.drop()
    await until(lambda: heard)
    hub.push("deliver", id="m-2")
    await until(lambda: len(heard) == 2)
    assert heard == [("m-1", True), ("m-2", True)]


async def test_a_dead_hub_is_replaced_by_its_runners(link: Link, hub: Hub, starts: list[bool]) -> None:
    await hub.close()
    await until(lambda: starts)
    assert all(starts)
    await hub.open()
    await until(lambda: link.connected)


async def test_a_stopped_hub_is_not_replaced_and_a_restarted_one_is_waited_for(
    link: Link, hub: Hub, starts: list[bool]
) -> None:
    hub.push("stopping", restart=False)
    await asyncio.sleep(0.02)
    await hub.close()
    await until(lambda: len(starts) > 2)
    assert not any(starts)
    await hub.open()
    await until(lambda: link.connected)
    starts.clear()
    await hub.close()
    await until(lambda: starts)
    assert all(starts), "this one has died: it is replaced again"
    await hub.open()
    await until(lambda: link.connected)


async def test_a_hub_that_has_forgotten_the_agent_is_joined_again(link: Link, hub: Hub) -> None:
    joined: list[str] = []
    link.on_joined = lambda: joined.append(link.agent["key"])
    again = {**AGENT, "key": "a-2"}
    hub.answers["agents.join"] = lambda params: again
    hub.answers["agents.attach"] = lambda params: (
        again if params["key"] == "a-2" else refusal(404, "no_such_agent")(params)
    )
    hub.drop()
    await until(lambda: joined)
    assert joined == ["a-2"]


async def test_changes_without_a_hub_wait_and_a_farewell_waits_only_so_long(link: Link, hub: Hub) -> None:
    await hub.close()
    await until(lambda: not link.connected)
    answer = link.change("agents.leave")
    await link.flush(0.05)
    assert not answer.done()
    await hub.open()
    assert await answer == {"ok": True}


async def test_a_change_in_the_very_moment_in_which_the_hub_goes_waits_for_the_next(link: Link, hub: Hub) -> None:
    """What is to be sent wakes up before the loss is told, and finds a connection that is closing."""
    connection = link._connection
    assert connection is not None
    told = link.change("one")
    connection.close()  # as at the end of what is read: those who wait for it are told in the next turn
    async with asyncio.timeout(5):
        assert await told == {"ok": True}
    assert hub.verbs("hello", "one") == ["hello", "hello", "one"]
