"""What is printed: texts, tables fitted to the terminal, short local times. Quick commands import this: nothing heavy."""

import os
import time

from synapse.errors import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

COLOURS = {
    "READY": "32", "ONLINE": "32", "completed": "32",
    "WAITING": "36", "input-required": "36",
    "PROCESSING": "33", "STARTING": "33", "working": "33",
    "DONE": "34",
    "RATE_LIMITED": "31", "failed": "31", "dead": "31", "rejected": "31",
    "AWAY": "2", "STOPPED": "2",
}  # fmt: skip
_NARROWEST = 8  # cells that a column keeps when the terminal is too small for all
_USEFUL = 20  # cells that must be left of a column that is not to be cut, or it goes
_MISLEADING = frozenset(
    map(
        chr,
        (0x61C, 0x200B, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF, 0xFFF9, 0xFFFA, 0xFFFB),
    )
)
MORE = "  …"  # behind the heads: there are columns that found no room


def write(text: str) -> None:
    """All of a text on standard output, also into a pipe that takes it in pieces; Refused when it takes nothing."""
    content = memoryview(text.encode("utf-8", "replace"))
    try:
        while content:
            content = content[os.write(1, content) :]
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Refused("no_output", f"Standard output cannot be written: {error.strerror}.") from None


def write_text(text: str) -> None:
    """Somebody's text with a line feed at its end; its control characters do not reach a terminal."""
    text = text if text.endswith("\n") else text + "\n"
    write(harmless(text) if os.isatty(1) else text)


def harmless(text: str, keep: str = "\n\t") -> str:
    """The text without control characters, which could move the cursor, set colours or worse."""
    if text.isprintable():
        return text
    return "".join(sign for sign in text if sign in keep or not _is_control(sign))


def _is_control(sign: str) -> bool:
    code = ord(sign)
    return code < 32 or 127 <= code < 160


def one_line(text: str) -> str:
    """A text on one line; what is not seen itself, but turns, breaks or hides what is, is shown by its number."""
    text = harmless(" ".join(text.split()), "")
    if text.isprintable():
        return text
    return "".join(f"\\u{ord(sign):04x}" if _is_misleading(sign) else sign for sign in text)


def _is_misleading(sign: str) -> bool:
    """Marks that turn the direction of writing, signs without width, halves of characters; but not the joiners that scripts
    and emoji are written with."""
    return sign in _MISLEADING or "\ud800" <= sign <= "\udfff"


def cells(text: str) -> int:
    """How many columns of a terminal a text takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def fit(text: str, width: int) -> str:
    """The text in at most that many columns, an ellipsis at its end where it was cut."""
    if cells(text) <= width:
        return text
    kept, used = "", 0
    for sign in text:
        used += cells(sign)
        if used > width - 1:
            break
        kept += sign
    return kept + "…"


def terminal_width() -> int:
    """The columns of the terminal on standard output; 0 when it is none, which is never too narrow."""
    if not os.isatty(1):
        return 0
    chosen = os.environ.get("COLUMNS", "")
    return int(chosen) if chosen.isdigit() and int(chosen) else os.get_terminal_size(1).columns


def coloured() -> bool:
    """May there be colours: on a terminal that knows them, unless NO_COLOR says otherwise."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in ("", "dumb") and os.isatty(1)


def table(heads: "tuple[str, ...]", rows: "Sequence[tuple[str, ...]]", *, keep: "tuple[str, ...]" = ()) -> str:
    """Aligned columns, no line of which is wider than the terminal; see `layout` for what is left out and cut."""
    lines = [heads, *(tuple(map(one_line, row)) for row in rows)]
    shown, widths, more = layout(lines, keep, terminal_width())
    colours = coloured()
    text = [_row([line[at] for at in shown], widths, colours, first=number == 0) for number, line in enumerate(lines)]
    if more and text:
        text[0] = text[0].rstrip("\n") + MORE + "\n"
    return "".join(text)


def layout(
    lines: "Sequence[tuple[str, ...]]", keep: "tuple[str, ...]", room: int
) -> "tuple[list[int], list[int], bool]":
    """Which columns of these lines (the heads first) are shown, how wide each is, and whether some had to go.

    Columns that are empty throughout are left out. What does not fit into `room` cells (0: no limit) is made narrower,
    the widest first; then columns go, from the right. Those in `keep`, the most important first, come last: they are
    cut only where much of them is left.
    """
    heads, rows = lines[0], lines[1:]
    shown = [at for at in range(len(heads)) if any(row[at] for row in rows)]
    natural = [max(cells(line[at]) for line in lines) for at in shown]
    order = sorted(range(len(shown)), key=lambda at: _worth(heads[shown[at]], at, keep))
    left, widths = list(range(len(shown))), list(natural)
    if not room or not shown or _total(_narrow(widths, [heads[at] in keep for at in shown], room)) <= room:
        return shown, widths, False
    more = room > 2 * _NARROWEST + len(MORE)
    room -= len(MORE) if more else 0
    while len(left) > 1:
        least = order.pop(0)
        if heads[shown[least]] in keep:
            spare = room - _total([natural[at] for at in left]) + natural[least]
            if spare >= _USEFUL:
                natural[least] = spare
                break
        left.remove(least)
        widths = _narrow([natural[at] for at in left], [heads[shown[at]] in keep for at in left], room)
        if _total(widths) <= room:
            return [shown[at] for at in left], widths, more
    if len(left) == 1:
        natural[left[0]] = min(natural[left[0]], max(1, room))
    return [shown[at] for at in left], [natural[at] for at in left], more and len(left) < len(shown)


def _worth(head: str, at: int, keep: "tuple[str, ...]") -> "tuple[bool, int]":
    """What is kept is worth more than the rest, its first more than its last; of the rest, the left more."""
    return (True, -keep.index(head)) if head in keep else (False, -at)


def _total(widths: "list[int]") -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _narrow(widths: "list[int]", kept: "list[bool]", room: int) -> "list[int]":
    """Take from the widest column until all fit, as far as that goes; these widths."""
    over = _total(widths) - room
    while over > 0:
        may = [at for at, width in enumerate(widths) if not kept[at] and width > _NARROWEST]
        if not may:
            break
        widest = max(may, key=lambda at: widths[at])
        widths[widest] -= 1
        over -= 1
    return widths


def _row(line: "list[str]", widths: "list[int]", colours: bool, *, first: bool) -> str:
    parts = []
    for text, width in zip(line, widths, strict=True):
        shown = fit(text, width)
        gap = " " * (width - cells(shown))
        code = "1" if first else COLOURS.get(shown, "")
        parts.append(f"\x1b[{code}m{shown}\x1b[0m{gap}" if colours and code else shown + gap)
    return "  ".join(parts).rstrip() + "\n"


def clock(at: float) -> str:
    """A time as a person says it: `14:03:20` today, `03-14 14:03` otherwise, with its year when that was another."""
    if not at:
        return ""
    then, now = time.localtime(at), time.localtime()
    if then[:3] == now[:3]:
        return time.strftime("%H:%M:%S", then)
    return time.strftime("%m-%d %H:%M" if then[0] == now[0] else "%Y-%m-%d %H:%M", then)


def span(seconds: float) -> str:
    """A length of time: `12s`, `3m`, `2h05m`, `4d`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d"


def since(at: float) -> str:
    """How long ago a time was; nothing for no time."""
    return span(time.time() - at) if at else ""
