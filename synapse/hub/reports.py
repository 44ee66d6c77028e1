"""What a runner reports about a message that it was handed."""

from synapse.errors import Refused
from synapse.hub.ending import end_task, lose_track
from synapse.hub.facts import Canceled, Delivered, Returned, Typing, Working
from synapse.hub.inbox import MessageReply, MessageRequest, mine
from synapse.hub.loop import Call
from synapse.hub.mailbox import TYPING, URGENT, Mailbox
from synapse.hub.tasks import Tasks
from synapse.verb import Verb, change


@change("messages.typing")
def typing(call: Call, request: MessageRequest) -> MessageReply:
    """A runner is about to type the message: from here on it is never typed again."""
    me, message = mine(call, request.id, "queued")
    tasks = call.state(Tasks)
    current, typing = tasks.current(call.by), call.state(Mailbox).typing(me.box)
    if typing is not None:
        raise Refused("busy", f"Message {typing.id} is being typed: one at a time.")
    if current is not None and message.priority < URGENT and message.task != current.id:
        raise Refused("busy", f"Task {current.id} is in the terminal: one at a time.")
    call.emit(Typing(id=message.id, box=me.box, sender=message.sender, agent=call.by), message.id)
    return MessageReply(id=message.id, position=call.reached, state=TYPING)


@change("messages.returned")
def returned(call: Call, request: MessageRequest) -> MessageReply:
    """A runner has not typed the message after all: it goes back to the queue."""
    me, message = mine(call, request.id, TYPING)
    call.emit(Returned(id=message.id, box=me.box, sender=message.sender, reason=request.reason[:2000]), message.id)
    return MessageReply(id=message.id, position=call.reached, state="queued")


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
    return MessageReply(id=message.id, position=call.reached, state="delivered")


@change("messages.unknown")
def unknown(call: Call, request: MessageRequest) -> MessageReply:
    """A runner cannot say whether the message was submitted: its sender is told, and it is not typed again."""
    _, message = mine(call, request.id, TYPING)
    why = request.reason[:2000] or "the terminal did not show whether it was submitted"
    lose_track(call, message, why, "outcome_unknown", f"Outcome unknown: {why}.")
    return MessageReply(id=message.id, position=call.reached, state="unknown")


VERBS: tuple[Verb, ...] = (typing, returned, delivered, unknown)
