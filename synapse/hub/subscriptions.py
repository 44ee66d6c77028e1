"""Subscriptions: one cursor each, paged from the log while behind, live when it has reached the head."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

from msgspec import Struct, json

from synapse.errors import BadRequest, Refused
from synapse.event import Event
from synapse.hub.agents import Agents
from synapse.hub.facts import Renamed
from synapse.hub.loop import Call, Hub
from synapse.hub.recovery import events_of
from synapse.hub.sessions import Session
from synapse.log.base import Log, Record
from synapse.verb import Permission, Reply, Request, Verb, query, session

logger = logging.getLogger(__name__)
PAGE = 200  # records
PAGE_BYTES = 1 << 20
TRY_AGAIN = 1.0  # seconds
BACKLOG = 256 * 1024  # bytes unsent on a connection, from which on it is served from the log again


class _Frame(Struct):
    params: Event
    method: str = "event"
    jsonrpc: str = "2.0"


def frame(event: Event) -> bytes:
    """The notification that tells of one event; the same bytes for every subscriber."""
    return json.encode(_Frame(event))


class Subscription:
    """What one connection follows, and how far it has come."""

    __slots__ = ("box", "cursor", "kinds", "live", "session")

    def __init__(self, session: Session, cursor: int, kinds: frozenset[str], box: str) -> None:
        self.session = session
        self.cursor = cursor
        self.kinds = kinds
        self.box = box  # only what its owner is party to; "": everything
        self.live = False

    def wants(self, event: Event) -> bool:
        """Is this for the subscriber? It may have another box from here on."""
        if not self.box:
            return not self.kinds or _matches(event.kind, self.kinds)
        key, body = self.session.key, event.body
        parties = getattr(body, "parties", ())
        mine = event.by == key or key in parties or self.box in parties
        if isinstance(body, Renamed) and body.key == key:
            self.box = body.box
        return bool(mine) and (not self.kinds or _matches(event.kind, self.kinds))


def _matches(kind: str, wanted: Collection[str]) -> bool:
    return kind in wanted or kind.partition(".")[0] + ".*" in wanted


class Subscriptions:
    """Everybody who follows the log.

    Who follows only its own is found by box and by key, so that what concerns two costs nothing for the others.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._all: dict[Session, Subscription] = {}
        self._wide: dict[Subscription, None] = {}  # those that are live and follow everything
        self._boxes: dict[str, dict[Subscription, None]] = {}  # those that are live and follow their own
        hub.on_publish.append(self._publish)

    def add(self, subscription: Subscription) -> None:
        """Begin (or begin anew) to follow."""
        self.remove(subscription.session)
        self._all[subscription.session] = subscription
        self._page(subscription)

    def remove(self, session: Session) -> None:
        subscription = self._all.pop(session, None)
        if subscription is not None:
            self._rest(subscription)

    def _go_live(self, subscription: Subscription) -> None:
        subscription.live = True
        if subscription.box:
            self._boxes.setdefault(subscription.box, {})[subscription] = None
        else:
            self._wide[subscription] = None

    def _rest(self, subscription: Subscription) -> None:
        """It is live no longer."""
        if not subscription.live:
            return
        subscription.live = False
        self._wide.pop(subscription, None)
        mates = self._boxes.get(subscription.box)
        if mates is not None:
            mates.pop(subscription, None)
            if not mates:
                del self._boxes[subscription.box]

    def _concerned(self, event: Event) -> Iterable[Subscription]:
        """Those that are live and may hear of the event, whatever kinds they want; it may give them another box."""
        found, boxes, sessions = dict(self._wide), self._boxes, self._hub.sessions
        body = event.body
        for party in (event.by, *getattr(body, "parties", ())):
            if party in boxes:
                found.update(boxes[party])
            if sessions.here(party):
                mine = (self._all.get(session) for session in sessions.of(party))
                found.update((each, None) for each in mine if each is not None and each.live)
        if isinstance(body, Renamed):
            for each in [each for each in found if each.box and each.session.key == body.key]:
                self._rest(each)
                each.box = body.box
                self._go_live(each)
        return found

    def _publish(self, position: int, events: list[Event]) -> None:
        if not self._all:
            return
        told: set[Subscription] = set()
        for event in events:
            kind, family, content = event.kind, event.kind.partition(".")[0] + ".*", b""
            for one in self._concerned(event):
                if one.cursor >= position or not one.live:
                    continue
                if one.kinds and kind not in one.kinds and family not in one.kinds:
                    continue
                if one not in told and one.session.backlog() > BACKLOG:
                    self._rest(one)  # too slow: back to the log, as fast as the connection drains
                    one.cursor = position - 1
                    one.session.when_drained(partial(self._page, one))
                    continue
                told.add(one)
                content = content or frame(event)
                one.session.push(content)
        for one in told:
            one.cursor = position

    def _page(self, subscription: Subscription) -> None:
        """Send what lies between the cursor and the committed head; then go live."""
        if self._all.get(subscription.session) is not subscription:
            return
        hub, after, until = self._hub, subscription.cursor, self._hub.outbox.committed
        if after >= until:
            self._go_live(subscription)
            return

        def fetch(log: Log) -> tuple[list[bytes], int]:
            records, reached = _some(log, after, until, PAGE)
            events = [event for record in records for event in events_of(hub, record)]
            return [frame(event) for event in events if subscription.wants(event)], reached

        future = hub.loop.run_in_executor(hub.readers, fetch, hub.log)
        future.add_done_callback(lambda done: self._paged(subscription, done))

    def _paged(self, subscription: Subscription, done: "asyncio.Future[Any]") -> None:
        session = subscription.session
        if done.cancelled() or session.closed or self._all.get(session) is not subscription:
            return
        if done.exception() is not None:
            logger.error("following failed: once more in a second", exc_info=done.exception())
            self._hub.loop.call_later(TRY_AGAIN, self._page, subscription)
            return
        frames, reached = done.result()
        for one in frames:
            session.push(one)
        subscription.cursor = max(subscription.cursor, reached)
        session.when_drained(partial(self._page, subscription))


