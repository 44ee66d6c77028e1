"""What every engine promises. An engine of a plugin can be put into `ENGINES` and must pass."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from synapse.log.base import RECENT, AppendFailed, Conflict, Entry, Log, Snapshot, StoredEvent
from synapse.log.faulty import FaultyLog
from synapse.log.memory import MemoryLog
from synapse.log.sqlite import SqliteLog
from tests.core.log.making import append, event, positions, record

ENGINES: dict[str, Callable[[Path], Log]] = {
    "memory": lambda folder: MemoryLog(),
    "sqlite": lambda folder: SqliteLog.open(folder / "log.db"),
    "faulty memory": lambda folder: FaultyLog(MemoryLog()),
    "faulty sqlite": lambda folder: FaultyLog(SqliteLog.open(folder / "log.db")),
}


@pytest.fixture(params=ENGINES)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    with closing(ENGINES[request.param](tmp_path)) as log:
        yield log


def test_an_empty_log_has_head_zero_and_nothing_to_read(log: Log) -> None:
    assert log.head() == 0
    assert not list(log.read(0))
    assert not log.at([1])
    assert not log.story("t-1")
    assert not log.snapshots()
    assert not log.keys(0, 10)
    assert log.record(b"x") is None
    assert log.blob("00" * 32) is None


def test_records_are_read_in_order_as_they_were_stored(log: Log) -> None:
    stored = [record(1, key="k1"), record(2, event("a.b"), event("c.d", "t-9", b'{"n":"\xc3\xa9"}')), record(3)]
    append(log, *stored[:2])
    append(log, stored[2])
    assert list(log.read(0)) == stored
    assert list(log.read(1)) == stored[1:]
    assert list(log.read(0, until=2)) == stored[:2]
    assert list(log.read(0, limit=2)) == stored[:2]
    assert list(log.read(3)) == list(log.read(99)) == list(log.read(0, limit=0)) == []
    assert log.head() == 3


def test_a_record_without_events_is_kept_for_its_reply(log: Log) -> None:
    empty = record(2).__class__(b"i" * 16, 2, 1, 1, 1.0, "a-1", "k", b"h", b"reply", ())
    append(log, record(1), empty, record(3))
    assert list(log.read(0))[1] == empty
    assert log.at([2]) == [empty]
    assert [found.position for found in log.read(0, kinds={"tasks.created"})] == [1, 3]


def test_a_record_decided_on_a_stale_head_is_refused(log: Log) -> None:
    append(log, record(1), record(2))
    with pytest.raises(Conflict):
        append(log, record(2, id=b"other"))
    assert positions(log) == [1, 2]


def test_a_record_ahead_of_the_head_is_refused(log: Log) -> None:
    append(log, record(1))
    with pytest.raises(Conflict):
        append(log, record(3))
    assert positions(log) == [1]


def test_a_position_that_skips_one_is_refused(log: Log) -> None:
    with pytest.raises(Conflict):
        append(log, record(2, expected=0))
    assert log.head() == 0


def test_the_same_record_is_stored_once(log: Log) -> None:
    append(log, record(1))
    with pytest.raises(Conflict):
        append(log, record(1))
    log.recover()
    with pytest.raises(Conflict):
        append(log, record(2, id=record(1).id))
    assert positions(log) == [1]


def test_an_id_may_not_come_twice_in_one_batch(log: Log) -> None:
    with pytest.raises(Conflict):
        append(log, record(1), record(2, id=record(1).id))
    assert log.head() == 0


def test_a_batch_is_stored_whole_or_not_at_all(log: Log) -> None:
    with pytest.raises(Conflict):
        append(log, record(1), record(2), record(4))
    assert log.head() == 0
    assert positions(log) == []


def test_a_record_with_too_many_events_is_refused(log: Log) -> None:
    append(log, record(1, *[event()] * 1000))
    assert len(next(iter(log.read(0))).events) == 1000
    with pytest.raises(Conflict):
        append(log, record(2, *[event()] * 1001))


def test_after_a_failed_record_nothing_is_stored_until_recover(log: Log) -> None:
    append(log, record(1))
    with pytest.raises(Conflict):
        append(log, record(1))
    with pytest.raises(AppendFailed):
        append(log, record(2))
    with pytest.raises(AppendFailed):
        log.probe()
    with pytest.raises(AppendFailed):
        log.put_blob(b"content")
    with pytest.raises(AppendFailed):
        log.redact(1)
    with pytest.raises(AppendFailed):
        log.forget(["t-1"])
    assert log.recover() == 1
    log.probe()
    append(log, record(2))
    assert positions(log) == [1, 2]


def test_a_probe_changes_nothing(log: Log) -> None:
    append(log, record(1))
    log.probe()
    assert log.head() == 1
    append(log, record(2))
    assert positions(log) == [1, 2]


def test_a_follower_from_the_middle_misses_nothing_while_appends_go_on(log: Log) -> None:
    append(log, *(record(position) for position in range(1, 21)))
    heads: list[int] = []
    end = log.follow(heads.append)
    seen: list[int] = []

    def write() -> None:
        for position in range(21, 121):
            append(log, record(position))

    writer = Thread(target=write)
    writer.start()
    after = 10
    while after < 120:  # what a cursor does: pages from the log, and the listener says that there is more
        seen += (page := [found.position for found in log.read(after, limit=7)])
        after = page[-1] if page else after
    writer.join()
    assert seen == list(range(11, 121))
    assert heads == list(range(21, 121))
    end()
    append(log, record(121))
    assert heads[-1] == 120


def test_a_reader_that_stands_still_hinders_nobody(log: Log) -> None:
    append(log, *(record(position) for position in range(1, 31)))
    reader = log.read(0)
    assert next(reader).position == 1
    for position in range(31, 40):
        append(log, record(position))
    log.redact(35)
    log.forget(["t-36"])
    assert [found.position for found in reader][:29] == list(range(2, 31))


def test_only_the_kinds_asked_for_are_read_and_keep_their_index(log: Log) -> None:
    append(log, record(1, event("a.x"), event("b.x"), event("c.x")), record(2, event("a.x")), record(3, event("b.x")))
    found = list(log.read(0, kinds={"b.x", "c.x"}))
    assert [(one.position, [kind.kind for kind in one.events]) for one in found] == [(1, ["b.x", "c.x"]), (3, ["b.x"])]
    assert [index for index, _ in found[0].numbered()] == [1, 2]
    assert [index for index, _ in found[1].numbered()] == [0]
    assert found[1] == record(3, event("b.x"))
    assert list(log.read(0, kinds=[])) == []
    assert [one.position for one in log.read(0, kinds={"b.x"}, limit=1)] == [1]
    assert [one.position for one in log.read(1, kinds={"b.x"}, until=2)] == []


def test_rare_kinds_and_holes_are_read_over_many_pages(log: Log) -> None:
    rare = {1, 700, 701, 2999}
    for start in range(1, 3001, 500):
        append(
            log,
            *(record(at, event("r.are" if at in rare else "o.ften", f"t-{at}")) for at in range(start, start + 500)),
        )
    log.forget([f"t-{at}" for at in range(2, 2500) if at not in rare])
    assert [one.position for one in log.read(0, kinds={"r.are"})] == sorted(rare)
    assert positions(log) == [*sorted(rare - {2999}), *range(2500, 3001)]
    assert len(list(log.read(700, limit=300))) == 300


def test_large_records_are_read_whole_over_pages(log: Log) -> None:
    big = [record(at, *(event(body=b'"%s"' % (b"x" * 60_000)) for _ in range(8))) for at in range(1, 31)]
    append(log, *big)
    assert list(log.read(0)) == big
    assert list(log.read(0, kinds={"tasks.created"})) == big


def test_records_are_found_by_position_id_and_story(log: Log) -> None:
    stored = [record(1), record(2, event("a.x", "s-1"), event("a.y", "s-2")), record(3, event("a.z", "s-2"))]
    append(log, *stored)
    assert log.at([3, 1, 7]) == [stored[0], stored[2]]
    assert log.record(stored[1].id) == stored[1]
    assert log.record(b"nobody") is None
    assert [one.events for one in log.story("s-2")] == [(event("a.y", "s-2"),), (event("a.z", "s-2"),)]
    assert log.story("s-2")[0].indexes == (1,)


def test_an_old_id_is_no_longer_looked_for(log: Log) -> None:
    append(log, record(1), record(2))
    for start in range(3, RECENT + 2, 1000):
        append(log, *(record(position) for position in range(start, start + 1000)))
    assert log.record(record(1).id) is None
    assert log.record(record(log.head()).id) == record(log.head())


def test_keys_are_the_newest_ones_oldest_first(log: Log) -> None:
    stored = [record(position, key=f"k{position}" if position % 2 else "") for position in range(1, 10)]
    append(log, *stored)
    assert log.keys(0, 2) == [(stored[6].id, 7), (stored[8].id, 9)]
    assert log.keys(1000.0 + 5, 100) == [(stored[4].id, 5), (stored[6].id, 7), (stored[8].id, 9)]
    assert log.keys(0, 0) == log.keys(99_999.0, 10) == []


def test_redaction_blanks_bodies_and_reply_and_drops_the_snapshots(log: Log) -> None:
    append(log, record(1), record(2, event("a.x"), event("a.y")), record(3))
    log.append([Entry(snapshots=(Snapshot("agents", 1, 3, b"state"),))])
    log.redact(2)
    first, second, third = log.read(0)
    assert (first, third) == (record(1), record(3))
    assert second.reply == b""
    assert [(one.kind, one.body) for one in second.events] == [("a.x", b"{}"), ("a.y", b"{}")]
    assert log.snapshots() == []
    append(log, record(4))


def test_redaction_keeps_of_a_body_what_the_state_is_folded_from(log: Log) -> None:
    append(log, record(1, event("a.x"), event("a.y")))
    log.redact(1, {1: b'{"id":"y"}'})
    (only,) = log.read(0)
    assert [one.body for one in only.events] == [b"{}", b'{"id":"y"}']


def test_forgetting_takes_a_story_and_what_it_leaves_empty_and_keeps_the_head(log: Log) -> None:
    append(log, record(1), record(2, event("a.x", "s-1"), event("a.y", "s-2")), record(3, event("a.z", "s-1")))
    assert log.forget(["s-1", "unknown"]) == 2
    assert [(one.position, one.events) for one in log.read(0)] == [
        (1, record(1).events),
        (2, (event("a.y", "s-2"),)),
    ]
    assert list(log.at([2])[0].numbered()) == [(1, event("a.y", "s-2"))]
    assert log.at([3]) == log.story("s-1") == []
    assert log.head() == log.recover() == 3
    append(log, record(4))
    assert positions(log) == [1, 2, 4]
    assert log.forget([]) == 0


def test_a_snapshot_goes_when_something_behind_it_is_forgotten(log: Log) -> None:
    append(log, record(1), record(2), record(3))
    log.append([Entry(snapshots=(Snapshot("old", 1, 1, b"x"), Snapshot("young", 1, 2, b"y")))])
    assert log.forget(["t-1", "t-2"]) == 2
    assert [snapshot.name for snapshot in log.snapshots()] == ["young"]
    assert log.forget(["t-3"]) == 1
    assert log.snapshots() == []


def test_snapshots_are_stored_behind_their_records_and_replace_older_ones(log: Log) -> None:
    log.append([Entry(record(1)), Entry(snapshots=(Snapshot("tasks", 1, 1, b"one"), Snapshot("agents", 2, 1, b"x")))])
    log.append([Entry(record(2)), Entry(snapshots=(Snapshot("tasks", 1, 2, b"two"),)), Entry(record(3))])
    assert log.snapshots() == [Snapshot("agents", 2, 1, b"x"), Snapshot("tasks", 1, 2, b"two")]


def test_a_snapshot_ahead_of_the_log_is_refused(log: Log) -> None:
    with pytest.raises(Conflict):
        log.append([Entry(snapshots=(Snapshot("tasks", 1, 1, b"x"),)), Entry(record(1))])
    assert log.head() == 0
    assert log.snapshots() == []


def test_a_blob_is_stored_once_under_its_sum(log: Log) -> None:
    content = b"\0\xff" * 50_000
    sum = log.put_blob(content)
    assert log.put_blob(content) == sum
    assert len(sum) == 64
    assert log.blob(sum) == content
    other = log.put_blob(b"")
    assert other != sum
    assert sorted(log.sums()) == sorted([sum, other])
    assert log.drop_blobs([sum, sum, "00" * 32]) == 1
    assert log.blob(sum) is None


def test_any_text_comes_back_as_it_was(log: Log) -> None:
    odd = StoredEvent("k", "", "wörk\n", "s'\";--", '{"t":"\\u0000 ✓ \U0001f600"}'.encode())
    append(log, record(1, odd, key="ключ"))
    assert next(iter(log.read(0))).events == (odd,)
    assert log.story(odd.story)[0].key == "ключ"


def test_many_threads_read_while_one_writes(log: Log) -> None:
    append(log, record(1))
    wrong: list[list[int]] = []

    def read() -> None:
        for _ in range(30):
            found = positions(log)
            if found != list(range(1, len(found) + 1)):
                wrong.append(found)

    readers = [Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    for position in range(2, 120):
        append(log, record(position))
    for reader in readers:
        reader.join()
    assert wrong == []
