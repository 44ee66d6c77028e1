"""What a durable request costs the hub, how many there are in a second, and how that compares with the bare writer.

    .venv/bin/python tests/load/hub_requests.py [seconds]

A request is `messages.send` on the local socket, stored before it is answered, from 16 connections in one other process.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from synapse.log.sqlite import SqliteLog
from tests.load import kit, log

CLIENTS = 16


def bare(folder: str, seconds: float) -> float:
    """Records a second through the writer alone, from as many senders."""
    total = int(4000 * seconds)
    trial = log.Senders(SqliteLog.open(Path(folder) / "bare.db"), [log.record(n) for n in range(1, total + 1)])
    begun = log.time.perf_counter()
    asyncio.run(trial.run(CLIENTS))
    spent = log.time.perf_counter() - begun
    trial.log.close()
    return total / spent


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    table = kit.Table("A durable request on the local socket")
    with kit.hub() as hub:
        kit.generate(hub, CLIENTS, 0.5)
        before = kit.cpu(hub.pid)
        many = kit.generate(hub, CLIENTS, seconds)
        spent = kit.cpu(hub.pid) - before
        one = kit.generate(hub, 1, seconds / 2)
    with tempfile.TemporaryDirectory(prefix="syn-") as folder:
        writer = bare(folder, seconds)
    rate = many["count"] / many["seconds"]
    table.row("hub CPU per request, 16 clients", spent / many["count"] * 1e6, "us", most=120)
    table.row("requests a second, 16 clients", rate, "1/s")
    table.row("latency p50, 16 clients", many["p50"], "ms")
    table.row("latency p99, 16 clients", many["p99"], "ms")
    table.row("the bare writer, 16 senders", writer, "1/s")
    table.row("hub rate : bare writer's", rate / writer, "")
    table.row("requests a second, 1 client", one["count"] / one["seconds"], "1/s")
    table.row("latency p50, 1 client", one["p50"], "ms")
    table.row("latency p99, 1 client", one["p99"], "ms")
    return 1 if table.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
