"""Offers and capability cards: what a participant has to give, and what it says it can do.

Both belong to the story of a stay: when it ends they are over, and when it is forgotten they are too.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Struct, field

from synapse import ids
from synapse.errors import BadRequest, NotFound, Refused
from synapse.event import Event, encode
from synapse.hub.agents import Agent, Agents
from synapse.hub.facts import Advertised, Left, OfferMade, OfferWithdrawn
from synapse.hub.loop import Call
from synapse.verb import Change, Reply, Request, Verb, change, read

LONGEST_NAME = 80  # characters of a sort, a name, a skill, a task class
LONGEST_TEXT = 2000  # characters of a description
MOST_META = 4096  # bytes of JSON
MOST_OFFERS = 100  # of one participant
MOST_WORDS = 32  # skills, and task classes
SHORTEST, LONGEST = 1.0, 30 * 24 * 3600.0  # seconds that an offer may stand


class Offer(Struct, frozen=True, kw_only=True):
    """One thing that somebody offers; `expires` is in seconds since 1970."""

    id: str
    key: str
    workspace: str
    sort: str
    name: str
    capacity: float
    meta: dict[str, str]
    expires: float
    since: float


class Card(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a participant says of itself."""

    description: str = ""
    skills: tuple[str, ...] = ()
    task_classes: tuple[str, ...] = ()
    model: str = ""


class _Dump(Struct, array_like=True):
    offers: list[Offer]
    cards: dict[str, Card]


class Offers:
    """The offers and cards of those who are here."""

    name = "offers"
    version = 1
    kinds = frozenset({OfferMade.kind, OfferWithdrawn.kind, Advertised.kind, Left.kind})

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._of: dict[str, dict[tuple[str, str], Offer]] = {}  # by key of the participant, then by sort and name
        self._cards: dict[str, Card] = {}
        self._by_class: dict[str, dict[str, None]] = {}  # task class -> keys

    def apply(self, event: Event) -> None:
        body = event.body
        if isinstance(body, OfferMade):
            self._put(
                Offer(
                    id=body.id,
                    key=body.key,
                    workspace=event.workspace,
                    sort=body.sort,
                    name=body.name,
                    capacity=body.capacity,
                    meta=dict(body.meta),
                    expires=body.expires,
                    since=event.at,
                )
            )
        elif isinstance(body, OfferWithdrawn):
            self._take(body.key, body.id)
        elif isinstance(body, Advertised):
            card = Card(
                description=body.description, skills=body.skills, task_classes=body.task_classes, model=body.model
            )
            self._show(body.key, card)
        elif isinstance(body, Left):
            self._of.pop(body.key, None)
            self._show(body.key, Card())

    def _put(self, offer: Offer) -> None:
        self._of.setdefault(offer.key, {})[offer.sort, offer.name] = offer

    def _take(self, key: str, id: str) -> None:
        mine = self._of.get(key, {})
        for place, offer in list(mine.items()):
            if offer.id == id:
                del mine[place]
        if not mine:
            self._of.pop(key, None)

    def _show(self, key: str, card: Card) -> None:
        before = self._cards.pop(key, None)
        for name in before.task_classes if before is not None else ():
            keys = self._by_class.get(name, {})
            keys.pop(key, None)
            if not keys:
                self._by_class.pop(name, None)
        if card != Card():
            self._cards[key] = card
            for name in card.task_classes:
                self._by_class.setdefault(name, {})[key] = None

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(_Dump(list(self), self._cards))

    def load(self, state: bytes) -> None:
        dumped = msgspec.msgpack.decode(state, type=_Dump)
        self.reset()
        for offer in dumped.offers:
            self._put(offer)
        for key, card in dumped.cards.items():
            self._show(key, card)

    # -- looking

    def __iter__(self) -> Iterator[Offer]:
        for mine in self._of.values():
            yield from mine.values()

    def of(self, key: str) -> list[Offer]:
        """What a participant offers."""
        return list(self._of.get(key, {}).values())

    def at(self, key: str, sort: str, name: str) -> Offer | None:
        return self._of.get(key, {}).get((sort, name))

    def card(self, key: str) -> Card:
        """What a participant says of itself; an empty card when it says nothing."""
        return self._cards.get(key, Card())

    def has_card(self, key: str) -> bool:
        return key in self._cards

    def taking(self, task_class: str) -> list[str]:
        """The keys of those who advertise a task class."""
        return list(self._by_class.get(task_class, ()))

    def due(self, now: float) -> list[Offer]:
        """What has expired, the oldest first."""
        return sorted((offer for offer in self if offer.expires <= now), key=lambda o: (o.expires, o.id))

    def next_due(self) -> float:
        """When the next one expires, in seconds since 1970; infinity when there is none."""
        return min((offer.expires for offer in self), default=float("inf"))


