"""History: what was asked of whom, and what came of it."""

from collections.abc import Callable, Collection

import msgspec
from msgspec import field

from synapse.errors import BadRequest, NotFound
from synapse.hub.agents import Agents
from synapse.hub.facts import Canceled, Completed, Failed, Rejected
from synapse.hub.loop import Call
from synapse.hub.reading import Texts, stored_message
from synapse.hub.tasks import Finished, Task, Tasks
from synapse.log.base import Log, Record
from synapse.verb import Reply, Request, Verb, query

_ENDS = {fact.kind: msgspec.json.Decoder(fact) for fact in (Completed, Failed, Canceled, Rejected)}


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
    if not 1 <= request.limit <= 1000:
        raise BadRequest("bad_limit", "limit: from 1 to 1000.")
    tasks, agents = call.state(Tasks), call.state(Agents)
    boxes = _boxes(agents, request.agent, call) if request.agent else ()
    rows: list[Row] = [
        (t.id, agents.label(t.box), agents.label(t.requester), t.state, t.position, 0)
        for t in reversed(tasks.live.values())
        if not boxes or t.box in boxes
    ]
    for id, done in reversed(tasks.finished.items()):
        if len(rows) >= request.limit + len(tasks.live):
            break
        if not boxes or done.box in boxes:
            rows.append((id, agents.label(done.box), agents.label(done.requester), done.state, done.position, done.end))
    rows = sorted(rows, key=lambda row: row[4])[-request.limit :]
    return lambda log: HistoryReply(tasks=_entries(log, rows))


def _boxes(agents: Agents, target: str, call: Call) -> Collection[str]:
    """The boxes of a target; an automatic name that left is found by its key, id or name."""
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
    tasks, agents = call.state(Tasks), call.state(Agents)
    found: Task | Finished | None = tasks.live.get(request.task) or tasks.finished.get(request.task)
    if found is None:
        raise NotFound("no_such_task", f"There is no task {request.task[:80]!r}: `synapse history` lists them.")
    end = found.end if isinstance(found, Finished) else 0
    row = (request.task, agents.label(found.box), agents.label(found.requester), found.state, found.position, end)
    return lambda log: _entries(log, [row])[0]


def _entries(log: Log, rows: list[Row]) -> list[HistoryEntry]:
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


VERBS: tuple[Verb, ...] = (history, history_show)
