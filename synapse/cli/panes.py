"""Terminals that can be told to show a pane or to open one: how each is recognised, and what it is told.

Everything that depends on one of them is in `TERMINALS`. Quick commands import this: nothing heavy here.
"""

import os

from synapse.errors import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PATIENCE = 10.0  # seconds for a terminal's own command
NARROWEST, LOWEST = 60, 15  # columns and rows that an agent should have


class Terminal:
    """One kind of terminal, as data.

    `sign` is the variable by which a program knows that it is in one, with the value that it must have ("" is any).
    `needs` are the variables that say which pane it is; `focus` the command line that shows it, made from them, and
    `open` the one that opens another beside it, made from them and `name`, `cwd` and the program to run there: `{line}`
    is that as one line of a shell, a word `{words}` stands for all its words.
    """

    __slots__ = ("focus", "name", "needs", "open", "sign", "value")

    def __init__(
        self,
        name: str,
        sign: str,
        value: str = "",
        *,
        needs: "tuple[str, ...]",
        focus: "tuple[str, ...]",
        open: "tuple[str, ...]",
    ) -> None:
        self.name = name
        self.sign = sign
        self.value = value
        self.needs = needs
        self.focus = focus
        self.open = open


def _apple(*lines: str) -> "tuple[str, ...]":
    """A script's command line; what it is given comes behind it, so nothing of that is ever read as script."""
    return (
        "osascript",
        *(word for line in ("on run argv", "set wanted to item 1 of argv", *lines, "end run") for word in ("-e", line)),
    )


# The first that is recognised counts: what runs inside of another terminal comes first.
TERMINALS = (
    Terminal(
        "tmux", "TMUX_PANE", needs=("TMUX", "TMUX_PANE"),
        focus=("tmux", "-S", "{socket}", "select-window", "-t", "{TMUX_PANE}", ";", "select-pane", "-t", "{TMUX_PANE}"),
        open=("tmux", "-S", "{socket}", "split-window", "-d", "-h", "-t", "{TMUX_PANE}", "-c", "{cwd}", "{words}"),
    ),
    Terminal(
        "zellij", "ZELLIJ_PANE_ID", needs=("ZELLIJ_SESSION_NAME", "ZELLIJ_PANE_ID"),
        focus=("zellij", "--session", "{ZELLIJ_SESSION_NAME}", "action", "focus-pane-id", "terminal_{ZELLIJ_PANE_ID}"),
        open=(
            "zellij", "--session", "{ZELLIJ_SESSION_NAME}", "action", "new-pane", "--close-on-exit", "--name", "{name}",
            "--cwd", "{cwd}", "--", "{words}",
        ),
    ),
    Terminal(
        "kitty", "KITTY_WINDOW_ID", needs=("KITTY_LISTEN_ON", "KITTY_WINDOW_ID"),
        focus=("kitty", "@", "--to", "{KITTY_LISTEN_ON}", "focus-window", "--match", "id:{KITTY_WINDOW_ID}"),
        open=(
            "kitty", "@", "--to", "{KITTY_LISTEN_ON}", "launch", "--type=window", "--keep-focus",
            "--match", "window_id:{KITTY_WINDOW_ID}", "--title", "{name}", "--cwd", "{cwd}", "{words}",
        ),
    ),
    Terminal(
        "WezTerm", "WEZTERM_PANE", needs=("WEZTERM_PANE", "WEZTERM_UNIX_SOCKET"),
        focus=("wezterm", "cli", "activate-pane", "--pane-id", "{WEZTERM_PANE}"),
        open=("wezterm", "cli", "split-pane", "--pane-id", "{WEZTERM_PANE}", "--cwd", "{cwd}", "--", "{words}"),
    ),
    Terminal(
        "iTerm2", "ITERM_SESSION_ID", needs=("ITERM_SESSION_ID",),
        focus=(
            *_apple(
                'tell application "iTerm2"', "repeat with w in windows", "repeat with t in tabs of w",
                "repeat with s in sessions of t", "if unique ID of s is wanted then",
                "select w", "select t", "select s", "activate", "return",
                "end if", "end repeat", "end repeat", "end repeat", "end tell", 'error "that session is closed"',
            ),
            "{session}",
        ),
        open=(
            *_apple(
                "set line_ to item 2 of argv", 'tell application "iTerm2"', "repeat with w in windows",
                "repeat with t in tabs of w", "repeat with s in sessions of t", "if unique ID of s is wanted then",
                "tell s to split vertically with same profile command line_", "return",
                "end if", "end repeat", "end repeat", "end repeat", "end tell", 'error "that session is closed"',
            ),
            "{session}", "{line}",
        ),
    ),
    Terminal(
        "Terminal.app", "TERM_PROGRAM", "Apple_Terminal", needs=("tty",),
        focus=(
            *_apple(
                'tell application "Terminal"', "repeat with w in windows", "repeat with t in tabs of w",
                "if tty of t is wanted then", "set selected tab of w to t", "set index of w to 1",
                "activate", "return", "end if", "end repeat", "end repeat", "end tell", 'error "that tab is closed"',
            ),
            "{tty}",
        ),
        open=(*_apple('tell application "Terminal" to do script ("exec " & wanted)'), "{line}"),
    ),
    Terminal(
        "Ghostty", "TERM_PROGRAM", "ghostty", needs=("tty",),
        focus=(
            *_apple('tell application "Ghostty" to focus (first terminal whose tty is wanted)'),
            "{tty}",
        ),
        open=(
            *_apple(
                "set line_ to item 2 of argv", "set folder_ to item 3 of argv",
                'tell application "Ghostty"', "set c to new surface configuration",
                "set command of c to line_", "set initial working directory of c to folder_",
                "split (first terminal whose tty is wanted) direction right with configuration c", "end tell",
            ),
            "{tty}", "{line}", "{cwd}",
        ),
    ),
)  # fmt: skip
REMEMBERED = tuple(
    dict.fromkeys(name for each in TERMINALS for name in (each.sign, *each.needs) if name != "tty")
)  # with TERM, which says what it is when it is none of these


