"""Looking: who is here, how the agents are, and the state as it is now."""

from msgspec import Struct, field

from synapse import __version__
from synapse.errors import NotFound, Refused
from synapse.hub.agents import EXTERNAL, Agent, Agents
from synapse.hub.loop import Call, Hub
from synapse.hub.mailbox import TYPING, Mailbox
from synapse.hub.offers import Card, OfferRow, Offers, offer_row
from synapse.hub.sessions import Live
from synapse.hub.tasks import Task, Tasks
from synapse.verb import Permission, Reply, Request, Verb, read, session


class WhoRequest(Request, kw_only=True):
    """`workspace` "" is the caller's, `*` all."""

    workspace: str = ""


class Presence(Reply, kw_only=True):
    """A participant: `presence` is ONLINE, AWAY or (told once) GONE, `status` an agent's own, `since` seconds since 1970."""

    name: str
    type: str
    id: str
    workspace: str
    presence: str
    since: float
    status: str = ""
    doing: str = ""


class WhoReply(Reply, kw_only=True):
    participants: list[Presence] = field(default_factory=list)


def _chosen(call: Call, workspace: str) -> list[Agent]:
    place = workspace or call.workspace
    agents = [a for a in call.state(Agents) if place == "*" or a.workspace in (place, "")]
    return sorted(agents, key=lambda a: (a.workspace, a.type in ("client", "person"), a.name))


def presence_of(hub: Hub, agent: Agent) -> Presence:
    live = status_of(hub, agent)
    task = hub.state.get(Tasks).current(agent.key)
    return Presence(
        name=agent.name,
        type=agent.type,
        id=agent.id,
        workspace=agent.workspace,
        since=agent.since,
        presence="ONLINE" if hub.sessions.here(agent.key) else "AWAY",
        status=live.status if agent.takes_work else "",
        doing=live.preview if task else "",
    )


def status_of(hub: Hub, agent: Agent) -> Live:
    """What the agent's runner (or who speaks to it, elsewhere) last said; STARTING before the first word, AWAY when it
    is not connected."""
    runner = hub.sessions.runner(agent.key)
    if runner is not None:
        return runner.live
    if agent.type == EXTERNAL:
        speaker = next((session for session in hub.sessions.of(agent.key) if session.system), None)
        return speaker.live if speaker is not None else Live(status="AWAY", source="hub")
    return Live(status="AWAY" if agent.wrapped else "", source="hub")


@read("agents.who")
def who(call: Call, request: WhoRequest) -> WhoReply:
    """Who is here, since when, doing what."""
    return WhoReply(participants=[presence_of(call.hub, a) for a in _chosen(call, request.workspace)])


class ListRequest(Request, kw_only=True):
    """`all` also lists plain clients and people; `workspace` "" is the caller's, `*` every one."""

    workspace: str = ""
    all: bool = False


class AgentRow(Reply, kw_only=True, omit_defaults=False):
    agent_id: str
    agent_type: str
    name: str
    role: str
    skill_set: str
    port: int
    status: str
    pid: int
    working_dir: str
    endpoint: str
    transport: str
    current_task_preview: str
    task_received_at: float
    editing_file: str
    workspace: str
    key: str
    queued: int


class Part(Struct, kw_only=True):
    """What a plugin adds to a command's answer: a title, and the reading verb that it is made from."""

    title: str
    verb: str


class ListReply(Reply, kw_only=True):
    agents: list[AgentRow] = field(default_factory=list)
    columns: list[Part] = field(default_factory=list)


def row(call: Call, agent: Agent) -> AgentRow:
    live, task = status_of(call.hub, agent), call.state(Tasks).current(agent.key)
    return AgentRow(
        agent_id=agent.id,
        agent_type=agent.type,
        name=agent.name,
        role=agent.role,
        skill_set=agent.skill_set,
        port=agent.port,
        status=live.status,
        pid=agent.pid,
        working_dir=agent.cwd,
        endpoint=live.endpoint or (call.hub.place.endpoint(agent.port, agent.id) if agent.wrapped else ""),
        transport="a2a" if agent.type == EXTERNAL else "socket" if agent.wrapped else "",
        current_task_preview=live.preview if task else "",
        task_received_at=task.since if task else 0.0,
        editing_file=live.editing_file,
        workspace=agent.workspace,
        key=agent.key,
        queued=call.state(Mailbox).queued(agent.box),
    )


@read("agents.list")
def list_agents(call: Call, request: ListRequest) -> ListReply:
    """The agents and how they are."""
    agents = [a for a in _chosen(call, request.workspace) if request.all or a.takes_work]
    return ListReply(agents=[row(call, a) for a in agents], columns=_parts(call, "columns"))


def _parts(call: Call, what: str) -> list[Part]:
    return [
        Part(title=part.title, verb=part.verb) for plugin in call.hub.place.plugins for part in getattr(plugin, what)
    ]


class ShowRequest(Request, kw_only=True):
    target: str


class TaskLine(Struct, kw_only=True, omit_defaults=True):
    task_id: str
    state: str
    requester: str
    since: float
    question: str = ""
    choices: tuple[str, ...] = ()


class AgentReply(Reply, kw_only=True):
    agent: AgentRow
    live: Live
    presence: str
    since: float
    child_pid: int = 0
    socket: str = ""
    task: TaskLine | None = None
    card: Card | None = None
    offers: list[OfferRow] = field(default_factory=list)
    waiting: list[TaskLine] = field(default_factory=list)


