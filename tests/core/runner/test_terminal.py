"""The terminal model: screen, history, modes, signals, what viewers get and when."""

import re
import sys

import pytest
from pyte import charsets
from wcwidth import wcwidth

from synapse.runner import screen
from synapse.runner.terminal import Signal, Terminal
from tests.core.runner import terminal_kit as kit


def lines(output: bytes, columns: int = 40, rows: int = 10) -> list[str]:
    shown = kit.shown(output, columns, rows).lines()
    while shown and not shown[-1]:
        shown.pop()
    return shown


# What viewers get.


def test_plain_output_goes_to_viewers_as_it_is() -> None:
    assert (
        Terminal(80, 24).write(b"plain\r\n\x1b[1;31mred\x1b[0m \xe2\x9c\xb3")
        == b"plain\r\n\x1b[1;31mred\x1b[0m \xe2\x9c\xb3"
    )


def test_viewers_do_not_wait_for_the_model() -> None:
    terminal = Terminal(80, 24)
    assert terminal.write(b"early") == b"early"
    assert terminal.lag == 5
    assert terminal.lines()[0] == ""
    assert terminal.advance()
    assert terminal.lag == 0
    assert terminal.lines()[0] == "early"


@pytest.mark.parametrize(
    "query",
    [
        *(
            b"\x1b[c",
            b"\x1b[0c",
            b"\x1b[>c",
            b"\x1b[=c",
            b"\x1b[5n",
            b"\x1b[6n",
            b"\x1b[?6n",
            b"\x1b[?996n",
            b"\x1b[?15n",
        ),
        *(b"\x1b[?2026$p", b"\x1b[4$p", b"\x1b[>q", b"\x1b[>0q", b"\x1b[?u", b"\x1b[14t", b"\x1b[21t", b"\x1b[18t"),
        *(b"\x1b]10;?\x07", b"\x1b]11;?\x1b\\", b"\x1b]4;1;?;2;?\x07", b"\x1b]52;c;?\x07", b"\x1b]13;?\x07"),
        *(b"\x1bP+q4d73\x1b\\", b"\x1bP$qm\x1b\\", b"\x1b[>4;?m", b"\x1b[?4m", b"\x1b_Ga=q,i=1;AAAA\x1b\\", b"\x05"),
        *(
            b"\x1bZ",
            b"\x1b[x",
            b"\x1b[1;1;1;5;5*y",
            b"\x1b[1$w",
            b"\x1b[?1;1;0S",
            b"\x1b[#R",
        ),
        *(b"\xc2\x9b6n", b"\x1b]1337;ReportCellSize\x07", b"\x1b]99;i=1:p=?;\x1b\\", b"\x1b]66;w=1; \x07"),
    ],
)
def test_queries_are_cut_out_of_what_viewers_get(query: bytes) -> None:
    got = Terminal(80, 24).write(b"before" + query + b"after")
    assert got in (b"beforeafter", b"before6nafter")  # a C1 control is no control in UTF-8


def test_a_query_with_a_control_inside_is_cut_and_the_control_stays() -> None:
    terminal = kit.shown(b"abc\x1b[6\rn")
    assert terminal.replies() == b"\x1b[1;1R"
    assert Terminal(80, 24).write(b"abc\x1b[6\rn\x1b[3\r1m") == b"abc\r\r\x1b[31m"


def test_a_question_among_settings_is_cut_alone() -> None:
    assert Terminal(80, 24).write(b"\x1b]4;1;?;2;#123456\x07") == b"\x1b]4;2;#123456\x1b\\"
    assert Terminal(80, 24).write(b"\x1b[?2027;2004h\x1b[?2048h") == b"\x1b[?2004h"


@pytest.mark.parametrize(
    "kept",
    [
        b"\x1b]0;what?\x07",
        b"\x1b]9;done?\x07",
        b"\x1b]8;;http://x/?q\x1b\\",
        b"\x1b[22;0t",
        b"\x1b]11;#fff\x07",
        b"\x1b7",
    ],
)
def test_what_only_looks_like_a_question_is_kept(kept: bytes) -> None:
    assert Terminal(80, 24).write(kept) == kept


@pytest.mark.parametrize(
    "token", [b"\x1b[1;31m", b"\x1b]0;title\x07", b"\x1b]0;t\x1b\\", b"\x1b(0", "漢".encode(), "🙂".encode()]
)
def test_a_token_is_never_given_out_in_halves(token: bytes) -> None:
    for i in range(1, len(token)):
        terminal = Terminal(80, 24)
        assert terminal.write(b"a" + token[:i]) == b"a"
        assert terminal.write(token[i:] + b"b") == token + b"b"


