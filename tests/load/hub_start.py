"""How long a hub takes until its first answer, what it then holds in memory, and what a finished task costs there.

    .venv/bin/python tests/load/hub_start.py [events]

Started with an empty folder; with 100,000 events (tasks asked and answered, by the verbs) and snapshots; and with
snapshots of another version, which is a fold of the whole log.
"""

import sqlite3
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.e2e.hubs import HubProcess, until
from tests.load import kit

TIMES = 5


def start(hub: HubProcess) -> tuple[float, float]:
    """Seconds, and seconds of CPU, from the command to the answer to a first request; the hub then runs."""
    begun = time.perf_counter()
    hub.serve("--background", "--rate", "0")
    with hub.peer() as peer:
        peer.hello()
        assert "result" in peer.ask("hub.status")
    return time.perf_counter() - begun, kit.cpu(hub.pid)


def median(times: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(wall for wall, _ in times), statistics.median(cpu for _, cpu in times)


def stop(hub: HubProcess) -> None:
    hub.synapse("serve", "--stop")
    until(lambda: not hub.hubs())
    while hub.served:
        hub.served.pop().communicate()


def line(hub: HubProcess) -> str:
    with hub.peer() as peer:
        peer.hello()
        return peer.ask("hub.status")["result"]["hub"]["start_line"].partition("ready in ")[2]


def change(hub: HubProcess, statement: str) -> int:
    connection = sqlite3.connect(hub.data / "synapse.db")
    with connection:
        found = connection.execute(statement).fetchone()
    connection.close()
    return found[0] if found else 0


def main() -> int:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    table = kit.Table("The start of a hub")
    hub = HubProcess()
    try:
        first, cpu = start(hub)
        table.row("first start, the file is made", first, "s", most=0.5, note=f"{cpu:.2f} s CPU")
        stop(hub)
        spent = []
        for _ in range(TIMES):
            spent.append(start(hub))
            stop(hub)
        empty, cpu = median(spent)
        table.row(f"an empty log, median of {TIMES}", empty, "s", most=0.5, note=f"{cpu:.2f} s CPU")

        start(hub)
        kit.generate(hub, 200, 0, "tasks")
        before, asked = kit.private(hub.pid), 0
        while change(hub, "SELECT count(*) FROM events") < events:
            asked += int(kit.generate(hub, 5000, 0, "tasks")["count"])
        after = kit.private(hub.pid)
        stop(hub)
        stored = change(hub, "SELECT count(*) FROM events")
        print(f"{stored:,} events of {asked:,} finished tasks, {(hub.data / 'synapse.db').stat().st_size / 1e6:.0f} MB")
        spent = []
        for _ in range(TIMES):
            spent.append(start(hub))
            held = kit.private(hub.pid)
            said = line(hub)
            stop(hub)
        full, cpu = median(spent)
        table.row(f"with snapshots, median of {TIMES}", full, "s", most=0.7, note=f"{cpu:.2f} s CPU; {said}")
        table.row("private memory then", held / 1000, "MB", most=90)
        change(hub, "UPDATE snapshots SET version = version + 1000")
        anew, cpu = start(hub)
        table.row("after a version change", anew, "s", most=3.0, note=f"{cpu:.2f} s CPU; {line(hub)}")
        table.row("private memory then", kit.private(hub.pid) / 1000, "MB")
        stop(hub)
        start(hub)
        bare = HubProcess()
        try:
            start(bare)
            kept = held - kit.private(bare.pid)
        finally:
            bare.close()
        table.row("memory of a finished task, grown while it ran", (after - before) / asked, "kB", most=1.0)
        table.row("memory of a finished task, after a start", kept / (asked + 200), "kB", most=1.0)
    finally:
        hub.close()
    return 1 if table.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
