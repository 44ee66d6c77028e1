"""How an agent's program is ended: asked in its own way, then as a closed terminal does, then by signals."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from synapse.runner.process import Child, ExitStatus

GRACE = 30.0  # seconds between the request to stop and SIGTERM
TERM_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
HANGUP_GRACE = 5.0  # seconds for a program to end by itself when its terminal is gone
REASONS = {"killed": "It was killed.", "stopped": "It was stopped.", "terminal_closed": "Its terminal was closed."}


class Stopping:
    """`reason` says why it ends: `exited` when it did so by itself. `ask` asks it in its own way; False: it cannot."""

    def __init__(self, loop: asyncio.AbstractEventLoop, child: Child, ask: Callable[[], bool]) -> None:
        self.reason = "exited"
        self._loop = loop
        self._child = child
        self._ask = ask
        self._over = False
        self._ending: asyncio.Task[Any] | None = None

    def over(self) -> None:
        """The program has ended."""
        self._over = True

    def kindly(self) -> None:
        """Ask it in its own way, then as a terminal does that is closed, then by SIGTERM, at last by SIGKILL."""
        if self.reason != "exited":
            return
        self.reason = "stopped"
        if self._ask():
            self._loop.call_later(GRACE, self._hang_up)
        else:
            self._hang_up()

    def terminal_closed(self) -> None:
        """The terminal of `synapse run` was closed."""
        if self.reason == "exited":
            self.reason = "terminal_closed"
            self._hang_up()

    def now(self, reason: str, grace: float) -> None:
        """SIGTERM, and after so many seconds SIGKILL."""
        if self._over:
            return
        self.reason = reason
        if self._ending is not None:
            self._ending.cancel()  # more pressing now
        self._ending = self._loop.create_task(self._child.terminate(grace))

    async def done(self) -> None:
        """Wait for the end of those who would not end by themselves, once it has been asked for: some seconds at most."""
        if self._ending is not None:
            await asyncio.wait([self._ending])

    def _hang_up(self) -> None:
        if not self._over:
            self._child.hangup()
            self._loop.call_later(HANGUP_GRACE, lambda: self.now(self.reason, TERM_GRACE))


def ending(status: ExitStatus) -> str:
    """How a program ended, in a sentence."""
    if status.signal is None:
        return f"It ended with exit status {status.code}."
    return f"It was ended by signal {status.signal} ({signal.Signals(status.signal).name})."