def test_a_viewer_joins_outside_of_synchronized_output() -> None:
    terminal = Terminal(80, 24)
    assert terminal.at_boundary
    terminal.write(b"\x1b[?2026hhalf a picture\x1b[?202")
    assert not terminal.at_boundary
    assert not terminal.synchronized
    terminal.advance()
    assert terminal.synchronized
    terminal.write(b"6l")
    assert terminal.at_boundary
    assert terminal.synchronized
    terminal.advance()
    assert not terminal.synchronized


def test_bells_and_the_clipboard_go_to_one_viewer_only() -> None:
    terminal = Terminal(80, 24)
    assert terminal.write(b"a\x07b\x1b]52;c;YWI=\x07c\x1b]0;t\x07") == b"abc\x1b]0;t\x07"
    assert terminal.personal() == b"\x07\x1b]52;c;YWI=\x07"
    assert terminal.personal() == b""
    terminal.advance()
    assert terminal.signals() == [Signal("bell"), Signal("osc52", "c;YWI="), Signal("title", "t")]
    assert terminal.signals() == []


def test_invalid_bytes_are_replaced_for_everyone() -> None:
    terminal = Terminal(80, 24)
    assert terminal.write(b"a\xff\x9bb") == "a\ufffd\ufffdb".encode()


# Bounds.


@pytest.mark.parametrize("opening", [b"\x1b]52;c;", b"\x1bP", b"\x1b_G", b"\x1b[", b"\x1b "])
def test_a_sequence_without_an_end_costs_bounded_memory_and_is_dropped(opening: bytes) -> None:
    terminal = Terminal(80, 24)
    filler = (b"1" if opening == b"\x1b[" else b" " if opening == b"\x1b " else b"x") * 4096
    assert terminal.write(opening) == b""
    for _ in range(600):
        assert terminal.write(filler) == b""
        assert sum(map(len, terminal._sieve._held)) <= 1 << 20
    assert terminal.write(b"m" if len(opening) == 2 and opening[1:] in b"[ " else b"\x1b\\") in (b"", b"\x1b\\")
    assert terminal.write(b"still here") == b"still here"
    assert terminal.personal() == b""
    assert terminal.lag < 100


def test_huge_numbers_do_no_harm() -> None:
    output = b"".join(
        b"x\x1b[99999999999%c\x1b[%d%c" % (final, 10**9, final) for final in b"@ABCDEFGHIJKLMPSTXZ`abdefr"
    )
    assert len(lines(b"start" + output)) <= 10
    assert lines(b"\x1b[" + b"9" * 5000 + b"Cx") == ["x"]


def test_a_flood_of_signals_and_queries_keeps_the_memory_bounded() -> None:
    terminal = Terminal(80, 24)
    terminal.write(b"\x07\x1b]9;x\x07\x1b[c" * 50_000)
    assert terminal.advance(60)
    assert len(terminal.signals()) == 1000
    assert len(terminal.replies()) < 70_000
    assert len(terminal.personal()) < 400_000
    for _ in range(10):
        terminal.write(b"\x1b]52;c;" + b"x" * 1_000_000 + b"\x07")
        assert terminal.advance(60)
    assert len(terminal.personal()) < 3_000_000
    assert sum(len(signal.value) for signal in terminal.signals()) < 3_000_000
    terminal.write(b"".join(b"\x1b[?%dh\x1b[38;5;%dm" % (n, n % 256) for n in range(5000)))
    assert terminal.advance(60)
    assert len(terminal.modes.changed) < 100


def test_combining_characters_on_one_cell_are_bounded() -> None:
    assert len(lines(b"a" + "\u0301".encode() * 1000)[0]) <= 8


def test_the_model_stops_when_its_time_is_up_and_goes_on_where_it_was() -> None:
    now = iter(range(10_000_000))
    terminal = Terminal(80, 24, clock=lambda: float(next(now)))
    terminal.write(b"\x1b[1mx\x1b[0my" * 2000)
    before = terminal.lag
    assert not terminal.advance(1.0)
    assert 0 < terminal.lag < before
    while not terminal.advance(1.0):
        pass
    assert terminal.lag == 0
    assert terminal.cursor == (23, 80 - 1)


# Text.


def test_a_wide_character_that_loses_a_half_is_lost() -> None:
    assert lines("漢字漢字\x1b[2Gx".encode()) == [" x字漢字"]
    assert lines("漢字漢字\x1b[4G\x1b[X".encode()) == ["漢  漢字"]
    assert lines("漢字漢字\x1b[2G\x1b[@".encode()) == ["   字漢字"]
    assert lines("漢字漢字\x1b[2G\x1b[P".encode()) == [" 字漢字"]


def test_wide_characters_on_one_column() -> None:
    assert lines("漢\r\n字".encode(), columns=1, rows=4) == ["漢", "字"]


def test_the_whole_of_deleted_lines_outside_the_region_stays() -> None:
    assert lines(b"a\r\nb\r\nc\x1b[2;3r\x1b[1;1H\x1b[M") == ["a", "b", "c"]


