"""Agents elsewhere over a disk that holds or fails: what is not stored is not sent, and nothing is sent twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from synapse.a2a import speaker
from synapse.a2a.peers import Peers
from synapse.errors import Refused, Unavailable
from synapse.event import Event
from synapse.hub.facts import MessageAdded, Typing
from synapse.hub.tasks import Tasks
from synapse.log.base import Entry, Record
from synapse.log.faulty import Fault, FaultyLog, random_faults
from synapse.log.memory import MemoryLog
from synapse.testing import BOUND, Bench


class Far:
    """A server that does what it is asked at once; a text that begins with `ask` it asks back first."""

    def __init__(self) -> None:
        self.messages: Counter[str] = Counter()
        self.canceled: list[str] = []
        app = web.Application()
        app.router.add_get("/.well-known/agent-card.json", self._card)
        app.router.add_post("/rpc", self._rpc)
        self.server = TestServer(app)
        self._tasks: dict[str, dict[str, Any]] = {}

    async def _card(self, request: web.Request) -> web.Response:
        interface = {"url": str(self.server.make_url("/rpc")), "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
        return web.json_response({"name": "far", "supportedInterfaces": [interface], "skills": []})

    async def _rpc(self, request: web.Request) -> web.Response:
        asked = await request.json()
        params = asked["params"]
        if asked["method"] == "SendMessage":
            message = params["message"]
            self.messages[message["messageId"]] += 1
            text = message["parts"][0]["text"]
            state = "INPUT_REQUIRED" if text.startswith("ask") else "COMPLETED"
            id = message.get("taskId") or f"r-{len(self._tasks)}"
            said = {"messageId": "s", "role": "ROLE_AGENT", "parts": [{"text": f"heard {text}"}]}
            self._tasks[id] = {"id": id, "contextId": "c", "status": {"state": f"TASK_STATE_{state}", "message": said}}
            result: dict[str, Any] = {"task": self._tasks[id]}
        elif asked["method"] == "CancelTask":
            self.canceled.append(params["id"])
            result = self._tasks[params["id"]]
        else:
            result = self._tasks[params["id"]]
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": result})


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    far = Far()
    await far.server.start_server()
    yield far
    await far.server.close()


class Held(MemoryLog):
    """A log that holds a record which says that something is about to be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.free = Flag(), Flag()

    def append(self, entries: Sequence[Entry]) -> None:
        records = [entry.record for entry in entries if entry.record is not None]
        if any(event.kind == Typing.kind for record in records for event in record.events):
            self.reached.set()
            assert self.free.wait(BOUND)
        super().append(entries)


async def ended(bench: Bench, *tasks: str) -> list[str]:
    """The states of tasks once they have ended."""

    def there() -> bool:
        return not bench.hub.suspended and all(task in bench.hub.state.get(Tasks).finished for task in tasks)

    await bench.until(there)
    return [bench.hub.state.get(Tasks).finished[task].state for task in tasks]


async def test_nothing_leaves_before_it_is_stored_that_it_does(far: Far, tmp_path: Path) -> None:
    log = Held()
    bench = await Bench(log).open()
    peers = Peers(bench.hub, tmp_path)
    peers.open()
    kim = bench.person()
    await kim("external.add", url=str(far.server.make_url("/")), alias="far")
    task = (await kim("messages.send", to="far", text="hello"))["task_id"]
    assert await asyncio.to_thread(log.reached.wait, BOUND)
    await asyncio.sleep(0.05)
    assert far.messages == {}
    log.free.set()
    assert await ended(bench, task) == ["completed"]
    assert far.messages == {task: 1}
    await peers.close()
    await bench.close()


