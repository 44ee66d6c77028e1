"""What it is like to work with several agents: answers taken, a busy one asked by many, a program that streams, ten at once.

.venv/bin/python tests/load/agents.py [--seconds 20]
"""

import argparse
import os
import sys
import threading
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.e2e.agents_kit import House
from tests.e2e.hubs import SYNAPSE, LinePeer, until
from tests.load import kit
from tests.load.delivery import WITHIN, Watcher

ROUNDS, SENDERS, EACH, TEN = 30, 10, 2, 10
STREAM = """
import sys, time
print("streaming", flush=True)
while True:
    sys.stdout.write("\\x1b[32m* \\x1b[0m" + "words of an answer that comes in pieces, " * 42 + "\\r\\n")
    sys.stdout.flush()
    time.sleep(0.05)
"""  # 35 kB/s


def asked(peer: LinePeer, to: str, text: str) -> str:
    reply = peer.ask("messages.send", to=to, text=text, mode="wait", idempotency_key=os.urandom(8).hex())
    return str(reply["result"]["task_id"])


def answers(house: House, name: str, *words: str) -> float:
    """Seconds from the answer on the screen to the task's end, at the median."""
    house.agent(name, "demo", "--delay", "0", *words)
    watcher, times = Watcher(house.status(name)["socket"]), []
    with LinePeer(str(house.told["socket"])) as peer:
        peer.hello()
        for number in range(ROUNDS):
            task = asked(peer, name, f"PING a{number}.")
            peer.ask("tasks.wait", task=task, timeout=WITHIN)
            times.append(time.perf_counter() - watcher.when(f"PONG a{number}."))
    return median(times)


class Sender(threading.Thread):
    """One of those who ask the busy agent: when each request was accepted, and what was answered."""

    def __init__(self, path: str, number: int) -> None:
        super().__init__()
        self.number = number
        self.accepted: list[float] = []
        self.wrong: list[str] = []
        self.ended: list[int] = []  # positions
        self.begun: list[int] = []
        self._peer = LinePeer(path)
        self._peer.hello(**{"as": f"sender-{number}"})

    def run(self) -> None:
        tasks = []
        for turn in range(EACH):
            before = time.perf_counter()
            reply = self._peer.ask(
                "messages.send", to="busy", text=f"PING from-{self.number}-{turn}.", mode="wait",
                idempotency_key=os.urandom(8).hex(),
            )["result"]  # fmt: skip
            self.accepted.append(time.perf_counter() - before)
            tasks.append(str(reply["task_id"]))
            self.begun.append(int(reply["position"]))
        for turn, task in enumerate(tasks):
            while (ended := self._peer.ask("tasks.wait", task=task, timeout=WITHIN)["result"]).get("pending"):
                pass
            self.ended.append(int(ended["position"]))
            answer = self._peer.ask("history.show", task=task)["result"]["answer"]
            if answer != f"PONG from-{self.number}-{turn}.":
                self.wrong.append(answer)
        self._peer.close()


def many(house: House) -> list[Sender]:
    """Ten who ask one that is busy, all at once."""
    house.agent("busy", "demo", "--delay", "0")
    house.queue("busy", "SLOW 2 first")
    senders = [Sender(str(house.told["socket"]), number) for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return senders


def streaming(house: House, seconds: float) -> tuple[float, float]:
    """The part of a core that a runner takes while its program streams, and while a demo agent is idle."""
    flowing = house.agent("flowing", "python3", "-c", STREAM, ready=False)["pid"]
    idle = house.agent("idle", "demo")["pid"]
    time.sleep(2)
    before = kit.cpu(flowing), kit.cpu(idle)
    time.sleep(seconds)
    return (kit.cpu(flowing) - before[0]) / seconds * 100, (kit.cpu(idle) - before[1]) / seconds * 100


def ten(house: House) -> tuple[float, int, int]:
    """Ten agents started at once: seconds until all are ready, and how many ports and names they have."""
    begun = time.perf_counter()
    started = [house.start("start", "demo") for _ in range(TEN)]
    for process in started:
        process.communicate(timeout=60)
    assert all(process.returncode == 0 for process in started), "one was not started"

    def ready() -> list[dict[str, object]]:
        found = [agent for agent in house.ask("list") if agent["name"].startswith("demo")]
        return found if len(found) == TEN and all(a["status"] in ("READY", "DONE") for a in found) else []

    found = until(ready, 60.0)
    return time.perf_counter() - begun, len({a["port"] for a in found}), len({a["name"] for a in found})


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    house, table = House(), kit.Table(f"Agents in terminals ({SYNAPSE[-1]}, the demo agent)")
    try:
        table.row(
            "answer shown to task completed, by signal", answers(house, "told", "--signals") * 1e3, "ms", most=300
        )
        table.row("answer shown to task completed, by screen", answers(house, "seen") * 1e3, "ms", most=1000)
        senders = many(house)
        accepted = sorted(one for sender in senders for one in sender.accepted)
        table.row("20 sends of 10 to a busy one: accepted, most", accepted[-1] * 1e3, "ms", most=20)
        order = [end for _, end in sorted(pair for s in senders for pair in zip(s.begun, s.ended, strict=True))]
        table.row("answered in another order than asked", float(order != sorted(order)), "", most=0)
        table.row("wrong answers", float(sum(len(sender.wrong) for sender in senders)), "", most=0)
        flowing, idle = streaming(house, options.seconds)
        table.row("runner, its program streams 35 kB/s", flowing, "% of a core", most=8)
        table.row("runner, idle", idle, "% of a core", most=0.1)
    finally:
        house.close()
    house = House()
    try:
        seconds, ports, names = ten(house)
        table.row("ten at once: all ready after", seconds, "s")
        table.row("ten at once: ports missing", float(TEN - ports), "", most=0)
        table.row("ten at once: names missing", float(TEN - names), "", most=0)
    finally:
        house.close()
    return 1 if table.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
