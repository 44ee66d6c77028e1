"""The turn that is in the terminal: what was asked, what the program asks back, and the answer that is handed in."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from synapse.runner.dialogs import Question
from synapse.runner.letters import Turn
from synapse.runner.link import Link
from synapse.runner.profile import Profile
from synapse.runner.records import COUNTED_WITHIN, Reader
from synapse.runner.replies import bounded, from_screen
from synapse.runner.rules import Told
from synapse.runner.status import PROCESSING, RATE_LIMITED, WAITING, StatusMachine
from synapse.runner.terminal import Terminal

logger = logging.getLogger(__name__)


class Turns:
    """One turn at a time. What the program says of itself comes first, then its record, then its screen."""

    def __init__(
        self, *, link: Link, profile: Profile, terminal: Terminal, status: StatusMachine, reader: Reader | None
    ) -> None:
        self.on_handed_in: Callable[[], None] = lambda: None
        self._link = link
        self._profile = profile
        self._terminal = terminal
        self._status = status
        self._reader = reader if "record" in profile.answer_from else None
        self._turn: Turn | None = None
        self._asked: Question | None = None
        self._handing: asyncio.Task[None] | None = None

    @property
    def current(self) -> Turn | None:
        return self._turn

    @property
    def handing(self) -> bool:
        """Is an answer still being looked for? Until then nothing else is typed."""
        return self._handing is not None

    def close(self) -> None:
        if self._handing is not None:
            self._handing.cancel()

    # -- what happens

    def began(self, turn: Turn) -> None:
        """Enter is about to be pressed."""
        self._turn, self._asked = turn, None
        if self._reader is not None:
            turn.before = self._reader.size()

    def submitted(self, turn: Turn, seen: bool) -> None:
        """The message was submitted (or nobody can say so); the program may have answered meanwhile."""
        turn.delivered = seen
        if not seen:
            if self._turn is turn:
                self._turn = None
        elif self._status.idle:
            self._ended()
        elif self._status.status == WAITING:
            self._ask()
        elif self._status.status == RATE_LIMITED:
            self._limited()

    def told(self, told: Told) -> None:
        """The program has reported something; what belongs to an earlier turn is passed over."""
        turn = self._turn
        if turn is None or self._status.is_earlier(told):
            return
        if told.answer:
            turn.said, turn.failure = told.answer, ""  # it has gone on behind what failed
        if told.failure:
            turn.failure = told.answer or told.failure
        for name, count in told.usage.items():
            turn.usage[name] = turn.usage.get(name, 0) + count

    def changed(self, before: str) -> None:
        """The status has become another, or what is asked."""
        status = self._status.status
        if self._status.idle and before in (PROCESSING, WAITING):
            self._ended()
        elif status == WAITING:
            self._ask()
        elif status == RATE_LIMITED:
            self._limited()
        elif before == WAITING and status == PROCESSING:
            self._resume()

    def interrupted(self) -> None:
        """What it was at is over, whatever it still says of it."""
        turn = self._turn
        if turn is None or not turn.delivered:
            return
        self._turn = None
        if turn.message.task:
            self._link.change("tasks.cancel", task=turn.message.task, reason="It was interrupted.")

    # -- what is told to the hub

    def _ask(self) -> None:
        question, turn = self._status.question, self._turn
        if question is None or turn is None or not turn.delivered or question == self._asked:
            return
        self._asked = question
        if turn.message.task:
            self._link.change("tasks.ask", task=turn.message.task, question=question.text, choices=question.choices)

    def _resume(self) -> None:
        turn, asked, self._asked = self._turn, self._asked, None
        if turn is not None and asked is not None and turn.message.task:
            self._link.change("tasks.resume", task=turn.message.task)

    def _limited(self) -> None:
        """The program may not go on for now: whoever asked is told, and need not wait."""
        turn, question = self._turn, self._status.question
        if turn is None or not turn.delivered:
            return
        self._turn = None
        if turn.message.task:
            text = question.text if question is not None else turn.said or turn.failure
            what = {"text": text, "source": "screen", "failed": True, "reason": "rate_limited"}
            self._link.change("tasks.complete", task=turn.message.task, **what)

    def _ended(self) -> None:
        """The program is ready again: what it said is the answer, if it has not given one by `synapse reply`."""
        turn = self._turn
        if turn is None or not turn.delivered:
            return  # it is not said yet that it was submitted: that comes first
        self._turn = None
        if not turn.message.task:
            return
        if self._reader is None:
            self._complete(turn, *self._known(turn))
            return
        self._handing = asyncio.get_running_loop().create_task(self._look_up(turn, self._reader))
        self._handing.add_done_callback(self._handed_in)

    async def _look_up(self, turn: Turn, reader: Reader) -> None:
        text, usage = turn.said if "signal" in self._profile.answer_from else "", turn.usage
        source = "signal"
        if not text or (reader.counts and not usage):
            patience = COUNTED_WITHIN if text or turn.failure else None
            found, counted = await reader.answer(turn.typed, turn.before, within=patience, said=text)
            turn.usage = usage or counted
            turn.failure = turn.failure or reader.failure
            if not text:
                text, source = found, "record"
        if not text:
            text, source = self._known(turn)
            failed = self._profile.answer_failed
            if source == "screen" and reader.known and failed is not None and failed.search(text):
                turn.failure = turn.failure or text  # its model has said nothing
        self._complete(turn, bounded(text), source)

    def _known(self, turn: Turn) -> tuple[str, str]:
        """The answer as it is known without a record, and its source."""
        ways = self._profile.answer_from
        if "signal" in ways and turn.said:
            return bounded(turn.said), "signal"
        text = from_screen(self._profile, self._terminal, turn) if "screen" in ways else ""
        return text, "screen" if text else "none"

    def _complete(self, turn: Turn, text: str, source: str) -> None:
        more: dict[str, Any] = {"usage": dict(turn.usage)} if turn.usage else {}
        if turn.failure:
            more |= {"failed": True, "reason": "agent"}
            text = turn.failure
        self._link.change("tasks.complete", task=turn.message.task, text=text, source=source, **more)

    def _handed_in(self, task: "asyncio.Task[None]") -> None:
        self._handing = None
        if task.cancelled():
            return
        if task.exception() is not None:
            logger.error("an answer was not found", exc_info=task.exception())
        self.on_handed_in()
