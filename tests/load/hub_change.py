"""What the hub's core costs without a network: CPU per change, memory per finished task, and a start.

hub_change.py            the whole table
hub_change.py --change memory|sqlite | --finished | --fill FILE [--anew] | --start FILE [--anew]    one measurement
"""

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

from synapse import ids
from synapse.clock import SystemClock
from synapse.hub.core import Core
from synapse.hub.facts import Joined
from synapse.hub.limits import Limits
from synapse.hub.sessions import Session
from synapse.log.base import Log
from synapse.log.memory import MemoryLog
from synapse.log.sqlite import SqliteLog
from synapse.verb import Shape

CHANGES, IN_FLIGHT = 20_000, 16
FINISHED = 20_000
EVENTS = 100_000
START, ANEW, MEGABYTES, KEPT = 0.7, 3.0, 90, 1024  # the bars: seconds, seconds, MB, bytes


class Nobody:
    """No processes."""

    def alive(self, pid: int, start: str) -> bool:
        return True

    def end(self, pid: int, start: str) -> None:
        pass


def make(log: Log) -> Core:
    clock = SystemClock()
    return Core(log, clock, Nobody(), limits=Limits(clock, 0, 0))


def client(name: str) -> Session:
    return Session(wanted=Joined(key="", name=name, type="client", id=name, chosen=True), workspace="w")


class Asker:
    """One participant that asks verbs; with a key for every change, as the clients make one."""

    def __init__(self, core: Core, session: Session, *, keys: bool = False) -> None:
        self.core = core
        self.session = session
        self._keys = count() if keys else None
        self._name = ids.short()

    async def __call__(self, verb_name: str, /, **fields: Any) -> Any:
        verb = self.core.verbs.get(verb_name)
        if self._keys is not None and verb.shape is Shape.CHANGE:
            fields["idempotency_key"] = f"{self._name} {next(self._keys)}"
        return json.loads(await self.core.hub.do(self.session, verb, verb.parse(json.dumps(fields).encode())))


async def change(log: Log) -> dict[str, float]:
    """CPU and wall time of a silent send: one event, one record, with a key as every client makes one."""
    core = make(log)
    await core.open()
    alice, bob = Asker(core, client("alice")), Asker(core, client("bob"))
    await _join(alice, bob)
    hub, verb = core.hub, core.verbs.get("messages.send")
    frames = [
        b'{"to":"bob","text":"please review auth.py and say what you think","mode":"silent","idempotency_key":"%d"}' % n
        for n in range(CHANGES)
    ]
    left = iter(frames)
    done = asyncio.get_running_loop().create_future()
    open_ = 0

    def next_one(position: int = 0, what: Any = b"") -> None:
        nonlocal open_
        assert isinstance(what, bytes), what
        frame = next(left, None)
        open_ -= 1
        if frame is not None:
            open_ += 1
            hub.ask(alice.session, verb, verb.parse(frame), next_one)
        elif open_ == 0:
            done.set_result(None)

    gc.collect()
    cpu, thread, wall = time.process_time(), time.thread_time(), time.perf_counter()
    open_ = IN_FLIGHT
    for _ in range(IN_FLIGHT):
        next_one()
        open_ += 1
    open_ -= IN_FLIGHT
    await done
    result = {
        "loop us": (time.thread_time() - thread) / CHANGES * 1e6,
        "process us": (time.process_time() - cpu) / CHANGES * 1e6,
        "changes/s": CHANGES / (time.perf_counter() - wall),
    }
    await core.close()
    return result


async def _join(*askers: Asker) -> None:
    """Let everybody come in: a first change admits, and a refusal changes nothing more."""
    for asker in askers:
        try:
            await asker("messages.read", id="m-none")
        except Exception:
            pass


