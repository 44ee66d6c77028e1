"""A toy plugin: a pad of lines, with everything that a plugin can have; and modules made of whatever hooks a test wants."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

import msgspec

from synapse import Call, Change, Event, Fact, Reply, Request, Verb, change, hookimpl, query, read


def module(**hooks: Any) -> ModuleType:
    """A module with these hooks; what is no function is what the hook returns."""
    made = ModuleType("toy")
    for name, what in hooks.items():
        hook = what if callable(what) else _returning(what)
        setattr(made, f"synapse_{name}", hookimpl(hook))
    return made


def _returning(what: Any) -> Callable[[], Any]:
    def hook() -> Any:
        return what

    return hook


class Added(Fact, frozen=True):
    """A line was added to the pad."""

    kind: ClassVar[str] = "pad.added"
    line: str = ""


class Done(Fact, frozen=True):
    """What was owed for a line is done, or was refused."""

    kind: ClassVar[str] = "pad.done"
    saved: int = 0
    reason: str = ""


class Pad:
    """The lines; "boom" cannot be folded."""

    name = "pad"
    version = 1
    kinds = frozenset({Added.kind, Done.kind})

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.lines: list[str] = []
        self.owed: dict[int, str] = {}

    def apply(self, event: Event) -> None:
        if isinstance(event.body, Done):
            self.owed.pop(event.body.saved, None)
            return
        if event.body.line == "boom":
            raise ValueError("the pad is torn")
        self.lines.append(event.body.line)
        self.owed[event.position] = event.body.line

    def dump(self) -> bytes:
        return msgspec.json.encode((self.lines, self.owed))

    def load(self, state: bytes) -> None:
        self.lines, self.owed = msgspec.json.decode(state, type=tuple[list[str], dict[int, str]])


class Lines:
    """The lines as a table; "tear" cannot be written."""

    name = "pad"
    version = 1
    kinds = frozenset({Added.kind})
    schema: tuple[str, ...] = ("CREATE TABLE pad_lines (position INTEGER PRIMARY KEY, line TEXT)",)

    def apply(self, db: Any, event: Event) -> None:
        if event.body.line == "tear":
            raise ValueError("the page is torn")
        db.execute("INSERT INTO pad_lines VALUES (?, ?)", (event.position, event.body.line))


class AddRequest(Change, kw_only=True):
    line: str


class AddReply(Reply, kw_only=True, omit_defaults=False):
    lines: int
    position: int
    by: str


@change("pad.add")
def add(call: Call, request: AddRequest) -> AddReply:
    """Add a line."""
    call.emit(Added(line=request.line), "pad")
    return AddReply(lines=len(call.state(Pad).lines) + 1, position=call.reached, by=call.name)


class LinesRequest(Request, kw_only=True):
    pass


class LinesReply(Reply, kw_only=True, omit_defaults=False):
    lines: list[str]


@read("pad.lines")
def lines(call: Call, request: LinesRequest) -> LinesReply:
    """The lines, from memory."""
    return LinesReply(lines=call.state(Pad).lines)


@query("pad.stored", tables=("pad",))
def stored(call: Call, request: LinesRequest) -> Callable[[Any], LinesReply]:
    """The lines, from the table."""

    def fetch(db: Any) -> LinesReply:
        return LinesReply(lines=[row[0] for row in db.execute("SELECT line FROM pad_lines ORDER BY position")])

    return fetch


class DoneRequest(Change, kw_only=True):
    saved: int
    reason: str = ""


@change("pad.done", internal=True, anonymous=True)
def done(call: Call, request: DoneRequest) -> LinesReply:
    """Note that what was owed is done."""
    call.emit(Done(saved=request.saved, reason=request.reason), "pad")
    return LinesReply(lines=[])


VERBS: tuple[Verb, ...] = (add, lines, stored, done)


def pad(**more: Any) -> ModuleType:
    """The pad as a plugin, with other or further hooks."""
    hooks = {
        "facts": (Added, Done), "projections": lambda: (Pad(),), "tables": lambda: (Lines(),), "verbs": VERBS,
    }  # fmt: skip
    return module(**{**hooks, **more})
