"""Messages: sending, replying, and the reports of those who deliver them."""

from collections.abc import Callable, Sequence

from msgspec import field

from synapse import ids
from synapse.errors import BadRequest, NotFound, Refused
from synapse.hub.agents import Agent, Agents
from synapse.hub.ending import answer_requester, end_task
from synapse.hub.facts import (
    Acknowledged,
    Canceled,
    Completed,
    Delivered,
    Failed,
    OutcomeUnknown,
    Read,
    Returned,
    Sent,
    Submitted,
    Typing,
    Working,
)
from synapse.hub.loop import Call
from synapse.hub.mailbox import TYPING, Mailbox, Message
from synapse.hub.reading import Stored, box_names, stored_message
from synapse.hub.tasks import DEEPEST, Tasks
from synapse.log.base import Log, Record
from synapse.verb import Change, Reply, Request, Verb, Wait, change, query, wait

MODES = ("notify", "wait", "silent")


class SendRequest(Change, kw_only=True):
    """`to` is a name, id, profile, `workspace/name`, a comma list, a glob or `all`; `mode` is notify, wait or silent."""

    to: str
    text: str = ""
    blob: str = ""
    priority: int = 3
    mode: str = "notify"
    reply_to: str = ""


class SendReply(Reply, kw_only=True):
    """`task_id` is "" for a message that asks no work; `tasks` lists one id per addressee where there are several."""

    id: str
    position: int
    task_id: str = ""
    to: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


@change("messages.send", spill="text")
def send(call: Call, request: SendRequest) -> SendReply:
    """Send a message: work to one agent (or each of a list), a note to many."""
    _check(request)
    agents = call.state(Agents)
    if any(sign in request.to for sign in "*?[") or request.to == "all" or request.to.endswith("/all"):
        return _broadcast(call, request)
    author = agents.get(call.by)
    person = call.session.user
    found = [agents.find(target.strip(), call.workspace, person) for target in request.to.split(",")]
    if len(found) > 16:
        raise BadRequest("too_many", f"{len(found)} addressees: up to 16 by name; use a glob for more.")
    sent = [_send_one(call, request, author, box, agent) for box, agent in dict(found).items()]
    tasks = tuple(id for id in sent if request.mode != "silent")
    names = tuple(agent.name if agent else agents.label(box) for box, agent in found)
    return SendReply(
        id=sent[0],
        position=call.position,
        task_id=tasks[0] if tasks else "",
        to=names,
        tasks=tasks if len(tasks) > 1 else (),
    )


def _check(request: SendRequest) -> None:
    if not request.text.strip() and not request.blob:
        raise BadRequest("no_text", "There is nothing to send: give a text, --message-file, or --stdin.")
    if not 1 <= request.priority <= 5:
        raise BadRequest("bad_priority", f"Priority {request.priority}: use 1 (low) to 5 (interrupts first).")
    if request.mode not in MODES:
        raise BadRequest("bad_mode", f"Mode {request.mode[:20]!r}: use notify, wait or silent.")


def _send_one(call: Call, request: SendRequest, author: Agent | None, box: str, agent: Agent | None) -> str:
    tasks = call.state(Tasks)
    sender = author.box if author else call.by
    if box == sender and author is not None and author.wrapped:
        raise Refused("to_yourself", "That is you: a message to yourself would wait for you to be idle.")
    id = "t-" + ids.ulid(call.at) if request.mode != "silent" else "m-" + ids.ulid(call.at)
    role = "note" if request.mode == "silent" else "task"
    if role == "task":
        if author is not None and author.wrapped:
            call.hub.limits.pair(sender, box)
        parent = tasks.current(call.by)
        depth = parent.depth + 1 if parent else 1
        if depth > DEEPEST:
            raise Refused("too_deep", f"This would be the {depth}th task in a row asked within a task: answer instead.")
        blocking = request.mode == "wait" and author is not None and author.wrapped
        if blocking:
            refuse_circle(call, sender, box)
        call.emit(
            Submitted(
                task=id,
                box=box,
                requester=sender,
                mode=request.mode,
                blocking=blocking,
                depth=depth,
                parent=parent.id if parent else "",
            ),
            id,
        )
    call.emit(
        Sent(
            id=id,
            to=(box,),
            sender=sender,
            role=role,
            task=id if role == "task" else "",
            text=request.text,
            blob=request.blob,
            priority=request.priority,
            name=author.name if author and author.chosen else "",
            agent_id=author.id if author else "",
            reply_expected=role == "task",
            reply_to=request.reply_to,
        ),
        id,
    )
    return id


