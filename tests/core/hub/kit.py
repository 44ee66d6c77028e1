"""Logs whose commits the test holds; the rest of the kit is what the author of a plugin has too."""

from collections.abc import Sequence
from threading import Event as Flag

from synapse.log.base import Entry
from synapse.log.memory import MemoryLog
from synapse.testing import BOUND, Bench, Peer, Processes, fresh, picture

DAY = 24 * 3600.0


class HeldLog(MemoryLog):
    """A log whose commits wait while the test holds them."""

    def __init__(self) -> None:
        super().__init__()
        self._free = Flag()
        self._free.set()
        self.reached = Flag()  # the writer stands before a commit

    def hold(self) -> None:
        self.reached.clear()
        self._free.clear()

    def let_go(self) -> None:
        self._free.set()

    def append(self, entries: Sequence[Entry]) -> None:
        self.reached.set()
        assert self._free.wait(BOUND)
        super().append(entries)


__all__ = ["BOUND", "DAY", "Bench", "HeldLog", "Peer", "Processes", "fresh", "picture"]
