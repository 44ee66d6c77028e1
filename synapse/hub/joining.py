"""Coming, being there and going: the verbs about participants."""

import msgspec
from msgspec import field

from synapse import ids, names
from synapse.errors import BadRequest, NotFound, Refused
from synapse.hub.agents import CLIENT, EXTERNAL, PERSON, SPARE_PORTS, Agent, Agents
from synapse.hub.ending import answer_requester, end_task, lose_track
from synapse.hub.facts import DeadLettered, Failed, Joined, Left, Rejected, Renamed, Started, WorkspaceNamed
from synapse.hub.loop import Call, Hub
from synapse.hub.mailbox import Mailbox
from synapse.hub.sessions import Live, Session
from synapse.hub.tasks import Tasks
from synapse.hub.workspaces import Workspaces
from synapse.verb import Change, Permission, Reply, Request, Verb, Wait, change, session, wait

AT_ONCE = 200  # messages that one record buries: with what is told to their senders, some 300 kB


class AdmitRequest(Change, kw_only=True):
    """Nothing: who is admitted is what the session says."""


class AgentReply(Reply, kw_only=True):
    key: str
    name: str
    id: str
    workspace: str
    port: int
    position: int


@change("agents.admit", internal=True, anonymous=True)
def admitted(call: Call, request: AdmitRequest) -> AgentReply:
    """Record a participant's stay and its folder's name before its first change."""
    agents, workspaces, who = call.state(Agents), call.state(Workspaces), call.session
    if who.folder:
        name = workspaces.of(who.folder)
        if not workspaces.known(who.folder):
            call.emit(WorkspaceNamed(path=who.folder, name=name), who.folder, name)
        call.workspace = name
    wanted = who.wanted
    if who.key or wanted is None:
        return AgentReply(key=who.key, name="", id="", workspace=call.workspace, port=0, position=call.reached)
    workspace = "" if wanted.type == PERSON else call.workspace
    name = names.check_name(wanted.name)
    there = agents.named(workspace, name)
    key = there.key if there else "a-" + ids.ulid(call.at)
    if there is None:
        call.by = key
        call.emit(msgspec.structs.replace(wanted, key=key, name=name), key, workspace)
    return AgentReply(key=key, name=wanted.name, id=wanted.id, workspace=call.workspace, port=0, position=call.reached)


def admit(hub: Hub, session: Session) -> None:
    """Join a plain client or a person on first use: a record of its own, just before the one it asks for."""
    admitted_ = hub.decide(session, admitted, AdmitRequest())
    session.admitted = (session.folder, session.wanted)
    session.workspace, session.folder = admitted_.workspace, ""
    if not session.key:
        session.key, session.wanted = admitted_.key, None
        hub.sessions.add(session)


def forget_admissions(hub: Hub) -> None:
    """After a new fold: whoever was admitted by a record that is lost is admitted again with its next change."""
    agents, workspaces = hub.state.get(Agents), hub.state.get(Workspaces)
    for who in list(hub.sessions):
        if who.admitted is None:
            continue
        folder, wanted = who.admitted
        if folder and not workspaces.known(folder):
            who.folder = folder
        if wanted is not None and agents.get(who.key) is None:
            hub.sessions.unkey(who)
            who.key, who.wanted = "", wanted


class JoinRequest(Change, kw_only=True):
    """`ports` is the profile's range, `port` a wish; `pid_start` tells a process from a later one with the same number."""

    profile: str
    name: str = ""
    role: str = ""
    skill_set: str = ""
    workspace: str = ""
    folder: str = ""
    cwd: str = ""
    pid: int = 0
    pid_start: str = ""
    ports: tuple[int, int] = SPARE_PORTS
    port: int = 0


