"""Followers: what is large or searched lives in tables of a second file, filled from the log and from nothing else.

The file may be deleted at any time: catching up is the only way in which a table is ever filled, after a crash, for a
new version, and for a plugin that was installed later. The tables of a plugin that is not there are dropped: what is
redacted meanwhile must not stay in them, and they can be filled again.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Thread
from typing import Any, NamedTuple, Protocol

import apsw

from synapse.clock import SystemClock
from synapse.errors import Unavailable
from synapse.event import Event

logger = logging.getLogger(__name__)

PAGE = 500  # records of one transaction
LONGEST = 5.0  # seconds that one question may take
STEPS = 10_000  # of SQLite's machine between two looks at the time
SLOW = 5.0  # seconds that one page may take a table before the log names it
LINGER = 0.1  # seconds that a level table waits for more to come, unless somebody waits for it: much at once costs less
RETRY = (0.5, 2.0, 10.0, 60.0)  # seconds until the file or the log is tried again


class Page(NamedTuple):
    """A part of the log: the events, the position up to which that is everything, and the newest record among it."""

    events: list[Event]
    reached: int
    newest: tuple[int, bytes] = (0, b"")  # position and id


class Source(Protocol):
    """Where a follower reads; called on its thread."""

    def head(self) -> int:
        """The newest position."""

    def page(self, after: int, records: int, kinds: frozenset[str]) -> Page:
        """What lies behind a position."""

    def holds(self, position: int, id: bytes) -> bool:
        """Is this the log with that record (as far as it can be known)?"""


class Table(Protocol):
    """Tables of one owner in the cache file; all their names begin with `name` and `_`."""

    name: str
    version: int  # raise it when the tables or what `apply` writes change: they are then filled anew
    kinds: frozenset[str]

    @property
    def schema(self) -> tuple[str, ...]:
        """The statements that make the tables."""

    def apply(self, db: Any, event: Event) -> None:
        """Write what the event means, by `db.execute(sql, values)`; the position reached is stored with it."""


class _Followed:
    """A table, how far it has come (-1: it is not looked at yet), and why it stands still, if it does."""

    __slots__ = ("failure", "position", "table")

    def __init__(self, table: Table) -> None:
        self.table = table
        self.position = -1
        self.failure = ""


class Follower:
    """One thread that brings every table level with the log, and keeps it there.

    `progress()` is called on the thread after each step. A table that raises stands still and answers Unavailable; the
    others go on. While the file or the log is in trouble, all are Unavailable, and it is tried again.
    """

    def __init__(self, path: Path, tables: Iterable[Table], source: Source, progress: Callable[[], None]) -> None:
        self._path = path
        self._source = source
        self._progress = progress
        self._wake = Condition()
        self._head = 0
        self._closing = False
        self._anew = False  # the file is to be made anew
        self._hurried = False  # somebody waits
        self._idle: list[tuple[int, apsw.Connection]] = []
        self._generation = 0  # of the file: connections to one that was thrown away are not used again
        self._db: apsw.Connection | None = None
        self._writes = ""  # whose turn it is to write
        self._followed = {table.name: _Followed(table) for table in tables}
        self.trouble = ""  # why nothing can be followed at the moment
        self._thread = Thread(target=self._work, name="follower", daemon=True)
        self._thread.start()

    # -- any thread

    def follow_to(self, head: int) -> None:
        """The log has come so far."""
        with self._wake:
            self._head = max(self._head, head)
            self._wake.notify()

    def hurry(self) -> None:
        """Somebody waits for the tables."""
        with self._wake:
            self._hurried = True
            self._wake.notify()

    def reached(self, name: str) -> int:
        """How far a table has come; Unavailable when it stands still."""
        followed = self._followed[name]
        if followed.failure or self.trouble:
            raise Unavailable("table_failed", f"'{name}' is out of order: {followed.failure or self.trouble}")
        return followed.position

    @property
    def failures(self) -> dict[str, str]:
        """What stands still, and at which event."""
        found = {name: each.failure for name, each in self._followed.items() if each.failure}
        return found | ({"cache.db": self.trouble} if self.trouble else {})

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A connection that only reads, for one question of at most five seconds."""
        generation = self._generation
        try:
            connection = self._taken(generation)
        except apsw.Error as error:
            self._suspect()  # the file was taken away, or worse
            raise Unavailable("table_failed", f"The tables cannot be read: {error}.") from error
        end = SystemClock.monotonic() + LONGEST
        connection.set_progress_handler(lambda: SystemClock.monotonic() > end, STEPS)
        try:
            yield connection
        except apsw.InterruptError:
            raise Unavailable("too_slow", f"That takes more than {LONGEST:g} s: ask for less.") from None
        except (apsw.CorruptError, apsw.NotADBError, apsw.IOError) as error:
            self._suspect()
            raise Unavailable("table_failed", f"The tables are being made anew: {error}.") from error
        except apsw.Error as error:
            raise Unavailable("table_failed", f"The tables cannot be read: {error}.") from error
        finally:
            self._idle.append((generation, connection))

    def _taken(self, generation: int) -> apsw.Connection:
        while True:
            try:
                of, connection = self._idle.pop()  # by several threads
            except IndexError:
                return _open_to_read(self._path)
            if of == generation:
                return connection
            connection.close()

    def _suspect(self) -> None:
        """Something is wrong with the file: look at it, and make it anew where it cannot be read."""
        with self._wake:
            self._anew = True
            self._wake.notify()

    def close(self) -> None:
        """End; nobody may be reading any more."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        for _, connection in self._idle:
            connection.close()
        if self._db is not None:
            self._db.close()

    # -- the thread

    def _work(self) -> None:
        tries = 0
        while self._wait(RETRY[min(tries, len(RETRY)) - 1] if tries else None):
            try:
                self._step()
                self.trouble, tries = "", 0
            except (Exception, SystemExit) as error:
                tries += 1
                if str(error) != self.trouble:
                    logger.exception("the tables cannot be followed at the moment")
                self.trouble = str(error) or type(error).__name__
                if isinstance(error, (apsw.CorruptError, apsw.NotADBError, apsw.IOError)):
                    self._anew = True
            self._progress()

    def _wait(self, pause: float | None) -> bool:
        """Until there is something to do; after a failure, for a while."""
        with self._wake:
            if pause is not None:
                self._wake.wait_for(lambda: self._closing, pause)
            level = False
            while not self._closing and self._db is not None and not self._anew and not self._behind():
                level, self._hurried = True, False
                self._wake.wait()
            if level:
                self._wake.wait_for(lambda: self._closing or self._anew or self._hurried, LINGER)
            return not self._closing

    def _behind(self) -> list[_Followed]:
        return [each for each in self._followed.values() if not each.failure and each.position < self._head]

    def _step(self) -> None:
        """The file is made or made anew; or one page for those who are furthest behind."""
        if self._db is None or self._anew:
            self._open()
            return
        behind = self._behind()
        after = min(each.position for each in behind)
        those = [each for each in behind if each.position == after]
        kinds = frozenset[str]().union(*(each.table.kinds for each in those))
        page = self._source.page(after, PAGE, kinds)
        reached = max(page.reached, after)
        with self._db:
            applied = [each for each in those if self._apply(self._db, each, page, reached)]
        for each in applied:
            each.position = reached  # only now can it be read

    def _apply(self, db: apsw.Connection, followed: _Followed, page: Page, reached: int) -> bool:
        table, at = followed.table, "?"
        began = SystemClock.monotonic()
        try:
            with db:  # a savepoint: what fails is taken back, for this table alone
                with self._turn(table):
                    for event in page.events:
                        if event.kind in table.kinds:
                            at = f"{event.address} ({event.kind})"
                            table.apply(db, event)
                db.execute(
                    "UPDATE followers SET position = ?, newest = ?, id = ? WHERE name = ?",
                    (reached, *page.newest, table.name),
                )
        except (apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.NotADBError):
            raise  # that is not the table's doing
        except (Exception, SystemExit) as error:
            followed.failure = f"{type(error).__name__} at event {at}: {error}"
            logger.exception("the table %s failed at event %s", table.name, at)
            return False
        took = SystemClock.monotonic() - began
        if took > SLOW:
            logger.warning("the table %s took %.1f s for the events up to %s", table.name, took, at)
        return True

    # -- the file

    def _open(self) -> None:
        """Open the file, thrown away where it cannot be read, and see where each table stands."""
        if self._db is not None:
            self._db.close()
        self._db, self._anew = None, False
        self._generation += 1
        db = _open(self._path)
        try:
            db.execute(
                "CREATE TABLE IF NOT EXISTS followers"
                " (name TEXT PRIMARY KEY, version INTEGER, position INTEGER, newest INTEGER, id BLOB)"
            )
            db.authorizer = self._allowed
            self._drop_absent(db)
            for followed in self._followed.values():
                self._prepare(db, followed)
        except BaseException:
            db.close()
            raise
        self._db = db

    def _drop_absent(self, db: apsw.Connection) -> None:
        rows: list[Any] = db.execute("SELECT name FROM followers").fetchall()
        for (name,) in rows:
            if name not in self._followed:
                with db:
                    _drop(db, name)
                    db.execute("DELETE FROM followers WHERE name = ?", (name,))
                logger.info("the tables of %s, which is not here, are dropped", name)

    def _prepare(self, db: apsw.Connection, followed: _Followed) -> None:
        """Where the table stands; a new one, or one of another version or another log, is made anew."""
        table = followed.table
        sql = "SELECT version, position, newest, id FROM followers WHERE name = ?"
        rows: list[Any] = db.execute(sql, (table.name,)).fetchall()
        if rows:
            version, position, newest, id = rows[0]
            same = position <= self._source.head() and (not newest or self._source.holds(newest, id))
            if version == table.version and same:
                followed.position = position
                return
        followed.position = -1
        try:
            with db:
                _drop(db, table.name)
                with self._turn(table):
                    for statement in table.schema:
                        db.execute(statement)
                db.execute("INSERT OR REPLACE INTO followers VALUES (?, ?, 0, 0, x'')", (table.name, table.version))
            followed.position = 0  # only now can it be read
        except (apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.NotADBError):
            raise
        except (Exception, SystemExit) as error:
            followed.failure = f"its tables cannot be made: {error}"
            logger.exception("the tables of %s cannot be made", table.name)

    @contextmanager
    def _turn(self, table: Table) -> Iterator[None]:
        self._writes = table.name
        try:
            yield
        finally:
            self._writes = ""

    def _allowed(self, action: int, first: str | None, second: str | None, db: str | None, by: str | None) -> int:
        """A table writes in what is its own, and leaves transactions and files to us. Against accidents, not malice."""
        if not self._writes:
            return apsw.SQLITE_OK
        if action in _NEVER:
            return apsw.SQLITE_DENY
        if action in _WRITING:
            name = (second if action in _SECOND else first) or ""
            own = name.startswith((f"{self._writes}_", "sqlite_"))
            return apsw.SQLITE_OK if own else apsw.SQLITE_DENY
        return apsw.SQLITE_OK


_NEVER = frozenset(
    {apsw.SQLITE_TRANSACTION, apsw.SQLITE_SAVEPOINT, apsw.SQLITE_ATTACH, apsw.SQLITE_DETACH, apsw.SQLITE_CREATE_TRIGGER}
)
_SECOND = frozenset({apsw.SQLITE_CREATE_INDEX, apsw.SQLITE_DROP_INDEX, apsw.SQLITE_ALTER_TABLE})
_WRITING = _SECOND | {
    apsw.SQLITE_INSERT,
    apsw.SQLITE_UPDATE,
    apsw.SQLITE_DELETE,
    apsw.SQLITE_CREATE_TABLE,
    apsw.SQLITE_CREATE_VIEW,
    apsw.SQLITE_CREATE_VTABLE,
    apsw.SQLITE_DROP_TABLE,
    apsw.SQLITE_DROP_VIEW,
    apsw.SQLITE_DROP_VTABLE,
}


def _open(path: Path) -> apsw.Connection:
    """The cache file; one that cannot be read is thrown away: everything in it is in the log."""
    try:
        return _settled(apsw.Connection(str(path)))
    except (apsw.CorruptError, apsw.NotADBError, apsw.IOError, apsw.SQLError) as error:
        logger.warning("%s is made anew: %s", path, error)
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + ending).unlink()
        return _settled(apsw.Connection(str(path)))


def _settled(connection: apsw.Connection) -> apsw.Connection:
    try:
        connection.execute("PRAGMA busy_timeout = 5000").fetchall()
        connection.execute("PRAGMA journal_mode = wal").fetchall()
        connection.execute("PRAGMA synchronous = off").fetchall()  # what is lost is folded again
        connection.execute("PRAGMA secure_delete = on").fetchall()
        connection.execute("PRAGMA cache_size = -2000").fetchall()  # KiB
        connection.execute("PRAGMA temp_store = 2").fetchall()
        connection.execute("PRAGMA journal_size_limit = 4194304").fetchall()
        broken = connection.execute("PRAGMA quick_check(1)").fetchall() if _small(connection) else []
        if broken and broken != [("ok",)]:
            raise apsw.CorruptError(str(broken[0]))
    except apsw.Error:
        connection.close()
        raise
    return connection


def _small(connection: apsw.Connection) -> bool:
    """Is the file checked in a moment? What is wrong in a large one shows when it is read."""
    rows: list[Any] = connection.execute("SELECT page_count FROM pragma_page_count, sqlite_schema LIMIT 1").fetchall()
    return bool(rows) and rows[0][0] < 5_000


def _open_to_read(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.execute("PRAGMA busy_timeout = 5000").fetchall()
    connection.execute("PRAGMA query_only = 1").fetchall()
    connection.execute("PRAGMA cache_size = -4000").fetchall()
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
