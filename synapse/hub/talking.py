"""Conversations: work that is asked for by a protocol, with the messages of it kept as they were written."""

import re
from collections.abc import Callable

from msgspec import json

from synapse.errors import BadRequest, NotFound, Refused
from synapse.hub.agents import CLIENT, Agent, Agents
from synapse.hub.approving import AnswerRequest, decide, place_of, standing
from synapse.hub.facts import Attachment, MessageAdded, Part, Resumed, Sent
from synapse.hub.following import send_along
from synapse.hub.loop import Call
from synapse.hub.messages import SendRequest, check, check_blob, check_parts, find, send_one
from synapse.hub.tasks import Finished, Task, Tasks, context_of
from synapse.hub.views import TaskView, labels_of, view
from synapse.log.base import Log
from synapse.verb import Change, Permission, Reply, Request, Verb, change, query

LONGEST_ID = 256  # characters of an id that a client chooses
LONGEST_METADATA = 64 * 1024  # characters
NOBODY = NotFound("no_such_task", "There is no such task here.")
_YES = frozenset({"yes", "y", "ok", "okay", "approve", "approved", "allow", "accept", "true"})
_NO = frozenset({"no", "n", "reject", "rejected", "deny", "denied", "decline", "cancel", "false"})
_VISIBLE = re.compile(r"[^\x00-\x1f\x7f]*\Z")


class _Message(Change, kw_only=True):
    """A message as its author wrote it. `text` (or `blob`) is what the agent reads of it, `message_id` the author's own
    id; `parts` are needed where the message is more than that text. `metadata` is a JSON object."""

    text: str = ""
    blob: str = ""
    message_id: str = ""
    context: str = ""
    parts: tuple[Part, ...] = ()
    metadata: str = ""
    extensions: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


class SubmitRequest(_Message, kw_only=True):
    """`to` is one agent; `mode` is how the answer is wanted: `kept` with the task, `notify` or `wait`."""

    to: str
    priority: int = 3
    mode: str = "kept"
    attachments: tuple[Attachment, ...] = ()


class SubmitReply(Reply, kw_only=True):
    task_id: str
    context: str
    position: int


@change("tasks.submit", spill="text")
def submit(call: Call, request: SubmitRequest) -> SubmitReply:
    """Ask work of one agent, in a conversation: the first message of a task."""
    _check(request)
    sending = SendRequest(
        to=request.to, text=request.text, blob=request.blob, priority=request.priority, mode=request.mode,
        attachments=request.attachments,
    )  # fmt: skip
    check(sending, ("kept", "notify", "wait"))
    author = call.state(Agents).get(call.by)
    if author is None and call.by and not call.session.system:
        raise Refused("not_joined", "Your stay here is over: join again.")
    box, agent = find(call, request.to)
    id = send_one(call, sending, author, box, agent, context=request.context)
    _add(call, request, id, box, author.box if author else call.by)
    return SubmitReply(task_id=id, context=request.context or context_of(id), position=call.reached)


class SayRequest(_Message, kw_only=True):
    """`choice` is a choice's number or text, or yes or no; without it, the text says which. `along` is what the agent is
    told besides, with the attachments, once it has taken the choice."""

    task: str
    choice: str = ""
    along: str = ""
    attachments: tuple[Attachment, ...] = ()


@change("tasks.say", spill="text")
def say(call: Call, request: SayRequest) -> SubmitReply:
    """Answer what a task asks back: the question on its agent's screen, or the agent itself."""
    _check(request)
    for blob in (blob for each in request.attachments for blob in each.blobs):
        check_blob(blob)
    if len(request.along) > LONGEST_METADATA:
        raise BadRequest("too_large", "What comes along is up to 64 kB: longer texts go as attachments.")
    task = call.state(Tasks).get(request.task)
    if not call.session.admin and task.requester != call.state(Agents).box_of(call.session):
        raise NOBODY
    if request.context and request.context != context_of(task.id, task.context):
        raise BadRequest("bad_context", f"Task {task.id} belongs to another context.")
    if not task.interrupted:
        raise Refused(
            "task_busy",
            f"Task {task.id} is {task.state}: it asks nothing. More work is a task of its own, in its context.",
        )
    agent = call.state(Agents).at_box(task.box)
    _add(call, request, task.id, task.box, task.requester)
    if agent is not None and agent.socket:
        _choose(call, agent, request.choice or request.text)
        if request.along or request.attachments:
            send_along(call, task, request.along, request.attachments)
    elif agent is None or agent.type == CLIENT:
        _tell(call, request, task)
    call.emit(Resumed(task=task.id, box=task.box, requester=task.requester), task.id)
    return SubmitReply(task_id=task.id, context=context_of(task.id, task.context), position=call.reached)


