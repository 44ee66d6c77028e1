"""The local door: a Unix socket that speaks JSON-RPC, one frame a line. Commands and runners come in here."""

import asyncio
import logging
import os
import socket
import stat
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import json

from synapse import __version__
from synapse.errors import BadRequest, Refused, SynapseError, Unavailable
from synapse.hub.core import Core
from synapse.hub.loop import Answer
from synapse.hub.sessions import Session
from synapse.server import access
from synapse.server.frames import MAX_FRAME, Frame, id_in, id_of, notification, parse, refusal, result
from synapse.server.platform import ancestors, peer

logger = logging.getLogger(__name__)

IN_FLIGHT = 128  # unanswered requests of one connection before it is not read any further
HIGH = 256 * 1024  # unsent bytes from which on a connection is not read any further either
STALLED = 4 << 20  # unsent bytes from which on a peer must take some ...
PATIENCE = 5.0  # ... within so many seconds, or it is dropped
MOST = 64 << 20  # unsent bytes of a connection, in any case
MAX_CLIENTS = 4096
LOOK_AGAIN = 60.0  # seconds between two looks whether the socket is still there
BUFFER = 128 * 1024  # bytes read at once

_hello = json.Decoder(access.Hello)


class Connection(asyncio.BufferedProtocol):
    """One peer: lines in, frames out; what cannot be answered costs at most this connection."""

    def __init__(self, door: "LocalDoor") -> None:
        self._door = door
        self._core = door.core
        self._rest = bytearray()  # what was read and not yet taken up
        self._looked = 0  # so much of it holds no end of a line
        self._open = 0  # requests without an answer
        self._held = False  # it is not read from at the moment
        self._paused = False  # it does not read
        self._out: list[bytes] = []  # what goes out at the end of this turn of the loop ...
        self._queued = 0  # ... and its bytes
        self._written = 0  # bytes handed to the transport
        self._taken = 0  # bytes that the peer had taken ...
        self._taken_at = 0.0  # ... at this time
        self._drained: list[Callable[[], None]] = []
        self._greeted = False
        self._transport: asyncio.Transport
        self.session = Session(push=self.push, backlog=self._backlog, when_drained=self._when_drained)

    # -- coming and going

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH)
        try:
            them = peer(transport.get_extra_info("socket"))
            self.session.pid, self.session.uid = them.pid, them.uid
            access.check_user(them)
            self._door.enter(self)
        except SynapseError as error:
            self.close(refusal(b"null", error))
        except OSError:
            transport.abort()  # it has gone already

    def connection_lost(self, error: Exception | None) -> None:
        self._door.leave(self)
        self._drained.clear()
        self._out.clear()

    def close(self, farewell: bytes = b"") -> None:
        """Send what is queued, a last frame, and end."""
        if not self._transport.is_closing():
            if farewell:
                self.push(farewell)
            self.flush()
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    # -- reading

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._door.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._rest += self._door.buffer[:nbytes]
        self._read()

    def _read(self) -> None:
        """Take up the lines that are there, as long as not too much is unanswered or unsent."""
        rest, begin = self._rest, 0
        while self._open < IN_FLIGHT and not self._paused and not self._transport.is_closing():
            end = rest.find(b"\n", max(begin, self._looked))
            if end < 0:
                self._looked = len(rest)
                break
            line = bytes(rest[begin:end])
            begin = end + 1
            if len(line) > MAX_FRAME:
                self._too_long()
                return
            if line and not line.isspace():
                self._line(line)
        else:
            self._hold()
        if begin:
            del rest[:begin]
            self._looked = max(0, self._looked - begin)
        if self._looked > MAX_FRAME:
            self._too_long()

    def _too_long(self) -> None:
        """Where the next frame begins cannot be known: the only mistake that ends a connection."""
        self._rest.clear()
        error = BadRequest("too_large", f"A frame is one line of at most {MAX_FRAME} bytes: long texts go as blobs.")
        self.close(refusal(b"null", error))

    def _hold(self) -> None:
        self._held = True
        self._transport.pause_reading()

    def _go_on(self) -> None:
        """There may be room again; what was read already comes first."""
        if self._held and not self._transport.is_closing():
            self._held = False
            self._read()
            if not self._held:
                self._transport.resume_reading()

    def _line(self, line: bytes) -> None:
        try:
            frame = parse(line)
            id = id_of(frame)
        except SynapseError as error:
            self._core.hub.refusals[error.code] = self._core.hub.refusals.get(error.code, 0) + 1
            self.push(refusal(id_in(line), error))
            return
        self._open += 1
        self._take(frame, self._answer_to(id))

    def _take(self, frame: Frame, answer: Answer) -> None:
        hub = self._core.hub
        try:
            if frame.method == "hello":
                self._greet(frame, answer)
                return
            if not self._greeted:
                raise Refused("no_hello", "The first line of a connection is `hello`.")
            verb = self._core.verbs.get(frame.method)
            request = verb.parse(frame.params)
        except SynapseError as error:
            hub.refuse(error, answer)
        except Exception:
            logger.exception("%s failed", frame.method)
            hub.refuse(SynapseError("internal_error", "That failed: a bug. `synapse logs hub` has it."), answer)
        else:
            hub.ask(self.session, verb, request, answer)

    def _greet(self, frame: Frame, answer: Answer) -> None:
        core = self._core
        try:
            hello = _hello.decode(frame.params)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest("bad_request", f"hello: {error}.") from None
        if self._greeted:
            raise Refused("greeted", "A connection says hello once.")
        if core.hub.suspended:
            raise Unavailable("recovering", "The hub is reading its log: try again in a moment.")
        self.session.version = hello.version
        access.identify(core.hub, hello, self.session, ancestors=ancestors)
        self._greeted = True
        core.arrived(self.session)
        core.hub.outbox.answer(core.hub.head, answer, json.encode(access.welcome(core.hub, self.session, __version__)))

    # -- answering

    def _answer_to(self, id: bytes) -> Answer:
        def answer(position: int, what: Any) -> None:
            if id:
                self.push(refusal(id, what) if isinstance(what, SynapseError) else result(id, position, what))
            self._open -= 1
            if self._held and self._open == IN_FLIGHT // 2:
                asyncio.get_running_loop().call_soon(self._go_on)

        return answer

    def push(self, frame: bytes) -> None:
        """Queue one frame; all of a turn of the loop go out together."""
        if not self._out:
            self._door.wrote(self)
        line = frame if frame.endswith(b"\n") else frame + b"\n"
        self._out.append(line)
        self._queued += len(line)

    def flush(self) -> None:
        """Hand what is queued to the transport, unless the peer has stopped reading for good."""
        out, self._out = self._out, []
        size, self._queued = self._queued, 0
        if not out or self._transport.is_closing():
            return
        if self._paused and self._stalls():
            logger.warning("process %s reads nothing: dropped", self.session.pid)
            self._transport.abort()
            return
        self._written += size
        self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _stalls(self) -> bool:
        """Has the peer, with much to read, read nothing for a while?"""
        unsent, now = self._transport.get_write_buffer_size(), self._core.hub.clock.monotonic()
        taken = self._written - unsent
        if taken != self._taken:
            self._taken, self._taken_at = taken, now
        return unsent > MOST or (unsent > STALLED and now - self._taken_at > PATIENCE)

    def _backlog(self) -> int:
        return self._queued + (self._transport.get_write_buffer_size() if self._paused else 0)

    def pause_writing(self) -> None:
        self._paused = True
        self._taken, self._taken_at = -1, self._core.hub.clock.monotonic()

    def resume_writing(self) -> None:
        self._paused = False
        drained, self._drained = self._drained, []
        for then in drained:
            then()
        self._go_on()

    def _when_drained(self, then: Callable[[], None]) -> None:
        """Call back when the peer has taken most of what was pushed until now."""
        self.flush()
        if self._paused:
            self._drained.append(then)
        else:
            asyncio.get_running_loop().call_soon(then)


