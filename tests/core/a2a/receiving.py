"""A receiver of calls on this machine, which does with them what a test wants."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

BOUND = 15.0


class Received:
    """One call: its path, headers and body."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = body
        self.at = time.monotonic()
        self.json: Any = json.loads(body)

    @property
    def state(self) -> str:
        """The state that a push tells of; what else it tells by its name."""
        update = self.json.get("statusUpdate")
        return str(update["status"]["state"]) if update else next(iter(self.json))


class Receiver:
    """A server that keeps what it is sent. `answers` gives, by path, what it does with each call in turn."""

    def __init__(self) -> None:
        self.calls: list[Received] = []
        self._by_path: dict[str, list[Received]] = {}
        self.answers: dict[str, Callable[[int], int | float]] = {}  # a status, or seconds (a float) to keep silent
        self.headers: dict[str, dict[str, str]] = {}  # by path, what its answers carry
        self.now: dict[str, int] = {}
        self.most: dict[str, int] = {}  # how many calls of a path were there at once
        app = web.Application()
        app.router.add_post("/{path:.*}", self._answer)
        self._server = TestServer(app, host="127.0.0.1", handler_cancellation=True)

    async def open(self) -> "Receiver":
        await self._server.start_server()
        return self

    async def close(self) -> None:
        await self._server.close()

    def url(self, path: str) -> str:
        return f"http://localhost:{self._server.port}{path}"

    async def _answer(self, request: web.Request) -> web.Response:
        path, number = request.path, len(self.of(request.path))
        call = Received(path, dict(request.headers), await request.read())
        self.calls.append(call)
        self._by_path.setdefault(path, []).append(call)
        self.now[path] = self.now.get(path, 0) + 1
        self.most[path] = max(self.most.get(path, 0), self.now[path])
        try:
            answer = self.answers[path](number) if path in self.answers else 200
            if isinstance(answer, float):
                await asyncio.sleep(answer)
                answer = 200
            return web.Response(status=answer, headers=self.headers.get(path))
        finally:
            self.now[path] -= 1

    def of(self, path: str) -> list[Received]:
        """The calls of a path so far."""
        return self._by_path.get(path, [])

    async def until(self, count: int, path: str) -> list[Received]:
        """The calls of a path, when there are so many."""

        async def enough() -> list[Received]:
            while len(self.of(path)) < count:
                await asyncio.sleep(0.002)
            return self.of(path)

        return await asyncio.wait_for(enough(), BOUND)
