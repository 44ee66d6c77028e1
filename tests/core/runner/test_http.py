"""The small HTTP client, against a real server and against one that breaks off where it likes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

import pytest
from aiohttp import encode_basic_auth, web

from synapse.runner.http import Failed, Server, TooLate


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def saying(*pieces: bytes) -> AsyncIterator[Server]:
    """A server that says this to whoever connects, and hangs up."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    async with server:
        yield Server("127.0.0.1", server.sockets[0].getsockname()[1])


async def heard(server: Server, path: str = "/event") -> list[object]:
    """What came before the stream ended or broke off."""
    found: list[object] = []

    async def listen() -> None:
        async with aclosing(server.events(path)) as events:
            async for fields in events:
                found.append(fields)  # noqa: PERF401 - what came before it breaks off counts

    with suppress(Failed):
        await listen()
    return found


async def test_a_request_carries_its_json_and_its_password_and_brings_the_answer() -> None:
    async def echo(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == encode_basic_auth("agent", "secret:x")
        return web.json_response({"path": request.path, "got": await request.json()}, status=201)

    app = web.Application()
    app.router.add_post("/permission/{id}/reply", echo)
    async with served(app) as base:
        answer = await Server.of(base, "agent:secret:x").ask("POST", "/permission/p1/reply", {"reply": "ünce"})
    assert answer == (201, {"path": "/permission/p1/reply", "got": {"reply": "ünce"}})


async def test_a_stream_of_events_is_read_as_it_comes_in_pieces_of_any_size() -> None:
    told = 'data: {"type": "one"}\n\n: a comment\n\ndata: {"type":\ndata:  "two", "text": "“漢字”"}\r\n\r\nid: 3\n\n'.encode()
    for size in (1, 7, 4096):

        async def events(request: web.Request, size: int = size) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            response.enable_chunked_encoding()
            await response.prepare(request)
            for place in range(0, len(told), size):
                await response.write(told[place : place + size])
            return response

        app = web.Application()
        app.router.add_get("/event", events)
        async with served(app) as base:
            assert await heard(Server.of(base)) == [{"type": "one"}, {"type": "two", "text": "“漢字”"}]


async def test_what_is_no_json_object_in_a_stream_is_passed_over() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    async with saying(head, b"data: nonsense\n\ndata: [1]\n\n", b'data: {"a": 1}\n\n') as server:
        assert await heard(server) == [{"a": 1}]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffff\r\n",
    ],
)
async def test_an_answer_that_cannot_be_understood_is_a_failure(said: bytes) -> None:
    async with saying(said) as server:
        with pytest.raises(Failed):
            await server.ask("GET", "/")


async def test_a_refused_stream_and_an_absent_server_are_failures() -> None:
    async with saying(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n") as server:
        assert await heard(server) == []
        assert await server.ask("GET", "/session") == (401, None)
    with pytest.raises(Failed):
        await server.ask("GET", "/")


def test_only_this_machine_is_asked() -> None:
    for url in ("http://example.org:80/x", "https://127.0.0.1:1/x", "http://127.0.0.1/x", "file:///etc/passwd"):
        with pytest.raises(ValueError, match="is no http"):
            Server.of(url)
    assert Server.of("http://localhost:81/event", "a:b") == Server("localhost", 81, "a:b")


async def test_a_stream_that_does_not_begin_is_given_up() -> None:
    never = asyncio.Event()

    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.close()

    server = await asyncio.start_server(nothing, "127.0.0.1", 0)
    async with server, aclosing(Server("127.0.0.1", server.sockets[0].getsockname()[1]).events("/", 0.05)) as events:
        with pytest.raises(TooLate):
            await anext(events)
        never.set()
