"""The one loop: decide, append, fold. No locks: everything here runs on the hub's thread without `await`."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from synapse import ids
from synapse.clock import Clock
from synapse.errors import Refused, SynapseError, Unavailable
from synapse.event import Event, Fact, Kinds, encode
from synapse.hub.keys import Keys
from synapse.hub.limits import Limits
from synapse.hub.outbox import Outbox
from synapse.hub.place import Place
from synapse.hub.sessions import Session, Sessions
from synapse.hub.state import State
from synapse.hub.waits import Waiter, Waits
from synapse.log.base import MOST_EVENTS, Log, Record, StoredEvent
from synapse.log.writer import Writer
from synapse.verb import Pending, Permission, Shape, Verb

if TYPE_CHECKING:
    from synapse.hub.retention import Retention
    from synapse.hub.subscriptions import Subscriptions
    from synapse.hub.tables import Tables
    from synapse.hub.watching import Watching

logger = logging.getLogger(__name__)
P = TypeVar("P")

Answer = Callable[[int, Any], None]  # (position, the reply's JSON or a SynapseError); called once, after the commit
Prepare = Callable[[Session, Any], Awaitable[Any]]  # (who asks, the request); what it gives is the call's `found`
LONGEST_WAIT = 60.0
MOST_BYTES = 512 * 1024  # of one record
MOST_FRESH = 10_000  # blobs that are remembered as stored lately
STOPPING = Unavailable("stopping", "The hub is stopping: ask again in a moment.")


class Prepared(NamedTuple):
    """A request, and what its verb needed from outside before it could be decided."""

    asked: Any
    found: Any


class Call:
    """What a verb's function is given: who asks, the state, the time, and a way to say what happened."""

    __slots__ = ("at", "by", "events", "found", "hub", "position", "session", "workspace")

    def __init__(self, hub: "Hub", session: Session, at: float, position: int) -> None:
        self.hub = hub
        self.session = session
        self.by = session.key
        self.workspace = session.workspace
        self.at = at
        self.position = position
        self.events: list[Event] = []
        self.found: Any = None  # what was prepared for the change

    def state(self, kind: type[P]) -> P:
        """The projection of that type; Unavailable while it is out of order."""
        return self.hub.state.get(kind)

    @property
    def reached(self) -> int:
        """What a reply gives as its position: that of its record, or where nothing has changed, of the state it found."""
        return self.position if self.events else self.position - 1

    def emit(self, fact: Fact, story: str, workspace: str | None = None) -> None:
        """This happened. It is folded when the verb has returned, and told when it is on the disk."""
        place = self.workspace if workspace is None else workspace
        self.events.append(Event(self.position, len(self.events), self.at, fact.kind, self.by, place, story, fact))