@pytest.mark.parametrize("seed", range(6))
async def test_on_a_disk_that_fails_everything_ends_and_is_sent_once_at_most(
    far: Far, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speaker, "AGAIN", 0.01)
    monkeypatch.setattr(speaker, "BETWEEN", 0.01)
    log = FaultyLog(MemoryLog())
    bench = await Bench(log).open()
    bench.truth = log._log  # read without faults
    peers = Peers(bench.hub, tmp_path)
    peers.open()
    kim = bench.person()
    await kim("external.add", url=str(far.server.make_url("/")), alias="far")
    log.fail("append", random_faults(seed, 0.25))

    async def insist(verb: str, **fields: Any) -> Any:
        for _ in range(200):
            try:
                return await kim(verb, **fields)
            except Unavailable:
                await bench.settled()
        raise AssertionError(f"{verb} was never taken")

    sent = [
        (await insist("messages.send", to="far", text=text, idempotency_key=str(number)))["task_id"]
        for number, text in enumerate(("one", "ask two", "three", "ask four", "five"))
    ]

    def asks(task: str) -> bool:
        there = bench.hub.state.get(Tasks).live.get(task)
        return not bench.hub.suspended and there is not None and there.interrupted

    def over(task: str) -> bool:
        return not bench.hub.suspended and task in bench.hub.state.get(Tasks).finished

    async def answer(task: str, key: str) -> None:
        """As soon as it asks; that it does may be lost once more."""
        while True:
            await bench.until(lambda: asks(task) or over(task))
            if over(task):
                return
            try:
                await insist("tasks.say", task=task, text="so be it", idempotency_key=key)
                return
            except Refused as error:
                if error.code not in ("task_busy", "task_ended"):
                    raise

    for task in (sent[1], sent[3]):
        await answer(task, f"say {task}")
    assert await ended(bench, *sent) == ["completed"] * 5
    assert max(far.messages.values()) == 1
    log.fail("append", ())
    await bench.settled()
    bench.check()
    await peers.close()
    await bench.close()


class Slow(MemoryLog):
    """A log that is read anew no further than to a first answer, until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.holding, self.reached, self.free = False, Flag(), Flag()

    def read(self, *where: Any, **more: Any) -> Iterator[Record]:
        for record in super().read(*where, **more):
            if self.holding and any(event.kind == MessageAdded.kind for event in record.events):
                self.reached.set()
                assert self.free.wait(BOUND)
            yield record


async def test_what_was_said_is_told_on_also_where_the_hub_folds_its_log_anew_at_that_moment(
    far: Far, tmp_path: Path
) -> None:
    slow = Slow()
    log = FaultyLog(slow)
    bench = await Bench(log).open()
    bench.truth = slow
    peers = Peers(bench.hub, tmp_path)
    peers.open()
    kim = bench.person()
    await kim("external.add", url=str(far.server.make_url("/")), alias="far")
    task = (await kim("messages.send", to="far", text="ask me"))["task_id"]
    await bench.until(lambda: bench.hub.state.get(Tasks).live[task].interrupted)
    await bench.settled()

    def fail(position: int, events: list[Event]) -> None:
        """The next change fails as soon as the answer is stored."""
        if any(isinstance(event.body, MessageAdded) for event in events):
            slow.holding = True
            log.fail("append", [Fault.BEFORE])
            bench.person("ann").ask("agents.here").add_done_callback(lambda done: done.exception())

    bench.hub.on_publish.append(fail)
    await kim("tasks.say", task=task, text="so be it")
    assert await asyncio.to_thread(slow.reached.wait, BOUND)
    await asyncio.sleep(0.05)  # whoever looks at the state now finds less than there is
    bench.hub.on_publish.remove(fail)
    slow.free.set()
    assert await ended(bench, task) == ["completed"]
    assert sorted(far.messages.values()) == [1, 1]
    assert not far.canceled
    await bench.settled()
    bench.check()
    await peers.close()
    await bench.close()


async def test_what_has_begun_goes_on_after_a_crash_of_the_hub(far: Far, tmp_path: Path) -> None:
    bench = await Bench().open()
    peers = Peers(bench.hub, tmp_path)
    peers.open()
    kim = bench.person()
    await kim("external.add", url=str(far.server.make_url("/")), alias="far")
    asked, other = [(await kim("messages.send", to="far", text=text))["task_id"] for text in ("ask me", "ask you")]
    await bench.until(lambda: all(task.interrupted for task in bench.hub.state.get(Tasks).live.values()))
    await peers.close()
    await bench.person()("tasks.say", task=asked, text="yes")
    await bench.person()("tasks.cancel", task=other)
    await bench.crash()
    peers = Peers(bench.hub, tmp_path)
    peers.open()
    assert await ended(bench, asked) == ["completed"]
    await bench.until(lambda: far.canceled)
    assert sorted(far.messages.values()) == [1, 1, 1]
    assert [
        one["presence"] for one in (await bench.person()("agents.who"))["participants"] if one["name"] == "far"
    ] == ["ONLINE"]
    bench.check()
    await peers.close()
    await bench.close()
