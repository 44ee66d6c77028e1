"""A log around another one that fails when it is told to: how a hub's laws are tried against a bad disk."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import count
from typing import TypeVar

from synapse.errors import Unavailable
from synapse.ids import fingerprint
from synapse.log.base import NOTHING, AppendFailed, Entry, Log, Record, Snapshot
from synapse.log.chain import Gate
from synapse.log.listeners import Listeners

T = TypeVar("T")


class Fault(Enum):
    """What goes wrong at a step."""

    BEFORE = "before"  # it fails and nothing is done
    AFTER = (
        "after"  # it is done, and reported as failed: whoever asked does not know; a reading breaks off in the middle
    )


Script = Iterable[Fault | None]
STEPS = ("append", "recover", "probe", "put_blob", "drop_blobs", "redact", "forget", "read")


def random_faults(seed: int, rate: float = 0.1) -> Iterator[Fault | None]:
    """A script without an end, the same for the same seed, with about `rate` faults per call."""
    for number in count():
        draw = fingerprint(f"{seed}:{number}".encode())
        fails = int.from_bytes(draw[:4], "big") < rate * 2**32
        yield (Fault.BEFORE if draw[4] & 1 else Fault.AFTER) if fails else None


class FaultyLog:
    """Passes everything on to `log`, but for the faults in `scripts`: per step, what happens at its calls, one by one.

    Where a script ends, nothing fails any more. All that reads is one step, "read". After a write that failed every
    further one is refused until `recover`, as an engine must.
    """

    def __init__(self, log: Log, scripts: Mapping[str, Script] | None = None) -> None:
        self._log = log
        self._scripts: dict[str, Iterator[Fault | None]] = {step: iter(()) for step in STEPS}
        self._gate = Gate()
        self._listeners = Listeners()
        for step, script in (scripts or {}).items():
            self.fail(step, script)

    def fail(self, step: str, script: Script) -> None:
        """Let the next calls of a step fail by this script, in place of the one before."""
        if step not in STEPS:
            raise ValueError(f"{step}: a log has no such step, only {', '.join(STEPS)}")
        self._scripts[step] = iter(script)

    def append(self, entries: Sequence[Entry]) -> None:
        self._write("append", lambda: self._log.append(entries))
        self._listeners.tell(self._log.head())

    def recover(self) -> int:
        head = self._step("recover", self._log.recover)
        self._gate.open()
        return head

    def probe(self) -> None:
        with self._gate.probing():
            self._step("probe", self._log.probe)

    def put_blob(self, content: bytes) -> str:
        return self._write("put_blob", lambda: self._log.put_blob(content))

    def sums(self) -> list[str]:
        return self._read(self._log.sums)

    def drop_blobs(self, sums: Collection[str]) -> int:
        return self._write("drop_blobs", lambda: self._log.drop_blobs(sums))

    def redact(self, position: int, bodies: Mapping[int, bytes] = NOTHING) -> None:
        self._write("redact", lambda: self._log.redact(position, bodies))

    def forget(self, stories: Collection[str]) -> int:
        return self._write("forget", lambda: self._log.forget(stories))

    def read(
        self, after: int, *, limit: int | None = None, kinds: Collection[str] | None = None, until: int | None = None
    ) -> Iterator[Record]:
        fault = next(self._scripts["read"], None)
        if fault is Fault.BEFORE:
            raise _unreadable()
        for record in self._log.read(after, limit=limit, kinds=kinds, until=until):
            yield record
            if fault is Fault.AFTER:
                raise _unreadable()

    def head(self) -> int:
        return self._read(self._log.head)

    def record(self, id: bytes) -> Record | None:
        return self._read(lambda: self._log.record(id))

    def at(self, positions: Iterable[int]) -> list[Record]:
        return self._read(lambda: self._log.at(positions))

    def story(self, story: str) -> list[Record]:
        return self._read(lambda: self._log.story(story))

    def keys(self, since: float, limit: int) -> list[tuple[bytes, int]]:
        return self._read(lambda: self._log.keys(since, limit))

    def snapshots(self) -> list[Snapshot]:
        return self._read(self._log.snapshots)

    def blob(self, sum: str) -> bytes | None:
        return self._read(lambda: self._log.blob(sum))

    def follow(self, listener: Callable[[int], None]) -> Callable[[], None]:
        return self._listeners.add(listener)

    def close(self) -> None:
        self._log.close()

    def _write(self, step: str, action: Callable[[], T]) -> T:
        with self._gate:
            return self._step(step, action)

    def _step(self, step: str, action: Callable[[], T]) -> T:
        fault = next(self._scripts[step], None)
        if fault is Fault.BEFORE:
            raise AppendFailed(f"a fault was injected before {step}")
        result = action()
        if fault is Fault.AFTER:
            raise AppendFailed(f"a fault was injected after {step}")
        return result

    def _read(self, action: Callable[[], T]) -> T:
        if next(self._scripts["read"], None) is not None:
            raise _unreadable()
        return action()


def _unreadable() -> Unavailable:
    return Unavailable("storage_unavailable", "A fault was injected into reading.")
