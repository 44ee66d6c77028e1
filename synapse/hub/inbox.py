"""The inbox: what lies in a box, and what its owner says of it."""

from collections.abc import Callable, Sequence

from msgspec import field

from synapse.errors import BadRequest, NotFound, Refused
from synapse.hub.agents import Agent, Agents
from synapse.hub.facts import (
    Acknowledged,
    Read,
    Working,
)
from synapse.hub.loop import Call
from synapse.hub.mailbox import QUEUED, READ, Mailbox, Message
from synapse.hub.reading import Stored, Texts, box_names, stored_message
from synapse.hub.tasks import Tasks
from synapse.log.base import Log, Record
from synapse.verb import Change, Reply, Request, Verb, Wait, change, query, wait

AT_ONCE = 100  # messages that a wait answers with; the rest comes with the next one


class MessageRequest(Change, kw_only=True):
    id: str
    reason: str = ""


class MessageReply(Reply, kw_only=True):
    id: str
    position: int
    state: str


def mine(call: Call, id: str, *states: str) -> tuple[Agent, Message]:
    me = call.state(Agents).get(call.by)
    if me is None:
        raise NotFound("not_joined", "You are not a participant here.")
    message = call.state(Mailbox).get(me.box, id)
    if message is None:
        raise NotFound("no_such_message", f"There is no message {id[:80]!r} in your box (any more).")
    if states and message.state not in states:
        raise Refused("wrong_state", f"Message {id} is {message.state}.")
    return me, message


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
    box = agents.box_of(call.session)
    chosen: list[tuple[str, str, str, int, str, str]] = []
    if request.which == "inbox":
        chosen = [(m.id, m.box, m.sender, m.position, m.state, "") for m in mailbox.of(box)]
    elif request.which == "sent":
        chosen = [(m.id, m.box, m.sender, m.position, m.state, "") for m in mailbox.sent_by(box)]
    elif request.which == "dead":
        dead = [d for d in mailbox.dead if box in (d.sender, d.box)]
        chosen = [(d.id, d.box, d.sender, d.position, "dead", d.reason) for d in dead]
    else:
        raise BadRequest("bad_choice", f"{request.which[:20]!r}: use inbox, sent or dead.")
    chosen = chosen[-max(1, min(request.limit, 1000)) :]
    names = box_names(agents, [box for row in chosen for box in row[1:3]])

    def fetch(log: Log) -> InboxReply:
        records = {record.position: record for record in log.at({row[3] for row in chosen})}
        entries, texts = [], Texts(log)
        for id, to, sender, position, state, reason in chosen:
            stored = stored_message(texts, records.get(position), id)
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
    """Say that you have read a message; a task is then in your hands. A terminal that was to get it does not any more."""
    me, message = mine(call, request.id, QUEUED, READ)
    if message.state == QUEUED:
        call.emit(Read(id=message.id, box=me.box, sender=message.sender), message.id)
        task = call.state(Tasks).live.get(message.task)
        if task is not None and not me.wrapped:
            call.emit(Working(task=task.id, box=task.box, requester=task.requester, agent=call.by), task.id)
    return MessageReply(id=message.id, position=call.reached, state="read")


@change("messages.ack")
def acknowledge(call: Call, request: MessageRequest) -> MessageReply:
    """Say that you are done with a message: it leaves your inbox."""
    me, message = mine(call, request.id, QUEUED, READ)
    task = call.state(Tasks).live.get(message.task)
    if task is not None:
        raise Refused("unanswered", f"Task {task.id} wants an answer: `synapse reply --to {task.id} ...` (or --fail).")
    call.emit(Acknowledged(id=message.id, box=me.box, sender=message.sender), message.id)
    return MessageReply(id=message.id, position=call.reached, state="acknowledged")


class NextRequest(Wait, kw_only=True):
    """`after`: only messages stored at a later position."""

    after: int = 0


class NextReply(Reply, kw_only=True):
    ids: tuple[str, ...] = ()
    position: int = 0


def _my_box(call: Call) -> str:
    return call.state(Agents).box_of(call.session)


@wait("messages.next", watches=lambda call, request: (_my_box(call),))
def next_message(call: Call, request: NextRequest) -> NextReply | None:
    """Wait for a message in your box that you have not read."""
    newer = call.state(Mailbox).newer(_my_box(call), request.after)
    unread = [message for message in newer if message.state == QUEUED][:AT_ONCE]
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
    lies_here = call.state(Mailbox).get(me, request.id) is not None

    def fetch(log: Log) -> InboxEntry:
        records = log.story(request.id)
        for record in records:
            stored = stored_message(Texts(log), record, request.id)
            if stored is not None:
                parties = (*stored.sent.to, stored.sent.sender, record.sender)
                if not (lies_here or session.admin or me in parties or session.key in parties):
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


VERBS: tuple[Verb, ...] = (inbox, mark_read, acknowledge, next_message, show)
