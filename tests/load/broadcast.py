"""What it costs to tell many: a broadcast to 200, a message between two beside 500, and one reader among 200 that stalls.

Broadcasts come one at a time (the next when all have had the one before: each delivery is a write of its own) and from 16
senders at once (what is committed together goes out together).

    .venv/bin/python tests/load/broadcast.py [broadcasts]

The readers follow over the WebSocket what they are party to, and check that nothing is missing and nothing comes twice.
Beside the hub, in the same run, aiohttp alone sends the same frame to as many connections.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.load import kit
from tests.load._websockets import Reader, Socket, handshake, masked

READERS, OTHERS, SENDERS = 200, 500, 16
FOLLOW = b'{"id":"follow","method":"events.follow","params":{"mine":true,"kinds":["messages.sent"]}}'
HERE = b'{"id":"here","method":"agents.here"}'


class Crowd:
    """Readers in one process: each keeps the numbers of the broadcasts that it has seen."""

    def __init__(self) -> None:
        self.readers: list[Reader] = []
        self.seen: dict[Reader, list[int]] = {}
        self.late: dict[Reader, list[float]] = {}
        self.answers = 0
        self.arrived = 0
        self.sent_at: dict[int, float] = {}
        self.frame = b""
        self.mixed = False  # several senders' numbers come as the hub ordered them
        self._changed = asyncio.Event()

    async def join(self, port: int, count: int, prefix: str) -> None:
        before, loop = self.answers, asyncio.get_running_loop()
        for number in range(count):
            hello = handshake(port, f"/ws?from={prefix}-{number}&workspace=house")
            _, reader = await loop.create_connection(
                lambda hello=hello: Reader(hello, HERE, self.told), "127.0.0.1", port
            )
            self.readers.append(reader)
            self.seen[reader], self.late[reader] = [], []
        await self.until(lambda: self.answers == before + count)
        for reader in self.readers[-count:]:
            reader.transport.write(masked(FOLLOW))
        await self.until(lambda: self.answers == before + 2 * count)

    def told(self, reader: Reader, frame: bytes, now: float) -> None:
        place = frame.find(b'"number ')
        if place < 0:
            self.answers += b'"result"' in frame
        else:
            number = int(frame[place + 8 : place + 16])
            self.seen[reader].append(number)
            self.late[reader].append(now - self.sent_at.get(number, now))
            self.arrived += 1
            self.frame = frame
        self._changed.set()

    async def until(self, true: Any, seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    def check(self, *, without: int = -1) -> None:
        """Nobody has missed anything, and nobody has heard anything twice or in another order than the others."""
        expected = list(range(len(self.sent_at)))
        if self.mixed:
            expected = self.seen[self.readers[0]]
            assert sorted(expected) == list(range(len(self.sent_at))), "something is missing"
        for place, reader in enumerate(self.readers[:READERS]):
            assert place == without or self.seen[reader] == expected, f"reader {place} has a gap"

    def close(self) -> None:
        for reader in self.readers:
            reader.transport.abort()


class Sender(Socket):
    TEXT = "a broadcast of some length, as people write them to all"

    def broadcast(self, crowd: Crowd, text: str = TEXT) -> None:
        number = len(crowd.sent_at)
        crowd.sent_at[number] = time.perf_counter()
        self.ask("messages.send", to="all", text=f"number {number:08} {text}", mode="silent")

    def post(self, crowd: Crowd) -> None:
        """A broadcast whose answer nobody waits for."""
        number = len(crowd.sent_at)
        crowd.sent_at[number] = time.perf_counter()
        params = {"to": "all", "text": f"number {number:08} {self.TEXT}", "mode": "silent"}
        self.send(json.dumps({"jsonrpc": "2.0", "method": "messages.send", "params": params}).encode())


@asynccontextmanager
async def bare(count: int) -> AsyncIterator[tuple[Any, int]]:
    """aiohttp alone, in a process of its own."""
    server = subprocess.Popen(
        [sys.executable, __file__, "--bare", str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    try:
        yield server, int(server.stdout.readline())
    finally:
        server.kill()
        server.communicate()


async def serve_bare(count: int) -> None:
    """Sends what it reads on standard input to every connection, and says when it has."""
    from aiohttp import web

    everybody: list[web.WebSocketResponse] = []

    async def enter(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        everybody.append(socket)
        async for _ in socket:
            await socket.send_str('{"result":{}}')
        return socket

    app = web.Application()
    app.router.add_get("/ws", enter)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        text = line.rstrip("\n")
        for socket in everybody:
            await socket.send_str(text)


async def broadcasts(table: kit.Table, hub: Any, count: int) -> None:
    port, crowd = hub.told["port"], Crowd()
    await crowd.join(port, READERS, "r")
    sender = Sender(port, "sender")
    await several(crowd, lambda number: sender.broadcast(crowd), 20)
    before, arrived = kit.cpu(hub.pid), crowd.arrived
    begun = time.perf_counter()
    await several(crowd, lambda number: sender.broadcast(crowd), count)
    took = time.perf_counter() - begun
    ours = (kit.cpu(hub.pid) - before) / (crowd.arrived - arrived)
    late = sorted(one for each in crowd.late.values() for one in each)
    frame = crowd.frame
    senders = [Sender(port, f"sender-{number}") for number in range(SENDERS)]
    before, arrived = kit.cpu(hub.pid), crowd.arrived
    for _ in range(count // SENDERS + 1):
        for each in senders:
            each.post(crowd)
        await crowd.until(lambda: crowd.arrived >= len(crowd.sent_at) * READERS)
    together = (kit.cpu(hub.pid) - before) / (crowd.arrived - arrived)
    crowd.mixed = True
    crowd.check()
    crowd.close()
    async with bare(READERS) as (server, bare_port):
        crowd = Crowd()
        await crowd.join(bare_port, READERS, "r")

        def tell(number: int) -> None:
            crowd.sent_at[len(crowd.sent_at)] = time.perf_counter()
            place = frame.find(b'"number ')
            text = frame[: place + 8] + b"%08d" % (len(crowd.sent_at) - 1) + frame[place + 16 :]
            server.stdin.write(text.rstrip(b"\n") + b"\n")
            server.stdin.flush()

        await several(crowd, tell, 20)
        before, arrived = kit.cpu(server.pid), crowd.arrived
        await several(crowd, tell, count)
        theirs = (kit.cpu(server.pid) - before) / (crowd.arrived - arrived)
        crowd.check()
        crowd.close()
    table.row(f"CPU per delivery, {READERS} readers, one broadcast at a time", ours * 1e6, "us", most=8)
    table.row(f"CPU per delivery, {SENDERS} senders at once", together * 1e6, "us", most=8)
    table.row("aiohttp alone, the same frame", theirs * 1e6, "us", note=f"{len(frame)} bytes")
    table.row("hub : aiohttp", ours / theirs, "", most=2)
    table.row("broadcasts a second, one at a time", count / took, "1/s")
    table.row("latency p50", late[len(late) // 2] * 1e3, "ms")
    table.row("latency p99", late[len(late) * 99 // 100] * 1e3, "ms")


async def several(crowd: Crowd, tell: Any, count: int) -> None:
    """One broadcast after the other, each when all have had the one before."""
    for number in range(count):
        tell(number)
        await crowd.until(lambda: crowd.arrived >= len(crowd.sent_at) * READERS)


def direct(table: kit.Table, count: int) -> None:
    """A message to one: alone, and with 500 others connected and following, in turns."""
    with kit.hub() as alone, kit.hub() as many:
        pairs = [(hub, Socket(hub.told["port"], "ann"), Socket(hub.told["port"], "bob")) for hub in (alone, many)]
        for _, ann, bob in pairs:
            bob.ask("agents.here")
            bob.ask("events.follow", mine=True)
            ann.ask("messages.send", to="bob", text="first", mode="silent")
        others = [Socket(many.told["port"], f"other-{number}") for number in range(OTHERS)]
        for other in others:
            other.ask("agents.here")
            other.ask("events.follow", mine=True)
        costs: list[list[float]] = [[], []]
        for _ in range(5):
            for place, (hub, ann, _) in enumerate(pairs):
                before = kit.cpu(hub.pid)
                for number in range(count):
                    ann.ask("messages.send", to="bob", text=f"message {number}", mode="silent")
                costs[place].append((kit.cpu(hub.pid) - before) / count)
        two, crowded = (statistics.median(each) for each in costs)
        ratio = statistics.median(c / t for t, c in zip(*costs, strict=True))
    table.row("a message, 2 connected", two * 1e6, "us")
    table.row(f"a message, {OTHERS} others connected", crowded * 1e6, "us")
    table.row("with : without the others, median of 5", ratio, "", most=1.25)


async def stalled(table: kit.Table, hub: Any, count: int) -> None:
    """One reader takes nothing; the others must not notice, and it must have everything in the end."""
    port, crowd = hub.told["port"], Crowd()
    await crowd.join(port, READERS, "r")
    sender = Sender(port, "sender")
    text = "x" * 4000
    await paced(crowd, sender, count, text, READERS)
    calm = p99(crowd, 0, count)
    lazy = crowd.readers[0]
    lazy.transport.pause_reading()
    await paced(crowd, sender, count, text, READERS - 1)
    stalled_p99 = p99(crowd, count, 2 * count, without=lazy)
    lazy.transport.resume_reading()
    begun = time.perf_counter()
    await crowd.until(lambda: lazy.lost or len(crowd.seen[lazy]) == 2 * count)
    dropped = lazy.lost
    if dropped:
        await again(crowd, lazy, port)
    took = time.perf_counter() - begun
    assert crowd.seen[lazy] == list(range(2 * count)), "the one that stalled has a gap"
    crowd.check(without=0)
    crowd.close()
    table.row("p99 of the others, nobody stalls", calm * 1e3, "ms")
    table.row("p99 of the others, one stalls", stalled_p99 * 1e3, "ms")
    table.row("with : without", stalled_p99 / calm, "", most=2)
    how = "dropped, came again by cursor" if dropped else "fell back to the log"
    table.row("until it had everything", took, "s", note=how)


async def again(crowd: Crowd, lazy: Reader, port: int) -> None:
    """Follow anew from the beginning; what was heard before counts once."""
    crowd.seen[lazy].clear()
    follow = FOLLOW.replace(b'"mine"', b'"after":0,"mine"')
    hello, seen = handshake(port, "/ws?from=r-0&workspace=house"), crowd.seen[lazy]

    def told(reader: Reader, frame: bytes, now: float) -> None:
        crowd.told(lazy, frame, now)

    await asyncio.get_running_loop().create_connection(lambda: Reader(hello, follow, told), "127.0.0.1", port)
    await crowd.until(lambda: len(seen) == len(crowd.sent_at))


async def paced(crowd: Crowd, sender: Sender, count: int, text: str, readers: int) -> None:
    for _ in range(count):
        expected = crowd.arrived + readers
        sender.broadcast(crowd, text)
        await crowd.until(lambda expected=expected: crowd.arrived >= expected)


def p99(crowd: Crowd, first: int, last: int, without: Reader | None = None) -> float:
    late = sorted(one for reader, each in crowd.late.items() if reader is not without for one in each[first:last])
    return late[len(late) * 99 // 100]


def main() -> int:
    if sys.argv[1:2] == ["--bare"]:
        asyncio.run(serve_bare(int(sys.argv[2])))
        return 0
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    table = kit.Table("Telling many")
    with kit.hub() as hub:
        asyncio.run(broadcasts(table, hub, count))
    direct(table, 3 * count)
    with kit.hub() as hub:
        asyncio.run(stalled(table, hub, count))
    return 1 if table.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
