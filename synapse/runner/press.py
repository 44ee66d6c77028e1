"""Answers a dialog in the program's own way: a digit, a letter, arrows and Enter, keys, or HTTP, as its profile says."""

import asyncio
import re
from collections.abc import Callable, Mapping

from synapse.runner.answering import Answers
from synapse.runner.process import Child
from synapse.runner.profile import Profile
from synapse.runner.skeleton import skeleton
from synapse.runner.status import Question
from synapse.runner.terminal import Terminal
from synapse.runner.viewers import Viewers

ABOVE = 200  # characters above its choices by which a dialog is told from another one with the same question
LOOKED_AT = 30  # lines from the end in which a dialog stands
MOVED_WITHIN = 1.0  # seconds for the mark to move once an arrow was pressed
STEP = 0.02  # seconds between two looks at it
BETWEEN = 0.05  # seconds between the letter and Enter
TOUCHED = "Somebody has pressed keys in this dialog: answer it in its terminal."
UP, DOWN, RIGHT, LEFT = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"

_NUMBER = re.compile(r"\W*(\d+)")
_LETTER = re.compile(r"\((\w|esc)\)\s*$|^\W*\((\w)\)", re.IGNORECASE)


class Press:
    """Presses the keys of a choice. Says why not, when it cannot be made; half a way is never confirmed."""

    def __init__(
        self, *, child: Child, terminal: Terminal, viewers: Viewers, profile: Profile, values: Mapping[str, str]
    ) -> None:
        self._child = child
        self._terminal = terminal
        self._viewers = viewers
        self._profile = profile
        self._answers = Answers(profile.answering, values)

    # -- what a dialog offers

    def able(self, question: Question) -> bool:
        """Can it be answered from outside at all?"""
        by = self._profile.approve_by
        return bool(by) and bool(question.choices or (by == "keys" and question.text))

    def yes(self, question: Question) -> int:
        """The place of the choice that means yes; -1 when none does for certain."""
        pattern = self._profile.approve_yes
        return _place(pattern, question) if pattern else 0 if question.choices else -1

    def no(self, question: Question) -> int:
        """The place of the choice that means no; -1 when none does."""
        return _place(self._profile.approve_no, question)

    def command(self, question: Question, told: str) -> str:
        """The command that it asks about: what the program told of it, if its dialog shows that; else as the profile says."""
        if told and question.choices and skeleton(told) in skeleton("".join(self._lines())):
            return told
        pattern = self._profile.command_asked
        if pattern is None or not question.choices:
            return ""
        lines = self._lines()
        text = "\n".join(lines)
        places = self._rows(question)
        found = list(pattern.finditer(text[: places[0].start()] if places else text))
        rows = "\n".join(filter(None, found[-1].groups())).split("\n") if found else []
        return "\n".join(row.strip(" │┃") for row in rows).strip()

    def above(self, question: Question) -> str:
        """What stands above its choices, in any layout: the dialog, which may hold more than the question it ends with."""
        rows = self._rows(question)
        return skeleton("\n".join(self._lines())[: rows[0].start()])[-ABOVE:] if rows else ""

    # -- pressing

    async def choose(
        self, question: Question, choice: int, *, approve: bool, untouched: bool, stands: Callable[[], bool]
    ) -> str:
        """Make a choice by its place (-1: the keys for yes or no); "" when it was pressed, else why not.

        `untouched`: no person has pressed a key since the question came.
        """
        self._viewers.hold()
        try:
            if choice < 0:
                return await self._type(self._profile.accept if approve else self._profile.decline)
            if choice >= len(question.choices):
                return "It has no such choice."
            by = self._profile.approve_by
            if by == "http":
                return await self._answers.give(question, question.choices[choice])
            if by == "arrows" and self._profile.marker is not None:
                return await self._move(question, choice, stands)
            if by == "arrows":
                return await self._move_blindly(choice) if untouched else TOUCHED
            key = _letter(question.choices[choice]) if by == "letter" else ""
            key = key or _digit(question.choices[choice])
            if not key or by == "keys":
                return "How this choice is made is not known: answer it in its terminal."
            return await self._type((key, self._profile.enter) if self._profile.approve_enter else (key,))
        finally:
            self._viewers.release()

    async def _type(self, keys: tuple[str, ...]) -> str:
        if not keys:
            return "How this is answered is not known: answer it in its terminal."
        for place, key in enumerate(keys):
            if place:
                await asyncio.sleep(BETWEEN)
            if not self._child.write(key.encode()):
                return "The program takes no input."
        return ""

    async def _move(self, question: Question, choice: int, stands: Callable[[], bool]) -> str:
        """Arrows, one at a time, each seen on the screen; then Enter, if the mark stands on the choice."""
        back, on = (LEFT, RIGHT) if self._profile.across else (UP, DOWN)
        at = self._marked(question)
        for _ in range(2 * len(question.choices)):
            if at < 0:
                return "Which choice is marked cannot be seen: answer it in its terminal."
            if at == choice:
                break
            if not self._child.write((back if at > choice else on).encode()):
                return "The program takes no input."
            at = await self._marked_next(question, at)
        if at != choice or not stands():
            return "The mark did not come to the choice: answer it in its terminal."
        return await self._type((self._profile.enter,))

    async def _move_blindly(self, choice: int) -> str:
        """Where the mark cannot be read, it stands on the first choice until somebody moves it."""
        on = RIGHT if self._profile.across else DOWN
        return await self._type((*[on] * choice, self._profile.enter))

    async def _marked_next(self, question: Question, before: int) -> int:
        """Which choice is marked, once it is another."""
        for _ in range(int(MOVED_WITHIN / STEP)):
            at = self._marked(question)
            if at not in (before, -1):
                return at
            await asyncio.sleep(STEP)
        return -1

    # -- the screen

    def _lines(self) -> list[str]:
        lines = self._terminal.lines()
        while lines and not lines[-1].strip():
            lines.pop()
        return lines[-LOOKED_AT:]

    def _rows(self, question: Question) -> list["re.Match[str]"]:
        """Where the choices stand, the last that there are."""
        if self._profile.choice is None:
            return []
        found = list(self._profile.choice.finditer("\n".join(self._lines())))
        return found[-len(question.choices) :] if len(found) >= len(question.choices) else []

    def _marked(self, question: Question) -> int:
        """The place of the marked choice; -1 when none or several seem so."""
        marker = self._profile.marker
        assert marker is not None
        found = [place for place, row in enumerate(self._rows(question)) if marker.search(row.group(0))]
        return found[0] if len(found) == 1 else -1


def _place(pattern: "re.Pattern[str] | None", question: Question) -> int:
    found = [place for place, choice in enumerate(question.choices) if pattern is not None and pattern.search(choice)]
    return found[0] if len(found) == 1 else -1


def _digit(choice: str) -> str:
    found = _NUMBER.match(choice)
    return found[1] if found and len(found[1]) == 1 else ""


def _letter(choice: str) -> str:
    """The key in brackets at its end or its beginning, as in `Yes (y)`, `No (esc)`, `(N)o`."""
    found = _LETTER.search(choice)
    key = (found[1] or found[2]).lower() if found else ""
    return "\x1b" if key == "esc" else key
