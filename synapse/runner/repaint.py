"""The bytes that bring a fresh terminal, or a viewer's, to where the model is, and those that lead it out again."""

from __future__ import annotations

from collections.abc import Iterable

from pyte import modes as mo

from synapse.runner.modes import ALTERNATE, CURSOR_VISIBLE, Settings
from synapse.runner.motion import Saved
from synapse.runner.queries import spelled_colour
from synapse.runner.row import Line, Row, unfolded
from synapse.runner.screen import Screen
from synapse.runner.style import Style

_START = "\x1b[0m\x1b(B\x1b)B\x0f\x1b[r\x1b[?6l\x1b[?7h\x1b[4l\x1b[?25l"
_LEAVE_ALTERNATE = "\x1b[?1049l"
_NO_KITTY = "\x1b[<16u"


def repaint(screen: Screen, settings: Settings, columns: int | None = None, rows: int | None = None) -> str:
    """Reset, contents, cursor and modes; for a viewer of another size cropped so that the cursor is seen, or padded."""
    exact = (columns or screen.columns, rows or screen.lines) == (screen.columns, screen.lines)
    columns, rows = min(columns or screen.columns, screen.columns), rows or screen.lines
    top = max(0, screen.cursor.y + 1 - rows)
    out = ["\x1b[?2026h"]
    if any(mode in settings.private for mode in ALTERNATE):
        out.append(_LEAVE_ALTERNATE)
    out.append(_START)
    if screen.hidden_rows is not None:
        out += _kitty(settings, settings.hidden_kitty)
        out += _contents(screen.hidden_rows[:rows], columns)
        out += _saved(screen.hidden_saved, 0), "\x1b[?1049h", _START
    out += _kitty(settings, settings.kitty)
    out += _contents(screen.rows[top : top + rows], columns)
    if screen.saved != Saved():
        out += _saved(screen.saved, top), "\x1b7\x1b[?6l"
    out.append(_surroundings(settings))
    out.append(_cursor(screen, top, columns, exact))
    out += "\x1b[?25h" if settings.is_on(CURSOR_VISIBLE) else "", "\x1b[?2026l"
    return "".join(out)


def restore(screen: Screen, settings: Settings) -> str:
    """What a terminal must be told when its viewer leaves: undoes what is on, ends below the picture."""
    out = []
    if settings.kitty:
        out.append(f"\x1b[<{len(settings.kitty)}u")
    if screen.alternate:
        out.append(_LEAVE_ALTERNATE)
        if settings.hidden_kitty:
            out.append(f"\x1b[<{len(settings.hidden_kitty)}u")
    out += settings.undone(), "\x1b[0m\x1b(B\x1b)B\x0f"
    if settings.region_touched:
        out.append("\x1b7\x1b[r\x1b8")
    if not screen.alternate:
        used = [y for y, row in enumerate(screen.rows) if row.text()]
        out.append(f"\x1b[{used[-1] + 1 if used else 1};1H\r\n")
    return "".join(out)


def scrollback(lines: Iterable[Line], rows: int) -> str:
    """The lines, pushed out of a screen of so many rows into the viewer's own history."""
    painted = ["".join(_painted(unfolded(line))) + "\r\n" for line in lines]
    return "".join(["\x1b[0m\x1b[H\x1b[2J", *painted, "\r\n" * (rows - 1)]) if painted else ""


def _painted(runs: Iterable[tuple[str, Style]]) -> Iterable[str]:
    for text, style in runs:
        yield f"\x1b[{style}m{text}\x1b[0m" if style else text


def _contents(rows: list[Row], columns: int) -> Iterable[str]:
    yield "\x1b[H\x1b[2J"
    for y, row in enumerate(rows, 1):
        if runs := row.runs(columns):
            yield f"\x1b[{y}H"
            yield from _painted(runs)


def _kitty(settings: Settings, stack: list[int]) -> list[str]:
    return [_NO_KITTY, *(f"\x1b[>{flags}u" for flags in stack)] if settings.kitty_touched else []


def _saved(saved: Saved, top: int) -> str:
    place = f"\x1b[{max(0, saved.y - top) + 1};{saved.x + 1}H"
    return ("\x1b[?6h" if saved.origin else "") + place + _pen(saved.pen) + _charset(saved.drawing, saved.shift)


def _pen(style: Style) -> str:
    return f"\x1b[0;{style}m" if style else "\x1b[0m"


def _charset(drawing: Iterable[bool], shift: int) -> str:
    first, second = drawing
    return f"\x1b({'0' if first else 'B'}\x1b){'0' if second else 'B'}" + ("\x0e" if shift else "\x0f")


def _surroundings(settings: Settings) -> str:
    out = [settings.replayed()]
    if settings.title:
        out.append(f"\x1b]2;{settings.title}\x1b\\")
    out += [f"\x1b]{name};{spelled_colour(value)}\x1b\\" for name, value in settings.colours.items()]
    return "".join(out)


def _cursor(screen: Screen, top: int, columns: int, exact: bool) -> str:
    """Region, origin, place, pen and character set; a cursor that waits to wrap gets there by its last character."""
    out = []
    y, x = screen.cursor.y - top, screen.cursor.x
    if exact and screen.margins:
        out.append(f"\x1b[{screen.margins.top + 1};{screen.margins.bottom + 1}r")
    origin = exact and mo.DECOM in screen.mode
    first = screen.region[0] if origin else 0
    if origin:
        out.append("\x1b[?6h")
    if x < screen.columns or not exact:
        out.append(f"\x1b[{y - first + 1};{min(x, columns - 1) + 1}H")
    else:
        row = screen.rows[screen.cursor.y]
        last = x - 2 if row.chars[x - 1] == "" and x > 1 else x - 1
        out.append(f"\x1b[0m\x1b(B\x0f\x1b[{y - first + 1};{last + 1}H{_pen(row.styles[last])}{row.chars[last]}")
    if mo.IRM in screen.mode:
        out.append("\x1b[4h")
    return "".join(out) + _pen(screen.pen) + _charset(screen.drawing, screen.charset)