class LocalDoor:
    """Listens on the socket, and knows who is in."""

    def __init__(self, core: Core, path: str, max_clients: int = MAX_CLIENTS) -> None:
        self.core = core
        self.path = path
        self.buffer = memoryview(bytearray(BUFFER))  # one for all: what is read is taken out of it at once
        self._max = max_clients
        self._inside: set[Connection] = set()
        self._unflushed: list[Connection] = []
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

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
        except OSError as error:
            listening.close()
            raise Refused("no_socket", f"{self.path} cannot be made: {error.strerror}.") from None
        finally:
            os.umask(mask)
        self._inode = os.lstat(self.path).st_ino
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Connection(self), sock=listening, backlog=1024)
        self._timer = loop.call_later(LOOK_AGAIN, self._look)

    def _look(self) -> None:
        """A cleaner of temporary folders may have taken the socket away: then make it again."""
        try:
            there = os.lstat(self.path).st_ino == self._inode
        except OSError:
            there = False
        if there:
            self._timer = asyncio.get_running_loop().call_later(LOOK_AGAIN, self._look)
        else:
            self._task = asyncio.get_running_loop().create_task(self._open_again())

    async def _open_again(self) -> None:
        logger.warning("%s was taken away: making it again", self.path)
        self._stop_listening()
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            await self.open()
        except (OSError, SynapseError) as error:
            logger.error("%s", error)
            self._timer = asyncio.get_running_loop().call_later(LOOK_AGAIN, self._look)

    def enter(self, connection: Connection) -> None:
        """Somebody is at the door; Unavailable when it is too full."""
        if len(self._inside) >= self._max:
            raise Unavailable(
                "too_many_clients", f"{self._max} connections are open: close some, or raise --max-clients."
            )
        self._inside.add(connection)

    def leave(self, connection: Connection) -> None:
        if connection in self._inside:
            self._inside.discard(connection)
            self.core.gone(connection.session)

    def wrote(self, connection: Connection) -> None:
        """This connection has something to flush at the end of this turn."""
        if not self._unflushed:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unflushed.append(connection)

    def _flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, []
        for connection in unflushed:
            connection.flush()

    def _stop_listening(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()

    def stop(self, *, restart: bool) -> None:
        """Let nobody in any more, and tell everybody inside whether another hub will come at once."""
        self._stop_listening()
        if os.path.lexists(self.path):
            os.unlink(self.path)
        farewell = notification("stopping", restart=restart)
        for connection in self._inside:
            connection.push(farewell)

    async def close(self) -> None:
        """Let everybody go; who has not read what there was for it within a second is dropped."""
        self._stop_listening()
        for connection in list(self._inside):
            connection.close()
        for _ in range(100):
            if not self._inside:
                return
            await asyncio.sleep(0.01)
        for connection in list(self._inside):
            connection.abort()
        await asyncio.sleep(0)
