"""Owed work of plugins: read from the state after every commit that concerns it, and after every start."""

import asyncio
import logging
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import msgspec

from synapse.errors import NotFound, SynapseError
from synapse.event import Event
from synapse.hookspecs import Owed, Reaction
from synapse.hub.loop import Hub
from synapse.hub.plugged import View, Whole
from synapse.hub.sessions import Session
from synapse.plugins import Plugin
from synapse.plugins.watch import watched
from synapse.verb import Shape, Verb

logger = logging.getLogger(__name__)
REMEMBERED = 10_000  # what was done and is still owed is not done again and again
AT_ONCE = 100  # unanswered requests of one plugin
PAUSE = 1.0  # seconds until what could not be had is asked for again
PASSING = (429, 503)  # too fast, or not now: it is owed still


class _One:
    """A reaction, whose it is, and what it has asked for and not been answered yet."""

    def __init__(self, plugin: Plugin, reaction: Reaction) -> None:
        self.plugin = plugin.name
        self.kinds = reaction.kinds
        self.owed = watched(plugin.name, "a reaction", self._owed)
        self._reaction = reaction
        self.whole = Whole(plugin)
        self.session = Session(key="hub", system=True)
        self.open = 0
        self.failure = ""

    def _owed(self, call: View, asked: Container[str], most: int) -> list[Owed]:
        """What is owed and not asked for yet: at most so much."""
        new = (owed for owed in self._reaction.owed(call) if self.key(owed.key) not in asked)
        return list(islice(new, most))

    def key(self, key: str) -> str:
        """The idempotency key of what is owed under a key."""
        return f"{self.plugin}:{key}"


class Reactions:
    """Asks for what is owed, each under its own key, until it has an answer."""

    def __init__(self, hub: Hub, verbs: Iterable[Verb], plugins: Iterable[Plugin]) -> None:
        self._hub = hub
        self._verbs = {verb.name: verb for verb in verbs}
        self._all = [_One(plugin, reaction) for plugin in plugins for reaction in plugin.reactions]
        self._touched: dict[_One, None] = dict.fromkeys(self._all)
        self._asked: dict[str, None] = {}
        self._retry: asyncio.TimerHandle | None = None
        self._closed = False
        if self._all:
            hub.on_publish.append(self._published)
            hub.on_commit.append(lambda touched: self.look())

    @property
    def failures(self) -> dict[str, str]:
        """Which plugin cannot say what it owes, and why."""
        return {f"{one.plugin}: reactions": one.failure for one in self._all if one.failure}

    def _published(self, position: int, events: list[Event]) -> None:
        kinds = {event.kind for event in events}
        self._touched.update({one: None for one in self._all if one.kinds & kinds})

    def look(self) -> None:
        """Ask for whatever is owed by the reactions that were touched."""
        if not self._touched or self._hub.suspended or self._closed:
            return
        touched, self._touched = self._touched, {}
        for one in touched:
            self._look(one)

    def _look(self, one: _One) -> None:
        room = AT_ONCE - one.open
        if room <= 0:
            self._touched[one] = None
            return
        try:
            call = self._hub.call(one.session)
            one.whole.check(call)
            found: list[Owed] = one.owed(View(call, one.plugin), self._asked, room + 1)
            if len(found) > room:
                self._touched[one] = None  # the rest when these are answered
            for owed in found[:room]:
                self._ask(one, owed, owed.key)
        except Exception as error:
            one.failure = f"{type(error).__name__}: {error}"
            logger.exception("a reaction of %s failed", one.plugin)
        else:
            one.failure = ""

    def _ask(self, one: _One, owed: Owed, key: str) -> None:
        if not key:
            raise ValueError(f"{owed.verb} is owed without a key that says what for")
        whole_key = one.key(key)
        if whole_key in self._asked:
            return
        answer = partial(self._done, one, owed, key)
        ask: Callable[[], object]
        try:
            verb, request = self._request(one, owed, whole_key)
        except SynapseError as error:
            ask = partial(self._hub.loop.call_soon, answer, self._hub.head, error)
        else:
            session = Session(key=owed.by, system=True) if owed.by else one.session
            ask = partial(self._hub.ask, session, verb, request, answer)
        one.open += 1  # before it is asked: the answer may come at once
        self._asked[whole_key] = None
        if len(self._asked) > REMEMBERED:
            del self._asked[next(iter(self._asked))]
        ask()

    def _request(self, one: _One, owed: Owed, key: str) -> tuple[Verb, Any]:
        """The verb, also an internal one of the plugin itself, and the request under its key."""
        verb = self._verbs.get(owed.verb)
        if verb is None or (verb.internal and verb.owner != one.plugin):
            raise NotFound("unknown_verb", f"There is no verb {owed.verb!r}.")
        keyed = {"idempotency_key": key} if verb.shape is Shape.CHANGE else {}
        return verb, verb.parse(msgspec.json.encode({**owed.params, **keyed}))

    def _done(self, one: _One, owed: Owed, key: str, position: int, what: object) -> None:
        one.open -= 1
        follows: Owed | None = None
        if isinstance(what, SynapseError) and what.status in PASSING:
            self._asked.pop(one.key(key), None)
            self._touched[one] = None
            self._again()
        elif isinstance(what, SynapseError):
            logger.warning("%s owes %s for %s, which was refused: %s", one.plugin, owed.verb, key, what)
            follows = _after(owed.otherwise, f"{key}:otherwise", str(what))
        else:
            follows = _after(owed.then, f"{key}:then", "")
        if follows is not None:
            self._ask(one, follows, follows.key)
        if one in self._touched and one.open == 0 and self._retry is None:
            self._hub.loop.call_soon(self.look)

    def _again(self) -> None:
        if self._retry is None and not self._closed:
            self._retry = self._hub.loop.call_later(PAUSE, self._later)

    def _later(self) -> None:
        self._retry = None
        self.look()

    def close(self) -> None:
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()


def _after(owed: Owed | None, key: str, why: str) -> Owed | None:
    """What follows, under a key of its own; a parameter that is `{reason}` becomes what the refusal said."""
    if owed is None:
        return None
    params = {name: why if value == "{reason}" else value for name, value in owed.params.items()}
    return replace(owed, key=owed.key or key, params=params)
