"""What an agent asks a person: each question under an id of its own, answered at most once, in the program's own way."""

import asyncio
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from synapse.runner.link import Link
from synapse.runner.news import News
from synapse.runner.press import Press
from synapse.runner.status import WAITING, Question, StatusMachine

logger = logging.getLogger(__name__)

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
REMEMBERED = 100  # answers whose outcome is told again when the hub asks again
LONGEST = 2000  # characters of a command
STILL = 0.3  # seconds that a dialog must have been there before a key is pressed
DRAWN_WITHIN = 0.5  # seconds in which it may still be drawn
REPAINTED_WITHIN = 0.3  # seconds for which a part of it, or it below something else, may be a repaint half done
TORN = 0.08  # seconds; while a screen is painted a dialog may be missing from it
STANDS_WITHIN = 1.0  # seconds for it to stand on the screen as it did
GONE_WITHIN = 3.0  # seconds for a dialog to go once it was answered
NOT_THERE = "The question does not stand on its screen any more: nothing was pressed."
DONE, GONE, UNSURE, UNABLE = "done", "gone", "unsure", "unable"


@dataclass(slots=True)
class Prompt:
    """One question that stands before a person; `picture` is how it looked when it was first seen."""

    id: str
    question: Question
    picture: Question | None
    since: float  # when it was first seen so, in the loop's time
    above: str = ""  # what stood above its choices
    command: str = ""  # what it asks about, as it was told
    odd: float = 0.0  # since when something else stands there that may be a repaint of it; 0 = it does not
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
        self._news = News()

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
                if not _part(question, prompt.question):
                    prompt.question = question
                self._see(prompt, self._status.asks())
        self._news.come()

    def settled(self) -> None:
        """The screen has been brought up to date."""
        prompt, shown = self._prompt, self._status.asks()
        if prompt is not None and shown is not None and not (prompt.answered and not prompt.over):
            if prompt.over or self._is_another(prompt, shown):
                self._begin(self._status.question or Question(""))  # before its status was judged
                self.on_change()
            elif self._see(prompt, shown):
                self.on_change()  # its choices, behind the program's own word
        self._news.come()

    def _begin(self, question: Question) -> None:
        self._prompt = prompt = Prompt(_new_id(), question, None, self._loop.time())
        self._see(prompt, self._status.asks())

    def _see(self, prompt: Prompt, shown: Question | None) -> bool:
        """Keep how it looks: at first sight, and while it may still be drawn; True when there is more to tell of it."""
        now, picture = self._loop.time(), prompt.picture
        if shown is None or not (picture is None or _same(shown, picture) or _part(picture, shown)):
            return False
        more = picture is None or not _same(shown, picture)
        if more:
            prompt.picture, prompt.since = shown, now
        if now - prompt.since <= DRAWN_WITHIN:
            prompt.above = self._press.above(shown)
        before, prompt.command = prompt.command, self._command(prompt)
        return more or prompt.command != before

    def _is_another(self, prompt: Prompt, shown: Question) -> bool:
        """Does another dialog stand there now: one with other choices, or about something else?"""
        picture, now = prompt.picture, self._loop.time()
        if picture is None:
            return False
        drawn = now - prompt.since > DRAWN_WITHIN
        if _same(shown, picture) and not (drawn and self._press.above(shown) != prompt.above):
            prompt.odd = 0.0
            return False
        if not (_same(shown, picture) or _part(shown, picture) or _part(picture, shown)):
            return True
        if not drawn and _part(picture, shown):
            return False  # it is still being drawn
        if not prompt.odd:
            prompt.odd = now
            self._loop.call_later(REPAINTED_WITHIN, self.settled)
        return now - prompt.odd >= REPAINTED_WITHIN - 0.001

    def live(self) -> dict[str, Any]:
        """What the hub is told of the question: its id, the choices that mean yes and no, the command it is about."""
        if self._prompt is None:
            return {}
        offered, press = self._prompt.offered, self._press
        told: dict[str, Any] = {"prompt": self._prompt.id, "question": offered.text, "choices": list(offered.choices)}
        told.update(approvable=press.able(offered), yes=press.yes(offered), no=press.no(offered))
        self._prompt.command = self._command(self._prompt)
        if self._prompt.command:
            told["command"] = self._prompt.command
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
        if prompt is None or prompt.id != id or prompt.answered:
            return GONE, NOT_THERE
        await self._news.until(lambda: self._prompt is not prompt or prompt.picture is not None, GONE_WITHIN)
        await asyncio.sleep(max(0.0, prompt.since + STILL - self._loop.time()))
        await self._news.until(lambda: self._prompt is not prompt or self._stands(prompt), STANDS_WITHIN)
        if not self._stands(prompt):
            prompt.answered = True
            self._renew(prompt)  # what its program asks all the same is to be seen
            return GONE, NOT_THERE
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
        if await self._goes(prompt):
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

    async def _goes(self, prompt: Prompt) -> bool:
        """Wait until it has gone, and not for the moment of a repaint alone."""
        end = self._loop.time() + GONE_WITHIN
        while await self._news.until(lambda: self._has_gone(prompt), end - self._loop.time()):
            await asyncio.sleep(TORN)
            if self._has_gone(prompt) or not self._stands(prompt):
                return True
        return False

    def _has_gone(self, prompt: Prompt) -> bool:
        """Was it answered? What stands above it may still be drawn, so only its own going counts."""
        shown, picture = self._status.asks(), prompt.picture
        if self._prompt is not prompt or shown is None or picture is None:
            return True
        return not _same(shown, picture) and not _part(shown, picture)


def _new_id() -> str:
    number = int.from_bytes(os.urandom(8), "big")
    return "p-" + "".join(ALPHABET[number // len(ALPHABET) ** place % len(ALPHABET)] for place in range(6))


def _follows(question: Question, before: Question) -> bool:
    """Is it still the same question: drawn in another width, or its text come behind its signal?"""
    return _same(question, before) or before == Question("") or _part(before, question) or _part(question, before)


def _part(one: Question, whole: Question) -> bool:
    """Is the one a beginning of the other, with choices that are still to be drawn?"""
    text, *choices = _bare(one)
    whole_text, *whole_choices = _bare(whole)
    return text == whole_text and choices != whole_choices and "".join(whole_choices).startswith("".join(choices))


def _same(one: Question, other: Question) -> bool:
    return _bare(one) == _bare(other)


def _bare(question: Question) -> tuple[str, ...]:
    return tuple(re.sub(r"\s+", "", text) for text in (question.text, *question.choices))
