"""The log without a disk: for tests, and for a hub that keeps nothing."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from threading import Lock

from msgspec.structs import replace

from synapse.log.base import NOTHING, RECENT, Entry, Record, Snapshot, indexes
from synapse.log.chain import Gate, Recent, check
from synapse.log.listeners import Listeners


class MemoryLog:
    """A log that keeps every promise but durability."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._records: list[Record] = []  # replaced or appended to, never cut in place: a reader works on its own slice
        self._head = 0
        self._recent = Recent()
        self._gate = Gate()
        self._snapshots: dict[str, Snapshot] = {}
        self._blobs: dict[str, bytes] = {}
        self._listeners = Listeners()

    def head(self) -> int:
        return self._head

    def append(self, entries: Sequence[Entry]) -> None:
        with self._lock, self._gate:
            head = check(entries, self._head, self._recent)
            records = [entry.record for entry in entries if entry.record is not None]
            self._records.extend(records)
            self._recent.add(record.id for record in records)
            self._snapshots.update((snapshot.name, snapshot) for entry in entries for snapshot in entry.snapshots)
            self._head = head
        self._listeners.tell(head)

    def recover(self) -> int:
        self._gate.open()
        return self._head

    def probe(self) -> None:
        with self._gate.probing():
            pass  # memory takes everything

    def read(
        self, after: int, *, limit: int | None = None, kinds: Collection[str] | None = None, until: int | None = None
    ) -> Iterator[Record]:
        with self._lock:
            stop = self._head if until is None else min(until, self._head)
            records = self._records[bisect_right(self._records, after, key=_position) :]
        for record in records:
            if record.position > stop or (limit is not None and limit <= 0):
                return
            found = record if kinds is None else _only(record, lambda event: event.kind in kinds)
            if found is not None:
                yield found
                limit = None if limit is None else limit - 1

    def record(self, id: bytes) -> Record | None:
        oldest = self._head - RECENT
        return next((found for found in reversed(self._records) if found.id == id and found.position > oldest), None)

    def at(self, positions: Iterable[int]) -> list[Record]:
        wanted = set(positions)
        return [record for record in self._records if record.position in wanted]

    def story(self, story: str) -> list[Record]:
        found = (_only(record, lambda event: event.story == story) for record in self._records[:])
        return [record for record in found if record is not None]

    def keys(self, since: float, limit: int) -> list[tuple[bytes, int]]:
        found = [(record.id, record.position) for record in self._records if record.key and record.at >= since]
        return found[-limit:] if limit else []

    def follow(self, listener: Callable[[int], None]) -> Callable[[], None]:
        return self._listeners.add(listener)

    def snapshots(self) -> list[Snapshot]:
        with self._lock:
            return [self._snapshots[name] for name in sorted(self._snapshots)]

    def put_blob(self, content: bytes) -> str:
        sum = sha256(content).hexdigest()
        with self._gate:
            self._blobs[sum] = content
        return sum

    def blob(self, sum: str) -> bytes | None:
        return self._blobs.get(sum)

    def sums(self) -> list[str]:
        return list(self._blobs)

    def drop_blobs(self, sums: Collection[str]) -> int:
        with self._gate:
            return sum(self._blobs.pop(name, None) is not None for name in set(sums))

    def redact(self, position: int, bodies: Mapping[int, bytes] = NOTHING) -> None:
        with self._lock, self._gate:
            self._records = [_blank(each, bodies) if each.position == position else each for each in self._records]
            self._snapshots.clear()

    def forget(self, stories: Collection[str]) -> int:
        with self._lock, self._gate:
            before = self._records
            kept = [(record, _only(record, lambda event: event.story not in stories)) for record in before]
            self._records = [after or record for record, after in kept if after is not None or not record.events]
            newest = max(
                (record.position for record, after in kept if after is not record and record.events), default=0
            )
            self._snapshots = {name: one for name, one in self._snapshots.items() if one.position >= newest}
            return sum(len(record.events) for record in before) - sum(len(record.events) for record in self._records)

    def close(self) -> None:
        """Nothing is held."""


def _position(record: Record) -> int:
    return record.position


def _only(record: Record, wanted: Callable[..., bool]) -> Record | None:
    """The record with only some of its events; None when there are none."""
    found = [(index, event) for index, event in record.numbered() if wanted(event)]
    if found and len(found) == len(record.events):
        return record
    if not found:
        return None
    numbers, events = zip(*found, strict=True)
    return replace(record, events=events, indexes=indexes(numbers))


def _blank(record: Record, bodies: Mapping[int, bytes]) -> Record:
    events = tuple(event._replace(body=bodies.get(index, b"{}")) for index, event in record.numbered())
    return replace(record, reply=b"", events=events)
