"""The writer: what it groups, in which order it tells, and what it does after a failure."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from synapse.errors import Unavailable
from synapse.log.base import AppendFailed, Conflict, Entry, Log, Snapshot
from synapse.log.faulty import Fault, FaultyLog
from synapse.log.memory import MemoryLog
from synapse.log.sqlite import SqliteLog
from synapse.log.writer import Writer
from tests.core.log.making import positions, record


class Loop:
    """The hub's loop: what is called from another thread runs when this thread takes its turn."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[..., object], tuple[object, ...]]] = SimpleQueue()
        self.heard: list[int | str] = []

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        self._calls.put((function, arguments))

    def turn(self) -> None:
        function, arguments = self._calls.get(timeout=10)
        function(*arguments)

    def until(self, *heard: int | str) -> None:
        """Run until all of this was heard, in this order and nothing else."""
        while self.heard != list(heard):
            assert self.heard == list(heard)[: len(self.heard)], self.heard
            self.turn()

    def drain(self) -> None:
        while not self._calls.empty():
            self.turn()


class SlowLog(MemoryLog):
    """Stores nothing before it is let; says how much came at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.groups: list[int] = []

    def append(self, entries: Sequence[Entry]) -> None:
        self.groups.append(len(entries))
        self.begun.release()
        assert self.go.acquire(timeout=10)
        super().append(entries)


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def writer_of(loop: Loop) -> Iterator[Callable[..., Writer]]:
    made: list[Writer] = []

    def make(log: Log, **limits: Any) -> Writer:
        made.append(
            Writer(
                log,
                loop.call,
                committed=loop.heard.append,
                failed=lambda error: loop.heard.append(error.code),
                **limits,
            )
        )
        return made[-1]

    yield make
    for writer in made:
        writer.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "log-writer"]


Make = Callable[..., Writer]


def test_a_record_is_stored_and_told_on_the_loop(loop: Loop, writer_of: Make) -> None:
    log = MemoryLog()
    told_by: list[threading.Thread] = []
    writer = Writer(
        log, loop.call, committed=lambda at: told_by.append(threading.current_thread()), failed=lambda error: None
    )
    writer.submit(record(1))
    loop.turn()
    assert told_by == [threading.current_thread()]
    assert positions(log) == [1]
    writer.close()


def test_what_piles_up_during_a_commit_goes_into_the_next_one(loop: Loop, writer_of: Make) -> None:
    log = SlowLog()
    writer = writer_of(log)
    writer.submit(record(1))
    log.begun.acquire()
    for position in range(2, 18):
        writer.submit(record(position))
    log.go.release(2)
    loop.until(1, 17)
    assert log.groups == [1, 16]


def test_a_group_is_bounded_by_records_and_by_bytes(loop: Loop, writer_of: Make) -> None:
    log = SlowLog()
    log.go.release(100)
    writer = writer_of(log, max_records=4)
    block = threading.Event()
    writer.run(lambda log: block.wait(10))
    for position in range(1, 11):
        writer.submit(record(position))
    block.set()
    loop.until(4, 8, 10)
    assert log.groups == [4, 4, 2]

    heavy = writer_of(log, max_bytes=record(1).size * 2)
    block.clear()
    heavy.run(lambda log: block.wait(10))
    for position in range(11, 16):
        heavy.submit(record(position))
    block.set()
    loop.until(4, 8, 10, 12, 14, 15)


def test_room_ends_with_the_queue_and_its_return_is_told_once(loop: Loop, writer_of: Make) -> None:
    log = SlowLog()
    writer = writer_of(log, max_records=2)
    returned: list[bool] = []
    writer.on_room = lambda: returned.append(writer.room())
    assert writer.room()
    writer.submit(record(1))
    log.begun.acquire()
    assert writer.room()
    writer.submit(record(2))
    assert not writer.room()
    assert not writer.room()
    log.go.release(2)
    loop.until(1, 2)
    assert returned == [True]
    writer.submit(record(3))
    log.go.release()
    loop.until(1, 2, 3)
    assert returned == [True]


def test_room_counts_bytes_also_of_snapshots(loop: Loop, writer_of: Make) -> None:
    log = SlowLog()
    writer = writer_of(log, max_bytes=10_000)
    assert writer.room()
    writer.submit_snapshots([Snapshot("tasks", 1, 0, b"x" * 10_000)])
    assert not writer.room()
    log.go.release()
    loop.turn()
    assert writer.room()
    assert loop.heard == []  # no position was committed


def test_jobs_and_snapshots_keep_their_place_behind_records(loop: Loop, writer_of: Make) -> None:
    log = MemoryLog()
    writer = writer_of(log)
    heads = []
    for position in range(1, 50):
        writer.submit(record(position))
        writer.submit_snapshots([Snapshot("tasks", 1, position, b"%d" % position)])
        heads.append(writer.run(lambda log: (log.head(), log.snapshots()[0].position)))
    assert [head.result(10) for head in heads] == [(position, position) for position in range(1, 50)]


def test_a_job_gives_its_result_or_its_error(loop: Loop, writer_of: Make) -> None:
    writer = writer_of(MemoryLog())
    sum = writer.run(lambda log: log.put_blob(b"content")).result(10)
    assert writer.run(lambda log: log.blob(sum)).result(10) == b"content"

    def broken(log: Log) -> None:
        raise Unavailable("busy", "Later.")

    with pytest.raises(Unavailable):
        writer.run(broken).result(10)
    writer.submit(record(1))
    loop.until(1)


def test_close_writes_what_is_queued_and_ends_the_thread(loop: Loop, writer_of: Make, tmp_path: Path) -> None:
    with closing(SqliteLog.open(tmp_path / "log.db")) as log:
        writer = writer_of(log)
        for position in range(1, 501):
            writer.submit(record(position))
        writer.close()
        assert log.head() == 500
        loop.drain()
        assert loop.heard[-1] == 500
        writer.close()
        with pytest.raises(AssertionError):
            writer.submit(record(501))
        with pytest.raises(AssertionError):
            writer.run(lambda log: log.head())


@pytest.mark.parametrize("fault", list(Fault))
def test_after_a_failed_record_nothing_more_is_stored_until_resume(fault: Fault, loop: Loop, writer_of: Make) -> None:
    inner = SlowLog()
    inner.go.release(100)
    log = FaultyLog(inner, {"append": [None, fault]})
    writer = writer_of(log)
    writer.submit(record(1))
    loop.until(1)
    writer.submit(record(2))
    for position in range(3, 40):  # the loop has not heard yet: this is dropped
        writer.submit(record(position))
    loop.until(1, "storage_unavailable")
    assert not writer.room()
    with pytest.raises(AssertionError):
        writer.submit(record(40))

    head = writer.run(lambda log: log.recover()).result(10)
    assert positions(inner) == list(range(1, head + 1))
    assert head == 1 if fault is Fault.BEFORE else head >= 2
    writer.run(lambda log: log.probe()).result(10)
    returned: list[bool] = []
    writer.on_room = lambda: returned.append(writer.room())
    writer.resume()
    assert returned == [True]
    writer.submit(record(head + 1))
    loop.until(1, "storage_unavailable", head + 1)
    assert loop.heard.count("storage_unavailable") == 1


def test_what_was_queued_behind_a_failure_is_dropped_also_when_recover_comes_first(loop: Loop, writer_of: Make) -> None:
    log = FaultyLog(MemoryLog(), {"append": [Fault.BEFORE]})
    writer = writer_of(log)
    block = threading.Event()
    writer.run(lambda log: block.wait(10))
    writer.submit(record(1))
    first = writer.run(lambda log: log.head())
    writer.submit(record(2))
    recovered = writer.run(lambda log: log.recover())
    writer.submit(record(3))
    last = writer.run(lambda log: log.head())
    block.set()
    assert (first.result(10), recovered.result(10), last.result(10)) == (0, 0, 0)
    loop.until("storage_unavailable")


def test_a_failing_job_that_closes_the_log_is_a_failure_of_the_writer(loop: Loop, writer_of: Make) -> None:
    log = FaultyLog(MemoryLog(), {"put_blob": [Fault.BEFORE]})
    writer = writer_of(log)
    with pytest.raises(AppendFailed):
        writer.run(lambda log: log.put_blob(b"content")).result(10)
    loop.until("storage_unavailable")
    writer.run(lambda log: log.recover()).result(10)
    writer.resume()
    writer.submit(record(1))
    loop.until("storage_unavailable", 1)


def test_a_probe_that_fails_is_not_told_twice(loop: Loop, writer_of: Make) -> None:
    log = FaultyLog(MemoryLog(), {"append": [Fault.BEFORE], "probe": [Fault.BEFORE] * 3})
    writer = writer_of(log)
    writer.submit(record(1))
    loop.until("storage_unavailable")
    writer.run(lambda log: log.recover()).result(10)
    for _ in range(3):
        with pytest.raises(AppendFailed):
            writer.run(lambda log: log.probe()).result(10)
    writer.run(lambda log: log.probe()).result(10)
    writer.resume()
    writer.submit(record(1))
    loop.until("storage_unavailable", 1)


def test_a_record_that_does_not_follow_is_told_as_a_conflict(loop: Loop, writer_of: Make) -> None:
    writer = writer_of(MemoryLog())
    writer.submit(record(5))
    loop.until(Conflict("").code)


def test_a_bug_in_an_engine_leaves_nobody_waiting(loop: Loop, writer_of: Make) -> None:
    class Broken(MemoryLog):
        def append(self, entries: Sequence[Entry]) -> None:
            raise KeyError("a bug")

    writer = writer_of(Broken())
    writer.submit(record(1))
    loop.until("internal_error")


def test_a_record_that_cannot_be_stored_is_told_and_does_no_harm(loop: Loop, writer_of: Make, tmp_path: Path) -> None:
    with closing(SqliteLog.open(tmp_path / "log.db")) as log:
        writer = writer_of(log)
        writer.submit(record(1))
        loop.until(1)
        writer.submit(record(2, key="\ud800"))  # half a character
        loop.until(1, "internal_error")
        assert writer.run(lambda log: log.recover()).result(10) == 1
        writer.resume()
        writer.submit(record(2))
        loop.until(1, "internal_error", 2)
        writer.close()


def test_resume_without_a_failure_is_a_bug(loop: Loop, writer_of: Make) -> None:
    with pytest.raises(AssertionError):
        writer_of(MemoryLog()).resume()


def test_what_one_turn_of_the_loop_submits_is_one_group(loop: Loop) -> None:
    log = SlowLog()
    with closing(
        Writer(log, loop.call, committed=loop.heard.append, failed=lambda error: None, soon=loop.call)
    ) as writer:
        for position in (1, 2, 3):
            writer.submit(record(position))
        assert not log.begun.acquire(timeout=0.05)  # the turn is not over
        loop.turn()
        log.go.release()
        loop.until(3)
    assert log.groups == [3]


@pytest.mark.parametrize("last", ["job", "close"])
def test_what_a_turn_has_submitted_comes_before_a_job_and_before_the_end(loop: Loop, last: str) -> None:
    log = MemoryLog()
    with closing(
        Writer(log, loop.call, committed=loop.heard.append, failed=lambda error: None, soon=loop.call)
    ) as writer:
        writer.submit(record(1))
        if last == "job":
            assert writer.run(lambda log: log.head()).result(10) == 1
    assert log.head() == 1
    loop.drain()
    assert loop.heard == [1]
