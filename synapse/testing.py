"""What the author of a plugin tests it with: a hub without a network, those who talk to it, and the laws.

async with hub({"notes": my_plugin}) as bench:
    alice = bench.client("alice")
    await alice("notes.add", text="hello")
    assert bench.kinds() == ["hub.started", "agents.joined", "notes.added"]
    await bench.crash()
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from synapse import plugins
from synapse.clock import ManualClock
from synapse.errors import SynapseError
from synapse.event import Event
from synapse.hub.core import Core
from synapse.hub.facts import Joined, LogRedacted
from synapse.hub.limits import Limits
from synapse.hub.loop import Hub
from synapse.hub.recovery import events_of
from synapse.hub.sessions import Session
from synapse.hub.state import State
from synapse.log.base import Log
from synapse.log.memory import MemoryLog
from synapse.log.sqlite import SqliteLog
from synapse.projection import Projection

BOUND = 10.0  # seconds that anything in a test may take


@asynccontextmanager
async def hub(
    modules: Mapping[str, Any] | None = None, *, file: Path | None = None, **more: Any
) -> AsyncIterator["Bench"]:
    """A hub with these plugins, by name, on a log in memory or in `file`; its clock moves when it is told to.

    A plugin that does not work raises here: `AssertionError` with what is wrong.
    """
    log = SqliteLog.open(file) if file else MemoryLog()
    try:
        bench = Bench(log, modules=modules or {}, **more)
        await bench.open()
        try:
            yield bench
        finally:
            await bench.close()
    finally:
        log.close()


class Processes:
    """The processes of a machine that is not there: all live but the dead."""

    def __init__(self) -> None:
        self.dead: set[int] = set()
        self.ended: list[int] = []

    def alive(self, pid: int, start: str) -> bool:
        return pid not in self.dead

    def end(self, pid: int, start: str) -> None:
        self.ended.append(pid)


class Peer:
    """A participant: asks verbs, and keeps the frames that it is sent."""

    def __init__(self, bench: "Bench", session: Session) -> None:
        self.bench = bench
        self.session = session
        self.frames: deque[dict[str, Any]] = deque()
        self._came = asyncio.Event()
        session.push = self._push

    def _push(self, frame: bytes) -> None:
        self.frames.append(json.loads(frame))
        self._came.set()

    @property
    def key(self) -> str:
        return self.session.key

    def ask(self, verb: str, **fields: Any) -> "asyncio.Future[bytes]":
        """Ask without waiting; the reply's bytes come later."""
        found = self.bench.core.verbs.get(verb)
        return self.bench.hub.do(self.session, found, found.parse(json.dumps(fields).encode()))

    async def raw(self, verb: str, **fields: Any) -> bytes:
        return await asyncio.wait_for(self.ask(verb, **fields), BOUND)

    async def __call__(self, verb: str, **fields: Any) -> Any:
        """The reply to a verb; raises what is refused."""
        return json.loads(await self.raw(verb, **fields))

    async def refused(self, verb: str, **fields: Any) -> SynapseError:
        """Ask for something that is refused; what is said."""
        try:
            reply = await self.raw(verb, **fields)
        except SynapseError as refusal:
            return refusal
        raise AssertionError(f"{verb} was not refused: {reply.decode()}")

    async def frame(self, method: str) -> Any:
        """The parameters of the next frame of a method; others before it are passed over."""

        async def next_one() -> Any:
            while True:
                while self.frames:
                    frame = self.frames.popleft()
                    if frame["method"] == method:
                        return frame["params"]
                self._came.clear()
                await self._came.wait()

        return await asyncio.wait_for(next_one(), BOUND)

    def hang_up(self) -> None:
        """End this connection."""
        self.bench.core.gone(self.session)

    # -- what a runner does

    async def take(self) -> Any:
        """Be handed a message and type it; the message."""
        message = await self.frame("deliver")
        await self("messages.typing", id=message["id"])
        await self("messages.delivered", id=message["id"])
        return message


