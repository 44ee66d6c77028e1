"""The demo's terminal: its modes, its signals, and a frame that is redrawn below the printed output."""

from __future__ import annotations

import os
import select
import signal
import termios
import tty
from contextlib import suppress
from types import FrameType
from typing import Final

from synapse.runner.demo_layout import Frame

_ON: Final = "\x1b[?2004h\x1b[?1004h"
_OFF: Final = "\x1b[?1004l\x1b[?2004l"
_ALTERNATE: Final = ("\x1b[?1049h\x1b[H", "\x1b[?1049l")
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_LAST_WORDS: Final = 0.2  # seconds that a terminal which takes nothing is given at the end


class Leave(Exception):
    """The demo is to end with this status, at once."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Terminal:
    """Standard input and output in raw mode, and the way back."""

    def __init__(self, alternate: bool) -> None:
        self._on, self._off = _ON, _OFF
        if alternate:
            self._on, self._off = _ALTERNATE[0] + _ON, _OFF + _ALTERNATE[1]
        self._saved = termios.tcgetattr(0)
        self._drawn = Frame([], 0, 0)
        self._size = (0, 0)
        self._resized = True  # the size is to be asked for again
        self._stale = True  # the screen is to be drawn again, even the same
        self.wake, self._waker = os.pipe()  # readable after a signal

    def enter(self) -> None:
        """Take the terminal over; whatever happens then, `leave` is to follow."""
        for end in (self.wake, self._waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # to be woken is enough
        signal.signal(signal.SIGWINCH, self._changed)
        signal.signal(signal.SIGCONT, self._continued)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, _leave)
        self._raw()

    def leave(self) -> None:
        """Put the terminal back as it was; from here on no signal interrupts."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGCONT, signal.SIGWINCH):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        self._restore()

    def size(self) -> tuple[int, int]:
        """Columns and rows; 80x24 when the terminal does not say."""
        if self._resized:
            self._resized, self._stale = False, True  # before asking: a signal from here on counts anew
            columns, rows = os.get_terminal_size(1)
            self._size = (max(columns or 80, 10), max(rows or 24, 4))
        return self._size

    def drain(self) -> None:
        """The signals have been seen."""
        with suppress(BlockingIOError):
            while os.read(self.wake, 1024):
                pass

    def paint(self, printed: list[str], frame: Frame, sequences: str = "") -> None:
        """Print rows above the frame for good, and draw the frame; all of it at once (mode 2026)."""
        if frame == self._drawn and not (printed or sequences or self._stale):
            return
        rows = "".join(f"{row}\r\n" for row in printed)
        lines = "\r\n".join(_styled(row, number == len(frame.rows) - 1) for number, row in enumerate(frame.rows))
        below = len(frame.rows) - 1 - frame.row
        place = (f"\x1b[{below}A" if below else "") + "\r" + (f"\x1b[{frame.column}C" if frame.column else "")
        write(f"{_BEGIN}{self._erasing()}{rows}{lines}{place}{_END}{sequences}")
        self._drawn, self._stale = frame, False

    def clear(self) -> None:
        """Forget what is on the screen and draw at its top."""
        write("\x1b[H\x1b[2J")
        self._drawn, self._stale = Frame([], 0, 0), True

    def suspend(self) -> None:
        """Stop like any program at Ctrl-Z; whoever started us says when to go on."""
        self._restore()
        os.kill(0, signal.SIGTSTP)
        self._raw()

    def _erasing(self) -> str:
        row = self._drawn.row
        return (f"\x1b[{row}A" if row else "") + "\r\x1b[J"

    def _raw(self) -> None:
        tty.setraw(0, termios.TCSANOW)  # what has been typed ahead stays
        write(self._on)
        self._drawn, self._resized = Frame([], 0, 0), True

    def _restore(self) -> None:
        with suppress(OSError, termios.error):  # the terminal may be gone
            if select.select([], [1], [], _LAST_WORDS)[1]:
                os.write(1, f"{self._erasing()}{self._off}".encode())
            self._drawn = Frame([], 0, 0)
            termios.tcsetattr(0, termios.TCSANOW, self._saved)

    def _changed(self, number: int, frame: FrameType | None) -> None:
        self._resized = True

    def _continued(self, number: int, frame: FrameType | None) -> None:
        self._raw()


def read() -> bytes:
    """What has been typed."""
    try:
        data = os.read(0, 65536)
    except OSError:
        data = b""
    if not data:
        raise Leave(128 + signal.SIGHUP)
    return data


def write(text: str) -> None:
    """All of a text to the terminal, however slowly it takes it."""
    content = memoryview(text.encode("utf-8", "replace"))
    while content:
        try:
            content = content[os.write(1, content) :]
        except BlockingIOError:
            select.select([], [1], [])
        except OSError:
            raise Leave(128 + signal.SIGHUP) from None


def _leave(number: int, frame: FrameType | None) -> None:
    for other in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(other, signal.SIG_IGN)
    raise Leave(128 + number)


def _styled(row: str, last: bool) -> str:
    return f"\x1b[2m{row}\x1b[22m" if row and (last or row.startswith("─")) else row
