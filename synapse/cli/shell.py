"""`shell`: a prompt to talk to agents. `@bob review this` goes to bob, anything else to whom one talked to last."""

import os
import signal
import threading
from collections import deque

from synapse import paths
from synapse.cli.command import ELSEWHERE, FROM, NO_START, WORKSPACE, Argument, Command
from synapse.cli.table import coloured, write
from synapse.errors import SynapseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from synapse.cli.shell_talk import Talk

HISTORY = 1000  # lines that are kept
HELP = """\
@bob review this   gives bob work, and makes him the one you talk to; @ann,bob or @all likewise
@bob               only makes him the one you talk to
anything else      goes to the one you talk to; a line for him that begins with @ is written with @@
Tab completes names, the arrows bring back what you wrote, Ctrl-C drops a line, Ctrl-D leaves
"""
NOBODY = "To whom? Begin the line with @NAME; `synapse list` shows who is here."


def shell(target: "str | None", *, sender: "str | None", workspace: "str | None", no_start: bool) -> int:
    """Talk to agents until Ctrl-D; answers are shown as they come. 1 when a line of a script was not done."""
    from synapse.cli.shell_talk import Talk

    person = os.isatty(0) and os.isatty(1)
    screen: Screen = Terminal() if person else Screen()
    with Talk(sender or "", workspace or "", start=not no_start, say=screen.say) as talk:
        lines = Lines(talk, screen)
        if target and not lines.take(f"@{target.removeprefix('@')}"):
            return 1
        if person:
            _converse(lines, screen)
            return 0
        done = [lines.take(line) for line in screen.script()]
        talk.wait()
    return 0 if all(done) and not talk.failed else 1


def _converse(lines: "Lines", screen: "Screen") -> None:
    """Until the person has enough."""
    with screen:
        screen.complete(lines.completions)
        screen.say("@NAME TEXT gives work to an agent, ? explains, Ctrl-D leaves.")
        while True:
            try:
                line = screen.ask(f"{lines.target}> ")
            except KeyboardInterrupt:
                write("\n")
                continue
            except EOFError:
                break
            lines.take(line)
    count = len(lines.talk.pending)
    left = "1 answer is still to come: `synapse inbox` has it then."
    if count > 1:
        left = f"{count} answers are still to come: `synapse inbox` has them then."
    write(f"\n{left}\n" if count else "\n")


class Lines:
    """What a line means, and to whom it goes."""

    def __init__(self, talk: "Talk", screen: "Screen") -> None:
        self.talk = talk
        self.target = ""
        self._screen = screen

    def take(self, line: str) -> bool:
        """Do what a line says; False when that could not be."""
        text, target = line.strip(), self.target
        if not text:
            return True
        if text == "?":
            self._screen.say(HELP.rstrip())
            return True
        if text.startswith("@@"):
            text = text[1:]
        elif text.startswith("@"):
            target, _, text = text[1:].partition(" ")
            text = text.strip()
        try:
            return self._give(target, text)
        except SynapseError as error:
            self._screen.say(f"synapse: {error.sentence}")
        except KeyboardInterrupt:
            self._screen.say("synapse: interrupted: it is not known whether that was sent (`synapse history`).")
        return False

    def _give(self, target: str, text: str) -> bool:
        if not target:
            self._screen.say(NOBODY)
            return False
        if text:
            self.talk.send(target, text)
        else:
            self.talk.check(target)
        self.target = target
        return True

    def completions(self, before: str, word: str) -> "list[str]":
        """Names for `@b` at the beginning of a line, also behind a comma; `before` is what stands before the word."""
        begun = before + word
        if not begun.startswith("@") or " " in begun:
            return []
        first, _, part = begun.rpartition(",") if "," in begun else ("@", "", begun[1:])
        try:
            names = self.talk.names()
        except SynapseError:
            return []
        whole = [f"{first}{',' if first != '@' else ''}{name}" for name in names if name.startswith(part)]
        return [each[len(before) :] + " " for each in whole]


