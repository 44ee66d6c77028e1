"""The bundled demo agent: a small, deterministic chat program in a terminal that stands in for a coding agent.

It behaves as they do (raw mode, bracketed paste, a composer below the output, a queue, dialogs, Esc interrupts), needs
no network and no model, and answers simple texts by rule: see `demo_brain.HELP`.
"""

from __future__ import annotations

import argparse
import os
import select
import shlex
import signal
import sys
import time
from collections import deque
from typing import Final, NamedTuple, NoReturn

from synapse.runner import demo_brain as brain
from synapse.runner import demo_layout as layout
from synapse.runner.demo_brain import Habits, Ran, Step, Steps
from synapse.runner.demo_child import Child
from synapse.runner.demo_draft import Draft
from synapse.runner.demo_keys import Decoder, Press, guarded
from synapse.runner.demo_terminal import Leave, Terminal, read

ESCAPE_WAIT: Final = 0.03  # seconds after which an escape is the Esc key
TWICE_WITHIN: Final = 2.0  # seconds between the two Ctrl-C that leave
FOREVER: Final = float("inf")
TITLES: Final = {"idle": "demo", "working": "⠋ demo", "done": "demo", "blocked": "[ ! ] Action Required | demo"}


def main(argv: list[str] | None = None) -> int:
    """Run the demo in this terminal until it is left; its exit status."""
    options = _parser().parse_args(argv)
    if not (os.isatty(0) and os.isatty(1)):
        sys.stderr.write("demo: it needs a terminal; try `synapse run demo`.\n")
        return 2
    command = shlex.split(os.environ.get("SYNAPSE_COMMAND", ""))
    habits = Habits(options.delay, options.answer == "reply", tuple(command) or ("synapse",))
    terminal = Terminal(options.alt)
    try:
        terminal.enter()
        Session(terminal, habits, strict=options.strict_enter, signals=options.signals).run()
    except Leave as left:
        return left.status
    finally:
        terminal.leave()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description="A small agent to try things out with.")
    parser.add_argument("--answer", choices=["screen", "reply"], default="screen", help="only show it, or reply too")
    parser.add_argument("--delay", type=float, default=0.05, metavar="SECONDS", help="time to think, per turn")
    parser.add_argument("--strict-enter", action="store_true", help="Enter with or right after text is a new line")
    parser.add_argument("--signals", action="store_true", help="tell the terminal the state: OSC 7501 and titles")
    parser.add_argument("--alt", action="store_true", help="use the alternate screen")
    return parser


class Turn(NamedTuple):
    """A message being worked on."""

    steps: Steps[None]
    since: float


