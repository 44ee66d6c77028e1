"""What live output costs: a program that streams 35 kB/s as its answer, unwatched and watched.

.venv/bin/python tests/load/watching.py [--seconds 20]
"""

import argparse
import asyncio
import os
import shlex
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from synapse.server.app import Options, Server
from tests.core.server.conftest import House as Doors
from tests.e2e.agents_kit import House
from tests.load import kit
from tests.load.agents import STREAM


async def measure(house: House, server: Server, seconds: float) -> int:
    table = kit.Table("Live output of 35 kB/s")
    told = await asyncio.to_thread(house.agent, "flowing", "shell")
    doors = Doors(server)
    peer = await doors.guest(**{"as": "alice", "workspace": "house"})
    text = f"python3 -c {shlex.quote(STREAM.strip())}"
    reply = await peer.ask("messages.send", to="flowing", text=text, mode="wait", idempotency_key=os.urandom(8).hex())
    task = reply["result"]["task_id"]
    await asyncio.sleep(2)
    for name in ("unwatched", "watched", "unwatched again"):
        pieces: list[str] = []
        stop = server.core.hub.watching.watch(task, partial(_keep, pieces))
        if name != "watched":
            stop()
        before, begun = kit.cpu(told["pid"]), time.perf_counter()
        await asyncio.sleep(seconds)
        took = time.perf_counter() - begun
        share = (kit.cpu(told["pid"]) - before) / took * 100
        stop()
        table.row(f"{name}: CPU of the runner", share, "% of a core", most=8)
        table.row(f"{name}: told", len(pieces) / took, "a second")
        table.row(f"{name}: told", sum(map(len, pieces)) / took / 1000, "kB a second")
    await doors.close()
    await asyncio.to_thread(house.synapse, "kill", "-f", "flowing")
    return table.missed


def _keep(pieces: list[str], text: str, append: bool) -> None:
    pieces.append(text)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args().seconds
    house = House()
    try:
        async with Server(Options(str(house.data), port=house.port, rate=0)) as server:
            missed = await measure(house, server, seconds)
    finally:
        await asyncio.to_thread(house.close)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