@change("agents.join", anonymous=True)
def join(call: Call, request: JoinRequest) -> AgentReply:
    """Begin an agent's stay: it gets a key, a name, an id and a port."""
    agents, workspaces = call.state(Agents), call.state(Workspaces)
    profile = names.check_name(request.profile)
    if profile in (CLIENT, EXTERNAL):
        raise BadRequest("reserved_name", f"A profile cannot be called '{profile}': choose another name.")
    workspace = names.check_name(request.workspace) if request.workspace else workspaces.of(request.folder)
    first, last = request.ports
    if not (1024 <= first <= last <= 65535) or not (request.port == 0 or 1024 <= request.port <= 65535):
        raise BadRequest("bad_port", "Agent ports lie between 1024 and 65535.")
    port = agents.free_port(first, last, request.port, call.hub.place.take)
    if request.name:
        name = agents.check_free(workspace, request.name)
    else:
        name = f"{profile}-{port}"
        if agents.named(workspace, name) is not None:
            raise Refused("name_taken", f"'{name}' is somebody's chosen name: give --name.")
    key = call.by = "a-" + ids.ulid(call.at)
    if not request.workspace and request.folder and not workspaces.known(request.folder):
        call.emit(WorkspaceNamed(path=request.folder, name=workspace), request.folder, workspace)
    id = f"synapse-{profile}-{port}"
    call.emit(
        Joined(
            key=key,
            name=name,
            type=profile,
            id=id,
            chosen=bool(request.name),
            port=port,
            role=request.role,
            skill_set=request.skill_set,
            cwd=request.cwd,
            pid=request.pid if call.session.pid else 0,  # of another machine it means nothing here
            pid_start=request.pid_start,
        ),
        key,
        workspace,
    )
    return AgentReply(key=key, name=name, id=id, workspace=workspace, port=port, position=call.reached)


class AttachRequest(Request, kw_only=True):
    key: str
    live: Live = field(default_factory=Live)


@session("agents.attach", Permission.WRITE, lasting=True)
def attach(call: Call, request: AttachRequest) -> AgentReply:
    """Say that this connection is the runner of an agent, from now on, and how the agent is."""
    agent = call.state(Agents).get(request.key)
    if agent is None:
        raise NotFound("no_such_agent", "That stay is over: join again.")
    who = call.session
    if who.pid and agent.pid and who.pid != agent.pid:
        raise Refused("not_you", f"{agent.id} is run by process {agent.pid}, not by you.")
    call.hub.sessions.run(who, agent.key)
    who.workspace, who.folder, who.wanted = agent.workspace, "", None
    who.permissions = frozenset({Permission.READ, Permission.WRITE})
    who.live, who.offered = request.live, set()
    call.hub.presence(agent.key)
    call.hub.touch(agent.key, agent.box)
    call.hub.watching.attached(agent.key)
    return _described(agent, call)


def _described(agent: Agent, call: Call) -> AgentReply:
    return AgentReply(
        key=agent.key, name=agent.name, id=agent.id, workspace=agent.workspace, port=agent.port, position=call.reached
    )


class StartedRequest(Change, kw_only=True):
    child_pid: int
    child_start: str = ""
    socket: str = ""


@change("agents.started")
def started(call: Call, request: StartedRequest) -> AgentReply:
    """A runner has started its agent's program: its process, and where its terminal is attached."""
    agent = call.state(Agents).get(call.by)
    if agent is None:
        raise NotFound("not_joined", "You are not here any more.")
    call.emit(
        Started(key=agent.key, child_pid=request.child_pid, child_start=request.child_start, socket=request.socket),
        agent.key,
        agent.workspace,
    )
    return _described(agent, call)


class Nothing(Reply, kw_only=True, omit_defaults=False):
    ok: bool = True


@session("agents.report", Permission.WRITE, lasting=True)
def report(call: Call, request: Live) -> Nothing:
    """Tell how the agent of this runner is now."""
    if not call.session.runner_of:
        raise Refused("not_a_runner", "Only a runner reports its agent's status.")
    call.session.live = request
    call.hub.presence(call.session.runner_of)
    return Nothing()


class LeaveRequest(Change, kw_only=True):
    """`status` is the child's exit status where it has one."""

    reason: str = "stopped"
    text: str = ""


