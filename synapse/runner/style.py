"""Styles of cells: one short string per style, the parameters of the SGR that would set it; plain is the empty one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

Style = str
PLAIN: Final = ""

_MOST: Final = 4096  # remembered steps from style to style; a gradient must not fill the memory
_ORDER: Final = (
    "bold", "dim", "italic", "underline", "blink", "reverse", "hidden", "strike", "overline", "fg", "bg", "line"
)  # fmt: skip
_ON: Final = {
    "1": "bold", "2": "dim", "3": "italic", "4": "underline", "5": "blink", "6": "blink", "7": "reverse",
    "8": "hidden", "9": "strike", "21": "underline", "53": "overline",
}  # fmt: skip
_OFF: Final = {
    "22": ("bold", "dim"), "23": ("italic",), "24": ("underline",), "25": ("blink",), "27": ("reverse",),
    "28": ("hidden",), "29": ("strike",), "39": ("fg",), "49": ("bg",), "55": ("overline",), "59": ("line",),
}  # fmt: skip
_EXTENDED: Final = {"38": "fg", "48": "bg", "58": "line"}
_FOREGROUNDS: Final = frozenset(str(n) for n in (*range(30, 38), *range(90, 98)))
_BACKGROUNDS: Final = frozenset(str(n) for n in (*range(40, 48), *range(100, 108)))


class Styles:
    """Steps from one style to the next, remembered: a program uses few, and uses them all the time."""

    def __init__(self) -> None:
        self._steps: dict[tuple[Style, str], Style] = {}
        self._backgrounds: dict[Style, Style] = {PLAIN: PLAIN}

    def after(self, style: Style, parameters: str) -> Style:
        """The style that holds after an SGR with these parameters."""
        if not parameters or parameters == "0":
            return PLAIN
        key = (style, parameters)
        known = self._steps.get(key)
        if known is None:
            if len(self._steps) >= _MOST:
                self._steps.clear()
            known = self._steps[key] = _step(style, parameters)
        return known

    def background(self, style: Style) -> Style:
        """The style that erasing leaves behind: the background alone."""
        known = self._backgrounds.get(style)
        if known is None:
            if len(self._backgrounds) >= _MOST:
                self._backgrounds = {PLAIN: PLAIN}
            slots: dict[str, str] = {}
            _apply(slots, style)
            known = self._backgrounds[style] = slots.get("bg", PLAIN)
        return known


def _step(style: Style, parameters: str) -> Style:
    slots: dict[str, str] = {}
    _apply(slots, style)
    _apply(slots, parameters)
    return ";".join(slots[name] for name in _ORDER if name in slots)


def _apply(slots: dict[str, str], parameters: str) -> None:
    items = iter(parameters.split(";"))
    for item in items:
        code, colon, details = item.partition(":")
        code = code.lstrip("0")
        if not code:
            if parameters and not colon:
                slots.clear()
        elif code == "4" and colon:
            _underline(slots, details)
        elif code in _EXTENDED:
            value = _colour(details.split(":") if colon else _following(items))
            if value:
                slots[_EXTENDED[code]] = _spelled(code, value)
        elif code in _ON:
            slots[_ON[code]] = {"21": "4:2", "6": "5"}.get(code, code)
        elif code in _OFF:
            for slot in _OFF[code]:
                slots.pop(slot, None)
        elif code in _FOREGROUNDS:
            slots["fg"] = code
        elif code in _BACKGROUNDS:
            slots["bg"] = code


def _underline(slots: dict[str, str], shape: str) -> None:
    if shape in ("0", ""):
        slots.pop("underline", None)
    elif shape in ("1", "2", "3", "4", "5"):
        slots["underline"] = "4" if shape == "1" else f"4:{shape}"


def _following(items: Iterator[str]) -> list[str]:
    """The parts of a colour that semicolons divide: they are parameters of their own."""
    kind = next(items, "")
    return [kind, *islice(items, {"5": 1, "2": 3}.get(kind, 0))]


def _colour(parts: list[str]) -> list[str] | None:
    """`5 n` or `2 r g b` from the parts after 38, 48 or 58; a colour space in between is left out (ITU T.416)."""
    kind, values = parts[0], parts[1:]
    if kind == "2" and len(values) > 3:
        values = values[1:4]
    values = [value or "0" for value in values]
    if len(values) != {"5": 1, "2": 3}.get(kind) or not all(
        v.isdigit() and len(v) < 4 and int(v) < 256 for v in values
    ):
        return None
    return [kind, *(str(int(value)) for value in values)]


def _spelled(code: str, value: list[str]) -> str:
    if code != "58":
        return ";".join((code, *value))
    return ":".join(("58", "2", "", *value[1:])) if value[0] == "2" else ":".join(("58", *value))