# -- offering


class OfferRequest(Change, kw_only=True):
    """`ttl` is in seconds; offering the same kind and name again says how it is now, and for how long."""

    kind: str
    name: str
    capacity: float = 1.0
    meta: dict[str, str] = field(default_factory=dict)
    ttl: float = 3600.0


class OfferReply(Reply, kw_only=True):
    id: str
    position: int
    expires_at: float = 0.0


@change("offers.put")
def put(call: Call, request: OfferRequest) -> OfferReply:
    """Offer something to the workspace for a time: a GPU, a browser, three reviews."""
    me, offers = _me(call), call.state(Offers)
    sort, name = _word(request.kind, "kind"), _word(request.name, "name")
    if not SHORTEST <= request.ttl <= LONGEST:
        raise BadRequest("bad_ttl", f"ttl {request.ttl:g}: from 1 second to 30 days.")
    if not 0 <= request.capacity <= 1e12:
        raise BadRequest("bad_capacity", f"capacity {request.capacity:g}: 0 or more.")
    if len(encode(request.meta)) > MOST_META:
        raise BadRequest("too_large", f"meta holds more than {MOST_META} bytes: say where it can be read instead.")
    there = offers.at(me.key, sort, name)
    if there is None and len(offers.of(me.key)) >= MOST_OFFERS:
        raise Refused("too_many_offers", f"You offer {MOST_OFFERS} things already: withdraw some.")
    id, expires = there.id if there else "o-" + ids.ulid(call.at), call.at + request.ttl
    call.emit(
        OfferMade(
            id=id, key=me.key, sort=sort, name=name, capacity=request.capacity, meta=request.meta, expires=expires
        ),
        me.key,
        me.workspace,
    )
    return OfferReply(id=id, position=call.reached, expires_at=expires)


def _me(call: Call) -> Agent:
    me = call.state(Agents).get(call.by)
    if me is None:
        raise Refused("not_joined", "Your stay here is over: join again.")
    return me


def _word(text: str, what: str) -> str:
    word = " ".join(text.split())
    if not word or len(word) > LONGEST_NAME or not word.isprintable():
        raise BadRequest("bad_word", f"{what} {text[:LONGEST_NAME]!r}: 1 to {LONGEST_NAME} printable characters.")
    return word


class WithdrawRequest(Change, kw_only=True):
    """Say which by its `id`, or by `kind` and `name`."""

    id: str = ""
    kind: str = ""
    name: str = ""


@change("offers.withdraw")
def withdraw(call: Call, request: WithdrawRequest) -> OfferReply:
    """Take back something that you offer."""
    me, offers = _me(call), call.state(Offers)
    wanted = (" ".join(request.kind.split()), " ".join(request.name.split()))
    found = next((o for o in offers.of(me.key) if o.id == request.id or (o.sort, o.name) == wanted), None)
    if found is None:
        if request.id and any(offer.id == request.id for offer in offers):
            raise Refused("not_yours", f"Offer {request.id[:40]} is somebody else's: only who made it takes it back.")
        mine = ", ".join(f"{o.sort}/{o.name}" for o in offers.of(me.key)[:10]) or "nothing"
        raise NotFound("no_such_offer", f"You do not offer that (any more). You offer {mine}.")
    call.emit(OfferWithdrawn(id=found.id, key=me.key), me.key, me.workspace)
    return OfferReply(id=found.id, position=call.reached)


