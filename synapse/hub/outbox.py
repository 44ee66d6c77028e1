"""The outbox: whatever leaves the hub waits here for the commit of what it was computed from."""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from synapse.errors import SynapseError, Unavailable

logger = logging.getLogger(__name__)
Deliver = Callable[[int, Any], None]  # (the position it was computed at, what)
LOST = Unavailable("storage_unavailable", "It could not be stored; nothing has changed. Try again.")


class Outbox:
    """One ordered queue of (position, deliver, what).

    Memory is ahead of the disk between fold and commit: anything computed in between could tell of changes that fail.
    """

    def __init__(self) -> None:
        self.committed = 0
        self._waiting: deque[tuple[int, Deliver, Any, bool]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def answer(self, position: int, deliver: Deliver, what: Any) -> None:
        """Somebody waits for this: it goes when `position` is committed, or as `Unavailable` when that fails."""
        if position <= self.committed and not self._waiting:
            _deliver(deliver, position, what)
        else:
            self._waiting.append((position, deliver, what, True))

    def tell(self, position: int, deliver: Deliver, what: Any) -> None:
        """This goes when `position` is committed, and never when that fails."""
        if position <= self.committed and not self._waiting:
            _deliver(deliver, position, what)
        else:
            self._waiting.append((position, deliver, what, False))

    def release(self, committed: int) -> None:
        """The log now holds everything up to `committed`."""
        self.committed = committed
        waiting = self._waiting
        while waiting and waiting[0][0] <= committed:
            position, deliver, what, _ = waiting.popleft()
            _deliver(deliver, position, what)

    def settle(self, stored: Callable[[int], bool], committed: int, lost: SynapseError = LOST) -> None:
        """After a failed append and a new fold: what was decided on stored positions goes, the rest is refused."""
        self.committed = committed
        waiting, self._waiting = self._waiting, deque()
        for position, deliver, what, answer in waiting:
            if stored(position):
                _deliver(deliver, position, what)
            elif answer:
                _deliver(deliver, position, lost)


def _deliver(deliver: Deliver, position: int, what: Any) -> None:
    """One receiver that fails keeps nothing from the others."""
    try:
        deliver(position, what)
    except Exception:
        logger.exception("something could not be delivered")
