"""Owed work of plugins: read from the state after every commit that concerns it, and after every start."""

import asyncio
import logging
from collections.abc import Iterable

import msgspec

from synapse.errors import SynapseError, Unavailable
from synapse.event import Event
from synapse.hookspecs import Owed, Reaction
from synapse.hub.loop import Hub
from synapse.hub.sessions import Session
from synapse.verb import Verbs

logger = logging.getLogger(__name__)
REMEMBERED = 10_000  # what was done and is still owed is not done again and again


class Reactions:
    """Asks for what is owed, each under its own key, until it has an answer."""

    def __init__(self, hub: Hub, verbs: Verbs, reactions: Iterable[tuple[str, Reaction]]) -> None:
        self._hub = hub
        self._verbs = verbs
        self._reactions = tuple(reactions)
        self._sessions = {plugin: Session(key="hub", system=True) for plugin, _ in self._reactions}
        self._touched: set[int] = set(range(len(self._reactions)))
        self._asked: dict[str, None] = {}
        self._retry: asyncio.TimerHandle | None = None
        if self._reactions:
            hub.on_publish.append(self._published)
            hub.on_commit.append(lambda touched: self.look())

    def _published(self, position: int, events: list[Event]) -> None:
        kinds = {event.kind for event in events}
        self._touched.update(n for n, (_, reaction) in enumerate(self._reactions) if reaction.kinds & kinds)

    def look(self) -> None:
        """Ask for whatever is owed by the reactions that were touched."""
        touched, self._touched = self._touched, set()
        for number in sorted(touched):
            plugin, reaction = self._reactions[number]
            try:
                owed = list(reaction.owed(self._hub.call(self._sessions[plugin])))
            except Exception:
                logger.exception("a reaction of %s failed", plugin)
                continue
            for one in owed:
                self._ask(plugin, one, number)

    def _ask(self, plugin: str, owed: Owed, number: int) -> None:
        key = f"{plugin}:{owed.key}"
        if key in self._asked:
            return
        self._asked[key] = None
        if len(self._asked) > REMEMBERED:
            del self._asked[next(iter(self._asked))]
        try:
            verb = self._verbs.get(owed.verb)
            request = verb.parse(msgspec.json.encode({**owed.params, "idempotency_key": key}))
        except SynapseError as error:
            self._done(plugin, owed, number, key, error)
            return
        self._hub.ask(
            self._sessions[plugin], verb, request, lambda position, what: self._done(plugin, owed, number, key, what)
        )

    def _done(self, plugin: str, owed: Owed, number: int, key: str, what: object) -> None:
        if isinstance(what, Unavailable):
            self._asked.pop(key, None)  # not now: it is owed still
            self._touched.add(number)
            self._again()
        elif isinstance(what, SynapseError):
            logger.warning("%s owes %s, which was refused: %s", plugin, owed.verb, what)
            if owed.otherwise is not None:
                self._ask(plugin, owed.otherwise, number)
        elif owed.then is not None:
            self._ask(plugin, owed.then, number)

    def _again(self) -> None:
        if self._retry is None:
            self._retry = self._hub.loop.call_later(1.0, self._later)

    def _later(self) -> None:
        self._retry = None
        self.look()

    def close(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