class OffersRequest(Request, kw_only=True):
    """`workspace` "" is the caller's, `*` all; `kind` "" is every kind."""

    workspace: str = ""
    kind: str = ""


class OfferRow(Reply, kw_only=True, omit_defaults=False):
    """`overdue`: its time is over, and it will be gone with the next sweep."""

    id: str
    agent: str
    agent_id: str
    workspace: str
    kind: str
    name: str
    capacity: float
    meta: dict[str, str]
    expires_at: float
    overdue: bool


class OffersReply(Reply, kw_only=True):
    offers: list[OfferRow] = field(default_factory=list)


@read("offers.list")
def list_offers(call: Call, request: OffersRequest) -> OffersReply:
    """What is offered now, by whom, and until when."""
    place, agents = request.workspace or call.workspace, call.state(Agents)
    rows = []
    for offer in call.state(Offers):
        agent = agents.get(offer.key)
        if agent is None or (place not in ("*", agent.workspace) and agent.workspace):
            continue
        if not request.kind or offer.sort == request.kind:
            rows.append(offer_row(offer, agent, call.at))
    return OffersReply(offers=sorted(rows, key=lambda row: (row.workspace, row.kind, row.name, row.agent)))


def offer_row(offer: Offer, agent: Agent, now: float) -> OfferRow:
    return OfferRow(
        id=offer.id,
        agent=agent.name,
        agent_id=agent.id,
        workspace=agent.workspace,
        kind=offer.sort,
        name=offer.name,
        capacity=offer.capacity,
        meta=offer.meta,
        expires_at=offer.expires,
        overdue=offer.expires <= now,
    )


# -- cards


class AdvertiseRequest(Change, kw_only=True):
    """The whole card: it takes the place of the one before; an empty one takes it down."""

    description: str = ""
    skills: tuple[str, ...] = ()
    task_classes: tuple[str, ...] = ()
    model: str = ""


class AdvertiseReply(Reply, kw_only=True, omit_defaults=False):
    key: str
    task_classes: tuple[str, ...]
    position: int


@change("agents.advertise")
def advertise(call: Call, request: AdvertiseRequest) -> AdvertiseReply:
    """Say what you are and can do, and which classes of tasks you take (`send class:NAME`)."""
    me = _me(call)
    if len(request.description) > LONGEST_TEXT:
        raise BadRequest("too_large", f"The description is longer than {LONGEST_TEXT} characters.")
    if max(len(request.skills), len(request.task_classes)) > MOST_WORDS:
        raise BadRequest("too_many", f"At most {MOST_WORDS} skills and {MOST_WORDS} task classes.")
    card = Card(
        description=request.description.strip(),
        skills=tuple(dict.fromkeys(_word(skill, "skill") for skill in request.skills)),
        task_classes=tuple(dict.fromkeys(_class(name) for name in request.task_classes)),
        model=_word(request.model, "model") if request.model else "",
    )
    if card != call.state(Offers).card(me.key):
        fact = Advertised(
            key=me.key,
            description=card.description,
            skills=card.skills,
            task_classes=card.task_classes,
            model=card.model,
        )
        call.emit(fact, me.key, me.workspace)
    return AdvertiseReply(key=me.key, task_classes=card.task_classes, position=call.reached)


def _class(text: str) -> str:
    """A task class in its one form: it is part of a target, so it holds no comma and no space."""
    name = _word(text, "task class").lower()
    if any(sign in name for sign in " ,*?[/:"):
        raise BadRequest("bad_class", f"{text[:LONGEST_NAME]!r} is no task class: leave out spaces and , * ? [ / :")
    return name


VERBS: tuple[Verb, ...] = (put, withdraw, list_offers, advertise)
