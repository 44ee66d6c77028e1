"""From tokens to the screen, the modes, the answers and the signals."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyte import modes as mo

from synapse.runner import modes, queries, sequences, tokens
from synapse.runner.queries import TerminalFacts
from synapse.runner.screen import Screen

_LINES: Final = re.compile(r"(?:[ -~]*+\r\n){6,2000}+")
_SLICE: Final = 32  # tokens between two looks at the clock
_MOST_SIGNALS: Final = 1000
_LARGEST_SIGNALS: Final = 1 << 21  # characters, all together
_MOST_ANSWERS: Final = 1 << 16
_LONGEST_TITLE: Final = 1000


@dataclass(frozen=True)
class Signal:
    """Something the program told its terminal: `title`, `bell`, or `osc` with its number: `osc9`, `osc777`, `osc52`,
    `osc7501` ...; the value is what came after the number."""

    name: str
    value: str = ""


class Interpreter:
    """Carries out complete tokens on a screen; keeps answers and signals until they are taken."""

    screen: Screen
    settings: modes.Settings

    def __init__(self, screen: Screen, facts: TerminalFacts) -> None:
        self.screen = screen
        self.facts = facts
        self.settings = modes.Settings()
        self.answers: list[str] = []
        self._answered = 0
        self._signals: deque[Signal] = deque()
        self._signalled = 0

    def run(self, text: str, position: int, late: Callable[[], bool]) -> int:
        """Carry out tokens from `position` on until the end, or until `late` says so; the position reached."""
        while position < len(text):
            position, stopped = self._run(text, position, late)
            if stopped:
                break
        return position

    def _run(self, text: str, position: int, late: Callable[[], bool]) -> tuple[int, bool]:
        screen = self.screen
        left = _SLICE
        for match in tokens.TOKEN.finditer(text, position):
            kind = match.lastindex
            if kind == tokens.TEXT:
                if text.startswith("\r\n", match.end()) and (lines := self._bulk(text, match.start())):
                    return lines, late()
                screen.draw(match[1])
            elif kind == tokens.STYLE:
                screen.pen = screen.styles.after(screen.pen, match[2])
            elif kind == tokens.CSI:
                prefix, parameters, between, final = match.group(4, 5, 6, 7)
                if carry_out := sequences.CSI.get(prefix + between + final):
                    carry_out(self, parameters)
            elif kind == tokens.CONTROL:
                self._control(match[3])
            elif kind == tokens.OSC:
                self._osc(match[8])
            elif kind == tokens.STRING:
                self._string(match[9], match[10])
            elif carry_out := sequences.ESCAPES.get(match[11]):
                carry_out(self, match[11])
            left -= 1
            if not left:
                if late():
                    return match.end(), True
                left = _SLICE
        return len(text), False

    def _bulk(self, text: str, position: int) -> int:
        """Write the plain lines that begin here at once; the position after them, or 0."""
        if not self.screen.cursor.x and self.screen.is_ordinary() and (match := _LINES.match(text, position)):
            lines = match[0].split("\r\n")
            lines.pop()
            self.screen.write_lines(lines)
            return match.end()
        return 0

    def answer(self, text: str) -> None:
        """Keep an answer for the program; more than 64 kB that nobody takes are lost."""
        if self._answered < _MOST_ANSWERS:
            self._answered += len(text)
            self.answers.append(text)

    def take_answers(self) -> str:
        text = "".join(self.answers)
        self.answers.clear()
        self._answered = 0
        return text

    def signal(self, name: str, value: str = "") -> None:
        """Keep what the program told its terminal; of what nobody takes the oldest is lost."""
        self._signals.append(Signal(name, value))
        self._signalled += len(value)
        while len(self._signals) > _MOST_SIGNALS or self._signalled > _LARGEST_SIGNALS:
            self._signalled -= len(self._signals.popleft().value)

    def take_signals(self) -> list[Signal]:
        signals = list(self._signals)
        self._signals.clear()
        self._signalled = 0
        return signals

    # controls

    def _control(self, control: str) -> None:
        screen = self.screen
        if control == "\r\n":
            screen.cursor.x = 0
            screen.index()
        elif control == "\r":
            screen.cursor.x = 0
        elif control in "\n\v\f":
            screen.linefeed()
        elif control == "\b":
            screen.cursor_back()
        elif control == "\t":
            screen.tab()
        elif control == "\a":
            self.signal("bell")
        elif control in "\x0e\x0f":
            screen.charset = int(control == "\x0e")

    # modes

    def private_modes(self, parameters: str, on: bool) -> None:
        """DECSET and DECRST."""
        for text in parameters.split(";"):
            if text.isdigit() and len(text) < 6:
                self._private_mode(int(text), on)

    def _private_mode(self, mode: int, on: bool) -> None:
        screen = self.screen
        if mode in modes.ALTERNATE or mode == 1048:
            self._alternate(mode, on)
        elif mode == 6:
            screen.mode = screen.mode | {mo.DECOM} if on else screen.mode - {mo.DECOM}
            screen.cursor_position()
        elif mode == 7:
            screen.wraps(on)
        elif mode == 66:
            self.keypad(on)
        if mode not in tokens.UNKEPT_MODES:
            self.settings.set(mode, on)

    def _alternate(self, mode: int, on: bool) -> None:
        screen = self.screen
        was = screen.alternate
        if on and mode in (1048, 1049) and not (was and mode == 1049):
            screen.save_cursor()
        if mode != 1048 and on != was:
            if on:
                screen.show_alternate()
            else:
                screen.show_main()
            self.settings.swap_screens()
        if not on and mode in (1048, 1049) and not (mode == 1049 and not was):
            self.restore_cursor()

    def restore_cursor(self) -> None:
        """DECRC; it also brings back whether places count from the margin."""
        self.screen.restore_cursor()
        self.settings.set(6, mo.DECOM in self.screen.mode)

    def keep_modes(self, parameters: str) -> None:
        """XTSAVE."""
        for mode in tokens.numbers(parameters)[:32]:
            self.settings.keep(mode)

    def bring_back_modes(self, parameters: str) -> None:
        """XTRESTORE."""
        for mode in tokens.numbers(parameters)[:32]:
            if mode in self.settings.kept:
                self._private_mode(mode, self.settings.kept[mode])

    def public_modes(self, parameters: str, on: bool) -> None:
        """SM and RM: insertion, and line feeds that return."""
        known = {mo.IRM, mo.LNM} & set(tokens.numbers(parameters))
        self.screen.mode = self.screen.mode | known if on else self.screen.mode - known

    def keypad(self, application: bool) -> None:
        self.settings.keypad = application
        self.settings.keypad_touched = True

    def other_keys(self, parameters: str) -> None:
        """XTMODKEYS: only the fourth resource, modifyOtherKeys, is kept."""
        if "?" in parameters:
            self.asked_other_keys(parameters.replace("?", "").strip(";"))
            return
        resource, *values = tokens.numbers(parameters)
        if resource in (0, 4):
            self.settings.other_keys = min(values[0], 9) if values else 0
            self.settings.other_keys_touched = True

    def margins(self, parameters: str) -> None:
        top, *bottom = tokens.numbers(parameters)
        self.settings.region_touched = True
        self.screen.set_margins(top, bottom[0] if bottom else None)

    def reset(self) -> None:
        """RIS."""
        if self.screen.alternate:
            self.settings.swap_screens()
        self.screen.reset()
        self.settings.reset()

    def reset_softly(self) -> None:
        """DECSTR."""
        self.screen.reset_softly()
        self.settings.reset_softly()

    # questions

    def asked_status(self, parameters: str, private: bool) -> None:
        """DSR."""
        screen = self.screen
        mark = "?" if private else ""
        if parameters == "6":
            top = screen.region[0] if mo.DECOM in screen.mode else 0
            row, column = screen.cursor.y + 1 - top, min(screen.cursor.x + 1, screen.columns)
            self.answer(f"\x1b[{mark}{row};{column}R")
        elif parameters == "5" and not private:
            self.answer(queries.WELL)
        elif parameters == "996" and private:
            self.answer(f"\x1b[?997;{1 if self.facts.dark else 2}n")

    def asked_mode(self, parameters: str, private: bool) -> None:
        """DECRQM: 1 is on, 2 off, 0 not known."""
        mode = tokens.numbers(parameters)[0]
        if private:
            known = mode in modes.KNOWN
            on = self.screen.alternate if mode in modes.ALTERNATE else self.settings.is_on(mode)
        else:
            known, on = mode in (mo.IRM, mo.LNM), mode in self.screen.mode
        self.answer(f"\x1b[{'?' if private else ''}{mode};{(1 if on else 2) if known else 0}$y")

    def asked_kitty(self, _: str) -> None:
        if self.facts.kitty_keyboard:
            self.answer(f"\x1b[?{self.settings.kitty[-1] if self.settings.kitty else 0}u")

    def asked_other_keys(self, parameters: str) -> None:
        if tokens.numbers(parameters)[0] == 4:
            self.answer(f"\x1b[>4;{self.settings.other_keys}m")

    def asked_window(self, parameters: str) -> None:
        what = tokens.numbers(parameters)[0]
        titles = self.settings.titles
        if what == 22:
            titles.append(self.settings.title)
            del titles[:-10]
        elif what == 23 and titles:
            self._title(titles.pop())
        else:
            self.answer(queries.window(what, self.screen.columns, self.screen.lines, self.facts))

    # strings

    def _title(self, title: str) -> None:
        self.settings.title = title[:_LONGEST_TITLE]
        self.signal("title", self.settings.title)

    def _osc(self, content: str) -> None:
        if len(content) > tokens.LONGEST_STRING:
            return
        number, _, body = content.partition(";")
        if number in ("0", "2"):
            self._title(body)
        elif number == "4" or number in tokens.COLOURS:
            for name, wanted in tokens.colour_pairs(number, body):
                self._colour(name, wanted)
        elif number == "104":
            self._forget_colours([f"4;{index}" for index in body.split(";")] if body else None)
        elif number in ("110", "111", "112"):
            self.settings.colours.pop(number[1:], None)
        elif number.isdigit() and len(number) < 6 and not (number == "52" and body.endswith("?")):
            self.signal("osc" + number, body)

    def _colour(self, name: str, wanted: str) -> None:
        colours = self.settings.colours
        default = self.facts.colour(name)
        if default is None:
            return
        if wanted == "?":
            self.answer(queries.colour(name, colours.get(name, default)))
        elif (value := queries.parse_colour(wanted)) is not None:
            colours[name] = value

    def _forget_colours(self, names: list[str] | None) -> None:
        colours = self.settings.colours
        for name in names if names is not None else [name for name in colours if name.startswith("4;")]:
            colours.pop(name, None)

    def _string(self, kind: str, body: str) -> None:
        if kind != "P":
            return
        if body.startswith("+q"):
            self.answer(queries.capabilities(body[2:]))
        elif body.startswith("$q"):
            self.answer(queries.setting(body[2:], self._asked_settings()))

    def _asked_settings(self) -> dict[str, Callable[[], str]]:
        screen = self.screen
        return {
            "m": lambda: "0" + (";" + screen.pen if screen.pen else ""),
            "r": lambda: f"{screen.region[0] + 1};{screen.region[1] + 1}",
            " q": lambda: str(self.settings.shape),
            '"p': lambda: "62;1",
        }
