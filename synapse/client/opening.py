"""How a program's participant gets to its hub: the local socket of this machine's, or the WebSocket of another's."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from synapse.client.aio import Link, OnFrame
from synapse.errors import SynapseError

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between two attempts to start a hub that does not start

Opener = Callable[[dict[str, Any], OnFrame, Callable[[Any], None]], Awaitable[Link]]


def opener(url: str, token: str, hello: dict[str, Any], *, start: bool) -> Opener:
    """One attempt to be let in, whenever it is called: by the URL, else SYNAPSE_URL, else at the hub of this machine."""
    url = url or os.environ.get("SYNAPSE_URL", "")
    if not url:
        from synapse import paths, settings

        usual = paths.hub_socket(paths.data_folder(), settings.hub_port())
        return Local(os.environ.get("SYNAPSE_SOCKET") or usual, start).open
    from synapse.client import place

    socket, token = place.find(url, token)
    return Local(socket, start).open if socket else _remote(url, token, place.abroad(hello))


def _remote(url: str, token: str, hello: dict[str, Any]) -> Opener:
    async def opened(_: dict[str, Any], on_frame: OnFrame, on_lost: Callable[[Any], None]) -> Link:
        from synapse.client.remote import connect

        return await connect(url, token, hello, on_frame, on_lost)

    return opened


class Local:
    """The hub of this machine: started when there is none, unless it said at its end that none is to follow."""

    def __init__(self, path: str, start: bool) -> None:
        from synapse import paths

        self._path = path
        self._data = paths.data_folder()
        self._start = start and not os.environ.get("SYNAPSE_AGENT_ID")
        self._ended = False  # by somebody's wish
        self._not_before = 0.0  # one that could not be started is not tried again before this time of the loop
        self._pause = FIRST_PAUSE

    async def open(self, hello: dict[str, Any], on_frame: OnFrame, on_lost: Callable[[Any], None]) -> Link:
        from synapse.client.aio import connect

        def heard(method: str, params: dict[str, Any]) -> None:
            if method == "stopping":
                self._ended = not params.get("restart")
            on_frame(method, params)

        try:
            link = await connect(self._path, hello, heard, on_lost)
        except OSError:  # it may be elsewhere, or not run
            link = await connect(await self._found(), hello, heard, on_lost)
        self._ended, self._pause = False, FIRST_PAUSE
        return link

    async def _found(self) -> str:
        """The socket of a hub that answers; after a start that failed none is started for a while."""
        from synapse.client.starting import find_or_start

        now = asyncio.get_running_loop().time
        start = self._start and not self._ended and now() >= self._not_before
        try:
            return await asyncio.to_thread(find_or_start, self._data, self._path, start=start)
        except SynapseError:
            if start:
                self._not_before, self._pause = now() + self._pause, min(2 * self._pause, LONGEST_PAUSE)
            raise
