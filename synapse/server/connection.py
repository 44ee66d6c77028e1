"""What the doors with a lasting connection share: requests in, frames out, bounded; only the framing is a door's own."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from msgspec import json

from synapse import __version__
from synapse.errors import Refused, SynapseError, Unavailable
from synapse.hub.core import Core
from synapse.hub.loop import Answer
from synapse.hub.sessions import Session
from synapse.server import access
from synapse.server.frames import Frame, id_in, id_of, notification, parse, refusal, result
from synapse.server.stall import Stall

logger = logging.getLogger(__name__)

IN_FLIGHT = 128  # unanswered requests of one connection before it is not read any further
HIGH = 256 * 1024  # unsent bytes from which on a connection is not read any further either
MAX_CLIENTS = 4096
BUFFER = 128 * 1024  # bytes read at once


class Seats:
    """How many connections there may be, over all doors."""

    def __init__(self, most: int = MAX_CLIENTS) -> None:
        self.most = most
        self.taken = 0

    def take(self) -> None:
        if self.taken >= self.most:
            raise Unavailable(
                "too_many_clients", f"{self.most} connections are open: close some, or raise --max-clients."
            )
        self.taken += 1

    def leave(self) -> None:
        self.taken -= 1


class Connection(asyncio.BufferedProtocol):
    """One peer: requests in, frames out; what cannot be answered costs at most this connection."""

    def __init__(self, door: "Door[Any]") -> None:
        self._door = door
        self._core = door.core
        self._rest = bytearray()  # what was read and not yet taken up
        self._open = 0  # requests without an answer
        self._held = False  # it is not read from at the moment
        self._paused = False  # it does not read
        self._out: list[bytes] = []  # what goes out at the end of this turn of the loop ...
        self._queued = 0  # ... and its bytes
        self._written = 0  # bytes handed to the transport
        self._stall: Stall | None = None  # while it does not read
        self._drained: list[Callable[[], None]] = []
        self._greeted = False
        self._transport: asyncio.Transport
        self.session = Session(push=self.push, backlog=self._backlog, when_drained=self._when_drained)

    # -- what a door says for itself

    def _read(self) -> None:
        """Take up the requests that are there, while there is `_room`; `_hold` when there is none."""
        raise NotImplementedError

    def push(self, frame: bytes) -> None:
        """Queue one frame; all of a turn of the loop go out together."""
        raise NotImplementedError

    def _identify(self, hello: access.Hello) -> None:
        """Fill in the session."""
        raise NotImplementedError

    def _ungreeted(self) -> None:
        """A request came before `hello`."""
        raise Refused("no_hello", "The first line of a connection is `hello`.")

    # -- coming and going

    def begin(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH)

    def connection_lost(self, error: Exception | None) -> None:
        self._end_stall()
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

    @property
    def _room(self) -> bool:
        """May another request be taken up: not too much is unanswered or unsent?"""
        return self._open < IN_FLIGHT and not self._paused and not self._transport.is_closing()

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

    def _request(self, line: bytes) -> None:
        """One request in JSON."""
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
                self._hello(frame, answer)
                return
            if not self._greeted:
                self._ungreeted()
            verb = self._core.verbs.get(frame.method)
            request = verb.parse(frame.params)
        except SynapseError as error:
            hub.refuse(error, answer)
        except Exception:
            logger.exception("%s failed", frame.method)
            hub.refuse(SynapseError("internal_error", "That failed: a bug. `synapse logs hub` has it."), answer)
        else:
            hub.ask(self.session, verb, request, answer)

    def _hello(self, frame: Frame, answer: Answer) -> None:
        core = self._core
        hello = access.hello_in(frame.params)
        if self._greeted:
            raise Refused("greeted", "A connection says hello once.")
        self._greet(hello)
        core.hub.outbox.answer(core.hub.head, answer, json.encode(access.welcome(core.hub, self.session, __version__)))

    def _greet(self, hello: access.Hello) -> None:
        core = self._core
        if core.hub.suspended:
            raise Unavailable("recovering", "The hub is reading its log: try again in a moment.")
        self.session.version = hello.version
        self._identify(hello)
        self._greeted = True
        core.arrived(self.session)

    # -- answering

    def _answer_to(self, id: bytes) -> Answer:
        def answer(position: int, what: Any) -> None:
            if id:
                self.push(refusal(id, what) if isinstance(what, SynapseError) else result(id, position, what))
            self._open -= 1
            if self._held and self._open == IN_FLIGHT // 2:
                asyncio.get_running_loop().call_soon(self._go_on)

        return answer

    def _send(self, content: bytes) -> None:
        if not self._out:
            self._door.wrote(self)
        self._out.append(content)
        self._queued += len(content)

    def flush(self) -> None:
        """Hand what is queued to the transport, unless the peer has stopped reading for good."""
        out, self._out = self._out, []
        size, self._queued = self._queued, 0
        if not out or self._transport.is_closing():
            return
        if self._stall is not None and self._stall.over():
            self._drop("reads nothing")
            return
        self._written += size
        self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _drop(self, why: str) -> None:
        logger.warning("process %s (%s) %s: dropped", self.session.pid or "unknown", self.session.key or "nobody", why)
        self._transport.abort()

    def _backlog(self) -> int:
        return self._queued + (self._transport.get_write_buffer_size() if self._paused else 0)

    def pause_writing(self) -> None:
        self._paused = True
        self._stall = Stall(
            self._core.hub.clock, self._transport, lambda: self._written, lambda: self._drop("reads nothing")
        )

    def resume_writing(self) -> None:
        self._paused = False
        self._end_stall()
        drained, self._drained = self._drained, []
        for then in drained:
            then()
        self._go_on()

    def _end_stall(self) -> None:
        if self._stall is not None:
            self._stall.end()
            self._stall = None

    def _when_drained(self, then: Callable[[], None]) -> None:
        """Call back when the peer has taken most of what was pushed until now."""
        self.flush()
        if self._paused:
            self._drained.append(then)
        else:
            asyncio.get_running_loop().call_soon(then)


C = TypeVar("C", bound=Connection)


class Door(Generic[C]):
    """Knows who is in, and lets what they are sent go out together."""

    def __init__(self, core: Core, seats: Seats) -> None:
        self.core = core
        self.buffer = memoryview(bytearray(BUFFER))  # one for all: what is read is taken out of it at once
        self._seats = seats
        self._inside: set[C] = set()
        self._unflushed: list[C] = []

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self, connection: C) -> None:
        """Somebody is at the door; Unavailable when it is too full."""
        self._seats.take()
        self._inside.add(connection)

    def leave(self, connection: C) -> None:
        if connection in self._inside:
            self._inside.discard(connection)
            self._seats.leave()
            self.core.gone(connection.session)

    def wrote(self, connection: C) -> None:
        """This connection has something to flush at the end of this turn."""
        if not self._unflushed:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unflushed.append(connection)

    def _flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, []
        for connection in unflushed:
            connection.flush()

    def farewell(self, *, restart: bool) -> None:
        """Tell everybody inside whether another hub will come at once."""
        last = notification("stopping", restart=restart)
        for connection in self._inside:
            connection.push(last)

    async def dismiss(self) -> None:
        """Let everybody go; who has not read what there was for it within a second is dropped."""
        for connection in list(self._inside):
            connection.close()
        for _ in range(100):
            if not self._inside:
                return
            await asyncio.sleep(0.01)
        for connection in list(self._inside):
            connection.abort()
        await asyncio.sleep(0)
