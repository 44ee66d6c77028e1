"""Messages: sending, replying, and the reports of those who deliver them."""

import re
from collections.abc import Iterator

from synapse import ids
from synapse.errors import BadRequest, NotFound, Refused
from synapse.hub.agents import Agent, Agents
from synapse.hub.ending import end_task
from synapse.hub.facts import (
    Attachment,
    Completed,
    Delivered,
    Failed,
    Part,
    Sent,
    Submitted,
)
from synapse.hub.following import goes_on
from synapse.hub.loop import Call
from synapse.hub.mailbox import Mailbox
from synapse.hub.manifest import CLASS, route
from synapse.hub.tasks import DEEPEST, Tasks
from synapse.verb import Change, Reply, Verb, change

MODES = ("notify", "wait", "silent")
MOST = 16  # addressees by name
MOST_PARTS = 100
PARTS = ("text", "raw", "url", "data")
_SUM = re.compile(r"[0-9a-f]{64}\Z")


class SendRequest(Change, kw_only=True):
    """`to` is a name, id, profile, `workspace/name`, a comma list, a glob or `all`; `mode` is notify, wait or silent.

    `class:NAME` in `to` is whoever advertises that class of tasks, the idle first.
    `force` takes a bare name that is only in another workspace.
    """

    to: str
    text: str = ""
    blob: str = ""
    priority: int = 3
    mode: str = "notify"
    reply_to: str = ""
    attachments: tuple[Attachment, ...] = ()
    force: bool = False


class SendReply(Reply, kw_only=True):
    """`task_id` is "" for a message that asks no work; `tasks` lists one id per addressee where there are several."""

    id: str
    position: int
    task_id: str
    to: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


@change("messages.send", spill="text")
def send(call: Call, request: SendRequest) -> SendReply:
    """Send a message: work to one agent (or each of a list), a note to many."""
    check(request)
    agents = call.state(Agents)
    if any(sign in request.to for sign in "*?[") or request.to == "all" or request.to.endswith("/all"):
        if request.mode == "wait":
            raise BadRequest(
                "no_answer_from_many", "A note to many has no answer to wait for: name them, like alice,bob."
            )
        return _broadcast(call, request)
    author = agents.get(call.by)
    if author is None and call.by and not call.session.system:
        raise Refused("not_joined", "Your stay here is over: join again.")
    targets = request.to.split(",")
    if len(targets) > MOST:
        raise BadRequest("too_many", f"{len(targets)} addressees: up to {MOST} by name; use a glob for more.")
    found = dict(find(call, target.strip(), force=request.force) for target in targets)
    sent = [send_one(call, request, author, box, agent) for box, agent in found.items()]
    tasks = tuple(sent) if request.mode != "silent" else ()
    names = tuple(agent.name if agent else agents.label(box) for box, agent in found.items())
    return SendReply(
        id=sent[0],
        position=call.reached,
        task_id=tasks[0] if tasks else "",
        to=names,
        tasks=tasks if len(tasks) > 1 else (),
    )


def find(call: Call, target: str, *, force: bool = False) -> tuple[str, Agent | None]:
    """The box that a target means, and who owns it now."""
    if target.lower().startswith(CLASS):
        return route(call, target)
    return call.state(Agents).find(target, call.workspace, call.session.user, force=force)


def check_blob(blob: str) -> None:
    """The sum of a blob, or none."""
    if blob and not _SUM.match(blob):
        raise BadRequest("bad_blob", f"{blob[:80]!r} is not the sum of a blob: 64 hex digits.")


def check_parts(parts: tuple[Part, ...]) -> None:
    """Pieces of a message or an answer as they may be stored."""
    if len(parts) > MOST_PARTS:
        raise BadRequest("too_many", f"{len(parts)} parts: up to {MOST_PARTS} in one message.")
    for part in parts:
        if part.kind not in PARTS:
            raise BadRequest("bad_part", f"A part is {', '.join(PARTS)}, not {part.kind[:20]!r}.")
        for blob in part.blobs:
            check_blob(blob)


def check(request: SendRequest, modes: tuple[str, ...] = MODES) -> None:
    """BadRequest when it cannot be sent like that."""
    for blob in (request.blob, *(sum for each in request.attachments for sum in each.blobs)):
        check_blob(blob)
    if not request.text.strip() and not request.blob:
        raise BadRequest("no_text", "There is nothing to send: the text is empty, and there is no blob.")
    if not 1 <= request.priority <= 5:
        raise BadRequest("bad_priority", f"Priority {request.priority}: use 1 (low) to 5 (interrupts first).")
    if request.mode not in modes:
        raise BadRequest("bad_mode", f"Mode {request.mode[:20]!r}: use {', '.join(modes)}.")


def send_one(
    call: Call, request: SendRequest, author: Agent | None, box: str, agent: Agent | None, *, context: str = ""
) -> str:
    """Send it to one box; the message's id, which is the task's where it asks work."""
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
                context=context,
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
            attachments=request.attachments,
        ),
        id,
    )
    return id


def refuse_circle(call: Call, requester: str, box: str) -> None:
    """Refuse a wait that could never end, and show the circle."""
    tasks, agents, sessions = call.state(Tasks), call.state(Agents), call.hub.sessions

    def waits(box: str) -> Iterator[str]:
        """Whose tasks the agent of a box waits for on its connections."""
        agent = agents.at_box(box)
        for session in sessions.of(agent.key) if agent is not None and agent.wrapped else ():
            for waiter in session.waits:
                yield from (tasks.live[topic].box for topic in waiter.topics if topic in tasks.live)

    circle = tasks.circle(requester, box, waits)
    if circle:
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
            reply_to=request.reply_to,
            attachments=request.attachments,
        ),
        id,
    )
    return SendReply(id=id, position=call.reached, task_id="", to=tuple(agent.name for agent in others))


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
    check_blob(request.blob)
    tasks, agents = call.state(Tasks), call.state(Agents)
    box = agents.box_of(call.session)
    typed = call.state(Mailbox).typing(box)
    task = tasks.get(request.to) if request.to else tasks.current(call.by)
    if task is None and typed is not None:
        task = tasks.live.get(typed.task)  # its runner has not yet come to say that it was submitted
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
    if typed is not None and typed.task == task.id:  # whoever answers it has got it
        call.emit(Delivered(id=typed.id, box=box, sender=typed.sender), typed.id)
    if request.fail:
        end_task(
            call, task, Failed, text=request.text or request.fail, blob=request.blob, reason="agent", source="reply"
        )
    elif goes_on(call, task, text=request.text, blob=request.blob):
        return ReplyReply(task_id=task.id, position=call.reached, state="working")
    else:
        end_task(call, task, Completed, text=request.text, blob=request.blob, source="reply")
    return ReplyReply(task_id=task.id, position=call.reached, state="failed" if request.fail else "completed")


VERBS: tuple[Verb, ...] = (send, reply)
