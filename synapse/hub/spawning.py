"""Starting agents from the hub: one, or a team.

Processes are not here: whoever runs the hub sets `hub.preparations`, by which the agents are started before the change
is decided. What is decided is only to say so, and to give the first task.
"""

from msgspec import Struct, structs

from synapse import ids, names
from synapse.errors import BadRequest, Refused, SynapseError, Unavailable
from synapse.event import encode
from synapse.hub.agents import Agent, Agents
from synapse.hub.facts import Spawned
from synapse.hub.looking import status_of
from synapse.hub.loop import Call
from synapse.hub.messages import SendRequest, send_one
from synapse.hub.workspaces import Workspaces
from synapse.teams import member
from synapse.verb import INLINE, Change, Permission, Reply, Verb, change

MOST = 16  # agents of one team
LONGEST_PATH, LONGEST_ROLE = 4096, 16_384  # characters


class Wanted(Struct, frozen=True, kw_only=True):
    """An agent that is to be started. `worktree` is None for none, "" for a new one; `cwd` "" is left to the hub."""

    profile: str
    name: str = ""
    role: str = ""
    skill_set: str = ""
    port: int = 0
    worktree: str | None = None
    workspace: str = ""
    cwd: str = ""


class Begun(Struct, kw_only=True):
    """The stay of an agent that was started. `told`: that is written down, with its first task; those who asked for it
    under one key at the same time share this."""

    key: str
    name: str
    id: str
    workspace: str
    port: int
    task: str = ""
    told: bool = False


class PlaceRequest(Change, kw_only=True):
    """Where agents are started: in the folder `cwd` (or `working_dir`: an absolute path), else in the workspace's own; in
    the workspace `workspace`, else in that of the folder."""

    workspace: str = ""
    cwd: str = ""
    working_dir: str = ""


class SpawnRequest(PlaceRequest, kw_only=True):
    """`profile` is a profile's name, or a saved agent's. `worktree` is true for a new one, or the name of one. `task` (or
    `message`) is its first task. `cwd` (or `working_dir`) is the folder it starts in, an absolute path: else the
    workspace's own. `workspace` is where it is: else the one of that folder."""

    profile: str
    name: str = ""
    role: str = ""
    skill_set: str = ""
    worktree: str | bool = False
    port: int = 0
    task: str = ""
    message: str = ""


class SpawnReply(Reply, kw_only=True, omit_defaults=False):
    """`status` is the agent's own, STARTING at first; `task_id` is "" without a first task."""

    key: str
    name: str
    id: str
    workspace: str
    port: int
    status: str
    task_id: str
    position: int


@change("agents.spawn", Permission.PERSON)
def spawn(call: Call, request: SpawnRequest) -> SpawnReply:
    """Start an agent in the background, and give it its first task."""
    if not isinstance(call.found, Begun):
        raise _nobody_starts()
    begun, text = call.found, request.task or request.message
    agent = _here(call, begun)
    if not begun.told and text:
        send = SendRequest(to=agent.key, text=text)
        begun.task = send_one(call, send, call.state(Agents).get(call.by), agent.box, agent)
    _tell(call, agent, begun, request.profile, sum_of(request))
    return SpawnReply(
        key=agent.key, name=agent.name, id=agent.id, workspace=agent.workspace, port=agent.port,
        status=status_of(call.hub, agent).status, task_id=begun.task, position=call.reached,
    )  # fmt: skip


def _nobody_starts() -> Unavailable:
    return Unavailable("no_starter", "This hub starts nobody: for that it needs to be one that `synapse serve` runs.")


def _tell(call: Call, agent: Agent, begun: Begun, profile: str, asked: str) -> None:
    """Write down that the hub has started it, once."""
    if not begun.told:
        fact = Spawned(key=agent.key, profile=profile, task=begun.task, asked=asked)
        call.emit(fact, agent.key, agent.workspace)
    begun.told = True


def sum_of(request: Change) -> str:
    """A sum by which a request under the same key is known to be the same, also from another workspace."""
    return ids.fingerprint(encode(structs.replace(request, idempotency_key="", idem_key=""))).hex()


def _here(call: Call, begun: Begun) -> Agent:
    agent = call.state(Agents).get(begun.key)
    if agent is None:
        raise Refused(
            "ended_at_once",
            f"{begun.name} has ended: `synapse logs --screen {begun.name}` shows what it said.",
            name=begun.name,
            id=begun.id,
        )
    return agent


class TeamRequest(PlaceRequest, kw_only=True):
    """`agents` are specifications, `profile:name:role:skill_set:port`; all but the first part may be left out. `worktree`:
    each in a new one. `cwd` (or `working_dir`) is the folder they start in, an absolute path: else the workspace's own.
    `workspace` is where they are: else the one of that folder."""

    agents: tuple[str, ...]
    worktree: bool = False


class MemberReply(Reply, kw_only=True, omit_defaults=False):
    """What became of one: with `started` who it is and how; else `code` and `error`, which say why not."""

    spec: str
    started: bool
    key: str = ""
    name: str = ""
    id: str = ""
    workspace: str = ""
    port: int = 0
    status: str = ""
    code: str = ""
    error: str = ""


