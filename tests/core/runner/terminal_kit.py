"""What the terminal's tests share: recordings, snapshots, and streams that hypothesis makes up."""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from synapse.runner.terminal import Terminal

SCREENS = Path(__file__).parents[2] / "screens"


@dataclass(frozen=True)
class Recording:
    columns: int
    rows: int
    output: bytes
    answers: bytes


def recordings() -> list[str]:
    return sorted(path.stem for path in SCREENS.glob("*.cast"))


def recording(name: str) -> Recording:
    header, *events = map(json.loads, (SCREENS / f"{name}.cast").read_text(encoding="utf-8").splitlines())
    output = "".join(event[2] for event in events if event[1] == "o").encode()
    answers = "".join(event[2] for event in events if event[1] == "i").encode()
    return Recording(header["width"], header["height"], output, answers)


def shown(output: bytes, columns: int = 40, rows: int = 10, **options: Any) -> Terminal:
    """A terminal that has taken all of it in."""
    terminal = Terminal(columns, rows, **options)
    terminal.write(output)
    assert terminal.advance(60)
    return terminal


def in_pieces(pieces: list[bytes], columns: int, rows: int) -> tuple[Terminal, bytes]:
    """The same, piece by piece, and what viewers got."""
    terminal = Terminal(columns, rows)
    viewers = b""
    for piece in pieces:
        viewers += terminal.write(piece)
        assert terminal.advance(60)
    return terminal, viewers


def picture(terminal: Terminal) -> dict[str, Any]:
    """Everything that can be seen of a terminal."""
    return {
        "lines": terminal.styled_lines(),
        "cursor": (terminal.cursor, terminal._screen.cursor.x),
        "pen": terminal._screen.pen,
        "modes": terminal.modes,
        "colours": terminal._interpreter.settings.colours,
        "wraps": terminal._screen.mode,
        "sets": (terminal._screen.drawing, terminal._screen.charset),
    }


def past(terminal: Terminal) -> dict[str, Any]:
    return {"history": terminal.styled_history(), "scrolled": terminal.scrolled}


_number = st.integers(0, 12).map(str) | st.sampled_from(["", "38", "48", "99999", "123456789", "2026", "1049", "25"])


def _one_of(words: str) -> st.SearchStrategy[str]:
    return st.sampled_from(words.split(" "))


_mode = _one_of("1 2 3 4 5 6 7 12 20 25 47 66 69 1000 1002 1003 1004 1006 1047 1048 1049 2004 2026 2027")
_colour = _one_of("0 1 2 4 4:3 7 22 31 39 42 49 97 104 38;5;9 48;2;1;2;3 38:2::9:8:7 58:5:3 58;5;3 59")
_words = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=14)
_unicode = st.text("éßж─│▀⠋✦❯漢字한🙂👩\u200d\u0301\u0300\ufe0f\u00ad\ufffd\u2028\u0085\u009b\u0090 ab", max_size=6)
_csi = st.builds(
    lambda prefix, numbers, between, final: f"\x1b[{prefix}{';'.join(numbers)}{between}{final}",
    st.sampled_from(["", "", "", "", "?", ">", "=", "<"]),
    st.lists(_number, max_size=3),
    st.sampled_from(["", "", "", "", "", " ", "$", "!", '"', "#", "'", "*"]),
    st.sampled_from([chr(code) for code in range(0x40, 0x7F)]),
)
_moves = st.builds(lambda n, f: f"\x1b[{n}{f}", _number, st.sampled_from("ABCDEFGHIJKLMPSTXZ@drsu"))
_style = st.lists(_colour, max_size=3).map(lambda codes: f"\x1b[{';'.join(codes)}m")
_modes = st.builds(
    lambda m, f: f"\x1b[?{';'.join(m)}{f}", st.lists(_mode, min_size=1, max_size=2), st.sampled_from("hl")
)
_kitty = st.builds(lambda p, n: f"\x1b[{p}{n}u", st.sampled_from("<>=?"), _number)
_escape = _one_of("7 8 D E H M Z c = > (0 (B )0 #8 %G \\ \x1b [ ] P").map("\x1b{}".format)
_control = st.sampled_from(
    ["\r\n", "\r\n", "\n", "\r", "\b", "\t", "\a", "\x05", "\x0e", "\x0f", "\0", "\x18", "\x7f", "\v"]
)
_string = st.builds(
    lambda kind, body, end: f"\x1b{kind}{body}{end}",
    st.sampled_from("]P_^X"),
    st.sampled_from(
        [
            *(
                "0;title",
                "2;✳ ready",
                "4;1;?",
                "4;1;#123456;2;?",
                "11;?",
                "10;#fff;?",
                "52;c;?",
                "52;c;YWI=",
                "9;done?",
            ),
            *(
                "7501;state=idle:app=x",
                "104",
                "111",
                "1337;File=:x",
                "66;s=2;big",
                "+q436F;zz",
                "$qm",
                "$qr",
                "Gi=1,a=q",
            ),
        ]
    ),
    st.sampled_from(["\a", "\x1b\\", "\x1b\\", "\x18", "\x1b", ""]),
)
_lines = st.lists(_words, min_size=6, max_size=30).map(lambda words: "".join(f"{word}\r\n" for word in words))
_odd = st.sampled_from(
    ["\x1b[3\r1m", "\x1b[\a2J", "\x1b[1é", "\x1b[6\0n", "\x1b[5 5n", "\x1b[6?n", "\x1b    Z", "\x1b[>4;?m"]
)
_raw = st.binary(max_size=6)

_piece = st.one_of(
    _words, _words, _unicode, _csi, _moves, _moves, _style, _modes, _kitty, _escape, _control, _string, _lines, _odd
).map(str.encode)
streams = st.lists(_piece | _raw, max_size=30).map(b"".join)
"""Output as no sane program writes it."""

tame_streams = st.lists(
    st.one_of(_words, _words, _unicode, _moves, _moves, _style, _modes, _kitty, _control, _lines).map(str.encode),
    max_size=30,
).map(b"".join)
sizes = st.tuples(st.integers(1, 30), st.integers(1, 8))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` cut at these places (modulo its length)."""
    borders = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(borders)]
