"""The one thread that writes: it stores what the loop hands over, in order, as much per commit as has piled up."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from synapse.log.base import AppendFailed, Entry, Log, Record, Snapshot

T = TypeVar("T")


class _Group:
    """What goes into one transaction."""

    __slots__ = ("entries", "last", "records", "size")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.last = 0  # the newest position in it; 0: only snapshots
        self.records = 0
        self.size = 0  # bytes, as the queue is bounded by

    def add(self, other: "_Group") -> None:
        """Take in what comes behind this."""
        self.entries += other.entries
        self.last = max(self.last, other.last)
        self.records += other.records
        self.size += other.size


class _Job(NamedTuple):
    run: Callable[[Log], Any]
    future: Future[Any]


class _Resume:
    """From here on things are stored again."""


class _Close:
    """Nothing comes behind this."""


class Writer:
    """Stores records behind the loop: `submit` never blocks, `committed(position)` or `failed(error)` is called later.

    `call` is `loop.call_soon_threadsafe`. Every method belongs to the loop's thread; both callbacks run there, once per
    group. After a failed append nothing is stored until `resume`: what was queued is dropped, also what the loop
    submits before it has heard of the failure. The order then is: `run` recover, fold again, `run` probe until it
    succeeds, `resume`. With `soon` (`loop.call_soon`) what one turn of the loop submits is handed over together at its
    end: the thread is woken once, and does not contend with the loop for the interpreter while that still decides.
    """

    def __init__(
        self,
        log: Log,
        call: Callable[..., object],
        *,
        committed: Callable[[int], None],
        failed: Callable[[AppendFailed], None],
        max_records: int = 1000,
        max_bytes: int = 8 << 20,
        soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self.on_room: Callable[[], None] = _nothing
        self._log = log
        self._call = call
        self._committed = committed
        self._failed = failed
        self._max_records = max_records
        self._max_bytes = max_bytes
        # SimpleQueue hands over in C: 0.1 us when the thread is awake, one wakeup when it sleeps.
        self._queue: SimpleQueue[_Group | _Job | _Resume | _Close] = SimpleQueue()
        self._soon = soon
        self._turn = _Group()  # submitted in this turn of the loop
        self._records = 0  # queued or being written, as the loop knows it
        self._bytes = 0
        self._wanted = False  # room was asked for and refused
        self._halted = False  # the loop knows of a failure
        self._stopped = False  # the thread does: its own, nobody else's
        self._closed = False
        self._thread = Thread(target=self._work, name="log-writer", daemon=True)
        self._thread.start()

    def room(self) -> bool:
        """Whether a change may be decided now; if not, `on_room` is called once when it may again."""
        if self._records < self._max_records and self._bytes < self._max_bytes and not self._halted:
            return True
        self._wanted = True
        return False

    def submit(self, record: Record, size: int = 0) -> None:
        """Have a record stored behind everything submitted before it; `size` is its size, where that is known."""
        self._put(Entry(record), size or record.size)
        self._records += 1
        self._turn.last = record.position
        self._turn.records += 1
        self._end_turn()

    def submit_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Have snapshots stored, never ahead of the records that they contain."""
        self._put(Entry(None, tuple(snapshots)), sum(len(snapshot.state) for snapshot in snapshots))
        self._end_turn()

    def run(self, job: Callable[[Log], T]) -> Future[T]:
        """Have something else done on the writer's thread, in order with the records; also after a failure."""
        assert not self._closed, "the writer is closed"
        future: Future[T] = Future()
        self._hand_over()
        self._queue.put(_Job(job, future))
        return future

    def resume(self) -> None:
        """Store again: the log was recovered and the state folded from it."""
        assert self._halted, "nothing has failed"
        self._halted = False
        self._hand_over()  # of what was submitted before the failure was known
        self._records = self._bytes = 0  # whatever was queued was dropped
        self._queue.put(_Resume())
        self._announce_room()

    def close(self) -> None:
        """Write what is queued and end the thread; blocks. The callbacks still come through `call`."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._queue.put(_Close())
            self._thread.join()

    def _put(self, entry: Entry, size: int) -> None:
        assert not self._closed, "the writer is closed"
        assert not self._halted, "an append has failed: nothing may be submitted before resume()"
        self._bytes += size
        self._turn.entries.append(entry)
        self._turn.size += size

    def _end_turn(self) -> None:
        """Hand over what was submitted: at the end of the loop's turn, or at once where nobody tells us of that."""
        if self._soon is None:
            self._hand_over()
        elif len(self._turn.entries) == 1:
            self._soon(self._hand_over)

    def _hand_over(self) -> None:
        if self._turn.entries:
            turn, self._turn = self._turn, _Group()
            self._queue.put(turn)

    def _on_committed(self, group: _Group) -> None:
        self._records -= group.records
        self._bytes -= group.size
        if group.last:
            self._committed(group.last)
        self._announce_room()

    def _on_failed(self, error: AppendFailed) -> None:
        self._halted = True
        self._failed(error)

    def _announce_room(self) -> None:
        if self._wanted and self._records < self._max_records and self._bytes < self._max_bytes and not self._halted:
            self._wanted = False
            self.on_room()

    # From here on: the writer's thread.

    def _work(self) -> None:
        while True:
            group, behind = self._gather()
            if group.entries and not self._stopped:
                self._store(group)
            match behind:
                case _Job():
                    self._do(behind)
                case _Resume():
                    self._stopped = False
                case _Close():
                    return

    def _gather(self) -> tuple[_Group, _Job | _Resume | _Close | None]:
        """Wait for something; then everything that has piled up, as one group, and what ended it."""
        group = _Group()
        item = self._queue.get()
        while isinstance(item, _Group):
            group.add(item)
            if group.records >= self._max_records or group.size >= self._max_bytes:
                return group, None
            try:
                item = self._queue.get_nowait()
            except Empty:
                return group, None
        return group, item

    def _store(self, group: _Group) -> None:
        try:
            self._log.append(group.entries)
        except AppendFailed as error:
            self._stop(error)
        except Exception as error:  # a bug in the engine or a record that cannot be stored: nobody may wait for ever
            self._stop(AppendFailed(f"{type(error).__name__}: {error}", "internal_error"))
        else:
            self._call(self._on_committed, group)

    def _do(self, job: _Job) -> None:
        if not job.future.set_running_or_notify_cancel():
            return
        try:
            result = job.run(self._log)
        except Exception as error:
            if isinstance(error, AppendFailed) and not self._stopped:
                self._stop(error)  # the engine takes nothing more: the loop hears of it before the job's caller does
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def _stop(self, error: AppendFailed) -> None:
        self._stopped = True
        self._call(self._on_failed, error)


def _nothing() -> None:
    pass
