"""Attention: one queue of everything that waits for a person, most blocking and oldest first."""

from collections.abc import Callable, Iterator

from msgspec import Struct, field, structs

from synapse import settings
from synapse.errors import BadRequest
from synapse.hub.agents import CLIENT, EXTERNAL, PERSON, Agent, Agents
from synapse.hub.looking import status_of
from synapse.hub.loop import Call, Hub
from synapse.hub.mailbox import Mailbox
from synapse.hub.prompts import Prompts
from synapse.hub.reading import GONE, Texts, stored_message
from synapse.hub.tasks import Task, Tasks
from synapse.log.base import Log
from synapse.verb import Reply, Request, Verb, query

PERMISSION, INPUT, QUESTION, STALLED, RATE_LIMIT = "permission", "input", "question", "stalled", "rate_limit"
ELSEWHERE = "elsewhere"  # an agent elsewhere asks
LONGEST = 2000  # characters of `what`
PICTURE_WITHIN = 1.0  # seconds between the signal that it asks and what it asks on its screen
UNREAD = "It asks something that cannot be read from its screen."


class Item(Reply, kw_only=True, omit_defaults=False):
    """Something that waits for a person.

    `id` is what it is answered by: a question's (`p-...`, for `approve` and `reject`), a task's (for `reply --to`, or
    `external answer` where an agent elsewhere asks), or an agent's. `kind` is permission, input (something to be typed),
    question, elsewhere, stalled or rate_limit. `blocks` is how many tasks stand still because of it; `since` seconds
    since 1970.
    """

    id: str
    agent: str
    kind: str
    what: str
    since: float
    choices: tuple[str, ...] = ()
    workspace: str = ""
    agent_id: str = ""
    task_id: str = ""
    command: str = ""
    blocks: int = 0


class Found(Struct):
    """An item as the state has it; its text may still lie in the log, at `position`. `patient`: it counts when it is old."""

    item: Item
    position: int = 0
    patient: bool = False


def found(hub: Hub, now: float) -> list[Found]:
    """Everything that waits for a person now, or will when it has waited for long enough."""
    agents = hub.state.get(Agents)
    items = [one for agent in agents if agent.takes_work for one in of_agent(hub, agent, now)]
    items += [one for box in agents.boxes for one in of_box(hub, box)]
    return sorted(items, key=lambda one: (-one.item.blocks, one.item.since, one.item.id))


def of_agent(hub: Hub, agent: Agent, now: float) -> Iterator[Found]:
    """What an agent waits for."""
    if agent.type == EXTERNAL:
        yield from (_asked(hub, agent, task) for task in hub.state.get(Tasks).of(agent.box) if task.interrupted)
        return
    live, task = status_of(hub, agent), hub.state.get(Tasks).current(agent.key)
    told = live.status == "WAITING" and hub.state.get(Prompts).get(live.prompt) is not None  # it is answered
    unseen = not live.question and now - live.since < PICTURE_WITHIN  # its signal was quicker than its picture
    if live.status == "WAITING" and not told and not unseen:
        kind, what = INPUT if live.source == "terminal" else PERMISSION, live.question or UNREAD
        if live.command and live.command not in live.question:
            what = f"{what}\n{live.command}"  # the question itself does not name it
        item = _item(hub, agent, task, live.prompt or agent.id, kind, what[:LONGEST], live.since)
        yield Found(structs.replace(item, choices=live.choices, command=live.command))
    elif live.status == "RATE_LIMITED":
        what = live.question[:LONGEST] or "It has reached a limit of its model's service."
        yield Found(_item(hub, agent, task, agent.id, RATE_LIMIT, what, live.since))
    elif live.status == "AWAY" and task is not None:
        away = hub.clock.monotonic() - hub.sessions.away_since.get(agent.key, hub.clock.monotonic())
        yield Found(_item(hub, agent, task, task.id, STALLED, "Its runner is not connected.", now - away), patient=True)
    elif live.status == "PROCESSING" and live.quiet_since and task is not None:
        what = f"It has written nothing while it works on: {live.preview}"
        yield Found(_item(hub, agent, task, task.id, STALLED, what, live.quiet_since), patient=True)
    if live.holding:
        queued = hub.state.get(Mailbox).of(agent.box)
        what = "A half-written line in its terminal holds its mail back."
        since = queued[0].at if queued else live.since
        yield Found(_item(hub, agent, None, agent.id, STALLED, what, since), patient=True)


