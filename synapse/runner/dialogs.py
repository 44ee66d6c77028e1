"""What stands at the end of a screen: dialogs with their choices, signs of work, signs of rest."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from synapse.runner.profile import Profile
from synapse.runner.terminal import Mark, Terminal

BOTTOM = 30  # lines from the end in which a dialog is looked for
ASKED = 2000  # characters of a question

_LEFT = re.compile(r"\s*+[│┃] ?")  # of a box


@dataclass(frozen=True, slots=True)
class Question:
    """What a waiting agent asks, and the choices that it offers."""

    text: str
    choices: tuple[str, ...] = ()


class Foot:
    """The end of a program's screen, read by its profile's patterns."""

    def __init__(self, profile: Profile, terminal: Terminal) -> None:
        self._profile = profile
        self._terminal = terminal

    def busy(self) -> bool:
        """Does it show that it works?"""
        return _end(self._profile.busy, self._foot()) is not None

    def ready(self) -> bool:
        """Does it show that it rests?"""
        return _end(self._profile.ready, self._foot()) is not None

    def ended(self) -> bool:
        """Does it show that what it did is over?"""
        return _end(self._profile.ended, "\n".join(self._text())) is not None

    def limited(self, since: Mark | None) -> str:
        """The line in which it says that it may not go on; of what came since."""
        if not self._profile.limited:
            return ""
        text = self._foot()
        if since is not None and not self._terminal.modes.alternate:
            text = self._terminal.text_since(since)
        found = [match for pattern in self._profile.limited for match in pattern.finditer(text)]
        return found[-1][0].strip() if found else ""

    def line(self) -> str:
        """The last line with something on it."""
        lines = self._text()
        return lines[-1].strip()[:ASKED] if lines else ""

    def question(self) -> Question | None:
        """The dialog at the end of the screen; None when there is none, or not surely."""
        profile, lines = self._profile, self._text()
        text = "\n".join(lines)
        asked = _lowest(profile.waiting, text)
        if asked is None:
            return None
        foot = len(text) - len("\n".join(lines[-profile.foot :]))
        sign = _end((*profile.busy, *profile.ready), text[foot:])
        if sign is not None and foot + sign > asked:
            return None
        return _question(profile, text[asked:])

    def _text(self) -> list[str]:
        """The last lines of the screen, down to the last with something on it."""
        lines = self._terminal.lines()
        end = len(lines)
        while end and not lines[end - 1].strip():
            end -= 1
        return lines[max(0, end - BOTTOM) : end]

    def _foot(self) -> str:
        return "\n".join(self._text()[-self._profile.foot :])


def _lowest(patterns: Iterable[re.Pattern[str]], text: str) -> int | None:
    """Where the last match of any of the patterns begins."""
    return max((found.start() for pattern in patterns for found in pattern.finditer(text)), default=None)


def _end(patterns: Iterable[re.Pattern[str]], text: str) -> int | None:
    """Where the last match of any of the patterns ends: a composer with all that was typed into it."""
    return max((found.end() for pattern in patterns for found in pattern.finditer(text)), default=None)


def _question(profile: Profile, asked: str) -> Question | None:
    """A dialog's text up to its choices, and those; None where the choices are missing that there should be."""
    if profile.choice is None:
        return Question(_unframed(asked))
    found = list(profile.choice.finditer(asked))
    if not found:
        return None
    choices = tuple(" ".join(_unframed(" ".join(filter(None, one.groups()))).split()) for one in found)
    return Question(_unframed(asked[: found[0].start()]), choices)


def _unframed(text: str) -> str:
    """A dialog without the box around it and without empty lines at its end."""
    return "\n".join(map(_unboxed, text.split("\n"))).strip()[:ASKED]


def _unboxed(line: str) -> str:
    line = line.rstrip()
    if line.endswith(("│", "┃")):
        line = line[:-1].rstrip()
    left = _LEFT.match(line)
    return line[left.end() :] if left else line
