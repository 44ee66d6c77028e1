"""Parts of a profile that are tables of their own: what a program gets at its start, what its reports mean, its record."""

import re
from dataclasses import dataclass, field
from typing import Any

from synapse.client.lines import loads
from synapse.runner import picking

STATUSES = ("", "READY", "PROCESSING", "WAITING", "RATE_LIMITED")
SCREEN = "screen"  # also stands for stillness and the line mode: what is seen, and not said
SOURCES = ("hook", "osc7501", "osc9", "osc777", "title", "bell")


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a source may say. Fields of what is reported are named by their paths (see `picking`)."""

    source: str = field(metadata={"key": "from"})
    event: str = ""  # a hook's, or a stream's
    match: re.Pattern[str] | None = None  # what a terminal's signal says; its named groups are the fields
    when: dict[str, Any] = field(default_factory=dict)
    status: str = ""
    takes: bool = False  # it says that what was submitted was taken
    rests: bool = False  # it counts once the screen shows no work any more
    begins: bool = False  # it says that the agent's own session is another one now
    answer: str = ""
    failure: str = ""  # why it has failed; the task fails with it
    question: str = ""
    choices: str = ""
    command: str = ""  # the command that is asked about, or will be
    prompt: str = ""
    usage: dict[str, str] = field(default_factory=dict)
    counts_as: str = field(default="", metadata={"key": "as"})  # the source whose word it is taken for; else its own

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"'signal.status' is {self.status!r}: it must be one of {', '.join(STATUSES[1:])}")
        picking.check(self.when, "signal.when")


@dataclass(frozen=True, slots=True)
class Session:
    """Where a report names the session it is of, and the session's record."""

    id: str = ""
    file: str = ""
    same: str = ""  # what is equal in all reports of the agent's own session; its `id` if not given


@dataclass(frozen=True, slots=True)
class Words:
    """Arguments, left out when the person gives one of those in `unless` (`$NAME`: when that is set), or says so in a
    file: `unless_in` has what is looked for there."""

    words: tuple[str, ...]
    unless: tuple[str, ...] = ()
    unless_in: dict[str, re.Pattern[str]] = field(default_factory=dict)
    record: str = ""  # the session's record, when they are given


@dataclass(frozen=True, slots=True)
class File:
    """A file's text; JSON that the person has under one of the names in `merge` is joined with it."""

    text: str
    merge: tuple[str, ...] = ()
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """The `[start]` of a profile. Texts may hold placeholders."""

    args: tuple[Words, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    overlays: dict[str, str] = field(default_factory=dict)
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """One `[stream.NAME]`: where it is, and which field of its events says what they are."""

    file: str = ""
    url: str = ""  # http, of this machine
    login: str = ""  # the name and the password that it wants there
    event: str = "type"
    time: str = ""  # the field with the time of an event (ISO 8601): what is older than the agent is passed over

    def __post_init__(self) -> None:
        if bool(self.file) == bool(self.url):
            raise ValueError("a stream needs the key 'file' or the key 'url'")


@dataclass(frozen=True, slots=True)
class Answering:
    """One `[[approve.http]]`: where a program lists what it asks now, and where and how it takes the answer."""

    list: str  # URLs of this machine
    reply: str  # `{id}` is the question's
    choices: dict[str, str]  # by a pattern of the choice: the JSON that is sent; `{choice}` is its text
    id: str = "id"  # where a question has its id
    about: str = ""  # where it has what its dialog shows, too: that tells several apart
    login: str = ""

    def __post_init__(self) -> None:
        for pattern, body in self.choices.items():
            try:
                re.compile(pattern)
                loads(body.encode())
            except (re.error, ValueError) as error:
                raise ValueError(f"'approve.http.choices.{pattern}': {error}") from None


@dataclass(frozen=True, slots=True)
class Usage:
    """Where the tokens are counted: `fields` are the names and paths of the counts in the lines that hold `lines`.

    They are added up, once for each value of `once`; `last`: each line holds the sums already.
    """

    fields: dict[str, str]
    lines: dict[str, Any] = field(default_factory=dict)
    once: str = ""
    last: bool = False

    def __post_init__(self) -> None:
        picking.check(self.lines, "answer.record.usage.lines")


@dataclass(frozen=True, slots=True)
class Failure:
    """Where a record says that a turn has failed: `text` is why. Words of the agent behind that take it back."""

    lines: dict[str, Any]
    text: str

    def __post_init__(self) -> None:
        picking.check(self.lines, "answer.record.failure.lines")


@dataclass(frozen=True, slots=True)
class Record:
    """The `[answer.record]` of a profile. Conditions are those of a signal's `when`."""

    lines: dict[str, Any]  # which lines are the agent's words
    text: str  # where in them
    file: str = "{record}"  # a path, or a pattern of which the newest counts
    sections: dict[str, re.Pattern[str]] = field(default_factory=dict)  # no JSON: by kind, the lines that begin a part
    prefix: re.Pattern[str] | None = None  # of a part: what each line begins with, cut off
    without: re.Pattern[str] | None = None  # of a part: what is left out
    join: str = "\n\n"
    fresh: tuple[
        dict[str, Any], ...
    ] = ()  # at such a line the answer begins anew: what was said before a tool's result
    prompt: str = ""  # where a line has what was typed; the answer stands behind it
    end: dict[str, Any] = field(default_factory=dict)  # the line that says that the turn is written whole
    wait: float = 2.0  # seconds for the answer to be written
    settle: float = 0.1  # without `end`: seconds without another line
    usage: Usage | None = None
    failure: Failure | None = None

    def __post_init__(self) -> None:
        for conditions in (self.lines, self.end, *self.fresh):
            picking.check(conditions, "answer.record")


def _terminal_says(pattern: str, status: str) -> Rule:
    return Rule("osc7501", match=re.compile(rf"(?:^|;)state=(?:{pattern})\b"), status=status)


GENERAL = (  # a convention of terminals, for every program that keeps to it
    _terminal_says("idle|done", "READY"),
    _terminal_says("working", "PROCESSING"),
    _terminal_says("blocked", "WAITING"),
)
