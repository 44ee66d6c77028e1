"""What a runner reports about a message that it was handed."""

from synapse.errors import Refused
from synapse.hub.ending import answer_requester, end_task
from synapse.hub.facts import (
    Canceled,
    Delivered,
    Failed,
    OutcomeUnknown,
    Returned,
    Typing,
    Working,
)
from synapse.hub.inbox import MessageReply, MessageRequest, mine
from synapse.hub.loop import Call
from synapse.hub.mailbox import TYPING
from synapse.hub.tasks import Tasks
from synapse.verb import Verb, change


@change("messages.typing")
def typing(call: Call, request: MessageRequest) -> MessageReply:
    """A runner is about to type the message: from here on it is never typed again."""
    me, message = mine(call, request.id, "queued")
    tasks = call.state(Tasks)
    current = tasks.current(call.by)
    if current is not None and message.priority < 5:
        raise Refused("busy", f"Task {current.id} is in the terminal: one at a time.")
    call.emit(Typing(id=message.id, box=me.box, sender=message.sender, agent=call.by), message.id)
    return MessageReply(id=message.id, position=call.position, state=TYPING)


@change("messages.returned")
def returned(call: Call, request: MessageRequest) -> MessageReply:
    """A runner has not typed the message after all: it goes back to the queue."""
    me, message = mine(call, request.id, TYPING)
    call.emit(Returned(id=message.id, box=me.box, sender=message.sender, reason=request.reason), message.id)
    return MessageReply(id=message.id, position=call.position, state="queued")


@change("messages.delivered")
def delivered(call: Call, request: MessageRequest) -> MessageReply:
    """A runner has typed the message and seen it submitted; its task is now the one in the terminal."""
    me, message = mine(call, request.id, TYPING)
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
    me, message = mine(call, request.id, TYPING)
    reason = request.reason or "the terminal did not show whether it was submitted"
    call.emit(OutcomeUnknown(id=message.id, box=me.box, sender=message.sender, reason=reason), message.id)
    task = call.state(Tasks).live.get(message.task)
    if task is not None:
        end_task(call, task, Failed, text=f"Outcome unknown: {reason}.", reason="outcome_unknown", source="hub")
    else:
        answer_requester(call, message.sender, f"Outcome unknown: {reason}.", message.id, role="notification")
    return MessageReply(id=message.id, position=call.position, state="unknown")


VERBS: tuple[Verb, ...] = (typing, returned, delivered, unknown)
