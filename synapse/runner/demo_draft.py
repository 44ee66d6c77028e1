"""What is being typed into the demo's composer."""

from __future__ import annotations

from typing import Final

from synapse.runner.demo_keys import Press

LARGE_LINES: Final = 10  # a paste with more line ends than this is shown as a placeholder
LARGE_CHARACTERS: Final = 1000
_FIRST_MARK: Final = 0xF0000  # in the text, one private character stands for one large paste


class Draft:
    """A text with a cursor; large pastes are in it whole and shown as `[Pasted text #1 +100 lines]`."""

    def __init__(self) -> None:
        self._text = ""
        self._cursor = 0
        self._pastes: dict[str, str] = {}
        self._count = 0  # of large pastes, over the whole session

    def __bool__(self) -> bool:
        return bool(self._text)

    def edit(self, press: Press) -> None:
        """Carry out one press; what is no editing key changes nothing."""
        text, cursor = self._text, self._cursor
        line = text.rfind("\n", 0, cursor) + 1
        end = text.find("\n", cursor)
        match press.name:
            case "text" | "newline":
                self._insert(press.text or "\n")
            case "paste":
                self._insert(self._marked(press.text))
            case "backspace":
                self._cut(max(0, cursor - 1), cursor)
            case "delete":
                self._cut(cursor, cursor + 1)
            case "word":
                self._cut(_word_start(text[:cursor]), cursor)
            case "clear":
                self.clear()
            case "left":
                self._cursor = max(0, cursor - 1)
            case "right":
                self._cursor = min(len(text), cursor + 1)
            case "home":
                self._cursor = line
            case "end":
                self._cursor = len(text) if end < 0 else end

    def shown(self) -> tuple[str, int]:
        """What the composer shows, and where in it the cursor is."""
        before = "".join(map(self._label, self._text[: self._cursor]))
        return before + "".join(map(self._label, self._text[self._cursor :])), len(before)

    def take(self) -> str:
        """The whole text, large pastes included; the draft is empty afterwards."""
        text = "".join(self._pastes.get(character, character) for character in self._text)
        self.clear()
        return text.strip()

    def clear(self) -> None:
        """Throw the draft away."""
        self._text, self._cursor = "", 0
        self._pastes.clear()

    def _insert(self, text: str) -> None:
        self._text = self._text[: self._cursor] + text + self._text[self._cursor :]
        self._cursor += len(text)

    def _cut(self, start: int, end: int) -> None:
        self._text = self._text[:start] + self._text[end:]
        self._cursor = start

    def _marked(self, text: str) -> str:
        if text.count("\n") <= LARGE_LINES and len(text) <= LARGE_CHARACTERS:
            return text
        self._count += 1
        mark = chr(_FIRST_MARK + self._count)
        self._pastes[mark] = text
        return mark

    def _label(self, character: str) -> str:
        if character not in self._pastes:
            return character
        more = self._pastes[character].count("\n")
        return f"[Pasted text #{ord(character) - _FIRST_MARK}{f' +{more} lines' if more else ''}]"


def _word_start(text: str) -> int:
    bare = text.rstrip()
    return max(bare.rfind(" "), bare.rfind("\n")) + 1