def test_line_drawing() -> None:
    assert lines(b"\x1b(0lqk\x1b(B lqk\x1b)0\x0eqx\x0fqx") == ["┌─┐ lqk─│qx"]
    assert screen._DRAWING[ord("q")] == charsets.VT100_MAP[ord("q")] == "─"


def test_soft_reset_takes_margins_and_modes_back_and_leaves_the_text() -> None:
    terminal = kit.shown(b"text\x1b[4;9r\x1b[?6h\x1b[4h\x1b[?25l\x1b[?1h\x1b=\x1b[31m\x1b[!p")
    assert terminal.lines()[0] == "text"
    modes = terminal.modes
    assert (modes.region, modes.cursor_visible, modes.application_cursor, modes.application_keypad) == (
        None,
        True,
        False,
        False,
    )
    assert not modes.changed


def test_tabs_forward_in_steps() -> None:
    assert lines(b"\x1b[2Ix\x1b[99Iy") == [" " * 16 + "x" + " " * 22 + "y"]


def test_every_character_called_narrow_is_one_column_wide() -> None:
    narrow = re.compile(f"[{screen._NARROW}]")
    wrong = [hex(code) for code in range(sys.maxunicode) if narrow.match(chr(code)) and wcwidth(chr(code)) != 1]
    assert wrong == []


def test_styles_are_kept_in_one_spelling() -> None:
    output = b"\x1b[1;2;3;4:3;7;9;38:2::1:2:3;48;5;200;58;5;9ma\x1b[22;24;39mb\x1b[mc\x1b[0;1;31md\x1b[21;96;107me"
    (runs, *_) = kit.shown(output).styled_lines()
    assert runs == [
        ("a", "1;2;3;4:3;7;9;38;2;1;2;3;48;5;200;58:5:9"),
        ("b", "3;7;9;48;5;200;58:5:9"),
        ("c", ""),
        ("d", "1;31"),
        ("e", "1;4:2;96;107"),
    ]


@pytest.mark.parametrize("nonsense", [b"38;2;1;2", b"38;9;1", b"48;5;256", b"38", b"38:2", b"300", b"58;2;1;2;3000"])
def test_colours_that_make_no_sense_are_passed_over(nonsense: bytes) -> None:
    assert kit.shown(b"\x1b[1m\x1b[" + nonsense + b"mx").styled_lines()[0] == [("x", "1")]


def test_erasing_paints_the_background_alone() -> None:
    assert kit.shown(b"\x1b[1;31;44m\x1b[2;3H\x1b[2X").styled_lines()[1] == [("  ", ""), ("  ", "44")]


# History.


def test_lines_that_scroll_off_are_history_with_their_styles() -> None:
    terminal = kit.shown(b"one\r\n\x1b[31mtwo\x1b[0m\r\n\x1b[1mth\x1b[0mree\r\nfour\r\nfive", 20, 2)
    assert terminal.history() == ["one", "two", "three"]
    assert terminal.history(2) == ["two", "three"]
    assert terminal.styled_history() == [[("one", "")], [("two", "31")], [("th", "1"), ("ree", "")]]
    assert terminal.scrolled == 3


def test_the_history_forgets_its_oldest_lines() -> None:
    terminal = kit.shown(b"".join(b"%d\r\n" % n for n in range(1000)), 20, 2, history=100)
    assert terminal.history() == [str(n) for n in range(899, 999)]
    assert terminal.scrolled == 999


def test_the_alternate_screen_has_no_history() -> None:
    terminal = kit.shown(b"main\x1b[?1049h" + b"x\r\n" * 50, 20, 5)
    assert terminal.history() == []
    assert terminal.modes.alternate


def test_what_a_program_scrolls_above_its_region_is_history() -> None:
    """Codex keeps a region below and pushes finished lines out at the top."""
    terminal = kit.shown(b"a\r\nb\r\nc\r\nd\x1b[1;2r\x1b[2;1H\r\nnew", 20, 4)
    assert terminal.history() == ["a"]
    assert terminal.lines() == ["b", "new", "c", "d"]


def test_text_since_a_mark() -> None:
    terminal = kit.shown(b"".join(b"old %d\r\n" % n for n in range(30)) + b"prompt> ", 20, 5)
    mark = terminal.mark()
    assert terminal.text_since(mark) == "prompt>"
    terminal.write(b"ask\r\n" + b"".join(b"answer %d\r\n" % n for n in range(20)))
    terminal.advance(60)
    assert terminal.text_since(mark).split("\n") == ["prompt> ask", *(f"answer {n}" for n in range(20))]


