"""One row of cells, and the small form in which history keeps it.

A wide character lies in its first cell; its second cell is the empty string.
"""

from __future__ import annotations

from synapse.runner.style import PLAIN, Style

Line = str | tuple[str, tuple[int | str, ...]]
"""A line that scrolled off: its text, and unless it is plain, its runs: length, style, length, style ..."""


class Row:
    """The cells of one line and their styles, two lists of equal length."""

    __slots__ = ("chars", "styles")

    def __init__(self, columns: int, style: Style = PLAIN) -> None:
        self.chars = [" "] * columns
        self.styles = [style] * columns

    def text(self) -> str:
        return "".join(self.chars).rstrip(" ")

    def runs(self, columns: int | None = None) -> list[tuple[str, Style]]:
        """The text in pieces of one style, without plain spaces at the end; cut to `columns` when given."""
        chars, styles = self.chars[:columns], self.styles[:columns]
        if columns is not None and 0 < columns < len(self.chars) and self.chars[columns] == "":
            chars[-1] = " "
        end = len(chars)
        while end and chars[end - 1] == " " and styles[end - 1] == PLAIN:
            end -= 1
        runs: list[tuple[str, Style]] = []
        start = 0
        for i in range(1, end + 1):
            if i == end or styles[i] != styles[start]:
                runs.append(("".join(chars[start:i]), styles[start]))
                start = i
        return runs

    def write(self, text: str, style: Style) -> None:
        """Put narrow characters over the first cells."""
        end = len(text)
        if end < len(self.chars) and self.chars[end] == "":
            self.chars[end] = " "
        self.chars[:end] = text
        self.styles[:end] = [style] * end

    def erase(self, start: int, end: int, style: Style) -> None:
        self._part(start)
        self._part(end)
        self.chars[start:end] = [" "] * (end - start)
        self.styles[start:end] = [style] * (end - start)

    def insert(self, x: int, count: int, style: Style) -> None:
        """Push the cells from x on to the right, and out."""
        if not count:
            return
        columns = len(self.chars)
        self._part(x)
        self.chars[x:x] = [" "] * count
        self.styles[x:x] = [style] * count
        self.fit(columns)

    def delete(self, x: int, count: int, style: Style) -> None:
        """Pull the cells right of the deleted ones up."""
        self._part(x)
        self._part(x + count)
        del self.chars[x : x + count], self.styles[x : x + count]
        self.chars += [" "] * count
        self.styles += [style] * count

    def _part(self, x: int) -> None:
        """Make the border before x one between characters: a wide one across it is lost."""
        chars = self.chars
        if 0 < x < len(chars) and chars[x] == "":
            chars[x - 1] = chars[x] = " "

    def fit(self, columns: int) -> None:
        """Crop or pad to this many columns."""
        more = columns - len(self.chars)
        if more > 0:
            self.chars += [" "] * more
            self.styles += [PLAIN] * more
        elif more < 0:
            if self.chars[columns] == "":
                self.chars[columns - 1] = " "
            del self.chars[columns:], self.styles[columns:]


def folded(row: Row) -> Line:
    """The row as history keeps it."""
    text = row.text()
    styles = row.styles
    if not text or (styles[0] == PLAIN and styles.count(PLAIN) == len(styles)):
        return text
    packed: list[int | str] = []
    left = len(text)
    for piece, style in row.runs():
        packed += min(len(piece), left), style
        left -= len(piece)
        if left <= 0:
            break
    return (text, tuple(packed)) if any(packed[1::2]) else text


def unfolded(line: Line) -> list[tuple[str, Style]]:
    """A line of history in pieces of one style."""
    if isinstance(line, str):
        return [(line, PLAIN)] if line else []
    text, packed = line
    runs, start = [], 0
    for i in range(0, len(packed), 2):
        length, style = packed[i], packed[i + 1]
        assert isinstance(length, int)
        assert isinstance(style, str)
        runs.append((text[start : start + length], style))
        start += length
    return runs
