"""The verbs about tasks: waiting for them, ending them, and their history."""

from collections.abc import Callable, Collection

import msgspec
from msgspec import field

from synapse.errors import BadRequest, NotFound, Refused
from synapse.hub.agents import Agents
from synapse.hub.ending import end_task
from synapse.hub.facts import Canceled, Completed, Failed, InputRequired, Part, Rejected, Resumed, WaitEnded
from synapse.hub.loop import Call
from synapse.hub.messages import check_blob, check_parts, refuse_circle
from synapse.hub.reading import Texts, stored_message
from synapse.hub.tasks import INTERRUPTED, Finished, Task, Tasks
from synapse.log.base import Log, Record
from synapse.verb import Change, Reply, Request, Verb, Wait, change, query, wait

_ENDS = {fact.kind: msgspec.json.Decoder(fact) for fact in (Completed, Failed, Canceled, Rejected)}
INTERRUPT = b'{"jsonrpc":"2.0","method":"interrupt","params":{}}'
MISSING = "MISSING_REPLY"
LONGEST = 2000  # characters of what is said with a state


class TaskReply(Reply, kw_only=True):
    task_id: str
    state: str
    position: int
    question: str = ""
    choices: tuple[str, ...] = ()


class TaskWaitRequest(Wait, kw_only=True):
    """`any_change` also answers when the task needs input."""

    task: str
    any_change: bool = False


@wait("tasks.wait", watches=lambda call, request: (request.task,))
def wait_for(call: Call, request: TaskWaitRequest) -> TaskReply | None:
    """Wait until a task has ended."""
    tasks = call.state(Tasks)
    task = tasks.live.get(request.task)
    if task is None:
        ended = tasks.finished.get(request.task)
        if ended is None:
            raise NotFound("no_such_task", f"There is no task {request.task[:80]!r}: `synapse history` lists them.")
        return TaskReply(task_id=request.task, state=ended.state, position=ended.end)
    me = call.state(Agents).get(call.by)
    if me is not None and me.wrapped and not task.blocking:
        refuse_circle(call, me.box, task.box)
    call.hub.waited[request.task] = call.hub.clock.monotonic()
    if request.any_change and task.interrupted:
        return _reply(task, call.hub.head)
    return None


def _reply(task: Task, position: int) -> TaskReply:
    return TaskReply(task_id=task.id, state=task.state, position=position, question=task.question, choices=task.choices)


class CompleteRequest(Change, kw_only=True):
    """`source` says how the answer was found: `signal`, `record`, `screen` or `none`; `usage` counts tokens by kind.

    `parts` belong to the answer beside its text, `note` is said with the state; `direct`: the answer is a message.
    """

    task: str
    text: str = ""
    blob: str = ""
    source: str = "screen"
    failed: bool = False
    reason: str = ""
    usage: dict[str, int] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    note: str = ""
    direct: bool = False


@change("tasks.complete", spill="text")
def complete(call: Call, request: CompleteRequest) -> TaskReply:
    """A runner hands in the answer that its agent gave for a task."""
    check_blob(request.blob)
    check_parts(request.parts)
    task = _in_my_hands(call, request.task)
    said = request.text.strip() or request.blob or request.parts or request.note
    text = request.text if said else MISSING
    usage = {name[:40]: max(0, count) for name, count in list(request.usage.items())[:20]}
    if request.failed:
        end_task(
            call, task, Failed, text=text, blob=request.blob, source=request.source, usage=usage,
            reason=request.reason or "agent",
        )  # fmt: skip
    else:
        end_task(
            call, task, Completed, text=text, blob=request.blob, source=request.source, usage=usage,
            parts=request.parts, note=request.note[:LONGEST], direct=request.direct,
        )  # fmt: skip
    return TaskReply(task_id=task.id, state="failed" if request.failed else "completed", position=call.reached)


def _in_my_hands(call: Call, id: str) -> Task:
    task = call.state(Tasks).get(id)
    if task.agent != call.by:
        raise Refused("not_yours", f"Task {id} is not in your terminal.")
    return task


class AskRequest(Change, kw_only=True):
    """`auth`: it cannot go on before somebody has logged it in; `command` is what it asks about."""

    task: str
    question: str = ""
    choices: tuple[str, ...] = ()
    auth: bool = False
    command: str = ""


@change("tasks.ask")
def ask(call: Call, request: AskRequest) -> TaskReply:
    """A runner reports that its agent waits for a choice."""
    task = _in_my_hands(call, request.task)
    state = INTERRUPTED[request.auth]
    if (task.question, task.choices, task.state) != (request.question, request.choices, state):
        call.emit(
            InputRequired(
                task=task.id,
                box=task.box,
                requester=task.requester,
                question=request.question[:2000],
                choices=tuple(choice[:500] for choice in request.choices[:20]),
                auth=request.auth,
                command=request.command[:2000],
            ),
            task.id,
        )
    return TaskReply(task_id=task.id, state=state, position=call.reached)


class TaskRequest(Change, kw_only=True):
    task: str
    reason: str = ""


@change("tasks.reject")
def reject(call: Call, request: TaskRequest) -> TaskReply:
    """An agent will not do what was asked of it."""
    task = _in_my_hands(call, request.task)
    end_task(call, task, Rejected, text=request.reason or "It was rejected.", reason="agent", source="reply")
    return TaskReply(task_id=task.id, state="rejected", position=call.reached)


@change("tasks.resume")
def resume(call: Call, request: TaskRequest) -> TaskReply:
    """A runner reports that the choice was made."""
    task = _in_my_hands(call, request.task)
    if task.interrupted:
        call.emit(Resumed(task=task.id, box=task.box, requester=task.requester), task.id)
    return TaskReply(task_id=task.id, state="working", position=call.reached)


@change("tasks.cancel")
def cancel(call: Call, request: TaskRequest) -> TaskReply:
    """Call a task off: taken out of the queue, or interrupted in the terminal (which its runner reports so)."""
    task = call.state(Tasks).get(request.task)
    interrupted = bool(call.by) and task.agent == call.by
    asked_for = task.requester == call.state(Agents).box_of(call.session)
    if not (interrupted or asked_for or call.session.admin):
        raise Refused("not_yours", "Only who asked for a task, or a person, calls it off.")
    reason = "interrupted" if interrupted else "canceled"
    end_task(call, task, Canceled, text=request.reason or "It was called off.", source="hub", reason=reason)
    runner = call.hub.sessions.runner(task.agent) if task.agent and not interrupted else None
    if runner is not None:  # what it works on is wanted no more: told when that is stored
        call.hub.outbox.tell(call.position, lambda position, what: runner.push(what), INTERRUPT)
    return TaskReply(task_id=task.id, state="canceled", position=call.reached)


@change("tasks.stop_waiting")
def stop_waiting(call: Call, request: TaskRequest) -> TaskReply:
    """Wait no longer for a task: its answer will come as a message."""
    task = call.state(Tasks).get(request.task)
    if task.requester != call.state(Agents).box_of(call.session):
        raise Refused("not_yours", "You did not ask for this task.")
    if task.mode == "wait":
        call.emit(WaitEnded(task=task.id, box=task.box, requester=task.requester), task.id)
    return TaskReply(task_id=task.id, state=task.state, position=call.reached)


# -- history


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


VERBS: tuple[Verb, ...] = (wait_for, complete, reject, ask, resume, cancel, stop_waiting, history, history_show)