def test_text_since_a_mark_when_the_program_has_wiped_everything() -> None:
    terminal = kit.shown(b"".join(b"old %d\r\n" % n for n in range(30)), 20, 5)
    mark = terminal.mark()
    terminal.write(b"\x1b[2J\x1b[3J\x1b[H" + b"".join(b"new %d\r\n" % n for n in range(6)))
    terminal.advance(60)
    assert terminal.text_since(mark) == "\n".join(f"new {n}" for n in range(6))


def test_text_since_a_mark_when_the_screen_was_cleared_below_it() -> None:
    terminal = kit.shown(b"a\r\nb\r\nc\r\n", 20, 5)
    mark = terminal.mark()
    terminal.write(b"\x1b[2J\x1b[Hfresh")
    terminal.advance()
    assert terminal.text_since(mark) == "fresh"


def test_text_since_a_mark_on_the_alternate_screen_is_the_screen() -> None:
    terminal = kit.shown(b"old\r\n" * 30, 20, 5)
    mark = terminal.mark()
    terminal.write(b"\x1b[?1049h\x1b[Hinside")
    terminal.advance()
    assert terminal.text_since(mark) == "inside"


# Resizing and painting.


def test_a_smaller_terminal_drops_empty_rows_first_and_then_pushes_rows_into_the_history() -> None:
    terminal = kit.shown(b"a\r\nb\r\nc\r\nd", 20, 6)
    terminal.resize(20, 3)
    assert terminal.lines() == ["b", "c", "d"]
    assert terminal.history() == ["a"]
    assert terminal.cursor == (2, 1)
    terminal.resize(30, 5)
    assert terminal.lines() == ["b", "c", "d", "", ""]


def test_the_main_screen_behind_the_alternate_one_is_resized_too() -> None:
    terminal = kit.shown(b"main screen\x1b[?1049halternate", 20, 4)
    terminal.resize(6, 6)
    terminal.write(b"\x1b[?1049l")
    terminal.advance()
    assert terminal.lines() == ["main s", "", "", "", "", ""]


def test_one_who_joins_in_the_alternate_screen_gets_the_main_screen_too() -> None:
    terminal = kit.shown(b"shell\x1b[?1049h\x1b[2;2Hinside", 20, 4)
    joined = kit.shown(terminal.repaint() + b"\x1b[?1049l!", 20, 4)
    assert joined.lines() == ["shell!", "", "", ""]


def test_repaint_first_takes_in_what_is_queued() -> None:
    terminal = Terminal(20, 4)
    terminal.write(b"queued")
    assert b"queued" in terminal.repaint()
    assert terminal.lag == 0


def test_a_smaller_viewer_sees_the_part_with_the_cursor() -> None:
    terminal = kit.shown(b"".join(b"row %d of many\r\n" % n for n in range(9)) + b"here", 20, 10)
    assert kit.shown(terminal.repaint(7, 3), 7, 3).lines() == ["row 7 o", "row 8 o", "here"]
    assert kit.shown(terminal.repaint(80, 24), 80, 24).lines()[:10] == terminal.lines()


def test_the_scrollback_of_a_viewer_is_the_history() -> None:
    terminal = kit.shown(b"".join(b"\x1b[3%dmline %d\x1b[0m\r\n" % (n % 8, n) for n in range(30)), 20, 5)
    joined = kit.shown(terminal.scrollback(10) + terminal.repaint(), 20, 5)
    assert joined.styled_history()[:10] == terminal.styled_history()[-10:]
    assert joined.lines() == terminal.lines()


def test_restore_says_nothing_of_modes_that_were_never_on() -> None:
    assert kit.shown(b"text", 20, 4).restore() == b"\x1b[0m\x1b(B\x1b)B\x0f\x1b[1;1H\r\n"
    restored = kit.shown(b"\x1b[?1049h\x1b[?2004h\x1b[?1003h\x1b[?25l\x1b[>1u\x1b[2 q", 20, 4).restore()
    for part in (b"\x1b[?1049l", b"\x1b[?2004l", b"\x1b[?1003l", b"\x1b[?25h", b"\x1b[<1u", b"\x1b[0 q"):
        assert part in restored


def test_kitty_flags_belong_to_their_screen() -> None:
    terminal = kit.shown(b"\x1b[>1u\x1b[?1049h\x1b[>5u\x1b[>7u\x1b[<u")
    assert terminal.modes.kitty == (5,)
    terminal.write(b"\x1b[=2;2u\x1b[=1;3u")
    terminal.advance()
    assert terminal.modes.kitty == (6,)
    terminal.write(b"\x1b[?1049l")
    terminal.advance()
    assert terminal.modes.kitty == (1,)


def test_the_title_may_be_put_away_and_brought_back() -> None:
    terminal = kit.shown(b"\x1b]2;one\x07\x1b[22;0t\x1b]2;two\x07\x1b[23;0t")
    assert terminal.title == "one"
