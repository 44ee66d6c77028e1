"""Push configurations: who wants to be called when one task changes (A2A 1.0 §3.1.7-3.1.10, §4.3)."""

import re
from collections.abc import Callable
from dataclasses import replace

from msgspec import field

from synapse import ids
from synapse.errors import BadRequest, NotFound, Refused
from synapse.hub.addresses import Reach, header, parse
from synapse.hub.agents import Agents
from synapse.hub.callback_facts import PushConfigured, PushRemoved
from synapse.hub.callbacks import Callbacks, Config
from synapse.hub.loop import Call, Hub, Prepare
from synapse.hub.secrets import keep, reveal
from synapse.hub.sessions import Session
from synapse.hub.tasks import Tasks
from synapse.log.base import Log
from synapse.verb import Change, Reply, Request, Verb, change, query, read

LONGEST = 256  # characters of an id
LONGEST_SECRET = 8192  # characters of a token, of credentials
MOST = 1000  # of one task
MOST_IN_ALL = 100_000
PAGE = 100
VERSIONS = ("1.0", "0.3")
_SCHEME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}\Z")
_ID = re.compile(rf"[^\x00-\x1f\x7f]{{1,{LONGEST}}}\Z")
Fetched = Callable[[Log], "PushConfig"]


def own_ports(hub: Hub) -> frozenset[int]:
    """The ports of this machine that are the hub's and its agents'."""
    return frozenset({hub.place.port, *(agent.port for agent in hub.state.get(Agents))} - {0})


def reach(hub: Hub, base: Reach) -> Reach:
    """How far a call may go now."""
    return replace(base, own=own_ports(hub))


class CheckRequest(Request, kw_only=True):
    """As of `push.set`, before there is a task."""

    url: str
    id: str = ""
    token: str = ""
    scheme: str = ""
    credentials: str = ""


class CheckReply(Reply, kw_only=True):
    url: str


@read("push.check")
def check_push(call: Call, request: CheckRequest) -> CheckReply:
    """Can somebody be called there with these credentials? Nothing is looked up, nobody is called."""
    _secrets(request.token, request.scheme, request.credentials)
    return CheckReply(url=_check(call, request.url, request.id))


def _check(call: Call, url: str, id: str) -> str:
    if id and not _ID.match(id):
        raise BadRequest("bad_id", f"An id is up to {LONGEST} visible characters.")
    found = parse(url)
    reach(call.hub, call.hub.place.push).check(found.raw_host or "", found.port or 0)
    return url


def _secrets(token: str, scheme: str, credentials: str) -> dict[str, str]:
    if len(token) > LONGEST_SECRET or len(credentials) > LONGEST_SECRET:
        raise BadRequest("too_large", f"A token and credentials are up to {LONGEST_SECRET} characters each.")
    if scheme and not _SCHEME.match(scheme):
        raise BadRequest("bad_header", "That is no authentication scheme: one word, like Bearer.")
    return {"token": header("token", token), "credentials": header("credentials", credentials)}


class SetPushRequest(Change, kw_only=True):
    """Without an `id` the hub makes one. `version` is that of A2A in which it is told; `since` is a position: what has
    happened to the task behind it is told too."""

    task: str
    url: str
    id: str = ""
    token: str = ""
    scheme: str = ""
    credentials: str = ""
    version: str = "1.0"
    since: int = 0


class SetPushReply(Reply, kw_only=True):
    id: str
    task: str
    url: str
    position: int
    scheme: str = ""


@change("push.set")
def set_push(call: Call, request: SetPushRequest) -> SetPushReply:
    """Have a URL called when a task changes, once or more for each change, in order."""
    ended, owner = _task(call, request.task)
    url = _check(call, request.url, request.id)
    if request.version not in VERSIONS:
        raise BadRequest("bad_version", f"version: one of {', '.join(VERSIONS)}.")
    callbacks = call.state(Callbacks)
    there = callbacks.configs.get(request.task, {})
    if request.id not in there and (len(there) >= MOST or callbacks.configured >= MOST_IN_ALL):
        raise Refused("too_many", f"Up to {MOST} push configurations of one task: delete some.")
    id = request.id or "p-" + ids.ulid(call.at)
    owed = callbacks.changes(request.task, request.since) if request.since else ()
    before = there.get(id)
    pending = before.owed if before is not None else []
    call.emit(
        PushConfigured(
            task=request.task,
            id=id,
            url=url,
            owner=owner,
            scheme=request.scheme,
            secrets=call.found or "",
            version=request.version,
            owed=owed,
            over=ended and not owed and not pending,
            spent=before.secrets if before is not None else "",
        ),
        request.task,
    )
    return SetPushReply(id=id, task=request.task, url=url, position=call.reached, scheme=request.scheme)


