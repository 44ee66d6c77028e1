"""Where typed text shows: what stands before the cursor, compared by its visible characters."""

import re
import unicodedata

from synapse.runner.profile import Profile
from synapse.runner.skeleton import NO_WIDTH, TAIL, skeleton
from synapse.runner.terminal import Terminal

ABOVE = 3  # rows over which that end may be wrapped, at least
_FRAME = re.compile(r"\s*[─-▟]")  # how the row below a composer begins


class Composer:
    """Looks at the place where the program collects a line or a message."""

    def __init__(self, terminal: Terminal, profile: Profile) -> None:
        self._terminal = terminal
        self._profile = profile

    def prompt(self) -> str:
        """The cursor's row up to the cursor: before anything is typed, the prompt."""
        return self._before()[-1]

    def line(self) -> str:
        """The whole of the cursor's row."""
        row, _ = self._terminal.cursor
        lines = self._terminal.lines()
        return lines[row] if row < len(lines) else ""

    @property
    def is_open(self) -> bool:
        """Does a line reader want the rest of what it was given?"""
        pattern = self._profile.open
        return self._whole and pattern is not None and pattern.fullmatch(self.prompt()) is not None

    def holds(self, typed: str) -> bool:
        """Does the end of the typed text (or a placeholder for it) stand before the cursor?"""
        return self._whole and self._has(typed)

    def let_go(self, typed: str, prompt: str) -> bool:
        """Is the text not there any more, or does it look again as it did before the text came?"""
        return self._whole and (self.prompt() == prompt or not self._has(typed))

    @property
    def _whole(self) -> bool:
        return not (self._terminal.lag or self._terminal.synchronized)

    def _has(self, typed: str) -> bool:
        if self._shows_placeholder():
            return True
        if not (
            self._terminal.bracketed_paste and self._profile.patterns
        ):  # a line reader shows the last line for certain
            typed = typed.rpartition("\n")[2] or typed
        tail = skeleton(typed)[-TAIL:]
        _, column = self._terminal.cursor  # it may wait on the last cell that is taken: then this cell counts
        return any(self._ends(self._before(column + more), tail) for more in (0, 1)) or self._shows_rest(typed)

    def _ends(self, rows: list[str], tail: str) -> bool:
        """Is it the end of these rows, as they are or without what the program puts before each line?"""
        return any(skeleton("".join(each)).endswith(tail) for each in (rows, self._bare(rows)))

    def _bare(self, rows: list[str]) -> list[str]:
        mark = self._profile.continued
        return [mark.sub("", row, count=1) for row in rows] if mark is not None else rows

    def _shows_rest(self, typed: str) -> bool:
        """Of what is higher than the screen some show no line that does not fit as a whole: is the rest there, from the
        top of the screen on?"""
        row, _ = self._terminal.cursor
        columns, rows = self._terminal.columns, self._terminal.rows
        height = sum(1 + (len(line) - 1) // columns for line in typed.split("\n") if line)
        if self._profile.continued is None or row + 1 >= rows or height < rows:
            return False
        shown = skeleton("".join(self._bare([*self._terminal.lines()[:row], self.prompt()])))
        return bool(shown) and skeleton(typed).endswith(shown)

    def _shows_placeholder(self) -> bool:
        pattern = self._profile.placeholder
        line = self.prompt().rstrip()
        return pattern is not None and any(found.end() == len(line) for found in pattern.finditer(line))

    def _before(self, column: int = -1) -> list[str]:
        """Some rows up to the cursor's, which is cut there; or the composer's rows."""
        lines = self._terminal.lines()
        if self._profile.composer is not None:
            return _rows(lines, self._profile.composer)
        row, here = self._terminal.cursor
        last = _cut(lines[row] if row < len(lines) else "", here if column < 0 else column)
        mark, top, seen = self._profile.continued, row, len(skeleton(last))
        while top > 0 and (row - top < ABOVE or seen < TAIL):  # short and empty lines: the end spans more rows
            top -= 1
            seen += len(skeleton(mark.sub("", lines[top], count=1) if mark is not None else lines[top]))
        return [*lines[top:row], last]


def _rows(lines: list[str], first: re.Pattern[str]) -> list[str]:
    """The composer that begins at the last such row, and ends above a frame or, where there is none, an empty row."""
    start = next((row for row in reversed(range(len(lines))) if first.search(lines[row])), len(lines))
    rows = range(start, len(lines))
    frame = next((row for row in rows if _FRAME.match(lines[row])), None)
    end = frame if frame is not None else next((row for row in rows if not lines[row].strip()), len(lines))
    return lines[start:end] or [""]


def _cut(line: str, cells: int) -> str:
    """The part of a row in its first cells; padded, for its end is bare."""
    if line.isascii():
        return line.ljust(cells)[:cells]
    used = 0
    for place, character in enumerate(line):
        if unicodedata.category(character) not in NO_WIDTH:
            used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used > cells:
            return line[:place]
    return line + " " * (cells - used)
