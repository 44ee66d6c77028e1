"""Clients of a hub in one process, each asking again as soon as it has its answer. Used by kit.generate.

    _generator.py SOCKET CLIENTS SECONDS [tasks]

Each request is a note to the client `sink` under a key of its own; with `tasks` each is a task, answered by `sink`.
"""

import json
import os
import select
import socket
import sys
import time


class Client:
    def __init__(self, path: str, name: str) -> None:
        self.name = name
        self.buffer = b""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.ask("hello", {"as": name, "workspace": "house", "protocol": 1})
        self.count = 0
        self.sent = 0.0

    def ask(self, method: str, params: dict[str, object]) -> dict[str, object]:
        self.socket.sendall(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n"
        )
        while True:
            reply = json.loads(self.line())
            if reply.get("id") == 1:
                return reply

    def line(self) -> bytes:
        while b"\n" not in self.buffer:
            self.buffer += self.socket.recv(65536)
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def next(self) -> None:
        self.count += 1
        self.sent = time.perf_counter()
        self.socket.sendall(
            b'{"jsonrpc":"2.0","id":%d,"method":"messages.send","params":{"to":"sink","text":"a note of some length, as'
            b' people write them to each other","mode":"silent","idempotency_key":"%s-%d"}}\n'
            % (self.count, b"%s-%d" % (self.name.encode(), os.getpid()), self.count)
        )


def notes(path: str, clients: int, seconds: float) -> dict[str, float]:
    sink = Client(path, "sink")
    sink.ask("messages.send", {"to": "nobody", "text": "x"})
    several = {client.socket.fileno(): client for client in (Client(path, f"load-{n}") for n in range(clients))}
    poll = select.epoll()
    latencies: list[float] = []
    begun = time.perf_counter()
    for fd, client in several.items():
        poll.register(fd, select.EPOLLIN)
        client.next()
    end, open_ = begun + seconds, clients
    while open_:
        for fd, _ in poll.poll():
            client = several[fd]
            reply = client.line()
            now = time.perf_counter()
            assert b'"result"' in reply, reply
            latencies.append(now - client.sent)
            if now < end:
                client.next()
            else:
                open_ -= 1
    return told(latencies, time.perf_counter() - begun)


def tasks(path: str, count: int) -> dict[str, float]:
    """`count` tasks asked of `sink` and answered by it; `seconds` is how long that took."""
    sink, asker = Client(path, "sink"), Client(path, "asker")
    sink.ask("messages.send", {"to": "nobody", "text": "x"})
    begun = time.perf_counter()
    for start in range(0, count, 100):
        many = range(start, min(start + 100, count))
        for number in many:
            asker.socket.sendall(
                b'{"id":%d,"method":"messages.send","params":{"to":"sink","text":"please do number %d, and tell me when it'
                b' is done","mode":"wait"}}\n' % (number, number)
            )
        replies = [json.loads(asker.line()) for _ in many]
        for reply in replies:
            sink.socket.sendall(
                b'{"id":1,"method":"messages.reply","params":{"to":"%s","text":"done, and it went well"}}\n'
                % reply["result"]["task_id"].encode()
            )
        for _ in many:
            answer = sink.line()
            assert b'"result"' in answer, answer
    return {"count": count, "seconds": time.perf_counter() - begun}


def told(latencies: list[float], seconds: float) -> dict[str, float]:
    latencies.sort()
    count = len(latencies)
    return {
        "count": count,
        "seconds": seconds,
        "p50": latencies[count // 2] * 1e3,
        "p99": latencies[count * 99 // 100] * 1e3,
    }


def main() -> None:
    path, clients, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    print(json.dumps(tasks(path, clients) if "tasks" in sys.argv else notes(path, clients, seconds)))


if __name__ == "__main__":
    main()