def _line(call: Call, task: Task) -> TaskLine:
    return TaskLine(
        task_id=task.id,
        state=task.state,
        requester=call.state(Agents).label(task.requester),
        since=task.since,
        question=task.question,
        choices=task.choices,
    )


@read("agents.show")
def show(call: Call, request: ShowRequest) -> AgentReply:
    """One agent: what it is, does, and has in its queue."""
    agents, tasks = call.state(Agents), call.state(Tasks)
    box, agent = agents.find(request.target, call.workspace, call.session.user)
    if agent is None:
        count = len(call.state(Mailbox).of(box))
        raise NotFound("away", f"'{request.target}' is not here; {count} messages wait for it.", waiting=count)
    current, offers = tasks.current(agent.key), call.state(Offers)
    return AgentReply(
        agent=row(call, agent),
        live=status_of(call.hub, agent),
        since=agent.since,
        child_pid=agent.child_pid,
        socket=agent.socket,
        presence="ONLINE" if call.hub.sessions.here(agent.key) else "AWAY",
        task=_line(call, current) if current else None,
        card=offers.card(agent.key) if offers.has_card(agent.key) else None,
        offers=[offer_row(offer, agent, call.at) for offer in offers.of(agent.key)],
        waiting=[_line(call, t) for t in tasks.of(box) if current is None or t.id != current.id],
    )


class SignalRequest(Request, kw_only=True):
    """`action` is stop, kill or interrupt."""

    target: str
    action: str


class SignalReply(Reply, kw_only=True):
    agent_id: str
    name: str
    key: str
    pid: int
    workspace: str


@session("agents.signal", Permission.WRITE)
def signal(call: Call, request: SignalRequest) -> SignalReply:
    """Ask an agent's runner to stop, kill or interrupt it."""
    from msgspec import json

    if request.action not in ("stop", "kill", "interrupt"):
        raise Refused("bad_action", f"{request.action[:20]!r}: use stop, kill or interrupt.")
    _, agent = call.state(Agents).find(request.target, call.workspace)
    runner = call.hub.sessions.runner(agent.key) if agent else None
    if agent is not None and agent.type == EXTERNAL:
        raise Refused(
            "elsewhere",
            f"'{agent.name}' runs elsewhere: there is no program here to {request.action}. `synapse external remove "
            f"{agent.name}` lets go of it.",
        )
    if agent is None or not agent.wrapped:
        raise NotFound("no_such_agent", f"'{request.target}' is not an agent that is running.")
    if runner is None:
        raise Refused("away", f"The runner of {agent.id} (process {agent.pid}) is not connected: try again, or end it.")
    frame = {"jsonrpc": "2.0", "method": request.action, "params": {}}
    call.hub.outbox.tell(call.hub.head, lambda position, what: runner.push(what), json.encode(frame))
    return SignalReply(agent_id=agent.id, name=agent.name, key=agent.key, pid=agent.pid, workspace=agent.workspace)


class StatusRequest(Request, kw_only=True):
    """Nothing."""


class HubStatus(Struct, kw_only=True):
    pid: int
    port: int
    version: str
    data: str
    started_at: float
    head: int
    epoch: int
    connections: int
    agents: int
    tasks: int
    queued: int
    read_only: str
    broken: dict[str, str]
    refusals: dict[str, int]
    start_line: str


class StatusReply(Reply, kw_only=True):
    hub: HubStatus
    sections: list[Part] = field(default_factory=list)


@read("hub.status")
def status(call: Call, request: StatusRequest) -> StatusReply:
    """How the hub is."""
    hub, place = call.hub, call.hub.place
    return StatusReply(
        hub=HubStatus(
            pid=place.pid,
            port=place.port,
            version=__version__,
            data=place.data,
            started_at=place.started_at,
            head=hub.head,
            epoch=hub.epoch,
            connections=place.connections(),
            agents=len(call.state(Agents)),
            tasks=len(call.state(Tasks).live),
            queued=len(call.state(Mailbox)),
            read_only=hub.read_only,
            broken=hub.state.broken | place.failures(),
            refusals=hub.refusals,
            start_line=place.start_line,
        ),
        sections=_parts(call, "sections"),
    )


class ShutdownRequest(Request, kw_only=True):
    """`restart`: the runners are told that another hub comes at once."""

    restart: bool = False


@session("hub.shutdown", Permission.ADMIN)
def shutdown(call: Call, request: ShutdownRequest) -> StatusReply:
    """End the hub in order."""
    reply: StatusReply = status.run(call, StatusRequest())
    call.hub.loop.call_later(0.02, call.hub.place.stop, request.restart)
    return reply


class StateReply(Reply, kw_only=True, omit_defaults=False):
    position: int
    agents: list[AgentRow]
    tasks: list[TaskLine]
    messages: int


@read("state.now")
def state_now(call: Call, request: WhoRequest) -> StateReply:
    """The state now: agents, living tasks, and how many messages wait."""
    agents = _chosen(call, request.workspace)
    boxes = {a.box for a in agents}
    tasks = [t for t in call.state(Tasks).live.values() if t.box in boxes]
    waiting = sum(1 for m in call.state(Mailbox) if m.box in boxes and m.state != TYPING)
    return StateReply(
        position=call.hub.head,
        agents=[row(call, a) for a in agents],
        tasks=[_line(call, t) for t in tasks],
        messages=waiting,
    )


VERBS: tuple[Verb, ...] = (who, list_agents, show, signal, status, shutdown, state_now)