def here(environ: "Mapping[str, str]" = os.environ) -> "dict[str, str]":
    """Where this process is shown: the variables that say so, and its terminal device."""
    told = () if environ.get("SYNAPSE_AGENT_ID") else REMEMBERED  # an agent's are its starter's
    place = {name: environ[name] for name in (*told, "TERM") if environ.get(name)}
    try:
        place["tty"] = os.ttyname(0)
    except OSError:
        pass  # not in a terminal
    return place


def recognised(place: "Mapping[str, str]") -> "Terminal | None":
    """The kind of terminal that a place is in."""
    for terminal in TERMINALS:
        value = place.get(terminal.sign, "")
        if value and terminal.value in ("", value):
            return terminal
    return None


def focus(place: "dict[str, str]", run: "Callable[..., str] | None" = None) -> str:
    """Show the pane of a place; the name of its terminal. Refused, with the reason, when that cannot be done."""
    terminal = able(place, "its terminal ({}) cannot be told from outside to show it")
    run = run or told
    values = derived(place)
    if terminal.name == "tmux":
        _switch(values, run)
    run(filled(terminal.focus, values), place)
    return terminal.name


def able(place: "Mapping[str, str]", cannot: str) -> "Terminal":
    """The terminal of a place, which has said how to reach it; else Refused."""
    terminal = recognised(place)
    if terminal is None:
        named = place.get("TERM_PROGRAM") or place.get("TERM") or "unknown"
        raise Refused("cannot_focus", cannot.format(named))
    missing = [name for name in terminal.needs if not place.get(name)]
    if missing:
        raise Refused("cannot_focus", f"{terminal.name} has not said how to reach it: {', '.join(missing)} was not set")
    return terminal


def open_beside(place: "dict[str, str]", name: str, cwd: str, words: "list[str]") -> str:
    """Open a pane beside a place, in which a program runs; the name of its terminal. Refused when that cannot be done."""
    from shlex import join

    terminal = able(place, "this terminal ({}) has no command that opens a pane")
    values = {**derived(place), "name": name, "cwd": cwd, "line": join(words)}
    command = filled(terminal.open, values)
    if "{words}" in command:
        at = command.index("{words}")
        command[at : at + 1] = words
    told(_roomy(command, values, place) if terminal.name == "tmux" else command, place)
    return terminal.name


def _roomy(command: "list[str]", values: "dict[str, str]", place: "dict[str, str]") -> "list[str]":
    """Where there is room for both in tmux: beside it, else below it, else in a window of its own."""
    size = told(
        [
            "tmux",
            "-S",
            values["socket"],
            "display-message",
            "-p",
            "-t",
            values["TMUX_PANE"],
            "#{pane_width} #{pane_height}",
        ],
        place,
    )
    width, height = map(int, size.split())
    if width > 2 * NARROWEST:
        return command
    if height > 2 * LOWEST:
        return ["-v" if word == "-h" else word for word in command]
    return [*command[:3], "new-window", "-d", *command[command.index("-c") :]]


def derived(place: "Mapping[str, str]") -> "dict[str, str]":
    """A place's variables, and what is made of them."""
    return {
        **place,
        "socket": place.get("TMUX", "").partition(",")[0],
        "session": place.get("ITERM_SESSION_ID", "").rpartition(":")[2],
    }


def filled(template: "tuple[str, ...]", values: "Mapping[str, str]") -> "list[str]":
    """A command line with its values in place; nothing of a value is read again."""
    words = []
    for word in template:
        before, brace, rest = word.partition("{")
        name, end, after = rest.partition("}")
        words.append(f"{before}{values[name]}{after}" if brace and end and name in values else word)
    return words


def _switch(values: "dict[str, str]", run: "Callable[..., str]") -> None:
    """Make some client of tmux show the session: the one from which we are called, else one that shows it already."""
    tmux = ["tmux", "-S", values["socket"]]
    about = run(
        [*tmux, "display-message", "-p", "-t", values["TMUX_PANE"], "#{session_attached} #{session_name}"], values
    )
    attached, _, session = about.strip().partition(" ")
    if os.environ.get("TMUX", "").partition(",")[0] == values["socket"]:
        try:
            run([*tmux, "switch-client", "-t", values["TMUX_PANE"]], os.environ)
            return
        except Refused:
            pass  # nobody looks at the session from which we are called
    if attached in ("", "0"):
        raise Refused(
            "cannot_focus",
            f"its tmux session '{session}' is shown nowhere: `tmux -S {values['socket']} attach -t {session}` shows it",
        )


def told(words: "list[str]", place: "Mapping[str, str]") -> str:
    """Run a terminal's own command where the place is; what it said. Refused when it failed."""
    import subprocess

    own = {name: value for name, value in place.items() if name in REMEMBERED}
    environ = {**{name: value for name, value in os.environ.items() if name not in REMEMBERED}, **own}
    try:
        done = subprocess.run(
            words, env=environ, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        raise Refused("cannot_focus", f"there is no `{words[0]}` on PATH to tell it to") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused("cannot_focus", f"`{words[0]}` did not do it: {error}") from None
    if done.returncode:
        why = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise Refused("cannot_focus", f"`{words[0]}` did not do it: {why[:300]}")
    return done.stdout