def refuse_circle(call: Call, requester: str, box: str) -> None:
    """Refuse a wait that could never end, and show the circle."""
    circle = call.state(Tasks).circle(requester, box)
    if circle:
        agents = call.state(Agents)
        shown = " -> ".join(agents.label(b) for b in circle)
        raise Refused(
            "circular_wait",
            f"Waiting would close a circle: {shown}. Send with --notify: the answer then comes as a message.",
            circle=[agents.label(b) for b in circle],
        )


def _broadcast(call: Call, request: SendRequest) -> SendReply:
    agents = call.state(Agents)
    author = agents.get(call.by)
    place, _, pattern = request.to.rpartition("/")
    workspace = place if pattern == "all" and place else call.workspace
    matched = agents.match("all" if pattern == "all" else request.to, workspace)
    others = [agent for agent in matched if agent.key != call.by]
    if not others:
        raise NotFound("nobody", f"Nobody else matches '{request.to}' now. `synapse who` shows who is here.")
    id = "m-" + ids.ulid(call.at)
    call.emit(
        Sent(
            id=id,
            to=tuple(agent.box for agent in others),
            sender=author.box if author else call.by,
            role="note",
            text=request.text,
            blob=request.blob,
            priority=request.priority,
            name=author.name if author and author.chosen else "",
            agent_id=author.id if author else "",
        ),
        id,
    )
    return SendReply(id=id, position=call.position, to=tuple(agent.name for agent in others))


class ReplyRequest(Change, kw_only=True):
    """`to` is a task's id; without it, the task that is now in the caller's terminal (or its only one)."""

    text: str = ""
    blob: str = ""
    to: str = ""
    fail: str = ""


class ReplyReply(Reply, kw_only=True):
    task_id: str
    position: int
    state: str


@change("messages.reply", spill="text")
def reply(call: Call, request: ReplyRequest) -> ReplyReply:
    """Answer a task: the one in the caller's terminal, or the one named."""
    tasks, agents = call.state(Tasks), call.state(Agents)
    me = agents.get(call.by)
    box = me.box if me else call.by
    task = tasks.get(request.to) if request.to else tasks.current(call.by)
    if task is None:
        mine = tasks.of(box)
        if len(mine) != 1:
            listed = "".join(f"\n  synapse reply --to {t.id} ..." for t in mine[:10])
            raise NotFound(
                "no_task", f"You have {'several tasks: say which' if mine else 'no task to answer'}.{listed}"
            )
        task = mine[0]
    if task.box != box:
        raise Refused("not_yours", f"Task {task.id} was asked of {agents.label(task.box)}, not of you.")
    if not (request.text.strip() or request.blob or request.fail):
        raise BadRequest("no_text", "There is nothing to answer: give a text, or --fail REASON.")
    if request.fail:
        end_task(
            call, task, Failed, text=request.text or request.fail, blob=request.blob, reason="agent", source="reply"
        )
    else:
        end_task(call, task, Completed, text=request.text, blob=request.blob, source="reply")
    return ReplyReply(task_id=task.id, position=call.position, state="failed" if request.fail else "completed")


# -- the reports of a runner


class MessageRequest(Change, kw_only=True):
    id: str
    reason: str = ""


class MessageReply(Reply, kw_only=True):
    id: str
    position: int
    state: str


def _mine(call: Call, id: str, *states: str) -> tuple[Agent, Message]:
    me = call.state(Agents).get(call.by)
    if me is None:
        raise NotFound("not_joined", "You are not a participant here.")
    message = call.state(Mailbox).get(me.box, id)
    if message is None:
        raise NotFound("no_such_message", f"There is no message {id[:80]!r} in your box (any more).")
    if states and message.state not in states:
        raise Refused("wrong_state", f"Message {id} is {message.state}.")
    return me, message


