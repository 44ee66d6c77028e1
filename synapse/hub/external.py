"""Agents elsewhere as targets like any other: the verbs that add them, look at them and let them go.

The network is not here: whoever runs the hub sets `hub.preparations`, by which a card is fetched before a change is
decided, and works on what lies in such an agent's box by the verbs of `external_work`.
"""

from typing import Any

from msgspec import Struct, field, structs

from synapse import ids, names
from synapse.errors import BadRequest, NotFound, Refused, Unavailable
from synapse.hub.agents import EXTERNAL, Agent, Agents
from synapse.hub.ending import end_task, lose_track
from synapse.hub.external_facts import ExternalAdded, ExternalRefreshed, ExternalRemoved, RemoteCard, RemoteSkill
from synapse.hub.external_state import External, Registration
from synapse.hub.facts import Failed, Joined, Left
from synapse.hub.joining import bury
from synapse.hub.looking import status_of
from synapse.hub.loop import Call
from synapse.hub.mailbox import Mailbox
from synapse.hub.messages import SendReply, SendRequest, check, send_one
from synapse.hub.tasks import Tasks
from synapse.verb import Change, Permission, Reply, Request, Verb, change, read

MOST = 100  # agents elsewhere in one workspace
LONGEST_ROLE = 200  # characters
REMOVED = "It is no target here any more: it was removed."


class FoundCard(Struct, frozen=True, kw_only=True):
    """What was fetched before the change is decided; `secret` names the file that holds the credentials."""

    card: RemoteCard
    secret: str = ""
    headers: tuple[str, ...] = ()


def found_card(call: Call) -> FoundCard:
    if not isinstance(call.found, FoundCard):
        raise Unavailable("no_network", "This hub calls nobody: agents elsewhere need a hub that `synapse serve` runs.")
    return call.found


class DiscoverRequest(Change, kw_only=True):
    """`url` is where the agent is, or its card. `headers` are credentials (`Authorization`, `X-API-Key`): they are kept
    apart, and sent to that origin alone; `insecure`: also in clear to another machine. `origin` is where its interface
    may lie beside that. `allow_private`: it may be in a private network."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    origin: str = ""
    allow_private: bool = False
    insecure: bool = False


class AddRequest(DiscoverRequest, kw_only=True):
    """`alias` is what it is called here; without one, after the name on its card."""

    alias: str = ""


class DiscoverReply(Reply, kw_only=True, omit_defaults=False):
    name: str
    description: str
    version: str
    url: str
    endpoint: str
    binding: str
    protocol: str
    streaming: bool
    security: tuple[str, ...] = ()
    skills: tuple[RemoteSkill, ...] = ()


class ExternalRow(DiscoverReply, kw_only=True, omit_defaults=False):
    """`headers` are the names of the credentials that go along; `tasks` are those that it has now."""

    alias: str
    workspace: str
    key: str
    since: float
    status: str
    doing: str
    headers: tuple[str, ...]
    allow_private: bool
    insecure: bool
    queued: int
    tasks: int


@change("external.discover", Permission.ADMIN)
def discover(call: Call, request: DiscoverRequest) -> DiscoverReply:
    """Fetch the card of an agent elsewhere, and tell what it says."""
    return DiscoverReply(**_told(found_card(call).card))


@change("external.add", Permission.ADMIN)
def add(call: Call, request: AddRequest) -> ExternalRow:
    """Make an agent elsewhere (a URL with an A2A card) a target like any other."""
    check_wanted(call, request)
    found = found_card(call)
    name = check_alias(call, request.alias) or _free(call, found.card.name)
    key = "a-" + ids.ulid(call.at)
    joined = Joined(
        key=key, name=name, type=EXTERNAL, id=f"{EXTERNAL}-{name}", chosen=True,
        role=found.card.description[:LONGEST_ROLE],
    )  # fmt: skip
    added = ExternalAdded(
        key=key, url=request.url, card=found.card, origin=request.origin, allow_private=request.allow_private,
        insecure=request.insecure, secret=found.secret, headers=found.headers,
    )  # fmt: skip
    call.emit(joined, key)
    call.emit(added, key)
    return ExternalRow(
        **_told(found.card), alias=name, workspace=call.workspace, key=key, since=call.at, status="READY", doing="",
        headers=found.headers, allow_private=request.allow_private, insecure=request.insecure, queued=0, tasks=0,
    )  # fmt: skip


def check_wanted(call: Call, request: AddRequest) -> None:
    """Refused when it need not even be looked for."""
    external = call.state(External)
    here = [a for a in call.state(Agents) if a.type == EXTERNAL and a.workspace == call.workspace]
    same = next(
        (a for a in here if a.key in external.registered and external.registered[a.key].url == request.url), None
    )
    if same is not None:
        raise Refused("already_there", f"'{same.name}' is that agent: `synapse external refresh {same.name}`.")
    if len(here) >= MOST:
        raise Refused("too_many", f"There are {MOST} agents elsewhere in '{call.workspace}': remove one first.")
    check_alias(call, request.alias)


def check_alias(call: Call, alias: str) -> str:
    """The alias in its one form, "" for none; Refused when somebody has it."""
    return call.state(Agents).check_free(call.workspace, alias) if alias else ""


def _free(call: Call, name: str) -> str:
    """A name after the one on the card that nobody has here."""
    agents = call.state(Agents)
    taken = {a.name for a in agents if a.workspace in (call.workspace, "")}
    fitted = names.fit(name[: names.LENGTH], EXTERNAL)
    if fitted.startswith("synapse-"):
        fitted = f"{EXTERNAL}-{fitted}"[: names.LENGTH]
    return agents.check_free(call.workspace, names.unused(fitted, taken))


def _told(card: RemoteCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "description": card.description,
        "version": card.version,
        "url": card.url,
        "endpoint": card.interface.url,
        "binding": card.interface.binding,
        "protocol": card.interface.version,
        "streaming": card.streaming,
        "security": card.security,
        "skills": card.skills,
    }


def registered(call: Call, alias: str) -> tuple[Agent, Registration]:
    """The agent elsewhere of that name, or NotFound with those that there are."""
    agents, external = call.state(Agents), call.state(External)
    place, _, name = alias.lower().rpartition("/")
    agent = agents.named(place or call.workspace, name) or agents.get(alias)
    there = external.registered.get(agent.key) if agent is not None else None
    if agent is None or there is None:
        known = sorted(a.name for a in agents if a.type == EXTERNAL and a.workspace == call.workspace)
        listed = f"There is {', '.join(known[:20])}." if known else "`synapse external add URL` adds one."
        raise NotFound("no_such_external", f"'{alias[:80]}' is no agent elsewhere in '{call.workspace}'. {listed}")
    return agent, there


def row(call: Call, agent: Agent, there: Registration) -> ExternalRow:
    """How an agent elsewhere is."""
    live = status_of(call.hub, agent)
    return ExternalRow(
        **_told(there.card), alias=agent.name, workspace=agent.workspace, key=agent.key, since=there.since,
        status=live.status, doing=live.preview, headers=there.headers, allow_private=there.allow_private,
        insecure=there.insecure, queued=call.state(Mailbox).queued(agent.box),
        tasks=sum(task.agent == agent.key for task in call.state(Tasks).of(agent.box)),
    )  # fmt: skip


class ListRequest(Request, kw_only=True):
    """`workspace` "" is the caller's, `*` all."""

    workspace: str = ""


