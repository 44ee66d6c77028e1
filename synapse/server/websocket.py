"""The WebSocket door (`/ws`): the same JSON-RPC frames as the local socket, for everybody else.

aiohttp shakes hands; from then on the connection is ours (RFC 6455), so that a frame for many is built once.
"""

import asyncio
import base64
import binascii
import hashlib
from struct import pack, unpack_from
from typing import Any

from aiohttp import web

from synapse import __version__
from synapse.errors import BadRequest, SynapseError
from synapse.hub.core import Core
from synapse.hub.loop import Answer
from synapse.server import access
from synapse.server.connection import Connection, Door, Seats
from synapse.server.frames import MAX_FRAME, Frame, refusal
from synapse.server.gate import Visitor
from synapse.server.hall import Visit

BEAT = 20.0  # seconds between two looks at who is alive
TO_LIVE = 3  # beats without a sign of life after which a connection is dropped
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MORE, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NORMAL, GOING_AWAY, PROTOCOL, TOO_BIG, TRY_LATER = 1000, 1001, 1002, 1009, 1013


def build(opcode: int, payload: bytes) -> bytes:
    """One whole frame from the server: not masked."""
    size = len(payload)
    if size < 126:
        return b"%c%c%b" % (0x80 | opcode, size, payload)
    if size < 65536:
        return pack("!BBH", 0x80 | opcode, 126, size) + payload
    return pack("!BBQ", 0x80 | opcode, 127, size) + payload


def unmasked(mask: bytes | bytearray, payload: bytes | bytearray) -> bytes:
    """What a client has masked."""
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(payload, "little") ^ key).to_bytes(size, "little")


class Broken(Exception):
    """The peer does not keep to the protocol: the connection ends with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class WebSocketConnection(Connection):
    """One peer of the WebSocket."""

    def __init__(self, door: "WebSocketDoor", visitor: Visitor, hello: access.Hello) -> None:
        super().__init__(door)
        self._websockets = door
        self._visitor = visitor
        self._default = hello  # who it is unless it says hello
        self._parts: bytearray | None = None  # of a message that comes in several frames
        self._closing = False
        self._http: Any = None
        self.heard = door.beat

    def take_over(self, request: web.Request) -> None:
        """From here on what comes on the request's connection comes here."""
        transport = request.transport
        assert transport is not None
        self._http = transport.get_protocol()  # what hears of the end, besides us
        if isinstance(self._http, Visit):
            self._http.upgraded()
        self.begin(transport)
        transport.set_protocol(self)
        tail = request.protocol._message_tail  # what came together with the handshake
        request.protocol._message_tail = b""
        transport.resume_reading()
        if tail:
            self._rest += tail
            asyncio.get_running_loop().call_soon(self._read)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._http.connection_lost(error)

    def close(self, farewell: bytes = b"", code: int = GOING_AWAY, reason: str = "the hub is stopping") -> None:
        """Send what is queued, why it ends, and end."""
        if not self._transport.is_closing():
            if farewell:
                self.push(farewell)
            if not self._closing:
                self._closing = True
                self._send(build(_CLOSE, pack("!H", code) + reason.encode()[:120]))
            self.flush()
            self._transport.close()

    def ping(self) -> None:
        self._send(build(_PING, b""))

    def _identify(self, hello: access.Hello) -> None:
        hello.as_name = hello.as_name or self._default.as_name
        if not hello.folder:
            hello.workspace = hello.workspace or self._default.workspace
        self._visitor.session(self._core, hello, self.session)

    def _take(self, frame: Frame, answer: Answer) -> None:
        if self._visitor.host:
            try:
                self._core.hub.limits.host(self._visitor.host)
            except SynapseError as error:
                self._core.hub.refuse(error, answer)
                return
        super()._take(frame, answer)

    def _ungreeted(self) -> None:
        self._greet(self._default)

    def push(self, frame: bytes) -> None:
        """Queue one frame; what goes to many is built once. It is written out here, for it is called for each of them."""
        door, out = self._websockets, self._out
        if frame is not door.last:
            door.last, door.last_built = frame, build(_TEXT, frame)
        built = door.last_built
        if not out:
            door.wrote(self)
        out.append(built)
        self._queued += len(built)

    # -- reading

    def buffer_updated(self, nbytes: int) -> None:
        self.heard = self._websockets.beat
        super().buffer_updated(nbytes)

    def _read(self) -> None:
        begin = 0
        try:
            while self._room and not self._closing:
                end = self._frame(begin)
                if end < 0:
                    break
                begin = end
            else:
                if not self._closing:
                    self._hold()
        except Broken as error:
            self._rest.clear()
            self.close(refusal(b"null", BadRequest("too_large", error.reason)) if error.code == TOO_BIG else b"",
                       error.code, error.reason)  # fmt: skip
            return
        if begin:
            del self._rest[:begin]

    def _frame(self, begin: int) -> int:
        """Take up the frame that begins there; where it ends, or -1 while it is not whole."""
        rest = self._rest
        there = len(rest) - begin
        if there < 2:
            return -1
        first, second = rest[begin], rest[begin + 1]
        if first & 0x70:
            raise Broken(PROTOCOL, "reserved bits are set")
        if not second & 0x80:
            raise Broken(PROTOCOL, "a client masks its frames")
        size, head = second & 0x7F, 6
        if size == 126:
            if there < 4:
                return -1
            size, head = unpack_from("!H", rest, begin + 2)[0], 8
        elif size == 127:
            if there < 10:
                return -1
            size, head = unpack_from("!Q", rest, begin + 2)[0], 14
        if size > MAX_FRAME:
            raise Broken(TOO_BIG, f"A message is at most {MAX_FRAME} bytes: long texts go as blobs.")
        if there < head + size:
            return -1
        start = begin + head
        payload = unmasked(rest[start - 4 : start], rest[start : start + size]) if size else b""
        self._frame_of(first & 0x0F, bool(first & 0x80), payload)
        return start + size

    def _frame_of(self, opcode: int, final: bool, payload: bytes) -> None:
        if opcode in (_TEXT, _BINARY) and final and self._parts is None:
            self._request(payload)
        elif opcode in (_TEXT, _BINARY, _MORE):
            self._part(opcode, final, payload)
        elif not final or len(payload) > 125:
            raise Broken(PROTOCOL, "a control frame is short and whole")
        elif opcode == _PING:
            self._send(build(_PONG, payload))
        elif opcode == _CLOSE:
            code = unpack_from("!H", payload)[0] if len(payload) > 1 else NORMAL
            self.close(
                code=code if 1000 <= code < 5000 and code not in (1004, 1005, 1006, 1015) else PROTOCOL, reason=""
            )
        elif opcode != _PONG:
            raise Broken(PROTOCOL, "an unknown kind of frame")

    def _part(self, opcode: int, final: bool, payload: bytes) -> None:
        if (opcode == _MORE) is (self._parts is None):
            raise Broken(PROTOCOL, "a message in several frames is out of order")
        if self._parts is None:
            self._parts = bytearray()
        self._parts += payload
        if len(self._parts) > MAX_FRAME:
            raise Broken(TOO_BIG, f"A message is at most {MAX_FRAME} bytes: long texts go as blobs.")
        if final:
            whole, self._parts = bytes(self._parts), None
            self._request(whole)


