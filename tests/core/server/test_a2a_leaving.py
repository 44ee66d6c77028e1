"""Who leaves in the middle of an answer of A2A leaves nothing behind in the hub: no reader, no waiter, no watcher."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout

from synapse.a2a.feed import MOST, Feeds
from synapse.hub.core import Core
from synapse.hub.tasks import Tasks
from synapse.server.app import Options, Server

LONG = {"messageId": "test-resubscribe-message-id-1", "role": "ROLE_USER", "parts": [{"text": "x"}]}


class Desk:
    """A server with the agent for tests, and a client of it."""

    def __init__(self, server: Server, http: ClientSession) -> None:
        self.core: Core = server.core
        self.http = http
        self.base = f"http://127.0.0.1:{server.core.hub.place.port}/agents/tck"

    @property
    def feeds(self) -> Feeds:
        """Those who stream tasks."""
        listeners: list[Any] = self.core.hub.on_publish
        (found,) = {one.__self__ for one in listeners if isinstance(getattr(one, "__self__", None), Feeds)}
        assert isinstance(found, Feeds)
        return found

    @property
    def open(self) -> tuple[int, int, int, int]:
        """Streams, waits, watched tasks and sessions."""
        hub = self.core.hub
        return (
            len(self.feeds._feeds),
            len(hub.waits._by_topic),
            len(hub.watching._watched),
            sum(1 for _ in hub.sessions),
        )

    async def rpc(self, method: str, **params: Any) -> Any:
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self.http.post(self.base, json=asked) as answer:
            return (await answer.json())["result"]

    async def until(self, what: Any) -> None:
        async with asyncio.timeout(10):
            while not what():
                await asyncio.sleep(0.005)


@pytest.fixture
async def desk(folder: Path) -> AsyncIterator[Desk]:
    server = Server(Options(str(folder), port=0, rate=0, test_agent=True))
    async with server, ClientSession(timeout=ClientTimeout(20)) as http:
        yield Desk(server, http)


@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage"])
async def test_who_hangs_up_while_an_agent_works_is_forgotten_and_the_work_goes_on(desk: Desk, method: str) -> None:
    await desk.rpc("ListTasks")
    before = desk.open
    asking = [asyncio.create_task(_swallowed(desk, method)) for _ in range(10)]
    waits, live = desk.core.hub.waits._by_topic, desk.core.hub.state.get(Tasks).live
    await desk.until(lambda: len(live) == 10 and (len(desk.feeds._feeds) == 10 or live.keys() <= waits.keys()))
    for one in asking:
        one.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await desk.until(lambda: desk.open == before)
    assert len(live) == 10
    for task in list(live):
        await desk.rpc("CancelTask", id=task)
    assert desk.open == before


async def _swallowed(desk: Desk, method: str) -> None:
    asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": LONG}}
    async with desk.http.post(desk.base, json=asked) as answer:
        await answer.read()


async def test_a_stream_that_has_ended_is_forgotten(desk: Desk) -> None:
    await desk.rpc("ListTasks")
    before = desk.open
    short = LONG | {"messageId": "tck-stream-artifact-chunked"}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": {"message": short}}
    async with desk.http.post(desk.base, json=asked) as answer:
        told = await answer.text()
    assert "TASK_STATE_COMPLETED" in told
    await desk.until(lambda: desk.open == before)


async def test_who_is_too_slow_is_let_go_and_the_others_hear_everything(desk: Desk) -> None:
    feeds = desk.feeds
    task = (await desk.rpc("SendMessage", message=LONG | {"messageId": "tck-input-required-1"}))["task"]
    slow = feeds.follow(task["id"], task["contextId"])
    quick = feeds.follow(task["id"], task["contextId"])
    heard = 0
    for number in range(MOST + 10):
        feeds._feeds[task["id"]]._written(f"word {number} ", True)
        heard += len(quick._items)
        quick._items.clear()
    assert slow.lost
    assert not slow._items
    assert heard == MOST + 10
    assert [item async for item in slow.items(())] == []
    slow.leave()
    quick.leave()
    assert not feeds._feeds
    await desk.rpc("CancelTask", id=task["id"])


async def test_a_stream_of_the_simple_paths_is_forgotten_too(desk: Desk) -> None:
    await desk.rpc("ListTasks")
    before = desk.open
    task = (await desk.rpc("SendMessage", message=LONG, configuration={"returnImmediately": True}))["task"]
    async with desk.http.get(f"{desk.base}/tasks/{task['id']}/subscribe") as answer:
        assert b"event: status" in await answer.content.readuntil(b"\n\n")
        assert len(desk.feeds._feeds) == 1
    await desk.until(lambda: desk.open == before)
    await desk.rpc("CancelTask", id=task["id"])
