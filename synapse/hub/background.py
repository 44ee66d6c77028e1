"""Work of plugins that goes on beside the loop while the hub runs."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import msgspec

from synapse.hookspecs import Background
from synapse.hub.loop import Hub
from synapse.hub.sessions import Session
from synapse.verb import Verbs

logger = logging.getLogger(__name__)
LAST_MOMENT = 2.0  # seconds that background work may take to end


class Backgrounds:
    """Starts each plugin's work, and ends it with the hub; what fails is reported, and the rest goes on."""

    def __init__(self, hub: Hub, verbs: Verbs, works: Iterable[tuple[str, Background]]) -> None:
        self._hub = hub
        self._verbs = verbs
        self._works = tuple(works)
        self._tasks: list[asyncio.Task[None]] = []
        self.failures: dict[str, str] = {}

    def start(self) -> None:
        self._tasks = [self._hub.loop.create_task(self._run(plugin, work)) for plugin, work in self._works]

    async def _run(self, plugin: str, work: Background) -> None:
        session = Session(key="hub", system=True)

        async def ask(verb: str, params: dict[str, Any]) -> Any:
            declared = self._verbs.get(verb)
            return msgspec.json.decode(
                await self._hub.do(session, declared, declared.parse(msgspec.json.encode(params)))
            )

        try:
            await work.run(ask)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.failures[f"{plugin}: {work.name}"] = f"{type(error).__name__}: {error}"
            logger.exception("%s: %s ended", plugin, work.name)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_MOMENT)