class Bench:
    """A hub on a log, with a clock that the test moves."""

    def __init__(
        self,
        log: Log | None = None,
        *,
        modules: Mapping[str, Any] | None = None,
        cache: Path | None = None,
        **more: Any,
    ) -> None:
        self.log: Log = log or MemoryLog()
        self.truth: Log = self.log  # what is stored, read without faults
        self.clock = ManualClock()
        self.processes = Processes()
        self.modules = dict(modules or {})  # may be changed between a close and an open
        self.more = more
        self._folder: TemporaryDirectory[str] | None = None
        self._cache = cache

    @property
    def cache(self) -> Path:
        """The file with the tables."""
        if self._cache is None:
            self._folder = TemporaryDirectory(prefix="synapse-")
            self._cache = Path(self._folder.name) / "cache.db"
        return self._cache

    async def open(self) -> "Bench":
        more = {"limits": Limits(self.clock, 0, 0), "retry": 0.001, **self.more}
        if self.modules:
            there = [plugins.of(name, module) for name, module in self.modules.items()]
            failed = [f"{plugin.name}: {plugin.failure}" for plugin in there if plugin.failure]
            assert not failed, "; ".join(failed)
            more["plugins"] = [*more.get("plugins", ()), *there]
        if "plugins" in more or self._cache is not None:
            more["cache"] = self.cache
        self.core = Core(self.log, self.clock, self.processes, **more)
        await self.core.open()
        return self

    @property
    def hub(self) -> Hub:
        return self.core.hub

    async def close(self) -> None:
        await self.core.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = self._cache = None

    async def restart(self) -> None:
        """End in order and begin again on the same log; connections are gone."""
        await self.core.close()
        await self.open()

    async def crash(self) -> None:
        """End without a word: nothing is noted, no snapshot taken; then begin again."""
        core, hub = self.core, self.hub
        core.sweeper.close()
        core.recovery.close()
        core.reactions.close()
        hub.suspended = True
        await core.background.close()
        await hub.retention.close()
        if hub.tables is not None:
            hub.tables.stop()
        hub.readers.shutdown(wait=True, cancel_futures=True)
        if hub.tables is not None:
            await asyncio.to_thread(hub.tables.close)
        hub.writer.close()
        await asyncio.sleep(0)
        await self.open()

    async def refill(self) -> None:
        """Begin again without the file of tables: they are filled from the log."""
        await self.core.close()
        for ending in ("", "-wal", "-shm"):
            self.cache.with_name(self.cache.name + ending).unlink(missing_ok=True)
        await self.open()

    # -- who is there

    def peer(self, session: Session) -> Peer:
        return Peer(self, session)

    def client(self, name: str, workspace: str = "w", **more: Any) -> Peer:
        """A plain client of a chosen name, who joins with its first change."""
        wanted = Joined(key="", name=name, type="client", id=name, chosen=True)
        return self.peer(Session(wanted=wanted, workspace=workspace, user="kim", **more))

    def person(self, name: str = "kim", workspace: str = "w") -> Peer:
        wanted = Joined(key="", name=name, type="person", id=name, chosen=True)
        return self.peer(Session(wanted=wanted, workspace=workspace, user=name))

    async def agent(self, name: str = "", profile: str = "claude", workspace: str = "w", pid: int = 0) -> Peer:
        """An agent whose runner has joined and is attached."""
        runner = self.peer(Session(workspace=workspace, pid=pid, user="kim"))
        joined = await runner(
            "agents.join", profile=profile, name=name, workspace=workspace, pid=pid, ports=[8100, 8109]
        )
        await runner("agents.attach", key=joined["key"], live={"status": "READY"})
        return runner

    def command(self, agent: Peer) -> Peer:
        """A command that an agent runs inside its terminal."""
        peer = self.peer(Session(key=agent.key, workspace=agent.session.workspace, user="kim"))
        self.core.arrived(peer.session)
        return peer

    # -- what happened

    async def sweep(self) -> None:
        """Sweep until nothing is due, and until it is stored."""
        head = -1
        while head != self.hub.head:
            head = self.hub.head
            self.core.sweeper.run()
            await self.settled()

    async def settled(self) -> None:
        """Until everything decided so far is stored, or known to have failed, and changes are taken again."""

        async def level() -> None:
            while self.hub.suspended or self.hub.read_only or len(self.hub.outbox):
                await asyncio.sleep(0.001)

        await asyncio.wait_for(level(), BOUND)

    async def until(self, what: Callable[[], Any]) -> Any:
        """What `what` gives as soon as that is true."""

        async def true() -> Any:
            while not (found := what()):
                await asyncio.sleep(0.001)
            return found

        return await asyncio.wait_for(true(), BOUND)

    def events(self) -> list[Event]:
        """Everything that is stored, as a projection gets it."""
        return [event for record in self.truth.read(0) for event in events_of(self.hub, record)]

    def kinds(self) -> list[str]:
        """The kinds of all events that are stored, in order."""
        return [event.kind for record in self.truth.read(0) for event in record.events]

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        """The bodies of the events of a kind."""
        return [json.loads(e.body) for record in self.truth.read(0) for e in record.events if e.kind == kind]

    async def rows(self, table: str, sql: str) -> list[Any]:
        """What a question to the tables gives, once `table` holds everything that is stored."""
        assert self.hub.tables is not None
        read = self.hub.tables.fetch((table,), self.hub.head, lambda db: db.execute(sql).fetchall())
        found: list[Any] = await asyncio.wait_for(read, BOUND)
        return found

    def picture(self) -> dict[str, Any]:
        """Everything that the projections know, their indexes too."""
        return picture(self.hub.state)

    def refolded(self) -> dict[str, Any]:
        """The picture of a fresh fold of the whole log."""
        state = fresh(self.hub.state)
        for event in self.events():
            state.fold(event)
        return picture(state)

    def check(self) -> None:
        """The law of the whole: what is in memory is the fold of what is stored."""
        assert self.picture() == self.refolded()


