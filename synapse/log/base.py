"""What an event log promises; each engine passes the same conformance suite (`tests/core/log/`)."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from msgspec import Struct

RECENT = 4096  # newest records among which an id is stored once, and is found
MOST_EVENTS = 1000  # in one record


class StoredEvent(NamedTuple):
    """An event as it lies in the log: its body is bytes of JSON, its position and time are the record's."""

    kind: str
    by: str
    workspace: str
    story: str
    body: bytes


class Record(Struct, frozen=True):
    """What one request decided: stored whole or not at all, at one position.

    `expected` is the head that the decision was made on, `position` the next one: the engine refuses when its own head
    is another. `epoch` is the position of the `hub.started` under which it was written. `key` is the request's
    idempotency key or "", `request_hash` the sum of the request, `reply` the bytes of the answer, so that a retry gets
    the same. `indexes` says which of the record's events these are, where some were filtered out or forgotten.
    """

    id: bytes
    position: int
    expected: int
    epoch: int
    at: float
    sender: str
    key: str
    request_hash: bytes
    reply: bytes
    events: tuple[StoredEvent, ...]
    indexes: tuple[int, ...] = ()

    def numbered(self) -> Iterable[tuple[int, StoredEvent]]:
        """The events with their index in the record as it was written: the second half of an event's address."""
        return zip(self.indexes, self.events, strict=True) if self.indexes else enumerate(self.events)

    @property
    def size(self) -> int:
        """Bytes, near enough for bounding a queue."""
        return 200 + len(self.reply) + sum(100 + len(event.body) for event in self.events)


def indexes(numbers: Sequence[int]) -> tuple[int, ...]:
    """What a record says of its events' numbers: nothing where they are 0, 1, 2 ..."""
    return () if not numbers or numbers[-1] == len(numbers) - 1 else tuple(numbers)


class Snapshot(NamedTuple):
    """One projection's state after the record at `position`."""

    name: str
    version: int
    position: int
    state: bytes


NOTHING: Mapping[int, bytes] = MappingProxyType({})


class AppendFailed(Exception):
    """The record may or may not be stored. The engine takes nothing more until `recover` was called."""

    def __init__(self, reason: str, code: str = "storage_unavailable") -> None:
        super().__init__(reason)
        self.code = code


class Conflict(AppendFailed):
    """The record was decided on another head than the log's, or its id is already stored: nothing was written."""

    def __init__(self, reason: str, code: str = "conflict") -> None:
        super().__init__(reason, code)


class Entry(NamedTuple):
    """One thing to store, in order: a record, or snapshots, which are never ahead of the records before them."""

    record: Record | None = None
    snapshots: tuple[Snapshot, ...] = ()


class Log(Protocol):
    """An append-only sequence of records with one writer.

    The methods are synchronous and may block. What writes (append, recover, probe, put_blob, drop_blobs, redact,
    forget) belongs to one thread at a time and raises AppendFailed; what reads may be called by any thread, and raises
    Unavailable when the storage cannot be read.
    """

    def head(self) -> int:
        """The position of the newest record ever stored, 0 when there was none; it never falls."""

    def append(self, entries: Sequence[Entry]) -> None:
        """Store the entries in order, durably, as one transaction: all of them or none.

        Raises AppendFailed when the outcome is unknown or nothing was stored (Conflict: certainly nothing), and then
        for every further write, until `recover`.
        """

    def recover(self) -> int:
        """Reopen the storage after a failure and give its head: what is stored now is the truth, and durable."""

    def probe(self) -> None:
        """Write something durable that changes nothing; AppendFailed while the storage does not take it.

        After a probe that failed nothing is stored until one succeeds; the state need not be folded again.
        """

    def read(
        self, after: int, *, limit: int | None = None, kinds: Collection[str] | None = None, until: int | None = None
    ) -> Iterator[Record]:
        """Records with `after < position <= until` (or the head now), in order, with only the events of `kinds`.

        With `kinds`, records that hold none of them are left out. `limit` counts records. Nothing is held open between
        two records: a slow reader hinders nobody.
        """

    def record(self, id: bytes) -> Record | None:
        """The record that was stored under an id, if it is among the newest `RECENT`."""

    def at(self, positions: Iterable[int]) -> list[Record]:
        """The records at these positions, in rising order; forgotten ones are left out."""

    def story(self, story: str) -> list[Record]:
        """The records that hold events of one story, in order, with only these events."""

    def keys(self, since: float, limit: int) -> list[tuple[bytes, int]]:
        """(id, position) of the newest `limit` records with an idempotency key at or after `since`, oldest first."""

    def follow(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Have `listener(head)` called after every append, on the writer's thread; returns what ends it."""

    def snapshots(self) -> list[Snapshot]:
        """The newest snapshot of each projection, by name."""

    def put_blob(self, content: bytes) -> str:
        """Store content durably under its sha256 (hex), which is returned; the same content is stored once."""

    def blob(self, sum: str) -> bytes | None:
        """The content stored under a sum."""

    def sums(self) -> list[str]:
        """The sums of all contents."""

    def drop_blobs(self, sums: Collection[str]) -> int:
        """Remove contents for ever; returns how many went."""

    def redact(self, position: int, bodies: Mapping[int, bytes] = NOTHING) -> None:
        """Blank a record's reply and the bodies of its events, for ever; drop the snapshots before now.

        `bodies` gives, by an event's index, what stays of its body (its ids: else the state could not be folded again);
        the other bodies become `{}`.
        """

    def forget(self, stories: Collection[str]) -> int:
        """Remove all events of these stories, and records left empty by that; returns how many events went.

        A snapshot goes, too, when one of them stands behind it: folded on, it would lack what that one changed.
        """

    def close(self) -> None:
        """Let go of the storage."""
