"""A dialog's text, as a person would read it to another."""

import time

import pytest

from synapse.runner.dialogs import _unboxed


@pytest.mark.parametrize(
    ("line", "bare"),
    [
        ("│ rm -r x   │", "rm -r x"),
        ("  ┃   indented ┃  ", "  indented"),
        ("    no box  ", "    no box"),
        ("│", ""),
        ("│ a │ b │", "a │ b"),
        ("", ""),
    ],
)
def test_the_box_around_a_line_is_taken_away(line: str, bare: str) -> None:
    assert _unboxed(line) == bare


def test_a_wide_gap_costs_nothing() -> None:
    began = time.thread_time()
    assert _unboxed("│ a" + " " * 100_000 + "b │").endswith("b")
    assert time.thread_time() - began < 0.2
