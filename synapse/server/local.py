"""The local door: a Unix socket that speaks JSON-RPC, one frame a line. Commands and runners come in here."""

import asyncio
import logging
import os
import socket
import stat
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, json

from synapse import __version__
from synapse.errors import BadRequest, Refused, SynapseError, Unavailable
from synapse.hub.core import Core
from synapse.hub.loop import Answer
from synapse.hub.sessions import Session
from synapse.server import access
from synapse.server.frames import MAX_FRAME, Frame, parse, refusal, result
from synapse.server.platform import ancestors, peer

logger = logging.getLogger(__name__)

IN_FLIGHT = 128  # unanswered requests of one connection before it is not read any further
STALLED = 4 << 20  # bytes that a peer may leave unread before it is dropped
MAX_CLIENTS = 4096


class Connection(asyncio.Protocol):
    """One peer: lines in, frames out; what cannot be answered costs at most this connection."""

    def __init__(self, door: "LocalDoor") -> None:
        self._door = door
        self._core = door.core
        self._buffer = bytearray()
        self._waiting: deque[Frame] = deque()  # what came while there was too much to do
        self._open = 0
        self._paused = False
        self._drained: list[Callable[[], None]] = []
        self._greeted = False
        self._transport: asyncio.Transport
        self.session = Session(push=self._push, backlog=self._backlog, when_drained=self._when_drained)

    # -- coming and going

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=256 * 1024)
        them = peer(transport.get_extra_info("socket"))
        self.session.pid, self.session.uid = them.pid, them.uid
        try:
            access.check_user(them)
            self._door.enter(self)
        except SynapseError as error:
            transport.write(refusal(b"null", error))
            transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._door.leave(self)
        self._drained.clear()

    def close(self, farewell: bytes = b"") -> None:
        """Send what is queued, a last frame, and end."""
        if not self._transport.is_closing():
            if farewell:
                self._transport.write(farewell)
            self._transport.close()

    # -- reading

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        start = len(buffer)
        buffer += data
        end = buffer.find(b"\n", start)
        if end < 0:
            if len(buffer) > MAX_FRAME:
                self._too_long()
            return
        begin = 0
        while end >= 0:
            if end - begin > MAX_FRAME:
                self._too_long()
                return
            line = bytes(buffer[begin:end])
            if line.strip():
                self._line(line)
            begin = end + 1
            end = buffer.find(b"\n", begin)
        del buffer[:begin]
        if len(buffer) > MAX_FRAME:
            self._too_long()

    def _too_long(self) -> None:
        """Where the next frame begins cannot be known: the only mistake that ends a connection."""
        self._buffer.clear()
        error = BadRequest("too_large", f"A frame is one line of at most {MAX_FRAME} bytes: long texts go as blobs.")
        self.close(refusal(b"null", error))

    def _line(self, line: bytes) -> None:
        try:
            frame = parse(line)
        except SynapseError as error:
            self._push(refusal(_id_in(line), error))
            return
        if self._waiting or self._open >= IN_FLIGHT:
            self._waiting.append(frame)
            self._transport.pause_reading()
        else:
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        answer = self._answer_to(b"null" if frame.id is UNSET else json.encode(frame.id))
        self._open += 1
        try:
            if frame.method == "hello":
                self._hello(frame, answer)
                return
            if not self._greeted:
                raise Refused("no_hello", "The first line of a connection is `hello`.")
            verb = self._core.verbs.get(frame.method)
            request = verb.parse(frame.params)
        except SynapseError as error:
            self._core.hub.refuse(error, answer)
            return
        self._core.hub.ask(self.session, verb, request, answer)

    def _hello(self, frame: Frame, answer: Answer) -> None:
        try:
            hello = msgspec.json.decode(frame.params, type=access.Hello)
        except msgspec.ValidationError as error:
            raise BadRequest("bad_request", f"hello: {error}.") from None
        if self._greeted:
            raise Refused("greeted", "A connection says hello once.")
        if self._core.hub.suspended:
            raise Unavailable("recovering", "The hub is reading its log: try again in a moment.")
        self.session.version = hello.version
        access.identify(self._core.hub, hello, self.session, ancestors=ancestors)
        self._greeted = True
        self._core.arrived(self.session)
        told = json.encode(access.welcome(self._core.hub, self.session, __version__))
        self._core.hub.outbox.answer(self._core.hub.head, answer, told)

    # -- answering

    def _answer_to(self, id: bytes) -> Callable[[int, Any], None]:
        def answer(position: int, what: Any) -> None:
            if id != b"null":
                self._push(refusal(id, what) if isinstance(what, SynapseError) else result(id, position, what))
            self._open -= 1
            if self._waiting:
                self._go_on()

        return answer

    def _go_on(self) -> None:
        while self._waiting and self._open < IN_FLIGHT:
            self._take(self._waiting.popleft())
        if not self._waiting and not self._transport.is_closing():
            self._transport.resume_reading()

    def _push(self, frame: bytes) -> None:
        transport = self._transport
        if transport.is_closing():
            return
        transport.write(frame if frame.endswith(b"\n") else frame + b"\n")
        if self._paused and transport.get_write_buffer_size() > STALLED:
            logger.warning("process %s reads nothing: dropped", self.session.pid)
            transport.abort()

    def _backlog(self) -> int:
        return self._transport.get_write_buffer_size() if self._paused else 0

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        drained, self._drained = self._drained, []
        for then in drained:
            then()

    def _when_drained(self, then: Callable[[], None]) -> None:
        if self._paused:
            self._drained.append(then)
        else:
            asyncio.get_running_loop().call_soon(then)


def _id_in(line: bytes) -> bytes:
    """The id of a request that is wrong otherwise, if there is one."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b"null"
    id = found.get("id") if isinstance(found, dict) else None
    return json.encode(id) if isinstance(id, int | str) and not isinstance(id, bool) else b"null"


class LocalDoor:
    """Listens on the socket, and knows who is in."""

    def __init__(self, core: Core, path: str, max_clients: int = MAX_CLIENTS) -> None:
        self.core = core
        self.path = path
        self._max = max_clients
        self._inside: set[Connection] = set()
        self._server: asyncio.Server | None = None

    def __len__(self) -> int:
        return len(self._inside)

    async def open(self) -> None:
        """Listen; a socket that a dead hub has left is replaced (the caller holds the data folder's lock)."""
        if os.path.lexists(self.path):
            if not stat.S_ISSOCK(os.lstat(self.path).st_mode):
                raise Refused("in_the_way", f"{self.path} is in the way and is not a socket: move it.")
            os.unlink(self.path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            listening.bind(self.path)
        finally:
            os.umask(mask)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Connection(self), sock=listening, backlog=1024)

    def enter(self, connection: Connection) -> None:
        if len(self._inside) >= self._max:
            raise Unavailable(
                "too_many_clients", f"{self._max} connections are open: close some, or raise --max-clients."
            )
        self._inside.add(connection)

    def leave(self, connection: Connection) -> None:
        self._inside.discard(connection)
        self.core.gone(connection.session)

    async def close(self, farewell: bytes = b"") -> None:
        """Stop listening, say so to everybody inside, and let them go."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._inside):
            connection.close(farewell)
        for _ in range(100):
            if not self._inside:
                break
            await asyncio.sleep(0.01)
        if os.path.lexists(self.path):
            os.unlink(self.path)
