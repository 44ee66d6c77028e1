"""What A2A costs: messages accepted for an agent while its card is read, and one question told to many streams.

    .venv/bin/python tests/load/a2a.py [seconds]

The agent is a plain client that does nothing, so that what is measured is the hub. Its callers are another process: 16
connections that send and do not wait (`returnImmediately`), as fast as they can and then 1000 a second, while one more reads
the card up to a hundred times a second. Then 200 streams of one task, of which in the second round one does not read.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.e2e.hubs import HubProcess
from tests.load import kit

CLIENTS, RATE, STREAMS, ROUNDS = 16, 1000, 200, 60
GENERATOR = Path(__file__).with_name("_a2a.py")


def generate(*words: object) -> Any:
    """What the other process has measured."""
    command = [sys.executable, str(GENERATOR), *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    return json.loads(done.stdout)


def streams(hub: HubProcess, slow: int) -> dict[str, float]:
    return generate("streams", hub.told["port"], hub.told["socket"], STREAMS, ROUNDS, slow)


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    table = kit.Table("Messages of A2A, and streams")
    with kit.hub() as hub:
        where = (hub.told["port"], hub.told["socket"])
        generate("accept", *where, CLIENTS, 0.5, 0)
        before = kit.cpu(hub.pid)
        many = generate("accept", *where, CLIENTS, seconds, 0)["accepted"]
        spent = kit.cpu(hub.pid) - before
        steady = generate("accept", *where, CLIENTS, seconds, RATE)
        one = generate("accept", *where, 1, seconds / 2, 0)["accepted"]
    table.row("accepted a second, 16 clients", many["count"] / many["seconds"], "1/s", least=1000)
    table.row("latency p50, 16 clients", many["p50"], "ms")
    table.row("latency p99, 16 clients", many["p99"], "ms")
    table.row("hub CPU per message", spent / many["count"] * 1e6, "us")
    table.row(f"accepted at {RATE} a second p50", steady["accepted"]["p50"], "ms", most=5)
    table.row(f"accepted at {RATE} a second p99", steady["accepted"]["p99"], "ms")
    table.row("card meanwhile p50", steady["card"]["p50"], "ms", most=5)
    table.row("card meanwhile p99", steady["card"]["p99"], "ms")
    table.row("latency p50, 1 client", one["p50"], "ms", most=5)
    table.row("latency p99, 1 client", one["p99"], "ms")
    with kit.hub() as hub:
        quick = streams(hub, 0)
        held = streams(hub, 1)
    table.row("a question told to 200 streams p50", quick["p50"], "ms")
    table.row("a question told to 200 streams p99", quick["p99"], "ms")
    table.row("the same with a slow one p50", held["p50"], "ms")
    table.row("p50 with a slow one : without", held["p50"] / quick["p50"], "", most=1.5)
    table.row("p99 with a slow one : without", held["p99"] / quick["p99"], "", most=3)
    return 1 if table.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
