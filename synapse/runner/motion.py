"""The cursor: pyte's, with margins, modes and tab stops, but for what pyte gets wrong at the edges.

A cursor at column `columns` waits to wrap.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyte
from pyte import modes as mo

from synapse.runner.style import PLAIN, Style


@dataclass(frozen=True)
class Saved:
    """What DECSC keeps."""

    x: int = 0
    y: int = 0
    pen: Style = PLAIN
    drawing: tuple[bool, bool] = (False, False)
    shift: int = 0
    origin: bool = False


class Motion(pyte.Screen):
    """Moves the cursor; knows nothing of the cells."""

    pen: Style
    drawing: list[bool]  # whether G0 and G1 are the line drawing set
    saved: Saved

    @property
    def region(self) -> tuple[int, int]:
        """The first and last row that scroll."""
        return self.margins or (0, self.lines - 1)

    def cursor_up(self, count: int | None = None) -> None:
        top = self.region[0]
        self._settle(max(self.cursor.y - (count or 1), top if self.cursor.y >= top else 0))

    def cursor_down(self, count: int | None = None) -> None:
        bottom = self.region[1]
        self._settle(min(self.cursor.y + (count or 1), bottom if self.cursor.y <= bottom else self.lines - 1))

    def cursor_forward(self, count: int | None = None) -> None:
        self.cursor.x = min(self.cursor.x + (count or 1), self.columns - 1)

    def cursor_position(self, line: int | None = None, column: int | None = None) -> None:
        self.cursor.x = min((column or 1), self.columns) - 1
        self.cursor_to_line(line)

    def cursor_to_line(self, line: int | None = None) -> None:
        first, last = self.region if mo.DECOM in self.mode else (0, self.lines - 1)
        self._settle(min(first + (line or 1) - 1, last))

    def _settle(self, y: int) -> None:
        self.cursor.y = y
        self.cursor.x = min(self.cursor.x, self.columns - 1)

    def tab(self) -> None:
        """To the next tab stop, or the last column."""
        x = self.cursor.x + 1
        while x < self.columns - 1 and x not in self.tabstops:
            x += 1
        self.cursor.x = max(self.cursor.x, min(x, self.columns - 1))

    def tab_back(self) -> None:
        """CBT."""
        x = min(self.cursor.x, self.columns) - 1
        while x > 0 and x not in self.tabstops:
            x -= 1
        self.cursor.x = max(x, 0)

    def set_margins(self, top: int | None = None, bottom: int | None = None) -> None:
        """DECSTBM; refuses a region of less than two rows."""
        first, last = (top or 1) - 1, min(bottom or self.lines, self.lines) - 1
        if first < last:
            self.margins = None if (first, last) == (0, self.lines - 1) else pyte.screens.Margins(first, last)
            self.cursor_position()

    def wraps(self, on: bool) -> None:
        """DECAWM; without it no cursor waits to wrap."""
        self.mode = self.mode | {mo.DECAWM} if on else self.mode - {mo.DECAWM}
        if not on:
            self.cursor.x = min(self.cursor.x, self.columns - 1)

    def save_cursor(self) -> None:
        c = self.cursor
        first, second = self.drawing
        self.saved = Saved(c.x, c.y, self.pen, (first, second), self.charset, mo.DECOM in self.mode)

    def restore_cursor(self) -> None:
        saved = self.saved
        last = self.columns if mo.DECAWM in self.mode else self.columns - 1
        self.cursor.x, self.cursor.y = min(saved.x, last), min(saved.y, self.lines - 1)
        self.pen, self.drawing, self.charset = saved.pen, list(saved.drawing), saved.shift
        self.mode = self.mode | {mo.DECOM} if saved.origin else self.mode - {mo.DECOM}
