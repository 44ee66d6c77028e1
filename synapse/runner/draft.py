"""Whether a person's half-written message may lie in the composer: nothing is injected on top of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from synapse.runner.strokes import PASTE_END, PASTE_START, Token, spellings

_CLEARING: Final = frozenset({"ctrl-c", "ctrl-u"})
_MOVING: Final = frozenset(
    {"left", "right", "home", "end", "delete", "ctrl-a", "ctrl-b", "ctrl-e", "ctrl-f", "alt-b", "alt-f"}
    | {"ctrl-left", "ctrl-right", "alt-left", "alt-right", "shift-left", "shift-right"}
)
_HARMLESS: Final = frozenset(  # they bring no text in; what they take away is not counted
    {"escape", "pageup", "pagedown", "insert", "shift-tab", "ctrl-d", "ctrl-k", "ctrl-l", "ctrl-o", "ctrl-q", "ctrl-s"}
    | {"ctrl-t", "ctrl-w", "ctrl-z", "alt-backspace", "alt-d", "ctrl-backspace", *(f"f{n}" for n in range(1, 13))}
)


class Draft:
    """Watches the tokens that go to the program. Time alone never makes a draft go away."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """The composer is known to be empty."""
        self._characters = 0  # typed and not erased, as long as the cursor stood at their end
        self._unknown = False
        self._backslash = False
        self._escaped = False
        self._comes_back = False

    def interrupted(self) -> None:
        """The program was interrupted: it may put into the composer again what was sent already."""
        self._comes_back = True

    def given_back(self) -> None:
        """That stands in the composer; once a person has cleared it, its picture may be late, and counts no more."""
        self._unknown |= self._comes_back

    @property
    def empty(self) -> bool:
        """Whether the composer cannot hold anything unsent."""
        return not (self._characters or self._unknown)

    def observe(self, tokens: Iterable[Token]) -> None:
        """Take in what went to the program, in order."""
        for token in tokens:
            if token.kind == "text":
                self._type(token.data.decode("utf-8", "replace"))
            elif token.kind == "paste":
                self._unknown |= token.data not in (PASTE_START, PASTE_END)
            elif token.kind == "key":
                self._press(spellings(token.data))

    def _type(self, text: str) -> None:
        self._characters += len(text)
        self._backslash = text.endswith("\\")
        self._escaped = False

    def _press(self, names: frozenset[str]) -> None:
        if not names:
            return
        escaped, self._escaped = self._escaped, "escape" in names
        if ("enter" in names and not self._backslash) or names & _CLEARING or (escaped and self._escaped):
            self.clear()
        elif any(len(name) == 1 or name == "space" for name in names):
            self._type(min(names, key=len))
        elif names & {"backspace", "ctrl-h"}:
            self._characters = max(0, self._characters - 1)
            self._backslash = False
        elif names & _MOVING:
            self._unknown |= self._characters > 0
        elif not names & _HARMLESS and not any(name.endswith("function") for name in names):
            self._unknown = True  # history, completion, an editor: it may have brought text in
