"""Who somebody is that has come in, and what they may do."""

import os
import pwd
from collections.abc import Callable, Iterable
from functools import cache

from msgspec import DecodeError, Raw, Struct, field, json

from synapse import __version__, names
from synapse.errors import BadRequest, Refused
from synapse.hub.agents import EXTERNAL, Agents
from synapse.hub.facts import Joined
from synapse.hub.loop import Hub
from synapse.hub.sessions import Session
from synapse.hub.workspaces import Workspaces
from synapse.server.platform import Peer
from synapse.verb import Permission

PROTOCOL = 1
BELOW_A_RUNNER = frozenset({Permission.READ, Permission.WRITE})
EVERYTHING = frozenset(Permission)
NAMELESS = "api"  # who somebody is that has neither a name nor the right to speak for the person
ANYWHERE = "default"  # the workspace of who does not say, where it cannot be known


class Hello(Struct, kw_only=True):
    """The first line of a connection: who calls, from where. docs/http.md says what each is for."""

    protocol: int = PROTOCOL
    version: str = ""
    pid: int = 0
    as_name: str = field(default="", name="as")
    agent: str = ""
    user: str = ""
    workspace: str = ""
    folder: str = ""
    runner: bool = False


class Welcome(Struct, kw_only=True):
    """The answer: which hub this is, and how far its log goes."""

    protocol: int
    version: str
    pid: int
    port: int
    head: int
    key: str
    name: str
    workspace: str


_decoder = json.Decoder(Hello)
_members = json.Decoder(dict[str, Raw])
_ALSO = {"from": "as", "name": "as", "as_name": "as"}  # what is meant by other words


def hello_in(params: bytes) -> Hello:
    """What a caller says of itself; BadRequest when it says it wrongly. One of another version may say more than we know."""
    try:
        hello = _decoder.decode(params)
        unknown = _members.decode(params).keys() - set(Hello.__struct_encode_fields__)
    except (DecodeError, UnicodeDecodeError) as error:
        raise BadRequest("bad_request", f"hello: {error}.") from None
    if unknown and hello.version in ("", __version__):
        from difflib import get_close_matches  # only now: quick starts do without it

        wrong, known = min(unknown), list(Hello.__struct_encode_fields__)
        near = _ALSO.get(wrong) or next(iter(get_close_matches(wrong, known, 1)), "")
        hint = f" Did you mean `{near}`?" if near else ""
        raise BadRequest("bad_request", f"hello takes no `{wrong[:80]}`.{hint} It takes {', '.join(known)}.")
    return hello


def check_user(peer: Peer) -> None:
    """Only the user who runs the hub (and root, who may do everything) comes in."""
    if peer.uid not in (os.getuid(), 0):
        raise Refused("other_user", "This hub belongs to another user of this machine.")


def identify(
    hub: Hub,
    hello: Hello,
    session: Session,
    *,
    ancestors: Callable[[int], Iterable[int]],
    granted: frozenset[Permission] | None = None,
) -> None:
    """Fill in the session: which participant this is, in which workspace, and what it may do.

    Below a runner: that agent, whatever the call says. Else the agent that the environment names. Else `--from`: the
    participant of that name, who joins as a plain client on first use. Else the person. Runners, what runs below
    them, and a process that the kernel cannot name have no permission that is meant for a person.

    `granted` is what somebody who came by TCP may do at most; without `admin` it speaks for plain clients only.
    """
    most = granted if granted is not None else EVERYTHING if session.pid else BELOW_A_RUNNER
    if hello.protocol != PROTOCOL:
        raise Refused("protocol", f"This hub speaks protocol {PROTOCOL}: `synapse restart` after an upgrade.")
    session.user = names.fit(hello.user or _login(session.uid), "person-1")
    _place(hub, hello, session)
    if hello.runner:
        session.permissions = BELOW_A_RUNNER & most
        return
    agents = hub.state.get(Agents)
    below = runner_above(hub, session.pid, ancestors)
    inside = below or _agent_of(agents, hello.agent)
    session.permissions = BELOW_A_RUNNER & most if inside else most
    if inside:
        agent = agents.get(inside)
        assert agent is not None
        if hello.as_name and hello.as_name not in (agent.name, agent.id, agent.label):
            raise Refused("not_you", f"You are '{agent.name}': inside an agent --from names nobody else.")
        session.key, session.workspace, session.folder = inside, agent.workspace, ""
    elif hello.agent:
        raise Refused("agent_gone", f"SYNAPSE_AGENT_ID is {hello.agent[:80]}, and that agent is not here any more.")
    else:
        _by_name(agents, hello, session, anybody=granted is None or Permission.ADMIN in granted)


@cache
def _login(uid: int) -> str:
    """The login name of a user id; asking for it reads files, and every request over HTTP wants it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _place(hub: Hub, hello: Hello, session: Session) -> None:
    if hello.workspace:
        session.workspace = names.check_name(hello.workspace)
    elif hello.folder:
        if not hello.folder.startswith("/") or len(hello.folder) > 4096:
            raise BadRequest("bad_folder", "folder: an absolute path.")
        workspaces = hub.state.get(Workspaces)
        session.workspace = workspaces.of(hello.folder)
        session.folder = "" if workspaces.known(hello.folder) else hello.folder


def runner_above(hub: Hub, pid: int, ancestors: Callable[[int], Iterable[int]]) -> str:
    """The agent whose runner is an ancestor of the process."""
    by_pid = {runner.pid: runner.runner_of for runner in hub.sessions.runners() if runner.pid}
    if not by_pid or not pid:
        return ""
    return next((by_pid[above] for above in ancestors(pid) if above in by_pid), "")


def _agent_of(agents: Agents, id: str) -> str:
    if not id:
        return ""
    here = (agent for agent in agents if agent.type != EXTERNAL)
    return next((agent.key for agent in here if agent.id == id or agent.key == id), "")


def _by_name(agents: Agents, hello: Hello, session: Session, *, anybody: bool) -> None:
    if hello.as_name.lower() == session.user and anybody:
        hello.as_name = ""  # a person who names themselves
    if hello.as_name or not anybody:
        name, workspace, kind = names.check_name(hello.as_name or NAMELESS), session.workspace, "client"
    else:
        name, workspace, kind = session.user, "", "person"
    there = agents.named(workspace, name)
    if there is not None and not anybody and there.type != kind:
        raise Refused("not_you", f"'{name}' is not a plain client: to speak as somebody else takes the scope 'admin'.")
    if there is not None and there.type == EXTERNAL:
        raise Refused("not_you", f"'{name}' is an agent elsewhere, which speaks for itself: choose another name.")
    if there is not None:
        session.key = there.key
    else:
        session.wanted = Joined(key="", name=name, type=kind, id=name, chosen=True)


def usual_workspace(hub: Hub, name: str) -> str:
    """The workspace of a caller that names none: where its name is, else the only one with agents, else `default`."""
    agents = hub.state.get(Agents)
    named = {agent.workspace for agent in agents if agent.name == name and agent.workspace} if name else ()
    found = named or {agent.workspace for agent in agents if agent.wrapped}
    return next(iter(found)) if len(found) == 1 else ANYWHERE


def welcome(hub: Hub, session: Session, version: str) -> Welcome:
    """What a newcomer is told."""
    agent = hub.state.get(Agents).get(session.key)
    name = agent.name if agent else session.wanted.name if session.wanted else ""
    return Welcome(
        protocol=PROTOCOL,
        version=version,
        pid=hub.place.pid,
        port=hub.place.port,
        head=hub.outbox.committed,
        key=session.key,
        name=name,
        workspace=session.workspace,
    )
