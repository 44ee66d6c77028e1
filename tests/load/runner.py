"""What an agent's runner costs: private memory, wake-ups and processor time when nothing happens.

python tests/load/runner.py [--seconds 60] [--lines 5000] [--size 200x60]
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.e2e.agents_kit import House

TICKS = 100  # a second, in /proc/PID/stat


def private(pid: int) -> float:
    """MB of memory that only this process has."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def switches(pid: int) -> tuple[int, int]:
    """How often all its threads went to sleep by themselves, and were made to."""
    wanted, forced = 0, 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        wanted += int(fields["voluntary_ctxt_switches"])
        forced += int(fields["nonvoluntary_ctxt_switches"])
    return wanted, forced


def processor(pid: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--lines", type=int, default=5000)
    parser.add_argument("--size", default="200x60")
    options = parser.parse_args()
    columns, rows = map(int, options.size.split("x"))
    house = House()
    try:
        measured = measure(house, options.lines, columns, rows)
        print(f"{'program':<28}{'private MB':>12}{'threads':>9}{'wake-ups/s':>12}{'CPU ms/min':>12}")
        before = {name: (switches(pid)[0], processor(pid)) for name, (pid, _) in measured.items()}
        time.sleep(options.seconds)
        for name, (pid, memory) in measured.items():
            woken = (switches(pid)[0] - before[name][0]) / options.seconds
            used = (processor(pid) - before[name][1]) * 1000 * 60 / options.seconds
            print(f"{name:<28}{memory:>12.1f}{threads(pid):>9}{woken:>12.2f}{used:>12.0f}")
    finally:
        house.close()


def measure(house: House, lines: int, columns: int, rows: int) -> dict[str, tuple[int, float]]:
    """Runners by what they run: process and memory."""
    found = {}
    for name, words in (("demo", ("demo",)), ("demo after 20 tasks", ("demo",)), ("bash", ("bash", "--norc"))):
        pid = house.agent(name.replace(" ", "-"), *words)["pid"]
        if "tasks" in name:
            for number in range(20):
                house.send(name.replace(" ", "-"), f"PING {number}")
        found[name] = pid
    glass = house.glass("run", "--name", "full", "demo", columns=columns, rows=rows)
    glass.shows("demo - ? for help")
    glass.type("\x1c")
    glass.end()
    house.send("full", f"LONG {lines}")
    found[f"{columns}x{rows}, {lines} lines"] = house.status("full")["agent"]["pid"]
    time.sleep(12)  # DONE becomes READY after ten seconds
    return {name: (pid, private(pid)) for name, pid in found.items()} | {"hub": (house.pid, private(house.pid))}


if __name__ == "__main__":
    main()
