"""The log in one SQLite file, in this process."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw
from msgspec import json

from synapse.errors import Refused
from synapse.log import backup, place, queries, schema, trouble
from synapse.log.base import NOTHING, AppendFailed, Conflict, Entry, Record, Snapshot
from synapse.log.chain import Gate, Recent, check
from synapse.log.listeners import Listeners
from synapse.log.readers import Readers

_READ_ONLY = apsw.SQLITE_OPEN_READONLY
_READ_WRITE = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
_CHECKED_WHOLE = 32 << 20  # bytes: a file up to this size is checked page by page when it is opened


class SqliteLog:
    """A log in a file with a write-ahead log beside it; make one with `open`."""

    def __init__(self, path: Path, vfs: str | None, read_only: bool) -> None:
        self.path = path
        self._vfs = vfs
        self._read_only = read_only
        self._readers = Readers(path, self._connect_reader)
        self._listeners = Listeners()
        self._gate = Gate()
        self._recent: Recent | None = None
        self._uncut = False  # the WAL may still hold what was redacted
        self._writer = None if read_only else self._connect_writer()
        try:
            self._head = self._inspect()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: Path, *, vfs: str | None = None, read_only: bool = False) -> "SqliteLog":
        """Open a log, make it if it is not there, and bring it to this format behind a backup.

        Raises Refused (newer_format, not_a_log, network_filesystem, read_only), NotFound (no_folder, no_log) or
        Unavailable (corrupt_log, storage_unavailable), each with the next step.
        """
        path = Path(path)
        place.check(path, read_only=read_only)
        try:
            return cls(path, vfs, read_only)
        except apsw.Error as error:
            raise trouble.unreadable(error, path) from error

    # Writing: one thread.

    def append(self, entries: Sequence[Entry]) -> None:
        with self._transaction() as connection:
            if self._recent is None:
                self._recent = Recent(queries.recent_ids(connection))
            head = check(entries, self._head, self._recent)
            records = [entry.record for entry in entries if entry.record is not None]
            if records:
                _move_head(connection, self._head, head)
                _insert_records(connection, records)
            for entry in entries:
                for snapshot in entry.snapshots:
                    connection.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)", snapshot)
        self._head = head
        self._recent.add(record.id for record in records)
        if self._uncut:
            self._cut_wal(patience=0)
        self._listeners.tell(head)

    def recover(self) -> int:
        self._may_write()
        with self._failures():
            self._reopen()
        self._gate.open()
        return self._head

    def probe(self) -> None:
        self._may_write()
        with self._gate.probing() as again, self._failures():
            if again:
                self._reopen()
            with self._commit() as connection:
                connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'probes'")

    def put_blob(self, content: bytes) -> str:
        digest = sha256(content)
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (digest.digest(), content))
        return digest.hexdigest()

    def drop_blobs(self, sums: Collection[str]) -> int:
        with self._transaction() as connection:
            before = connection.total_changes()
            connection.executemany("DELETE FROM blobs WHERE sum = ?", [(bytes.fromhex(sum),) for sum in set(sums)])
            dropped = connection.total_changes() - before
        self._cut_wal()
        return dropped

    def redact(self, position: int, bodies: Mapping[int, bytes] = NOTHING) -> None:
        low, high = position << schema.INDEX_BITS, (position + 1 << schema.INDEX_BITS) - 1
        with self._transaction() as connection:
            connection.execute("UPDATE events SET body = x'7b7d' WHERE address BETWEEN ? AND ?", (low, high))
            for index, body in bodies.items():
                connection.execute("UPDATE events SET body = ? WHERE address = ?", (body, low + index))
            connection.execute("UPDATE records SET reply = x'' WHERE position = ?", (position,))
            connection.execute("DELETE FROM snapshots")
        self._cut_wal()

    def forget(self, stories: Collection[str]) -> int:
        theirs = (json.encode(list(stories)).decode(),)
        with self._transaction() as connection:
            rows: list[Any] = connection.execute(
                "DELETE FROM events WHERE story IN (SELECT value FROM json_each(?)) RETURNING address", theirs
            ).fetchall()
            connection.execute(
                "DELETE FROM records WHERE position IN (SELECT value FROM json_each(?)) AND NOT EXISTS"
                " (SELECT 1 FROM events WHERE address BETWEEN position << 10 AND (position << 10) + 1023)",
                (json.encode(list({row[0] >> schema.INDEX_BITS for row in rows})).decode(),),
            )
            newest = max((row[0] >> schema.INDEX_BITS for row in rows), default=0)
            connection.execute("DELETE FROM snapshots WHERE position < ?", (newest,))
        return len(rows)

    # Reading: any thread.

    def head(self) -> int:
        with self._readers.page() as connection:
            return queries.head(connection)

    def read(
        self, after: int, *, limit: int | None = None, kinds: Collection[str] | None = None, until: int | None = None
    ) -> Iterator[Record]:
        head = self.head()
        until = head if until is None else min(until, head)
        wanted = tuple(kinds) if kinds is not None else None
        left = until if limit is None else limit
        span = queries.PAGE_RECORDS
        while after < until and left > 0:
            bound = min(until, after + span)
            with self._readers.page() as connection:
                records, after = queries.page(connection, after, bound, min(left, queries.PAGE_RECORDS), wanted)
            if after == bound and len(records) < queries.PAGE_RECORDS // 2:
                span *= 2  # holes, or kinds that are rare
            left -= len(records)
            yield from records

    def record(self, id: bytes) -> Record | None:
        with self._readers.page() as connection:
            position = queries.position_of(connection, id)
            return None if position is None else queries.at(connection, (position,))[0]

    def at(self, positions: Iterable[int]) -> list[Record]:
        with self._readers.page() as connection:
            return queries.at(connection, tuple(positions))

    def story(self, story: str) -> list[Record]:
        with self._readers.page() as connection:
            return queries.story(connection, story)

    def keys(self, since: float, limit: int) -> list[tuple[bytes, int]]:
        with self._readers.page() as connection:
            return queries.keys(connection, since, limit)

    def snapshots(self) -> list[Snapshot]:
        with self._readers.page() as connection:
            return queries.snapshots(connection)

    def blob(self, sum: str) -> bytes | None:
        with self._readers.page() as connection:
            return queries.blob(connection, bytes.fromhex(sum))

    def sums(self) -> list[str]:
        with self._readers.page() as connection:
            return queries.sums(connection)

    def follow(self, listener: Callable[[int], None]) -> Callable[[], None]:
        return self._listeners.add(listener)

    def backup(self, target: Path) -> None:
        """Copy the log to a file while it is in use; see `backup.backup`."""
        connection = self._connect_reader()
        try:
            backup.backup(connection, target)
        finally:
            connection.close()

    def close(self) -> None:
        self._readers.close()
        if self._writer is not None:
            self._writer.close(True)  # the last one out writes the WAL back and removes it
            self._writer = None

    # Connections.

    def _connect_writer(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path), flags=_READ_WRITE, vfs=self._vfs)
        try:
            connection.set_busy_timeout(int(schema.WRITING["busy_timeout"]))
            found = schema.format_of(connection, str(self.path))  # before anything is changed: it may be another's file
            schema.settle(connection, schema.WRITING)
            if found == 0:
                schema.create(connection)
            elif found < schema.FORMAT:
                backup.before_upgrade(connection, self.path, found)
                schema.upgrade(connection, found)
        except BaseException:
            connection.close(True)
            raise
        return connection

    def _connect_reader(self) -> apsw.Connection:
        connection = apsw.Connection(self._readable(), flags=_READ_ONLY | apsw.SQLITE_OPEN_URI, vfs=self._vfs)
        try:
            schema.settle(connection, schema.READING)
        except BaseException:
            connection.close(True)
            raise
        return connection

    def _readable(self) -> str:
        """The file's name for a reader: without a WAL, and in a folder where none can be made, nobody is writing."""
        folder = self.path.resolve().parent
        still = not os.access(folder, os.W_OK) and not self.path.with_name(self.path.name + "-wal").exists()
        return f"file:{quote(str(self.path.resolve()))}{'?immutable=1' if still else ''}"

    def _reopen(self) -> None:
        """A new connection after a failure, and nothing in the file that was perhaps never synced.

        What is left in the WAL may lie only in the system's cache if it was fsync that failed. Written back into the
        file it is durable, and the next record does not lie behind frames that a power cut removes.
        """
        if self._writer is not None:
            self._writer.close(True)
        self._writer = self._connect_writer()
        with suppress(apsw.FullError):  # the disk is full: then it was writing that failed, not fsync
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._head = queries.head(self._writer)
        self._recent = None

    def _inspect(self) -> int:
        """The head of a file that makes sense; quick: a large file is checked at both ends only."""
        with self._readers.page() as connection:
            if self._writer is None and schema.format_of(connection, str(self.path)) < schema.FORMAT:
                raise Refused(
                    "older_format", f"{self.path} is in an older format: start the hub once, which converts it."
                )
            pages, size = schema.setting(connection, "page_count"), schema.setting(connection, "page_size")
            if int(pages) * int(size) <= _CHECKED_WHOLE:
                found = connection.execute("PRAGMA quick_check(1)").fetchall()[0][0]
                if found != "ok":
                    raise trouble.damaged(self.path, str(found))
            head = queries.head(connection)
            newest = queries.newest(connection)
            if newest > head:
                raise trouble.damaged(self.path, f"its head is {head}, but it holds {newest}")
            queries.page(connection, head - 100, head, 100, None)
            return head

    # Failures.

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        """Around everything that writes, but for the probe."""
        self._may_write()
        with self._gate, self._failures(), self._commit() as connection:
            yield connection

    @contextmanager
    def _commit(self) -> Iterator[apsw.Connection]:
        connection = self._writer
        if connection is None:
            raise AppendFailed(f"{self.path} is closed")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # FullError has rolled back already; a ROLLBACK would raise
                with suppress(apsw.Error):
                    connection.execute("ROLLBACK")
            raise

    def _may_write(self) -> None:
        if self._read_only:
            raise AppendFailed(f"{self.path} was opened for reading only", "read_only")

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            raise trouble.failure(error, self.path) from error

    def _cut_wal(self, patience: int | None = None) -> None:
        """Write the WAL back and cut it, so that its old pages are gone; later, if a reader is in the way."""
        assert self._writer is not None
        self._uncut = True
        try:
            if patience is not None:
                self._writer.set_busy_timeout(patience)
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._uncut = False
        except apsw.Error:
            pass  # what was asked is committed; the next append tries again
        finally:
            self._writer.set_busy_timeout(int(schema.WRITING["busy_timeout"]))


