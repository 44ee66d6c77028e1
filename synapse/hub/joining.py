"""Coming, being there and going: the verbs about participants."""

import msgspec
from msgspec import field

from synapse import ids, names
from synapse.errors import BadRequest, NotFound, Refused
from synapse.hub.agents import SPARE_PORTS, Agent, Agents
from synapse.hub.ending import answer_requester, end_task
from synapse.hub.facts import DeadLettered, Failed, Joined, Left, OutcomeUnknown, Rejected, Renamed, WorkspaceNamed
from synapse.hub.loop import Call, Hub
from synapse.hub.mailbox import TYPING, Mailbox
from synapse.hub.sessions import Live, Session
from synapse.hub.tasks import Task, Tasks
from synapse.hub.workspaces import Workspaces
from synapse.verb import Change, Permission, Reply, Request, Verb, change, session

AT_ONCE = 300  # events of one record about the mail of somebody who left


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
        return AgentReply(key=who.key, name="", id="", workspace=call.workspace, port=0, position=call.position)
    workspace = "" if wanted.type == "person" else call.workspace
    there = agents.named(workspace, wanted.name)
    key = there.key if there else "a-" + ids.ulid(call.at)
    if there is None:
        call.by = key
        call.emit(msgspec.structs.replace(wanted, key=key), key, workspace)
    return AgentReply(key=key, name=wanted.name, id=wanted.id, workspace=call.workspace, port=0, position=call.position)


def admit(hub: Hub, session: Session) -> None:
    """Join a plain client or a person on first use: a record of its own, just before the one it asks for."""
    admitted_ = hub.decide(session, admitted, AdmitRequest())
    session.workspace, session.folder = admitted_.workspace, ""
    if not session.key:
        session.key, session.wanted = admitted_.key, None
        hub.sessions.add(session)


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
    child_pid: int = 0
    child_start: str = ""
    ports: tuple[int, int] = SPARE_PORTS
    port: int = 0


@change("agents.join", anonymous=True)
def join(call: Call, request: JoinRequest) -> AgentReply:
    """Begin an agent's stay: it gets a key, a name, an id and a port."""
    agents, workspaces = call.state(Agents), call.state(Workspaces)
    profile = names.check_name(request.profile)
    workspace = names.check_name(request.workspace) if request.workspace else workspaces.of(request.folder)
    first, last = request.ports
    if not (1024 <= first <= last <= 65535) or not (request.port == 0 or 1024 <= request.port <= 65535):
        raise BadRequest("bad_port", "Agent ports lie between 1024 and 65535.")
    port = agents.free_port(first, last, request.port)
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
            pid=request.pid,
            pid_start=request.pid_start,
            child_pid=request.child_pid,
            child_start=request.child_start,
        ),
        key,
        workspace,
    )
    return AgentReply(key=key, name=name, id=id, workspace=workspace, port=port, position=call.position)


class AttachRequest(Request, kw_only=True):
    key: str
    live: Live = field(default_factory=Live)


@session("agents.attach", Permission.WRITE)
def attach(call: Call, request: AttachRequest) -> AgentReply:
    """Say that this connection is the runner of an agent, from now on, and how the agent is."""
    agent = call.state(Agents).get(request.key)
    if agent is None:
        raise NotFound("no_such_agent", "That stay is over: join again.")
    if call.session.pid and agent.pid and call.session.pid != agent.pid:
        raise Refused("not_you", f"{agent.id} is run by process {agent.pid}, not by you.")
    who, sessions = call.session, call.hub.sessions
    who.key, who.workspace, who.folder, who.wanted = agent.key, agent.workspace, "", None
    who.permissions = frozenset({Permission.READ, Permission.WRITE})
    who.live, who.offered = request.live, set()
    sessions.run(who, agent.key)
    call.hub.touch(agent.key, agent.box)
    return _described(agent, call)


def _described(agent: Agent, call: Call) -> AgentReply:
    return AgentReply(
        key=agent.key, name=agent.name, id=agent.id, workspace=agent.workspace, port=agent.port, position=call.hub.head
    )


class Nothing(Reply, kw_only=True):
    ok: bool = True


@session("agents.report", Permission.WRITE)
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
    """End this agent's stay; its port and name are free, its task says why."""
    agent = call.state(Agents).get(call.by)
    if agent is None:
        raise NotFound("not_joined", "You are not here any more.")
    depart(call, agent, request.reason, request.text or "The agent was stopped.")
    return _described(agent, call)


def depart(call: Call, agent: Agent, reason: str, text: str) -> None:
    """End a stay: what is being typed has an unknown outcome, the task at hand failed; the queue is looked after later."""
    tasks, mailbox = call.state(Tasks), call.state(Mailbox)
    ended: set[str] = set()
    for message in mailbox.of(agent.box):
        if message.state == TYPING:
            call.emit(OutcomeUnknown(id=message.id, box=agent.box, sender=message.sender, reason=reason), message.id)
            _fail(call, tasks.live.get(message.task), ended, reason, text)
    _fail(call, tasks.current(agent.key), ended, reason, text)
    call.emit(Left(key=agent.key, reason=reason), agent.key, agent.workspace)


def _fail(call: Call, task: Task | None, ended: set[str], reason: str, text: str) -> None:
    if task is not None and task.id not in ended:
        ended.add(task.id)
        end_task(call, task, Failed, text=text, reason=reason, source="hub")


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
    if agent is None or not agent.wrapped:
        raise NotFound("no_such_agent", "Only an agent that is here can be renamed.")
    if agent.key != call.by and not call.session.admin:
        raise Refused("not_permitted", "An agent renames only itself.")
    name = f"{agent.type}-{agent.port}" if request.clear else names.check_name(request.name)
    if name != agent.name:
        name = agents.check_free(agent.workspace, name)
    changed = msgspec.structs.replace(agent, name=name, chosen=not request.clear)
    if changed != agent:
        call.emit(
            Renamed(key=agent.key, name=name, chosen=changed.chosen, old_box=agent.box, box=changed.box),
            agent.key,
            agent.workspace,
        )
    return _described(changed, call)


VERBS: tuple[Verb, ...] = (admitted, join, attach, report, leave, rename)
