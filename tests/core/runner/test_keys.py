"""What viewers type: tokens, reports that are dropped, keys in all their dresses, drafts, text that may be injected."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse.runner.keys import PASTE_END, PASTE_START, Draft, Keys, Token, match_key, sanitize
from synapse.runner.queries import PROBE
from synapse.runner.strokes import parse_key
from tests.core.runner import terminal_kit as kit


def kinds(data: bytes) -> list[tuple[str, bytes]]:
    return [(token.kind, token.data) for token in Keys().feed(data)]


# Tokens.


@pytest.mark.parametrize(
    "key",
    [
        *(
            b"\r",
            b"\t",
            b"\x7f",
            b"\x03",
            b"\x1c",
            b"\x00",
            b"\x1b[A",
            b"\x1bOA",
            b"\x1b[1;5C",
            b"\x1b[3~",
            b"\x1b[15;2~",
        ),
        *(b"\x1b[92;5u", b"\x1b[27;5;92~", b"\x1b[13u", b"\x1b[97:65:97;2:1;65u", b"\x1b[Z", b"\x1bx", b"\x1b\r"),
        *("\x1bé".encode(), b"\x1b[[A", b"\x1b[1;5R", b"\x1b[1;2P", b"\x1bOP", b"\x1b[57441;2u", b"\x1bOx"),
    ],
)
def test_a_key_is_one_token(key: bytes) -> None:
    assert kinds(key) == [("key", key)]
    assert kinds(b"a" + key + b"b") == [("text", b"a"), ("key", key), ("text", b"b")]


@pytest.mark.parametrize(
    "report",
    [
        *(
            b"\x1b[?62;22c",
            b"\x1b[>0;277;0c",
            b"\x1b[12;40R",
            b"\x1b[?12;40R",
            b"\x1b[1;120R",
            b"\x1b[0n",
            b"\x1b[?997;1n",
        ),
        *(b"\x1b[?2026;2$y", b"\x1b[4;2$y", b"\x1b[?0u", b"\x1b[>4;2m", b"\x1b[4;640;960t", b"\x1b[48;40;120;640;960t"),
        *(
            b"\x1b]11;rgb:0000/0000/0000\x1b\\",
            b"\x1b]4;1;rgb:0/0/0\x07",
            b"\x1b]52;c;YWI=\x07",
            b"\x1bP>|kitty(0.35)\x1b\\",
        ),
        *(
            b"\x1bP1+r4d73=41\x1b\\",
            b"\x1bP1$r0m\x1b\\",
            b"\x1bP!|00000000\x1b\\",
            b"\x1b_Gi=1;OK\x1b\\",
            b"\x1b[?64;1;2c",
        ),
    ],
)
def test_a_report_of_the_viewers_terminal_is_told_from_keys(report: bytes) -> None:
    assert kinds(b"a" + report + b"b") == [("text", b"a"), ("report", report), ("text", b"b")]
    for i in range(3, len(report)):  # ESC and one character could be Alt with a key, and are let go
        keys = Keys()
        assert [token.kind for token in keys.feed(report[:i]) + keys.flush() + keys.feed(report[i:])] == ["report"]


@pytest.mark.parametrize(
    "mouse", [b"\x1b[<0;12;7M", b"\x1b[<35;1;1m", b"\x1b[M !!", b"\x1b[M\xff\x9b\x1b", b"\x1b[32;5;6M"]
)
def test_the_mouse_is_told_from_keys(mouse: bytes) -> None:
    assert kinds(mouse + b"x") == [("mouse", mouse), ("text", b"x")]


def test_focus() -> None:
    assert kinds(b"\x1b[I\x1b[O") == [("focus", b"\x1b[I"), ("focus", b"\x1b[O")]


def test_the_answers_of_our_own_terminal_are_reports() -> None:
    asked = (
        PROBE
        + b"\x1b[6n\x1b[?6n\x1b[?2026$p\x1b[14t\x1b[18t\x1b[>c\x1b[=c\x1b[5n\x1b[?996n\x1bP+q436F\x1b\\\x1bP$qm\x1b\\"
    )
    replies = kit.shown(asked + b"\x1b[7;9H\x1b[6n", 120, 40).replies()
    assert {kind for kind, data in kinds(replies) if data != b"\x1b[1;1R"} == {"report"}


@pytest.mark.parametrize("name", kit.recordings())
def test_what_recorded_terminals_answered_and_people_typed_is_told_apart(name: str) -> None:
    made = kit.recording(name)
    tokens = Keys().feed(made.answers)
    kept = b"".join(token.data for token in tokens if token.kind != "report")
    assert not re.search(rb"rgb:|stubterm|\$y|\[\?[0-9;]*[cu]", kept)
    assert any(typed in kept for typed in (b"tok", b"RUNCMD", b"CALL"))


def test_a_paste_comes_in_pieces_that_nobody_takes_for_keys() -> None:
    keys = Keys()
    tokens = keys.feed(b"a\x1b[200~one\r\x03\x1b[A\x1b[20")
    assert keys.pending
    assert keys.flush() == []
    tokens += keys.feed(b"0~two\x1b[2") + keys.feed(b"01~b")
    assert not keys.pending
    assert (tokens[0], tokens[1], tokens[-2], tokens[-1]) == (
        Token("text", b"a"),
        Token("paste", PASTE_START),
        Token("paste", PASTE_END),
        Token("text", b"b"),
    )
    assert {token.kind for token in tokens[2:-2]} == {"paste"}
    assert b"".join(token.data for token in tokens[2:-2]) == b"one\r\x03\x1b[A\x1b[200~two"


def test_a_lone_escape_is_released() -> None:
    keys = Keys()
    assert keys.feed(b"\x1b") == []
    assert keys.pending
    assert keys.flush() == [Token("key", b"\x1b")]
    assert not keys.pending
    assert keys.flush() == []
    assert kinds(b"\x1b\x1b[A") == [("key", b"\x1b"), ("key", b"\x1b[A")]


@pytest.mark.parametrize("char", [b"[", b"O", b"]", b"P", b"_"])
def test_alt_with_a_character_that_begins_a_sequence_is_released(char: bytes) -> None:
    keys = Keys()
    assert keys.feed(b"\x1b" + char) == []
    assert keys.flush() == [Token("key", b"\x1b" + char)]


def test_half_a_report_that_never_ends_does_not_swallow_what_is_typed_later() -> None:
    keys = Keys()
    assert keys.feed(b"\x1b]11;rgb:00") == []
    assert keys.flush() == []
    assert not keys.pending
    assert keys.feed(b"hello\r") == [Token("report", b"\x1b]11;rgb:00"), Token("text", b"hello"), Token("key", b"\r")]


def test_an_endless_report_costs_bounded_memory() -> None:
    keys = Keys()
    keys.feed(b"\x1b]11;")
    for _ in range(100):
        keys.feed(b"x" * 4096)
        assert len(keys._held) <= 1 << 17
    assert [token.kind for token in keys.feed(b"\x07a")] == ["report", "text"]


_inputs = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"\x1b[A",
                b"\x1b[200~",
                b"\x1b[201~",
                b"\x1b[92;5u",
                b"\x1b[?0u",
                b"\x1b]11;x\x07",
                b"\x1b[M a!",
                b"\x1bOA",
            ]
        ),
        st.text(max_size=5).map(lambda text: text.encode("utf-8", "replace")),
        st.binary(max_size=4),
    ),
    max_size=15,
).map(b"".join)


@given(_inputs, st.lists(st.integers(0, 500), max_size=8))
def test_no_byte_is_lost_and_cuts_do_not_matter(data: bytes, places: list[int]) -> None:
    whole, pieces = Keys(), Keys()
    at_once = whole.feed(data)
    in_pieces = [token for piece in kit.cut(data, places) for token in pieces.feed(piece)]
    assert b"".join(token.data for token in at_once) + whole._held == data
    assert b"".join(token.data for token in in_pieces) + pieces._held == data
    assert _joined(at_once) == _joined(in_pieces)
    assert whole.pending == pieces.pending


def _joined(tokens: list[Token]) -> list[tuple[str, bytes]]:
    joined: list[tuple[str, bytes]] = []
    for token in tokens:
        kind, before = joined[-1] if joined else ("", b"")
        if kind == token.kind in ("text", "paste"):
            joined[-1] = (kind, before + token.data)
        else:
            joined.append((token.kind, token.data))
    return joined


# Names of keys.


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("ctrl-\\", b"\x1c"), ("ctrl-\\", b"\x1b[92;5u"), ("ctrl-\\", b"\x1b[27;5;92~"), ("ctrl-\\", b"\x1b[92;5:1u"),
        ("ctrl-\\", b"\x1b[92;69u"), ("ctrl-\\", b"\x1b[92::92;5u"), ("ctrl-\\", b"\x1b[92;133u"),
        ("ctrl-\\", b"\x1b[1081::92;5u"), ("ctrl-]", b"\x1d"), ("ctrl-]", b"\x1b[93;5u"), ("ctrl-]", b"\x1b[27;5;93~"),
        ("ctrl-^", b"\x1e"), ("ctrl-^", b"\x1b[54:94;6u"), ("ctrl-_", b"\x1f"), ("ctrl-_", b"\x1b[27;6;95~"),
        ("ctrl-c", b"\x03"), ("ctrl-c", b"\x1b[99;5u"), ("ctrl-c", b"\x1b[67;5u"), ("ctrl-c", b"\x1b[27;5;99~"),
        ("ctrl-space", b"\x00"), ("ctrl-@", b"\x00"), ("escape", b"\x1b"), ("escape", b"\x1b[27u"), ("escape", b"\x1b[27;1u"),
        ("enter", b"\r"), ("enter", b"\x1b[13u"), ("enter", b"\x1bOM"), ("enter", b"\x1b[57414u"), ("alt-x", b"\x1bx"),
        ("alt-x", b"\x1b[120;3u"), ("f12", b"\x1b[24~"), ("ctrl-f1", b"\x1b[1;5P"), ("up", b"\x1b[A"), ("up", b"\x1bOA"),
        ("shift-tab", b"\x1b[Z"), ("shift-tab", b"\x1b[9;2u"), ("ctrl-alt-q", b"\x1b\x11"), ("ctrl-alt-q", b"\x1b[113;7u"),
        ("shift-enter", b"\x1b[13;2u"), ("backspace", b"\x7f"), ("ctrl-h", b"\x08"),
    ],
)  # fmt: skip
def test_a_key_is_known_in_every_dress(key: str, data: bytes) -> None:
    assert match_key(Token("key", data), key)


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("ctrl-\\", b"\x1b[92;5:3u"), ("ctrl-\\", b"\x1b[92u"), ("ctrl-\\", b"\x1b[92;7u"), ("ctrl-\\", b"\\"),
        ("ctrl-c", b"\x1b[99;6u"), ("enter", b"\x1b[13;2u"), ("enter", b"\n"), ("escape", b"\x1b[A"), ("ctrl-]", b"\x1c"),
    ],
)  # fmt: skip
def test_another_key_or_a_release_is_not_taken_for_it(key: str, data: bytes) -> None:
    assert not match_key(Token("key", data), key)


def test_what_is_pasted_is_no_key() -> None:
    assert not match_key(Token("paste", b"\x1c"), "ctrl-\\")


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("Ctrl-C", "ctrl-c"), ("control+]", "ctrl-]"), ("^\\", "ctrl-\\"), ("C-x", "ctrl-x"), ("ctrl--", "ctrl--"),
        ("alt-Ctrl-q", "ctrl-alt-q"), ("Esc", "escape"), ("F12", "f12"), ("ctrl+-", "ctrl--"), (" ctrl-space ", "ctrl-space"),
    ],
)  # fmt: skip
def test_keys_may_be_written_in_several_ways(name: str, spelled: str) -> None:
    assert parse_key(name) == spelled


@pytest.mark.parametrize("name", ["", "ctrl-", "ctlr-c", "ctrl-foo", "ab", "ctrl-\x01", "-"][:-1])
def test_what_is_no_key_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        parse_key(name)


# Drafts.


def draft(data: bytes) -> Draft:
    it, keys = Draft(), Keys()
    it.observe(keys.feed(data) + keys.flush())
    return it


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"",
            b"hello\r",
            b"\x1b[200~a\rb\x1b[201~\r",
            b"hello\x03",
            b"hello\x15",
            b"hello\x1b\x1b",
            b"ab\x7f\x7f",
            b"hello\x1b[13u",
        ),
        *(
            b"\x1b[A\x1b[B\r",
            b"a\nb\r",
            b"\x1b[D\x1b[C\x0c",
            b"\x1b",
            b"x\x1b[99;5u",
            b"\x1b[57441;2u",
            "é\x7f".encode(),
        ),
        *(b"\x1b[200~\x1b[201~", b"\x1b[97u\x1b[127u", b"hello\x1b[27u\x1b[27u"),
    ],
)
def test_a_composer_is_empty_after_a_submit_or_a_clear(data: bytes) -> None:
    assert draft(data).empty


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"h",
            b"hello\rmore",
            b"\x1b[200~a\r\x1b[201~",
            b"a\n",
            b"a\x1b\r",
            b"a\x1b[13;2u",
            b"ab\x7f",
            b"\x1b[A",
            b"\t",
            b"a\\\r",
        ),
        *(b"ab\x1b[H\x7f\x7f", b"a\x1b[13;1:3u", b"x\x1bb\x1b", b"\x10", b"\x07", b"\x1b[97u", b"a\x1b[D\x1b"),
    ],
)
def test_a_composer_may_hold_a_draft(data: bytes) -> None:
    assert not draft(data).empty


def test_a_draft_may_be_known_to_be_gone() -> None:
    it = draft(b"1")
    it.clear()
    assert it.empty


def test_what_a_program_gives_back_is_a_draft_until_it_is_cleared() -> None:
    it = draft(b"hello\r")
    it.given_back()
    assert it.empty  # it was not interrupted: what stands there was not seen to go yet
    it.interrupted()
    it.given_back()
    assert not it.empty
    it.observe(Keys().feed(b"\x15"))
    it.given_back()
    assert it.empty


# Text to be injected.


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a\r\nb\rc\nd\te", "a\nb\nc\nd\te"), ("a\x1b[201~\r\x03rm -rf", "a\nrm -rf"), ("\x1b[200~x", "x"), ("\x9b201~x", "x"),
        ("\x1b[0201~x", "x"), ("\x1b[20\x1b[201~1~x", "[201~x"), ("a\x00\x07\x7f\x85\x9bb", "ab"), ("漢字 🙂 é", "漢字 🙂 é"),
        ("\x1b[31mred", "[31mred"), ("lone \ud800", "lone "),
    ],
)  # fmt: skip
def test_injected_text_is_made_harmless(text: str, safe: str) -> None:
    assert sanitize(text) == safe


@given(st.text())
def test_injected_text_holds_no_control(text: str) -> None:
    safe = sanitize(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", safe)
    assert sanitize(safe) == safe
    assert {kind for kind, _ in kinds(safe.replace("\n", "").replace("\t", "").encode())} <= {"text"}
