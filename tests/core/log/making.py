"""Records to store."""

from synapse.ids import fingerprint
from synapse.log.base import Entry, Log, Record, StoredEvent


def event(kind: str = "tasks.created", story: str = "t-1", body: bytes = b'{"text":"hello"}') -> StoredEvent:
    return StoredEvent(kind, "a-1", "w", story, body)


def record(position: int, *events: StoredEvent, key: str = "", expected: int | None = None, id: bytes = b"") -> Record:
    """The record that a decider writes at a position, with one event unless others are given."""
    return Record(
        id=id or fingerprint(f"record {position}".encode()),
        position=position,
        expected=position - 1 if expected is None else expected,
        epoch=1,
        at=1000.0 + position,
        sender="a-1",
        key=key,
        request_hash=fingerprint(b"request"),
        reply=b'{"position":%d}' % position,
        events=events or (event(story=f"t-{position}"),),
    )


def append(log: Log, *records: Record) -> None:
    log.append([Entry(record) for record in records])


def positions(log: Log, after: int = 0) -> list[int]:
    return [record.position for record in log.read(after)]
