"""The log's file format: its tables, the settings of a connection, and the way from an older format.

Each statement is executed by itself: apsw's `execute("pragma ...; create ...")` stops at the first that returns a row.
"""

from collections.abc import Mapping

from apsw import Connection

from synapse.errors import Refused

APPLICATION = 0x53594E41  # "SYNA": how the file says whose it is
FORMAT = 1

# Events have a rowid, `position << 10 | index`, so that a row is always added at the right end: pages fill up, and no
# copies of a text stay behind in split pages, where a redaction would not find them. Ids have no index: they are
# random, so each would cost a page per record (measured: 13 us of 30); the newest ones are kept apart in memory.
INDEX_BITS = 10

TABLES = (
    "CREATE TABLE records (position INTEGER PRIMARY KEY, id BLOB NOT NULL, epoch INTEGER NOT NULL, at REAL NOT NULL,"
    " sender TEXT NOT NULL, key TEXT NOT NULL, request_hash BLOB NOT NULL, reply BLOB NOT NULL) STRICT",
    "CREATE TABLE events (address INTEGER PRIMARY KEY, kind TEXT NOT NULL, by TEXT NOT NULL, workspace TEXT NOT NULL,"
    " story TEXT NOT NULL, body BLOB NOT NULL) STRICT",
    "CREATE INDEX events_by_kind ON events (kind)",
    "CREATE INDEX events_by_story ON events (story)",
    "CREATE TABLE blobs (sum BLOB PRIMARY KEY, content BLOB NOT NULL) STRICT",
    "CREATE TABLE snapshots (name TEXT PRIMARY KEY, version INTEGER NOT NULL, position INTEGER NOT NULL,"
    " state BLOB NOT NULL) STRICT",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "INSERT INTO meta VALUES ('head', 0), ('probes', 0)",
)

# From format N to N + 1: the statements. They are applied in one transaction, behind a backup.
UPGRADES: Mapping[int, tuple[str, ...]] = {}

WRITING: Mapping[str, int | str] = {
    "journal_mode": "wal",  # readers do not block the writer
    # FULL syncs the WAL at every commit. On macOS fsync leaves the drive's own cache alone, and F_FULLFSYNC costs far
    # too much per commit: there a crash and kill -9 lose nothing, a pulled plug may.
    "synchronous": 2,
    "secure_delete": 1,  # what is redacted or forgotten is overwritten with zeros
    "busy_timeout": 10_000,  # ms; only a reader of another process (at most 5 s) or a backup can make us wait
    "journal_size_limit": 16 << 20,  # a WAL that grew behind a slow reader shrinks again
    "wal_autocheckpoint": 1000,  # pages
    "cache_size": -2000,  # KiB; measured: more gains nothing, the log grows at its end
    "temp_store": 2,  # no text in temporary files
    "trusted_schema": 0,
}

READING: Mapping[str, int | str] = {
    "query_only": 1,
    "busy_timeout": 5_000,
    "cache_size": -2000,
    "temp_store": 2,
    "trusted_schema": 0,
}


def settle(connection: Connection, settings: Mapping[str, int | str]) -> None:
    """Apply settings to a connection, and see that SQLite took each."""
    for name, value in settings.items():
        connection.execute(f"PRAGMA {name} = {value}").fetchall()
        if setting(connection, name) != value:
            raise Refused(
                "unfit_storage",
                f"SQLite cannot use {connection.filename} with {name} = {value} (it says {setting(connection, name)}):"
                " choose a folder on a local disk with --data.",
            )


def setting(connection: Connection, name: str) -> int | str:
    """A pragma as SQLite reads it back."""
    value = connection.execute(f"PRAGMA {name}").fetchall()[0][0]
    assert isinstance(value, int | str)
    return value


def format_of(connection: Connection, name: str) -> int:
    """The format of a file, 0 for one that is still empty; Refused where it is not ours or newer than we are."""
    application, found = setting(connection, "application_id"), setting(connection, "user_version")
    if application == 0 and found == 0 and not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall():
        return 0
    if application != APPLICATION:
        raise Refused("not_a_log", f"{name} is a database of another program: choose another place with --data.")
    assert isinstance(found, int)
    if found > FORMAT:
        raise Refused(
            "newer_format",
            f"{name} was written by a newer synapse (its format is {found}, this one knows {FORMAT}): upgrade synapse.",
        )
    return found


def create(connection: Connection) -> None:
    """Make an empty file a log."""
    _apply(connection, TABLES)


def upgrade(connection: Connection, found: int) -> None:
    """Bring a log of an older format to ours."""
    _apply(connection, [statement for step in range(found, FORMAT) for statement in UPGRADES[step]])


def _apply(connection: Connection, statements: tuple[str, ...] | list[str]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in (*statements, f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {FORMAT}"):
            connection.execute(statement).fetchall()
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