class ListReply(Reply, kw_only=True, omit_defaults=False):
    agents: list[ExternalRow] = field(default_factory=list)


@read("external.list")
def list_external(call: Call, request: ListRequest) -> ListReply:
    """The agents elsewhere that are targets here."""
    place, external = request.workspace or call.workspace, call.state(External)
    found = [
        row(call, agent, external.registered[agent.key])
        for agent in call.state(Agents)
        if agent.key in external.registered and place in ("*", agent.workspace)
    ]
    return ListReply(agents=sorted(found, key=lambda one: (one.workspace, one.alias)))


class ShowRequest(Request, kw_only=True):
    alias: str


@read("external.show")
def show(call: Call, request: ShowRequest) -> ExternalRow:
    """One agent elsewhere: what its card says, and how it is."""
    return row(call, *registered(call, request.alias))


class RefreshRequest(Change, kw_only=True):
    """`headers` are new credentials, in place of those before; `forget`: none any more."""

    alias: str
    headers: dict[str, str] = field(default_factory=dict)
    forget: bool = False


@change("external.refresh", Permission.ADMIN)
def refresh(call: Call, request: RefreshRequest) -> ExternalRow:
    """Read the card of an agent elsewhere again; with new credentials, if there are some."""
    agent, there = registered(call, request.alias)
    found = found_card(call)
    call.emit(
        ExternalRefreshed(key=agent.key, card=found.card, secret=found.secret, headers=found.headers),
        agent.key,
        agent.workspace,
    )
    return row(call, agent, structs.replace(there, card=found.card, headers=found.headers))


class RemoveRequest(Change, kw_only=True):
    alias: str


class RemoveReply(Reply, kw_only=True):
    alias: str
    key: str
    position: int


@change("external.remove", Permission.ADMIN)
def remove(call: Call, request: RemoveRequest) -> RemoveReply:
    """Let go of an agent elsewhere: what it works on is called off, what waits for it goes back to who sent it."""
    agent, _ = registered(call, request.alias)
    call.workspace = agent.workspace
    typing = call.state(Mailbox).typing(agent.box)
    if typing is not None:
        lose_track(call, typing, f"{agent.name} was removed while it was sent", "removed", REMOVED)
    for task in call.state(Tasks).of(agent.box):
        if task.agent == agent.key and (typing is None or task.id != typing.task):
            end_task(call, task, Failed, text=REMOVED, reason="removed", source="hub")
    bury(call, agent.box, agent.name)
    call.emit(ExternalRemoved(key=agent.key), agent.key)
    call.emit(Left(key=agent.key, reason="removed"), agent.key)
    return RemoveReply(alias=agent.name, key=agent.key, position=call.reached)


class ExternalSendRequest(Change, kw_only=True):
    """`message` is a synonym of `text`; `mode` is notify, wait or silent, and `wait` a synonym of the second."""

    alias: str
    text: str = ""
    message: str = ""
    blob: str = ""
    priority: int = 3
    mode: str = "notify"
    wait: bool = False


@change("external.send", spill="text")
def send(call: Call, request: ExternalSendRequest) -> SendReply:
    """Send work to an agent elsewhere, and to no other participant that might have the name."""
    agent, _ = registered(call, request.alias)
    if request.text and request.message:
        raise BadRequest("two_texts", "Give the text once: `text` or `message`.")
    sending = SendRequest(
        to=agent.name, text=request.text or request.message, blob=request.blob, priority=request.priority,
        mode="wait" if request.wait else request.mode,
    )  # fmt: skip
    check(sending)
    id = send_one(call, sending, call.state(Agents).get(call.by), agent.box, agent)
    task = id if request.mode != "silent" else ""
    return SendReply(id=id, position=call.reached, task_id=task, to=(agent.name,))


VERBS: tuple[Verb, ...] = (discover, add, list_external, show, refresh, remove, send)
