"""How the demo's output and composer are laid out in rows of a width."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

IDLE: Final = "demo - ? for help"
ARMED: Final = "Press Ctrl-C again to exit"
QUESTION: Final = "Do you want to run this command?"
CHOICES: Final = ("1. Yes", "2. No")
CHOOSING: Final = "enter to choose - esc to decline"
QUEUE_SHOWN: Final = 3
COMMAND_SHOWN: Final = 3  # rows of the command in a dialog
ECHO_SHOWN: Final = 3  # rows of a submitted message

_SEQUENCES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Frame(NamedTuple):
    """What is below the printed output, and where in it the cursor stands."""

    rows: list[str]
    row: int
    column: int


def busy(seconds: float) -> str:
    """The hint while the demo works."""
    return f"Working ({int(seconds)}s - esc to interrupt)"


def cells(character: str) -> int:
    """The columns that a character takes: 0, 1 or 2."""
    if character < "\u0300":
        return 1
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitting(text: str, start: int, columns: int) -> int:
    """The end of the part of the text, from `start` on, that fits; at least one character."""
    used, end = 0, start
    while end < len(text) and (used := used + cells(text[end])) <= columns:
        end += 1
    return max(end, min(start + 1, len(text)))


def clip(text: str, columns: int) -> str:
    """As much of a text as fits one row."""
    return text[: fitting(text, 0, columns)]


def wrap(line: str, columns: int) -> list[str]:
    """One line as rows, broken at spaces where there are any."""
    rows, start = [], 0
    while (end := fitting(line, start, columns)) < len(line):
        space = line.rfind(" ", start, end + 1)
        at_space = space > start and bool(line[start:space].strip())
        rows.append(line[start : space if at_space else end])
        start = space + 1 if at_space else end
    return [*rows, line[start:]]


def plain(text: str) -> str:
    """A text that can be printed: no escapes, tabs as spaces, line feeds for ends of lines."""
    text = _SEQUENCES.sub("", text.replace("\r\n", "\n")).replace("\r", "\n")
    return _CONTROLS.sub("", text).expandtabs(4)


def echo(text: str, columns: int) -> list[str]:
    """A submitted message as it stands in the transcript."""
    rows = [row for line in plain(text[:5000]).split("\n") for row in wrap(line, columns - 2)]
    if len(rows) > ECHO_SHOWN:
        rows = [*rows[:ECHO_SHOWN], "..."]
    return [f"{'  ' if number else '> '}{row}".rstrip() for number, row in enumerate(rows)]


def notice(text: str, columns: int) -> list[str]:
    """Lines that are neither a message nor an answer."""
    return [row for line in plain(text).split("\n") for row in wrap(line, columns)]


class Stream:
    """An answer that comes in pieces: rows that are complete, and a tail that still grows."""

    def __init__(self) -> None:
        self._line = ""
        self._mark = "* "
        self._open = False

    def feed(self, text: str, columns: int) -> list[str]:
        """The rows that are complete with this piece."""
        *lines, last = (self._line + plain(text)).split("\n")
        *rows, self._line = [
            *(row for line in lines for row in wrap(line, columns - 2)),
            *wrap(last, columns - 2),
        ]
        self._open = True
        return [self._marked(row) for row in rows]

    def tail(self, columns: int) -> list[str]:
        """The row that still grows, if there is one; clipped, should the terminal have become narrower."""
        return [clip(self._mark + self._line, columns)] if self._open and self._line else []

    def finish(self, columns: int) -> list[str]:
        """The last rows; what comes next begins on a row of its own."""
        line, self._line = self._line, ""
        open_, self._open = self._open, False
        return [self._marked(row) for row in wrap(line, columns - 2)] if open_ and line else []

    def _marked(self, row: str) -> str:
        mark, self._mark = self._mark, "  "
        return f"{mark}{row}".rstrip()


def composer(
    draft: tuple[str, int], hint: str, *, columns: int, rows: int, tail: list[str], queued: list[str]
) -> Frame:
    """The growing row of the answer, what is queued, a rule, the draft behind `> `, and the hint."""
    above = [*tail, *(clip(f"queued: {plain(text[:500]).split(chr(10))[0]}", columns) for text in queued[:QUEUE_SHOWN])]
    if len(queued) > QUEUE_SHOWN:
        above.append(clip(f"queued: {len(queued) - QUEUE_SHOWN} more", columns))
    lines, row, column = _draft_rows(*draft, columns - 3)
    room = max(1, rows - len(above) - 2)
    first = max(0, row - room + 1)  # the row with the cursor is always there
    shown = [f"{'  ' if first + number else '> '}{line}" for number, line in enumerate(lines[first : first + room])]
    everything = [*above, rule(columns), *shown, clip(hint, columns)]
    cut = max(0, len(everything) - rows)
    return Frame(everything[cut:], max(0, len(above) + 1 + row - first - cut), min(column + 2, columns - 1))


def dialog(command: str, chosen: int, *, columns: int, rows: int) -> Frame:
    """The question whether a command may run; the cursor stands before the chosen answer."""
    asked = [f"    {row}" for line in plain(command).split("\n") for row in wrap(line, columns - 4)]
    choices = [f"{'> ' if number == chosen else '  '}{choice}" for number, choice in enumerate(CHOICES)]
    above = [rule(columns), *wrap(QUESTION, columns), *asked[:COMMAND_SHOWN]]
    everything = [*above, *choices, rule(columns), clip(CHOOSING, columns)]
    cut = max(0, len(everything) - rows)
    return Frame(everything[cut:], max(0, len(above) + chosen - cut), 0)


def rule(columns: int) -> str:
    """A line across the terminal."""
    return "─" * columns


def _draft_rows(text: str, cursor: int, columns: int) -> tuple[list[str], int, int]:
    """The draft in rows, and the row and column of the cursor."""
    rows: list[str] = []
    at, where = 0, (0, 0)
    for line in text.split("\n"):
        start = 0
        while True:
            end = fitting(line, start, columns)
            if at + start <= cursor <= at + end:
                where = len(rows), sum(map(cells, line[start : cursor - at]))
            rows.append(line[start:end].replace("\t", " "))
            start = end
            if start >= len(line):
                break
        at += len(line) + 1
    return rows, *where
