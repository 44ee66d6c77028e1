"""The screen: rows of our own under pyte's cursor, so that a run of text is one assignment."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from pyte import charsets
from pyte import modes as mo
from wcwidth import wcwidth

from synapse.runner.motion import Motion, Saved
from synapse.runner.row import Line, Row, folded
from synapse.runner.style import PLAIN, Style, Styles

_MOST_COMBINED: Final = 8  # code points in one cell
_NARROW: Final = (  # where every code point is one column wide (held by a test); all else is looked up
    " -~\xa0-\xac\xae-\u02ff\u0370-\u0377\u0384-\u038a\u03a3-\u0482\u2010-\u2027\u2030-\u205e\u2190-\u2319\u23ce-\u23e8"
    "\u2500-\u25fc\u2700-\u2704\u270e-\u2727\u2756-\u2756\u2758-\u2794\u2800-\u28ff\ue0a0-\ue0b3"
)
_NOT_NARROW: Final = re.compile(f"[^{_NARROW}]")
_STRETCH: Final = re.compile(f"([{_NARROW}]+)|(.)", re.DOTALL)
_DRAWING: Final = {code: charsets.VT100_MAP[code] for code in range(0x60, 0x7F)}


class Screen(Motion):
    """A main and an alternate screen, and the lines that scrolled off the main one."""

    def __init__(self, columns: int, rows: int, history: int) -> None:
        self.styles = Styles()
        self.past: deque[Line] = deque(maxlen=history)
        self.scrolled = 0
        self.cleared = 0  # how often the past was wiped
        self.columns, self.lines = columns, rows
        super().__init__(columns, rows)

    def reset(self) -> None:
        """Return to the state at the start; history stays."""
        self.rows = [Row(self.columns) for _ in range(self.lines)]
        self.hidden_rows: list[Row] | None = None  # the main screen while the alternate one is shown
        self.saved = self.hidden_saved = Saved()
        super().reset()
        self.reset_softly()
        self.tabstops = set(range(8, max(self.columns, 1000), 8))

    def reset_softly(self) -> None:
        """DECSTR."""
        self.pen = PLAIN
        self.drawing = [False, False]
        self.charset = 0
        self.margins = None
        self.mode = {mo.DECAWM, mo.DECTCEM}
        self.saved = Saved()
        self.last_drawn = ""

    # text

    def draw(self, data: str) -> None:
        """Write printable characters at the cursor."""
        if self.drawing[self.charset]:
            data = data.translate(_DRAWING)
        self.last_drawn = data[-1]
        if data.isascii() or not _NOT_NARROW.search(data):
            self._put(data)
            return
        for narrow, other in _STRETCH.findall(data):
            if narrow:
                self._put(narrow)
            else:
                self._put_odd(other)

    def _put(self, text: str) -> None:
        cursor, columns = self.cursor, self.columns
        x = cursor.x
        end = x + len(text)
        if end > columns:
            self._put_wrapping(text)
            return
        if mo.IRM in self.mode:
            self.insert_characters(len(text))
        row = self.rows[cursor.y]
        chars = row.chars
        if chars[x] == "" and x:
            chars[x - 1] = " "
        if end < columns and chars[end] == "":
            chars[end] = " "
        chars[x:end] = text
        row.styles[x:end] = [self.pen] * (end - x)
        cursor.x = end if end < columns or mo.DECAWM in self.mode else columns - 1

    def _put_wrapping(self, text: str) -> None:
        cursor, columns = self.cursor, self.columns
        if mo.DECAWM not in self.mode:
            cursor.x = min(cursor.x, columns - 1)
            room = columns - 1 - cursor.x
            self._put(text[:room] + text[-1])
            return
        start = 0
        while start < len(text):
            if cursor.x >= columns:
                self.wrap()
            room = columns - cursor.x
            self._put(text[start : start + room])
            start += room

    def _put_odd(self, char: str) -> None:
        width = min(wcwidth(char), self.columns)
        if width <= 0:
            self._combine(char)
        elif width == 1:
            self._put(char)
        else:
            if self.cursor.x + 2 > self.columns:
                if mo.DECAWM in self.mode:
                    self.wrap()
                else:
                    self.cursor.x = self.columns - 2
            chars, x = self.rows[self.cursor.y].chars, self.cursor.x
            self._put("  ")
            chars[x : x + 2] = char, ""

    def _combine(self, char: str) -> None:
        chars, x = self.rows[self.cursor.y].chars, self.cursor.x - 1
        if x > 0 and chars[x] == "":
            x -= 1
        if x >= 0 and 0 < len(chars[x]) < _MOST_COMBINED and (char.isprintable() or char == "\u200d"):
            chars[x] += char

    def wrap(self) -> None:
        """Go on at the start of the next line."""
        self.cursor.x = 0
        self.index()

    def repeat(self, count: int) -> None:
        """REP: the last character again."""
        if self.last_drawn:
            self.draw(self.last_drawn * min(count, self.columns * self.lines))

    def write_lines(self, texts: list[str]) -> None:
        """Each of these plain ASCII texts and a new line, from column 0 on, while the screen `is_ordinary`.

        Lines that would only pass through go to the past without touching a cell."""
        columns = self.columns
        self.last_drawn = next((text[-1] for text in reversed(texts) if text), self.last_drawn)
        if max(map(len, texts)) > columns:
            texts = list(chain.from_iterable(_broken(text, columns) for text in texts))
        below = self.lines - 1 - self.cursor.y
        for row, text in zip(self.rows[self.cursor.y :], texts, strict=False):
            row.write(text, self.pen)
        if len(texts) <= below:
            self.cursor.y += len(texts)
            return
        fresh = texts[below + 1 :]
        passing = max(0, len(fresh) - (self.lines - 1))
        gone, self.rows = self.rows, self.rows[len(fresh) + 1 :]
        if self.hidden_rows is None:
            self.past.extend(map(folded, gone[: len(fresh) + 1]))
            pen = self.pen
            ended = (text.rstrip(" ") for text in fresh[:passing])
            self.past.extend((text, (len(text), pen)) if pen and text else text for text in ended)
            self.scrolled += len(fresh) + 1
        for text in fresh[passing:]:
            row = Row(columns)
            row.write(text, self.pen)
            self.rows.append(row)
        self.rows.append(Row(columns))
        self.cursor.y = self.lines - 1

    def is_ordinary(self) -> bool:
        """Whether lines may be written in bulk: they wrap and scroll the whole screen, over a plain background."""
        return (
            self.margins is None
            and self.mode.isdisjoint((mo.IRM, mo.LNM))
            and mo.DECAWM in self.mode
            and not self.drawing[self.charset]
            and self.background == PLAIN
        )

    # lines

    @property
    def background(self) -> Style:
        """What erasing paints with."""
        return self.styles.background(self.pen)

    def index(self) -> None:
        """Go down a row; scroll at the bottom margin."""
        if self.cursor.y == self.region[1]:
            self.scroll_up(1)
        elif self.cursor.y < self.lines - 1:
            self.cursor.y += 1

    def reverse_index(self) -> None:
        """Go up a row; scroll back at the top margin."""
        if self.cursor.y == self.region[0]:
            self.scroll_down(1)
        elif self.cursor.y:
            self.cursor.y -= 1

    def scroll_up(self, count: int) -> None:
        """SU. What leaves the top of the main screen is history."""
        top, bottom = self.region
        count = min(count, bottom - top + 1)
        if top == 0 and self.hidden_rows is None:
            self.past.extend(map(folded, self.rows[:count]))
            self.scrolled += count
        self._move_up(top, bottom, count)

    def scroll_down(self, count: int) -> None:
        """SD."""
        self._move_down(*self.region, count)

    def _move_up(self, top: int, bottom: int, count: int) -> None:
        count = min(count, bottom - top + 1)
        del self.rows[top : top + count]
        self.rows[bottom + 1 - count : bottom + 1 - count] = self._blanks(count)

    def _move_down(self, top: int, bottom: int, count: int) -> None:
        count = min(count, bottom - top + 1)
        del self.rows[bottom + 1 - count : bottom + 1]
        self.rows[top:top] = self._blanks(count)

    def _blanks(self, count: int) -> list[Row]:
        return [Row(self.columns, self.background) for _ in range(count)]

    def insert_lines(self, count: int | None = None) -> None:
        top, bottom = self.region
        if top <= self.cursor.y <= bottom:
            self._move_down(self.cursor.y, bottom, count or 1)
            self.cursor.x = 0

    def delete_lines(self, count: int | None = None) -> None:
        top, bottom = self.region
        if top <= self.cursor.y <= bottom:
            self._move_up(self.cursor.y, bottom, count or 1)
            self.cursor.x = 0

    # cells: while the cursor waits to wrap there are none right of it (as in tmux, kitty, alacritty)

    def insert_characters(self, count: int | None = None) -> None:
        row, x = self._here()
        row.insert(x, min(count or 1, self.columns - x), self.background)

    def delete_characters(self, count: int | None = None) -> None:
        row, x = self._here()
        row.delete(x, min(count or 1, self.columns - x), self.background)

    def erase_characters(self, count: int | None = None) -> None:
        row, x = self._here()
        row.erase(x, min(x + (count or 1), self.columns), self.background)

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        row, x = self._here()
        if how in (0, 1, 2):
            end = min(x + 1, self.columns) if how == 1 else self.columns
            row.erase(0 if how else x, end, self.background)

    def erase_in_display(self, how: int = 0, *_: Any, **__: Any) -> None:
        """ED; 3 wipes the history and leaves the screen alone, as xterm does."""
        y = self.cursor.y
        if how == 3:
            self.past.clear()
            self.cleared += 1
        elif how in (0, 1, 2):
            self.erase_in_line(how)
            first, end = {0: (y + 1, self.lines), 1: (0, y), 2: (0, self.lines)}[how]
            self.rows[first:end] = self._blanks(end - first)

    def alignment_display(self) -> None:
        """DECALN."""
        self.margins = None
        self.cursor.x = self.cursor.y = 0
        for row in self.rows:
            row.chars[:] = "E" * self.columns
            row.styles[:] = [PLAIN] * self.columns

    def _here(self) -> tuple[Row, int]:
        return self.rows[self.cursor.y], self.cursor.x

    # whole screens

    @property
    def alternate(self) -> bool:
        """Whether the alternate screen is shown."""
        return self.hidden_rows is not None

    def show_alternate(self) -> None:
        """Put a blank alternate screen in front of the main one."""
        if self.hidden_rows is None:
            self.hidden_rows, self.rows = self.rows, self._blanks(self.lines)
            self.saved, self.hidden_saved = self.hidden_saved, self.saved

    def show_main(self) -> None:
        """Go back to the main screen, as it was left."""
        if self.hidden_rows is not None:
            self.rows, self.hidden_rows = self.hidden_rows, None
            self.saved, self.hidden_saved = self.hidden_saved, self.saved

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        """Crop or pad, without reflow. Rows go from below the cursor first, then from the top into the history."""
        lines, columns = lines or self.lines, columns or self.columns
        if (lines, columns) == (self.lines, self.columns):
            return
        surplus = max(0, self.lines - lines)
        from_top = max(0, self.cursor.y + 1 - lines)
        if not self.alternate and from_top:
            self.past.extend(map(folded, self.rows[:from_top]))
            self.scrolled += from_top
        self.rows = _fitted(self.rows[from_top : self.lines - (surplus - from_top)], lines, columns)
        if self.hidden_rows is not None:
            self.hidden_rows = _fitted(self.hidden_rows, lines, columns)
        self.lines, self.columns, self.margins = lines, columns, None
        self.cursor.y = min(self.cursor.y - from_top, lines - 1)
        self.cursor.x = min(self.cursor.x, columns - 1)

    @property
    def display(self) -> list[str]:
        """The rows as text, without the spaces at their ends."""
        return [row.text() for row in self.rows]


def _fitted(rows: list[Row], lines: int, columns: int) -> list[Row]:
    rows = rows[:lines]
    for row in rows:
        row.fit(columns)
    return rows + [Row(columns) for _ in range(lines - len(rows))]


def _broken(text: str, columns: int) -> Sequence[str]:
    return [text[i : i + columns] for i in range(0, len(text), columns)] or [""]
