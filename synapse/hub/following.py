"""What comes along with the answer to a question on an agent's screen: it is typed within the same task, as soon as the
program can take it, and the task goes on until that is answered, too."""

from synapse import ids
from synapse.hub.agents import Agents
from synapse.hub.facts import Attachment, MessageAdded, Part, Sent
from synapse.hub.loop import Call
from synapse.hub.mailbox import Mailbox
from synapse.hub.tasks import Task

WORDS = "This came with the answer to what you asked."


def send_along(call: Call, task: Task, text: str, attachments: tuple[Attachment, ...]) -> None:
    """Have the agent of a task told more."""
    author = call.state(Agents).get(call.by)
    id = "m-" + ids.ulid(call.at)
    call.emit(
        Sent(
            id=id,
            to=(task.box,),
            sender=task.requester,
            role="note",
            task=task.id,
            text=text or WORDS,
            name=author.name if author and author.chosen else "",
            agent_id=author.id if author else "",
            reply_expected=True,
            reply_to=task.id,
            attachments=attachments,
        ),
        id,
    )


def goes_on(call: Call, task: Task, *, text: str, blob: str = "", parts: tuple[Part, ...] = ()) -> bool:
    """Is there more that the agent has not been told? Then what it has said so far belongs to the conversation."""
    along = call.state(Mailbox).along(task.id)
    if along is None:
        return False
    said = MessageAdded(
        task=task.id, box=task.box, requester=task.requester, id=f"{along.id}-before", role="agent",
        text=text, blob=blob, parts=parts,
    )  # fmt: skip
    call.emit(said, task.id)
    return True
