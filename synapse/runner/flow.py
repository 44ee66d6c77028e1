"""The way of the child's output: viewers first, then the model in slices, and no more than the model can follow."""

import asyncio
from collections.abc import Callable

from synapse.runner.process import Child
from synapse.runner.terminal import Terminal
from synapse.runner.viewers import Viewers

SLICE = 0.004  # seconds of modelling before keys get their turn
LAG_BOUND = 256 << 10  # bytes that the model may be behind


class Flow:
    """Connects child, model and viewers. `on_settled` is called whenever the model has caught up with the output."""

    def __init__(self, loop: asyncio.AbstractEventLoop, child: Child, terminal: Terminal, viewers: Viewers) -> None:
        self.on_settled: Callable[[], None] = _nothing
        self._loop = loop
        self._child = child
        self._terminal = terminal
        self._viewers = viewers
        self._brakes: set[str] = set()
        self._turn: asyncio.Handle | None = None
        viewers.on_congestion = lambda congested: self._brake("viewer", congested)

    def feed(self, data: bytes) -> None:
        """Output of the child: give it to `Child.start`."""
        shown = self._terminal.write(data)
        if shown:
            self._viewers.output(shown)
        if personal := self._terminal.personal():
            self._viewers.personal(personal)
        self._answer()
        if self._terminal.lag > LAG_BOUND:
            self._brake("model", True)
        if self._turn is None:
            self._turn = self._loop.call_soon(self._advance)

    def catch_up(self) -> None:
        """Bring the model up to date at once, whatever that takes: before the end is reported."""
        while not self._terminal.advance(SLICE):
            pass
        self._settle()

    def _advance(self) -> None:
        self._turn = None
        if self._terminal.advance(SLICE):
            self._settle()
        else:
            self._turn = self._loop.call_soon(self._advance)
            self._answer()

    def _settle(self) -> None:
        self._brake("model", False)
        self._answer()
        self._viewers.settled()
        self.on_settled()

    def _answer(self) -> None:
        """Queries of the child are answered by the model alone."""
        replies = self._terminal.replies()
        if replies:
            self._child.write(replies)

    def _brake(self, reason: str, on: bool) -> None:
        (self._brakes.add if on else self._brakes.discard)(reason)
        if self._brakes:
            self._child.pause()
        else:
            self._child.resume()


def _nothing() -> None:
    pass
