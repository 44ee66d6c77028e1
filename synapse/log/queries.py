"""How records are read from the file: every function takes a connection and reads one bounded page."""

from collections.abc import Collection, Iterable
from typing import Any

from apsw import Connection
from msgspec import json

from synapse.log.base import RECENT, Record, Snapshot, StoredEvent, indexes
from synapse.log.schema import INDEX_BITS

PAGE_RECORDS = 500
PAGE_BYTES = 4 << 20

_RECORD = "SELECT position, id, epoch, at, sender, key, request_hash, reply FROM records "
_EVENT = "SELECT address, kind, by, workspace, story, body FROM events "
_MASK = (1 << INDEX_BITS) - 1

_Events = dict[int, tuple[list[int], list[StoredEvent]]]


def head(connection: Connection) -> int:
    """The newest position ever."""
    value = connection.execute("SELECT value FROM meta WHERE name = 'head'").fetchall()[0][0]
    assert isinstance(value, int)
    return value


def newest(connection: Connection) -> int:
    """The newest position that is still there."""
    rows: list[Any] = connection.execute(
        "SELECT max(position), (SELECT max(address) FROM events) FROM records"
    ).fetchall()
    position, address = rows[0]
    return max(position or 0, (address or 0) >> INDEX_BITS)


def page(
    connection: Connection, after: int, until: int, limit: int, kinds: Collection[str] | None
) -> tuple[list[Record], int]:
    """Records in `after < position <= until`, at most `limit`, and the position up to which that is everything."""
    where, values = "WHERE address >= ? AND address < ?", [after + 1 << INDEX_BITS, until + 1 << INDEX_BITS]
    if kinds is None:
        # Only then a record without events counts too, and the range of the records is known before that of the events.
        until = _bound(connection, after, until, limit)
        values[1] = until + 1 << INDEX_BITS
    else:
        where += f" AND kind IN ({','.join('?' * len(kinds))})"
    events, until = _bounded(
        connection.execute(_EVENT + where + " ORDER BY address", (*values, *(kinds or ()))), until, limit
    )
    if kinds is None:
        rows = connection.execute(_RECORD + "WHERE position > ? AND position <= ? ORDER BY position", (after, until))
    else:
        rows = _records_at(connection, events)
    return [_record(row, events) for row in rows.fetchall()], until


def at(connection: Connection, positions: Collection[int]) -> list[Record]:
    """The records at these positions with their events, in order."""
    rows = _records_at(connection, positions).fetchall()
    events: _Events = {}
    for row in rows:
        low = row[0] << INDEX_BITS
        _collect(events, connection.execute(_EVENT + "WHERE address BETWEEN ? AND ?", (low, low | _MASK)))
    return [_record(row, events) for row in rows]


def story(connection: Connection, name: str) -> list[Record]:
    """The records of one story, with only its events."""
    events: _Events = {}
    _collect(events, connection.execute(_EVENT + "WHERE story = ? ORDER BY address", (name,)))
    return [_record(row, events) for row in _records_at(connection, events).fetchall()]


def recent_ids(connection: Connection) -> list[bytes]:
    """The ids of the newest records, oldest first."""
    sql = "SELECT id FROM records WHERE position > ? ORDER BY position"
    return [row[0] for row in connection.execute(sql, (head(connection) - RECENT,)).fetchall()]  # type: ignore[misc]


def position_of(connection: Connection, id: bytes) -> int | None:
    """Where a record lies, if it is among the newest."""
    sql = "SELECT position FROM records WHERE position > ? AND id = ?"
    rows: list[Any] = connection.execute(sql, (head(connection) - RECENT, id)).fetchall()
    return rows[0][0] if rows else None


def keys(connection: Connection, since: float, limit: int) -> list[tuple[bytes, int]]:
    """Ids and positions of the newest records with a key, found from the end: `at` never runs backwards."""
    found: list[tuple[bytes, int]] = []
    cursor = connection.execute("SELECT at, key, id, position FROM records ORDER BY position DESC")
    try:
        row: Any
        for row in cursor:
            if row[0] < since or len(found) >= limit:
                break
            if row[1]:
                found.append((row[2], row[3]))
    finally:
        cursor.close()
    return found[::-1]


def snapshots(connection: Connection) -> list[Snapshot]:
    """The newest snapshot of each projection."""
    rows: list[Any] = connection.execute(
        "SELECT name, version, position, state FROM snapshots ORDER BY name"
    ).fetchall()
    return [Snapshot(*row) for row in rows]


def blob(connection: Connection, sum: bytes) -> bytes | None:
    """A content by its sum."""
    rows: list[Any] = connection.execute("SELECT content FROM blobs WHERE sum = ?", (sum,)).fetchall()
    return rows[0][0] if rows else None


def sums(connection: Connection) -> list[str]:
    """The sums of all contents."""
    rows: list[Any] = connection.execute("SELECT lower(hex(sum)) FROM blobs").fetchall()
    return [row[0] for row in rows]


def _bound(connection: Connection, after: int, until: int, limit: int) -> int:
    """The position of the `limit`-th record after a position, or `until`."""
    sql = "SELECT position FROM records WHERE position > ? AND position <= ? ORDER BY position LIMIT 1 OFFSET ?"
    rows: list[Any] = connection.execute(sql, (after, until, limit - 1)).fetchall()
    return rows[0][0] if rows else until


def _bounded(rows: Iterable[Any], until: int, limit: int) -> tuple[_Events, int]:
    """Events as long as they fit into a page, and the position they reach."""
    events: _Events = {}
    size = 0
    for row in rows:
        position = row[0] >> INDEX_BITS
        if position not in events:
            if len(events) >= limit or size > PAGE_BYTES:
                rows.close()  # type: ignore[attr-defined]
                return events, max(events)
            events[position] = ([], [])
        size += 100 + len(row[5])
        _add(events[position], row)
    return events, until


def _collect(events: _Events, rows: Iterable[Any]) -> None:
    for row in rows:
        _add(events.setdefault(row[0] >> INDEX_BITS, ([], [])), row)


def _add(events: tuple[list[int], list[StoredEvent]], row: Any) -> None:
    events[0].append(row[0] & _MASK)
    events[1].append(StoredEvent(row[1], row[2], row[3], row[4], row[5]))


def _records_at(connection: Connection, positions: Iterable[int]) -> Any:
    where = "WHERE position IN (SELECT value FROM json_each(?)) ORDER BY position"
    return connection.execute(_RECORD + where, (json.encode(list(positions)).decode(),))


_NO_EVENTS: tuple[list[int], list[StoredEvent]] = ([], [])


def _record(row: Any, events: _Events) -> Record:
    position, id, epoch, at, sender, key, request_hash, reply = row
    numbers, own = events.get(position, _NO_EVENTS)
    return Record(id, position, position - 1, epoch, at, sender, key, request_hash, reply, tuple(own), indexes(numbers))
