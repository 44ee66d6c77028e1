"""The SQLite engine: settings, formats, damage, and what is left in the files."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from synapse.errors import Refused, SynapseError, Unavailable
from synapse.log import backup, schema
from synapse.log.base import AppendFailed, Conflict, Entry, Snapshot
from synapse.log.powercut import PowerCut
from synapse.log.sqlite import SqliteLog
from tests.core.log.making import append, event, positions, record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def log(path: Path) -> Iterator[SqliteLog]:
    with closing(SqliteLog.open(path)) as log:
        yield log


def pragma(connection: apsw.Connection | None, name: str) -> Any:
    assert connection is not None
    return connection.execute(f"PRAGMA {name}").fetchall()[0][0]


def files(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(path.name + "*")))


# Settings and format.


@pytest.mark.parametrize(("name", "value"), schema.WRITING.items())
def test_the_writer_has_every_setting(name: str, value: int | str, log: SqliteLog) -> None:
    assert pragma(log._writer, name) == value


@pytest.mark.parametrize(("name", "value"), schema.READING.items())
def test_a_reader_has_every_setting(name: str, value: int | str, log: SqliteLog) -> None:
    with log._readers.page() as connection:
        assert pragma(connection, name) == value


def test_the_promises_of_the_settings_are_the_intended_ones() -> None:
    assert schema.WRITING["journal_mode"] == "wal"
    assert schema.WRITING["synchronous"] == 2  # FULL
    assert schema.WRITING["secure_delete"] == 1


def test_a_setting_that_sqlite_does_not_take_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "WRITING", {**schema.WRITING, "synchronous": 17})
    with pytest.raises(Refused) as refused:
        SqliteLog.open(path)
    assert refused.value.code == "unfit_storage"


def test_the_file_says_whose_it_is_and_its_format(log: SqliteLog) -> None:
    assert pragma(log._writer, "application_id") == schema.APPLICATION
    assert pragma(log._writer, "user_version") == schema.FORMAT


def test_a_closed_log_opens_again_with_all_it_held_and_leaves_one_file(path: Path) -> None:
    with closing(SqliteLog.open(path)) as log:
        append(log, record(1), record(2))
    assert [file.name for file in path.parent.iterdir()] == ["log.db"]
    with closing(SqliteLog.open(path)) as log:
        assert list(log.read(0)) == [record(1), record(2)]
        append(log, record(3))
        with pytest.raises(Conflict):
            append(log, record(4, id=record(1).id))


def test_a_newer_format_is_refused_and_left_alone(path: Path) -> None:
    SqliteLog.open(path).close()
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(f"PRAGMA user_version = {schema.FORMAT + 1}")
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(Refused, match="upgrade") as refused:
            SqliteLog.open(path, read_only=read_only)
        assert refused.value.code == "newer_format"
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(Refused) as refused:
        SqliteLog.open(path)
    assert refused.value.code == "not_a_log"
    assert path.read_bytes() == before


def test_an_older_format_is_brought_up_behind_a_backup_and_three_of_these_are_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqliteLog.open(path)) as log:
        append(log, record(1))
    for newer in range(2, 7):
        monkeypatch.setattr(schema, "FORMAT", newer)
        monkeypatch.setattr(
            schema, "UPGRADES", {newer - 1: (f"INSERT INTO meta VALUES ('upgraded', {newer}) ON CONFLICT DO NOTHING",)}
        )
        if newer == 2:
            with pytest.raises(Refused) as refused:
                SqliteLog.open(path, read_only=True)
            assert refused.value.code == "older_format"
        with closing(SqliteLog.open(path)) as log:
            assert positions(log) == [1]
            assert pragma(log._writer, "user_version") == newer
    assert [copy.name for copy in backup.kept(path)] == ["log.db.format-3", "log.db.format-4", "log.db.format-5"]
    with closing(apsw.Connection(str(backup.kept(path)[-1]))) as connection:
        assert pragma(connection, "user_version") == 5


def test_an_upgrade_that_fails_leaves_the_old_format(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(SqliteLog.open(path)) as log:
        append(log, record(1))
    with monkeypatch.context() as newer:
        newer.setattr(schema, "FORMAT", 2)
        newer.setattr(schema, "UPGRADES", {1: ("DELETE FROM records", "SELECT nonsense")})
        with pytest.raises(SynapseError):
            SqliteLog.open(path)
    with closing(SqliteLog.open(path)) as log:
        assert positions(log) == [1]


# Damage.


def test_a_file_that_is_no_database_is_said_to_be_damaged(path: Path) -> None:
    path.write_bytes(b"This is not a log. " * 500)
    with pytest.raises(Unavailable, match="backup") as damaged:
        SqliteLog.open(path)
    assert damaged.value.code == "corrupt_log"


@pytest.mark.parametrize("page", range(2, 9))
def test_a_page_of_garbage_is_found_at_open(path: Path, page: int) -> None:
    with closing(SqliteLog.open(path)) as log:
        append(log, *(record(position) for position in range(1, 101)))
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = os.urandom(4096)
    path.write_bytes(content)
    with pytest.raises(Unavailable) as damaged:
        SqliteLog.open(path)
    assert damaged.value.code == "corrupt_log"


def test_a_file_cut_short_is_found_at_open(path: Path) -> None:
    with closing(SqliteLog.open(path)) as log:
        append(log, *(record(position) for position in range(1, 101)))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(Unavailable) as damaged:
        SqliteLog.open(path)
    assert damaged.value.code == "corrupt_log"


def test_a_head_behind_the_records_is_found_at_open(path: Path) -> None:
    with closing(SqliteLog.open(path)) as log:
        append(log, record(1), record(2))
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE meta SET value = 1 WHERE name = 'head'")
    with pytest.raises(Unavailable, match="head is 1") as damaged:
        SqliteLog.open(path)
    assert damaged.value.code == "corrupt_log"


@pytest.mark.parametrize("harm", ["cut", "garbage"])
def test_a_torn_tail_leaves_whole_records(harm: str, tmp_path: Path) -> None:
    """The WAL is harmed at every 512 bytes of its last transactions: a prefix is found, with no record in halves."""
    live, dead = tmp_path / "live", tmp_path / "dead"
    live.mkdir()
    stored = [record(at, event(), event("a.b", body=b'"%s"' % (b"x" * 3000)), key=f"k{at}") for at in range(1, 9)]
    with closing(SqliteLog.open(live / "log.db")) as log:
        append(log, *stored[:4])
        solid = (live / "log.db-wal").stat().st_size
        append(log, stored[4])
        append(log, *stored[5:7])
        append(log, stored[7])
        shutil.copytree(live, dead)
    wal = (dead / "log.db-wal").read_bytes()
    main = (dead / "log.db").read_bytes()
    heads = []
    for at in (*range(solid, len(wal), 512), len(wal)):
        for file in dead.iterdir():
            file.unlink()
        (dead / "log.db").write_bytes(main)
        rest = b"" if harm == "cut" else os.urandom(min(512, len(wal) - at)) + wal[at + 512 :]
        (dead / "log.db-wal").write_bytes(wal[:at] + rest)
        with closing(SqliteLog.open(dead / "log.db")) as log:
            found = list(log.read(0))
            assert found == stored[: log.head()]
            heads.append(log.head())
            append(log, record(log.head() + 1, id=b"next"))
    assert heads == sorted(heads)
    assert set(heads) == {4, 5, 7, 8}


# Failures.


def test_a_full_disk_stores_nothing_says_so_and_works_again_with_room(log: SqliteLog) -> None:
    append(log, record(1))
    assert log._writer is not None
    log._writer.execute(f"PRAGMA max_page_count = {pragma(log._writer, 'page_count')}").fetchall()
    with pytest.raises(AppendFailed, match="free some space") as failed:
        append(log, *(record(at, event(body=b'"%s"' % (b"x" * 3000))) for at in range(2, 100)))
    assert failed.value.code == "disk_full"
    assert positions(log) == [1]
    with pytest.raises(AppendFailed):
        append(log, record(2))
    assert log.recover() == 1
    log.probe()
    append(log, record(2))
    assert positions(log) == [1, 2]


def test_a_commit_whose_sync_fails_is_reported_and_settled_by_recover(path: Path) -> None:
    disk = PowerCut("failing-sync")
    fails = [False]

    def watch() -> None:
        if fails[0]:
            raise apsw.IOError("fsync fails")

    disk.watch = watch
    with closing(SqliteLog.open(path, vfs=disk.name)) as log:
        append(log, record(1))
        fails[0] = True
        with pytest.raises(AppendFailed) as failed:
            append(log, record(2))
        assert failed.value.code == "storage_unavailable"
        with pytest.raises(AppendFailed):
            log.recover()
        with pytest.raises(AppendFailed):
            append(log, record(2))
        fails[0] = False
        head = log.recover()
        assert positions(log) == list(range(1, head + 1))
        append(log, record(head + 1))
    with closing(SqliteLog.open(path)) as log:
        assert positions(log) == list(range(1, head + 2))
    disk.unregister()


def test_after_recover_the_wal_holds_nothing_that_was_perhaps_not_synced(log: SqliteLog, path: Path) -> None:
    append(log, record(1))
    with pytest.raises(Conflict):
        append(log, record(1))
    log.recover()
    assert path.with_name("log.db-wal").stat().st_size == 0
    assert positions(log) == [1]


def test_a_probe_that_failed_closes_the_log_until_one_succeeds(log: SqliteLog) -> None:
    append(log, record(1))
    with closing(apsw.Connection(str(log.path))) as other:
        assert log._writer is not None
        log._writer.set_busy_timeout(0)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(AppendFailed) as failed:
            log.probe()
        other.execute("ROLLBACK")
    assert failed.value.code == "storage_busy"
    with pytest.raises(AppendFailed):
        append(log, record(2))
    log.probe()
    append(log, record(2))


def test_a_second_writer_is_noticed(log: SqliteLog, path: Path) -> None:
    append(log, record(1))
    with closing(SqliteLog.open(path)) as other:
        append(other, record(2))
        with pytest.raises(Conflict):
            append(log, record(2, id=b"mine"))
        assert log.recover() == 2
        append(log, record(3))
    assert positions(log) == [1, 2, 3]


# Reading only.


def test_a_reader_of_another_process_sees_what_is_committed_and_may_not_write(log: SqliteLog, path: Path) -> None:
    append(log, record(1))
    with closing(SqliteLog.open(path, read_only=True)) as reader:
        append(log, record(2))
        assert positions(reader) == [1, 2]
        assert reader.head() == 2
        for write in (lambda: append(reader, record(3)), reader.probe, reader.recover):
            with pytest.raises(AppendFailed) as failed:
                write()
            assert failed.value.code == "read_only"


def test_a_log_on_a_medium_that_cannot_be_written_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(SqliteLog.open(path)) as log:
        append(log, record(1))
    monkeypatch.setattr(os, "access", lambda *args, **kwargs: False)
    with pytest.raises(Refused) as refused:
        SqliteLog.open(path)
    assert refused.value.code == "read_only"
    with closing(SqliteLog.open(path, read_only=True)) as log:
        assert positions(log) == [1]
    assert [file.name for file in path.parent.iterdir()] == ["log.db"]


# What is left in the files.


def test_a_redacted_text_is_in_none_of_the_files(log: SqliteLog, path: Path) -> None:
    texts = {at: f"secret-{at:04d}-".encode() * (1 + at % 400) for at in range(1, 400)}
    for at, text in texts.items():
        one = record(at, event(body=b'"%s"' % text), event("a.b", story=f"s-{at % 9}", body=b'"%s"' % text[:12]))
        log.append([Entry(one), Entry(snapshots=(Snapshot("tasks", 1, at, text),))])
    log.forget([f"s-{number}" for number in range(5)])  # pages are merged: copies could stay behind
    for at in range(3, 400, 7):
        assert texts[at][:12] in files(path)
        log.redact(at)
        assert texts[at][:12] not in files(path)
    assert texts[4][:12] in files(path)
    assert [one.events[0].body for one in log.at([3, 4])] == [b"{}", b'"%s"' % texts[4]]


def test_a_redaction_waits_for_a_reader_of_another_process_and_is_made_good(log: SqliteLog, path: Path) -> None:
    append(log, record(1, event(body=b'"secret-text"')))
    assert log._writer is not None
    with closing(apsw.Connection(str(path))) as other:
        reading = other.execute("SELECT * FROM records")
        log._writer.set_busy_timeout(0)
        log.redact(1)
        assert next(iter(log.read(0))).events[0].body == b"{}"
        reading.close()
    append(log, record(2))
    assert b"secret-text" not in files(path)


def test_forgotten_stories_and_dropped_blobs_leave_the_files(log: SqliteLog, path: Path) -> None:
    append(log, record(1, event(story="s-1", body=b'"secret-text"')))
    sum = log.put_blob(b"secret-blob" * 1000)
    log.forget(["s-1"])
    log.drop_blobs([sum])
    assert b"secret" not in files(path)


def test_the_wal_does_not_grow_without_bound(log: SqliteLog, path: Path) -> None:
    for start in range(1, 4001, 50):
        append(log, *(record(at, event(body=b'"%s"' % (b"x" * 3000))) for at in range(start, start + 50)))
    assert path.with_name("log.db-wal").stat().st_size < 6 << 20


# Backups.


def test_a_backup_is_a_whole_log_in_one_file_also_while_it_is_written(log: SqliteLog, tmp_path: Path) -> None:
    append(log, *(record(position) for position in range(1, 101)))
    sum = log.put_blob(b"content")
    log.backup(tmp_path / "copy.db")
    append(log, record(101))
    assert sorted(file.name for file in tmp_path.glob("copy*")) == ["copy.db"]
    with closing(SqliteLog.open(tmp_path / "copy.db", read_only=True)) as copy:
        assert list(copy.read(0)) == [record(position) for position in range(1, 101)]
        assert copy.blob(sum) == b"content"
    with closing(SqliteLog.open(tmp_path / "copy.db")) as copy:
        append(copy, record(101))


def test_an_old_backup_is_replaced_but_nothing_else(log: SqliteLog, tmp_path: Path) -> None:
    append(log, record(1))
    log.backup(tmp_path / "copy.db")
    append(log, record(2))
    log.backup(tmp_path / "copy.db")
    with closing(SqliteLog.open(tmp_path / "copy.db", read_only=True)) as copy:
        assert positions(copy) == [1, 2]
    (tmp_path / "letter.txt").write_text("Dear all, this is not a log at all." * 20)
    (tmp_path / "link.db").symlink_to(log.path)
    for target in ("letter.txt", "link.db", "log.db"):
        with pytest.raises(Refused) as refused:
            log.backup(tmp_path / target)
        assert refused.value.code == "backup_target"
    assert (tmp_path / "letter.txt").read_text().startswith("Dear all")
    append(log, record(3))


def test_a_backup_into_a_folder_that_is_not_there_is_refused_with_a_sentence(log: SqliteLog, tmp_path: Path) -> None:
    with pytest.raises(SynapseError) as refused:
        log.backup(tmp_path / "nowhere" / "copy.db")
    assert refused.value.code == "storage_unavailable"


def test_the_index_is_used_for_kinds_and_stories(log: SqliteLog) -> None:
    with log._readers.page() as connection:
        for where in ("kind IN ('a', 'b') AND address > 5 AND address < 9", "story = 's'"):
            plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT body FROM events WHERE {where}").fetchall()
            assert "USING INDEX events_by_" in str(plan)