@change("agents.leave")
def leave(call: Call, request: LeaveRequest) -> AgentReply:
    """End one's stay: port and name are free, an agent's task says why. An agent's own runner alone does it."""
    agent = call.state(Agents).get(call.by)
    if agent is None:
        raise NotFound("not_joined", "You are not here any more.")
    if agent.wrapped and call.session.runner_of != agent.key:
        raise Refused("not_a_runner", f"An agent's stay ends with its program: `synapse stop {agent.name}`.")
    depart(call, agent, request.reason, request.text or "The agent was stopped.")
    return _described(agent, call)


def depart(call: Call, agent: Agent, reason: str, text: str) -> None:
    """End a stay: what is being typed has an unknown outcome, the task at hand failed; the queue is looked after later."""
    message = call.state(Mailbox).typing(agent.box)
    task = call.state(Tasks).current(agent.key)
    if message is not None:
        lose_track(call, message, f"{agent.name} left while it was typed", reason, text)
    if task is not None and (message is None or task.id != message.task):
        end_task(call, task, Failed, text=text, reason=reason, source="hub")
    call.emit(Left(key=agent.key, reason=reason), agent.key, agent.workspace)


def bury(call: Call, box: str, owner: str) -> bool:
    """Dead-letter the mail of an automatic name whose agent left; True when there is more than fits one record."""
    mail, tasks = call.state(Mailbox).of(box), call.state(Tasks)
    told = f"{owner} left before it could take this."
    for message in mail[:AT_ONCE]:
        call.emit(DeadLettered(id=message.id, box=box, sender=message.sender, reason="agent_gone"), message.id)
        task = tasks.live.get(message.task)
        if task is not None:
            end_task(call, task, Rejected, text=told, reason="agent_gone", source="hub")
        elif message.role == "note":
            answer_requester(call, message.sender, told, message.id, role="notification")
    return len(mail) > AT_ONCE


class HereRequest(Change, kw_only=True):
    """Nothing: who it is about is the caller."""


@change("agents.here")
def here(call: Call, request: HereRequest) -> Nothing:
    """Be known: whoever asks for a change joins first, and can be written to from then on."""
    return Nothing()


class GoneRequest(Wait, kw_only=True):
    key: str


@wait("agents.wait_gone", watches=lambda call, request: (request.key,))
def wait_gone(call: Call, request: GoneRequest) -> Nothing | None:
    """Wait until a stay is over."""
    return Nothing() if call.state(Agents).get(request.key) is None else None


class RenameRequest(Change, kw_only=True):
    """`target` "" is the caller; `clear` goes back to the automatic name."""

    name: str = ""
    target: str = ""
    clear: bool = False


@change("agents.rename")
def rename(call: Call, request: RenameRequest) -> AgentReply:
    """Give an agent another name; its mail moves with it."""
    agents = call.state(Agents)
    agent = agents.get(call.by) if not request.target else agents.find(request.target, call.workspace)[1]
    if agent is None or not agent.takes_work:
        raise NotFound("no_such_agent", "Only an agent that is here can be renamed.")
    if request.clear and not agent.wrapped:
        raise Refused("no_other_name", f"'{agent.name}' has no automatic name: give it another one.")
    if agent.key != call.by and not call.session.admin:
        raise Refused("not_permitted", "An agent renames only itself.")
    name = f"{agent.type}-{agent.port}" if request.clear else names.check_name(request.name)
    if name != agent.name:
        name = agents.check_free(agent.workspace, name, agent.key)
    changed = msgspec.structs.replace(agent, name=name, chosen=not request.clear)
    if changed != agent:
        call.emit(
            Renamed(key=agent.key, name=name, chosen=changed.chosen, old_box=agent.box, box=changed.box),
            agent.key,
            agent.workspace,
        )
    return _described(changed, call)


VERBS: tuple[Verb, ...] = (admitted, join, started, attach, report, here, leave, wait_gone, rename)
