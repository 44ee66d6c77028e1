"""Streams of events that a program serves by HTTP on this machine: listened to as soon as it does."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from urllib.parse import urlsplit

from synapse.runner import picking
from synapse.runner.filling import fill
from synapse.runner.http import Failed, Server, TooLate
from synapse.runner.parts import Stream
from synapse.runner.streams import OnEvent

logger = logging.getLogger(__name__)

LOOK_AGAIN = 0.25  # seconds between attempts while it starts, and after a loss
SELDOM = 5.0  # seconds between attempts when it has not come for a while
STARTS_WITHIN = 60.0
PATIENCE = (1.0, 2.0, 4.0, 8.0)  # seconds for the stream to begin: a starting program may lose who comes too early


def server(url: str, login: str, values: Mapping[str, str]) -> tuple[Server, str] | None:
    """The server and the path that a profile's URL means; None where its placeholders have no values."""
    try:
        url = fill(url, values)
        parts = urlsplit(url)
        return Server.of(url, fill(login, values)), parts.path + (f"?{parts.query}" if parts.query else "")
    except ValueError:
        return None


class Listener:
    """Listens to one stream until it is closed; `on_event(source, event, fields)` for each event."""

    def __init__(self, name: str, stream: Stream, values: Mapping[str, str], on_event: OnEvent) -> None:
        self._name = name
        self._stream = stream
        self._on_event = on_event
        found = server(stream.url, stream.login, values)
        self._task = asyncio.get_running_loop().create_task(self._listen(*found)) if found else None

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _listen(self, server: Server, path: str) -> None:
        loop = asyncio.get_running_loop()
        since, attempt = loop.time(), 0
        while True:
            try:
                async with aclosing(server.events(path, PATIENCE[min(attempt, len(PATIENCE) - 1)])) as events:
                    async for fields in events:
                        since, attempt = loop.time(), 0
                        self._on_event(self._name, picking.text(fields, self._stream.event), fields)
            except TooLate:
                attempt += 1
            except Failed as error:
                logger.debug("%s: %s", self._name, error)
            await asyncio.sleep(LOOK_AGAIN if loop.time() - since < STARTS_WITHIN else SELDOM)