def _task(call: Call, id: str) -> tuple[bool, str]:
    """Whether a task of the caller's has ended, and the caller's box; NotFound also for what is somebody else's."""
    tasks, mine = call.state(Tasks), call.state(Agents).box_of(call.session)
    found = tasks.live.get(id) or tasks.finished.get(id)
    if found is None or not (call.session.admin or tasks.asker(found) == mine):
        raise NotFound("no_such_task", f"There is no task {id[:80]!r} here: `synapse history` lists them.")
    return id in tasks.finished, mine


class PushRequest(Request, kw_only=True):
    task: str
    id: str


class PushConfig(Reply, kw_only=True):
    """`token` and `credentials` are told to whoever has set them, to nobody else."""

    id: str
    task: str
    url: str
    token: str = ""
    scheme: str = ""
    credentials: str = ""
    version: str = "1.0"


@query("push.get")
def get_push(call: Call, request: PushRequest) -> Fetched:
    """One push configuration of a task."""
    _, mine = _task(call, request.task)
    config = call.state(Callbacks).configs.get(request.task, {}).get(request.id)
    if config is None:
        raise NotFound("no_such_push", f"Task {request.task} has no push configuration {request.id[:80]!r}.")
    return _told(config, mine)


def _told(config: Config, mine: str) -> Fetched:
    """What is told of a configuration; its secrets are read on a reader's thread."""
    secrets = config.secrets if config.owner == mine else ""
    told = PushConfig(id=config.id, task=config.task, url=config.url, scheme=config.scheme, version=config.version)

    def fetch(log: Log) -> PushConfig:
        found = reveal(log, secrets)
        told.token, told.credentials = found.get("token", ""), found.get("credentials", "")
        return told

    return fetch


class ListPushRequest(Request, kw_only=True):
    """`token` is the `next` of the page before."""

    task: str
    limit: int = PAGE
    token: str = ""


class ListPushReply(Reply, kw_only=True, omit_defaults=False):
    """In the order in which they were set; `next` "" at the end."""

    configs: list[PushConfig] = field(default_factory=list)
    next: str = ""


@query("push.list")
def list_push(call: Call, request: ListPushRequest) -> Callable[[Log], ListPushReply]:
    """The push configurations of a task."""
    _, mine = _task(call, request.task)
    if not 1 <= request.limit <= PAGE:
        raise BadRequest("bad_limit", f"limit: from 1 to {PAGE}.")
    if request.token and not (request.token.isascii() and request.token.isdecimal() and len(request.token) < 16):
        raise BadRequest("bad_token", "That is no token of a page: take the `next` of the page before.")
    after = int(request.token or 0)
    configs = sorted(call.state(Callbacks).configs.get(request.task, {}).values(), key=lambda config: config.place)
    later = [config for config in configs if config.place > after]
    page, more = later[: request.limit], len(later) > request.limit
    next = str(page[-1].place) if more else ""
    fetches = [_told(config, mine) for config in page]
    return lambda log: ListPushReply(configs=[fetch(log) for fetch in fetches], next=next)


class DeletePushRequest(Change, kw_only=True):
    task: str
    id: str


class DeletePushReply(Reply, kw_only=True, omit_defaults=False):
    """`deleted`: it was there."""

    deleted: bool
    position: int


@change("push.delete")
def delete_push(call: Call, request: DeletePushRequest) -> DeletePushReply:
    """Call that URL no more; twice is once."""
    _task(call, request.task)
    config = call.state(Callbacks).configs.get(request.task, {}).get(request.id)
    if config is not None:
        call.emit(PushRemoved(task=request.task, id=request.id, spent=config.secrets), request.task)
    return DeletePushReply(deleted=config is not None, position=call.reached)


def preparations(hub: Hub) -> dict[str, Prepare]:
    """What is done before a change is decided: its secrets are put away."""

    async def put_away(session: Session, request: SetPushRequest) -> str:
        return await keep(hub, _secrets(request.token, request.scheme, request.credentials))

    return {"push.set": put_away}


VERBS: tuple[Verb, ...] = (check_push, set_push, get_push, list_push, delete_push)
