"""Retention: finished tasks that are too old, or too much, are forgotten with everything that belongs to them.

What is forgotten is first an event, and then taken out of the log's file; after a crash in between, the next start does
the rest. A blob goes when no event names it any more, and it was not stored a moment ago. Letters on disk go with their
message, or when their hour is over; the terminals of agents that ended go by the same bound of days.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec

from synapse import ids, settings
from synapse.errors import BadRequest, NotFound, Refused, SynapseError, Unavailable
from synapse.hub.agents import Agents
from synapse.hub.forgetting import (
    DAY,
    MEGABYTE,
    Bounds,
    ForgetReply,
    ForgetRequest,
    Forgotten,
    Old,
    forget,
    free,
    oldest,
    total,
    unnamed,
)
from synapse.hub.leftovers import letters_of, screens, sweep_letters
from synapse.hub.loop import STOPPING, Call, Hub
from synapse.hub.sessions import Session
from synapse.log.base import AppendFailed
from synapse.verb import Change, Permission, Reply, Verb, Wait, change, wait

logger = logging.getLogger(__name__)
Found = TypeVar("Found")
FIRST = 600.0  # seconds from the start of a hub until it looks for the first time
REMEMBERED = 20  # works that were asked for
TOPIC = "history.cleaned"
FRESH = 3600.0  # seconds in which a blob that nothing names may still be meant for a message


class Choices(NamedTuple):
    """What the person has chosen: are texts searched, and for how long and how much is kept (0: no bound)?"""

    enabled: bool = True
    keep_days: float = 0.0
    max_size_mb: float = 0.0


def chosen() -> Choices:
    """The choices; where the settings are wrong, everything is kept. Reads files: not for the loop."""
    try:
        values = [settings.value(f"history.{name}") for name in ("enabled", "keep_days", "max_size_mb")]
    except BadRequest as error:
        logger.warning("the settings of the history are not used: %s", error)
        return Choices()
    enabled, days, size = values
    assert isinstance(days, float)
    assert isinstance(size, float)
    return Choices(bool(enabled), days, size)


class Report(Reply, kw_only=True, omit_defaults=False):
    """What was forgotten (with `dry_run`: what would be), and what is left. `kept` counts tasks that fit, but whose answer
    still lies unread in a box; `letters` are the files of long texts and attachments, `screens` the terminals of agents that
    ended, both on disk."""

    dry_run: bool = False
    tasks: int = 0
    events: int = 0
    blobs: int = 0
    letters: int = 0
    screens: int = 0
    bytes: int = 0
    kept: int = 0
    left: int = 0
    left_bytes: int = 0


class CleanupRequest(Change, kw_only=True):
    """Forget finished tasks that ended more than `days` ago, or the oldest until all take `max_size_mb` at most; without
    both, what the settings say. `dry_run`: only find out what would go."""

    days: float | None = None
    max_size_mb: float | None = None
    dry_run: bool = False


class CleanupReply(Reply, kw_only=True, omit_defaults=False):
    """`work` is what `history.cleaned` tells about."""

    work: str


@change("history.cleanup", Permission.PERSON, anonymous=True)
def cleanup(call: Call, request: CleanupRequest) -> CleanupReply:
    """Begin to forget old finished tasks for ever; `history.cleaned` says what was freed."""
    for bound in (request.days, request.max_size_mb):
        if bound is not None and not 0 <= bound <= 1e9:
            raise BadRequest("bad_bound", "days and max_size_mb: 0 or more.")
    bounds = Bounds(request.days, request.max_size_mb)
    return CleanupReply(work=call.hub.retention.begin(bounds, dry_run=request.dry_run))


class CleanedRequest(Wait, kw_only=True):
    """`work` is what `history.cleanup` answered."""

    work: str


@wait("history.cleaned", lambda call, request: (TOPIC,))
def cleaned(call: Call, request: CleanedRequest) -> Report | None:
    """Wait until old tasks are forgotten: what went, and what is left."""
    return call.hub.retention.report(request.work)


class Retention:
    """Forgets by the settings once a day, and when somebody asks: one work after the other."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._session = Session(key="hub", system=True)
        self._timer: asyncio.TimerHandle | None = None
        self._works: dict[str, asyncio.Task[Report]] = {}  # those of the last that were asked for
        self._newest: asyncio.Task[Report] | None = None

    def start(self) -> None:
        """Finish what a crash has left half done, and look once a day."""
        self._add(self._finish())
        self._timer = self._hub.loop.call_later(FIRST, self.look)

    def look(self) -> None:
        """Forget what the settings say; once more in a day."""
        self._add(self._by_settings())
        self._timer = self._hub.loop.call_later(DAY, self.look)

    def begin(self, bounds: Bounds, *, dry_run: bool) -> str:
        """Have it done behind what is being done; its name."""
        if sum(not work.done() for work in self._works.values()) >= REMEMBERED:
            raise Refused("busy", "The history is being cleaned up already: ask again in a moment.")
        id = "w-" + ids.ulid(self._hub.clock.now())
        self._works[id] = self._add(self._asked(bounds, dry_run=dry_run))
        while len(self._works) > REMEMBERED:
            del self._works[next(iter(self._works))]
        return id

    def report(self, id: str) -> Report | None:
        """What became of a work that was asked for; None while it goes on."""
        work = self._works.get(id)
        if work is None:
            raise NotFound("no_such_work", f"Nothing is known of {id[:80]!r} (any more): `synapse history cleanup`.")
        if work.cancelled():
            raise STOPPING
        return work.result() if work.done() else None

    def _add(self, work: Coroutine[Any, Any, Report]) -> "asyncio.Task[Report]":
        self._newest = self._hub.loop.create_task(self._behind(self._newest, work))
        self._newest.add_done_callback(lambda done: work.close())  # called off before it began, nobody awaits it
        self._newest.add_done_callback(self._over)
        return self._newest

    async def _behind(self, other: "asyncio.Task[Report] | None", work: Coroutine[Any, Any, Report]) -> Report:
        try:
            if other is not None:
                await asyncio.wait([other])
        except asyncio.CancelledError:
            work.close()
            raise
        return await work

    def _over(self, work: "asyncio.Task[Report]") -> None:
        self._hub.touch(TOPIC)
        error = None if work.cancelled() else work.exception()
        if error is not None and not isinstance(error, BadRequest):
            logger.error("the history could not be cleaned up: %s", error, exc_info=_bug(error))

    async def _finish(self) -> Report:
        stories = self._hub.state.get(Forgotten).stories
        letters = await self._sweep()
        return Report(events=await self._write(lambda log: log.forget(stories)) if stories else 0, letters=letters)

    async def _by_settings(self) -> Report:
        bounds = await asyncio.to_thread(_chosen_bounds)
        return await self._forget(bounds, dry_run=False) if bounds.any else Report(letters=await self._sweep())

    async def _asked(self, bounds: Bounds, *, dry_run: bool) -> Report:
        bounds = bounds if bounds.any else await asyncio.to_thread(_chosen_bounds)
        if not bounds.any:
            raise BadRequest(
                "no_bound", "Say what goes: `days` (--days) or `max_size_mb` (--max-size). The settings history.keep_days and "
                "history.max_size_mb keep everything."
            )  # fmt: skip
        return await self._forget(bounds, dry_run=dry_run)

    async def _forget(self, bounds: Bounds, *, dry_run: bool) -> Report:
        now, report = self._hub.clock.now(), Report(dry_run=dry_run)
        if not dry_run:
            report.letters = await self._sweep()
        there = await self._read(total)
        ended = now - bounds.days * DAY if bounds.days is not None else -1.0
        over = there.size - bounds.megabytes * MEGABYTE if bounds.megabytes is not None else 0
        olds = await self._read(lambda db: oldest(db, 0, ended, over))
        while olds:
            await self._take(olds, report, dry_run=dry_run)
            olds = await self._read(partial(oldest, after=olds[-1].changed, ended=ended, over=over - report.bytes))
        if bounds.days is not None:
            living = {agent.key for agent in self._hub.state.get(Agents)}
            take = partial(screens, self._hub.place.data, living, ended, dry_run=dry_run)
            report.screens = await asyncio.to_thread(take)
        if not dry_run:
            there = await self._read(total)
            report.blobs = await self._drop_blobs()
            logger.info("%s tasks were forgotten: %s events, %s blobs", report.tasks, report.events, report.blobs)
        report.left = there.tasks - (report.tasks if dry_run else 0)
        report.left_bytes = there.size - (report.bytes if dry_run else 0)
        return report

    async def _sweep(self) -> int:
        """Take away the letters whose hour is over."""
        return await asyncio.to_thread(sweep_letters, self._hub.place.data, self._hub.clock.now())

    async def _read(self, read: Callable[[Any], Found]) -> Found:
        """What the tables say."""
        tables = self._hub.tables
        if tables is None:
            raise Unavailable("no_tables", "This hub keeps no tables: it was given no file for them.")
        found: Found = await tables.fetch(("tasks",), self._hub.outbox.committed, read)
        return found

    async def _take(self, olds: list[Old], report: Report, *, dry_run: bool) -> None:
        """Forget these, and add to the report."""
        request = ForgetRequest(tasks={old.task: old.stories for old in olds})
        if dry_run:
            gone = ForgetReply(tasks=tuple(free(self._hub, request)), stories=())
        else:
            gone = msgspec.json.decode(await self._hub.do(self._session, forget, request), type=ForgetReply)
        if gone.stories:
            report.events += await self._write(lambda log: log.forget(gone.stories))
        went = set(gone.tasks)
        stories = {story for old in olds if old.task in went for story in (old.task, *old.stories)}
        if stories:
            take = partial(letters_of, self._hub.place.data, stories, dry_run=dry_run)
            report.letters += await asyncio.to_thread(take)
        report.tasks += len(went)
        report.bytes += sum(old.size for old in olds if old.task in went)
        report.kept += len(olds) - len(went)

    async def _drop_blobs(self) -> int:
        """Of the blobs that nothing names, those that were not stored a moment ago. It also cuts what the file has spare."""
        hub = self._hub
        orphans: set[str] = await hub.loop.run_in_executor(hub.readers, unnamed, hub.log)
        while hub.storing:
            await self._write(lambda log: 0)  # those that come before it are done, and told
        before = hub.clock.monotonic() - FRESH
        hub.fresh_blobs = {sum: at for sum, at in hub.fresh_blobs.items() if at > before}
        return await self._write(lambda log: log.drop_blobs(orphans - hub.fresh_blobs.keys()))

    async def _write(self, job: Any) -> int:
        try:
            found: int = await asyncio.wrap_future(self._hub.writer.run(job))
        except AppendFailed as error:
            raise Unavailable("storage_unavailable", f"Not all could be taken out of the file: {error}.") from error
        return found

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        works = {*self._works.values(), self._newest} - {None}
        for work in works:
            assert work is not None
            work.cancel()
        if self._newest is not None:
            await asyncio.wait([self._newest])


def _chosen_bounds() -> Bounds:
    found = chosen()
    return Bounds(found.keep_days or None, found.max_size_mb or None)


def _bug(error: BaseException) -> BaseException | None:
    """What is worth a traceback."""
    return None if isinstance(error, SynapseError) else error


VERBS: tuple[Verb, ...] = (cleanup, cleaned)
