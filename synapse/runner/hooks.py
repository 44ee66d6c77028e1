"""The door by which a program's hooks report to its runner: a name, a line feed, JSON; closed once that was heard."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synapse.client.hook import MOST
from synapse.client.lines import loads
from synapse.runner.door import Door

logger = logging.getLogger(__name__)

WITHIN = 5.0  # seconds for a report to come in whole


class Hooks:
    """Listens at `path`; `on_report(event, fields)` is called for each report, in the order in which they end."""

    def __init__(self, path: Path, on_report: Callable[[str, dict[str, Any]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._door = Door(path, self._loop, lambda: _Report(self._loop, on_report))

    async def open(self) -> None:
        await self._door.open()

    async def ensure(self) -> None:
        """Listen again if the file is gone."""
        await self._door.ensure()

    def close(self) -> None:
        self._door.close()


class _Report(asyncio.Protocol):
    """One report on its way in."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_report: Callable[[str, dict[str, Any]], None]) -> None:
        self._on_report = on_report
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._late = self._loop.call_later(WITHIN, transport.abort)

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > MOST + 4096:
            self._parts.clear()
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self._late is not None:
            self._late.cancel()
        name, line_end, content = b"".join(self._parts).partition(b"\n")
        if line_end and error is None:
            self._on_report(name.decode("utf-8", "replace"), fields(content))


def fields(content: bytes) -> dict[str, Any]:
    """The fields of a report; none when it is not a JSON object."""
    try:
        found = loads(content) if content.strip() else {}
    except (ValueError, RecursionError):
        logger.warning("a hook's report is not JSON: %r", content[:200])
        return {}
    return found if isinstance(found, dict) else {}
