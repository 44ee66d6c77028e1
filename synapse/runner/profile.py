"""Profiles: what is known of one program, as data. One TOML file each; users add their own in the config folder."""

import os
import re
import shlex
import shutil
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path

from synapse import paths
from synapse.errors import BadRequest, NotFound
from synapse.runner import profile_tables
from synapse.runner.parts import GENERAL, SCREEN, Answering, Record, Rule, Session, Start, Stream

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
    pastes: bool = False  # it takes bracketed pastes, and is not ready before it has said so
    multiline: str = "file"  # without bracketed paste: `file` and a pointer, or `type` the lines
    longest: int = 4000  # characters; more goes by file
    again: bool = True  # is Enter pressed once more where the text stays? Not into a program that reads ahead
    clear: str = "\x15"  # empties the composer
    closes: bool = False  # does an empty line close what is still open?
    interrupt: tuple[str, ...] = ("\x1b",)
    interrupt_pause: float = 0.4
    stop_text: str = ""
    instructions: bool = False  # is it told who it is when it is first ready?
    resume: tuple[str, ...] = ()  # words with which it goes on with a conversation, and is told nothing
    mcp: tuple[str, ...] = ()  # files that name its MCP servers
    signals: tuple[str, ...] = ("osc7501",)
    settle: float = 0.15  # without output before a screen with known patterns counts
    still: float = 0.5  # without output before an unknown program counts as ready
    unseen: float = 0.6  # for a program with known patterns, once it took a message, to begin to show that it works
    prompt: re.Pattern[str] | None = None  # without patterns: what stands before its cursor where it takes anything new
    open: re.Pattern[str] | None = None  # likewise: where it wants the rest of what it was given
    foot: int = 30  # lines at the end of the screen in which `busy` and `ready` count
    busy: tuple[re.Pattern[str], ...] = ()
    ready: tuple[re.Pattern[str], ...] = ()
    ended: tuple[re.Pattern[str], ...] = ()  # beside its composer once it has ended, where it does not show all work
    pauses: float = 10.0  # without output before such a program counts as ready where that does not stand there
    waiting: tuple[re.Pattern[str], ...] = ()
    limited: tuple[re.Pattern[str], ...] = ()  # it may not go on for now
    limit_lasts: float = 900.0  # after which it is tried again
    doubt: float = 3.0  # for which a lesser source must contradict a better one to count; 0 = it never does
    silent: float = 5.0  # after Enter, for a source that says when a message was taken to say so
    choice: re.Pattern[str] | None = None
    placeholder: re.Pattern[str] | None = None  # what a composer shows for a large paste
    continued: re.Pattern[str] | None = None  # what stands before each further line in its composer
    composer: re.Pattern[str] | None = None  # its first row, of a program that does not put the cursor there
    answer_first: re.Pattern[str] | None = None  # what marks the first line of an answer, and is cut off
    answer_rest: re.Pattern[str] | None = None  # what the lines behind it begin with
    answer_failed: re.Pattern[str] | None = None  # what stands on the screen when its model failed, and said nothing
    drop: tuple[re.Pattern[str], ...] = field(default=())  # lines of the frame, which are no answer
    approve_by: str = ""  # how a choice is made: `digit`, `letter`, `arrows`, `keys`, `http`; "" = not from outside
    approve_yes: re.Pattern[str] | None = None  # the choice that means yes; else the first
    approve_no: re.Pattern[str] | None = None  # the choice that means no; where there is none, `decline` is pressed
    accept: tuple[str, ...] = ()  # by keys: what says yes
    decline: tuple[str, ...] = ("\x1b",)  # what says no without a choice
    approve_enter: bool = False  # is Enter pressed behind a digit or a letter?
    marker: re.Pattern[str] | None = None  # by arrows: what the line of the marked choice begins with
    across: bool = False  # by arrows: the choices stand side by side
    answering: tuple[Answering, ...] = ()  # by http
    command_asked: re.Pattern[str] | None = None  # in a dialog: the command that it asks about, in its groups
    answer_from: tuple[str, ...] = ("signal", "record", "screen")
    trust: tuple[str, ...] = ()  # its sources, the best first; by default in the order of `rules`
    start: Start = field(default_factory=Start)
    rules: tuple[Rule, ...] = ()
    streams: dict[str, Stream] = field(default_factory=dict)
    session: Session = field(default_factory=Session)
    record: Record | None = None

    @property
    def patterns(self) -> bool:
        """Is its screen known?"""
        return bool(self.ready)

    def unaided(self) -> "Profile":
        """The same for a program that was started without what makes it report: only its terminal is left."""
        rules = tuple(rule for rule in self.rules if rule.source != "hook" and rule.source not in self.streams)
        return replace(self, rules=rules, streams={})

    @property
    def heeded(self) -> tuple[Rule, ...]:
        """What its reports mean, the general convention included."""
        return (*self.rules, *(GENERAL if "osc7501" in self.signals else ()))

    @property
    def order(self) -> tuple[str, ...]:
        """Its sources, the best first."""
        if self.trust:
            return self.trust if SCREEN in self.trust else (*self.trust, SCREEN)
        return (*dict.fromkeys(rule.source for rule in self.heeded), SCREEN)

    @property
    def reporting(self) -> tuple[str, ...]:
        """The sources that say when they have taken a message."""
        return tuple({rule.source: None for rule in self.rules if rule.takes})


