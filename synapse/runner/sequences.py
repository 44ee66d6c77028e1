"""Which sequence does what: from prefix, intermediates and final of a CSI, or from a plain escape, to the action."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from synapse.runner import queries
from synapse.runner.screen import Screen
from synapse.runner.tokens import numbers

if TYPE_CHECKING:
    from synapse.runner.interpreter import Interpreter

Action = Callable[["Interpreter", str], None]


def _count(parameters: str) -> int:
    return numbers(parameters)[0] or 1 if parameters else 1


def _place(interpreter: Interpreter, parameters: str) -> None:
    line, *column = numbers(parameters)
    interpreter.screen.cursor_position(line, column[0] if column else 1)


def _counted(method: Callable[[Screen, int], None]) -> Action:
    return lambda interpreter, parameters: method(interpreter.screen, _count(parameters))


def _times(method: Callable[[Screen], None]) -> Action:
    def repeated(interpreter: Interpreter, parameters: str) -> None:
        for _ in range(min(_count(parameters), interpreter.screen.columns)):
            method(interpreter.screen)

    return repeated


def _shape(interpreter: Interpreter, parameters: str) -> None:
    interpreter.settings.shape = min(numbers(parameters)[0], 9)


def _clear_tabs(interpreter: Interpreter, parameters: str) -> None:
    interpreter.screen.clear_tab_stop(numbers(parameters)[0])


def _scroll_down(interpreter: Interpreter, parameters: str) -> None:
    if ";" not in parameters:  # with five parameters it would be mouse highlighting
        interpreter.screen.scroll_down(_count(parameters))


def _answer(text: str) -> Action:
    def answer(interpreter: Interpreter, parameters: str) -> None:
        if parameters in ("", "0"):
            interpreter.answer(text)

    return answer


def _version(interpreter: Interpreter, parameters: str) -> None:
    if parameters in ("", "0"):
        interpreter.answer(f"\x1bP>|{interpreter.facts.name}\x1b\\")


def _set_kitty(interpreter: Interpreter, parameters: str) -> None:
    flags, *how = numbers(parameters)
    interpreter.settings.set_kitty(flags, how[0] if how else 1)


_erase_line: Final[Action] = lambda i, p: i.screen.erase_in_line(numbers(p)[0])  # noqa: E731
_erase_display: Final[Action] = lambda i, p: i.screen.erase_in_display(numbers(p)[0])  # noqa: E731

CSI: Final[dict[str, Action]] = {
    "@": _counted(Screen.insert_characters),
    "A": _counted(Screen.cursor_up),
    "B": _counted(Screen.cursor_down),
    "C": _counted(Screen.cursor_forward),
    "D": _counted(Screen.cursor_back),
    "E": _counted(Screen.cursor_down1),
    "F": _counted(Screen.cursor_up1),
    "G": _counted(Screen.cursor_to_column),
    "H": _place,
    "I": _times(Screen.tab),
    "J": _erase_display,
    "?J": _erase_display,
    "K": _erase_line,
    "?K": _erase_line,
    "L": _counted(Screen.insert_lines),
    "M": _counted(Screen.delete_lines),
    "P": _counted(Screen.delete_characters),
    "S": _counted(Screen.scroll_up),
    "T": _scroll_down,
    "X": _counted(Screen.erase_characters),
    "Z": _times(Screen.tab_back),
    "`": _counted(Screen.cursor_to_column),
    "a": _counted(Screen.cursor_forward),
    "b": _counted(Screen.repeat),
    "c": _answer(queries.DEVICE),
    ">c": _answer(queries.SECONDARY_DEVICE),
    "=c": _answer(queries.TERTIARY_DEVICE),
    "d": _counted(Screen.cursor_to_line),
    "e": _counted(Screen.cursor_down),
    "f": _place,
    "g": _clear_tabs,
    "h": lambda i, p: i.public_modes(p, True),
    "l": lambda i, p: i.public_modes(p, False),
    "?h": lambda i, p: i.private_modes(p, True),
    "?l": lambda i, p: i.private_modes(p, False),
    "n": lambda i, p: i.asked_status(p, False),
    "?n": lambda i, p: i.asked_status(p, True),
    ">n": lambda i, p: i.other_keys(p),
    "$p": lambda i, p: i.asked_mode(p, False),
    "?$p": lambda i, p: i.asked_mode(p, True),
    "!p": lambda i, _: i.reset_softly(),
    " q": _shape,
    ">q": _version,
    "r": lambda i, p: i.margins(p),
    "?r": lambda i, p: i.bring_back_modes(p),
    "?s": lambda i, p: i.keep_modes(p),
    "s": lambda i, _: i.screen.save_cursor(),
    "u": lambda i, _: i.restore_cursor(),
    "?u": lambda i, p: i.asked_kitty(p),
    ">u": lambda i, p: i.settings.push_kitty(numbers(p)[0]),
    "<u": lambda i, p: i.settings.pop_kitty(_count(p)),
    "=u": _set_kitty,
    ">m": lambda i, p: i.other_keys(p),
    "?m": lambda i, p: i.asked_other_keys(p),
    "t": lambda i, p: i.asked_window(p),
}


def _drawing(which: int, code: str) -> Action:
    def choose(interpreter: Interpreter, _: str) -> None:
        interpreter.screen.drawing[which] = code == "0"

    return choose


def _next_line(interpreter: Interpreter, _: str) -> None:
    interpreter.screen.cursor.x = 0
    interpreter.screen.index()


ESCAPES: Final[dict[str, Action]] = {
    "7": lambda i, _: i.screen.save_cursor(),
    "8": lambda i, _: i.restore_cursor(),
    "D": lambda i, _: i.screen.index(),
    "E": _next_line,
    "H": lambda i, _: i.screen.set_tab_stop(),
    "M": lambda i, _: i.screen.reverse_index(),
    "Z": lambda i, _: i.answer(queries.DEVICE),
    "c": lambda i, _: i.reset(),
    "=": lambda i, _: i.keypad(True),
    ">": lambda i, _: i.keypad(False),
    "#8": lambda i, _: i.screen.alignment_display(),
    **{"(" + code: _drawing(0, code) for code in "0AB12"},
    **{")" + code: _drawing(1, code) for code in "0AB12"},
}
