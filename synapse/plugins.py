"""Plugins: found by entry points, asked once, contained: one that fails is reported and left out, the rest runs."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import wraps
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from synapse.event import Fact
from synapse.follower import Table
from synapse.hookspecs import GROUP, NAMES, Background, Column, Extension, Guard, Hooks, Reaction, Route, Section
from synapse.projection import Projection
from synapse.verb import Shape, Verb

logger = logging.getLogger(__name__)
SLOW = 0.1  # seconds that a plugin's function may hold the loop before the log says so


@dataclass(slots=True)
class Plugin:
    """One plugin and what it contributes; `failure` says why it is left out."""

    name: str
    source: str = ""  # the distribution and its version
    enabled: bool = True
    failure: str = ""
    facts: tuple[type[Fact], ...] = ()
    projections: tuple[Projection, ...] = ()
    tables: tuple[Table, ...] = ()
    verbs: tuple[Verb, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    guards: tuple[Guard, ...] = ()
    routes: tuple[Route, ...] = ()
    commands: tuple[Any, ...] = ()
    extensions: tuple[Extension, ...] = ()
    sections: tuple[Section, ...] = ()
    columns: tuple[Column, ...] = ()
    background: tuple[Background, ...] = ()
    hooks: tuple[str, ...] = field(default=())

    @property
    def works(self) -> bool:
        return self.enabled and not self.failure


def found() -> list[EntryPoint]:
    """Every plugin that is installed, by name; the first of a name counts."""
    by_name: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        by_name.setdefault(point.name, point)
    return [by_name[name] for name in sorted(by_name)]


def load(disabled: Iterable[str] = (), points: Iterable[EntryPoint] | None = None) -> list[Plugin]:
    """Import the plugins and ask each of its hooks once; never raises for what a plugin does."""
    off = frozenset(disabled)
    plugins = []
    for point in found() if points is None else points:
        if point.name in off:
            plugins.append(Plugin(point.name, _source(point), enabled=False))
        else:
            plugins.append(_load(point))
    return plugins


def _source(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value


def _load(point: EntryPoint) -> Plugin:
    plugin = Plugin(point.name, _source(point))
    began = time.monotonic()  # noqa: TID251 - how long a stranger's import takes is real time
    try:
        _fill(plugin, point.load())
        _check(plugin)
    except Exception as error:
        logger.exception("the plugin %s is left out", point.name)
        plugin = Plugin(point.name, plugin.source, failure=f"{type(error).__name__}: {error}")
    except SystemExit as error:
        plugin = Plugin(point.name, plugin.source, failure=f"it tried to end the program ({error})")
    took = time.monotonic() - began  # noqa: TID251
    if took > 1.0:
        logger.warning("the plugin %s took %.1f s to load", point.name, took)
    return plugin


def _fill(plugin: Plugin, module: Any) -> None:
    """Collect what its hooks return. pluggy finds and checks the hooks; each is called by itself, so that what fails is
    known by name."""
    manager = pluggy.PluginManager("synapse")
    manager.add_hookspecs(Hooks)
    manager.register(module, plugin.name)
    manager.check_pending()
    callers = {caller.name: caller for caller in manager.get_hookcallers(module) or ()}
    if not callers:
        raise ValueError(f"it has none of the hooks: {', '.join(NAMES)}")
    for name, caller in callers.items():
        try:
            values = tuple(item for answer in caller() for item in answer)
        except Exception as error:
            raise RuntimeError(f"{name}: {type(error).__name__}: {error}") from error
        setattr(plugin, name.removeprefix("synapse_"), values)
    plugin.hooks = tuple(sorted(callers))
    plugin.verbs = tuple(_contained(plugin.name, verb) for verb in plugin.verbs)


def _check(plugin: Plugin) -> None:
    """Everything that a plugin owns begins with its name, so that no two can meet."""
    owned = [("verb", verb.name) for verb in plugin.verbs] + [("kind", fact.kind) for fact in plugin.facts]
    for what, name in owned:
        if not name.startswith(f"{plugin.name}."):
            raise ValueError(f"its {what} {name!r} does not begin with '{plugin.name}.'")
    for what, items in (("projection", plugin.projections), ("table", plugin.tables)):
        for item in items:
            if item.name != plugin.name and not item.name.startswith(f"{plugin.name}_"):
                raise ValueError(f"its {what} {item.name!r} is not called '{plugin.name}' or '{plugin.name}_...'")


def _contained(owner: str, verb: Verb) -> Verb:
    """The verb with a watch on it: what holds the loop is named in the hub's log."""
    if verb.shape is Shape.QUERY:
        return replace(verb, owner=owner)
    return replace(verb, owner=owner, run=_watched(owner, verb.name, verb.run))


def _watched(owner: str, name: str, run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)
    def watched(*args: Any) -> Any:
        began = time.monotonic()  # noqa: TID251 - it is the real loop that is held
        try:
            return run(*args)
        finally:
            took = time.monotonic() - began  # noqa: TID251
            if took > SLOW:
                logger.warning("the plugin %s held the hub for %.2f s in %s", owner, took, name)

    return watched
