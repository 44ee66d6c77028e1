"""A program's terminal without a program: a clock that is moved by hand, a model, and a child that does as it is told."""

import heapq
from collections.abc import Callable
from typing import Any

from synapse.runner.profile import Profile
from synapse.runner.rules import Hearing
from synapse.runner.status import StatusMachine
from synapse.runner.terminal import Terminal


class Clock:
    """The part of a loop that the runner's machines use."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._due: list[tuple[float, int, Timer]] = []

    def time(self) -> float:
        return self._now

    def call_later(self, seconds: float, then: Callable[..., Any], *arguments: Any) -> "Timer":
        timer = Timer(then, arguments)
        heapq.heappush(self._due, (self._now + seconds, len(self._due) + int(self._now * 1e6), timer))
        return timer

    def go(self, seconds: float) -> None:
        """Let time pass."""
        end = self._now + seconds
        while self._due and self._due[0][0] <= end:
            self._now, _, timer = heapq.heappop(self._due)
            if not timer.cancelled:
                timer.then(*timer.arguments)
        self._now = end

    @property
    def waiting(self) -> int:
        """How many timers will still ring."""
        return sum(not timer.cancelled for _, _, timer in self._due)


class Timer:
    def __init__(self, then: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.then, self.arguments, self.cancelled = then, arguments, False

    def cancel(self) -> None:
        self.cancelled = True


class Program:
    """What the machines ask of a child."""

    pid = 77

    def __init__(self) -> None:
        self.canonical = False
        self.echo = True
        self.stopped = False
        self.reading = False
        self.foreground = self.pid

    def terminal(self, *, canonical: bool, echo: bool, own: bool) -> None:
        """Its line mode, its echo, and whether it has the terminal itself."""
        self.canonical, self.echo, self.foreground = canonical, echo, self.pid if own else self.pid + 1


class Stage:
    """A status machine, and what it said: `changes` holds (status, source) whenever one of them changed."""

    def __init__(self, profile: Profile, columns: int = 80, rows: int = 24) -> None:
        self.profile = profile
        self.clock = Clock()
        self.program = Program()
        self.terminal = Terminal(columns, rows)
        self.machine = StatusMachine(self.clock, profile, self.program, self.terminal)  # type: ignore[arg-type]
        self.hearing = Hearing(profile.heeded, profile.session)
        self.changes: list[tuple[str, str]] = []
        self.machine.on_change = lambda before: self.changes.append((self.machine.status, self.machine.source))
        self.machine.begin()

    @property
    def status(self) -> str:
        return self.machine.status

    def hooks(self, event: str, **fields: Any) -> None:
        """A hook of the program's reports something."""
        for told in self.hearing.report("hook", event, fields):
            self.machine.told(told)

    def shows(self, text: str, seconds: float = 0.0) -> None:
        """The program writes lines, and time passes."""
        self.writes(text.replace("\n", "\r\n").encode(), seconds)

    def writes(self, data: bytes, seconds: float = 0.0) -> None:
        """The program writes something, and time passes."""
        self.terminal.write(data)
        while not self.terminal.advance(1.0):
            pass
        self.machine.output()
        for signal in self.terminal.signals():
            for told in self.hearing.terminal(signal):
                self.machine.told(told)
        self.machine.settled()
        self.clock.go(seconds)

    def redraws(self, *lines: str, seconds: float = 0.5) -> None:
        """The program draws these lines at the bottom of a cleared screen; the cursor stays behind the last."""
        self.shows("\x1b[2J\x1b[H" + "\n".join(lines), seconds)
