"""The terminal model of one child: its output in; screen, modes, signals, answers and what viewers get out.

Pure: no sockets, no loop, no threads. Viewers' bytes do not wait for the model, which is fed in slices.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from synapse.runner import modes, repaint
from synapse.runner.interpreter import Interpreter, Signal
from synapse.runner.modes import Modes
from synapse.runner.queries import DEFAULTS, TerminalFacts
from synapse.runner.row import unfolded
from synapse.runner.screen import Screen
from synapse.runner.style import Style
from synapse.runner.tokens import Sieve

__all__ = ["DEFAULTS", "Mark", "Modes", "Signal", "Terminal", "TerminalFacts"]

_SLICE = 1 << 15  # characters that are joined and looked at in one go
_MOST_PERSONAL = 1 << 21  # characters that wait for the viewer that typed last
_NARROWEST, _WIDEST = 1, 2000


@dataclass(frozen=True)
class Mark:
    """A place in the text, for `Terminal.text_since`."""

    line: int
    cleared: int


class Terminal:
    """A terminal of `columns` by `rows` that keeps `history` lines."""

    def __init__(
        self,
        columns: int,
        rows: int,
        *,
        history: int = 5000,
        facts: TerminalFacts = DEFAULTS,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        self._sieve = Sieve()
        self._screen = Screen(_bounded(columns), _bounded(rows), history)
        self._interpreter = Interpreter(self._screen, facts)
        self._queue: deque[tuple[str, int]] = deque()
        self._queued = 0
        self._text, self._position, self._size = "", 0, 0
        self._personal: deque[str] = deque()
        self._owed = 0

    # in

    def write(self, data: bytes) -> bytes:
        """Take output of the child and queue it for the model; what all viewers get of it, complete tokens only."""
        model, viewers, personal = self._sieve.feed(data)
        out = viewers.encode()
        if personal:
            self._owe(personal)
        if model:
            size = len(out) + len(model) - len(viewers)
            self._queue.append((model, size))
            self._queued += size
        return out

    def personal(self) -> bytes:
        """Bells and writes to the clipboard of the last `write`s, for the viewer that typed last; taken by the call."""
        out = "".join(self._personal).encode()
        self._personal.clear()
        self._owed = 0
        return out

    def _owe(self, personal: str) -> None:
        self._personal.append(personal)
        self._owed += len(personal)
        while self._owed > _MOST_PERSONAL and len(self._personal) > 1:
            self._owed -= len(self._personal.popleft())

    def advance(self, budget: float = 0.004) -> bool:
        """Feed the model for about `budget` seconds; whether it has caught up."""
        end = self._clock() + budget
        return self._feed(lambda: self._clock() >= end)

    def _feed(self, late: Callable[[], bool]) -> bool:
        while self._next():
            self._position = self._interpreter.run(self._text, self._position, late)
            if late():
                break
        return not self._next()

    def _next(self) -> bool:
        """Whether there is text at hand, taken from the queue if need be."""
        if self._position < len(self._text):
            return True
        texts: list[str] = []
        self._text, self._position, self._size = "", 0, 0
        while self._queue and self._size < _SLICE:
            text, size = self._queue.popleft()
            texts.append(text)
            self._size += size
        self._queued -= self._size
        self._text = "".join(texts)
        return bool(texts)

    def _catch_up(self) -> None:
        self._feed(lambda: False)

    @property
    def lag(self) -> int:
        """Bytes that are queued and not yet in the model."""
        left = 1 - self._position / len(self._text) if self._text else 0
        return self._queued + round(self._size * left)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; text is cropped or padded, rows that leave at the top become history."""
        self._screen.resize(_bounded(rows), _bounded(columns))

    # out

    def replies(self) -> bytes:
        """Answers for the child to what it asked; taken by the call."""
        return self._interpreter.take_answers().encode()

    def signals(self) -> list[Signal]:
        """What the program told its terminal since the last call, oldest first; at most the last 1,000."""
        return self._interpreter.take_signals()

    def repaint(self, columns: int | None = None, rows: int | None = None) -> bytes:
        """Everything a viewer needs who joins here: reset, contents, cursor, modes. Catches up first, so that the live
        bytes after it continue it. With a size of the viewer's own: cropped around the cursor, or padded."""
        self._catch_up()
        size = (_bounded(columns) if columns else None, _bounded(rows) if rows else None)
        return repaint.repaint(self._screen, self._interpreter.settings, *size).encode()

    def scrollback(self, last: int = 1000, rows: int | None = None) -> bytes:
        """The last lines of the history, to be printed before `repaint` so that they end in the viewer's own."""
        past = self._screen.past
        lines = islice(past, max(0, len(past) - last), None)
        return repaint.scrollback(lines, rows or self._screen.lines).encode()

    def restore(self) -> bytes:
        """Undo, in a viewer's terminal, the modes that are on; leaves its cursor on a free line."""
        self._catch_up()
        return repaint.restore(self._screen, self._interpreter.settings).encode()

    # looking

    @property
    def at_boundary(self) -> bool:
        """Whether a new viewer may be switched in here: viewers are not between CSI ?2026h and l.

        They never are within a token. A program that dies inside the bracket leaves this False: bound the wait."""
        return not self._sieve.bracketed

    @property
    def synchronized(self) -> bool:
        """Whether the model is between CSI ?2026h and l, the screen half drawn."""
        return self._interpreter.settings.is_on(modes.SYNCHRONIZED)

    @property
    def columns(self) -> int:
        return self._screen.columns

    @property
    def rows(self) -> int:
        return self._screen.lines

    @property
    def facts(self) -> TerminalFacts:
        return self._interpreter.facts

    @property
    def cursor(self) -> tuple[int, int]:
        """Row and column from 0."""
        cursor = self._screen.cursor
        return cursor.y, min(cursor.x, self._screen.columns - 1)

    @property
    def title(self) -> str:
        return self._interpreter.settings.title

    @property
    def bracketed_paste(self) -> bool:
        return self._interpreter.settings.is_on(modes.BRACKETED_PASTE)

    @property
    def focus_reporting(self) -> bool:
        return self._interpreter.settings.is_on(modes.FOCUS)

    @property
    def modes(self) -> Modes:
        """What the program has set, as it stands now."""
        settings = self._interpreter.settings
        return Modes(
            alternate=self._screen.alternate,
            bracketed_paste=self.bracketed_paste,
            focus=self.focus_reporting,
            mouse=tuple(mode for mode, on in settings.private.items() if on and mode in modes.MOUSE),
            application_cursor=settings.is_on(modes.CURSOR_KEYS),
            application_keypad=settings.keypad,
            kitty=tuple(settings.kitty),
            modify_other_keys=settings.other_keys,
            cursor_visible=settings.is_on(modes.CURSOR_VISIBLE),
            cursor_shape=settings.shape,
            title=settings.title,
            region=self._screen.region if self._screen.margins else None,
            changed=settings.changed(),
        )

    def lines(self) -> list[str]:
        """The screen as text, without the spaces at the ends."""
        return self._screen.display

    def styled_lines(self) -> list[list[tuple[str, Style]]]:
        """The screen in pieces of one style, each with the SGR parameters that set it; plain is ``""``."""
        return [row.runs() for row in self._screen.rows]

    def history(self, last: int | None = None) -> list[str]:
        """The lines that scrolled off the main screen, oldest first; the last so many when given."""
        past = self._screen.past
        start = max(0, len(past) - last) if last is not None else 0
        return [line if isinstance(line, str) else line[0] for line in islice(past, start, None)]

    def styled_history(self) -> list[list[tuple[str, Style]]]:
        """The history in pieces of one style."""
        return [unfolded(line) for line in self._screen.past]

    @property
    def scrolled(self) -> int:
        """How many lines ever scrolled off the main screen."""
        return self._screen.scrolled

    def mark(self) -> Mark:
        """The line of the cursor, now."""
        row = 0 if self._screen.alternate else self._screen.cursor.y
        return Mark(self._screen.scrolled + row, self._screen.cleared)

    def text_since(self, mark: Mark) -> str:
        """History and screen from the marked line on. On the alternate screen: the screen. After the program wiped its
        history: all that came since."""
        screen = self._screen
        lines = screen.display
        if not screen.alternate:
            row = mark.line - screen.scrolled
            if mark.cleared != screen.cleared or row > screen.cursor.y:
                lines = self.history() + lines if mark.cleared != screen.cleared else lines
            elif row < 0:
                lines = self.history(-row) + lines
            else:
                lines = lines[row:]
        return "\n".join(lines).rstrip("\n")


def _bounded(size: int) -> int:
    return min(max(size, _NARROWEST), _WIDEST)
