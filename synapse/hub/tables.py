"""Reading tables that follow the log: whoever asks reads what was stored when it asked."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from synapse.errors import SynapseError, Unavailable
from synapse.event import Event
from synapse.follower import Follower, Page, Table
from synapse.hub.loop import STOPPING, Hub
from synapse.hub.recovery import events_of

BEHIND = 5.0  # seconds that a question waits for its tables
BYTES = 4 << 20  # of bodies in one page: one transaction of a table, and what is in memory for it


class Tables:
    """The cache file's follower, and the questions that wait for it. It is woken only by events that a table wants.

    A table may say by `wakes` that only these of its kinds wake it: what else it wants comes together with one of them.
    """

    def __init__(self, hub: Hub, path: Path, tables: Iterable[Table]) -> None:
        self._hub = hub
        self._kinds = {table.name: getattr(table, "wakes", table.kinds) for table in tables}
        self._wanted = frozenset[str]().union(*self._kinds.values())
        self._newest = dict.fromkeys(self._kinds, hub.log.head())  # how far each must come, to be level
        self._waiting: dict[asyncio.Future[None], dict[str, int]] = {}
        self._follower = Follower(path, tables, _Source(hub), self._progress)
        self._follower.follow_to(hub.log.head())
        hub.on_publish.append(self._published)

    @property
    def failures(self) -> dict[str, str]:
        return self._follower.failures

    def _published(self, position: int, events: list[Event]) -> None:
        kinds = {event.kind for event in events} & self._wanted
        if kinds:
            self._newest.update({name: position for name, wanted in self._kinds.items() if wanted & kinds})
            self._follower.follow_to(position)

    async def fetch(self, names: tuple[str, ...], position: int, read: Callable[[Any], Any]) -> Any:
        """What `read(connection)` gives on a reader's thread, once the tables hold everything up to `position`."""
        needed = {name: min(self._newest[name], position) for name in names}
        if not self._level(needed):
            level: asyncio.Future[None] = self._hub.loop.create_future()
            self._waiting[level] = needed
            self._follower.hurry()
            try:
                await asyncio.wait_for(level, BEHIND)
            except TimeoutError:
                raise Unavailable("tables_behind", "The tables are being filled: try again in a moment.") from None
            finally:
                self._waiting.pop(level, None)
            self._level(needed)
        return await self._hub.loop.run_in_executor(self._hub.readers, self._look, read)

    def _look(self, read: Callable[[Any], Any]) -> Any:
        with self._follower.reading() as connection:
            return read(connection)

    def _level(self, needed: dict[str, int]) -> bool:
        return all([self._follower.reached(name) >= position for name, position in needed.items()])

    def _progress(self) -> None:
        """On the follower's thread."""
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            self._hub.loop.call_soon_threadsafe(self._progressed)

    def _progressed(self) -> None:
        for level, needed in list(self._waiting.items()):
            try:
                ready = self._level(needed)
            except SynapseError:
                ready = True  # it stands still: whoever waits will be told
            if ready and not level.done():
                level.set_result(None)

    def stop(self) -> None:
        """Keep nobody waiting."""
        for level in self._waiting:
            if not level.done():
                level.set_exception(STOPPING)

    def close(self) -> None:
        """End the thread; may block for one page."""
        self._follower.close()


class _Source:
    """The log, as a follower reads it on its own thread."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def head(self) -> int:
        return self._hub.log.head()

    def page(self, after: int, records: int, kinds: frozenset[str]) -> Page:
        log = self._hub.log
        head = log.head()
        events: list[Event] = []
        newest, size, count = (0, b""), 0, 0
        for record in log.read(after, limit=records, kinds=kinds, until=head):
            events += events_of(self._hub, record)
            newest, count = (record.position, record.id), count + 1
            size += record.size
            if size > BYTES:
                break
        whole = count < records and size <= BYTES
        return Page(events, head if whole else newest[0], newest)

    def holds(self, position: int, id: bytes) -> bool:
        [*found] = self._hub.log.at([position])
        return not found or found[0].id == id