def _some(log: Log, after: int, until: int, limit: int) -> tuple[list[Record], int]:
    """Some records behind a position, no more than fit into a page, and how far they reach."""
    records, size = [], 0
    for record in log.read(after, limit=limit, until=until):
        records.append(record)
        size += record.size
        if size > PAGE_BYTES or len(records) == limit:
            return records, record.position
    return records, until


class FollowRequest(Request, kw_only=True):
    """`after` is a position (-1: from now on); `kinds` like `tasks.*`; `mine`: only what you are party to."""

    after: int = -1
    kinds: tuple[str, ...] = ()
    mine: bool = False
    presence: bool = False


class FollowReply(Reply, kw_only=True):
    after: int


@session("events.follow", lasting=True)
def follow(call: Call, request: FollowRequest) -> FollowReply:
    """Follow the log on this connection: each event comes as a notification."""
    hub, who = call.hub, call.session
    if not request.mine and not who.admin:
        raise Refused("not_permitted", "You follow what you are party to: set `mine`.")
    if request.after > hub.head:
        raise BadRequest("bad_cursor", f"The log ends at {hub.head}: {request.after} is of another log. Begin again.")
    after = hub.outbox.committed if request.after < 0 else request.after
    hub.sessions.watch(who, request.presence)
    box = (call.state(Agents).box_of(who) or "nobody") if request.mine else ""
    subscription = Subscription(who, after, frozenset(request.kinds), box)
    hub.outbox.tell(hub.head, lambda position, what: hub.subscriptions.add(subscription), None)
    return FollowReply(after=after)


class PageRequest(Request, kw_only=True):
    """`last` counts events from the end; otherwise a page of at most `limit` records behind `after`."""

    after: int = 0
    limit: int = 200
    last: int = 0
    kinds: tuple[str, ...] = ()


class PageReply(Reply, kw_only=True):
    events: list[Event]
    next: int


@query("events.page", Permission.ADMIN)
def page(call: Call, request: PageRequest) -> Callable[[Log], PageReply]:
    """A page of the log."""
    hub, until = call.hub, call.hub.head
    limit = max(1, min(request.limit, 1000))

    def fetch(log: Log) -> PageReply:
        if request.last:  # positions may have holes, so there are at most that many
            last = min(request.last, 1000)
            records, reached = list(log.read(max(0, until - last), until=until)), until
        else:
            last = 0
            records, reached = _some(log, min(request.after, until), until, limit)
        events = [e for record in records for e in events_of(hub, record)]
        if request.kinds:
            events = [e for e in events if _matches(e.kind, request.kinds)]
        return PageReply(events=events[-last:], next=reached)

    return fetch


VERBS: tuple[Verb, ...] = (follow, page)
