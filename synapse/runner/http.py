"""A small HTTP client for programs that answer on this machine: a request in JSON, or a stream of events."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from synapse.client.lines import dumps, loads

LOCAL = ("127.0.0.1", "localhost", "::1")
MOST = 8 << 20  # bytes of an answer, or of one event
WITHIN = 3.0  # seconds for an answer


_BROKEN = (OSError, ValueError, EOFError, asyncio.LimitOverrunError)


class Failed(OSError):
    """No answer, or none that can be understood."""


class TooLate(Failed):
    """Somebody is there, and has not answered in time."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a program listens, and the name and password it wants (`NAME:PASSWORD`)."""

    host: str
    port: int
    login: str = ""

    @classmethod
    def of(cls, url: str, login: str = "") -> "Server":
        """The server of a URL; ValueError when it is not on this machine."""
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname not in LOCAL or parts.port is None:
            raise ValueError(f"{url} is no http://127.0.0.1:PORT/PATH")
        return cls(parts.hostname, parts.port, login)

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status and the JSON of an answer; Failed when there is none."""
        try:
            async with asyncio.timeout(WITHIN), self._asked(method, path, body, WITHIN) as answer:
                content = b"".join([piece async for piece in answer.pieces()])
                return answer.status, loads(content) if content.strip() else None
        except _BROKEN as error:
            raise Failed(f"{method} {path}: {error or type(error).__name__}") from None

    async def events(self, path: str, within: float = WITHIN) -> AsyncGenerator[dict[str, Any], None]:
        """The JSON objects of a stream of server-sent events; it ends, or raises Failed, when the connection does.

        `within`: seconds for it to begin.
        """
        try:
            async with self._asked("GET", path, None, within) as answer:
                if answer.status != 200:
                    raise Failed(f"{path}: status {answer.status}")
                async for content in _data(answer.pieces()):
                    try:
                        fields = loads(content)
                    except (ValueError, RecursionError):
                        continue
                    if isinstance(fields, dict):
                        yield fields
        except TimeoutError:
            raise TooLate(f"{path}: no answer in {within:g} s") from None
        except _BROKEN as error:
            raise Failed(f"{path}: {error or type(error).__name__}") from None

    @asynccontextmanager
    async def _asked(self, method: str, path: str, body: Any, within: float) -> "AsyncIterator[_Answer]":
        async with asyncio.timeout(WITHIN):
            reader, writer = await asyncio.open_connection(self.host, self.port, limit=MOST)
        try:
            content = b"" if body is None else dumps(body)
            heads = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", "Connection: close"]
            if self.login:
                heads.append(f"Authorization: Basic {b64encode(self.login.encode()).decode()}")
            if content:
                heads += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
            writer.write("\r\n".join([*heads, "", ""]).encode() + content)
            yield await _Answer.begun(reader, within)
        finally:
            writer.close()


class _Answer:
    """An answer whose head has been read."""

    def __init__(self, reader: asyncio.StreamReader, status: int, heads: dict[str, str]) -> None:
        self.status = status
        self._reader = reader
        self._heads = heads

    @classmethod
    async def begun(cls, reader: asyncio.StreamReader, within: float) -> "_Answer":
        async with asyncio.timeout(within):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = head[0].split(" ")[1:2]
        named = (line.partition(":") for line in head[1:] if line)
        return cls(reader, int("".join(status)), {name.strip().lower(): value.strip() for name, _, value in named})

    async def pieces(self) -> AsyncIterator[bytes]:
        """The content, as it comes."""
        if self._heads.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await self._reader.readline()).split(b";")[0], 16):
                if size > MOST:
                    raise ValueError("a piece is too large")
                yield await self._reader.readexactly(size)
                await self._reader.readline()
        elif "content-length" in self._heads:
            if (size := int(self._heads["content-length"])) > MOST:
                raise ValueError("it is too large")
            yield await self._reader.readexactly(size)
        else:
            while piece := await self._reader.read(65536):
                yield piece


async def _data(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The data of each event in a stream of them."""
    rest, data = b"", list[bytes]()
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > MOST:
            raise ValueError("an event is too large")
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                yield b"\n".join(data)
                data.clear()
