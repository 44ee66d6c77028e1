"""What comes in from the demo's terminal, as key presses and pastes."""

from __future__ import annotations

import codecs
import re
from typing import Final, NamedTuple

PASTE_GUARD: Final = 0.02  # seconds after text within which a strict composer takes Enter for a new line

_CONTROLS: Final = {
    "\r": "enter", "\n": "newline", "\x7f": "backspace", "\b": "backspace", "\x01": "home", "\x03": "ctrl-c",
    "\x04": "ctrl-d", "\x05": "end", "\x0c": "ctrl-l", "\x15": "clear", "\x17": "word", "\x1a": "ctrl-z",
}  # fmt: skip
_SEQUENCES: Final = {
    "[A": "up", "[B": "down", "[C": "right", "[D": "left", "[H": "home", "[F": "end",
    "OA": "up", "OB": "down", "OC": "right", "OD": "left", "OH": "home", "OF": "end", "OM": "enter",
    "[1~": "home", "[4~": "end", "[3~": "delete", "[I": "focus-in", "[O": "focus-out", "[200~": "paste",
    "\r": "newline", "\n": "newline", "[13u": "enter", "[13;2u": "newline", "[27;2;13~": "newline",
    "[27u": "esc", "[99;5u": "ctrl-c", "[100;5u": "ctrl-d",
}  # fmt: skip
_TOKEN: Final = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f]+|\t)"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    r"|\x1b(?P<sequence>\[[0-?]*[ -/]*[@-~]|O[ -~]|[\r\n])"
    r"|\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)|[P_^][^\x1b]*\x1b\\)"  # an answer nobody asked for
    r"|(?P<more>\x1b(?:\[[0-?]*[ -/]*|O|[\]P_^][^\x07\x1b]*\x1b?)?\Z)"
    r"|(?P<esc>\x1b)"
)
_PASTE_END: Final = "\x1b[201~"
_UNWANTED: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Press(NamedTuple):
    """One key by its name, or `text` and `paste` with what was typed or pasted."""

    name: str
    text: str = ""


class Decoder:
    """Turns reads, cut wherever they may be, into presses."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._pasting = False

    @property
    def pending(self) -> bool:
        """Whether an escape has come that may be a key of its own or the start of a sequence."""
        return bool(self._rest) and not self._pasting

    def feed(self, data: bytes) -> list[Press]:
        """The presses that are complete with these bytes."""
        self._rest += self._utf8.decode(data)
        presses: list[Press] = []
        while self._rest:
            press = self._pasted() if self._pasting else self._next()
            if press is None:
                break
            if press.name:
                presses.append(press)
        return presses

    def flush(self) -> list[Press]:
        """What was pending was the Esc key."""
        self._rest = ""
        return [Press("esc")]

    def _next(self) -> Press | None:
        match = _TOKEN.match(self._rest)
        if match is None or match.lastgroup == "more":
            return None
        self._rest = self._rest[match.end() :]
        kind, found = match.lastgroup, match.group(match.lastgroup or 0)
        if kind == "text":
            return Press("text", _UNWANTED.sub("", found))
        if kind == "sequence":
            name = _SEQUENCES.get(found, "")
            self._pasting = name == "paste"
            return Press("" if self._pasting else name)
        return Press("esc" if kind == "esc" else _CONTROLS.get(found, ""))

    def _pasted(self) -> Press | None:
        text, end, rest = self._rest.partition(_PASTE_END)
        if not end:
            return None
        self._rest, self._pasting = rest, False
        return Press("paste", clean(text))


def clean(text: str) -> str:
    """Text with line feeds for ends of lines and without other control characters but tabs."""
    return _UNWANTED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def guarded(presses: list[Press], since_text: float) -> list[Press]:
    """The presses of one read as a strict composer takes them: Enter among or right after text is a new line."""
    if since_text >= PASTE_GUARD and not any(press.text for press in presses):
        return presses
    return [Press("newline") if press.name == "enter" else press for press in presses]
