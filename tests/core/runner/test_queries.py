"""What programs ask: the model answers truly, once, and never about the clipboard."""

import pytest

from synapse.runner.queries import DEFAULTS, PROBE, TerminalFacts, parse_colour, parse_probe, probe_answered
from tests.core.runner import terminal_kit as kit


def answer(output: bytes, **options: TerminalFacts) -> bytes:
    return kit.shown(output, 80, 24, **options).replies()


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (b"\x1b[c", b"\x1b[?62;22c"),
        (b"\x1b[0c", b"\x1b[?62;22c"),
        (b"\x1bZ", b"\x1b[?62;22c"),
        (b"\x1b[>c", b"\x1b[>0;277;0c"),
        (b"\x1b[=c", b"\x1bP!|00000000\x1b\\"),
        (b"\x1b[5n", b"\x1b[0n"),
        (b"ab\r\ncd\x1b[6n", b"\x1b[2;3R"),
        (b"x" * 80 + b"\x1b[6n", b"\x1b[1;80R"),
        (b"\x1b[5;10r\x1b[?6h\x1b[2;3H\x1b[6n", b"\x1b[2;3R"),
        (b"\x1b[7;9H\x1b[?6n", b"\x1b[?7;9R"),
        (b"\x1b[?996n", b"\x1b[?997;1n"),
        (b"\x1b[>q", b"\x1bP>|synapse\x1b\\"),
        (b"\x1b[>0q", b"\x1bP>|synapse\x1b\\"),
        (b"\x1b[?u", b"\x1b[?0u"),
        (b"\x1b[>5u\x1b[?u", b"\x1b[?5u"),
        (b"\x1b[>5u\x1b[>1u\x1b[<u\x1b[?u", b"\x1b[?5u"),
        (b"\x1b]11;?\x07", b"\x1b]11;rgb:1010/1010/1010\x1b\\"),
        (b"\x1b]10;?;?\x1b\\", b"\x1b]10;rgb:d0d0/d0d0/d0d0\x1b\\\x1b]11;rgb:1010/1010/1010\x1b\\"),
        (b"\x1b]11;#fff\x07\x1b]11;?\x07", b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\"),
        (b"\x1b]11;#fff\x07\x1b]111\x07\x1b]11;?\x07", b"\x1b]11;rgb:1010/1010/1010\x1b\\"),
        (b"\x1b]4;1;?;196;?\x07", b"\x1b]4;1;rgb:cdcd/0000/0000\x1b\\\x1b]4;196;rgb:ffff/0000/0000\x1b\\"),
        (b"\x1b]4;300;?\x07", b""),
        (b"\x1b]13;?\x07", b""),
        (b"\x1b[14t", b"\x1b[4;384;640t"),
        (b"\x1b[16t", b"\x1b[6;16;8t"),
        (b"\x1b[18t", b"\x1b[8;24;80t"),
        (b"\x1b[21t", b""),
        (b"\x1bP+q436F;7A7A\x1b\\", b"\x1bP1+r436F=323536\x1b\\\x1bP0+r7A7A\x1b\\"),
        (b"\x1bP+qzz\x1b[c\x1b\\", b"\x1b[?62;22c"),
        (b"\x1b[1;31m\x1bP$qm\x1b\\", b"\x1bP1$r0;1;31m\x1b\\"),
        (b"\x1b[3;9r\x1bP$qr\x1b\\", b"\x1bP1$r3;9r\x1b\\"),
        (b"\x1b[5 q\x1bP$q q\x1b\\", b"\x1bP1$r5 q\x1b\\"),
        (b"\x1bP$qx\x1b\\", b"\x1bP0$r\x1b\\"),
        (b"\x1b[>4;2m\x1b[?4m", b"\x1b[>4;2m"),
        (b"\x1b[>4;?m", b"\x1b[>4;0m"),
        (b"\x1b]52;c;?\x07", b""),
        (b"\x05", b""),
        (b"\x1b[?15n", b""),
    ],
)
def test_a_query_has_its_answer(asked: bytes, answered: bytes) -> None:
    assert answer(asked) == answered


