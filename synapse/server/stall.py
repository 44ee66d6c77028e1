"""A peer that takes nothing of what is sent to it: noticed by a timer that runs only while something waits for it."""

import asyncio
from collections.abc import Callable

from synapse.clock import Clock

MUCH = 4 << 20  # unsent bytes from which on a peer must take some ...
SOON = 5.0  # ... within so many seconds, or it is dropped
LATEST = 30.0  # seconds within which a peer takes some in any case
MOST = 64 << 20  # unsent bytes of a connection, in any case


class Stall:
    """Begins when a transport does not want more (`pause_writing`), and ends with `end`; `drop` is called when it lasts."""

    __slots__ = ("_clock", "_drop", "_since", "_taken", "_timer", "_transport", "_written")

    def __init__(
        self, clock: Clock, transport: asyncio.WriteTransport, written: Callable[[], int], drop: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._transport = transport
        self._written = written  # bytes handed to the transport so far
        self._drop = drop
        self._taken = self._read()  # bytes that the peer had taken ...
        self._since = clock.monotonic()  # ... at this time, and no more since
        self._timer = asyncio.get_running_loop().call_later(SOON, self._look)

    def end(self) -> None:
        """The peer takes again, or is gone."""
        self._timer.cancel()

    def over(self) -> bool:
        """Has the peer had its time?"""
        taken, now = self._read(), self._clock.monotonic()
        if taken != self._taken:
            self._taken, self._since = taken, now
        unsent, silent = self._transport.get_write_buffer_size(), now - self._since
        return unsent > MOST or silent >= (SOON if unsent > MUCH else LATEST)

    def _read(self) -> int:
        return self._written() - self._transport.get_write_buffer_size()

    def _look(self) -> None:
        if self.over():
            self._drop()
        else:
            self._timer = asyncio.get_running_loop().call_later(SOON, self._look)
