"""How a task ends: one event, and the answer on its way to whoever asked."""

from typing import Any

from synapse import ids
from synapse.hub.agents import Agents
from synapse.hub.facts import Canceled, Completed, Failed, OutcomeUnknown, Rejected, Sent
from synapse.hub.loop import Call
from synapse.hub.mailbox import Message
from synapse.hub.tasks import Task, Tasks

End = type[Completed] | type[Failed] | type[Canceled] | type[Rejected]


def end_task(
    call: Call, task: Task, end: End, *, text: str = "", blob: str = "", source: str = "", reason: str = "",
    usage: dict[str, int] | None = None, **more: Any,
) -> None:  # fmt: skip
    """The task is over; a requester who does not wait for it is told by a message (in the same record).

    `more` are further fields of `end`.
    """
    if reason:
        more["reason"] = reason
    fact = end(
        task=task.id, box=task.box, requester=task.requester, text=text, blob=blob, source=source, usage=usage or {}, **more
    )  # fmt: skip
    call.emit(fact, task.id)
    if task.mode == "notify" and task.requester != call.state(Agents).box_of(call.session):
        role = "answer" if end is Completed else "notification"
        told = text if end is Completed else f"{end.kind.rpartition('.')[2]} ({reason}): {text}"
        answer_requester(call, task.requester, told, task.id, blob=blob, role=role, author=task.box)


def lose_track(call: Call, message: Message, why: str, reason: str, text: str) -> None:
    """Nobody can say whether the message was submitted: it is not typed again, and its sender is told."""
    call.emit(OutcomeUnknown(id=message.id, box=message.box, sender=message.sender, reason=why), message.id)
    task = call.state(Tasks).live.get(message.task)
    if task is not None:
        end_task(call, task, Failed, text=text, reason=reason, source="hub")
    elif message.role == "note":
        answer_requester(call, message.sender, f"Outcome unknown: {why}.", message.id, role="notification")


def answer_requester(
    call: Call, to: str, text: str, about: str, *, blob: str = "", role: str = "answer", author: str = ""
) -> None:
    """A message that never expects a reply, to a box that still has an owner."""
    agents = call.state(Agents)
    if agents.at_box(to) is None and to not in agents.boxes:
        return  # an automatic name that left: nobody can read it any more
    agent = agents.at_box(author) if author else agents.get(call.by)
    id = "m-" + ids.ulid(call.at)
    call.emit(
        Sent(
            id=id,
            to=(to,),
            sender=author or agents.box_of(call.session),
            role=role,
            text=text,
            blob=blob,
            reply_to=about,
            name=agent.name if agent and agent.chosen else "",
            agent_id=agent.id if agent else "",
        ),
        id,
    )
