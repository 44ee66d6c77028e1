"""What is noted while an agent elsewhere works for us: verbs that have no face, asked in its name by who speaks to it."""

from synapse.errors import Refused
from synapse.hub.agents import Agents
from synapse.hub.external_facts import ExternalAnswered, ExternalContextLinked, ExternalLinked, ExternalReleased
from synapse.hub.external_state import External
from synapse.hub.facts import Delivered, Typing, Working
from synapse.hub.inbox import MessageReply, MessageRequest, mine
from synapse.hub.joining import Nothing
from synapse.hub.loop import Call
from synapse.hub.mailbox import TYPING, Mailbox
from synapse.hub.tasks import Tasks, context_of
from synapse.verb import Change, Verb, change


@change("external.begin", internal=True)
def begin(call: Call, request: MessageRequest) -> MessageReply:
    """The message is about to be sent: from here on it is never sent again."""
    me, message = mine(call, request.id, "queued")
    typing = call.state(Mailbox).typing(me.box)
    if typing is not None:
        raise Refused("busy", f"Message {typing.id} is being sent: one at a time.")
    call.emit(Typing(id=message.id, box=me.box, sender=message.sender, agent=call.by), message.id)
    return MessageReply(id=message.id, position=call.reached, state=TYPING)


class LinkRequest(Change, kw_only=True):
    """`id` is the message's, which is the task's where it asks work."""

    id: str
    remote_task: str = ""
    remote_context: str = ""


@change("external.link", internal=True)
def link(call: Call, request: LinkRequest) -> Nothing:
    """The agent elsewhere has the message; the task is in its hands, under these names."""
    box, external = call.state(Agents).box_of(call.session), call.state(External)
    message = call.state(Mailbox).get(box, request.id)
    if message is not None and message.state == TYPING:
        call.emit(Delivered(id=message.id, box=box, sender=message.sender), message.id)
    task = call.state(Tasks).live.get(request.id)
    if task is None:
        return Nothing()
    if task.agent != call.by:
        call.emit(Working(task=task.id, box=task.box, requester=task.requester, agent=call.by), task.id)
    there = external.links.get(task.id)
    if there is None or (there.remote_task, there.remote_context) != (request.remote_task, request.remote_context):
        linked = ExternalLinked(
            key=call.by, task=task.id, context=context_of(task.id, task.context), remote_task=request.remote_task,
            remote_context=request.remote_context,
        )  # fmt: skip
        call.emit(linked, task.id)
        if task.context and request.remote_context not in ("", external.remote_context(call.by, task.context)):
            named = ExternalContextLinked(key=call.by, context=task.context, remote_context=request.remote_context)
            call.emit(named, call.by)  # it outlives the tasks
    return Nothing()


class AnsweredRequest(Change, kw_only=True):
    task: str
    position: int


@change("external.answering", internal=True)
def answering(call: Call, request: AnsweredRequest) -> Nothing:
    """A later message of a task's conversation is about to be sent: from here on it is never sent again."""
    if request.task not in call.state(External).links:
        raise Refused("task_ended", f"Task {request.task} is not with it any more.")
    call.emit(ExternalAnswered(key=call.by, task=request.task, position=request.position), request.task)
    return Nothing()


class ReleaseRequest(Change, kw_only=True):
    task: str


@change("external.release", internal=True)
def release(call: Call, request: ReleaseRequest) -> Nothing:
    """The agent elsewhere has been told that a task is called off, or cannot be told."""
    if request.task in call.state(External).calling_off:
        call.emit(ExternalReleased(key=call.by, task=request.task), request.task)
    return Nothing()


VERBS: tuple[Verb, ...] = (begin, link, answering, release)
