"""The person's own terminal: raw while an agent is shown on it, and left as it was found, whatever happens.

Its modes are undone (only those seen on: the runner says which) and its line settings put back: at the end, on a
signal, and when the runner dies. SIGKILL alone cannot be mended.
"""

import errno
import os
import re
import select
import signal
import termios
import time
import tty
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

from synapse.errors import Refused

PENDING = 64 << 10  # bytes under way in one direction before the other side is left waiting
CHUNK = 16 << 10  # bytes of one write: without a description of our own it may block
LAST_WORDS = 2.0  # seconds for a terminal to take what is left for it
ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
CURSOR = b"\x1b[6n"
_PLACE = re.compile(rb"\x1b\[([0-9]{1,4});([0-9]{1,4})R")
_FENCE = re.compile(rb"\x1b\[\?[0-9;]*c")  # the answer to DA1


class Probe(NamedTuple):
    """What a terminal answered, with the keys typed meanwhile (for `attach(typed=...)`, where reports are dropped).

    `cursor` is (column, row) from 1, or None if it did not say: see `Viewers.begin_at`.
    """

    answer: bytes
    cursor: tuple[int, int] | None


class UserTerminal:
    """This process's terminal: `with` it, it is raw, and restored at the end or at a signal."""

    def __init__(self) -> None:
        if not (os.isatty(0) and os.isatty(1)):
            what = "This needs a terminal on standard input and output"
            raise Refused(
                "no-terminal", f"{what}; `synapse start` runs an agent without one, `synapse logs` shows its log."
            )
        self._own = _own_description()
        self.reads = self.writes = self._own
        if self._own < 0:
            self.reads, self.writes = 0, 1
        self.undo = b""
        self._found = termios.tcgetattr(self.reads)

    def __enter__(self) -> "UserTerminal":
        self._handlers = {number: signal.signal(number, _end) for number in ENDING}
        self.raw()
        return self

    def __exit__(self, *_: object) -> None:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)  # a window that is closed sends several
        self.restore()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._own >= 0:
            os.close(self._own)

    def probe(self, question: bytes, within: float = 0.15) -> "Probe":
        """Ask the terminal; listen until it has answered DA1, which must come last, or `within` seconds have passed."""
        self.write_all(CURSOR + question)
        deadline = time.monotonic() + within
        answer = b""
        while not _FENCE.search(answer):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.reads], [], [], left)[0]:
                break
            answer += os.read(self.reads, PENDING)
        place = _PLACE.search(answer)
        if place is None:
            return Probe(answer, None)
        return Probe(answer[: place.start()] + answer[place.end() :], (int(place[2]), int(place[1])))

    def size(self) -> tuple[int, int]:
        columns, rows = os.get_terminal_size(self.writes)
        return columns or 80, rows or 24

    def raw(self) -> None:
        """Keys come as they are typed, bytes go out as they are."""
        _insist(tty.setraw, self.reads, termios.TCSANOW)

    def restore(self) -> None:
        """Leave the terminal as it was found; harmless when it is gone."""
        try:
            self.write_all(self.undo)
            _insist(termios.tcsetattr, self.reads, termios.TCSANOW, self._found)
        except (OSError, termios.error):
            pass  # the terminal is gone: there is nothing left to restore

    def write_all(self, data: bytes | bytearray) -> None:
        """Write it all, for at most two seconds to a terminal that has stopped reading."""
        deadline = time.monotonic() + LAST_WORDS
        while data:
            data = data[self.write(data) :]
            left = deadline - time.monotonic()
            if data and (left < 0 or not select.select([], [self.writes], [], left)[1]):
                return

    def write(self, data: bytes | bytearray) -> int:
        """As much as the terminal takes now."""
        try:
            return os.write(self.writes, data[:CHUNK])
        except BlockingIOError:
            return 0


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _own_description() -> int:
    """The terminal opened anew, so that not blocking is our affair alone: the shell shares ours. -1 if that fails."""
    try:
        return os.open(os.ttyname(0), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1


def _insist(change: Callable[..., Any], descriptor: int, *rest: Any) -> None:
    """In the background this stops us (SIGTTOU) until we are in the foreground again."""
    while True:
        try:
            change(descriptor, *rest)
            return
        except termios.error as error:
            if error.args[0] != errno.EINTR:
                raise
