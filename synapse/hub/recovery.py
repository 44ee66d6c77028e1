"""Getting level with the log: at the start, and once more after a failed append."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, TypeVar

import msgspec

from synapse.errors import Unavailable
from synapse.event import Event
from synapse.hub.keys import LIMIT, SECONDS
from synapse.hub.loop import Hub
from synapse.log.base import Log, Record, Snapshot
from synapse.projection import Projection

logger = logging.getLogger(__name__)
SNAPSHOT_EVERY = 20_000  # events
REDACTED = b"{}"
T = TypeVar("T")


class Level:
    """What getting level took, for the start line."""

    def __init__(self) -> None:
        self.events = 0
        self.snapshots = 0
        self.folded_anew: list[str] = []

    def __str__(self) -> str:
        parts = [f"{self.snapshots} snapshots", f"{self.events} events folded"]
        if self.folded_anew:
            parts.append(f"folded from the start: {', '.join(self.folded_anew)}")
        return ", ".join(parts)


class _End(NamedTuple):
    """What the log says at its end."""

    head: int
    at: float
    keys: list[tuple[bytes, int]]


class Recovery:
    """Folds the log into the hub's state; on a failed append folds once more, then stays read-only until a probe succeeds.

    `folded` is called when that is done and before anything is answered, `whole` when the storage takes writes again.
    """

    def __init__(self, hub: Hub, *, retry: float = 1.0, folded: Callable[[], None], whole: Callable[[], None]) -> None:
        self._hub = hub
        self._retry = retry
        self._folded = folded
        self._whole = whole
        self._task: asyncio.Task[None] | None = None
        hub.on_failure = self._begin
        hub.on_commit.append(self._maybe_snapshot)
        self._snapshotting: list[Projection] = []

    # -- folding

    async def load(self) -> Level:
        """Make the state the fold of the log. Nothing else touches it meanwhile: the hub is suspended."""
        hub = self._hub
        level, end = await hub.loop.run_in_executor(hub.readers, self._load, hub.log)
        hub.head = end.head
        if not len(hub.outbox):
            hub.outbox.committed = end.head
        hub.last_at = max(hub.last_at, end.at)
        hub.events_since_snapshot = level.events
        hub.keys.reset(end.keys)
        return level

    def _load(self, log: Log) -> tuple[Level, _End]:
        state, level = self._hub.state, Level()
        state.reset()
        head = log.head()
        snapshots = {snapshot.name: snapshot for snapshot in log.snapshots()}
        behind: dict[int, list[Projection]] = {}
        for projection in state.projections:
            start = _restore(projection, snapshots.get(projection.name), head, level)
            if start == 0 and head > 0 and projection.name in snapshots:
                level.folded_anew.append(projection.name)
            behind.setdefault(start, []).append(projection)
        for after, projections in behind.items():
            self._fold(log, after, projections, level)
        newest = next(iter(log.at([head])), None)
        keys = log.keys(self._hub.clock.now() - SECONDS, LIMIT)
        return level, _End(head, newest.at if newest else 0.0, keys)

    def _fold(self, log: Log, after: int, projections: list[Projection], level: Level) -> None:
        among = frozenset(projection.name for projection in projections)
        kinds = frozenset().union(*(projection.kinds for projection in projections))
        fold = self._hub.state.fold
        for record in log.read(after, kinds=kinds):
            for event in events_of(self._hub, record):
                fold(event, among)
                level.events += 1

    # -- snapshots

    def _maybe_snapshot(self, touched: set[str]) -> None:
        if self._hub.events_since_snapshot >= SNAPSHOT_EVERY and not self._snapshotting:
            self._hub.events_since_snapshot = 0
            self._snapshotting = list(self._hub.state.projections)
            self._hub.loop.call_soon(self._snapshot_one)

    def _snapshot_one(self) -> None:
        """One projection per turn of the loop, stored behind the records that it contains."""
        if self._hub.suspended or self._hub.read_only or not self._snapshotting:
            self._snapshotting = []
            return
        self.snapshot([self._snapshotting.pop()])
        if self._snapshotting:
            self._hub.loop.call_soon(self._snapshot_one)

    def snapshot(self, projections: "list[Projection] | None" = None) -> None:
        """Hand the state of these projections (all, at stop) to the writer."""
        hub = self._hub
        chosen = hub.state.projections if projections is None else projections
        whole = [p for p in chosen if p.name not in hub.state.broken]
        hub.writer.submit_snapshots([Snapshot(p.name, p.version, hub.head, p.dump()) for p in whole])

    # -- failure

    def _begin(self, error: Exception) -> None:
        logger.error("an append failed: %s", error)
        self._hub.read_only = str(error) or type(error).__name__
        self._task = self._hub.loop.create_task(self._recover())

    async def _recover(self) -> None:
        hub = self._hub
        head = await self._until(self._reopen)
        pending = hub.pending()
        level = await self._until(self.load)
        stored = await self._until(lambda: self._ids_at(pending))
        self._folded()

        def is_stored(position: int) -> bool:
            record = pending.get(position)
            return position <= head and (record is None or stored.get(position) == record.id)

        hub.outbox.settle(is_stored, head)
        logger.warning("folded the log again up to %s (%s); read-only until the storage takes a write", head, level)
        hub.resume()
        hub.waits.wake_all()
        await self._until(self._probe)
        hub.read_only = ""
        hub.writer.resume()
        logger.warning("the storage takes writes again")
        self._whole()

    async def _reopen(self) -> int:
        return await asyncio.wrap_future(self._hub.writer.run(lambda log: log.recover()))

    async def _ids_at(self, positions: Iterable[int]) -> dict[int, bytes]:
        hub, wanted = self._hub, list(positions)
        records = await hub.loop.run_in_executor(hub.readers, hub.log.at, wanted)
        return {record.position: record.id for record in records}

    async def _probe(self) -> None:
        await asyncio.wrap_future(self._hub.writer.run(lambda log: log.probe()))

    async def _until(self, step: Callable[[], Awaitable[T]]) -> T:
        """Try until it succeeds, once a second; what goes wrong is why nothing is accepted.

        Whatever it is: a hub that stopped trying would never come back. While the state is not whole, nobody is kept
        waiting either.
        """
        while True:
            try:
                return await step()
            except Exception as error:
                if str(error) != self._hub.read_only:
                    logger.error("the storage is still in trouble: %s", error)
                self._hub.read_only = str(error) or type(error).__name__
                if self._hub.suspended:
                    why = f"Nothing can be read or stored at the moment: {self._hub.read_only}"
                    self._hub.turn_away(Unavailable("storage_unavailable", why))
                await asyncio.sleep(self._retry)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()


def _restore(projection: Projection, snapshot: Snapshot | None, head: int, level: Level) -> int:
    """The position from which the projection has still to fold."""
    if snapshot is None or snapshot.version != projection.version or snapshot.position > head:
        return 0
    try:
        projection.load(snapshot.state)
    except Exception:
        logger.exception("the snapshot of %s cannot be read: it is folded from the start", projection.name)
        projection.reset()
        return 0
    level.snapshots += 1
    return snapshot.position


def events_of(hub: Hub, record: Record) -> list[Event]:
    """A stored record's events with their bodies decoded; those that were redacted away are left out."""
    events = []
    for index, e in record.numbered():
        try:
            body = hub.kinds.decode(e.kind, e.body)
        except msgspec.DecodeError:
            if e.body != REDACTED:
                logger.error("event %s.%s (%s) cannot be read: left out", record.position, index, e.kind)
            continue
        events.append(Event(record.position, index, record.at, e.kind, e.by, e.workspace, e.story, body))
    return events
