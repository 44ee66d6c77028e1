"""Counts things by name, and tells everybody when a goal is reached."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import msgspec

from synapse import (
    COMMON,
    Argument,
    Call,
    Change,
    Client,
    Command,
    Event,
    Fact,
    Option,
    Owed,
    Reaction,
    Reply,
    Request,
    Route,
    Section,
    change,
    dumps,
    hookimpl,
    query,
    read,
    write,
)
from synapse.errors import BadRequest


class Counted(Fact, frozen=True):
    """Something was counted."""

    kind: ClassVar[str] = "tally.counted"
    name: str = ""
    amount: int = 1
    goal: int = 0


class Told(Fact, frozen=True):
    """A workspace was told that a goal is reached."""

    kind: ClassVar[str] = "tally.told"
    counted: int = 0  # the position of the event that reached it


class Counts:
    """The counts by workspace and name, and whom we owe a word."""

    name = "tally"
    version = 1
    kinds = frozenset({Counted.kind, Told.kind})

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.counts: dict[str, int] = {}
        self.owed: dict[int, str] = {}

    def apply(self, event: Event) -> None:
        if isinstance(event.body, Told):
            self.owed.pop(event.body.counted, None)
        else:
            body = event.body
            before = self.counts.get(event.story, 0)
            after = self.counts[event.story] = before + body.amount
            if before < body.goal <= after:
                self.owed[event.position] = event.story

    def dump(self) -> bytes:
        return msgspec.json.encode((self.counts, self.owed))

    def load(self, state: bytes) -> None:
        self.counts, self.owed = msgspec.json.decode(state, type=tuple[dict[str, int], dict[int, str]])


class History:
    """Who counted what: more than memory should hold."""

    name = "tally"
    version = 1
    kinds = frozenset({Counted.kind})
    schema = ("CREATE TABLE tally_history (position INTEGER PRIMARY KEY, story TEXT, by TEXT, amount INTEGER)",)

    def apply(self, db: Any, event: Event) -> None:
        row = (event.position, event.story, event.by, event.body.amount)
        db.execute("INSERT INTO tally_history VALUES (?, ?, ?, ?)", row)


class CountRequest(Change, kw_only=True):
    name: str
    amount: int = 1
    goal: int = 0


class CountReply(Reply, kw_only=True, omit_defaults=False):
    count: int
    position: int


def story_of(call: Call, name: str) -> str:
    return f"tally:{call.workspace}/{name}"


@change("tally.count")
def count(call: Call, request: CountRequest) -> CountReply:
    """Count something."""
    if not request.name.isidentifier():
        raise BadRequest("bad_name", f"{request.name[:40]!r} cannot be counted: give one word.")
    story = story_of(call, request.name)
    call.emit(Counted(name=request.name, amount=request.amount, goal=request.goal), story)
    return CountReply(count=call.state(Counts).counts.get(story, 0) + request.amount, position=call.reached)


class Nothing(Request, kw_only=True):
    pass


class CountsReply(Reply, kw_only=True, omit_defaults=False):
    counts: dict[str, int]


@read("tally.counts")
def counts(call: Call, request: Nothing) -> CountsReply:
    """All counts of the workspace."""
    place = story_of(call, "")
    found = call.state(Counts).counts
    return CountsReply(counts={story.removeprefix(place): n for story, n in found.items() if story.startswith(place)})


class HistoryRequest(Request, kw_only=True):
    name: str


class HistoryReply(Reply, kw_only=True, omit_defaults=False):
    amounts: list[int]


@query("tally.history", tables=("tally",))
def history(call: Call, request: HistoryRequest) -> Callable[[Any], HistoryReply]:
    """How a count came about, the newest first."""
    story = story_of(call, request.name)

    def fetch(db: Any) -> HistoryReply:
        rows = db.execute("SELECT amount FROM tally_history WHERE story = ? ORDER BY position DESC LIMIT 100", (story,))
        return HistoryReply(amounts=[row[0] for row in rows])

    return fetch


class ToldRequest(Change, kw_only=True):
    counted: int


@change("tally.told", internal=True, anonymous=True)
def told(call: Call, request: ToldRequest) -> CountsReply:
    """Note that nobody is owed a word any more."""
    story = call.state(Counts).owed.get(request.counted)
    if story is not None:
        call.emit(Told(counted=request.counted), story)
    return CountsReply(counts={})


def words_owed(call: Call) -> Iterable[Owed]:
    for position, story in call.state(Counts).owed.items():
        workspace, _, name = story.removeprefix("tally:").partition("/")
        done = Owed("tally.told", {"counted": position})
        text = {"to": f"{workspace}/all", "text": f"The goal of {name} is reached.", "mode": "silent"}
        yield Owed("messages.send", text, str(position), then=done, otherwise=done)


def command(name: str, *, amount: int, as_json: bool, sender: str | None, workspace: str | None, no_start: bool) -> int:
    with Client(sender or "", workspace or "", start=not no_start) as client:
        reply = client.change("tally.count", name=name, amount=amount)
    write(dumps(reply).decode() if as_json else f"{name}: {reply['count']}\n")
    return 0


@hookimpl
def synapse_facts() -> Iterable[type[Fact]]:
    return (Counted, Told)


@hookimpl
def synapse_projections() -> Iterable[Any]:
    return (Counts(),)


@hookimpl
def synapse_tables() -> Iterable[Any]:
    return (History(),)


@hookimpl
def synapse_verbs() -> Iterable[Any]:
    return (count, counts, history, told)


@hookimpl
def synapse_reactions() -> Iterable[Reaction]:
    return (Reaction(frozenset({Counted.kind}), words_owed),)


@hookimpl
def synapse_routes() -> Iterable[Route]:
    return (Route("GET", "/tally", "tally.counts"), Route("POST", "/tally/{name}", "tally.count"))


@hookimpl
def synapse_commands() -> Iterable[Command]:
    return (
        Command(
            "tally",
            command,
            "Count something.",
            Argument("name", help="What."),
            Option("--amount", kind=int, default=1, help="How many."),
            *COMMON,
            example="synapse tally bugs --amount 2",
        ),
    )


@hookimpl
def synapse_sections() -> Iterable[Section]:
    return (Section("Tally", "tally.counts"),)
