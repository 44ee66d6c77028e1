"""What a hub costs that has nothing to do: private memory, and how often it wakes.

    .venv/bin/python tests/load/idle.py [--seconds 60]

Twice: with nobody there, and with 16 connections that wait.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.load import kit


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=60.0)
    seconds = options.parse_args().seconds
    table = kit.Table(f"An idle hub, over {seconds:g} s")
    with kit.hub() as hub:
        kit.generate(hub, 4, 0.2)
        for peers in (0, 16):
            there = [hub.peer() for _ in range(peers)]
            for number, peer in enumerate(there):
                peer.hello(**{"as": f"idle-{number}"})
            kit.wait(2.0)
            slept, spent = kit.switches(hub.pid), kit.cpu(hub.pid)
            kit.wait(seconds)
            table.row(
                f"wakeups a second, {peers} connections", (kit.switches(hub.pid) - slept) / seconds, "1/s", most=0.5
            )
            table.row(f"CPU, {peers} connections", (kit.cpu(hub.pid) - spent) / seconds * 1e6, "us/s")
            table.row(f"private memory, {peers} connections", kit.private(hub.pid) / 1000, "MB", most=55)
            for peer in there:
                peer.close()
    return 1 if table.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