class Hub:
    """Answers verbs from a folded state and an append-only log; each change is one atomic record."""

    def __init__(
        self,
        log: Log,
        state: State,
        kinds: Kinds,
        clock: Clock,
        *,
        limits: Limits | None = None,
        admit: Callable[["Hub", Session], None] = lambda hub, session: None,
    ) -> None:
        self.log = log
        self.state = state
        self.kinds = kinds
        self.clock = clock
        self.sessions = Sessions()
        self.outbox = Outbox()
        self.waits = Waits()
        self.keys = Keys()
        self.limits = Limits(clock) if limits is None else limits
        self.admit = admit  # joins a participant who is not there yet, before its first change
        self.loop = asyncio.get_running_loop()
        self.readers = ThreadPoolExecutor(2, thread_name_prefix="reader")
        self.writer = Writer(
            log,
            self.loop.call_soon_threadsafe,
            committed=self._committed,
            failed=self._failed,
            soon=self.loop.call_soon,
        )
        self.writer.on_room = self._unpark
        self.on_commit: list[Callable[[set[str]], None]] = []  # reactions: what is owed after a commit, by topic
        self.on_publish: list[Callable[[int, list[Event]], None]] = []  # who is told of what is stored
        self.on_presence: list[Callable[[str], None]] = []
        self.on_folded: list[Callable[[], None]] = []  # who keeps what must agree with the state: it is folded anew
        self.on_failure: Callable[[Exception], None] = lambda error: None
        self.guards: dict[str, list[Callable[[Call, Any], None]]] = {}  # what may refuse a verb, by its name
        self.preparations: dict[str, Prepare] = {}  # what a change needs from outside before it is decided, by verb
        self.tables: Tables | None = None
        self.texts_kept = True  # may what was asked and answered be searched?
        self.retention: Retention
        self.fresh_blobs: dict[str, float] = {}  # what was stored lately may not be named by an event yet (monotonic)
        self.storing = 0  # blobs that are on their way to the disk
        self.place = Place()
        self.subscriptions: Subscriptions
        self.watching: Watching
        self.head = 0
        self.epoch = 0
        self.last_at = 0.0
        self.events_since_snapshot = 0
        self.read_only = ""  # why nothing is accepted at the moment
        self.suspended = True  # while the state is being folded anew
        self.closed_for: SynapseError | None = None  # why nothing at all is answered, and nobody is kept waiting
        self.refusals: dict[str, int] = {}
        self.waited: dict[str, float] = {}  # task -> when somebody last waited for it (monotonic seconds)
        self._parked: deque[tuple[Session, Verb, Any, Answer]] = deque()
        self._pending: dict[int, Record] = {}
        self._preparing: set[asyncio.Task[Any]] = set()
        self._touched: set[str] = set()
        self._settling = False  # it will be looked at in this turn of the loop
        self._handlers = {
            Shape.CHANGE: self._change,
            Shape.READ: self._read,
            Shape.QUERY: self._query,
            Shape.WAIT: self._wait,
            Shape.SESSION: self._read,
        }

    # -- asking

    def ask(self, session: Session, verb: Verb, request: Any, answer: Answer) -> None:
        """Answer one request, now or after the commit; never raises what is meant for the caller."""
        if self.closed_for is not None:
            self.loop.call_soon(answer, self.outbox.committed, self.closed_for)
        elif self.suspended or (verb.shape is Shape.CHANGE and self._parked) or not self._room(verb):
            self._parked.append((session, verb, request, answer))
        else:
            self._ask(session, verb, request, answer)

    def _room(self, verb: Verb) -> bool:
        """A change is decided only when the writer can take it; while nothing can be stored, it is refused at once."""
        return verb.shape is not Shape.CHANGE or bool(self.read_only) or self.writer.room()

    def _ask(self, session: Session, verb: Verb, request: Any, answer: Answer) -> None:
        try:
            if verb.permission not in session.permissions:
                raise Refused("not_permitted", _forbidden(verb, session))
            self._handlers[verb.shape](session, verb, request, answer)
        except Exception as error:
            self._fail(verb, error, answer)

    def _fail(self, verb: Verb, error: Exception, answer: Answer) -> None:
        if isinstance(error, SynapseError):
            self.refuse(error, answer)
        else:
            logger.error("%s failed", verb.name, exc_info=error)
            bug = SynapseError("internal_error", f"{verb.name} failed: a bug. `synapse logs hub` has it.")
            self.refuse(bug, answer)

    def refuse(self, refusal: SynapseError, answer: Answer) -> None:
        """A refusal may tell of undecided state too, so it leaves through the outbox like everything else."""
        self.refusals[refusal.code] = self.refusals.get(refusal.code, 0) + 1
        self.outbox.answer(self.head, answer, refusal)

    def do(self, session: Session, verb: Verb, request: Any) -> "asyncio.Future[Any]":
        """Ask from inside the process; the future gives the reply's JSON or raises."""
        future: asyncio.Future[Any] = self.loop.create_future()

        def answer(position: int, what: Any) -> None:
            if future.done():
                return
            if isinstance(what, Exception):
                future.set_exception(what)
            else:
                future.set_result(what)

        self.ask(session, verb, request, answer)
        return future

    def decide(self, session: Session, verb: Verb, request: Any) -> Any:
        """One of the hub's own changes, decided and folded now; the reply as the verb gave it."""
        call = self.call(session)
        reply = verb.run(call, request)
        self._commit(call, "", b"", b"", b"", _nobody)
        return reply

    def touch(self, *topics: str) -> None:
        """Something about these changed that is not an event: look at what is owed to them, soon."""
        if not self._settling and len(self.outbox) == 0:
            self._settling = True  # what was touched before may wait for a commit that never came
            self.loop.call_soon(self._settle_soon)
        self._touched.update(topics)

    def _settle_soon(self) -> None:
        self._settling = False
        self.settle()

    def presence(self, key: str) -> None:
        """A participant came, went, or is otherwise: those who watch are told the difference."""
        if not self.suspended:
            _react(self.on_presence, key)

    def call(self, session: Session) -> Call:
        """The view of somebody who decides at the next position."""
        self.last_at = at = max(self.last_at, self.clock.now())
        return Call(self, session, at, self.head + 1)

    # -- the four ways

    def _change(self, session: Session, verb: Verb, asked: Any, answer: Answer) -> None:
        request, found = asked if isinstance(asked, Prepared) else (asked, None)
        if self.read_only:
            raise Unavailable("storage_unavailable", f"Nothing can be stored at the moment: {self.read_only}")
        self.limits.caller(session.key)
        if session.arriving and not verb.anonymous:
            self.admit(self, session)
        text = getattr(request, verb.spill) if verb.spill else ""
        if len(text) > verb.spill_over:
            self._spill(session, verb, request, answer)
            return
        key = request.idempotency_key or request.idem_key
        if key:
            sum, hash = self.keys.sum(session.key, key), _fingerprint(verb, request)
            first = self.keys.find(sum)
            if first:
                self._again(first, hash, verb, answer)
                return
        else:
            sum, hash = b"", b""
        if asked is request and verb.name in self.preparations:
            self._prepare(session, verb, request, answer)
            return
        call = self.call(session)
        call.found = found
        for check in self.guards.get(verb.name, ()):
            check(call, request)
        reply = verb.run(call, request)
        try:
            self._commit(call, key, sum, hash, encode(reply), answer)
        except TooLarge:
            if not text:
                raise
            self._spill(session, verb, request, answer)  # the same text to many: stored once

    def _prepare(self, session: Session, verb: Verb, request: Any, answer: Answer) -> None:
        """Get what the change needs from outside, then ask again."""

        def prepared(task: "asyncio.Task[Any]") -> None:
            self._preparing.discard(task)
            if task.cancelled():
                answer(self.outbox.committed, self.closed_for or STOPPING)
            elif isinstance(error := task.exception(), Exception):
                self._fail(verb, error, answer)
            else:
                self.ask(session, verb, Prepared(request, task.result()), answer)

        async def prepare() -> Any:
            return await self.preparations[verb.name](session, request)

        task = self.loop.create_task(prepare())
        self._preparing.add(task)
        task.add_done_callback(prepared)

    def _spill(self, session: Session, verb: Verb, request: Any, answer: Answer) -> None:
        """Store a long text as a blob, before the event that will name it, and ask again with its sum."""
        text = getattr(request, verb.spill)
        content = text if isinstance(text, bytes) else text.encode()

        def stored(future: "asyncio.Future[str]") -> None:
            self.storing -= 1
            if future.cancelled() or future.exception() is not None:
                self.refuse(Unavailable("storage_unavailable", "The long text could not be stored: try again."), answer)
            else:
                self.fresh_blobs[future.result()] = self.clock.monotonic()
                if len(self.fresh_blobs) > MOST_FRESH:
                    del self.fresh_blobs[next(iter(self.fresh_blobs))]
                self.ask(
                    session,
                    verb,
                    msgspec.structs.replace(request, **{verb.spill: text[:0], "blob": future.result()}),
                    answer,
                )

        self.storing += 1
        asyncio.wrap_future(self.writer.run(lambda log: log.put_blob(content))).add_done_callback(stored)

    def _commit(self, call: Call, key: str, sum: bytes, hash: bytes, reply: bytes, answer: Answer) -> None:
        """Hand what was decided to the writer and fold it; the answer goes out when it is stored."""
        events = call.events
        if not events:
            self.outbox.answer(self.head, answer, reply)
            return
        position = call.position
        record = Record(
            self.keys.id(sum, position) if key else ids.token(),
            position,
            self.head,
            self.epoch,
            call.at,
            call.by,
            key,
            hash,
            reply,
            tuple([StoredEvent(e.kind, e.by, e.workspace, e.story, encode(e.body)) for e in events]),
        )
        size = record.size
        if len(events) > MOST_EVENTS or size > MOST_BYTES:
            raise TooLarge("too_large", "One change may hold 512 kB in 1,000 events: make it several.")
        if key:
            self.keys.add(sum, position)
        self.head = position
        self._pending[position] = record
        self.writer.submit(record, size)
        fold, touched = self.state.fold, self._touched
        for event in events:
            fold(event)
            touched.add(event.story)
            touched.add(event.by)
            touched.update(event.body.parties)
        self.events_since_snapshot += len(events)
        self.outbox.answer(position, answer, reply)
        self.outbox.tell(position, self._publish, events)

    def _publish(self, position: int, events: list[Event]) -> None:
        for publish in self.on_publish:
            publish(position, events)

    def _again(self, position: int, hash: bytes, verb: Verb, answer: Answer) -> None:
        """A retry: the first answer, after the same commit; another request under the key is refused."""

        def check(record: Record | None) -> Any:
            if record is None or not record.reply:
                return Refused("forgotten", "The first answer under this idempotency key is gone: use a new key.")
            if record.request_hash != hash:
                return Refused("key_reused", f"This idempotency key was used for another {verb.name}: use a new key.")
            return record.reply

        pending = self._pending.get(position)
        if pending is not None:
            self.outbox.answer(position, answer, check(pending))
            return
        self._fetch(lambda log: check(next(iter(log.at([position])), None)), answer)

    def _read(self, session: Session, verb: Verb, request: Any, answer: Answer) -> None:
        self.outbox.answer(self.head, answer, encode(verb.run(self.call(session), request)))

    def _query(self, session: Session, verb: Verb, request: Any, answer: Answer) -> None:
        """Chosen on the loop, then read on a thread; what is chosen must be stored first, so the outbox comes before."""
        fetch = verb.run(self.call(session), request)

        def start(position: int, what: Any) -> None:
            if isinstance(what, Exception):
                answer(position, what)
            elif verb.tables:
                self._fetch_from_tables(verb, position, fetch, answer)
            else:
                self._fetch(lambda log: encode(fetch(log)), answer)

        self.outbox.answer(self.head, start, b"")

    def _fetch_from_tables(self, verb: Verb, position: int, fetch: Callable[[Any], Any], answer: Answer) -> None:
        if self.tables is None:
            self.refuse(Unavailable("no_tables", "This hub keeps no tables: it was given no file for them."), answer)
            return
        asking = self.tables.fetch(verb.tables, position, lambda connection: encode(fetch(connection)))
        self._when_fetched(self.loop.create_task(asking), answer)

    def _fetch(self, read: Callable[[Log], Any], answer: Answer) -> None:
        self._when_fetched(self.loop.run_in_executor(self.readers, read, self.log), answer)

    def _when_fetched(self, fetched: "asyncio.Future[Any]", answer: Answer) -> None:
        def done(future: "asyncio.Future[Any]") -> None:
            error = None if future.cancelled() else future.exception()
            if future.cancelled():
                answer(self.outbox.committed, STOPPING)
            elif isinstance(error, SynapseError):
                self.refuse(error, answer)
            elif error is not None:
                logger.error("reading failed", exc_info=error)
                self.refuse(Unavailable("read_failed", f"The log could not be read: {error}."), answer)
            else:
                self.outbox.answer(self.outbox.committed, answer, future.result())

        fetched.add_done_callback(done)

    def _wait(self, session: Session, verb: Verb, request: Any, answer: Answer) -> None:
        def look() -> bool:
            try:
                reply = verb.run(self.call(session), request)
            except Exception as error:
                self._fail(verb, error, answer)
                return True
            if reply is None:
                return False
            self.outbox.answer(self.head, answer, encode(reply))
            return True

        def over() -> None:
            self.waits.remove(waiter)
            if self.suspended or not look():
                self.outbox.answer(self.outbox.committed, answer, encode(Pending()))

        if look():
            return
        assert verb.watches is not None
        waiter = Waiter(session, look, verb.watches(self.call(session), request))
        waiter.over = over
        waiter.timer = self.loop.call_later(min(max(request.timeout, 0.0), LONGEST_WAIT), over)
        self.waits.add(waiter)

    # -- after the commit

    def _committed(self, position: int) -> None:
        for done in range(self.outbox.committed + 1, position + 1):
            self._pending.pop(done, None)
        self.outbox.release(position)
        self.settle()

    def settle(self) -> None:
        """Do what is owed for everything that was touched since the last time."""
        if self.suspended:
            return
        touched, self._touched = self._touched, set()
        self.waits.wake(touched)
        _react(self.on_commit, touched)

    def _failed(self, error: Exception) -> None:
        self.suspended = True
        self.on_failure(error)

    def _unpark(self) -> None:
        """There is room again, or the state is whole again: take up what had to wait, in order."""
        while self._parked and not self.suspended and self._room(self._parked[0][1]):
            self._ask(*self._parked.popleft())

    def resume(self) -> None:
        """The state is level with the log: answer again."""
        self.suspended, self.closed_for = False, None
        self._unpark()

    def turn_away(self, why: SynapseError) -> None:
        """Nothing can be answered until `resume`, and nobody knows when that is: nobody is kept waiting."""
        self.closed_for = why
        for task in self._preparing:
            task.cancel()
        parked, self._parked = self._parked, deque()
        for _, _, _, answer in parked:
            self.loop.call_soon(answer, self.outbox.committed, why)

    async def flushed(self) -> None:
        """Wait until everything decided so far is on the disk (or has failed)."""
        done = asyncio.Event()
        self.outbox.answer(self.head, lambda position, what: done.set(), None)
        await done.wait()

    def pending(self) -> dict[int, Record]:
        """Take the records whose fate is not known, by position."""
        pending, self._pending = self._pending, {}
        return pending


class TooLarge(Refused):
    """One record would become too large."""


def _react(reactions: list[Callable[[P], None]], to: P) -> None:
    """One reaction that fails keeps nothing from the others."""
    for react in reactions:
        try:
            react(to)
        except Unavailable as error:
            logger.debug("nothing done: %s", error)  # a projection is out of order, which was told where it happened
        except Exception as error:
            logger.error("a reaction failed", exc_info=error)


def _nobody(position: int, what: Any) -> None:
    """Nobody waits for the hub's own changes."""


def _fingerprint(verb: Verb, request: Any) -> bytes:
    """A sum of what is asked; the key stands in it, for a retry has the same one."""
    if request.idem_key:  # the other spelling of it is the same request
        request = msgspec.structs.replace(request, idempotency_key=request.idem_key, idem_key="")
    return ids.fingerprint(verb.name.encode() + encode(request))


def _forbidden(verb: Verb, session: Session) -> str:
    if verb.permission is Permission.PERSON:
        return f"{verb.name} is for a person: agents do not decide for themselves or for each other."
    return f"{verb.name} needs the permission '{verb.permission.value}'."
