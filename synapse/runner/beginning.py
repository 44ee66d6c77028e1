"""The first moment of a program in the background: it is said to be started only if it is still there after it."""

import asyncio
from typing import Any

from synapse.errors import Refused
from synapse.runner.process import ExitStatus

AT_MOST = 0.15  # seconds; a program that has said nothing by then is taken to be at its start
MOMENT = 0.1  # seconds that it must live on after its first output: long enough for a complaint and an end
LAST_LINES = 12


class Beginning:
    """Told of output, it knows whether a program stays."""

    def __init__(self) -> None:
        self._said = asyncio.Event()

    def output(self) -> None:
        """The program has put something out."""
        self._said.set()

    async def stays(self, ended: "asyncio.Future[ExitStatus]") -> bool:
        """Wait for its end, but no longer than for a sign that it lives: False when it has ended."""
        waiting: asyncio.Future[Any] = asyncio.ensure_future(self._said.wait())
        either: list[asyncio.Future[Any]] = [ended, waiting]
        try:
            async with asyncio.timeout(AT_MOST):
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait([ended], timeout=MOMENT)
        except TimeoutError:
            pass
        finally:
            waiting.cancel()
        return not ended.done()


def ended_at_once(program: str, status: ExitStatus, screen: list[str]) -> Refused:
    """What is said of one that did not stay; the exit status is its own, 1 when that was 0."""
    how = f"by signal {status.signal}" if status.signal else f"with exit status {status.code}"
    lines = [line for line in screen if line.strip()][-LAST_LINES:]
    said = "\n".join(["It said:", *(f"  {line}" for line in lines)]) if lines else "It said nothing."
    return Refused("ended_at_once", f"{program} ended at once, {how}. {said}", exit=status.shell or 1)
