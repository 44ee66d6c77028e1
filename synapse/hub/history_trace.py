"""Tracing: everything that happened because of one task, in order."""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import field

from synapse.event import Event
from synapse.hub.agents import Agents
from synapse.hub.facts import CORE
from synapse.hub.history import HistoryEntry, entries, row_of
from synapse.hub.loop import Call, Hub
from synapse.hub.recovery import events_of
from synapse.hub.tasks import DEEPEST
from synapse.log.base import Log, Record
from synapse.verb import Reply, Request, Verb, query

MOST = 1000  # events of one answer
CHILDREN = 200
LOOKED_AT = 20_000  # records of plugins' events that are searched for the task's name
_CORE = frozenset(fact.kind for fact in CORE)


class TraceRequest(Request, kw_only=True):
    task: str


class Relative(Reply, kw_only=True, omit_defaults=False):
    """A task above or below the one that is traced; `parent` is whose it was asked for."""

    task_id: str
    parent: str
    agent: str
    requester: str
    state: str
    at: float
    ended_at: float


class TraceReply(Reply, kw_only=True, omit_defaults=False):
    """`parents` begins with the task for which this one was asked; `events` are those of the task, of the tasks below it,
    of their messages and answered prompts, and those of plugins that name one of them. `more`: there are more events."""

    task: HistoryEntry
    context: str
    workspace: str
    parents: list[Relative] = field(default_factory=list)
    children: list[Relative] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    more: bool = False


_ROW = "SELECT task, parent, box, requester, state, submitted_at, ended_at FROM tasks_all WHERE "
_BELOW = (
    "WITH RECURSIVE below(task) AS (SELECT task FROM tasks_all WHERE parent = ?1 UNION SELECT t.task FROM tasks_all t"
    f" JOIN below b ON t.parent = b.task) {_ROW} task IN (SELECT task FROM below) ORDER BY id LIMIT ?2"
)


@query("history.trace", tables=("tasks",))
def trace(call: Call, request: TraceRequest) -> Callable[[Any], TraceReply]:
    """One task with everything that belongs to it: messages, prompts, the tasks above and below, plugins' events."""
    row, hub, log, label = row_of(call, request.task), call.hub, call.hub.log, call.state(Agents).label

    def relative(found: Any) -> Relative:
        task, parent, box, requester, state, at, ended = found
        return Relative(
            task_id=task,
            parent=parent,
            agent=label(box),
            requester=label(requester),
            state=state,
            at=at,
            ended_at=ended,
        )

    def fetch(db: Any) -> TraceReply:
        [[context, workspace, parent]] = db.execute(
            "SELECT context, workspace, parent FROM tasks_all WHERE task = ?", (request.task,)
        ).fetchall()
        parents: list[Relative] = []
        while parent and len(parents) < DEEPEST:
            above = db.execute(f"{_ROW} task = ?", (parent,)).fetchall()
            parents += map(relative, above)
            parent = above[0][1] if above else ""
        children = [relative(each) for each in db.execute(_BELOW, (request.task, CHILDREN)).fetchall()]
        tasks = [request.task, *(child.task_id for child in children)]
        stories = dict.fromkeys(tasks)
        for task in tasks:
            stories |= dict.fromkeys(
                story for (story,) in db.execute("SELECT story FROM tasks_stories WHERE task = ?", (task,)).fetchall()
            )
        events = _events(hub, log, stories) | _of_plugins(hub, log, row[4], (*tasks, context))
        ordered = [events[place] for place in sorted(events)]
        return TraceReply(
            task=entries(log, [row])[0], context=context, workspace=workspace, parents=parents, children=children,
            events=ordered[:MOST], more=len(ordered) > MOST,
        )  # fmt: skip

    return fetch


_Events = dict[tuple[int, int], Event]


def _events(hub: Hub, log: Log, stories: Iterable[str]) -> _Events:
    """The events of some stories by their address, until there are too many."""
    found: _Events = {}
    for story in stories:
        found |= _placed(hub, log.story(story))
        if len(found) > MOST:
            break
    return found


def _of_plugins(hub: Hub, log: Log, position: int, names: tuple[str, ...]) -> _Events:
    """Events of plugins behind a position whose story or body names one of these."""
    kinds = {fact.kind for fact in hub.kinds} - _CORE
    wanted = [name.encode() for name in names]
    found: _Events = {}
    for record in log.read(position - 1, kinds=kinds, limit=LOOKED_AT) if kinds else ():
        naming = {index for index, each in record.numbered() if _names(each.story.encode() + each.body, wanted)}
        found |= {place: event for place, event in _placed(hub, [record]).items() if place[1] in naming}
    return found


def _names(text: bytes, wanted: list[bytes]) -> bool:
    return any(name in text for name in wanted)


def _placed(hub: Hub, records: Iterable[Record]) -> _Events:
    return {(event.position, event.index): event for record in records for event in events_of(hub, record)}


VERBS: tuple[Verb, ...] = (trace,)
