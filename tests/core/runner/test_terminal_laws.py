"""Laws of the terminal model that hold for any output."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse.runner.terminal import Terminal
from tests.core.runner import terminal_kit as kit


@given(kit.streams, st.lists(st.integers(0, 4000), max_size=12), kit.sizes)
def test_any_cut_of_the_output_gives_the_same_terminal(data: bytes, places: list[int], size: tuple[int, int]) -> None:
    bytewise, slow_view = kit.in_pieces([data[i : i + 1] for i in range(len(data))], *size)
    pieces, view = kit.in_pieces(kit.cut(data, places), *size)
    assert kit.picture(pieces) == kit.picture(bytewise)
    assert kit.past(pieces) == kit.past(bytewise)
    assert view == slow_view
    assert pieces.replies() == bytewise.replies()
    assert pieces.signals() == bytewise.signals()
    assert pieces.personal()[-100:] == bytewise.personal()[-100:]


@given(kit.streams, kit.sizes)
def test_viewers_are_asked_nothing_and_see_what_the_model_has(data: bytes, size: tuple[int, int]) -> None:
    terminal = Terminal(*size)
    view = terminal.write(data)
    assert terminal.advance(60)
    seen = kit.shown(view, *size)
    assert seen.replies() == b""
    assert kit.picture(seen) == kit.picture(terminal)
    assert kit.past(seen) == kit.past(terminal)


@given(kit.streams, kit.sizes)
def test_a_viewer_that_joins_sees_what_the_others_see(data: bytes, size: tuple[int, int]) -> None:
    terminal = kit.shown(data, *size)
    joined = kit.shown(terminal.repaint(), *size)
    assert kit.picture(joined) == kit.picture(terminal)
    assert joined.replies() == b""


@given(kit.tame_streams, kit.tame_streams, kit.sizes)
def test_a_viewer_that_joined_goes_on_like_the_others(before: bytes, after: bytes, size: tuple[int, int]) -> None:
    terminal = kit.shown(before, *size)
    joined = kit.shown(terminal.repaint(), *size)
    for each in (terminal, joined):
        each.write(after)
        assert each.advance(60)
    assert joined.lines() == terminal.lines()
    assert joined.cursor == terminal.cursor


@given(kit.streams, kit.sizes)
def test_painting_twice_is_painting_once(data: bytes, size: tuple[int, int]) -> None:
    terminal = kit.shown(data, *size)
    twice = kit.shown(terminal.repaint() * 2, *size)
    assert kit.picture(twice) == kit.picture(terminal)


@given(kit.streams, kit.sizes)
def test_restore_leaves_no_mode_on(data: bytes, size: tuple[int, int]) -> None:
    terminal = kit.shown(data, *size)
    joined = kit.shown(terminal.repaint() + terminal.restore(), *size)
    modes = joined.modes
    assert not modes.changed
    assert (modes.alternate, modes.application_keypad, modes.kitty) == (False, False, ())
    assert (modes.modify_other_keys, modes.cursor_shape, modes.region) == (0, 0, None)
    assert not joined._interpreter.settings.colours
    assert not joined._interpreter.settings.hidden_kitty


@given(kit.streams, kit.sizes, kit.sizes)
def test_a_resized_terminal_is_whole(data: bytes, size: tuple[int, int], other: tuple[int, int]) -> None:
    terminal = kit.shown(data, *size)
    terminal.resize(*other)
    screen = terminal._screen
    for rows in (screen.rows, screen.hidden_rows or screen.rows):
        assert len(rows) == other[1]
        assert {len(row.chars) for row in rows} == {len(row.styles) for row in rows} == {other[0]}
    row, column = terminal.cursor
    assert 0 <= row < other[1]
    assert 0 <= column < other[0]
    joined = kit.shown(terminal.repaint(), *other)
    assert kit.picture(joined) == kit.picture(terminal)


@given(kit.streams, kit.sizes, kit.sizes)
def test_a_viewer_of_another_size_gets_no_more_than_fits(
    data: bytes, size: tuple[int, int], other: tuple[int, int]
) -> None:
    terminal = kit.shown(data, *size)
    joined = kit.shown(terminal.repaint(*other), *other)
    assert joined.scrolled == 0
    top = max(0, terminal.cursor[0] + 1 - other[1])
    assert joined.cursor == (terminal.cursor[0] - top, min(terminal.cursor[1], other[0] - 1))


@pytest.mark.timeout(60)
@settings(max_examples=20)
@given(st.binary(max_size=20_000))
def test_garbage_never_raises(data: bytes) -> None:
    terminal = kit.shown(data)
    assert len(terminal.lines()) == 10
    assert terminal.repaint()
