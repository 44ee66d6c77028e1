"""The core put together: projections, verbs, and what follows a commit."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from synapse import __version__
from synapse.clock import Clock
from synapse.event import Kinds
from synapse.hub import (
    approving,
    attention,
    blobs,
    external,
    external_work,
    forgetting,
    history,
    history_search,
    history_trace,
    inbox,
    joining,
    looking,
    manifest,
    messages,
    offers,
    plugged,
    push,
    reports,
    retention,
    spawning,
    subscriptions,
    talking,
    watching,
    webhooks,
    work,
)
from synapse.hub.agents import Agents
from synapse.hub.background import Backgrounds
from synapse.hub.callbacks import Callbacks
from synapse.hub.delivery import Deliveries
from synapse.hub.external_state import External
from synapse.hub.facts import CORE, HubStarted, HubStopped
from synapse.hub.limits import Limits
from synapse.hub.loop import STOPPING, Call, Hub
from synapse.hub.mailbox import Mailbox
from synapse.hub.notices import Notices
from synapse.hub.offers import Offers
from synapse.hub.plugged import Plugged
from synapse.hub.presence import Presences
from synapse.hub.prompts import Answers, Prompts
from synapse.hub.reactions import Reactions
from synapse.hub.recovery import Level, Recovery
from synapse.hub.rules import Rules
from synapse.hub.secrets import Spent
from synapse.hub.sessions import Session
from synapse.hub.subscriptions import Subscriptions
from synapse.hub.sweeper import Processes, Sweeper
from synapse.hub.tables import Tables
from synapse.hub.tasks import Tasks
from synapse.hub.tasks_table import TasksTable
from synapse.hub.watching import Watching
from synapse.hub.workspaces import Workspaces
from synapse.log.base import Log
from synapse.plugins import Plugin
from synapse.plugins.fitness import fit
from synapse.projection import Projection
from synapse.verb import Change, Reply, Verb, Verbs, change

VERBS: tuple[Verb, ...] = (
    *joining.VERBS,
    *spawning.VERBS,
    *looking.VERBS,
    *attention.VERBS,
    *approving.VERBS,
    *messages.VERBS,
    *inbox.VERBS,
    *reports.VERBS,
    *blobs.VERBS,
    *work.VERBS,
    *talking.VERBS,
    *history.VERBS,
    *history_search.VERBS,
    *history_trace.VERBS,
    *forgetting.VERBS,
    *retention.VERBS,
    *external.VERBS,
    *external_work.VERBS,
    *push.VERBS,
    *webhooks.VERBS,
    *offers.VERBS,
    *manifest.VERBS,
    *subscriptions.VERBS,
    *watching.VERBS,
    *plugged.VERBS,
)


LAST_WORDS = 5.0  # seconds that a stop waits for the disk


class MarkRequest(Change, kw_only=True):
    pid: int = 0


class MarkReply(Reply, kw_only=True):
    position: int


@change("hub.start", internal=True, anonymous=True)
def started(call: Call, request: MarkRequest) -> MarkReply:
    """Take the lease: from here on this hub decides."""
    call.emit(HubStarted(version=__version__, pid=request.pid), "hub")
    return MarkReply(position=call.reached)


@change("hub.stop", internal=True, anonymous=True)
def stopped(call: Call, request: MarkRequest) -> MarkReply:
    """Note an end in order."""
    call.emit(HubStopped(), "hub")
    return MarkReply(position=call.reached)


class Core:
    """A hub with everything of the core around it; `open` it, use `hub`, `close` it."""

    def __init__(
        self,
        log: Log,
        clock: Clock,
        processes: Processes,
        *,
        limits: Limits | None = None,
        retry: float = 1.0,
        plugins: Iterable[Plugin] = (),
        cache: Path | None = None,
    ) -> None:
        self.plugins = tuple(plugins)
        projections: list[Projection] = [
            Workspaces(), Agents(), Tasks(), Mailbox(), Offers(), Prompts(), forgetting.Forgotten(), External(), Callbacks(),
        ]  # fmt: skip
        fit(self.plugins, VERBS, [fact.kind for fact in CORE], [projection.name for projection in projections])
        working = [plugin for plugin in self.plugins if plugin.works]
        projections += [projection for plugin in working for projection in plugin.projections]
        facts = [fact for plugin in working for fact in plugin.facts]
        self.verbs = Verbs(*VERBS, *(verb for plugin in working for verb in plugged.verbs(plugin)))
        self.hub = Hub(
            log, Plugged(projections, working), Kinds(*CORE, *facts), clock, limits=limits, admit=joining.admit
        )
        for name, check in (guard for plugin in working for guard in plugged.guards(plugin)):
            self.hub.guards.setdefault(name, []).append(check)
        self.hub.preparations |= push.preparations(self.hub) | webhooks.preparations(self.hub)
        self._followed = [table for plugin in working for table in plugin.tables]
        self._cache = cache
        self.reactions = Reactions(self.hub, self.verbs, working)
        self.background = Backgrounds(self.hub, self.verbs, working)
        self.hub.place.plugins, self.hub.place.failures = self.plugins, self.failures
        self.hub.subscriptions = Subscriptions(self.hub)
        self.hub.retention = retention.Retention(self.hub)
        self.hub.watching = Watching(self.hub)
        self.recovery = Recovery(self.hub, retry=retry, folded=self._folded, whole=self._whole)
        self.deliveries = Deliveries(self.hub)
        self.answers = Answers(self.hub)
        self.rules = Rules(self.hub)
        self.notices = Notices(self.hub)
        self.spent = Spent(self.hub)
        self.presences = Presences(self.hub)
        self.sweeper = Sweeper(self.hub, processes)
        self._session = Session(key="hub")

    async def open(self, pid: int = 0) -> Level:
        """Get level with the log, take the lease, and answer from now on."""
        self._pid = pid
        level = await self.recovery.load()
        self.hub.texts_kept = (await asyncio.to_thread(retention.chosen)).enabled
        self._follow()
        self.hub.resume()
        self._lease()
        await self.hub.flushed()
        self.sweeper.soon()
        self.reactions.look()
        self.background.start()
        self.hub.retention.start()
        return level

    def _follow(self) -> None:
        """Have the tables filled; those of plugins that are gone are dropped. Without a file there are none."""
        if self._followed and self._cache is None:
            raise ValueError("a plugin has tables: they need a cache file")
        if self._cache is not None:
            own = TasksTable(self.hub.log.blob, texts=self.hub.texts_kept)
            self.hub.tables = Tables(self.hub, self._cache, [own, *self._followed])

    def failures(self) -> dict[str, str]:
        """What is out of order, and why: projections, tables, background work, reactions, plugins that are left out."""
        tables = self.hub.tables.failures if self.hub.tables is not None else {}
        return (
            self.hub.state.broken
            | {f"table {name}": why for name, why in tables.items()}
            | self.background.failures
            | self.reactions.failures
            | {f"plugin {plugin.name}": plugin.failure for plugin in self.plugins if plugin.failure}
        )

    def _lease(self) -> None:
        self.hub.epoch = self.hub.head + 1
        self.hub.decide(self._session, started, MarkRequest(pid=self._pid))

    def _folded(self) -> None:
        """After a new fold nothing may remember what was not stored."""
        for look in self.hub.on_folded:
            look()
        joining.forget_admissions(self.hub)
        for runner in self.hub.sessions.runners():
            runner.offered = set()

    def _whole(self) -> None:
        """The storage takes writes again: the lease may have been lost, and what is owed is looked at anew."""
        if self.hub.epoch > self.hub.head:
            self._lease()
        self.deliveries.look_everywhere()
        self.answers.look_everywhere()
        self.hub.watching.look_everywhere()
        self.sweeper.soon()

    def arrived(self, session: Session) -> None:
        """A connection has said who it is."""
        if session.key:
            self.hub.sessions.add(session)
            self.hub.presence(session.key)

    def gone(self, session: Session) -> None:
        """A connection has ended: its waits and its subscription go with it; a runner's process is looked at."""
        hub = self.hub
        runner = session.runner_of
        now = hub.clock.monotonic()
        hub.sessions.remove(session, now)
        hub.waited.update(dict.fromkeys(hub.waits.drop(session) & hub.waited.keys(), now))
        hub.subscriptions.remove(session)
        if session.key:
            hub.presence(session.key)
        if runner:
            self.sweeper.soon()

    async def close(self) -> None:
        """Write the end, the snapshots and everything that is queued; answer what can be answered."""
        self.sweeper.close()
        self.rules.close()
        self.notices.close()
        self.spent.drop()
        self.reactions.close()
        await self.background.close()
        await self.hub.retention.close()
        hub = self.hub
        hub.turn_away(STOPPING)
        if not hub.suspended and not hub.read_only:
            hub.waits.close()
            hub.decide(self._session, stopped, MarkRequest())
            self.recovery.snapshot()
            with suppress(TimeoutError):
                await asyncio.wait_for(hub.flushed(), LAST_WORDS)
        hub.suspended = True
        self.recovery.close()
        hub.outbox.settle(lambda position: False, hub.outbox.committed, STOPPING)
        if hub.tables is not None:
            hub.tables.stop()
        hub.readers.shutdown(wait=True, cancel_futures=True)
        if hub.tables is not None:
            await asyncio.to_thread(hub.tables.close)
        hub.writer.close()
