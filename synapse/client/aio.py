"""The client for programs with a loop: the hub's local socket, many requests at once, notifications as they come."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from synapse.client.lines import dumps, loads
from synapse.errors import Unavailable, from_status

MAX_LINE = 16 << 20  # bytes of one frame from the hub

OnFrame = Callable[[str, dict[str, Any]], None]


class Link(Protocol):
    """A way to a hub, already greeted: the local socket, a WebSocket, or none at all in the hub's own process."""

    welcome: dict[str, Any]

    @property
    def closed(self) -> bool:
        """Has it ended, or will it now?"""

    def ask(self, verb: str, params: dict[str, Any]) -> "asyncio.Future[dict[str, Any]]":
        """The future reply to a verb; it raises what the hub answers with, Unavailable("lost") when the hub goes."""

    def pause(self) -> None:
        """Take nothing in until `resume`: the hub keeps what it has to say."""

    def resume(self) -> None:
        """Take in again what comes."""

    def close(self) -> None:
        """End it."""


class Replies:
    """The JSON-RPC of a connection: requests that wait for their replies, and notifications."""

    def __init__(self, on_frame: OnFrame) -> None:
        self._on_frame = on_frame
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ids = 0

    def request(self, verb: str, params: dict[str, Any]) -> "tuple[bytes, asyncio.Future[dict[str, Any]]]":
        """The line to send, and the future reply."""
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._ids += 1
        self._waiting[self._ids] = reply
        return dumps({"jsonrpc": "2.0", "id": self._ids, "method": verb, "params": params}), reply

    def take(self, line: bytes) -> None:
        """One frame from the hub."""
        frame = loads(line)
        if not isinstance(frame, dict):
            return
        if "method" in frame:
            self._on_frame(str(frame["method"]), frame.get("params") or {})
            return
        reply = self._waiting.pop(frame.get("id") or 0, None)
        if reply is None or reply.done():
            return
        if "error" in frame:
            data = frame["error"].get("data") or {}
            error = from_status(data.pop("status", 500), data.pop("code", "error"), frame["error"]["message"], data)
            reply.set_exception(error)
        else:
            reply.set_result(frame["result"])

    def lose(self) -> None:
        """The connection has ended: nobody is answered any more."""
        waiting, self._waiting = self._waiting, {}
        for reply in waiting.values():
            if not reply.done():
                reply.set_exception(lost())


def lost() -> Unavailable:
    return Unavailable("lost", "The hub has closed the connection.")


class Connection(asyncio.Protocol):
    """One connection, already greeted: make it with `connect`. `on_lost` is called once, when it has ended."""

    def __init__(self, on_frame: OnFrame, on_lost: "Callable[[Connection], None]") -> None:
        self.welcome: dict[str, Any] = {}
        self._replies = Replies(on_frame)
        self._on_lost = on_lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    @property
    def closed(self) -> bool:
        """Has it ended, or will it now?"""
        return self._transport is None or self._transport.is_closing()

    def ask(self, verb: str, params: dict[str, Any]) -> "asyncio.Future[dict[str, Any]]":
        """The future reply to a verb; it raises what the hub answers with, Unavailable("lost") when the hub goes."""
        if self._transport is None or self._transport.is_closing():
            reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            reply.set_exception(lost())
            return reply
        line, reply = self._replies.request(verb, params)
        self._transport.write(line)
        return reply

    def pause(self) -> None:
        """Read nothing until `resume`: the hub keeps what it has to say."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        start = len(self._buffer)
        self._buffer += data
        begin, end = 0, self._buffer.find(b"\n", start)
        while end >= 0:
            self._replies.take(bytes(self._buffer[begin:end]))
            begin, end = end + 1, self._buffer.find(b"\n", end + 1)
        del self._buffer[:begin]
        if len(self._buffer) > MAX_LINE:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._replies.lose()
        self._on_lost(self)


async def connect(
    path: str, hello: dict[str, Any], on_frame: OnFrame, on_lost: Callable[[Connection], None]
) -> Connection:
    """Open the local socket and say hello; OSError when nobody listens there, or what the hub answers with."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_unix_connection(lambda: Connection(on_frame, on_lost), path)
    try:
        connection.welcome = await connection.ask("hello", hello)
    except BaseException:
        connection.close()
        raise
    return connection
