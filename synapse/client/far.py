"""The way of commands to a hub of another machine: its WebSocket, asked one request after the other."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from synapse.client.remote import Socket, connect
from synapse.errors import Unavailable

T = TypeVar("T")


class Far:
    """One connection, already greeted; its loop runs while something is waited for. `welcome` is the hub's answer."""

    def __init__(self, url: str, token: str, hello: dict[str, Any]) -> None:
        self._runner = asyncio.Runner()
        self._came: deque[dict[str, Any]] = deque()
        self._stir = asyncio.Event()
        self._link: Socket | None = None
        try:
            self._link = self._run(lambda: connect(url, token, hello, self._take, self._lost))
        except BaseException:
            self._runner.close()
            raise
        self.welcome = self._link.welcome

    def ask(self, verb: str, params: dict[str, Any], patience: float) -> dict[str, Any]:
        """The reply to a verb, within so many seconds."""

        async def asked() -> dict[str, Any]:
            assert self._link is not None
            async with asyncio.timeout(patience):
                return await self._link.ask(verb, params)

        try:
            return self._run(asked)
        except TimeoutError:
            raise Unavailable("no_answer", f"The hub has not answered for {patience:g} s: is it stopped?") from None

    def notifications(self) -> Iterator[dict[str, Any]]:
        """What the hub sends by itself, until the connection ends."""
        while self._came or (self._link is not None and not self._link.closed):
            if self._came:
                yield self._came.popleft()
                continue
            self._stir.clear()
            self._run(self._stir.wait)

    def close(self) -> None:
        """End it."""
        link, self._link = self._link, None
        if link is None:
            return

        async def ended() -> None:
            link.close()
            await link.wait_closed()

        self._run(ended)
        self._runner.close()

    def _run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self._runner.run(work())

    def _take(self, method: str, params: dict[str, Any]) -> None:
        self._came.append({"method": method, "params": params})
        self._stir.set()

    def _lost(self, link: Any) -> None:
        self._stir.set()
