"""What the agent does now: told by its own signals where it gives any, else judged from a settled screen."""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from synapse.runner.process import Child
from synapse.runner.profile import Profile
from synapse.runner.terminal import Signal, Terminal

STARTING, READY, PROCESSING, WAITING, DONE, STOPPED = "STARTING", "READY", "PROCESSING", "WAITING", "DONE", "STOPPED"
DONE_SHOWN = 10.0  # seconds for which an agent that has just finished is shown as DONE
UNSURE = 3.0  # seconds of stillness after which an unknown program with an unknown prompt counts as ready
BOTTOM = 30  # lines from the end in which a dialog is looked for
ASKED = 2000  # characters of a question

_BOX = re.compile(r"^\s*[│┃] ?|\s*[│┃]?\s*$")
_OSC7501 = re.compile(r"(?:^|;)state=(\w+)")
_STATES = {"idle": READY, "done": READY, "working": PROCESSING, "blocked": WAITING}


@dataclass(frozen=True, slots=True)
class Question:
    """What a waiting agent asks, and the choices that it offers."""

    text: str
    choices: tuple[str, ...] = ()


class StatusMachine:
    """One agent's status; `on_change(before)` is called whenever it, its question or its source becomes another.

    This only says what is seen: it never presses a key.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, profile: Profile, child: Child, terminal: Terminal) -> None:
        self.status = STARTING
        self.source = "process"
        self.since = loop.time()
        self.question: Question | None = None
        self.last_output = loop.time()
        self.on_change: Callable[[str], None] = lambda before: None
        self._loop = loop
        self._profile = profile
        self._child = child
        self._terminal = terminal
        self._submitted = 0.0  # when something was sent that has not been seen to be worked on; 0 = nothing
        self._heard = False  # it has written something
        self._signalled = False
        self._prompt: _Prompt | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """May something be typed now?"""
        return self.status in (READY, DONE)

    # -- what happens

    def begin(self) -> None:
        """The program runs; one that writes nothing is looked at all the same."""
        self._look_in(self._patience)

    def output(self) -> None:
        """The program has written something: judge its screen when it has settled."""
        self.last_output = self._loop.time()
        self._heard = True
        self._look_in(self._patience)

    def settled(self) -> None:
        """The screen is up to date: after Enter, a busy sign may stand on it too shortly to settle."""
        if self._submitted:
            self._look_for_work()

    def submitted(self) -> None:
        """Something was sent to it: it works, until it has been seen to or stayed ready for a while."""
        self._submitted = self._loop.time()
        self._set(PROCESSING, "submit")
        self._look_in(self._patience)

    def suspended(self) -> None:
        """The program was stopped (Ctrl-Z): nothing is typed into it until it goes on."""
        self._set(PROCESSING, "suspended")

    def resumed(self) -> None:
        """The program goes on."""
        self._look_in(self._patience)

    def asks(self) -> Question | None:
        """The dialog that stands on the screen at this very moment; None when there is none, or not surely."""
        return self._question()

    def verify(self) -> bool:
        """May something be typed at this very moment? A person may have started something that has not settled yet."""
        if not self.idle or self._child.stopped:
            return False
        if self._signalled or self._profile.patterns or self._prompt is None:
            return True
        if _Prompt.of(self._terminal, self._child).same_mode(self._prompt):
            return True
        self.submitted()
        return False

    def signal(self, signal: Signal) -> None:
        """Something that the program told its terminal; what it says of its state beats the screen."""
        if signal.name != "osc7501" or "osc7501" not in self._profile.signals:
            return
        found = _OSC7501.search(signal.value)
        state = _STATES.get(found.group(1)) if found else None
        if state is None:
            return
        self._signalled, self._submitted = True, 0.0
        self._set(state, "signal", self._question() if state == WAITING else None)

    def stopped(self) -> None:
        """The program has ended."""
        if self._timer is not None:
            self._timer.cancel()
        self._set(STOPPED, "process")

    # -- the screen

    @property
    def _patience(self) -> float:
        """Seconds without output before the screen counts."""
        return self._profile.settle if self._profile.patterns else self._profile.still

    def _look_in(self, seconds: float) -> None:
        if self._timer is None and self.status != STOPPED:
            self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._child.stopped:
            return  # `resumed` looks again
        quiet = self._loop.time() - max(self.last_output, self._submitted)
        if quiet < self._patience - 0.001 or self._terminal.lag or self._terminal.synchronized:
            self._look_for_work()  # a spinner never settles
            self._look_in(max(self._patience - quiet, 0.01))
        elif self._signalled:
            if self.status == WAITING:
                self._set(WAITING, "signal", self._question())
        elif self._profile.patterns:
            self._judge_by_patterns()
        else:
            self._judge_by_stillness(quiet)

    def _look_for_work(self) -> bool:
        """A busy sign counts at once: True when there is one."""
        if self._signalled or self._terminal.lag or self._terminal.synchronized:
            return False
        if _lowest(self._profile.busy, self._foot()) is None:
            return False
        self._submitted = 0.0
        self._set(PROCESSING, "screen")
        return True

    def _judge_by_patterns(self) -> None:
        """A dialog counts when it stands below every sign of the composer: what was pasted or printed stands above."""
        question = self._question()
        if question is not None:
            self._submitted = 0.0
            self._set(WAITING, "screen", question)
        elif not self._look_for_work() and _lowest(self._profile.ready, self._foot()) is not None:
            left = self._submitted + self._profile.unseen - self._loop.time() if self._submitted else 0.0
            if left > 0.001:  # it may not have begun to show that it works
                self._look_in(left)
            else:
                self._ready("screen")

    def _judge_by_stillness(self, quiet: float) -> None:
        """READY when it is still, in the same line mode and foreground as at its first prompt, behind such a prompt."""
        now = _Prompt.of(self._terminal, self._child)
        if now.canonical and not self._child.echo:
            self._set(WAITING, "terminal", Question(self._line()[:ASKED]))  # it hides what is typed: a password
            return
        if self._prompt is None or now.betters(self._prompt, self._child.pid):
            self._prompt = now
        if not now.same_mode(self._prompt):
            return  # it runs something: its next output brings us here again
        known = self._heard and now.tail == self._prompt.tail
        if known or quiet >= UNSURE - 0.001:
            self._ready("stillness")
        else:
            self._look_in(UNSURE - quiet)

    def _ready(self, source: str) -> None:
        self._submitted = 0.0
        self._set(READY, source)

    def _text(self) -> list[str]:
        """The last lines of the screen, down to the last with something on it."""
        lines = self._terminal.lines()
        end = len(lines)
        while end and not lines[end - 1].strip():
            end -= 1
        return lines[max(0, end - BOTTOM) : end]

    def _foot(self) -> str:
        return "\n".join(self._text()[-self._profile.foot :])

    def _line(self) -> str:
        lines = self._text()
        return lines[-1].strip() if lines else ""

    def _question(self) -> Question | None:
        """The dialog at the end of the screen; None when there is none, or not surely."""
        profile, lines = self._profile, self._text()
        text = "\n".join(lines)
        asked = _lowest(profile.waiting, text)
        if asked is None:
            return None
        foot = len(text) - len("\n".join(lines[-profile.foot :]))
        sign = _lowest((*profile.busy, *profile.ready), text[foot:])
        if sign is not None and foot + sign > asked:
            return None
        return _question(profile, text[asked:])

    # -- changing

    def _set(self, status: str, source: str, question: Question | None = None) -> None:
        if status == READY and self.status in (PROCESSING, WAITING, DONE):
            status = DONE
        if (status, question) == (self.status, self.question) and source == self.source:
            return
        before = self.status
        if status != before:
            self.since = self._loop.time()
        self.status, self.source, self.question = status, source, question
        if status == DONE != before:
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

    def betters(self, other: "_Prompt", own_group: int) -> bool:
        """A line editor at work says more than a program that has not started one yet."""
        return other.canonical and not self.canonical and self.foreground in (other.foreground, own_group)


def _lowest(patterns: Iterable[re.Pattern[str]], text: str) -> int | None:
    """Where the last match of any of the patterns begins."""
    return max((found.start() for pattern in patterns for found in pattern.finditer(text)), default=None)


def _question(profile: Profile, asked: str) -> Question | None:
    """A dialog's text up to its choices, and those; None where the choices are missing that there should be."""
    if profile.choice is None:
        return Question(_unframed(asked))
    found = list(profile.choice.finditer(asked))
    if not found:
        return None
    choices = tuple(" ".join(one.groups()).strip() for one in found)
    return Question(_unframed(asked[: found[0].start()]), choices)


def _unframed(text: str) -> str:
    """A dialog without the box around it and without empty lines at its end."""
    return "\n".join(_BOX.sub("", line) for line in text.split("\n")).strip()[:ASKED]
