"""What the agent does now: told by its own signals where it gives any, else judged from a settled screen."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from synapse.runner.process import Child
from synapse.runner.profile import Profile
from synapse.runner.terminal import Signal, Terminal

STARTING, READY, PROCESSING, WAITING, DONE, STOPPED = "STARTING", "READY", "PROCESSING", "WAITING", "DONE", "STOPPED"
DONE_SHOWN = 10.0  # seconds for which an agent that has just finished is shown as DONE
UNSURE = 3.0  # seconds of stillness after which an unknown program with an unknown prompt counts as ready
BOTTOM = 30  # lines from the end in which a frame is looked for

_OSC7501 = re.compile(r"(?:^|;)state=(\w+)")
_STATES = {"idle": READY, "done": READY, "working": PROCESSING, "blocked": WAITING}


@dataclass(frozen=True, slots=True)
class Question:
    """What a waiting agent asks, and the choices that it offers."""

    text: str
    choices: tuple[str, ...] = ()


class StatusMachine:
    """One agent's status; `on_change(before)` is called whenever it becomes another.

    A source never turns a guess into a key press: this only says what is seen.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, profile: Profile, child: Child, terminal: Terminal) -> None:
        self.status = STARTING
        self.source = "process"
        self.since = loop.time()
        self.question: Question | None = None
        self.on_change: Callable[[str], None] = lambda before: None
        self._loop = loop
        self._profile = profile
        self._child = child
        self._terminal = terminal
        self._last_output = loop.time()
        self._heard_since_submit = True
        self._signalled = False
        self._prompt: _Prompt | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """May something be typed now?"""
        return self.status in (READY, DONE)

    def output(self) -> None:
        """The child has written something: judge its screen when it has settled."""
        self._last_output = self._loop.time()
        self._heard_since_submit = True
        self._look_in(self._profile.settle if self._profile.patterns else self._profile.still)

    def submitted(self) -> None:
        """Something was sent to it: it works, until it has answered and looks idle."""
        self._heard_since_submit = False
        self._set(PROCESSING, "submit")

    def signal(self, signal: Signal) -> None:
        """Something that the program told its terminal; what it says of its state beats the screen."""
        if signal.name != "osc7501" or "osc7501" not in self._profile.signals:
            return
        found = _OSC7501.search(signal.value)
        state = _STATES.get(found.group(1)) if found else None
        if state is None:
            return
        self._signalled = True
        self._heard_since_submit = True
        if state == WAITING:
            self._look_in(self._profile.settle)  # the question is on the screen
        self._set(state, "signal", _question(self._profile, self._text()) if state == WAITING else None)

    def stopped(self) -> None:
        """The program has ended."""
        self.close()
        self._set(STOPPED, "process")

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the screen

    def _look_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        quiet = self._loop.time() - self._last_output
        wanted = self._profile.settle if self._profile.patterns else self._profile.still
        if quiet < wanted - 0.001 or self._terminal.lag or self._terminal.synchronized:
            self._look_in(max(wanted - quiet, 0.01))
            return
        if self._profile.patterns:
            self._judge_by_patterns()
        else:
            self._judge_by_stillness(quiet)

    def _text(self) -> str:
        return "\n".join(_bottom(self._terminal.lines()))

    def _judge_by_patterns(self) -> None:
        text, profile = self._text(), self._profile
        if _any(profile.waiting, text):
            self._set(WAITING, "screen", _question(profile, text))
        elif self._signalled:
            return
        elif _any(profile.busy, text):
            self._set(PROCESSING, "screen")
        elif _any(profile.ready, text) and self._heard_since_submit:
            self._ready("screen")

    def _judge_by_stillness(self, quiet: float) -> None:
        """READY when it is still, in the same line mode and foreground as at its first prompt, behind such a prompt."""
        if self._signalled or not self._heard_since_submit:
            return
        now = _Prompt.of(self._terminal, self._child)
        if self._prompt is None:
            self._prompt = now
        if not now.same_mode(self._prompt):
            return  # it runs something: its next output brings us here again
        if now.tail == self._prompt.tail or quiet >= UNSURE:
            self._ready("stillness")
        else:
            self._look_in(UNSURE - quiet)

    def _ready(self, source: str) -> None:
        if not self.idle:
            self._set(DONE if self.status == PROCESSING else READY, source)

    # -- changing

    def _set(self, status: str, source: str, question: Question | None = None) -> None:
        if status == READY and self.status == PROCESSING:
            status = DONE
        if status == READY and self.status == DONE:
            return
        if (status, question) == (self.status, self.question):
            return
        before, self.status, self.source, self.question = self.status, status, source, question
        self.since = self._loop.time()
        if status == DONE:
            self._loop.call_later(DONE_SHOWN, self._done_is_over, self.since)
        self.on_change(before)

    def _done_is_over(self, since: float) -> None:
        if self.status == DONE and self.since == since:
            self.status, self.since = READY, self._loop.time()
            self.on_change(DONE)


@dataclass(frozen=True, slots=True)
class _Prompt:
    """Where an unknown program stands when it waits for a line."""

    tail: str  # the last two characters before the cursor
    canonical: bool
    foreground: int

    @classmethod
    def of(cls, terminal: Terminal, child: Child) -> "_Prompt":
        row, column = terminal.cursor
        lines = terminal.lines()
        before = lines[row].ljust(column)[:column] if row < len(lines) else ""
        return cls(before[-2:], child.canonical, child.foreground)

    def same_mode(self, other: "_Prompt") -> bool:
        return (self.canonical, self.foreground) == (other.canonical, other.foreground)


def _bottom(lines: list[str]) -> list[str]:
    """The last lines with something on them."""
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    return lines[max(0, end - BOTTOM) : end]


def _any(patterns: tuple[re.Pattern[str], ...], text: str) -> bool:
    return any(pattern.search(text) for pattern in patterns)


def _question(profile: Profile, text: str) -> Question:
    """The line that asks, with what follows up to the choices; and the choices."""
    begin = next((found for pattern in profile.waiting if (found := pattern.search(text))), None)
    asked = text[begin.start() :] if begin else text
    if profile.choice is None:
        return Question(asked[:2000].strip())
    choices = tuple(" ".join(found.groups()) for found in profile.choice.finditer(asked))
    first = profile.choice.search(asked)
    return Question((asked[: first.start()] if first else asked)[:2000].strip(), choices)
