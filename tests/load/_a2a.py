"""Clients of A2A in one process, over bare sockets. Used by a2a.py.

_a2a.py accept PORT SOCKET CLIENTS SECONDS RATE     RATE messages a second that do not wait (0: as many as there can
                                                    be), and the card meanwhile
_a2a.py streams PORT SOCKET STREAMS ROUNDS SLOW     readers of one task, SLOW of whom do not read
"""

import json
import os
import select
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.load._generator import Client, told

AGENT = "sink"
ASKED = 1500  # characters of a question


class Http:
    """One connection, one request at a time."""

    def __init__(self, port: int, *, buffer: int = 0) -> None:
        self.host = f"127.0.0.1:{port}"
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.latencies: list[float] = []
        self.sent = 0.0

    def request(self, method: str, path: str, body: bytes = b"") -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nA2A-Version: 1.0\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.sent = time.perf_counter()
        self.socket.sendall(head.encode() + b"\r\n" + body)

    def rpc(self, method: str, **params: object) -> None:
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self.request("POST", f"/agents/{AGENT}", json.dumps(asked).encode())

    def answer(self) -> bytes:
        """The body of an answer; b"" while it is not whole."""
        self.buffer += self.socket.recv(1 << 18)
        head, gap, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        if not gap:
            return b""
        assert head.startswith(b"HTTP/1.1 200"), head + rest
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return b""
        self.latencies.append(time.perf_counter() - self.sent)
        del self.buffer[: len(head) + 4 + length]
        return rest[:length]

    def whole(self) -> bytes:
        while not (found := self.answer()):
            pass
        return found


def message(
    number: int, text: str = "a request of some length, as people write them to each other"
) -> dict[str, object]:
    return {"messageId": f"m-{os.getpid()}-{number}", "role": "ROLE_USER", "parts": [{"text": text}]}


def accept(port: int, path: str, clients: int, seconds: float, rate: float) -> dict[str, object]:
    sink = Client(path, AGENT)
    sink.ask("agents.here", {})
    posting = {one.socket.fileno(): one for one in (Http(port) for _ in range(clients))}
    card, place = Http(port), f"/agents/{AGENT}/.well-known/agent-card.json"
    poll = select.epoll()
    begun = time.perf_counter()
    every = clients / rate if rate else 0.0
    due = {fd: begun + number * every / clients for number, fd in enumerate(posting)} | {card.socket.fileno(): begun}
    for fd in due:
        poll.register(fd, select.EPOLLIN)
    end, count, left = begun + seconds, 0, len(posting)
    waiting = dict(due)  # when each is to ask again
    while left:
        now = time.perf_counter()
        for fd in [fd for fd, at in waiting.items() if at <= now]:
            del waiting[fd]
            if fd == card.socket.fileno():
                card.request("GET", place)
                continue
            count += 1
            posting[fd].rpc("SendMessage", message=message(count), configuration={"returnImmediately": True})
        next_one = min(waiting.values(), default=now + 1.0)
        for fd, _ in poll.poll(max(0.0, next_one - time.perf_counter())):
            if fd == card.socket.fileno():
                if card.answer():
                    waiting[fd] = time.perf_counter() + 0.01
                continue
            body = posting[fd].answer()
            if body:
                assert b'"TASK_STATE_SUBMITTED"' in body, body
                if time.perf_counter() < end:
                    due[fd] = waiting[fd] = due[fd] + every
                else:
                    left -= 1
    spent = time.perf_counter() - begun
    latencies = [each for one in posting.values() for each in one.latencies]
    return {"accepted": told(latencies, spent), "card": told(card.latencies, spent)}


def streams(port: int, path: str, count: int, rounds: int, slow: int) -> dict[str, float]:
    """How long it takes until everybody who reads has heard of a question."""
    sink, asker = Client(path, AGENT), Http(port)
    sink.ask("agents.here", {})
    asker.rpc("SendMessage", message=message(0), configuration={"returnImmediately": True})
    task = json.loads(asker.whole())["result"]["task"]["id"]
    sink.ask("messages.read", {"id": task})
    sink.ask("tasks.ask", {"task": task, "question": "?"})
    readers, reading = {}, set()
    poll = select.epoll()
    for number in range(count):
        reader = Http(port, buffer=2048 if number < slow else 0)
        reader.rpc("SubscribeToTask", id=task)
        if number >= slow:
            while b"TASK_STATE_INPUT_REQUIRED" not in reader.buffer:
                reader.buffer += reader.socket.recv(1 << 18)
            reader.buffer.clear()
            poll.register(reader.socket.fileno(), select.EPOLLIN)
            reading.add(reader.socket.fileno())
        readers[reader.socket.fileno()] = reader
    latencies: list[float] = []
    begun = time.perf_counter()
    for number in range(rounds):
        sink.ask("tasks.resume", {"task": task})
        mark = b"question %d " % number
        sent = time.perf_counter()
        sink.ask("tasks.ask", {"task": task, "question": mark.decode() + "x" * ASKED})
        waiting = set(reading)
        while waiting:
            for fd, _ in poll.poll():
                reader = readers[fd]
                reader.buffer += reader.socket.recv(1 << 18)
                if mark in reader.buffer and reader.buffer.endswith(b"\n\n\r\n"):
                    latencies.append(time.perf_counter() - sent)
                    reader.buffer.clear()
                    waiting.discard(fd)
    return told(latencies, time.perf_counter() - begun)


def main() -> None:
    what, port = sys.argv[1], int(sys.argv[2])
    if what == "accept":
        print(json.dumps(accept(port, sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), float(sys.argv[6]))))
    else:
        print(json.dumps(streams(port, sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]))))


if __name__ == "__main__":
    main()
