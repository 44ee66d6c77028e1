"""Followers: what is large or searched lives in tables of a second file, filled from the log and from nothing else.

The file may be deleted at any time: catching up is the only way in which a table is ever filled, after a crash, for a
new version, and for a plugin that was installed later.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Thread
from typing import Any, Protocol

import apsw

from synapse.errors import Unavailable
from synapse.event import Event

logger = logging.getLogger(__name__)

PAGE = 500  # records of one transaction
Read = Callable[[int, int, frozenset[str]], tuple[list[Event], int]]  # (after, records, kinds) -> events, reached


class Table(Protocol):
    """Tables of one owner in the cache file; all their names begin with `name` and `_`."""

    name: str
    version: int  # raise it when the tables or what `apply` writes change: they are then filled anew
    kinds: frozenset[str]
    schema: tuple[str, ...]  # the statements that make the tables

    def apply(self, db: Any, event: Event) -> None:
        """Write what the event means; the position reached is stored in the same transaction."""


class _Followed:
    """A table, how far it has come, and why it stands still, if it does."""

    __slots__ = ("failure", "position", "table")

    def __init__(self, table: Table, position: int) -> None:
        self.table = table
        self.position = position
        self.failure = ""


class Follower:
    """One thread that brings every table level with the log, and keeps it there.

    `read(after, records, kinds)` gives events behind a position and how far it has read; `progress()` is called on
    the thread after each step. A table that raises stands still and answers Unavailable; the others go on.
    """

    def __init__(self, path: Path, tables: Iterable[Table], read: Read, progress: Callable[[], None]) -> None:
        self._path = path
        self._read = read
        self._progress = progress
        self._wake = Condition()
        self._head = 0
        self._closing = False
        self._idle: list[apsw.Connection] = []
        self._db = _open(path)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS followers (name TEXT PRIMARY KEY, version INTEGER, position INTEGER)"
        )
        self._followed = {table.name: self._prepare(table) for table in tables}
        self._thread = Thread(target=self._work, name="follower", daemon=True)
        self._thread.start()

    # -- any thread

    def follow_to(self, head: int) -> None:
        """The log has come so far."""
        with self._wake:
            self._head = max(self._head, head)
            self._wake.notify()

    def reached(self, name: str) -> int:
        """How far a table has come; Unavailable when it stands still."""
        followed = self._followed[name]
        if followed.failure:
            raise Unavailable("table_failed", f"'{name}' is out of order: {followed.failure}")
        return followed.position

    @property
    def failures(self) -> dict[str, str]:
        """What stands still, and at which event."""
        return {name: each.failure for name, each in self._followed.items() if each.failure}

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A connection that only reads, for one query."""
        connection = self._idle.pop() if self._idle else _open_to_read(self._path)
        try:
            yield connection
        except apsw.Error as error:
            raise Unavailable("table_failed", f"The tables cannot be read: {error}.") from error
        finally:
            self._idle.append(connection)

    def close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        for connection in (self._db, *self._idle):
            connection.close()

    # -- the thread

    def _prepare(self, table: Table) -> _Followed:
        """Where the table stands; a new one, or one of another version, is made anew."""
        row = self._db.execute("SELECT version, position FROM followers WHERE name = ?", (table.name,)).fetchone()
        if row is not None and row[0] == table.version:
            return _Followed(table, row[1])
        followed = _Followed(table, 0)
        try:
            with self._db:
                _drop(self._db, table.name)
                for statement in table.schema:
                    self._db.execute(statement)
                self._db.execute("INSERT OR REPLACE INTO followers VALUES (?, ?, 0)", (table.name, table.version))
        except apsw.Error as error:
            followed.failure = f"its tables cannot be made: {error}"
            logger.exception("the tables of %s cannot be made", table.name)
        return followed

    def _work(self) -> None:
        while self._wait():
            try:
                self._step()
            except Exception:
                logger.exception("following stopped")
                for followed in self._followed.values():
                    followed.failure = followed.failure or "the log or the cache file cannot be read: see the hub's log"
            self._progress()

    def _wait(self) -> bool:
        with self._wake:
            while not self._closing and not self._behind():
                self._wake.wait()
            return not self._closing

    def _behind(self) -> list[_Followed]:
        return [each for each in self._followed.values() if not each.failure and each.position < self._head]

    def _step(self) -> None:
        """One page for those who are furthest behind."""
        behind = self._behind()
        after = min(each.position for each in behind)
        those = [each for each in behind if each.position == after]
        kinds = frozenset[str]().union(*(each.table.kinds for each in those))
        events, reached = self._read(after, PAGE, kinds)
        with self._db:
            for each in those:
                self._apply(each, events, max(reached, after))

    def _apply(self, followed: _Followed, events: list[Event], reached: int) -> None:
        table, at = followed.table, "?"
        try:
            with self._db:  # a savepoint: what fails is taken back, for this table alone
                for event in events:
                    if event.kind in table.kinds:
                        at = f"{event.address} ({event.kind})"
                        table.apply(self._db, event)
                self._db.execute("UPDATE followers SET position = ? WHERE name = ?", (reached, table.name))
        except Exception as error:
            followed.failure = f"{type(error).__name__} at event {at}: {error}"
            logger.exception("the table %s failed at event %s", table.name, at)
        else:
            followed.position = reached


def _open(path: Path) -> apsw.Connection:
    """The cache file; one that cannot be read is thrown away: everything in it is in the log."""
    try:
        return _settled(apsw.Connection(str(path)))
    except apsw.Error as error:
        logger.warning("%s is made anew: %s", path, error)
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + ending).unlink()
        return _settled(apsw.Connection(str(path)))


def _settled(connection: apsw.Connection) -> apsw.Connection:
    try:
        connection.execute("PRAGMA journal_mode = wal").fetchall()
        connection.execute("PRAGMA synchronous = off").fetchall()  # what is lost is folded again
        connection.execute("PRAGMA secure_delete = on").fetchall()
        connection.execute("PRAGMA busy_timeout = 5000").fetchall()
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.Error:
        connection.close()
        raise
    return connection


def _open_to_read(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.execute("PRAGMA busy_timeout = 5000").fetchall()
    return connection


def _drop(db: apsw.Connection, owner: str) -> None:
    """Remove everything that an owner has: virtual tables first, which take their shadows with them."""
    ours = f"{owner}_".replace("_", "\\_") + "%"
    for order in ("sql LIKE 'CREATE VIRTUAL%'", "sql NOT LIKE 'CREATE VIRTUAL%'"):
        rows: list[Any] = db.execute(
            f"SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view') AND name LIKE ? ESCAPE '\\' AND {order}",  # noqa: S608
            (ours,),
        ).fetchall()
        for kind, name in rows:
            db.execute(f'DROP {kind} IF EXISTS "{name}"')
