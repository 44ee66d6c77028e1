"""What a durable request over the WebSocket costs the hub.

    .venv/bin/python tests/load/websocket.py [seconds]

A request is `messages.send`, stored before it is answered, from 16 connections in one other process; beside it, in the
same hub, the same requests on the local socket.
"""

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.load import kit
from tests.load._websockets import Socket

CLIENTS = 16


def load(port: int, clients: int, seconds: float) -> dict[str, float]:
    """Each client asks again as soon as it has its answer."""
    sink = Socket(port, "sink")
    sink.ask("agents.here")
    several = {client.socket.fileno(): client for client in (Socket(port, f"ws-{n}") for n in range(clients))}
    poll, latencies = select.epoll(), []
    begun = time.perf_counter()
    for fd, client in several.items():
        poll.register(fd, select.EPOLLIN)
        more(client)
    end, open_ = begun + seconds, clients
    while open_:
        for fd, _ in poll.poll():
            client = several[fd]
            reply = client.next()
            now = time.perf_counter()
            assert b'"result"' in reply, reply
            latencies.append(now - client.sent)
            if now < end:
                more(client)
            else:
                open_ -= 1
    latencies.sort()
    count = len(latencies)
    return {
        "count": count,
        "seconds": time.perf_counter() - begun,
        "p50": latencies[count // 2] * 1e3,
        "p99": latencies[count * 99 // 100] * 1e3,
    }


def more(client: Socket) -> None:
    client.count += 1
    client.sent = time.perf_counter()
    client.send(
        b'{"jsonrpc":"2.0","id":%d,"method":"messages.send","params":{"to":"sink","text":"a note of some length, as people'
        b' write them to each other","mode":"silent","idempotency_key":"%s-%d-%d"}}'
        % (client.count, client.name.encode(), os.getpid(), client.count)
    )


def generate(port: int, clients: int, seconds: float) -> dict[str, float]:
    command = [sys.executable, __file__, "--load", str(port), str(clients), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def main() -> int:
    if sys.argv[1:2] == ["--load"]:
        print(json.dumps(load(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))))
        return 0
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    table = kit.Table("A durable request over the WebSocket")
    with kit.hub() as hub:
        port = hub.told["port"]
        generate(port, CLIENTS, 0.5)
        before = kit.cpu(hub.pid)
        many = generate(port, CLIENTS, seconds)
        spent = kit.cpu(hub.pid) - before
        before = kit.cpu(hub.pid)
        local = kit.generate(hub, CLIENTS, seconds)
        local_spent = kit.cpu(hub.pid) - before
        one = generate(port, 1, seconds / 2)
    table.row("hub CPU per request, 16 clients", spent / many["count"] * 1e6, "us", most=150)
    table.row("the same on the local socket", local_spent / local["count"] * 1e6, "us")
    table.row("requests a second, 16 clients", many["count"] / many["seconds"], "1/s")
    table.row("latency p50, 16 clients", many["p50"], "ms")
    table.row("latency p99, 16 clients", many["p99"], "ms")
    table.row("latency p50, 1 client", one["p50"], "ms")
    return 1 if table.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