@pytest.mark.parametrize(
    ("before", "mode", "state"),
    [
        (b"", b"?2026", 2), (b"\x1b[?2026h", b"?2026", 1), (b"", b"?25", 1), (b"\x1b[?25l", b"?25", 2), (b"", b"?7", 1),
        (b"\x1b[?2004h", b"?2004", 1), (b"\x1b[?1049h", b"?1049", 1), (b"\x1b[?1049h\x1b[?1049l", b"?1049", 2),
        (b"\x1b[?1004h\x1bc", b"?1004", 2), (b"\x1b[?2027h", b"?2027", 0), (b"", b"?1016", 0), (b"\x1b[4h", b"4", 1),
        (b"", b"20", 2), (b"", b"7", 0),
    ],
)  # fmt: skip
def test_the_state_of_a_mode_is_the_true_one(before: bytes, mode: bytes, state: int) -> None:
    assert answer(before + b"\x1b[" + mode + b"$p") == b"\x1b[%s;%d$y" % (mode, state)


def test_answers_are_taken_once() -> None:
    terminal = kit.shown(b"\x1b[c\x1b[5n")
    assert terminal.replies() == b"\x1b[?62;22c\x1b[0n"
    assert terminal.replies() == b""


def test_a_terminal_without_kitty_keyboard_does_not_claim_it() -> None:
    assert answer(b"\x1b[?u\x1b[c", facts=TerminalFacts(kitty_keyboard=False)) == b"\x1b[?62;22c"


def test_a_bright_background_is_said_to_be_bright() -> None:
    assert answer(b"\x1b[?996n", facts=TerminalFacts(background="fdf6e3")) == b"\x1b[?997;2n"


def test_the_probe_ends_with_what_every_terminal_answers() -> None:
    assert PROBE.endswith(b"\x1b[c")
    assert not probe_answered(b"\x1b]11;rgb:0000/0000/0000\x1b\\")
    assert probe_answered(b"\x1b]11;rgb:0000/0000/0000\x1b\\\x1b[?64;1;2c")


def test_the_answers_of_a_real_terminal_are_understood() -> None:
    reply = (
        b"typed\x1b]10;rgb:ff/ee/dd\x1b\\\x1b]11;rgb:ffff/f0f0/e0e0\x07\x1b]12;#123456\x07\x1b]4;1;rgb:aaaa/0000/0000\x1b\\"
        b"\x1b]4;99;rgb:aaaa/0000/0000\x1b\\\x1b[?0u\x1bP>|kitty(0.35.2)\x1b\\\x1b[6;20;10tkeys\x1b[?62;c"
    )
    facts = parse_probe(reply, TerminalFacts(columns=100, rows=50))
    assert (facts.foreground, facts.background, facts.cursor) == ("ffeedd", "fff0e0", "123456")
    assert facts.palette[1] == "aa0000"
    assert facts.kitty_keyboard
    assert facts.name == "kitty(0.35.2)"
    assert facts.cell == (10, 20)
    assert not facts.dark


def test_a_terminal_that_answers_nothing_has_the_defaults_and_no_kitty_keyboard() -> None:
    facts = parse_probe(b"")
    assert not facts.kitty_keyboard
    assert (facts.background, facts.palette, facts.name) == (DEFAULTS.background, DEFAULTS.palette, DEFAULTS.name)


def test_the_model_understands_its_own_answers() -> None:
    facts = TerminalFacts(foreground="abcdef", background="012345", cursor="fedcba", name="mine")
    told = parse_probe(kit.shown(PROBE, 120, 40, facts=facts).replies())
    assert told == facts


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("#fff", "ffffff"), ("#123456", "123456"), ("#123412341234", "121212"), ("rgb:f/8/0", "ff8800"),
        ("rgb:ffff/8080/0000", "ff8000"), ("rgba:ffff/0000/0000/ffff", "ff0000"), ("red", None), ("#12345", None),
        ("rgb:1/2", None), ("", None), ("#", None), ("rgb:zz/00/00", None),
    ],
)  # fmt: skip
def test_colours_are_read_as_x11_writes_them(text: str, colour: str | None) -> None:
    assert parse_colour(text) == colour
