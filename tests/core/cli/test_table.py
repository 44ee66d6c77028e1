"""Tables and texts as they are printed."""

import os
import pty
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse.cli import table


@given(st.text(), st.integers(1, 40))
def test_a_text_that_is_fitted_is_never_wider_than_its_place(text: str, width: int) -> None:
    assert table.cells(table.fit(text, width)) <= width


@given(st.text())
def test_one_line_holds_no_control_characters(text: str) -> None:
    shown = table.one_line(text)
    assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in shown)


def test_what_would_turn_or_hide_a_line_is_shown_by_its_number() -> None:
    assert table.one_line("a\u202egpj.exe\u2066b") == "a\\u202egpj.exe\\u2066b"
    assert table.one_line("x\u200by\ufeff\ud800 \u200f") == "x\\u200by\\ufeff\\ud800 \\u200f"
    family = "\U0001f468\u200d\U0001f469 ש\u05c1 नमस्\u200cते"
    assert table.one_line(family) == family
    assert "\u202e" not in table.table(("TASK", "ASKED"), [("t-1", "a\u202eb")])


def test_a_text_keeps_its_lines_and_loses_what_would_steer_the_terminal() -> None:
    assert table.harmless("a\x1b[2Jb\n\tc\x9b1m\x07ü") == "a[2Jb\n\tc1mü"


def test_columns_are_aligned_also_behind_wide_characters() -> None:
    shown = table.table(("NAME", "WHAT"), [("日本", "x"), ("bob", "y")])
    assert shown.splitlines() == ["NAME  WHAT", "日本  x", "bob   y"]


def test_a_column_that_is_empty_throughout_is_left_out() -> None:
    assert table.table(("A", "B", "C"), [("1", "", "2")]) == "A  C\n1  2\n"


def test_a_table_is_cut_to_the_terminal_but_its_ids_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "terminal_width", lambda: 40)
    shown = table.table(("ID", "TEXT"), [("m" * 28, "word " * 20)], keep=("ID",)).splitlines()
    assert all(table.cells(line) <= 40 for line in shown)
    assert shown[1].startswith("m" * 28 + "  word")
    assert shown[1].endswith("…")


def test_times_are_short() -> None:
    now = time.time()
    assert len(table.clock(now)) in (8, 11)
    assert table.clock(now - 300 * 86400) != table.clock(now)
    assert table.clock(0) == ""
    assert [table.span(s) for s in (0, 59, 60, 3600, 7500, 90000)] == ["0s", "59s", "1m", "1h00m", "2h05m", "1d"]


@pytest.mark.parametrize(("environ", "colours"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_there_are_colours_on_a_terminal_unless_they_are_not_wanted(environ: dict[str, str], colours: bool) -> None:
    ours, theirs = pty.openpty()
    try:
        script = "from synapse.cli.table import table, write; write(table(('S',), [('READY',)]))"
        base = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        subprocess.run(
            [sys.executable, "-c", script],
            stdout=theirs,
            env={**base, "TERM": "xterm", **environ},
            check=True,
            timeout=30,
        )
        shown = os.read(ours, 1000)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (b"\x1b[32mREADY" in shown) is colours
    assert b"READY" in shown


HEADS = ("ID", "NAME", "TYPE", "STATUS", "CURRENT")
AGENTS = [
    ("synapse-claude-8100", "reviewer", "claude", "PROCESSING", "look at the tests of the parser (3m)"),
    ("synapse-codex-8120", "codex-8120", "codex", "READY", ""),
]
KEPT = ("NAME", "STATUS", "ID")


@given(
    st.lists(st.tuples(*[st.text("aé日 ", max_size=40)] * 4), min_size=1, max_size=4),
    st.permutations(("A", "B", "C", "D")),
    st.integers(0, 4),
    st.integers(1, 120),
)
def test_no_line_of_a_table_is_wider_than_the_terminal(
    rows: list[tuple[str, str, str, str]], keep: list[str], kept: int, room: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "terminal_width", lambda: room)
        shown = table.table(("A", "B", "C", "D"), rows, keep=tuple(keep[:kept])).splitlines()
    assert all(table.cells(line) <= room for line in shown)


def widths(monkeypatch: pytest.MonkeyPatch, room: int) -> list[str]:
    monkeypatch.setattr(table, "terminal_width", lambda: room)
    return table.table(HEADS, AGENTS, keep=KEPT).splitlines()


def test_on_a_narrow_terminal_whole_columns_go_and_the_heads_say_that_there_is_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert widths(monkeypatch, 70)[0].split() == [*HEADS]
    assert widths(monkeypatch, 56)[0].split() == ["ID", "NAME", "TYPE", "STATUS", "…"]
    assert widths(monkeypatch, 50)[0].split() == ["ID", "NAME", "STATUS", "…"]
    assert widths(monkeypatch, 30)[1].split() == ["reviewer", "PROCESSING"]
    assert widths(monkeypatch, 12)[1].split() == ["reviewer"]


def test_what_must_not_be_cut_is_cut_when_much_of_it_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "terminal_width", lambda: 40)
    shown = table.table(("KEY", "VALUE"), [("list", "x" * 100)], keep=("KEY", "VALUE")).splitlines()
    assert shown[1] == "list  " + "x" * 30 + "…"
