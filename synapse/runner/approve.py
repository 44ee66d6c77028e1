"""What an agent asks a person: each question under an id of its own, answered at most once, in the program's own way."""

import asyncio
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from synapse.runner.link import Link
from synapse.runner.press import Press
from synapse.runner.status import WAITING, Question, StatusMachine

logger = logging.getLogger(__name__)

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
REMEMBERED = 100  # answers whose outcome is told again when the hub asks again
LONGEST = 2000  # characters of a command
STILL = 0.3  # seconds that a dialog must have been there before a key is pressed
DRAWN_WITHIN = 0.5  # seconds in which it may still be drawn
GONE_WITHIN = 3.0  # seconds for a dialog to go once it was answered
DONE, GONE, UNSURE, UNABLE = "done", "gone", "unsure", "unable"


@dataclass(slots=True)
class Prompt:
    """One question that stands before a person; `picture` is how it looked when it was first seen."""

    id: str
    question: Question
    picture: Question | None
    since: float  # when it was first seen, in the loop's time
    above: str = ""  # what stood above its choices
    answered: bool = False
    over: bool = False  # it was seen to go

    @property
    def offered(self) -> Question:
        """The question with its choices; the picture has what the program itself did not tell."""
        shown = self.picture or Question("")
        return Question(self.question.text or shown.text, self.question.choices or shown.choices)