def private() -> int:
    """Bytes of memory that belong to this process alone."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty"):
            return int(line.split()[1]) * 1024
    return 0


async def finished() -> dict[str, float]:
    """Private memory that each finished task keeps, on SQLite, keys apart."""
    with tempfile.TemporaryDirectory() as folder:
        log = SqliteLog.open(Path(folder) / "log.db")
        core = make(log)
        await core.open()
        alice, bob = Asker(core, client("alice")), Asker(core, client("bob"))
        await _join(alice, bob)
        await _tasks(alice, bob, 1000)
        gc.collect()
        before = private()
        await _tasks(alice, bob, FINISHED)
        gc.collect()
        kept = (private() - before) / FINISHED
        await core.close()
        log.close()
    return {"bytes per finished task": kept}


async def _tasks(alice: Asker, bob: Asker, number: int) -> None:
    """That many tasks, asked and answered."""
    for _ in range(number // IN_FLIGHT):
        sent = await asyncio.gather(
            *(alice("messages.send", to="bob", text="work", mode="wait") for _ in range(IN_FLIGHT))
        )
        await asyncio.gather(*(bob("messages.reply", to=one["task_id"], text="done") for one in sent))


async def fill(path: Path) -> None:
    """A log of 100,000 events as a day leaves them: tasks asked, typed, delivered, worked on and answered."""
    log = SqliteLog.open(path)
    core = make(log)
    await core.open()
    await asyncio.gather(*(_work(core, number) for number in range(IN_FLIGHT)))
    await core.close()
    log.close()


async def _work(core: Core, number: int) -> None:
    """One client and one agent: a task is four records with six events, and a note that is read two with two."""
    me = f"alice{number}"
    alice, runner = Asker(core, client(me), keys=True), Asker(core, Session(workspace="w"), keys=True)
    joined = await runner(
        "agents.join",
        profile="claude",
        name=f"bob{number}",
        workspace="w",
        ports=[8150, 8199],
        cwd=f"/project/{number}",
    )
    await runner("agents.attach", key=joined["key"])
    await _join(alice)
    for _ in range(EVENTS // 8 // IN_FLIGHT):
        sent = await alice("messages.send", to=joined["id"], text="x" * 200, mode="wait")
        task = sent["task_id"]
        await runner("messages.typing", id=task)
        await runner("messages.delivered", id=task)
        await runner("tasks.complete", task=task, text="y" * 200)
        note = (await alice("messages.send", to=me, text="a note to keep", mode="silent"))["id"]
        await alice("messages.ack", id=note)


def start(path: Path, anew: bool) -> dict[str, float]:
    """A start of the library part: imports, opening the file, getting level, taking the lease."""
    if anew:
        from synapse.hub.agents import Agents
        from synapse.hub.mailbox import Mailbox
        from synapse.hub.tasks import Tasks

        for projection in (Agents, Mailbox, Tasks):
            projection.version += 1000

    async def run() -> dict[str, float]:
        log = SqliteLog.open(path)
        core = make(log)
        level = await core.open()
        took = time.clock_gettime(time.CLOCK_MONOTONIC) - float(os.environ["BEGAN"])
        gc.collect()
        result = {"seconds": took, "MB private": private() / 1e6, "events": level.events, "head": core.hub.head}
        core.hub.suspended = True  # nothing is noted: the next start finds the same file
        core.recovery.close()
        core.hub.readers.shutdown()
        core.hub.writer.close()
        log.close()
        return result

    return asyncio.run(run())


def measure(*options: str) -> dict[str, float]:
    """One measurement in a process of its own."""
    env = {**os.environ, "BEGAN": str(time.clock_gettime(time.CLOCK_MONOTONIC))}
    done = subprocess.run([sys.executable, __file__, *options], env=env, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def table() -> int:
    rows: list[tuple[str, str, float, float | None]] = []
    for engine in ("memory", "sqlite"):
        got = measure("--change", engine)
        rows += [
            (f"change, {engine}", "us CPU of the loop", got["loop us"], None),
            (f"change, {engine}", "us CPU of the process", got["process us"], None),
            (f"change, {engine}", "changes a second, 16 in flight", got["changes/s"], None),
        ]
    rows.append(("finished task", "bytes kept", measure("--finished")["bytes per finished task"], KEPT))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "log.db")
        measure("--fill", path)
        for name, more, bar in (("from snapshots", [], START), ("after a version change", ["--anew"], ANEW)):
            best = min((measure("--start", path, *more) for _ in range(3)), key=lambda got: got["seconds"])
            rows.append(
                (f"start, {name}", f"s, Python included ({best['events']:.0f} events folded)", best["seconds"], bar)
            )
            rows.append((f"start, {name}", "MB private", best["MB private"], MEGABYTES))
    width = max(len(f"{what}: {unit}") for what, unit, _, _ in rows)
    for what, unit, value, limit in rows:
        verdict = "" if limit is None else f"   bar {limit:g}: {'ok' if value <= limit else 'OVER'}"
        print(f"{what + ': ' + unit:<{width}} {value:>12,.2f}{verdict}")
    return int(any(limit is not None and value > limit for _, _, value, limit in rows))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--change", choices=["memory", "sqlite"])
    parser.add_argument("--finished", action="store_true")
    parser.add_argument("--fill", type=Path)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--anew", action="store_true")
    options = parser.parse_args()
    result: dict[str, float] | None = {}
    if options.change == "memory":
        result = asyncio.run(change(MemoryLog()))
    elif options.change:
        with tempfile.TemporaryDirectory() as folder:
            log = SqliteLog.open(Path(folder) / "log.db")
            result = asyncio.run(change(log))
            log.close()
    elif options.finished:
        result = asyncio.run(finished())
    elif options.fill:
        asyncio.run(fill(options.fill))
    elif options.start:
        result = start(options.start, options.anew)
    else:
        return table()
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
