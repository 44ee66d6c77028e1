"""What programs ask their terminal, and our answers: the runner alone answers, from its model."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

_XTERM_16: Final = (
    "000000", "cd0000", "00cd00", "cdcd00", "0000ee", "cd00cd", "00cdcd", "e5e5e5",
    "7f7f7f", "ff0000", "00ff00", "ffff00", "5c5cff", "ff00ff", "00ffff", "ffffff",
)  # fmt: skip
_STEPS: Final = (0x00, 0x5F, 0x87, 0xAF, 0xD7, 0xFF)


@dataclass(frozen=True)
class TerminalFacts:
    """What is known of the person's terminal; colours are `rrggbb`, sizes in cells and pixels."""

    columns: int = 120
    rows: int = 40
    pixel_width: int = 960
    pixel_height: int = 640
    foreground: str = "d0d0d0"
    background: str = "101010"
    cursor: str = "d0d0d0"
    palette: tuple[str, ...] = _XTERM_16
    kitty_keyboard: bool = True
    name: str = "synapse"

    @property
    def cell(self) -> tuple[int, int]:
        """Width and height of one cell in pixels."""
        return max(1, self.pixel_width // max(1, self.columns)), max(1, self.pixel_height // max(1, self.rows))

    @property
    def dark(self) -> bool:
        """Whether the background is nearer to black."""
        red, green, blue = bytes.fromhex(self.background)
        return 299 * red + 587 * green + 114 * blue < 128_000

    def colour(self, name: str) -> str | None:
        """The colour behind OSC `10`, `11`, `12` or `4;n`."""
        if name.startswith("4;"):
            index = name[2:]
            return self._indexed(int(index)) if index.isdigit() and len(index) < 4 else None
        return {"10": self.foreground, "11": self.background, "12": self.cursor}.get(name)

    def _indexed(self, index: int) -> str | None:
        if index < len(self.palette):
            return self.palette[index]
        if 16 <= index < 232:
            index -= 16
            return bytes(_STEPS[i] for i in (index // 36, index // 6 % 6, index % 6)).hex()
        return bytes([8 + 10 * (index - 232)] * 3).hex() if 232 <= index < 256 else None


DEFAULTS: Final = TerminalFacts()

PROBE: Final = (
    b"\x1b]10;?\x1b\\\x1b]11;?\x1b\\\x1b]12;?\x1b\\\x1b]4;"
    + b";".join(b"%d;?" % index for index in range(16))
    + b"\x1b\\\x1b[?u\x1b[>0q\x1b[16t\x1b[c"
)
"""What to ask the real terminal before the child starts. Every terminal answers the last question, so its answer
says that no other will come."""

_FENCE: Final = re.compile(rb"\x1b\[\?[0-9;]*c")
_COLOUR_REPLY: Final = re.compile(rb"\x1b\](1[012]|4;[0-9]{1,2});(rgba?:[0-9a-fA-F/]{3,24}|#[0-9a-fA-F]{3,12})")
_NAME_REPLY: Final = re.compile(rb"\x1bP>\|([ -~]{1,100})\x1b\\")
_CELL_REPLY: Final = re.compile(rb"\x1b\[6;([0-9]{1,4});([0-9]{1,4})t")
_COLOUR_FIELDS: Final = {b"10": "foreground", b"11": "background", b"12": "cursor"}


def probe_answered(reply: bytes) -> bool:
    """Whether the answer to the last question of PROBE is in."""
    return _FENCE.search(reply) is not None


def parse_probe(reply: bytes, facts: TerminalFacts = DEFAULTS) -> TerminalFacts:
    """`facts` with what a terminal answered to PROBE; other input in between is passed over."""
    found: dict[str, str] = {}
    palette = list(facts.palette)
    for match in _COLOUR_REPLY.finditer(reply):
        name, value = match[1], parse_colour(match[2].decode())
        if value and name in _COLOUR_FIELDS:
            found[_COLOUR_FIELDS[name]] = value
        elif value and (index := int(name[2:])) < len(palette):
            palette[index] = value
    facts = replace(facts, palette=tuple(palette), **found)  # type: ignore[arg-type]
    if name_reply := _NAME_REPLY.search(reply):
        facts = replace(facts, name=name_reply[1].decode())
    if cell := _CELL_REPLY.search(reply):
        facts = replace(facts, pixel_width=int(cell[2]) * facts.columns, pixel_height=int(cell[1]) * facts.rows)
    return replace(facts, kitty_keyboard=re.search(rb"\x1b\[\?[0-9]+u", reply) is not None)


def parse_colour(text: str) -> str | None:
    """`rrggbb` from `#rgb` up to `#rrrrggggbbbb` or `rgb:r/g/b`; None for anything else (names of colours)."""
    if text.startswith("#"):
        digits = text[1:]
        third, rest = divmod(len(digits), 3)
        parts = [] if rest or not 0 < third < 5 else [digits[i : i + third] for i in range(0, len(digits), third)]
    else:
        parts = text.partition(":")[2].split("/")[:3] if text.startswith(("rgb:", "rgba:")) else []
    if len(parts) != 3 or not all(re.fullmatch("[0-9a-fA-F]{1,4}", part) for part in parts):
        return None
    scaled = [int(part, 16) * 255 // (16 ** len(part) - 1) for part in parts]
    return bytes(scaled).hex()


def spelled_colour(colour: str) -> str:
    """The colour as terminals answer: `rgb:rrrr/gggg/bbbb`."""
    return "rgb:" + "/".join(colour[i : i + 2] * 2 for i in (0, 2, 4))


# The answers. Those that need no state:

DEVICE: Final = "\x1b[?62;22c"  # DA1: a VT220 with colours
SECONDARY_DEVICE: Final = "\x1b[>0;277;0c"
TERTIARY_DEVICE: Final = "\x1bP!|00000000\x1b\\"
WELL: Final = "\x1b[0n"
_CAPABILITIES: Final = {
    "Co": "256", "colors": "256", "RGB": "8", "TN": "xterm-256color", "name": "xterm-256color",
    "Ms": "\x1b]52;%p1%s;%p2%s\x07",
}  # fmt: skip


def capabilities(body: str) -> str:
    """XTGETTCAP: names and values are hexadecimal."""
    answers = []
    for name in body.split(";")[:64]:
        try:
            value = _CAPABILITIES.get(bytes.fromhex(name).decode("ascii"))
        except ValueError:
            value = None
        if value is None:
            answers.append(f"\x1bP0+r{name if name.isalnum() and name.isascii() else ''}\x1b\\")
        else:
            answers.append(f"\x1bP1+r{name}={value.encode().hex().upper()}\x1b\\")
    return "".join(answers)


def colour(name: str, value: str | None) -> str:
    """The answer to OSC 4, 10, 11, 12; none for colours we do not have."""
    return f"\x1b]{name};{spelled_colour(value)}\x1b\\" if value else ""


def setting(body: str, known: dict[str, Callable[[], str]]) -> str:
    """DECRQSS."""
    return f"\x1bP1$r{known[body]()}{body}\x1b\\" if body in known else "\x1bP0$r\x1b\\"


def window(what: int, columns: int, rows: int, facts: TerminalFacts) -> str:
    """XTWINOPS 14, 16 and 18: sizes of the text area in pixels, of a cell, of the text area in cells."""
    width, height = facts.cell
    return {
        14: f"\x1b[4;{rows * height};{columns * width}t",
        16: f"\x1b[6;{height};{width}t",
        18: f"\x1b[8;{rows};{columns}t",
    }.get(what, "")