class Approvals:
    """Names each question of the program once, and answers it when the hub says how.

    An id is valid for one question only. It is answered only while that very question stands on the screen; what became
    of it is reported once: `done`, `gone` (nothing was pressed), `unsure` (it still stands) or `unable`.
    """

    def __init__(self, *, link: Link, status: StatusMachine, press: Press, last_key: Callable[[], float]) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._link = link
        self._status = status
        self._press = press
        self._last_key = last_key
        self._loop = asyncio.get_running_loop()
        self._prompt: Prompt | None = None
        self._outcomes: dict[str, tuple[str, str]] = {}
        self._busy: set[str] = set()
        self._news: asyncio.Future[None] | None = None

    # -- what stands there

    def look(self) -> None:
        """The status, or what is asked, has become another."""
        if self._status.status != WAITING:
            self._prompt = None
        else:
            question, prompt = self._status.question or Question(""), self._prompt
            if prompt is None or prompt.answered or not _follows(question, prompt.question):
                self._begin(question)
            else:
                prompt.question = question
                self._picture(prompt)
        self._wake()

    def settled(self) -> None:
        """The screen has been brought up to date."""
        prompt = self._prompt
        if prompt is not None and not (prompt.answered and not prompt.over):
            shown = self._status.asks()
            if shown is not None and (prompt.over or self._is_another(prompt, shown)):
                self._begin(self._status.question or Question(""))  # before its status was judged
                self.on_change()
            elif self._picture(prompt):
                self.on_change()  # its choices, behind the program's own word
        self._wake()

    def _begin(self, question: Question) -> None:
        self._prompt = prompt = Prompt(_new_id(), question, None, self._loop.time())
        self._picture(prompt)

    def _picture(self, prompt: Prompt) -> bool:
        """Keep how it looks: at first sight, and while it may still be drawn; True when its question is new."""
        shown = self._status.asks()
        if shown is None or (prompt.picture is not None and self._loop.time() - prompt.since > DRAWN_WITHIN):
            return False
        fresh = prompt.picture is None
        if fresh:
            prompt.picture, prompt.since = shown, self._loop.time()
        prompt.above = self._press.above(shown)
        return fresh

    def _is_another(self, prompt: Prompt, shown: Question) -> bool:
        """Does another dialog stand there now: one with other choices, or about something else?"""
        if prompt.picture is None:
            return False
        drawn = self._loop.time() - prompt.since > DRAWN_WITHIN
        return not _same(shown, prompt.picture) or (drawn and self._press.above(shown) != prompt.above)

    def live(self) -> dict[str, Any]:
        """What the hub is told of the question: its id, the choices that mean yes and no, the command it is about."""
        if self._prompt is None:
            return {}
        offered, press = self._prompt.offered, self._press
        told: dict[str, Any] = {"prompt": self._prompt.id, "question": offered.text, "choices": list(offered.choices)}
        told.update(approvable=press.able(offered), yes=press.yes(offered), no=press.no(offered))
        if command := self._command(self._prompt):
            told["command"] = command
        return told

    def _command(self, prompt: Prompt) -> str:
        """What it asks about; nothing where that is more than anybody reads."""
        command = self._press.command(prompt.offered, self._status.command)
        return command if len(command) <= LONGEST else ""

    # -- answering

    def answer(self, order: dict[str, Any]) -> None:
        """The hub hands an answer over: it is pressed once, and what became of it is told."""
        id = str(order.get("id", ""))
        if id not in self._busy:
            self._busy.add(id)
            answering = self._answer(id, order)
            self._loop.create_task(answering).add_done_callback(lambda task: self._over(id, task))

    def _over(self, id: str, task: "asyncio.Task[None]") -> None:
        self._busy.discard(id)
        if not task.cancelled() and task.exception() is not None:
            logger.error("an answer failed", exc_info=task.exception())

    async def _answer(self, id: str, order: dict[str, Any]) -> None:
        if id not in self._outcomes:
            self._outcomes[id] = await self._pressed(id, order)
            logger.info("%s: %s %s", id, *self._outcomes[id])
            while len(self._outcomes) > REMEMBERED:
                del self._outcomes[next(iter(self._outcomes))]
        outcome, reason = self._outcomes[id]
        self._link.change("prompts.report", id=id, outcome=outcome, reason=reason)

    async def _pressed(self, id: str, order: dict[str, Any]) -> tuple[str, str]:
        prompt = self._prompt
        if prompt is not None:
            await self._until(lambda: self._prompt is not prompt or prompt.picture is not None, GONE_WITHIN)
            await asyncio.sleep(max(0.0, prompt.since + STILL - self._loop.time()))
        if prompt is None or prompt.id != id or prompt.answered or not self._stands(prompt):
            if prompt is not None and prompt.id == id:
                prompt.answered = True
                self._renew(prompt)  # what its program asks all the same is to be seen
            return GONE, "The question does not stand on its screen any more: nothing was pressed."
        prompt.answered = True  # whatever comes of it, this id is used up
        if order.get("command", "") != self._command(prompt):
            self._renew(prompt)
            return GONE, "It asks about another command by now: nothing was pressed."
        failure = await self._press.choose(
            prompt.offered,
            int(order.get("choice", -1)),
            approve=bool(order.get("approve")),
            untouched=self._last_key() < prompt.since,
            stands=lambda: self._stands(prompt),
        )
        if failure:
            self._renew(prompt)
            return UNABLE, failure
        if await self._until(lambda: self._has_gone(prompt), GONE_WITHIN):
            prompt.over = True
            return DONE, ""
        self._renew(prompt)
        return UNSURE, "It was pressed, and the question still stands on its screen: look at it."

    def _renew(self, prompt: Prompt) -> None:
        """The question still stands (or the same again): it gets a new id."""
        if self._prompt is prompt and self._status.status == WAITING:
            self.look()
            self.on_change()

    def _stands(self, prompt: Prompt) -> bool:
        """Is this very question on the screen now?"""
        status, shown = self._status, self._status.asks()
        if self._prompt is not prompt or status.status != WAITING or shown is None:
            return False
        return prompt.picture is not None and _same(shown, prompt.picture) and self._press.above(shown) == prompt.above

    def _has_gone(self, prompt: Prompt) -> bool:
        """Was it answered? What stands above it may still be drawn, so only its own going counts."""
        shown = self._status.asks()
        return self._prompt is not prompt or shown is None or prompt.picture is None or not _same(shown, prompt.picture)

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        end = self._loop.time() + seconds
        while not condition():
            left = end - self._loop.time()
            if left <= 0:
                return False
            self._news = self._loop.create_future()
            await asyncio.wait([self._news], timeout=left)
        return True


def _new_id() -> str:
    number = int.from_bytes(os.urandom(8), "big")
    return "p-" + "".join(ALPHABET[number // len(ALPHABET) ** place % len(ALPHABET)] for place in range(6))


def _follows(question: Question, before: Question) -> bool:
    """Is it still the same question: drawn in another width, or its text come behind its signal?"""
    return _same(question, before) or before == Question("")


def _same(one: Question, other: Question) -> bool:
    return _bare(one) == _bare(other)


def _bare(question: Question) -> tuple[str, ...]:
    return tuple(re.sub(r"\s+", "", text) for text in (question.text, *question.choices))
