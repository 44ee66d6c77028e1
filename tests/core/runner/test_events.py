"""Events that a program serves by HTTP, heard by the runner."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import encode_basic_auth, web

from synapse.runner import events
from synapse.runner.events import Listener, server
from synapse.runner.http import Server
from synapse.runner.parts import Stream
from tests.e2e.hubs import free_port

STREAM = Stream(url="http://127.0.0.1:{port}/event?all=1", login="agent:{secret}")


def app(heard: "asyncio.Queue[str]") -> web.Application:
    """Tells who logs in one event, waits until it has been heard, and hangs up."""

    async def event(request: web.Request) -> web.StreamResponse:
        assert request.query_string == "all=1"
        if request.headers["Authorization"] != encode_basic_auth("agent", "abc"):
            return web.Response(status=401)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'data: {"type": "session.idle", "properties": {"id": 1}}\n\n')
        await heard.get()
        return response

    application = web.Application()
    application.router.add_get("/event", event)
    return application


async def test_events_are_heard_once_the_program_listens_and_again_after_a_loss() -> None:
    port = free_port()
    told: list[tuple[str, str, Mapping[str, Any]]] = []
    heard: asyncio.Queue[str] = asyncio.Queue()
    news = asyncio.Event()

    def on_event(source: str, event: str, fields: Mapping[str, Any]) -> None:
        told.append((source, event, fields))
        news.set()

    listener = Listener("events", STREAM, {"port": str(port), "secret": "abc"}, on_event)
    runner = web.AppRunner(app(heard), shutdown_timeout=0.1)
    try:
        await asyncio.sleep(0)  # it finds nobody there yet
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        for _ in range(2):
            await asyncio.wait_for(news.wait(), 5)
            news.clear()
            heard.put_nowait("")
        assert told == [("events", "session.idle", {"type": "session.idle", "properties": {"id": 1}})] * 2
    finally:
        listener.close()
        await asyncio.sleep(0)
        await runner.cleanup()


async def test_a_program_that_was_not_given_a_port_is_not_listened_to() -> None:
    listener = Listener("events", STREAM, {"folder": "/x"}, lambda source, event, fields: None)
    assert len(asyncio.all_tasks()) == 1
    listener.close()


def test_the_server_of_a_profile_is_one_of_this_machine() -> None:
    values = {"port": "81", "secret": "abc"}
    assert server(STREAM.url, STREAM.login, values) == (Server("127.0.0.1", 81, "agent:abc"), "/event?all=1")
    assert server("http://example.org:{port}/event", "", values) is None
    assert events.LOOK_AGAIN < 0.3  # the status must not lag