def _move_head(connection: apsw.Connection, head: int, to: int) -> None:
    connection.execute("UPDATE meta SET value = ? WHERE name = 'head' AND value = ?", (to, head))
    if connection.changes() != 1:
        raise Conflict(f"another program has written to the log, whose head was {head}")


def _insert_records(connection: apsw.Connection, records: list[Record]) -> None:
    rows: list[Any] = []
    events: list[Any] = []
    for record in records:
        rows += (
            record.position,
            record.id,
            record.epoch,
            record.at,
            record.sender,
            record.key,
            record.request_hash,
            record.reply,
        )
        address = record.position << schema.INDEX_BITS
        for event in record.events:
            events.append(address)
            events += event
            address += 1
    _insert(connection, "records", 8, rows)
    _insert(connection, "events", 6, events)


def _insert(connection: apsw.Connection, table: str, width: int, values: list[Any]) -> None:
    """Insert many rows in few statements of 1, 2, 4 ... 128 rows.

    apsw lets the interpreter go at every step, and getting it back from a busy loop takes up to its switch interval:
    with executemany, which takes one step per row, a loop that never rests slows us to 168 records a second.
    """
    start, left = 0, len(values) // width
    while left:
        rows = min(1 << left.bit_length() - 1, 128)
        connection.execute(_insertion(table, width, rows), values[start : start + rows * width])
        start += rows * width
        left -= rows


@cache
def _insertion(table: str, width: int, rows: int) -> str:
    row = f"({', '.join('?' * width)})"
    return f"INSERT INTO {table} VALUES {', '.join([row] * rows)}"  # noqa: S608 - the names are ours
