"""Reading tables that follow the log: whoever asks reads what was stored when it asked."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from synapse.errors import SynapseError, Unavailable
from synapse.event import Event
from synapse.follower import Follower, Table
from synapse.hub.loop import Hub
from synapse.hub.recovery import events_of

BEHIND = 5.0  # seconds that a question waits for its tables


class Tables:
    """The cache file's follower, and the questions that wait for it."""

    def __init__(self, hub: Hub, path: Path, tables: Iterable[Table]) -> None:
        self._hub = hub
        self._waiting: dict[asyncio.Future[None], tuple[tuple[str, ...], int]] = {}
        self._follower = Follower(path, tables, self._read, self._progress)
        self._unfollow = hub.log.follow(self._follower.follow_to)
        self._follower.follow_to(hub.log.head())

    @property
    def failures(self) -> dict[str, str]:
        return self._follower.failures

    async def fetch(self, names: tuple[str, ...], position: int, read: Callable[[Any], Any]) -> Any:
        """What `read(connection)` gives on a reader's thread, once the tables have come as far as `position`."""
        if not self._level(names, position):
            level: asyncio.Future[None] = self._hub.loop.create_future()
            self._waiting[level] = (names, position)
            try:
                await asyncio.wait_for(level, BEHIND)
            except TimeoutError:
                raise Unavailable("tables_behind", "The tables are being filled: try again in a moment.") from None
            finally:
                self._waiting.pop(level, None)
            self._level(names, position)
        return await self._hub.loop.run_in_executor(self._hub.readers, self._look, read)

    def _look(self, read: Callable[[Any], Any]) -> Any:
        with self._follower.reading() as connection:
            return read(connection)

    def _level(self, names: tuple[str, ...], position: int) -> bool:
        return all(self._follower.reached(name) >= position for name in names)

    def _read(self, after: int, records: int, kinds: frozenset[str]) -> tuple[list[Event], int]:
        """On the follower's thread: a page of the log."""
        log = self._hub.log
        head = log.head()
        found = list(log.read(after, limit=records, kinds=kinds, until=head))
        events = [event for record in found for event in events_of(self._hub, record)]
        return events, found[-1].position if len(found) == records else head

    def _progress(self) -> None:
        """On the follower's thread."""
        self._hub.loop.call_soon_threadsafe(self._progressed)

    def _progressed(self) -> None:
        for level, (names, position) in list(self._waiting.items()):
            try:
                ready = self._level(names, position)
            except SynapseError:
                ready = True  # it stands still: whoever waits will be told
            if ready and not level.done():
                level.set_result(None)

    def close(self) -> None:
        self._unfollow()
        self._follower.close()
