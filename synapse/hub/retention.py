"""Retention: finished tasks that are too old, or too much, are forgotten with everything that belongs to them.

What is forgotten is first an event, and then taken out of the log's file; after a crash in between, the next start does
the rest. A blob goes when no event names it any more, and it was not stored a moment ago.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, NamedTuple

import msgspec

from synapse import settings
from synapse.errors import BadRequest, Refused, SynapseError, Unavailable
from synapse.hub.forgetting import (
    DAY,
    Bounds,
    ForgetReply,
    ForgetRequest,
    Forgotten,
    Old,
    Plan,
    forget,
    free,
    plan,
    unnamed,
)
from synapse.hub.loop import LONGEST_WAIT, STOPPING, Call, Hub
from synapse.hub.sessions import Session
from synapse.log.base import AppendFailed
from synapse.verb import Permission, Reply, Verb, Wait, wait

logger = logging.getLogger(__name__)
FIRST = 600.0  # seconds from the start of a hub until it looks for the first time
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
    still lies unread in a box."""

    dry_run: bool = False
    tasks: int = 0
    events: int = 0
    blobs: int = 0
    bytes: int = 0
    kept: int = 0
    left: int = 0
    left_bytes: int = 0


class CleanupRequest(Wait, kw_only=True):
    """Forget finished tasks that ended more than `days` ago, or the oldest until all take `max_size_mb` at most; without
    both, what the settings say. `dry_run`: only tell what would go. Ask again with the same when the answer is `pending`."""

    days: float | None = None
    max_size_mb: float | None = None
    dry_run: bool = False


@wait("history.cleanup", lambda call, request: ("history.cleanup",), Permission.PERSON)
def cleanup(call: Call, request: CleanupRequest) -> Report | None:
    """Forget old finished tasks for ever, and say what was freed."""
    for bound in (request.days, request.max_size_mb):
        if bound is not None and not 0 <= bound <= 1e9:
            raise BadRequest("bad_bound", "days and max_size_mb: 0 or more.")
    return call.hub.retention.asked(Bounds(request.days, request.max_size_mb), dry_run=request.dry_run)


class Retention:
    """Forgets by the settings once a day, and when somebody asks; one such work at a time."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._session = Session(key="hub", system=True)
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._work: asyncio.Task[Report] | None = None
        self._asked: tuple[Bounds, bool] | None = None  # whose work it is; None: the hub's own
        self._ended = 0.0  # when it was done (monotonic seconds)

    def start(self) -> None:
        """Finish what a crash has left half done, and look once a day."""
        self._begin(self._finish())
        self._again(FIRST)

    def _begin(self, work: Coroutine[Any, Any, Report], asked: tuple[Bounds, bool] | None = None) -> None:
        self._asked = asked
        self._work = self._hub.loop.create_task(work)
        self._work.add_done_callback(self._over)

    def _over(self, work: "asyncio.Task[Report]") -> None:
        self._ended = self._hub.clock.monotonic()
        self._hub.touch("history.cleanup")
        error = None if work.cancelled() else work.exception()
        if error is not None and not isinstance(error, BadRequest):
            logger.error("the history could not be cleaned up: %s", error, exc_info=_bug(error))

    def _again(self, seconds: float) -> None:
        self._timer = self._hub.loop.call_later(seconds, self.look)

    def look(self) -> None:
        """Forget what the settings say."""
        if self._work is None or self._work.done():
            self._begin(self._run(Bounds(None, None), dry_run=False))
        self._again(DAY)

    def asked(self, bounds: Bounds, *, dry_run: bool) -> Report | None:
        """What became of it; None while it goes on. Who asks first begins it."""
        work, mine = self._work, self._asked == (bounds, dry_run)
        if self._closed:
            raise STOPPING
        if work is not None and not work.done():
            if self._asked is not None and not mine:
                raise Refused("busy", "The history is being cleaned up already: ask again in a moment.")
            return None
        if work is not None and mine and self._hub.clock.monotonic() - self._ended < LONGEST_WAIT:
            self._work = self._asked = None
            return work.result()
        self._begin(self._run(bounds, dry_run=dry_run), (bounds, dry_run))
        return None

    async def _finish(self) -> Report:
        stories = self._hub.state.get(Forgotten).stories
        return Report(events=await self._write(lambda log: log.forget(stories)) if stories else 0)

    async def _run(self, bounds: Bounds, *, dry_run: bool) -> Report:
        if not bounds.any:
            found = await asyncio.to_thread(chosen)
            bounds = Bounds(found.keep_days or None, found.max_size_mb or None)
        if not bounds.any:
            if self._asked is None:
                return Report()
            raise BadRequest(
                "no_bound", "Say what goes: `days` or `max_size_mb` (the settings history.keep_days and "
                "history.max_size_mb keep everything)."
            )  # fmt: skip
        return await self._forget(bounds, dry_run=dry_run)

    async def _forget(self, bounds: Bounds, *, dry_run: bool) -> Report:
        report = Report(dry_run=dry_run)
        plan = await self._next(bounds, 0, 0)
        while plan.old:
            await self._take(plan.old, report, dry_run=dry_run)
            plan = await self._next(bounds, plan.old[-1].changed, report.bytes if dry_run else 0)
        report.left = plan.tasks - (report.tasks if dry_run else 0)
        report.left_bytes = plan.size - (report.bytes if dry_run else 0)
        if report.tasks and not dry_run:
            report.blobs = await self._drop_blobs()
            logger.info("%s tasks were forgotten: %s events, %s blobs", report.tasks, report.events, report.blobs)
        return report

    async def _next(self, bounds: Bounds, after: int, counted: int) -> Plan:
        """What is to go next, behind an address."""
        hub, now = self._hub, self._hub.clock.now()
        if hub.tables is None:
            raise Unavailable("no_tables", "This hub keeps no tables: it was given no file for them.")
        found: Plan = await hub.tables.fetch(
            ("tasks",), hub.outbox.committed, lambda db: plan(db, bounds, now, after, counted)
        )
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
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])


def _bug(error: BaseException) -> BaseException | None:
    """What is worth a traceback."""
    return None if isinstance(error, SynapseError) else error


VERBS: tuple[Verb, ...] = (cleanup,)
