"""Notices that a program which is said to work has not written anything for a while."""

import asyncio
from collections.abc import Callable

from synapse.runner.status import PROCESSING, StatusMachine

AFTER = 60.0  # seconds without output


class Silence:
    """`since` is when a working program last wrote, once that is long ago; `on_change` is called when that changes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, status: StatusMachine, after: float = AFTER) -> None:
        self.since = 0.0  # in the loop's time; 0: it rests, or has just written
        self.on_change: Callable[[], None] = lambda: None
        self._loop = loop
        self._status = status
        self._after = after
        self._timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """The status has become another."""
        if self._status.status != PROCESSING:
            self._end()
        elif self._timer is None and not self.since:
            self._timer = self._loop.call_later(self._after, self._due)

    def output(self) -> None:
        """The program has written something."""
        if self.since:
            self.since = 0.0
            self.on_change()
            self.look()

    def _due(self) -> None:
        self._timer = None
        last = max(self._status.last_output, self._status.since)
        left = last + self._after - self._loop.time()
        if left > 0.001:
            self._timer = self._loop.call_later(left, self._due)
        else:
            self.since = last
            self.on_change()

    def _end(self) -> None:
        self.since = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