def fresh(state: State) -> State:
    """The same projections, empty."""
    return State([type(projection)() for projection in state.projections])


def picture(state: State) -> dict[str, Any]:
    """All that is known, by projection."""
    assert not state.broken, state.broken
    return {projection.name: _known(projection) for projection in state.projections}


def _known(projection: Projection) -> Any:
    return vars(projection) if hasattr(projection, "__dict__") else projection.dump()


# -- laws


def check_projection(make: Callable[[], Projection], events: Sequence[Event]) -> None:
    """The laws of a projection over some events; AssertionError says which one is broken, and where.

    A dump that is loaded and followed by the rest gives the same state, at every point; what was redacted can be
    folded; the same events give the same state.
    """
    own = make().kinds
    events = [event for event in events if event.kind in own]
    whole = _folded(make, events)
    assert _known(whole) == _known(_folded(make, events)), "the same events give two states"
    for cut in range(len(events) + 1):
        loaded = make()
        loaded.load(_folded(make, events[:cut]).dump())
        for event in events[cut:]:
            loaded.apply(event)
        where = events[cut - 1].address if cut else "the start"
        assert _known(loaded) == _known(whole), f"what is loaded from a dump at {where} becomes another state"
        _check_redacted(make, events, cut)
    again = make()
    again.load(whole.dump())
    again.reset()
    assert _known(again) == _known(make()), "`reset` leaves something behind"


def _folded(make: Callable[[], Projection], events: Sequence[Event]) -> Projection:
    projection = make()
    for event in events:
        projection.apply(event)
    return projection


def _check_redacted(make: Callable[[], Projection], events: Sequence[Event], number: int) -> None:
    """Fold once more with the body of one event blanked, and once with the redaction told at the end."""
    if number == len(events):
        return
    event = events[number]
    try:
        body: Any = msgspec.json.decode(b"{}", type=type(event.body))
    except msgspec.ValidationError:
        blanked = [other for other in events if other is not event]  # the hub leaves such an event out
    else:
        blanked = [msgspec.structs.replace(each, body=body) if each is event else each for each in events]
    fact = LogRedacted(position=event.position)
    last = events[-1]
    told = Event(last.position + 1, 0, last.at, fact.kind, "hub", "", "log", fact)
    for each in (blanked, events):
        try:
            projection = _folded(make, each)
            if told.kind in projection.kinds:
                projection.apply(told)
        except Exception as error:
            raise AssertionError(f"it cannot be folded once {event.address} ({event.kind}) is redacted") from error
