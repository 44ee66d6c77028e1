"""One attached terminal, as the runner sees it: its frames, its size, what it still has to be sent."""

import asyncio
import os
from contextlib import suppress
from typing import Protocol, cast

from synapse.runner import frames, platform
from synapse.runner.frames import Hello
from synapse.runner.keys import Keys, Token, match_key

QUEUE_BOUND = 256 << 10  # bytes that may wait for a viewer before it counts as slow
SOCKET_BUFFER = 64 << 10  # what the kernel keeps is late for Ctrl-C
HELLO_WITHIN = 5.0  # seconds
ESCAPE_WITHIN = 0.005  # seconds
LARGEST_SIDE = 2000  # columns or rows


class Host(Protocol):
    """What a viewer reports to."""

    def joined(self, viewer: "Viewer") -> None: ...
    def typed(self, viewer: "Viewer", tokens: list[Token]) -> None: ...
    def resized(self, viewer: "Viewer") -> None: ...
    def continued(self, viewer: "Viewer") -> None: ...
    def must_leave(self, viewer: "Viewer") -> None: ...
    def slow(self, viewer: "Viewer") -> None: ...
    def drained(self, viewer: "Viewer") -> None: ...
    def gone(self, viewer: "Viewer") -> None: ...
    def places(self) -> list[str]: ...


class Viewer(asyncio.Protocol):
    """A connection to the runner's private socket. It counts as a viewer once it has said hello."""

    hello: Hello
    columns: int
    rows: int

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._loop = loop
        self._frames = frames.Frames()
        self._keys = Keys()
        self._undo = b""
        self._flush: asyncio.TimerHandle | None = None
        self.judge: asyncio.TimerHandle | None = None  # when it must have read some more
        self.wipe: asyncio.TimerHandle | None = None  # when its note is taken away
        self.known = False  # it has said hello
        self.live = False  # it gets the child's bytes as they come
        self.stale = False  # it must be painted from the model
        self.slow = False  # it does not take what it is sent
        self.enters = False  # its screen still shows what was there before
        self.stopped = False  # it was told to stop with the child
        self.left = False  # it has been told goodbye
        self.focused = True
        self.painted = 0.0  # when, on the loop's clock
        self.turn = 0  # larger = typed later; 0 = never
        self.note = ""  # a line that waits for a moment between two tokens
        self.noted = False  # it is shown, and nothing has been put out since
        self.wants_past = False  # it has nothing to scroll back to

    # Sending.

    def show(self, data: bytes) -> None:
        self.noted = False
        self._send(frames.OUTPUT, data)

    def say(self, kind: int, payload: bytes = b"") -> None:
        self._send(kind, payload)

    def part(self, kind: int, payload: bytes) -> None:
        """The last frame, then the end of the connection once it is sent."""
        self._send(kind, payload)
        self.left, self.live, self.stale = True, False, False
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    @property
    def awaits_picture(self) -> bool:
        """Whether there is something to paint for it, and it would look."""
        return (self.stale or bool(self.note)) and not (self.slow or self.stopped or self.left)

    @property
    def queued(self) -> int:
        """Bytes that wait in this process."""
        return self._transport.get_write_buffer_size()

    @property
    def mid_token(self) -> bool:
        """Whether half a key or half a paste has come in."""
        return self._keys.pending

    def _send(self, kind: int, payload: bytes) -> None:
        if not self.left:
            self._transport.write(frames.frame(kind, payload))

    def undo(self, data: bytes) -> None:
        """Let it know how to leave its terminal, whenever that changes."""
        if data != self._undo:
            self._undo = data
            self._send(frames.UNDO, data)

    # Receiving.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._patience = self._loop.call_later(HELLO_WITHIN, self.abort)
        connection = transport.get_extra_info("socket")
        if platform.peer_uid(connection) != os.getuid():
            self.abort()
            return
        platform.limit_send_buffer(connection, SOCKET_BUFFER)
        self._transport.set_write_buffer_limits(high=QUEUE_BOUND, low=0)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, payload in self._frames.feed(data):
                self._receive(kind, payload)
        except ValueError:
            self.abort()  # not one of ours

    def pause_writing(self) -> None:
        self.slow = True
        if self.known:
            self._host.slow(self)

    def resume_writing(self) -> None:
        self.slow = False
        if self.known and not self.left:
            self._host.drained(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._patience.cancel()
        for timer in (self._flush, self.judge, self.wipe):
            if timer:
                timer.cancel()
        if self.known:
            self._host.gone(self)

    def _receive(self, kind: int, payload: bytes) -> None:
        if self.left:
            return
        if not self.known:
            self._greet(kind, payload)
        elif kind == frames.INPUT:
            self._input(payload)
        elif kind == frames.RESIZE:
            self._measure(*frames.decode_size(payload))
            self._host.resized(self)
        elif kind == frames.CONTINUE:
            self._host.continued(self)
        elif kind == frames.LEAVE:
            self._host.must_leave(self)

    def _greet(self, kind: int, payload: bytes) -> None:
        if kind == frames.WHERE:
            self._patience.cancel()
            self.part(frames.PLACES, frames.encode_places(self._host.places()))
            return
        if kind != frames.HELLO:
            raise ValueError("it did not say hello")
        self._patience.cancel()
        self.hello = Hello.decode(payload)
        if reason := self._objection():
            self.part(frames.GOODBYE, frames.encode_end(1, reason))
            return
        self._measure(self.hello.columns, self.hello.rows)
        self.known = True
        self._host.joined(self)

    def _objection(self) -> str:
        if self.hello.protocol != frames.PROTOCOL:
            return f"the agent's runner speaks protocol {frames.PROTOCOL}, this command {self.hello.protocol}"
        try:
            match_key(Token("key", b""), self.hello.detach_key)
        except ValueError:
            return f"{self.hello.detach_key} is not the name of a key; write it like ctrl-]"
        return ""

    def _measure(self, columns: int, rows: int) -> None:
        self.columns = min(max(columns, 1), LARGEST_SIDE)
        self.rows = min(max(rows, 1), LARGEST_SIDE)

    def _input(self, data: bytes) -> None:
        if self._flush:
            self._flush.cancel()
            self._flush = None
        self._pass(self._keys.feed(data))
        if self._keys.pending:
            alone = data == b"\x1b"  # as terminals send the Escape key; halves of sequences break elsewhere
            self._flush = self._loop.call_later(ESCAPE_WITHIN if alone else Keys.PATIENCE, self._complete)

    def _complete(self) -> None:
        """What looked like the start of a sequence was a key of its own: Escape."""
        self._flush = None
        self._pass(self._keys.flush())

    def _pass(self, tokens: list[Token]) -> None:
        if tokens:
            with suppress(ConnectionError):
                self._host.typed(self, tokens)
