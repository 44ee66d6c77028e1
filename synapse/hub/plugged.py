"""Plugins in the hub: what they see of a call, what they may write, and what is answered when one is out of order."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

from synapse.clock import SystemClock
from synapse.errors import SynapseError, Unavailable
from synapse.event import Event, Fact
from synapse.hookspecs import Guard
from synapse.hub.agents import Agents
from synapse.hub.loop import Call
from synapse.hub.state import State
from synapse.plugins import Plugin, contributions
from synapse.plugins.watch import tell_slow, watched
from synapse.projection import Projection
from synapse.verb import Reply, Request, Shape, Verb, read

logger = logging.getLogger(__name__)
P = TypeVar("P")


class Plugged(State):
    """The state with a watch on it: a plugin's projection that takes long is named in the hub's log."""

    def __init__(self, projections: Iterable[Projection], plugins: Iterable[Plugin]) -> None:
        super().__init__(projections)
        self._owners: dict[str, str] = {}  # kind of event -> whose projections take it
        for plugin in plugins:
            for kind in (kind for projection in plugin.projections for kind in projection.kinds):
                self._owners[kind] = f"{self._owners[kind]}, {plugin.name}" if kind in self._owners else plugin.name

    def fold(self, event: Event, among: frozenset[str] | None = None) -> None:
        owner = self._owners.get(event.kind)
        if owner is None:
            super().fold(event, among)
            return
        began = SystemClock.monotonic()
        super().fold(event, among)
        tell_slow(owner, f"apply of {event.kind}", SystemClock.monotonic() - began)


class View:
    """`synapse.Call`: a call as a plugin sees it. It writes only events of its own kinds, and only in a change."""

    __slots__ = ("_call", "_owner", "_writes")

    def __init__(self, call: Call, owner: str, *, writes: bool = False) -> None:
        self._call = call
        self._owner = owner
        self._writes = writes

    @property
    def by(self) -> str:
        return self._call.by

    @property
    def name(self) -> str:
        return self.label(self._call.by)

    @property
    def workspace(self) -> str:
        return self._call.workspace

    @property
    def at(self) -> float:
        return self._call.at

    @property
    def position(self) -> int:
        return self._call.position

    @property
    def reached(self) -> int:
        return self._call.reached

    def label(self, key: str) -> str:
        return self._call.state(Agents).label(key)

    def state(self, kind: type[P]) -> P:
        return self._call.state(kind)

    def emit(self, fact: Fact, story: str, workspace: str | None = None) -> None:
        if not self._writes:
            raise RuntimeError("only a verb that changes something may say what happened")
        if not fact.kind.startswith(f"{self._owner}."):
            raise RuntimeError(f"the plugin {self._owner} may not write {fact.kind}")
        self._call.emit(fact, story, workspace)


class Whole:
    """Is a plugin in order? One whose projection has failed is out: nothing of it is asked any more."""

    def __init__(self, plugin: Plugin) -> None:
        self._name = plugin.name
        self._projections = frozenset(projection.name for projection in plugin.projections)

    def check(self, call: Call) -> None:
        broken = call.hub.state.broken
        for name in self._projections & broken.keys() if broken else ():
            raise Unavailable(
                "projection_failed",
                f"The plugin '{self._name}' is out of order: {broken[name]}."
                f" `synapse plugins disable {self._name}` leaves it out.",
            )


def verbs(plugin: Plugin) -> list[Verb]:
    """The plugin's verbs, given what they may see."""
    whole = Whole(plugin)
    return [_viewed(verb, plugin.name, whole) for verb in plugin.verbs]


def _viewed(verb: Verb, owner: str, whole: Whole) -> Verb:
    writes = verb.shape is Shape.CHANGE

    def run(call: Call, request: Any) -> Any:
        whole.check(call)
        return verb.run(View(call, owner, writes=writes), request)

    def watches(call: Call, request: Any) -> Any:
        assert verb.watches is not None
        return verb.watches(View(call, owner), request)

    return replace(verb, run=run, watches=watches if verb.watches else None)


def guards(plugin: Plugin) -> list[tuple[str, Callable[[Call, Any], None]]]:
    """(verb, check) for everything that the plugin guards."""
    whole = Whole(plugin)
    return [(name, _guarding(guard, name, plugin.name, whole)) for guard in plugin.guards for name in guard.verbs]


def _guarding(guard: Guard, verb: str, owner: str, whole: Whole) -> Callable[[Call, Any], None]:
    decide = watched(owner, f"its guard of {verb}", guard.check)

    def check(call: Call, request: Any) -> None:
        """It sees a copy, writes nothing, and refuses when it cannot decide."""
        whole.check(call)
        try:
            decide(View(call, owner), msgspec.structs.replace(request))
        except SynapseError:
            raise
        except Exception as error:
            logger.exception("the guard of %s failed at %s", owner, verb)
            raise Unavailable(
                "guard_failed",
                f"The plugin '{owner}' cannot say whether that may be done ({type(error).__name__}: {error}):"
                f" `synapse plugins disable {owner}` leaves it out.",
            ) from error

    return check


# -- what is there


class ListRequest(Request, kw_only=True):
    """Nothing."""


class PluginRow(Struct, kw_only=True, omit_defaults=True):
    """A plugin as this hub has it: `working` is false when it is disabled or has failed, `failure` says why."""

    name: str
    source: str
    enabled: bool
    working: bool
    failure: str = ""
    contributes: dict[str, list[str]] = field(default_factory=dict)


class ListReply(Reply, kw_only=True):
    plugins: list[PluginRow] = field(default_factory=list)


@read("plugins.list")
def list_plugins(call: Call, request: ListRequest) -> ListReply:
    """The plugins, what each contributes, and why one does not work."""
    return ListReply(plugins=[row(plugin, failure(call, plugin)) for plugin in call.hub.place.plugins])


def failure(call: Call, plugin: Plugin) -> str:
    """Why the plugin, or a part of it, does not work."""
    trouble = call.hub.place.failures()
    names = [p.name for p in plugin.projections] + [f"table {t.name}" for t in plugin.tables]
    names += [f"{plugin.name}: {b.name}" for b in plugin.background] + [f"{plugin.name}: reactions"]
    return plugin.failure or "; ".join(f"{name}: {trouble[name]}" for name in names if name in trouble)


def row(plugin: Plugin, why: str) -> PluginRow:
    """A plugin as it is shown."""
    return PluginRow(
        name=plugin.name, source=plugin.source, enabled=plugin.enabled, working=plugin.enabled and not why, failure=why,
        contributes={what: names for what, names in contributions(plugin) if names},
    )  # fmt: skip


VERBS: tuple[Verb, ...] = (list_plugins,)
