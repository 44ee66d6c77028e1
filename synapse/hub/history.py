"""History: what was asked of whom, and what came of it; the newest, one, a page of them, all of them."""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

import msgspec
from msgspec import field

from synapse.errors import BadRequest, NotFound
from synapse.hub.agents import Agents
from synapse.hub.facts import Canceled, Completed, Failed, Rejected
from synapse.hub.loop import Call
from synapse.hub.reading import Texts, stored_message
from synapse.hub.tasks import ENDS, INTERRUPTED, Finished, Task, Tasks
from synapse.log.base import Log, Record
from synapse.verb import Reply, Request, Verb, query

STATES = ("submitted", "working", *INTERRUPTED, *ENDS.values())
EXPORTED = 1 << 19  # characters of texts in one page of an export
AT_ONCE = 50  # tasks whose texts are read together
_ENDS = {fact.kind: msgspec.json.Decoder(fact) for fact in (Completed, Failed, Canceled, Rejected)}
_TOKEN = re.compile(r"k[0-9a-f]{1,15}\Z")


class HistoryEntry(Reply, kw_only=True):
    """A task with its request and its answer; times in seconds since 1970."""

    task_id: str
    agent: str
    requester: str
    state: str
    position: int
    at: float
    ended_at: float = 0.0
    text: str = ""
    answer: str = ""
    reason: str = ""
    source: str = ""
    usage: dict[str, int] = field(default_factory=dict)


class HistoryRequest(Request, kw_only=True):
    agent: str = ""
    limit: int = 50


class HistoryReply(Reply, kw_only=True):
    tasks: list[HistoryEntry] = field(default_factory=list)


Row = tuple[str, str, str, str, int, int]  # id, agent, requester, state, position, end


@query("history.list")
def history(call: Call, request: HistoryRequest) -> Callable[[Log], HistoryReply]:
    """The newest tasks, with what was asked and answered."""
    check_limit(request.limit, 1000)
    tasks, agents = call.state(Tasks), call.state(Agents)
    boxes = boxes_of(call, request.agent)
    rows: list[Row] = [
        (t.id, agents.label(t.box), agents.label(t.requester), t.state, t.position, 0)
        for t in reversed(tasks.live.values())
        if not boxes or t.box in boxes
    ]
    once = tasks.once(boxes)
    for id, done in reversed(tasks.finished.items()):
        if len(rows) >= request.limit + len(tasks.live):
            break
        if not boxes or (done.box in once and tasks.owner(done) in boxes):
            rows.append((id, *_who(tasks, agents, done), done.state, done.position, done.end))
    rows = sorted(rows, key=lambda row: row[4])[-request.limit :]
    return lambda log: HistoryReply(tasks=entries(log, rows))


def check_limit(limit: int, most: int) -> None:
    """A number of rows that may be asked for."""
    if not 1 <= limit <= most:
        raise BadRequest("bad_limit", f"limit: from 1 to {most}.")


def boxes_of(call: Call, target: str) -> Collection[str]:
    """The boxes of a target; none for "". A box or a key means itself, and an automatic name that left is found too."""
    agents = call.state(Agents)
    if not target:
        return ()
    if target in agents.boxes or target in agents.gone:
        return (target,)
    past = agents.past(target, call.workspace)
    try:
        return {*past, agents.find(target, call.workspace, call.session.user)[0]}
    except NotFound:
        if not past:
            raise
        return past


class TaskShowRequest(Request, kw_only=True):
    task: str


@query("history.show")
def history_show(call: Call, request: TaskShowRequest) -> Callable[[Log], HistoryEntry]:
    """One task with its request and its answer in full."""
    row = row_of(call, request.task)
    return lambda log: entries(log, [row])[0]


def row_of(call: Call, id: str) -> Row:
    """What memory holds of a task; NotFound."""
    tasks, agents = call.state(Tasks), call.state(Agents)
    found: Task | Finished | None = tasks.live.get(id) or tasks.finished.get(id)
    if found is None:
        raise NotFound("no_such_task", f"There is no task {id[:80]!r}: `synapse history` lists them.")
    end = found.end if isinstance(found, Finished) else 0
    return (id, *_who(tasks, agents, found), found.state, found.position, end)


def _who(tasks: Tasks, agents: Agents, found: Task | Finished) -> tuple[str, str]:
    """What to call whom it was asked of, and who asked."""
    return agents.label(tasks.owner(found)), agents.label(tasks.asker(found))


def entries(log: Log, rows: list[Row]) -> list[HistoryEntry]:
    """The tasks with their texts, read from the log."""
    positions = {row[4] for row in rows} | {row[5] for row in rows if row[5]}
    records = {record.position: record for record in log.at(positions)}
    texts = Texts(log)
    return [_entry(texts, row, records.get(row[4]), records.get(row[5])) for row in rows]


def _entry(texts: Texts, row: Row, first: Record | None, last: Record | None) -> HistoryEntry:
    id, agent, requester, state, position, _ = row
    asked = stored_message(texts, first, id)
    entry = HistoryEntry(
        task_id=id,
        agent=agent,
        requester=requester,
        state=state,
        position=position,
        at=first.at if first else 0.0,
        text=asked.text if asked else "",
    )
    for event in last.events if last is not None else ():
        if event.story == id and event.kind in _ENDS and event.body != b"{}":
            assert last is not None
            end = _ENDS[event.kind].decode(event.body)
            entry.answer, entry.source = texts.full(end.text, end.blob), end.source
            entry.reason, entry.ended_at = getattr(end, "reason", ""), last.at
            entry.usage = end.usage
    return entry


# -- a page of them, by the time of their state