class WebSocketDoor(Door[WebSocketConnection]):
    """Shakes hands, knows who is in, and looks every 20 s whether it is alive."""

    def __init__(self, core: Core, seats: Seats) -> None:
        super().__init__(core, seats)
        self.last = b""  # the frame that was built last ...
        self.last_built = b""  # ... and its bytes on the wire
        self.beat = 0
        self._timer: asyncio.TimerHandle | None = None

    async def serve(self, request: web.Request, visitor: Visitor, hello: access.Hello) -> web.StreamResponse:
        """Upgrade the request; returns when the connection has ended."""
        accept = _accepted(request)
        connection = WebSocketConnection(self, visitor, hello)
        self.enter(connection)
        transport = request.transport
        if transport is None or transport.is_closing():
            self.leave(connection)
            raise asyncio.CancelledError
        transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\nServer: synapse/%b\r\n\r\n" % (accept, __version__.encode())
        )
        connection.take_over(request)
        self._beat_on()
        await asyncio.get_running_loop().create_future()  # cancelled when the connection is lost
        raise AssertionError

    def _beat_on(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BEAT, self._look)

    def _look(self) -> None:
        """Drop who has given no sign of life for a minute, and ask the others for one."""
        self._timer = None
        self.beat += 1
        for connection in list(self._inside):
            silent = self.beat - connection.heard
            if silent > TO_LIVE:
                connection._drop("is silent")
            else:
                connection.ping()
        if self._inside:
            self._beat_on()

    def stop(self, *, restart: bool) -> None:
        """Tell everybody that the hub stops."""
        self.farewell(restart=restart)

    async def close(self) -> None:
        """Let everybody go."""
        if self._timer is not None:
            self._timer.cancel()
        await self.dismiss()


def _accepted(request: web.Request) -> bytes:
    """The answer to the key of a handshake; a refusal when it is none (RFC 6455 §4.2.1)."""
    headers = request.headers
    tokens = {token.strip().lower() for token in headers.get("Connection", "").split(",")}
    if headers.get("Upgrade", "").strip().lower() != "websocket" or "upgrade" not in tokens:
        raise _upgrade("This is a WebSocket: connect with a WebSocket client.")
    if headers.get("Sec-WebSocket-Version") != "13":
        raise _upgrade("WebSocket version 13 is spoken here.")
    key = headers.get("Sec-WebSocket-Key", "").strip()
    try:
        if len(base64.b64decode(key, validate=True)) != 16:
            raise ValueError
    except (ValueError, binascii.Error):
        raise BadRequest("bad_handshake", "Sec-WebSocket-Key is not 16 bytes in base64.") from None
    return base64.b64encode(hashlib.sha1(key.encode() + _MAGIC, usedforsecurity=False).digest())


def _upgrade(sentence: str) -> SynapseError:
    error = SynapseError("upgrade_required", sentence)
    error.status = 426
    return error
