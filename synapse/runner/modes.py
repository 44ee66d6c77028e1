"""What a program has set in its terminal besides the text: needed by the next viewer, undone for one who leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

BRACKETED_PASTE: Final = 2004
FOCUS: Final = 1004
SYNCHRONIZED: Final = 2026
CURSOR_KEYS: Final = 1
CURSOR_VISIBLE: Final = 25
MOUSE: Final = frozenset({9, 1000, 1001, 1002, 1003, 1005, 1006, 1015})
ALTERNATE: Final = frozenset({47, 1047, 1049})
KNOWN: Final = MOUSE | ALTERNATE | {1, 5, 6, 7, 12, 25, 1004, 1007, 1048, 2004, 2026}
"""Private modes that DECRQM is answered for."""

_ON_AT_START: Final = frozenset({7, 25})
_MOST_MODES: Final = 64
_DEEPEST_STACK: Final = 16
_NOT_REPLAYED: Final = ALTERNATE | {6, 1048, 2026}  # painted in their own place, or of the moment


@dataclass(frozen=True)
class Modes:
    """A snapshot. `mouse` are the private modes that are on, in the order in which they were set; `changed` are all
    private modes that stand otherwise than at the start, but for alternate screen and synchronized output."""

    alternate: bool
    bracketed_paste: bool
    focus: bool
    mouse: tuple[int, ...]
    application_cursor: bool
    application_keypad: bool
    kitty: tuple[int, ...]
    modify_other_keys: int
    cursor_visible: bool
    cursor_shape: int
    title: str
    region: tuple[int, int] | None
    changed: frozenset[int]


@dataclass
class Settings:
    """The modes as they stand, and which were ever touched."""

    private: dict[int, bool] = field(default_factory=dict)
    kept: dict[int, bool] = field(default_factory=dict)  # XTSAVE
    keypad: bool = False
    keypad_touched: bool = False
    kitty: list[int] = field(default_factory=list)  # of the screen that is shown
    hidden_kitty: list[int] = field(default_factory=list)
    kitty_touched: bool = False
    other_keys: int = 0
    other_keys_touched: bool = False
    shape: int = 0
    title: str = ""
    titles: list[str] = field(default_factory=list)
    colours: dict[str, str] = field(default_factory=dict)  # what the program set: `11` or `4;7` to `rrggbb`
    region_touched: bool = False

    def is_on(self, mode: int) -> bool:
        return self.private.get(mode, mode in _ON_AT_START)

    def set(self, mode: int, on: bool) -> None:
        """Keeps all that are known and up to 64 others; the last one set comes last."""
        self.private.pop(mode, None)
        if mode in KNOWN or len(self.private) < _MOST_MODES:
            self.private[mode] = on

    def keep(self, mode: int) -> None:
        """XTSAVE, for up to 64 modes."""
        if mode in self.kept or len(self.kept) < _MOST_MODES:
            self.kept[mode] = self.is_on(mode)

    def changed(self) -> frozenset[int]:
        return frozenset(
            mode
            for mode, on in self.private.items()
            if on != (mode in _ON_AT_START) and mode not in ALTERNATE | {1048, SYNCHRONIZED}
        )

    def push_kitty(self, flags: int) -> None:
        self.kitty_touched = True
        self.kitty.append(flags & 31)
        del self.kitty[:-_DEEPEST_STACK]

    def pop_kitty(self, count: int) -> None:
        self.kitty_touched = True
        del self.kitty[-max(1, count) :]

    def set_kitty(self, flags: int, how: int) -> None:
        """`CSI = flags ; how u`: 1 replaces, 2 adds, 3 takes away."""
        self.kitty_touched = True
        old = self.kitty[-1] if self.kitty else 0
        flags &= 31
        self.kitty[-1:] = [{2: old | flags, 3: old & ~flags}.get(how, flags)]

    def swap_screens(self) -> None:
        """Each screen has its own stack of kitty flags."""
        self.kitty, self.hidden_kitty = self.hidden_kitty, self.kitty

    def reset_softly(self) -> None:
        """DECSTR."""
        self.keypad = False
        for mode, on in ((CURSOR_KEYS, False), (6, False), (7, True), (CURSOR_VISIBLE, True)):
            if mode in self.private:
                self.private[mode] = on

    def reset(self) -> None:
        """RIS: everything as at the start, but what was touched stays known."""
        self.private = {mode: mode in _ON_AT_START for mode in self.private}
        self.keypad = False
        self.kitty, self.hidden_kitty = [], []
        self.other_keys = self.shape = 0
        self.title = ""
        self.titles.clear()
        self.colours.clear()

    def replayed(self) -> str:
        """The sequences that bring another terminal's modes here; also those that were on and are off."""
        out = [
            f"\x1b[?{mode}{'h' if on else 'l'}"
            for mode, on in sorted(self.private.items(), key=lambda item: item[1])
            if mode not in _NOT_REPLAYED
        ]
        if self.keypad_touched:
            out.append("\x1b=" if self.keypad else "\x1b>")
        if self.other_keys_touched:
            out.append(f"\x1b[>4;{self.other_keys}m")
        if self.shape:
            out.append(f"\x1b[{self.shape} q")
        return "".join(out)

    def undone(self) -> str:
        """The sequences that switch off what is on, without touching the rest."""
        out = [
            f"\x1b[?{mode}{'h' if mode in _ON_AT_START else 'l'}"
            for mode, on in self.private.items()
            if on != (mode in _ON_AT_START) and mode not in ALTERNATE | {1048}
        ]
        if self.keypad:
            out.append("\x1b>")
        if self.other_keys:
            out.append("\x1b[>4m")
        if self.shape:
            out.append("\x1b[0 q")
        out += [f"\x1b]104;{name[2:]}\x1b\\" if name[1] == ";" else f"\x1b]1{name}\x1b\\" for name in self.colours]
        return "".join(out)