@change("messages.typing")
def typing(call: Call, request: MessageRequest) -> MessageReply:
    """A runner is about to type the message: from here on it is never typed again."""
    me, message = _mine(call, request.id, "queued")
    tasks = call.state(Tasks)
    current = tasks.current(call.by)
    if current is not None and message.priority < 5:
        raise Refused("busy", f"Task {current.id} is in the terminal: one at a time.")
    call.emit(Typing(id=message.id, box=me.box, sender=message.sender, agent=call.by), message.id)
    return MessageReply(id=message.id, position=call.position, state=TYPING)


@change("messages.returned")
def returned(call: Call, request: MessageRequest) -> MessageReply:
    """A runner has not typed the message after all: it goes back to the queue."""
    me, message = _mine(call, request.id, TYPING)
    call.emit(Returned(id=message.id, box=me.box, sender=message.sender, reason=request.reason), message.id)
    return MessageReply(id=message.id, position=call.position, state="queued")


@change("messages.delivered")
def delivered(call: Call, request: MessageRequest) -> MessageReply:
    """A runner has typed the message and seen it submitted; its task is now the one in the terminal."""
    me, message = _mine(call, request.id, TYPING)
    tasks = call.state(Tasks)
    current = tasks.current(call.by)
    if current is not None and current.id != message.task:
        end_task(call, current, Canceled, text="It was interrupted.", reason="interrupted", source="hub")
    call.emit(Delivered(id=message.id, box=me.box, sender=message.sender), message.id)
    task = tasks.live.get(message.task)
    if task is not None:
        call.emit(Working(task=task.id, box=task.box, requester=task.requester, agent=call.by), task.id)
    return MessageReply(id=message.id, position=call.position, state="delivered")


@change("messages.unknown")
def unknown(call: Call, request: MessageRequest) -> MessageReply:
    """A runner cannot say whether the message was submitted: its sender is told, and it is not typed again."""
    me, message = _mine(call, request.id, TYPING)
    reason = request.reason or "the terminal did not show whether it was submitted"
    call.emit(OutcomeUnknown(id=message.id, box=me.box, sender=message.sender, reason=reason), message.id)
    task = call.state(Tasks).live.get(message.task)
    if task is not None:
        end_task(call, task, Failed, text=f"Outcome unknown: {reason}.", reason="outcome_unknown", source="hub")
    else:
        answer_requester(call, message.sender, f"Outcome unknown: {reason}.", message.id, role="notification")
    return MessageReply(id=message.id, position=call.position, state="unknown")


# -- the inbox


class InboxRequest(Request, kw_only=True):
    """`which` is inbox, dead (what could not be delivered) or sent (what waits elsewhere)."""

    which: str = "inbox"
    limit: int = 100


class InboxEntry(Reply, kw_only=True):
    id: str
    position: int
    at: float
    sender: str
    to: str
    role: str
    state: str
    priority: int = 3
    task_id: str = ""
    text: str = ""
    reason: str = ""


class InboxReply(Reply, kw_only=True):
    messages: list[InboxEntry] = field(default_factory=list)


@query("messages.inbox")
def inbox(call: Call, request: InboxRequest) -> Callable[[Log], InboxReply]:
    """What lies in your box, what of yours waits in others', or what could not be delivered."""
    agents, mailbox = call.state(Agents), call.state(Mailbox)
    me = agents.get(call.by)
    box = me.box if me else call.by
    chosen: list[tuple[str, str, str, int, str, str]] = []
    if request.which == "inbox":
        chosen = [(m.id, m.box, m.sender, m.position, m.state, "") for m in mailbox.of(box)]
    elif request.which == "sent":
        chosen = [(m.id, m.box, m.sender, m.position, m.state, "") for m in mailbox if m.sender == box]
    elif request.which == "dead":
        dead = [d for d in mailbox.dead if box in (d.sender, d.box)]
        chosen = [(d.id, d.box, d.sender, d.position, "dead", d.reason) for d in dead]
    else:
        raise BadRequest("bad_choice", f"{request.which[:20]!r}: use inbox, sent or dead.")
    chosen = chosen[-max(1, min(request.limit, 1000)) :]
    names = box_names(agents, [box for row in chosen for box in row[1:3]])

    def fetch(log: Log) -> InboxReply:
        records = {record.position: record for record in log.at({row[3] for row in chosen})}
        entries = []
        for id, to, sender, position, state, reason in chosen:
            stored = stored_message(log, records.get(position), id)
            if stored is not None:
                entries.append(_entry(stored, names[to], names[sender], state, reason))
        return InboxReply(messages=entries)

    return fetch


