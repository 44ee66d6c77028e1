"""What the agent does now: told by its own signals where it gives any, else judged from a settled screen."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from synapse.runner.dialogs import Foot, Question
from synapse.runner.parts import SCREEN
from synapse.runner.process import Child
from synapse.runner.profile import Profile
from synapse.runner.prompts import UNSURE, Stillness
from synapse.runner.rules import Told
from synapse.runner.skeleton import TAIL, skeleton
from synapse.runner.terminal import Mark, Terminal
from synapse.runner.trust import Trust

__all__ = ["Question", "StatusMachine"]

STARTING, READY, PROCESSING, WAITING, DONE, STOPPED = "STARTING", "READY", "PROCESSING", "WAITING", "DONE", "STOPPED"
RATE_LIMITED = "RATE_LIMITED"
COMES_UP = 30.0  # seconds in which a program with a known screen is not ready before that is there
UNREAD = 0.02  # seconds in which what the program wrote, or reported, shortly before is read, too
STUNNED = 3.0  # seconds after Enter in which a program with a known screen that has not taken it yet is not ready
DONE_SHOWN = 10.0  # seconds for which an agent that has just finished is shown as DONE


class StatusMachine:
    """One agent's status; `on_change(before)` is called whenever it, its question or its source becomes another.

    This only says what is seen and heard: it never presses a key.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, profile: Profile, child: Child, terminal: Terminal) -> None:
        self.status = STARTING
        self.source = "process"
        self.since = loop.time()
        self.question: Question | None = None
        self.command = ""  # what the program last said that it asks about, or will
        self.last_output = loop.time()
        self.on_change: Callable[[str], None] = lambda before: None
        self._loop = loop
        self._profile = profile
        self._child = child
        self._terminal = terminal
        self._foot = Foot(profile, terminal)
        doubt = profile.doubt if profile.patterns else 0.0  # stillness is no contradiction
        self._trust = Trust(profile.order, profile.reporting, doubt)
        self._leader = ""  # the source that decided
        self._labels = {SCREEN: SCREEN}  # by source: what its last word came from
        self._submitted = 0.0  # when something was sent that has not been seen to be worked on; 0 = nothing
        self._sent = 0.0  # when something was sent last
        self._reacted = 0.0  # when it was seen to take that; 0 = not yet
        self._mark: Mark | None = None  # where that will stand
        self._taken = (0.0, "")  # when something was taken, and what
        self._ending: Told | None = None  # it says that it has ended, but its screen shows work
        self._dialog = False  # the dialog that it waits in has been seen
        self._limit_over = False
        self._heard = False  # it has written something
        self._stillness = Stillness(child, terminal, profile)
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    @property
    def idle(self) -> bool:
        """May something be typed now?"""
        return self.status in (READY, DONE)

    @property
    def prompted(self) -> bool:
        """May its prompt stand there at this very moment, whether it has been judged or not?"""
        return self._foot.ready() if self._profile.patterns else self._stillness.unchanged

    @property
    def unchanged(self) -> bool:
        """Of a program without patterns: is it in the mode in which it takes lines?"""
        return self._stillness.unchanged

    @property
    def silent(self) -> tuple[str, ...]:
        """The sources that should have spoken and have not: others stand in for them."""
        return tuple(sorted(self._trust.silent))

    def asks(self) -> Question | None:
        """The dialog that stands on the screen at this very moment; None when there is none, or not surely."""
        return self._foot.question()

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
        if self._ending is not None and not self._works():
            self._loop.call_later(UNREAD, self._ends)
        if self._submitted:
            self._look_for_work()

    def submitted(self) -> None:
        """Something was sent to it: it works, until it has been seen to or stayed ready for a while."""
        now = self._submitted = self._sent = self._loop.time()
        self._reacted = 0.0
        self._mark = self._terminal.mark()
        self._limit_over = False
        self._ending = None
        self._trust.submitted(now)
        if self._trust.waits:
            self._loop.call_later(self._profile.silent, self._too_late, now)
        self._set(PROCESSING, "submit")
        self._look_in(self._patience)

    def reacted(self) -> None:
        """It is seen to have taken what was sent: from now on a prompt may mean that it is ready again."""
        self._reacted = self._loop.time()
        self._look_in(self._patience)

    def taken(self, typed: str, since: float) -> bool:
        """Has the program said, since then, that it has taken this?"""
        when, what = self._taken
        return when >= since and (not what or skeleton(typed)[-TAIL:] in what)

    @property
    def took(self) -> str:
        """What the program said that it took last, without blanks."""
        return self._taken[1]

    def unsubmitted(self) -> None:
        """What was sent has not been taken, or nobody knows: the screen counts."""
        self._submitted = 0.0
        self._trust.forget()
        self._look_in(self._patience)

    def interrupted(self) -> None:
        """Somebody has pressed the keys for it: programs often say nothing of that, and the screen counts."""
        if self._trust.doubts:
            self._trust.forget()
        self._look_in(self._patience)

    def suspended(self) -> None:
        """The program was stopped (Ctrl-Z): nothing is typed into it until it goes on."""
        self._set(PROCESSING, "suspended")

    def resumed(self) -> None:
        """The program goes on."""
        self._look_in(self._patience)

    def verify(self) -> bool:
        """May something be typed at this very moment? A person may have started something that has not settled yet."""
        if not self.idle or self._child.stopped:
            return False
        if self._trust.speaks or self._profile.patterns or self._stillness.unchanged:
            return True
        self.submitted()
        return False

    def is_earlier(self, told: Told) -> bool:
        """Is it the end of something earlier? Its source has not said yet that it has taken what was submitted."""
        return told.status in (READY, RATE_LIMITED) and not told.takes and self._trust.untaken(told.source)

    def told(self, told: Told) -> None:
        """The program has reported something by itself."""
        if told.takes and self._ending is not None:
            self.told(replace(self._ending, rests=False))  # it was over: now it begins something else
        earlier, now = self.is_earlier(told), self._loop.time()
        if told.takes:
            self._taken = (now, skeleton(told.prompt))
        self._trust.heard(told.source, took=told.takes)
        self.command = self.command if told.command is None else told.command
        if not told.status or earlier:
            return
        self._ending = told if told.rests and self._profile.patterns else None
        if self._ending is not None:
            self._loop.call_later(UNREAD, self._ends)
            self._look_in(self._patience)
            return
        self._labels[told.source] = told.label
        self._trust.says(told.source, told.status, now)
        if told.status == WAITING:
            if self.status == WAITING and self._leader == told.source and not told.question:
                return  # it says so again
            self._dialog = False
            self._decide(told.source, WAITING, Question(told.question, told.choices) if told.question else None)
            self._look_in(self._patience)
        else:
            limit = Question(told.question) if told.status == RATE_LIMITED and told.question else None
            self._weigh(told.source, fresh=True, question=limit)

    def stopped(self) -> None:
        """The program has ended."""
        if self._timer is not None:
            self._timer.cancel()
        self._set(STOPPED, "process")

    def _works(self) -> bool:
        """Does the screen show work, or has it not come to rest?"""
        if self._terminal.lag or self._terminal.synchronized or self._foot.busy():
            return True
        return not self._foot.ready() and self._loop.time() - self.last_output < self._patience - 0.001

    def _ends(self) -> None:
        """Let an end count that was reported while there was work, once there is none."""
        if self._ending is not None and not self._works():
            self.told(replace(self._ending, rests=False))

    # -- whose word counts

    def _weigh(self, source: str, *, fresh: bool, question: Question | None = None) -> None:
        """Let a source's word count, now or when it has stood for long enough."""
        status = self._trust.status(source)
        if status == READY and self._comes_up(source):
            self._look_in(self._patience)
            return
        if status == self._plain and source != self._leader and not self._trust.best(source):
            return
        if (
            self.status == RATE_LIMITED
            and source == SCREEN != self._leader
            and status == READY
            and not self._limit_over
        ):
            return  # at its limit it looks as if it were at rest
        left = self._trust.left(source, self._loop.time(), fresh=fresh)
        if left == 0.0:
            self._decide(source, status, question)
        elif left is not None:
            self._look_in(left)

    def _comes_up(self, source: str) -> bool:
        """Is it said to be ready before its composer is there, or takes pastes? At first both count, too."""
        if self.status != STARTING or self._loop.time() - self.since > COMES_UP or not self._profile.patterns:
            return False
        pastes = self._terminal.bracketed_paste or not self._profile.pastes
        return not pastes or (source != SCREEN and not self._foot.ready())

    @property
    def _plain(self) -> str:
        return READY if self.status == DONE else self.status

    def _decide(self, source: str, status: str, question: Question | None = None) -> None:
        self._submitted, self._leader = 0.0, source
        if status == RATE_LIMITED != self.status:
            self._loop.call_later(self._profile.limit_lasts, self._limit_ends, self._sent)
        if (status, self._labels[source]) != (self._plain, self.source):
            self._trust.decided(self._loop.time())
        self._set(status, self._labels[source], question)

    def _too_late(self, sent: float) -> None:
        """Some time after Enter: who should have said that the message was taken, and has not, is not waited for."""
        if self._trust.waits and self._sent == sent and self.status != STOPPED:
            self._trust.fall_silent()
            self.on_change(self.status)
            self._look_in(0.0)

    # -- the screen

    @property
    def _patience(self) -> float:
        """Seconds without output before the screen counts."""
        return self._profile.settle if self._profile.patterns else self._profile.still

    def _look_in(self, seconds: float) -> None:
        if self.status == STOPPED:
            return
        due = self._loop.time() + seconds
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._child.stopped:
            return  # `resumed` looks again
        for source in self._trust.told():
            if source != SCREEN:
                self._weigh(source, fresh=False)
        self._ends()
        quiet = self._loop.time() - max(self.last_output, self._submitted)
        if quiet < self._patience - 0.001 or self._terminal.lag or self._terminal.synchronized:
            self._look_for_work()  # a spinner never settles
            self._look_in(max(self._patience - quiet, 0.01))
        elif self._profile.patterns:
            self._judge_by_patterns()
        elif not self._trust.speaks:
            self._judge_by_stillness(quiet)

    def _look_for_work(self) -> bool:
        """A busy sign counts at once where nothing better speaks: True when there is one."""
        if self._terminal.lag or self._terminal.synchronized or not self._foot.busy():
            return False
        self._sees(PROCESSING)
        return True

    def _sees(self, status: str, question: Question | None = None) -> None:
        """This is what the screen says."""
        self._trust.says(SCREEN, status, self._loop.time())
        if self.status == WAITING and self._dialog and self._leader != SCREEN and self._trust.doubts:
            self._dialog = False
            self._decide(SCREEN, PROCESSING)  # the dialog is over: what comes of it will be said
        self._weigh(SCREEN, fresh=True, question=question)

    def _judge_by_patterns(self) -> None:
        """A dialog counts when it stands below every sign of the composer: what was pasted or printed stands above."""
        question = self._foot.question()
        if question is not None:
            self._asks(question)
        elif self._look_for_work():
            return
        elif self._foot.ready():
            left = self._hides()
            if left > 0.001:
                self._look_in(left)
            else:
                self._rests()
        elif self.status == WAITING and self._leader == SCREEN:
            self._sees(PROCESSING)  # its dialog has gone

    def _hides(self) -> float:
        """Seconds for which it may work and not show it: it has only begun, or not even that, or pauses."""
        now, unseen, left = self._loop.time(), self._profile.unseen, 0.0
        if self._submitted:
            left = (self._reacted + unseen if self._reacted else self._submitted + max(unseen, STUNNED)) - now
        if self.status == PROCESSING and self._profile.ended and not self._foot.ended():
            left = max(left, max(self.last_output, self._submitted) + self._profile.pauses - now)
        return left

    def _asks(self, question: Question) -> None:
        if self.status == WAITING and self._leader != SCREEN:
            self._dialog = True
            self._set(WAITING, self.source, question)
        else:
            self._trust.says(SCREEN, WAITING, self._loop.time())
            self._weigh(SCREEN, fresh=True, question=question)

    def _rests(self) -> None:
        limit = "" if self._limit_over else self._foot.limited(self._mark)
        if not limit:
            self._sees(READY)
        elif self.status != RATE_LIMITED or self._leader == SCREEN:
            self._decide(SCREEN, RATE_LIMITED, Question(limit))

    def _limit_ends(self, sent: float) -> None:
        if self.status == RATE_LIMITED and self._sent == sent:
            self._limit_over = True
            self._trust.forget()
            self._look_in(0.0)

    def _judge_by_stillness(self, quiet: float) -> None:
        if self._stillness.hidden:
            self._set(WAITING, "terminal", Question(self._foot.line()))  # it hides what is typed: a password
            return
        left = self._stillness.left(quiet, heard=self._heard)
        if left is not None and self._stillness.wants:
            self._set(WAITING, "terminal", Question(self._foot.line()))
        elif left == 0.0:
            self._submitted = 0.0
            self._set(READY, "stillness")
        elif left is not None:
            self._look_in(left)
        elif self._child.reading:
            self._set(WAITING, "terminal", Question(self._foot.line()))  # what it runs asks for a line
        else:
            if self.status == WAITING:
                self._set(PROCESSING, "terminal")  # it has got it
            if quiet < UNSURE - 0.001:
                self._look_in(UNSURE - quiet)

    # -- changing

    def _set(self, status: str, source: str, question: Question | None = None) -> None:
        if self.status == STOPPED:
            return  # what comes late counts no more
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
