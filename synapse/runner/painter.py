"""Screens painted from the model: for new viewers, for those of another size, and for those that had fallen behind."""

import asyncio
from collections.abc import Callable, Sequence

from synapse.runner import frames
from synapse.runner.terminal import Terminal
from synapse.runner.viewer import Viewer

INTERVAL = 1 / 30  # seconds between two pictures for the same viewer
BOUNDARY_WITHIN = 0.2  # seconds; then a child that stopped in mid-sequence is painted over
SCROLLBACK = 500  # lines that a new viewer gets
NOTE_FOR = 3.0  # seconds


class Painter:
    """Paints whoever is stale, as soon as the model agrees with the bytes and no sequence is half done.

    `fits` says who may have the child's bytes as they come, from the picture on.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        terminal: Terminal,
        viewers: Sequence[Viewer],
        fits: Callable[[Viewer], bool],
    ) -> None:
        self._loop = loop
        self._terminal = terminal
        self._viewers = viewers
        self._fits = fits
        self._timer: asyncio.TimerHandle | None = None
        self._blocked_since = 0.0

    def paint(self, at_once: bool = False) -> None:
        """Paint now what can be painted now; the rest comes by itself."""
        waiting = [viewer for viewer in self._viewers if viewer.awaits_picture]
        if not waiting or (self._terminal.lag and not at_once):
            return
        now = self._loop.time()
        if not (self._terminal.at_boundary or at_once or self._overdue(now)):
            self._paint_in(BOUNDARY_WITHIN)
            return
        self._blocked_since = 0.0
        for viewer in waiting:
            early = viewer.painted + INTERVAL - now
            if early > 0 and not at_once:
                self._paint_in(early)
            else:
                self._paint(viewer, now)

    def _overdue(self, now: float) -> bool:
        self._blocked_since = self._blocked_since or now
        return now - self._blocked_since >= BOUNDARY_WITHIN

    def _paint_in(self, delay: float) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(delay, self._paint_now)

    def _paint_now(self) -> None:
        self._timer = None
        self.paint()

    def _paint(self, viewer: Viewer, now: float) -> None:
        if viewer.stale:
            viewer.show(self._picture(viewer))
            viewer.stale = viewer.enters = viewer.wants_past = viewer.noted = False
            viewer.live, viewer.painted = self._fits(viewer), now
        if viewer.note:
            viewer.say(frames.NOTE, viewer.note.encode())
            viewer.note, viewer.noted = "", True
            if viewer.wipe:
                viewer.wipe.cancel()  # it is shown again: it goes that much later
            viewer.wipe = self._loop.call_later(NOTE_FOR, self._wipe, viewer)

    def _picture(self, viewer: Viewer) -> bytes:
        picture = self._terminal.repaint(viewer.columns, viewer.rows)
        if not viewer.enters:
            return picture
        # What its shell had on the screen goes into its scrollback instead of being overwritten.
        return b"\x1b[%d;1H" % viewer.rows + b"\n" * viewer.rows + self._past(viewer) + picture

    def _past(self, viewer: Viewer) -> bytes:
        """A new viewer can scroll back."""
        return self._terminal.scrollback(SCROLLBACK, viewer.rows) if viewer.wants_past else b""

    def _wipe(self, viewer: Viewer) -> None:
        """Take the note away: its line alone if nothing has moved since, for what stood above a program is not ours."""
        if viewer not in self._viewers:
            return
        if viewer.noted and viewer.live and not self._terminal.lag:
            viewer.show(_line_again(self._terminal))
        else:
            viewer.stale = True
            self.paint()
        viewer.noted = False


def _line_again(terminal: Terminal) -> bytes:
    runs = "".join(f"\x1b[0;{style}m{text}" for text, style in terminal.styled_lines()[-1])
    return f"\x1b7\x1b[{terminal.rows};1H\x1b[0m\x1b[2K{runs}\x1b8".encode()