def config_folder() -> Path:
    """Where a user's own profiles lie: `profiles/` in here."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base) / "synapse"


def find(name: str) -> Profile | None:
    """The profile of that name: the user's own first; None when there is none. BadRequest when a file is wrong."""
    path = _file(name)
    return load(path) if path else None


def exists(name: str) -> bool:
    """Is there a profile of that name?"""
    return _file(name) is not None


def _file(name: str) -> Path | None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        return None
    folders = [config_folder() / "profiles", BUILT_IN]
    if "SYNAPSE_PROFILES" in os.environ:  # of a plugin: whoever starts us has found it
        folders.append(Path(os.environ["SYNAPSE_PROFILES"]))
    files = (folder / f"{name}.toml" for folder in folders)
    return next((path for path in files if path.is_file()), None)


def load(path: Path) -> Profile:
    """The profile in a file; BadRequest says what is wrong in it."""
    usual = {name: field.default for name, field in Profile.__dataclass_fields__.items()}
    try:
        found = profile_tables.read(tomllib.loads(path.read_text(encoding="utf-8")), usual)
        return Profile(path.stem, **found)
    except (OSError, ValueError) as error:
        raise BadRequest("bad_profile", f"{path}: {error}.") from None


def resolve(words: tuple[str, ...]) -> tuple[Profile, list[str]]:
    """The profile and the command line that some words mean: a profile with arguments, or any program.

    NotFound with the shell's exit status (`exit`) when it is neither.
    """
    profile = find(words[0])
    if profile is not None and profile.command:
        argv = [*_expand(profile.command), *words[1:]]
    else:
        argv = list(words)
        profile = profile or find(GENERIC)
    assert profile is not None
    if shutil.which(argv[0]) is None and not os.path.exists(argv[0]):
        what = f"{argv[0]}: command not found"
        if argv[0] == words[0] and "/" not in argv[0]:
            what = f"'{argv[0]}' is neither a profile nor a program on PATH"
            if argv[0].startswith("-"):
                what = f"There is no option '{argv[0]}' here; those of a program stand behind its name"
        raise NotFound("no_such_program", f"{what}.", exit=127)
    return profile, argv


def _expand(command: tuple[str, ...]) -> list[str]:
    if command[0] == "$SYNAPSE":
        return [*paths.program(), *command[1:]]
    if command[0] == "$SHELL":
        return [os.environ.get("SHELL") or "/bin/sh", *command[1:]]
    return list(command)


def own_command() -> str:
    """How a child calls this program, for a shell."""
    return shlex.join(paths.program())
