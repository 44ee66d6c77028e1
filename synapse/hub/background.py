"""Work of plugins that goes on beside the loop while the hub runs."""

import asyncio
import logging
from collections.abc import Generator, Iterable
from types import coroutine
from typing import Any

import msgspec

from synapse.clock import SystemClock
from synapse.errors import NotFound
from synapse.hookspecs import Background
from synapse.hub.loop import Hub
from synapse.hub.sessions import Session
from synapse.plugins import Plugin
from synapse.plugins.watch import tell_slow
from synapse.verb import Verb

logger = logging.getLogger(__name__)
LAST_MOMENT = 2.0  # seconds that background work may take to end


class Backgrounds:
    """Starts each plugin's work, and ends it with the hub; what fails is reported, and the rest goes on."""

    def __init__(self, hub: Hub, verbs: Iterable[Verb], plugins: Iterable[Plugin]) -> None:
        self._hub = hub
        self._verbs = {verb.name: verb for verb in verbs}
        self._works = [(plugin.name, work) for plugin in plugins for work in plugin.background]
        self._tasks: list[asyncio.Task[None]] = []
        self.failures: dict[str, str] = {}

    def start(self) -> None:
        self._tasks = [self._hub.loop.create_task(self._run(plugin, work)) for plugin, work in self._works]

    async def _run(self, plugin: str, work: Background) -> None:
        session = Session(key="hub", system=True)

        async def ask(verb: str, params: dict[str, Any]) -> Any:
            declared = self._verbs.get(verb)
            if declared is None or (declared.internal and declared.owner != plugin):
                raise NotFound("unknown_verb", f"There is no verb {verb!r}.")
            key = params.get("idempotency_key")
            own = {**params, "idempotency_key": f"{plugin}:{key}"} if key else params
            request = declared.parse(msgspec.json.encode(own))
            return msgspec.json.decode(await self._hub.do(session, declared, request))

        try:
            await _watched(plugin, work.name, work.run(ask))
        except asyncio.CancelledError:
            raise
        except (Exception, SystemExit) as error:
            self.failures[f"{plugin}: {work.name}"] = f"{type(error).__name__}: {error}"
            logger.exception("%s: %s ended", plugin, work.name)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=LAST_MOMENT)
            for task in late:
                logger.warning("background work does not end: %s", task)


@coroutine
def _watched(plugin: str, name: str, work: Any) -> Generator[Any, Any, None]:
    """Await some work, step by step: a step that holds the loop is named in the hub's log."""
    steps = work.__await__()
    throw: BaseException | None = None
    while True:
        began = SystemClock.monotonic()
        try:
            waits_for = steps.send(None) if throw is None else steps.throw(throw)
        except StopIteration:
            return
        finally:
            tell_slow(plugin, name, SystemClock.monotonic() - began)
        try:
            yield waits_for
            throw = None
        except BaseException as error:
            throw = error