class Where:
    """Conditions on tasks and their values, for questions to `tasks_all AS t`."""

    def __init__(self, call: Call, agent: str = "", workspace: str = "") -> None:
        self._sql: list[str] = []
        self.values: list[Any] = []
        boxes = boxes_of(call, agent)
        if boxes:
            self.add(f"t.box IN ({', '.join('?' * len(boxes))})", *boxes)
        if workspace:
            self.add("t.workspace = ?", workspace)

    def add(self, sql: str, *values: Any) -> None:
        self._sql.append(sql)
        self.values += values

    def __str__(self) -> str:
        return " AND ".join(self._sql) or "1"


class PageRequest(Request, kw_only=True):
    """`state` is a task's state, `since` a time of its last change, in seconds since 1970; `token` the `next` of the page
    before, with the same conditions."""

    agent: str = ""
    context: str = ""
    state: str = ""
    since: float = 0.0
    limit: int = 50
    token: str = ""
    workspace: str = ""


class PageRow(Reply, kw_only=True, omit_defaults=False):
    """A task and when it came to its state."""

    id: str
    state: str
    context: str
    status_at: float


class PageReply(Reply, kw_only=True, omit_defaults=False):
    """`next` is the token of the page behind this one, "" at the end; `total` counts the tasks on all pages."""

    tasks: list[PageRow]
    next: str
    total: int


@query("tasks.page", tables=("tasks",))
def page(call: Call, request: PageRequest) -> Callable[[Any], PageReply]:
    """Tasks by the time of their last change, the newest first; what changes meanwhile moves before the first page."""
    check_limit(request.limit, 100)
    if request.state and request.state not in STATES:
        raise BadRequest("bad_state", f"A state is {', '.join(STATES)}, not {request.state[:40]!r}.")
    before, where = address_of(request.token), Where(call, request.agent, request.workspace)
    for column, value in (("context", request.context), ("state", request.state)):
        if value:
            where.add(f"t.{column} = ?", value)
    if request.state and request.state not in ENDS.values():
        where.add("t.end = 0")  # of these there are few: an index has them
    if request.since:
        where.add("t.status_at >= ?", request.since)

    def fetch(db: Any) -> PageReply:
        [[total]] = db.execute(f"SELECT count(*) FROM tasks_all t WHERE {where}", where.values).fetchall()
        behind = " AND t.changed < ?" if before else ""
        rows = db.execute(
            f"SELECT t.task, t.state, t.context, t.status_at, t.changed FROM tasks_all t WHERE {where}{behind}"
            " ORDER BY t.changed DESC LIMIT ?",
            (*where.values, *([before] if before else []), request.limit + 1),
        ).fetchall()
        more = len(rows) > request.limit
        rows = rows[: request.limit]
        return PageReply(
            tasks=[PageRow(id=id, state=state, context=context, status_at=at) for id, state, context, at, _ in rows],
            next=token(rows[-1][4]) if more else "",
            total=total,
        )

    return fetch


def token(address: int) -> str:
    """How a place in an order of tasks is named to a client."""
    return f"k{address:x}"


def address_of(token: str) -> int:
    """The place that a token names, 0 for none; BadRequest for what is no token."""
    if token and not _TOKEN.match(token):
        raise BadRequest("bad_token", f"{token[:40]!r} is no token of a page: begin again without one.")
    return int(token[1:], 16) if token else 0


# -- all of them


class ExportRequest(Request, kw_only=True):
    """`since` and `until` are times of submission, in seconds since 1970 (0: no bound); `token` is the `next` of the page
    before. A page ends early where its texts are long."""

    agent: str = ""
    since: float = 0.0
    until: float = 0.0
    limit: int = 200
    token: str = ""
    workspace: str = ""


class ExportReply(Reply, kw_only=True, omit_defaults=False):
    """`next` is the token of the page behind this one, "" at the end."""

    tasks: list[HistoryEntry]
    next: str


@query("history.export", tables=("tasks",))
def export(call: Call, request: ExportRequest) -> Callable[[Any], ExportReply]:
    """All tasks with their texts in full, in the order in which they were asked, a page at a time."""
    check_limit(request.limit, 1000)
    after, where, log = address_of(request.token), Where(call, request.agent, request.workspace), call.hub.log
    if request.since:
        where.add("t.submitted_at >= ?", request.since)
    if request.until:
        where.add("t.submitted_at < ?", request.until)
    where.add("t.id > ?", after)
    label = call.state(Agents).label  # dictionaries are read: from any thread

    def fetch(db: Any) -> ExportReply:
        rows = db.execute(
            f"SELECT t.id, t.task, t.box, t.requester, t.state, t.end FROM tasks_all t WHERE {where} ORDER BY t.id LIMIT ?",
            (*where.values, request.limit + 1),
        ).fetchall()
        named = [(id, (task, label(box), label(by), state, id >> 10, end)) for id, task, box, by, state, end in rows]
        found = list(_until_full(log, named[: request.limit]))
        last = found[-1][0] if found else 0
        return ExportReply(tasks=[one for _, one in found], next=token(last) if rows and last < rows[-1][0] else "")

    return fetch


def _until_full(log: Log, rows: list[tuple[int, Row]]) -> Iterator[tuple[int, HistoryEntry]]:
    """The tasks with their texts, at least one, as long as they fit into a page."""
    size = 0
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        for (id, _), one in zip(some, entries(log, [row for _, row in some]), strict=True):
            length = len(one.text) + len(one.answer)
            if size and size + length > EXPORTED:
                return
            size += length
            yield id, one


VERBS: tuple[Verb, ...] = (history, history_show, page, export)