class TeamReply(Reply, kw_only=True, omit_defaults=False):
    """One for each specification, in their order; `started` is how many were started."""

    agents: list[MemberReply]
    started: int
    position: int


@change("agents.spawn_team", Permission.PERSON)
def spawn_team(call: Call, request: TeamRequest) -> TeamReply:
    """Start several agents in the background; one that cannot be started hinders none of the others."""
    if not isinstance(call.found, list):
        raise _nobody_starts()
    asked = sum_of(request)
    rows = [_row(call, spec, asked, found) for spec, found in zip(request.agents, call.found, strict=True)]
    return TeamReply(agents=rows, started=sum(row.started for row in rows), position=call.reached)


def _row(call: Call, spec: str, asked: str, found: Begun | SynapseError) -> MemberReply:
    try:
        if isinstance(found, SynapseError):
            raise found
        agent = _here(call, found)
    except SynapseError as error:
        return MemberReply(spec=spec, started=False, code=error.code, error=error.sentence)
    _tell(call, agent, found, member(spec).profile, asked)
    return MemberReply(
        spec=spec, started=True, key=agent.key, name=agent.name, id=agent.id, workspace=agent.workspace,
        port=agent.port, status=status_of(call.hub, agent).status,
    )  # fmt: skip


# -- what is wanted, before anybody is started


def wanted(call: Call, request: SpawnRequest) -> Wanted:
    """The agent that a request asks for; BadRequest when it cannot be."""
    workspace, cwd = _place(call, request)
    _same("task", request.task, "message", request.message)
    text = request.task or request.message
    if text and not text.strip():
        raise BadRequest("no_text", "The task says nothing: give it a text, or leave it out.")
    if len(text) > INLINE:
        raise BadRequest("too_large", f"A first task is up to {INLINE} characters: send a longer one when it is there.")
    tree = request.worktree
    return _checked(
        Wanted(
            profile=request.profile,
            name=names.check_name(request.name) if request.name else "",
            role=request.role,
            skill_set=request.skill_set,
            port=request.port,
            worktree=names.check_name(tree) if isinstance(tree, str) and tree else "" if tree is True else None,
            workspace=workspace,
            cwd=cwd,
        )
    )


def wanted_team(call: Call, request: TeamRequest) -> list[Wanted | SynapseError]:
    """The agents that a request asks for, or what is wrong with each."""
    if not request.agents:
        raise BadRequest("no_agents", 'Say whom: {"agents": ["claude", "codex:tester"]} starts two.')
    if len(request.agents) > MOST:
        raise BadRequest("too_many", f"{len(request.agents)} agents: up to {MOST} in one team.")
    workspace, cwd = _place(call, request)
    found: list[Wanted | SynapseError] = []
    for spec in request.agents:
        try:
            told = member(spec)
            one = Wanted(
                profile=told.profile, name=told.name, role=told.role, skill_set=told.skill_set, port=told.port,
                worktree="" if request.worktree else None, workspace=workspace, cwd=cwd,
            )  # fmt: skip
            found.append(_checked(one))
        except SynapseError as error:
            found.append(error)
    return found


def _checked(one: Wanted) -> Wanted:
    if not one.profile or len(one.profile) > names.LENGTH:
        raise BadRequest("no_profile", "Say what to start: `profile` is a profile's name, or a saved agent's.")
    if one.role.startswith("@"):
        raise BadRequest("bad_role", "`@file` is for the command line: say the role itself.")
    if len(one.role) > LONGEST_ROLE or len(one.skill_set) > LONGEST_ROLE:
        raise BadRequest("too_large", f"A role and a skill set are up to {LONGEST_ROLE} characters.")
    if one.port and not 1024 <= one.port <= 65535:
        raise BadRequest("bad_port", "Agent ports lie between 1024 and 65535.")
    return one


def _place(call: Call, request: PlaceRequest) -> tuple[str, str]:
    """The workspace ("": that of the folder) and the folder ("": the hub's own)."""
    _same("cwd", request.cwd, "working_dir", request.working_dir)
    cwd = request.cwd or request.working_dir
    if cwd and (not cwd.startswith("/") or "\0" in cwd or len(cwd) > LONGEST_PATH):
        raise BadRequest("bad_folder", f"cwd: an absolute path, not {cwd[:80]!r}.")
    workspace = names.check_name(request.workspace) if request.workspace else ""
    if cwd:
        return workspace, cwd
    cwd = _folder(call, workspace or call.workspace)
    return (workspace or call.workspace if cwd else workspace), cwd


def _folder(call: Call, workspace: str) -> str:
    """The workspace's folder, else that of the agent that is there longest; "" when neither is."""
    there = (agent.cwd for agent in call.state(Agents) if agent.wrapped and agent.workspace == workspace)
    return call.state(Workspaces).folder(workspace) or next(there, "")


def _same(one: str, value: str, other: str, synonym: str) -> None:
    if value and synonym and value != synonym:
        raise BadRequest("bad_request", f"`{one}` and `{other}` mean the same: say one of them.")


VERBS: tuple[Verb, ...] = (spawn, spawn_team)
