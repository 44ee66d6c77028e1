"""What the load scripts share: a hub of their own, what it costs, and a table. Nothing to run here."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.e2e.hubs import HubProcess  # noqa: E402

GENERATOR = Path(__file__).with_name("_generator.py")
TICK = os.sysconf("SC_CLK_TCK")


@contextmanager
def hub(*words: str) -> Iterator[HubProcess]:
    """A hub with an empty folder, without limits of rate; ended by its process number."""
    process = HubProcess()
    try:
        process.serve("--background", "--rate", "0", *words)
        yield process
    finally:
        process.close()


def cpu(pid: int) -> float:
    """Seconds of user and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def private(pid: int) -> int:
    """Private memory of a process in kB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


def switches(pid: int) -> int:
    """How often the threads of a process have gone to sleep."""
    found = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        lines = status.read_text().splitlines()
        found += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))
    return found


def generate(process: HubProcess, clients: int, seconds: float, *words: str) -> dict[str, float]:
    """Requests from another process; `count`, `seconds`, and the latency as `p50` and `p99` in ms."""
    command = [sys.executable, str(GENERATOR), process.told["socket"], str(clients), str(seconds), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    return json.loads(done.stdout)


class Table:
    """Rows of name, value, unit and bar; `missed` counts those beyond their bar."""

    def __init__(self, title: str) -> None:
        self.missed = 0
        print(f"\n{title}\n{'-' * len(title)}")

    def row(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        most: float | None = None,
        least: float | None = None,
        note: str = "",
    ) -> None:
        missed = (most is not None and value > most) or (least is not None and value < least)
        self.missed += missed
        bar = f"<= {most:g}" if most is not None else f">= {least:g}" if least is not None else ""
        print(f"{name:44} {value:12,.2f} {unit:14} {bar:10} {'MISSED' if missed else ''} {note}".rstrip(), flush=True)


def wait(seconds: float) -> None:
    time.sleep(seconds)
