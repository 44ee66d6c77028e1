"""A hub's server inside the test's own loop, with a short folder of its own and peers at its local door."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from synapse.server.app import Options, Server
from synapse.server.connection import Connection


class Peer:
    """The other end of the local socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.told: list[dict[str, Any]] = []  # notifications on the way
        self.connection: Connection  # its other end

    def send(self, content: bytes) -> None:
        self.writer.write(content)

    def request(self, method: str, id: Any = 1, **params: Any) -> None:
        self.send(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode() + b"\n")

    async def frame(self) -> dict[str, Any]:
        """The next frame; {} at the end of the connection."""
        try:
            line = await asyncio.wait_for(self.reader.readline(), 10)
        except ConnectionError:
            return {}
        found: dict[str, Any] = json.loads(line) if line else {}
        return found

    async def ask(self, method: str, id: Any = 1, **params: Any) -> dict[str, Any]:
        self.request(method, id, **params)
        while True:
            frame = await self.frame()
            if not frame or frame.get("id") == id:
                return frame
            self.told.append(frame)

    async def hello(self, **params: Any) -> dict[str, Any]:
        return await self.ask("hello", "hello", **{"user": "ada", "workspace": "house", **params})

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass  # the hub was first


class House:
    """A running server, and who is at its door."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.path = server.door.path
        self._peers: list[Peer] = []

    async def peer(self) -> Peer:
        """Somebody who has not said anything yet."""
        peer = Peer(*await asyncio.open_unix_connection(self.path, limit=64 << 20))
        self._peers.append(peer)
        return peer

    async def guest(self, **hello: Any) -> Peer:
        """Somebody who has said hello."""
        before = set(self.server.door._inside)
        peer = await self.peer()
        assert "result" in await peer.hello(**hello)
        [peer.connection] = self.server.door._inside - before
        return peer

    async def client(self, name: str) -> Peer:
        """A plain client of that name, who has joined."""
        peer = await self.guest(**{"as": name})
        assert "error" in await peer.ask("messages.send", to="nobody-here", text="a first change")
        return peer

    async def close(self) -> None:
        for peer in self._peers:
            await peer.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder whose path is short enough for a socket."""
    made = Path(tempfile.mkdtemp(prefix="syn-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
async def house(folder: Path) -> AsyncIterator[House]:
    async with Server(Options(str(folder), port=0, rate=0)) as server:
        house = House(server)
        yield house
        await house.close()
