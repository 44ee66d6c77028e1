"""Webhooks: URLs that are called when any task, or any of one agent's, has ended or asks back."""

from functools import partial

from msgspec import field

from synapse import ids
from synapse.errors import BadRequest, NotFound, Refused
from synapse.hub.addresses import parse
from synapse.hub.agents import Agents
from synapse.hub.callback_facts import WebhookAdded, WebhookRemoved
from synapse.hub.callbacks import EVENTS, RECENT, Callbacks, Hook
from synapse.hub.loop import Call, Hub, Prepare
from synapse.hub.messages import find
from synapse.hub.push import LONGEST_SECRET, reach
from synapse.hub.secrets import keep
from synapse.hub.sessions import Session
from synapse.verb import Change, Reply, Request, Verb, change, read

MOST = 100


class AddWebhookRequest(Change, kw_only=True):
    """`events` are some of task.completed, task.failed, task.canceled, task.input_required; none: all of them. With a
    `secret`, calls are signed. `agent`: only its tasks. The same URL and agent again changes the webhook."""

    url: str
    events: tuple[str, ...] = ()
    secret: str = ""
    agent: str = ""


class AddWebhookReply(Reply, kw_only=True, omit_defaults=False):
    id: str
    url: str
    events: tuple[str, ...]
    agent: str
    signed: bool
    position: int


@change("webhooks.add")
def add(call: Call, request: AddWebhookRequest) -> AddWebhookReply:
    """Have a URL called when a task is completed, failed, canceled, or asks something."""
    agents, callbacks = call.state(Agents), call.state(Callbacks)
    url = parse(request.url)
    reach(call.hub, call.hub.place.webhooks).check(url.raw_host or "", url.port or 0)
    for event in request.events:
        if event not in EVENTS:
            raise BadRequest("bad_event", f"There is no event {event[:40]!r}: {', '.join(EVENTS)}.")
    box = find(call, request.agent)[0] if request.agent else ""
    owner = agents.box_of(call.session)
    same = [hook for hook in callbacks.hooks.values() if (hook.url, hook.box, hook.owner) == (request.url, box, owner)]
    if not same and len(callbacks.hooks) >= MOST:
        raise Refused("too_many", f"There are {MOST} webhooks already: `synapse webhooks remove` some.")
    id = same[0].id if same else "w-" + ids.ulid(call.at)
    events = tuple(event for event in EVENTS if event in request.events) or EVENTS
    fact = WebhookAdded(
        id=id, url=request.url, owner=owner, events=events, secrets=call.found or "", box=box,
        spent=same[0].secrets if same else "",
    )  # fmt: skip
    call.emit(fact, id)
    return AddWebhookReply(
        id=id, url=request.url, events=events, agent=agents.label(box) if box else "", signed=bool(call.found),
        position=call.reached,
    )  # fmt: skip


class WebhookRow(Reply, kw_only=True, omit_defaults=False):
    """`signed`: it has a secret, which is not shown. `waiting` are calls that are still to be made."""

    id: str
    url: str
    events: tuple[str, ...]
    agent: str
    owner: str
    signed: bool
    since: float
    waiting: int
    given_up: int


class WebhooksReply(Reply, kw_only=True, omit_defaults=False):
    webhooks: list[WebhookRow] = field(default_factory=list)


@read("webhooks.list")
def list_webhooks(call: Call, request: Request) -> WebhooksReply:
    """The webhooks: a person sees all, an agent its own."""
    agents = call.state(Agents)
    return WebhooksReply(
        webhooks=[
            WebhookRow(
                id=hook.id,
                url=hook.url,
                events=hook.events,
                agent=agents.label(hook.box) if hook.box else "",
                owner=agents.label(hook.owner),
                signed=bool(hook.secrets),
                since=hook.since,
                waiting=hook.owing,
                given_up=hook.given_up,
            )
            for hook in _seen(call)
        ]
    )


def _seen(call: Call) -> list[Hook]:
    mine = call.state(Agents).box_of(call.session)
    return [hook for hook in call.state(Callbacks).hooks.values() if call.session.admin or hook.owner == mine]


def _named(call: Call, name: str) -> list[Hook]:
    """The webhooks of that id or URL, of those that the caller sees."""
    found = [hook for hook in _seen(call) if name in (hook.id, hook.url)]
    if not found:
        raise NotFound("no_such_webhook", f"There is no webhook {name[:80]!r}: `synapse webhooks list` shows them.")
    return found


class RemoveWebhookRequest(Change, kw_only=True):
    """Which: its `id`, or its `url` (all of that URL)."""

    id: str = ""
    url: str = ""


class RemoveWebhookReply(Reply, kw_only=True, omit_defaults=False):
    removed: list[str]
    position: int


@change("webhooks.remove")
def remove(call: Call, request: RemoveWebhookRequest) -> RemoveWebhookReply:
    """Call that URL no more; what it has not been told yet is dropped."""
    if not (request.id or request.url):
        raise BadRequest("no_webhook", "Say which webhook: its id or its URL.")
    found = _named(call, request.id or request.url)
    for hook in found:
        call.emit(WebhookRemoved(id=hook.id, spent=hook.secrets), hook.id)
    return RemoveWebhookReply(removed=[hook.id for hook in found], position=call.reached)


class DeliveriesRequest(Request, kw_only=True):
    """`id` is a webhook's id or URL; "": all. `limit` is per webhook."""

    id: str = ""
    limit: int = RECENT


class DeliveryRow(Reply, kw_only=True, omit_defaults=False):
    """`outcome` is `delivered`, `failed` or `waiting`; `status` the last HTTP status, 0 when there was none."""

    webhook: str
    url: str
    task: str
    outcome: str
    event: str = ""
    status: int = 0
    attempts: int = 0
    error: str = ""
    at: float = 0.0


class DeliveriesReply(Reply, kw_only=True, omit_defaults=False):
    deliveries: list[DeliveryRow] = field(default_factory=list)


@read("webhooks.deliveries")
def deliveries(call: Call, request: DeliveriesRequest) -> DeliveriesReply:
    """What became of the newest calls of each webhook, and which are still to be made; the newest first."""
    if not 1 <= request.limit <= RECENT:
        raise BadRequest("bad_limit", f"limit: from 1 to {RECENT}.")
    rows = [
        row for hook in (_named(call, request.id) if request.id else _seen(call)) for row in _rows(hook, request.limit)
    ]
    return DeliveriesReply(deliveries=sorted(rows, key=lambda row: -(row.at or float("inf"))))


def _rows(hook: Hook, limit: int) -> list[DeliveryRow]:
    row = partial(DeliveryRow, webhook=hook.id, url=hook.url)
    waiting = [row(task=task, outcome="waiting") for task in reversed(hook.owed)]
    made = [
        row(
            task=one.task, outcome="delivered" if 200 <= one.status < 300 else "failed", event=one.event,
            status=one.status, attempts=one.attempts, error=one.error, at=one.at,
        )
        for one in reversed(hook.recent)
    ]  # fmt: skip
    return [*waiting, *made][:limit]


def preparations(hub: Hub) -> dict[str, Prepare]:
    """What is done before a change is decided: the secret is put away."""

    async def put_away(session: Session, request: AddWebhookRequest) -> str:
        if len(request.secret) > LONGEST_SECRET:
            raise BadRequest("too_large", f"A secret is up to {LONGEST_SECRET} characters.")
        return await keep(hub, {"secret": request.secret})

    return {"webhooks.add": put_away}


VERBS: tuple[Verb, ...] = (add, list_webhooks, remove, deliveries)
