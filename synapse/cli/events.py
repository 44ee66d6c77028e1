"""`events tail`, `query`, `export`: the log itself."""

from synapse.cli.command import AS_JSON, COMMON, Argument, Command, Option
from synapse.cli.following import WHOLE, Address, Cursor, Event, Follower, address, address_of, kinds_of
from synapse.cli.table import terminal_width, write
from synapse.cli.wording import Names, line
from synapse.client.blocking import Client
from synapse.client.lines import dumps
from synapse.errors import BadRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 1000  # events of the end that the hub gives at once


def tail(
    *,
    last: int,
    follow: bool,
    after: "str | None",
    kinds: "str | None",
    cursor: "str | None",
    as_json: bool,
    sender: "str | None",
    workspace: "str | None",
    no_start: bool,
) -> int:
    """Print the newest events, or all behind a position; with --follow go on with what happens."""
    if not 0 <= last <= MOST:
        raise BadRequest("bad_number", f"-n: from 0 to {MOST}.")
    kept = Cursor(cursor) if cursor else None
    begin = address(after) if after else kept.read() if kept else None
    follower = Follower(sender or "", workspace or "", start=not no_start, mine=False, kinds=kinds_of(kinds))
    with follower.connect() as client:
        show = Printer(Names(everybody(client)), as_json, kept)
        behind = _newest(client, last, kinds_of(kinds)) if begin is None else _behind(client, begin, kinds_of(kinds))
        for page, reached in behind:
            show.all(page)
            follower.after = (reached, WHOLE)
        if kept is not None and follower.after is not None:
            kept.write(follower.after)
        for event in follower.events(client) if follow else ():
            show.all([event])
    return 0


def everybody(client: Client) -> "list[dict[str, object]]":
    """All participants, for their names."""
    found = client.call("agents.list", workspace="*", all=True).get("agents") or []
    assert isinstance(found, list)
    return found


def _newest(client: Client, last: int, kinds: "tuple[str, ...]") -> "list[tuple[list[Event], int]]":
    """The last events of the log (among the last thousand records), and how far that goes."""
    found, reached = _page(client, last=MOST if kinds else last, kinds=kinds) if last else ([], -1)
    if reached < 0:
        head = client.call("hub.status")["hub"]
        assert isinstance(head, dict)
        reached = head["head"]
    return [(found[-last:] if last else [], reached)]


def _behind(client: Client, begin: Address, kinds: "tuple[str, ...]") -> "Iterator[tuple[list[Event], int]]":
    """Everything behind an address, a page at a time."""
    at = begin[0] if begin[1] == WHOLE else max(0, begin[0] - 1)
    while True:
        found, reached = _page(client, after=at, kinds=kinds)
        yield [event for event in found if address_of(event) > begin], reached
        if reached <= at:
            return
        at = reached


def _page(client: Client, **how: object) -> "tuple[list[Event], int]":
    reply = client.call("events.page", **how)
    found, reached = reply.get("events") or [], reply.get("next", 0)
    assert isinstance(found, list)
    assert isinstance(reached, int)
    return found, reached


class Printer:
    """Writes events on standard output, then the place in the cursor's file."""

    def __init__(self, names: Names, as_json: bool, cursor: "Cursor | None" = None) -> None:
        self._names = names
        self._as_json = as_json
        self._cursor = cursor
        self._width = terminal_width()

    def all(self, events: "list[Event]") -> None:
        """One after the other, then the cursor."""
        if not events:
            return
        write("".join(map(self._line, events)))
        if self._cursor is not None:
            self._cursor.write(address_of(events[-1]))

    def _line(self, event: Event) -> str:
        self._names.learn(event)
        return dumps(event).decode() if self._as_json else line(event, self._names, self._width)


def query(
    *,
    kinds: "str | None",
    agent: "str | None",
    task: "str | None",
    since: "str | None",
    until: "str | None",
    after: "str | None",
    limit: int,
    db: "str | None",
    as_json: bool,
) -> int:
    """Print the events that fit, the oldest first, read from the file itself: no hub is needed."""
    from synapse.cli.offline import Filter, names, opened, read

    if limit < 1:
        raise BadRequest("bad_limit", "--limit: 1 or more.")
    with opened(db) as log:
        wanted = Filter(kinds_of(kinds), agent or "", task or "", since or "", until or "")
        show = Printer(names(log), as_json)
        for event in read(log, address(after) if after else (0, WHOLE), wanted, limit):
            show.all([event])
    return 0


def export(
    file: "str | None", *, kinds: "str | None", after: "str | None", cursor: "str | None", db: "str | None"
) -> int:
    """Write events as NDJSON, read from the file itself; with --cursor those since the last time."""
    from synapse.cli.offline import Filter, opened, read, written

    kept = Cursor(cursor) if cursor else None
    begin = address(after) if after else kept.read() if kept else None
    with opened(db) as log, written(file) as out:
        reached = begin
        for event in read(log, begin or (0, WHOLE), Filter(kinds_of(kinds))):
            out(dumps(event))
            reached = address_of(event)
    if kept is not None and reached is not None:
        kept.write(reached)
    return 0


_KINDS = Option("--kinds", metavar="LIST", help="Only these kinds: tasks.*,messages.sent")
_AFTER = Option("--after", metavar="POSITION", help="Only what lies behind this position of the log.")
_DB = Option("--db", metavar="FILE", help="Another file than synapse.db in the data folder.")
_TAIL = (
    Option("--last", "-n", kind=int, default=20, help="How many of the newest."),
    Option("--follow", "-f", flag=True, help="Go on with what happens, until Ctrl-C, also through a hub's restart."),
    _AFTER,
    _KINDS,
    Option("--cursor", metavar="FILE", help="Keep the place in this file, and go on from there the next time."),
    *COMMON,
)
COMMANDS = (
    Command(
        "events", tail, "The log of everything that happened; alone, the newest events.", *_TAIL,
        example="synapse events -n 50", quick=True,
    ),
    Command(
        "events tail", tail, "The newest events; with --follow those to come.", *_TAIL,
        example="synapse events tail --follow --kinds tasks.*", quick=True,
    ),
    Command(
        "events query", query, "The events that fit, from the log's file; no hub is needed.",
        _KINDS,
        Option("--agent", metavar="NAME", help="Only what this participant did or was party to."),
        Option("--task", metavar="ID", help="Only this task's or message's story."),
        Option("--since", metavar="TIME", help="Not before: 10m, 2h, 3d ago, or 2026-01-31, or '2026-01-31 14:00'."),
        Option("--until", metavar="TIME", help="Not after."), _AFTER,
        Option("--limit", kind=int, default=1000, help="At most so many."), _DB, AS_JSON,
        example="synapse events query --agent codex --since 2h",
    ),
    Command(
        "events export", export, "The events as NDJSON, from the log's file; no hub is needed.",
        Argument("file", help="Where to; else standard output.", required=False),
        _KINDS, _AFTER,
        Option("--cursor", metavar="FILE", help="Only those since the last time; the place is kept in this file."), _DB,
        example="synapse events export events.ndjson",
    ),
)  # fmt: skip