class Session:
    """The conversation: what is typed, what waits, what is being worked on. Ends by raising `Leave`."""

    def __init__(self, terminal: Terminal, habits: Habits, *, strict: bool, signals: bool) -> None:
        self._terminal, self._habits, self._strict, self._signals = terminal, habits, strict, signals
        self._decoder = Decoder()
        self._draft = Draft()
        self._queue: deque[str] = deque()
        self._stream = layout.Stream()
        self._printed: list[str] = []
        self._turn: Turn | None = None
        self._asked: str | None = None  # the command that waits for permission
        self._chosen = 0
        self._child: Child | None = None
        self._go_on = FOREVER  # when the turn's next step is due
        self._typed = -FOREVER  # when text last came in
        self._armed = -FOREVER  # until when Ctrl-C leaves
        self._rest = "idle"  # what the state is between two turns
        self._told = ""

    def run(self) -> NoReturn:
        """Go on for ever, woken only by keys, children, signals and what is due."""
        try:
            while True:
                self._paint()
                self._wait()
        finally:
            if self._child:
                self._child.stop()

    def _wait(self) -> None:
        child, terminal = self._child, self._terminal
        reading = [0, terminal.wake, *(child.reading if child else [])]
        due = self._due()
        timeout = None if due == FOREVER else max(0.0, due - time.monotonic())
        readable, writable, _ = select.select(reading, child.writing if child else [], [], timeout)
        if terminal.wake in readable:
            terminal.drain()
        if child:
            for descriptor in (reader for reader in readable if reader in child.reading):
                child.read(descriptor)
            if writable:
                child.write()
            if (ran := child.ended()) is not None:
                self._child = None
                self._advance(ran)
        if 0 in readable:
            self._read()
        elif self._decoder.pending and not readable:
            self._take(self._decoder.flush())
        if time.monotonic() >= self._go_on:
            self._advance(None)

    def _due(self) -> float:
        """When there is something to do without being woken."""
        now = time.monotonic()
        due = [self._go_on]
        if self._decoder.pending:
            due.append(now + ESCAPE_WAIT)
        if self._turn and self._asked is None:
            due.append(now + 1 - (now - self._turn.since) % 1)  # the seconds in the hint
        elif now < self._armed:
            due.append(self._armed)
        return min(due)

    def _read(self) -> None:
        data = read()
        now = time.monotonic()
        presses = self._decoder.feed(data)
        if self._strict:
            presses = guarded(presses, now - self._typed)
        if any(press.text for press in presses):
            self._typed = now
        self._take(presses)

    def _take(self, presses: list[Press]) -> None:
        for press in presses:
            if press.name == "ctrl-z":
                self._terminal.suspend()
            elif press.name == "ctrl-l":
                self._terminal.clear()
            elif self._asked is not None:
                self._choose(press)
            else:
                self._compose(press)

    def _compose(self, press: Press) -> None:
        armed, self._armed = time.monotonic() < self._armed, -FOREVER
        match press.name:
            case "enter":
                self._submit(self._draft.take())
            case "esc" if self._turn:
                self._interrupt()
            case "ctrl-c" if self._turn:
                self._interrupt()
            case "ctrl-c" if armed:
                raise Leave(0)
            case "ctrl-c":
                self._draft.clear()
                self._armed = time.monotonic() + TWICE_WITHIN
            case "ctrl-d" if not self._draft:
                raise Leave(0)
            case _:
                self._draft.edit(press)

    def _choose(self, press: Press) -> None:
        match press.name, press.text:
            case (("up" | "down"), _):
                self._chosen = 0 if press.name == "up" else 1
            case "enter", _:
                self._decide(self._chosen == 0)
            case "text", ("1" | "y"):
                self._decide(True)
            case (("esc" | "ctrl-c"), _):
                self._decide(False)
            case "text", ("2" | "n"):
                self._decide(False)

    def _decide(self, allowed: bool) -> None:
        self._asked = None
        self._advance(allowed)

    def _submit(self, text: str) -> None:
        word, _, rest = text.partition(" ")
        if word == "/exit" and (not rest or rest.isdecimal()):
            raise Leave(int(rest or 0) & 0xFF)
        if text in ("?", "/help"):
            self._print([*layout.notice(brain.HELP, self._columns), ""])
        elif text and self._turn:
            self._queue.append(text)
        elif text:
            self._begin(text)

    def _begin(self, text: str) -> None:
        self._print(layout.echo(text, self._columns))
        self._stream = layout.Stream()
        self._turn = Turn(brain.turn(text, self._habits), time.monotonic())
        self._advance(None)

    def _advance(self, result: Ran | bool | None) -> None:
        """Carry out steps until there is something to wait for."""
        self._go_on = FOREVER
        while self._turn and self._go_on == FOREVER and not self._child and self._asked is None:
            try:
                step = self._turn.steps.send(result)
            except StopIteration:
                self._end(f"done in {round(time.monotonic() - self._turn.since)}s")
                return
            result = self._carry_out(step)
            if step == brain.Pause(FOREVER):
                return

    def _carry_out(self, step: Step) -> Ran | None:
        """Do one step, or begin it; what came of it when that is known at once."""
        match step:
            case brain.Pause(seconds):
                self._go_on = time.monotonic() + seconds
            case brain.Say(text):
                self._printed += self._stream.feed(text, self._columns)
                self._paint()
            case brain.Notice(text):
                self._print(layout.notice(text, self._columns))
            case brain.Confirm(command):
                self._asked, self._chosen = command, 0
            case brain.Run():
                try:
                    self._child = Child(step)
                except OSError as error:
                    return Ran(127, "", f"{step.argv[0]}: {error.strerror}")
            case brain.Exit(status):
                raise Leave(status & 0xFF)
            case brain.Crash():
                self._paint()
                os.kill(os.getpid(), signal.SIGKILL)
        return None

    def _interrupt(self) -> None:
        assert self._turn
        self._turn.steps.close()
        if self._child:
            self._child.stop()
            self._child = None
        self._end("Interrupted")

    def _end(self, line: str) -> None:
        self._turn, self._go_on = None, FOREVER
        self._print([line, ""])
        self._rest = "idle" if line == "Interrupted" else "done"
        self._paint()
        if self._queue:
            self._begin(self._queue.popleft())

    def _print(self, rows: list[str]) -> None:
        self._printed += [*self._stream.finish(self._columns), *rows]

    @property
    def _columns(self) -> int:
        return self._terminal.size()[0]

    def _paint(self) -> None:
        printed, self._printed = self._printed, []
        state = self._rest if self._turn is None else "working" if self._asked is None else "blocked"
        self._terminal.paint(printed, self._frame(), self._news(state))

    def _news(self, state: str) -> str:
        """What the terminal is told of a state that is new."""
        if not self._signals or state == self._told:
            return ""
        self._told = state
        kind = ":kind=permission" if state == "blocked" else ""
        return f"\x1b]7501;state={state}:app=demo{kind}\x1b\\\x1b]0;{TITLES[state]}\x07"

    def _frame(self) -> layout.Frame:
        columns, rows = self._terminal.size()
        if self._asked is not None:
            return layout.dialog(self._asked, self._chosen, columns=columns, rows=rows)
        now = time.monotonic()
        hint = layout.ARMED if now < self._armed else layout.IDLE
        return layout.composer(
            self._draft.shown(),
            layout.busy(now - self._turn.since) if self._turn else hint,
            columns=columns,
            rows=rows,
            tail=self._stream.tail(columns),
            queued=list(self._queue),
        )


if __name__ == "__main__":
    sys.exit(main())