def _entry(stored: Stored, to: str, sender: str, state: str, reason: str = "") -> InboxEntry:
    sent = stored.sent
    return InboxEntry(
        id=sent.id,
        position=stored.position,
        at=stored.at,
        sender=sender,
        to=to,
        role=sent.role,
        state=state,
        priority=sent.priority,
        task_id=sent.task,
        text=stored.text,
        reason=reason,
    )


@change("messages.read")
def mark_read(call: Call, request: MessageRequest) -> MessageReply:
    """Say that you have read a message; a task is then in your hands."""
    me, message = _mine(call, request.id)
    if message.state == "queued":
        call.emit(Read(id=message.id, box=me.box, sender=message.sender), message.id)
        task = call.state(Tasks).live.get(message.task)
        if task is not None and not me.wrapped:
            call.emit(Working(task=task.id, box=task.box, requester=task.requester, agent=call.by), task.id)
    return MessageReply(id=message.id, position=call.position, state="read")


@change("messages.ack")
def acknowledge(call: Call, request: MessageRequest) -> MessageReply:
    """Say that you are done with a message: it leaves your inbox."""
    me, message = _mine(call, request.id, "queued", "read")
    task = call.state(Tasks).live.get(message.task)
    if task is not None:
        raise Refused("unanswered", f"Task {task.id} wants an answer: `synapse reply --to {task.id} ...` (or --fail).")
    call.emit(Acknowledged(id=message.id, box=me.box, sender=message.sender), message.id)
    return MessageReply(id=message.id, position=call.position, state="acknowledged")


class NextRequest(Wait, kw_only=True):
    """`after`: only messages stored at a later position."""

    after: int = 0


class NextReply(Reply, kw_only=True):
    ids: tuple[str, ...] = ()
    position: int = 0


def _my_box(call: Call) -> str:
    me = call.state(Agents).get(call.by)
    return me.box if me else call.by


@wait("messages.next", watches=lambda call, request: (_my_box(call),))
def next_message(call: Call, request: NextRequest) -> NextReply | None:
    """Wait for a message in your box that you have not read."""
    unread = [m for m in call.state(Mailbox).of(_my_box(call)) if m.state == "queued" and m.position > request.after]
    if not unread:
        return None
    return NextReply(ids=tuple(m.id for m in unread), position=unread[-1].position)


class ShowRequest(Request, kw_only=True):
    id: str


@query("messages.show")
def show(call: Call, request: ShowRequest) -> Callable[[Log], InboxEntry]:
    """One message with its text and what became of it."""
    agents = call.state(Agents)
    session = call.session
    me = _my_box(call)

    def fetch(log: Log) -> InboxEntry:
        records = log.story(request.id)
        for record in records:
            stored = stored_message(log, record, request.id)
            if stored is not None:
                parties = (*stored.sent.to, stored.sent.sender)
                if me not in parties and not session.admin:
                    break
                state = last_state(records)
                return _entry(
                    stored, ", ".join(agents.label(b) for b in stored.sent.to), agents.label(stored.sent.sender), state
                )
        raise NotFound("no_such_message", f"There is no message {request.id[:80]!r}.")

    return fetch


def last_state(records: Sequence[Record]) -> str:
    """The newest state that a message's own events tell."""
    words = {
        "messages.sent": "queued",
        "messages.typing": "typing",
        "messages.returned": "queued",
        "messages.delivered": "delivered",
        "messages.outcome_unknown": "unknown",
        "messages.read": "read",
        "messages.acknowledged": "acknowledged",
        "messages.dead_lettered": "dead",
        "tasks.completed": "answered",
        "tasks.failed": "failed",
        "tasks.canceled": "canceled",
        "tasks.rejected": "rejected",
    }
    state = "queued"
    for record in records:
        for event in record.events:
            state = words.get(event.kind, state)
    return state


VERBS: tuple[Verb, ...] = (
    send,
    reply,
    typing,
    returned,
    delivered,
    unknown,
    inbox,
    mark_read,
    acknowledge,
    next_message,
    show,
)
