"""Profiles: what is known of one program, as data. One TOML file each; users add their own in the config folder."""

import os
import re
import shlex
import shutil
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synapse import paths
from synapse.errors import BadRequest, NotFound

BUILT_IN = Path(__file__).with_name("profiles")
GENERIC = "generic"


@dataclass(frozen=True, slots=True)
class Profile:
    """How to start a program, type into it, read it and end it. Times are in seconds."""

    name: str
    command: tuple[str, ...] = ()
    ports: tuple[int, int] = (8150, 8199)
    pause: float = 0.1  # between the text and Enter
    enter: str = "\r"
    header: bool = True  # is the A2A line typed before the text?
    multiline: str = "file"  # without bracketed paste: `file` and a pointer, or `type` the lines
    longest: int = 4000  # characters; more goes by file
    clear: str = "\x15"  # empties the composer
    interrupt: tuple[str, ...] = ("\x1b",)
    interrupt_pause: float = 0.4
    stop_text: str = ""
    signals: tuple[str, ...] = ("osc7501",)
    settle: float = 0.15  # without output before a screen with known patterns counts
    still: float = 0.5  # without output before an unknown program counts as ready
    busy: tuple[re.Pattern[str], ...] = ()
    ready: tuple[re.Pattern[str], ...] = ()
    waiting: tuple[re.Pattern[str], ...] = ()
    choice: re.Pattern[str] | None = None
    placeholder: re.Pattern[str] | None = None  # what a composer shows for a large paste
    answer_first: re.Pattern[str] | None = None  # what marks the first line of an answer, and is cut off
    answer_rest: re.Pattern[str] | None = None  # what the lines behind it begin with
    drop: tuple[re.Pattern[str], ...] = field(default=())  # lines of the frame, which are no answer

    @property
    def patterns(self) -> bool:
        """Is its screen known?"""
        return bool(self.ready)


_TABLES: dict[str, dict[str, str]] = {
    "": {"command": "command", "ports": "ports", "signals": "signals"},
    "submit": {
        "pause": "pause",
        "enter": "enter",
        "header": "header",
        "multiline": "multiline",
        "longest": "longest",
        "clear": "clear",
        "placeholder": "placeholder",
    },
    "interrupt": {"keys": "interrupt", "pause": "interrupt_pause"},
    "stop": {"text": "stop_text"},
    "status": {
        "settle": "settle",
        "still": "still",
        "busy": "busy",
        "ready": "ready",
        "waiting": "waiting",
        "choice": "choice",
    },
    "answer": {"first": "answer_first", "rest": "answer_rest", "drop": "drop"},
}
_PATTERNS = {"busy", "ready", "waiting", "drop"}
_PATTERN = {"choice", "placeholder", "answer_first", "answer_rest"}


def config_folder() -> Path:
    """Where a user's own profiles lie: `profiles/` in here."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base) / "synapse"


def find(name: str) -> Profile | None:
    """The profile of that name: the user's own first; None when there is none. BadRequest when a file is wrong."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        return None
    for folder in (config_folder() / "profiles", BUILT_IN):
        path = folder / f"{name}.toml"
        if path.is_file():
            return load(path)
    return None


def load(path: Path) -> Profile:
    """The profile in a file; BadRequest says what is wrong in it."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadRequest("bad_profile", f"{path}: {error}") from None
    found: dict[str, Any] = {}
    for table, names in _TABLES.items():
        values = tables if not table else tables.pop(table, {})
        for key in list(values):
            if key in names:
                found[names[key]] = values.pop(key)
    unknown = [key for key, value in tables.items() if key not in _TABLES or value]
    if unknown:
        raise BadRequest("bad_profile", f"{path}: unknown key '{unknown[0]}'.")
    try:
        return Profile(path.stem, **{name: _typed(name, value) for name, value in found.items()})
    except (re.error, TypeError) as error:
        raise BadRequest("bad_profile", f"{path}: {error}") from None


def _typed(name: str, value: Any) -> Any:
    if name in _PATTERNS:
        return tuple(re.compile(each, re.MULTILINE) for each in value)
    if name in _PATTERN:
        return re.compile(value, re.MULTILINE)
    return tuple(value) if isinstance(value, list) else value


def resolve(words: tuple[str, ...]) -> tuple[Profile, list[str]]:
    """The profile and the command line that some words mean: a profile with arguments, or any program.

    NotFound when it is neither.
    """
    name, arguments = words[0], list(words[1:])
    profile = find(name)
    if profile is not None and profile.command:
        return profile, [*_expand(profile.command), *arguments]
    if shutil.which(name) is None:
        raise NotFound("no_such_program", f"'{name}' is neither a profile nor a program on PATH.", status=127)
    own = profile or find(GENERIC)
    assert own is not None
    return own, [name, *arguments]


def _expand(command: tuple[str, ...]) -> list[str]:
    if command[0] == "$SYNAPSE":
        return [*paths.program(), *command[1:]]
    if command[0] == "$SHELL":
        return [os.environ.get("SHELL") or "/bin/sh", *command[1:]]
    return list(command)


def own_command() -> str:
    """How a child calls this program, for a shell."""
    return shlex.join(paths.program()) if not getattr(sys, "frozen", False) else sys.executable