class Screen:
    """Where no person sits: lines come from standard input, what is said goes to standard output."""

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing was changed."""

    def say(self, text: str) -> None:
        write(f"{text}\n")

    def script(self) -> "list[str]":
        """All lines of standard input."""
        with open(0, encoding="utf-8", errors="replace", closefd=False) as opened:
            return opened.read().splitlines()

    def ask(self, prompt: str) -> str:
        """The next line of a person."""
        raise EOFError

    def complete(self, completions: object) -> None:
        """Have Tab complete words."""


class Terminal(Screen):
    """A person's terminal: lines are edited with readline, and what comes meanwhile is shown above the line.

    What another thread says is shown by the thread that reads: a signal wakes it between two keys, when the editor is
    in order.
    """

    def __init__(self) -> None:
        self._editor = Editor()
        self._said: deque[str] = deque()
        self._reading = False
        self._prompt = ""
        self._history = os.path.join(paths.data_folder(), "shell-history")
        self._before: object = signal.SIG_DFL

    def __enter__(self) -> "Terminal":
        import readline

        try:
            readline.read_history_file(self._history)
        except OSError:
            pass  # there is none yet
        readline.set_history_length(HISTORY)
        readline.parse_and_bind("bind ^I rl_complete" if _libedit() else "tab: complete")
        self._before = signal.signal(signal.SIGUSR1, self._woken)
        return self

    def __exit__(self, *exc: object) -> None:
        import readline

        signal.signal(signal.SIGUSR1, self._before)  # type: ignore[arg-type]
        self._show()
        try:
            os.close(os.open(self._history, os.O_WRONLY | os.O_CREAT, 0o600))
            readline.write_history_file(self._history)
        except OSError:
            pass  # it is a convenience

    def say(self, text: str) -> None:
        self._said.append(text)
        if threading.current_thread() is threading.main_thread():
            self._woken()
        else:
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGUSR1)

    def ask(self, prompt: str) -> str:
        self._prompt = prompt
        self._reading = True
        try:
            return input(prompt)
        finally:
            self._reading = False
            self._show()

    def complete(self, completions: object) -> None:
        import readline

        assert callable(completions)
        found: list[str] = []

        def complete(word: str, number: int) -> "str | None":
            if number == 0:
                found[:] = completions(readline.get_line_buffer()[: readline.get_begidx()], word)
            return found[number] if number < len(found) else None

        readline.set_completer_delims(" \t\n")
        readline.set_completer(complete)

    def _woken(self, number: int = 0, frame: "FrameType | None" = None) -> None:
        """Show what was said; between two keys, where a line is being written."""
        if self._reading and self._said:
            self._editor.clear()
            self._show()
            self._editor.draw(self._prompt)
        else:
            self._show()

    def _show(self) -> None:
        while self._said:
            name, colon, rest = self._said.popleft().partition(":")
            head = f"\x1b[1m{name}\x1b[0m" if colon and coloured() else name
            write(f"{head}{colon}{rest}\n")


class Editor:
    """The line that is being written: taken off the screen and drawn again, by the editor's own functions.

    Python has no names for them; where they cannot be reached the line is written as it is, its cursor at its end.
    """

    def __init__(self) -> None:
        import readline

        try:
            from ctypes import PyDLL

            library = PyDLL(readline.__file__)
            self._functions: tuple[Any, ...] | None = (
                library.rl_clear_visible_line,
                library.rl_forced_update_display,
                library.fflush,
            )
        except (ImportError, OSError, AttributeError):
            self._functions = None

    def clear(self) -> None:
        """Take the line off the screen; the cursor stands at its beginning."""
        if self._functions is None:
            write("\r\x1b[J")
        else:
            clear, _, flush = self._functions
            clear()
            flush(None)

    def draw(self, prompt: str) -> None:
        """Draw the line again, where the cursor is."""
        if self._functions is None:
            import readline

            write(prompt + readline.get_line_buffer())
        else:
            self._functions[1]()


def _libedit() -> bool:
    import readline

    return "libedit" in (readline.__doc__ or "")


COMMANDS = (
    Command(
        "shell", shell, "Talk to agents at a prompt: `@bob review this`, and the answers as they come.",
        Argument("target", help="Whom to talk to first.", required=False), FROM, WORKSPACE, NO_START, *ELSEWHERE,
        example="synapse shell bob", quick=True,
    ),
)  # fmt: skip
