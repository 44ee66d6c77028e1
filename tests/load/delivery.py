"""How quick messages reach an idle agent's terminal, and answers the hub.

python tests/load/delivery.py [--messages 100] [--busy N]     N processes that only burn processor time beside it
"""

import argparse
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import quantiles

sys.path.insert(0, str(Path(__file__).parents[2]))

from synapse.runner import frames
from synapse.runner.frames import Hello
from tests.e2e.agents_kit import House
from tests.e2e.hubs import LinePeer

WITHIN = 20.0  # seconds


class Watcher:
    """Somebody who looks at an agent's terminal, and when which text came."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._socket.sendall(Hello(120, 40, True, False, "ctrl-\\", "").encode())
        self._frames = frames.Frames()
        self._pieces: list[tuple[float, int]] = []
        self._text = b""
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while data := self._socket.recv(65536):
            now = time.perf_counter()
            with self._news:
                for kind, payload in self._frames.feed(data):
                    if kind == frames.OUTPUT:
                        self._text += payload
                        self._pieces.append((now, len(self._text)))
                self._news.notify_all()

    def when(self, text: str) -> float:
        """When it was there, for the first time."""
        wanted = text.encode()
        with self._news:
            assert self._news.wait_for(lambda: wanted in self._text, WITHIN), f"{text} did not come"
            end = self._text.index(wanted) + len(wanted)
            return next(moment for moment, length in self._pieces if length >= end)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--busy", type=int, default=0)
    options = parser.parse_args()
    house = House()
    burners = [subprocess.Popen(["yes"], stdout=subprocess.DEVNULL) for _ in range(options.busy)]
    try:
        house.agent("bob", "demo", "--delay", "0")
        watcher = Watcher(house.status("bob")["socket"])
        with LinePeer(str(house.told["socket"])) as peer:
            peer.hello()
            report(options, *measure(peer, watcher, options.messages))
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
        house.close()


def measure(
    peer: LinePeer, watcher: Watcher, messages: int
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Seconds: accepted to shown, shown to answered, answer shown to task completed, answer to the next text shown."""
    shown, answered, completed, following = [], [], [], []
    for number in range(messages):
        task = send(peer, f"PING a{number}.")
        accepted = time.perf_counter()
        there = watcher.when(f"PING a{number}.")
        answer = watcher.when(f"PONG a{number}.")
        peer.ask("tasks.wait", task=task, timeout=WITHIN)
        completed.append(time.perf_counter() - answer)
        shown.append(there - accepted)
        answered.append(answer - there)
    tasks = [send(peer, f"PING b{number}.") for number in range(messages)]
    following += [
        watcher.when(f"PING b{number}.") - watcher.when(f"PONG b{number - 1}.") for number in range(1, messages)
    ]
    for task in tasks:
        peer.ask("tasks.wait", task=task, timeout=WITHIN)
    return shown, answered, completed, following


def send(peer: LinePeer, text: str) -> str:
    reply = peer.ask("messages.send", to="bob", text=text, mode="wait", idempotency_key=os.urandom(8).hex())
    return str(reply["result"]["task_id"])


def report(options: argparse.Namespace, *columns: list[float]) -> None:
    names = (
        "accepted to shown in the terminal",
        "shown to answered (profile's pause 30 ms)",
        "answer shown to task completed",
        "answer shown to next message shown",
    )
    print(f"{options.messages} messages, {options.busy} busy neighbours on {os.cpu_count()} cores; milliseconds")
    print(f"{'':<44}{'p50':>8}{'p95':>8}{'most':>8}")
    for name, values in zip(names, columns, strict=True):
        cuts = quantiles(values, n=20)
        print(f"{name:<44}{cuts[9] * 1000:>8.1f}{cuts[18] * 1000:>8.1f}{max(values) * 1000:>8.1f}")


if __name__ == "__main__":
    main()
