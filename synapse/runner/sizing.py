"""The terminal's size follows whoever typed last, at most 30 times a second, and the last wish always comes true."""

import asyncio
from collections.abc import Callable

INTERVAL = 1 / 30


class Sizing:
    """Wishes in, `apply(columns, rows)` out; no timer runs when nothing changes."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, columns: int, rows: int, apply: Callable[[int, int], None]
    ) -> None:
        self.size = (columns, rows)
        self._loop = loop
        self._apply = apply
        self._wish = self.size
        self._timer: asyncio.TimerHandle | None = None

    def want(self, columns: int, rows: int) -> None:
        """The terminal should have this size."""
        self._wish = (columns, rows)
        if self._timer is None:
            self._carry_out()

    def cancel(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _carry_out(self) -> None:
        self._timer = None
        if self._wish != self.size:
            self.size = self._wish
            self._apply(*self.size)
            self._timer = self._loop.call_later(INTERVAL, self._carry_out)
