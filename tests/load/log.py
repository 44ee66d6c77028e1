"""What the log costs: records a second, CPU per record, reading, opening, size.

    .venv/bin/python tests/load/log.py [folder]

Every sender waits for the commit of its record (two events of 300 bytes) before it makes the next, on one asyncio loop,
as the hub's do. "writer" is the writer's thread with SQLite in it, "loop" the senders, the queue and the callbacks.
"""

import asyncio
import sys
import tempfile
import threading
import time
from pathlib import Path

from synapse.ids import token, ulid
from synapse.log.base import AppendFailed, Record, StoredEvent
from synapse.log.memory import MemoryLog
from synapse.log.sqlite import SqliteLog
from synapse.log.writer import Writer

BODY = b'{"text":"' + b"x" * 289 + b'"}'
BY = "a-" + ulid(1e9)


def record(position: int) -> Record:
    story = "t-" + ulid(1e9 + position)
    events = (
        StoredEvent("tasks.created", BY, "synapse", story, BODY),
        StoredEvent("messages.queued", BY, "synapse", story, BODY),
    )
    reply = b'{"id":"%s","position":%d}' % (story.encode(), position)
    return Record(token(), position, position - 1, 1, 1e9 + position, BY, story, token(), reply, events)


class Senders:
    """Clients that each send and wait, through one writer."""

    def __init__(self, log: MemoryLog | SqliteLog, records: list[Record]) -> None:
        self.log = log
        self.left = iter(records)
        self.waiting: dict[int, asyncio.Future[None]] = {}
        self.done = 0
        self.groups = 0
        self.waits: list[float] = []

    def committed(self, position: int) -> None:
        self.groups += 1
        while self.done < position:
            self.done += 1
            if self.done in self.waiting:
                self.waiting.pop(self.done).set_result(None)

    def failed(self, error: AppendFailed) -> None:
        raise SystemExit(f"append failed: {error}")

    async def send(self, writer: Writer) -> None:
        loop = asyncio.get_running_loop()
        for one in self.left:
            begun = time.perf_counter()
            future = self.waiting[one.position] = loop.create_future()
            writer.submit(one)
            await future
            self.waits.append(time.perf_counter() - begun)

    async def run(self, senders: int) -> tuple[float, float]:
        """CPU seconds of the writer's thread and of the whole process."""
        self.done = self.log.head()
        writer = Writer(
            self.log, asyncio.get_running_loop().call_soon_threadsafe, committed=self.committed, failed=self.failed
        )
        before = time.process_time()
        cpu = writer.run(lambda log: time.thread_time()).result()
        await asyncio.gather(*(self.send(writer) for _ in range(senders)))
        cpu = writer.run(lambda log: time.thread_time()).result() - cpu
        everything = time.process_time() - before
        writer.close()
        return cpu, everything


def senders(name: str, log: MemoryLog | SqliteLog, count: int, total: int) -> None:
    head = log.head()
    trial = Senders(log, [record(head + number) for number in range(1, total + 1)])
    begun = time.perf_counter()
    writer, everything = asyncio.run(trial.run(count))
    seconds = time.perf_counter() - begun
    waits = sorted(trial.waits)
    print(
        f"{name:8} {count:4} senders {total / seconds:9,.0f} records/s  group {total / trial.groups:6.1f}"
        f"  p50 {waits[total // 2] * 1e3:6.2f} ms  p99 {waits[total * 99 // 100] * 1e3:6.2f} ms"
        f"  CPU us/record: writer {writer / total * 1e6:6.1f}  loop {(everything - writer) / total * 1e6:6.1f}"
        f"  together {everything / total * 1e6:6.1f}"
    )


def busy_loop(log: SqliteLog, seconds: float, interval: float) -> None:
    """How the writer fares beside a thread that never lets go of the interpreter by itself."""
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(100))

    before = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    spinner = threading.Thread(target=spin)
    spinner.start()
    trial = Senders(log, [record(log.head() + number) for number in range(1, 50_001)])
    begun = time.perf_counter()
    written = 0
    entries = list(trial.left)
    from synapse.log.base import Entry

    while time.perf_counter() - begun < seconds:
        log.append([Entry(one) for one in entries[written : written + 16]])
        written += 16
    stop.set()
    spinner.join()
    sys.setswitchinterval(before)
    print(
        f"groups of 16 beside a thread that never rests, switch interval {interval * 1e3:.1f} ms:"
        f" {written / seconds:,.0f} records/s"
    )


def reading(path: Path) -> None:
    with_events = 100_000
    log = SqliteLog.open(path)
    writer = Writer(log, lambda function, *arguments: None, committed=lambda at: None, failed=lambda error: None)
    for position in range(1, with_events // 2 + 1):
        writer.submit(record(position))
    writer.close()
    for kinds in (None, {"tasks.created"}, {"hub.started"}):
        begun, cpu = time.perf_counter(), time.process_time()
        events = sum(len(one.events) for one in log.read(0, kinds=kinds))
        print(
            f"read {events:7,} of {with_events:,} events, kinds {kinds or 'all'}:"
            f" {(time.perf_counter() - begun) * 1e3:6.0f} ms, {(time.process_time() - cpu) * 1e3:6.0f} ms CPU"
        )
    begun = time.perf_counter()
    log.keys(0, 100_000)
    print(f"keys of {with_events // 2:,} records: {(time.perf_counter() - begun) * 1e3:.0f} ms")
    log.close()
    begun = time.perf_counter()
    log = SqliteLog.open(path)
    print(f"open: {(time.perf_counter() - begun) * 1e3:.1f} ms")
    begun = time.perf_counter()
    log.backup(path.with_name("copy.db"))
    print(f"backup: {(time.perf_counter() - begun) * 1e3:.0f} ms")
    log.close()
    size = path.stat().st_size
    print(f"size: {size / 1e6:.1f} MB, {size / with_events:.0f} bytes per event of {len(BODY)} bytes")


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        for count, total in ((1, 4000), (16, 40_000), (200, 60_000)):
            senders("memory", MemoryLog(), count, total)
            log = SqliteLog.open(Path(folder) / f"senders-{count}.db")
            senders("sqlite", log, count, total)
            log.close()
        log = SqliteLog.open(Path(folder) / "busy.db")
        for interval in (0.005, 0.0005):
            busy_loop(log, 2, interval)
        log.close()
        reading(Path(folder) / "reading.db")


if __name__ == "__main__":
    main()