def _asked(hub: Hub, agent: Agent, task: Task) -> Found:
    """What an agent elsewhere asks back."""
    what = task.question[:LONGEST] or "It waits for an answer, and does not say to what."
    item = _item(hub, agent, task, task.id, ELSEWHERE, what, task.since)
    return Found(structs.replace(item, choices=task.choices))


def _item(hub: Hub, agent: Agent, task: Task | None, id: str, kind: str, what: str, since: float) -> Item:
    return Item(
        id=id,
        agent=agent.name,
        kind=kind,
        what=what,
        since=since,
        workspace=agent.workspace,
        agent_id=agent.id,
        task_id=task.id if task else "",
        blocks=_held(hub, agent.box),
    )


def of_box(hub: Hub, box: str) -> Iterator[Found]:
    """What lies in a box for a person, or for an agent that is not there."""
    agents, tasks = hub.state.get(Agents), hub.state.get(Tasks)
    owner = agents.boxes.get(box)
    if owner == PERSON:
        yield from (_question(hub, task) for task in tasks.of(box))
    elif owner not in (None, CLIENT) and agents.at_box(box) is None:
        yield from (_nobody_there(hub, task) for task in tasks.of(box))


def _question(hub: Hub, task: Task) -> Found:
    """A task that was asked of a person."""
    agents = hub.state.get(Agents)
    asker = agents.at_box(task.requester)
    item = Item(
        id=task.id,
        agent=agents.label(task.requester),
        kind=QUESTION,
        what=GONE,
        since=task.since,
        workspace=asker.workspace if asker else "",
        agent_id=asker.id if asker else "",
        task_id=task.id,
        blocks=1 + (_held(hub, task.requester) if task.blocking else 0),
    )
    return Found(item, position=task.position)


def _nobody_there(hub: Hub, task: Task) -> Found:
    """A task for an agent's name that nobody has now."""
    workspace, _, name = task.box.rpartition("/")
    what = f"Nobody called '{name}' is here to take it."
    item = Item(
        id=task.id,
        agent=name,
        kind=STALLED,
        what=what,
        since=task.since,
        workspace=workspace,
        task_id=task.id,
        blocks=1,
    )
    return Found(item, patient=True)


def _held(hub: Hub, box: str) -> int:
    """How many tasks stand still while the owner of a box does: its own, and those of whoever waits for these."""
    tasks = hub.state.get(Tasks)
    count, seen, boxes = 0, {box}, [box]
    while boxes:
        for task in tasks.of(boxes.pop()):
            count += 1
            if task.blocking and task.requester not in seen:
                seen.add(task.requester)
                boxes.append(task.requester)
    return count


def patience() -> float:
    """Seconds after which work that does not go on waits for a person; reads the user's settings: not for the loop."""
    try:
        chosen = settings.value("attention.stalled_after")
    except BadRequest:
        chosen = settings.find("attention.stalled_after").default  # `synapse config show` says what is wrong
    assert isinstance(chosen, float)
    return chosen


def due(items: list[Found], now: float) -> list[Found]:
    """Without what has not stood still for long enough; not for the loop."""
    oldest = now - patience() if any(one.patient for one in items) else now
    return [one for one in items if not one.patient or one.item.since <= oldest]


def told(log: Log, items: list[Found]) -> list[Item]:
    """The items with their texts, which may lie in the log."""
    records = {record.position: record for record in log.at({one.position for one in items if one.position})}
    texts, whole = Texts(log), []
    for one in items:
        stored = stored_message(texts, records.get(one.position), one.item.id) if one.position else None
        whole.append(structs.replace(one.item, what=stored.text[:LONGEST]) if stored is not None else one.item)
    return whole


class WaitingRequest(Request, kw_only=True):
    """`workspace` "" is the caller's, `*` every one."""

    workspace: str = "*"


class WaitingReply(Reply, kw_only=True, omit_defaults=False):
    items: list[Item] = field(default_factory=list)


@query("attention.waiting")
def waiting(call: Call, request: WaitingRequest) -> Callable[[Log], WaitingReply]:
    """Everything that waits for a person: questions and permissions, stalled work, rate limits; most blocking first."""
    place = request.workspace or call.workspace
    items = [one for one in found(call.hub, call.at) if place in ("*", one.item.workspace)]
    return lambda log: WaitingReply(items=told(log, due(items, call.at)))


VERBS: tuple[Verb, ...] = (waiting,)
