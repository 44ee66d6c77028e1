"""One token of a viewer's input, and one key in all its dresses: plain byte, modifyOtherKeys, kitty keyboard."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

PASTE_START: Final = b"\x1b[200~"
PASTE_END: Final = b"\x1b[201~"

Kind = Literal["text", "key", "paste", "report", "focus", "mouse"]
SHIFT, ALT, CTRL = 1, 2, 4
_MODIFIERS: Final = ((CTRL, "ctrl"), (ALT, "alt"), (SHIFT, "shift"), (8, "super"), (16, "hyper"), (32, "meta"))
_LOCKS: Final = 64 | 128  # caps lock and num lock are not held down
_ALIASES: Final = {"control": "ctrl", "c": "ctrl", "option": "alt", "esc": "escape", "return": "enter", "del": "delete"}
_NAMED: Final = {8: "backspace", 9: "tab", 13: "enter", 27: "escape", 32: "space", 127: "backspace"}
_LETTERS: Final = {
    "A": "up", "B": "down", "C": "right", "D": "left", "E": "begin", "F": "end", "H": "home", "M": "enter",
    "P": "f1", "Q": "f2", "R": "f3", "S": "f4", "Z": "tab",
}  # fmt: skip
_NUMBERS: Final = {
    1: "home", 2: "insert", 3: "delete", 4: "end", 5: "pageup", 6: "pagedown", 7: "home", 8: "end",
    **{number: f"f{i}" for i, number in enumerate((11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 23, 24), 1)},
}  # fmt: skip
_KITTY_PAD: Final = {57414: "enter", 57417: "left", 57418: "right", 57419: "up", 57420: "down", 57423: "home",
                     57424: "end", 57421: "pageup", 57422: "pagedown", 57425: "insert", 57426: "delete"}  # fmt: skip
_CSI: Final = re.compile(r"\x1b\[([0-9:;]{0,64})([A-Za-z~])")
_SHIFTED_TAB: Final = "Z"


@dataclass(frozen=True)
class Token:
    """One thing that came from a viewer. A paste is several: PASTE_START, its content in pieces, PASTE_END."""

    kind: Kind
    data: bytes


def parse_key(name: str) -> str:
    """A key as people write it (`ctrl-]`, `Control+C`, `^\\`, `C-x`) in our spelling.

    ValueError if it is no key that a terminal can send.
    """
    text = name.strip()
    if len(text) == 2 and text[0] == "^":
        text = "ctrl-" + text[1]
    *modifiers, key = re.split(r"(?<=[^-+])[-+]", text.lower())
    modifiers = [_ALIASES.get(modifier, modifier) for modifier in modifiers]
    key = _ALIASES.get(key, key) if len(key) > 1 else {" ": "space"}.get(key, key)
    known = {*_NAMED.values(), *_LETTERS.values(), *_NUMBERS.values()}
    mask = sum(bit for bit, modifier in _MODIFIERS if modifier in modifiers)
    if (
        (len(key) != 1 and key not in known)
        or set(modifiers) - {word for _, word in _MODIFIERS}
        or not key.isprintable()
    ):
        raise ValueError(f"not a key: {name!r}")
    return _spelling(mask, key)


@lru_cache(maxsize=1024)
def spellings(data: bytes) -> frozenset[str]:
    """All names of the key that these bytes stand for; none for the release of a key and for what is no key."""
    text = data.decode("utf-8", "replace")
    if len(text) == 1:
        return frozenset(_plain(text, 0))
    if len(text) == 2 and text[0] == "\x1b":
        return frozenset(_plain(text[1], ALT))
    if len(text) == 3 and text.startswith("\x1bO"):
        return frozenset({_LETTERS[text[2]]} if text[2] in _LETTERS else ())
    match = _CSI.fullmatch(text)
    return frozenset(_coded(match[1], match[2]) if match else ())


def _plain(char: str, modifiers: int) -> set[str]:
    code = ord(char)
    if char in "\t\r\x1b\x7f":
        return {_spelling(modifiers, _NAMED[code])}
    if char == "\0":
        return {_spelling(modifiers | CTRL, "space"), _spelling(modifiers | CTRL, "@")}
    if code < 32:
        return {_spelling(modifiers | CTRL, chr(code + 64).lower())}
    return {_spelling(modifiers, _key(code))}


def _coded(parameters: str, final: str) -> set[str]:
    fields = [[int(part) if part.isdigit() and len(part) < 8 else 0 for part in field.split(":")]
              for field in parameters.split(";")]  # fmt: skip
    fields += [[0]] * (3 - len(fields))
    (code, *others), (mask, *event), (third, *_) = fields[:3]
    modifiers = (max(mask, 1) - 1) & ~_LOCKS
    if event[:1] == [3]:
        return set()
    if final == "~" and code != 27:
        return {_spelling(modifiers, _NUMBERS[code])} if code in _NUMBERS else set()
    if final == "~":
        return _characters(third, [], modifiers)
    if final == "u":
        return _characters(code, others, modifiers)
    if final not in _LETTERS:
        return set()
    return {_spelling(modifiers | (SHIFT if final == _SHIFTED_TAB else 0), _LETTERS[final])}


def _characters(code: int, others: list[int], modifiers: int) -> set[str]:
    """`others`: what the key gives with shift, and where it lies on the US layout; 0 where not told."""
    shifted, base = [*others, 0, 0][:2]
    found = {_spelling(modifiers, _key(code))}
    if base:
        found.add(_spelling(modifiers, _key(base)))
    if modifiers & SHIFT:
        unshifted = shifted or code
        if chr(unshifted).isprintable() and not chr(unshifted).isalpha() and unshifted != 32:
            found.add(_spelling(modifiers & ~SHIFT, _key(unshifted)))
    return found


def _key(code: int) -> str:
    if code in _NAMED:
        return _NAMED[code]
    if code in _KITTY_PAD:
        return _KITTY_PAD[code]
    if 0xE000 <= code <= 0xF8FF:  # kitty's place for media keys, modifiers alone and the like
        return "function"
    return chr(code).lower() if 0 < code < 0x110000 else "unknown"


def _spelling(modifiers: int, key: str) -> str:
    return "-".join([word for bit, word in _MODIFIERS if modifiers & bit] + [key])
