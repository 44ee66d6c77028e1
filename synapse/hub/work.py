"""The verbs about tasks: waiting for them, and ending them."""

from msgspec import field

from synapse.errors import NotFound, Refused
from synapse.hub.agents import Agents
from synapse.hub.ending import end_task
from synapse.hub.facts import Canceled, Completed, Failed, InputRequired, Part, Rejected, Resumed, WaitEnded
from synapse.hub.following import goes_on
from synapse.hub.loop import Call
from synapse.hub.messages import check_blob, check_parts, refuse_circle
from synapse.hub.tasks import INTERRUPTED, Task, Tasks
from synapse.verb import Change, Reply, Verb, Wait, change, wait

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
    if not request.failed and goes_on(call, task, text=text, blob=request.blob, parts=request.parts):
        return TaskReply(task_id=task.id, state="working", position=call.reached)
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
    """`auth`: it cannot go on before somebody has logged it in; `command` is what it asks about (else what the agent's
    status says)."""

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
                command=(request.command or _shown(call, request.question))[:2000],
            ),
            task.id,
        )
    return TaskReply(task_id=task.id, state=state, position=call.reached)


def _shown(call: Call, question: str) -> str:
    """What the question is about that stands on the caller's screen, as its runner has reported it before."""
    runner = call.hub.sessions.runner(call.by)
    if runner is None or runner.live.status != "WAITING" or runner.live.question != question:
        return ""
    return runner.live.command


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


VERBS: tuple[Verb, ...] = (wait_for, complete, reject, ask, resume, cancel, stop_waiting)