def _check(request: _Message) -> None:
    check_blob(request.blob)
    check_parts(request.parts)
    for word in (request.message_id, request.context, *request.references, *request.extensions):
        if len(word) > LONGEST_ID or not _VISIBLE.match(word):
            raise BadRequest("bad_id", f"An id is up to {LONGEST_ID} visible characters: {word[:40]!r} is none.")
    if len(request.metadata) > LONGEST_METADATA or len(request.references) > 100 or len(request.extensions) > 100:
        raise BadRequest("too_large", "Metadata is up to 64 kB, with up to 100 references and extensions.")


def _add(call: Call, request: _Message, id: str, box: str, requester: str) -> None:
    """Keep the message as it was written."""
    said = MessageAdded(
        task=id,
        box=box,
        requester=requester,
        id=request.message_id or id,
        parts=request.parts or _as_parts(request),
        metadata=request.metadata,
        extensions=request.extensions,
        references=request.references,
        text="" if isinstance(request, SubmitRequest) else request.text,
        blob="" if isinstance(request, SubmitRequest) else request.blob,
    )
    call.emit(said, id)


def _as_parts(request: _Message) -> tuple[Part, ...]:
    """A text with files as it is kept where nobody has said what it is made of."""
    if not isinstance(request, SayRequest) or not request.attachments:
        return ()
    text = Part(kind="text", value=request.text, blobs=(request.blob,) if request.blob else ())
    return (
        text,
        *(Part(kind="raw", blobs=a.blobs, size=a.size, filename=a.name) for a in request.attachments),
    )


def _choose(call: Call, agent: Agent, word: str) -> None:
    """Answer the question that stands on the agent's screen; its runner presses it."""
    if not (call.session.admin or Permission.PERSON in call.session.permissions):
        raise Refused("not_permitted", "Agents do not answer each other's questions: a person does.")
    runner = call.hub.sessions.runner(agent.key)
    standing_, live = standing(call, runner.live.prompt if runner is not None else "")
    place, approved = _meant(word.strip(), live.prompt, call)
    me = call.state(Agents).get(call.by)
    decide(call, standing_, live, place, approved=approved, name=me.name if me else call.by)


def _meant(word: str, prompt: str, call: Call) -> tuple[int, bool]:
    """Which choice a word means (-1: none of them), and whether that is a yes."""
    _, live = standing(call, prompt)
    bare = word.casefold().strip(" .!")
    try:
        place = place_of(AnswerRequest(id=prompt, choice=word), live) if word else -1
    except BadRequest:
        if bare not in _YES | _NO:
            raise
        return place_of(AnswerRequest(id=prompt, approve=bare in _YES), live), bare in _YES
    return place, place != live.no


def _tell(call: Call, request: SayRequest, task: Task) -> None:
    """A participant without a terminal hears of it as of every message."""
    author = call.state(Agents).get(call.by)
    call.emit(
        Sent(
            id=task.id + "-" + str(call.position),
            to=(task.box,),
            sender=task.requester,
            role="note",
            text=request.text,
            blob=request.blob,
            name=author.name if author and author.chosen else "",
            agent_id=author.id if author else "",
            reply_to=task.id,
            attachments=request.attachments,
        ),
        task.id + "-" + str(call.position),
    )


class GetRequest(Request, kw_only=True):
    """`agent` is the box or key of whose task it must be; "": anybody's. `until` is the position it is told as of."""

    task: str
    agent: str = ""
    until: int = 0


@query("tasks.get")
def get(call: Call, request: GetRequest) -> Callable[[Log], TaskView]:
    """A task whole: its state, the messages of its conversation, and what came of it."""
    tasks, agents = call.state(Tasks), call.state(Agents)
    found: Task | Finished | None = tasks.live.get(request.task) or tasks.finished.get(request.task)
    if found is None or request.agent not in ("", tasks.owner(found)):
        raise NotFound("no_such_task", f"There is no task {request.task[:80]!r} here: `synapse history` lists them.")
    labels = labels_of(tasks, agents, found)
    until = request.until or call.hub.head
    return lambda log: view(log, request.task, until, labels)


def metadata_of(text: str) -> dict[str, object]:
    """The JSON object that metadata is."""
    found: dict[str, object] = json.decode(text) if text else {}
    return found


VERBS: tuple[Verb, ...] = (submit, say, get)
