"""Plugins: found by entry points, asked once, contained: one that fails is reported and left out, the rest runs."""

import importlib
import logging
import os
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, fields
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from synapse import paths
from synapse.clock import SystemClock
from synapse.errors import NotFound
from synapse.event import Fact
from synapse.hookspecs import GROUP, NAMES, Background, Column, Extension, Guard, Hooks, Reaction, Route, Section
from synapse.plugins.fitness import Unfit, check, shown, wanted
from synapse.plugins.watch import SLOW_START, contained
from synapse.projection import Projection
from synapse.settings import Setting, declare
from synapse.verb import Verb

if TYPE_CHECKING:
    from synapse.follower import Table

logger = logging.getLogger(__name__)
_CAUGHT = (Exception, SystemExit)  # what a plugin does; Ctrl-C is the user's


@dataclass(slots=True)
class Plugin:
    """One plugin and what it contributes; `failure` says why it is left out."""

    name: str
    source: str = ""  # the distribution and its version
    enabled: bool = True
    failure: str = ""
    settings: "tuple[Setting, ...]" = ()
    profiles: tuple[Path, ...] = ()
    facts: tuple[type[Fact], ...] = ()
    projections: tuple[Projection, ...] = ()
    tables: "tuple[Table, ...]" = ()
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

    def leave_out(self, why: str) -> None:
        """It contributes nothing, for this reason."""
        for each in fields(self):
            if each.name not in ("name", "source", "enabled", "failure"):
                setattr(self, each.name, ())
        self.failure = why


def found() -> list[EntryPoint]:
    """Every plugin that is installed, by name; the first of a name counts."""
    see_installed()
    by_name: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        by_name.setdefault(point.name, point)
    return [by_name[name] for name in sorted(by_name)]


def see_installed() -> None:
    """What `plugins install` has brought can be imported: behind everything that synapse itself is made of."""
    site = paths.plugin_site(paths.data_folder())
    if site not in sys.path and os.path.isdir(site):
        sys.path.append(site)
    importlib.invalidate_caches()


def absent(name: str, installed: Collection[str]) -> NotFound:
    """What is told of a name that no plugin has."""
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), installed, 1)
    known = f"Did you mean '{near[0]}'?" if near else f"There is {', '.join(sorted(installed))}." if installed else ""
    return NotFound("no_such_plugin", f"There is no plugin '{name[:80]}'. {known}".strip())


def load(
    disabled: Collection[str] = (),
    points: Iterable[EntryPoint] | None = None,
    hooks: Collection[str] = NAMES,
) -> list[Plugin]:
    """Import the plugins and ask each of these hooks once; never raises for what a plugin does."""
    plugins = []
    for point in found() if points is None else points:
        plugin = Plugin(point.name, _source(point), enabled=point.name not in disabled)
        if plugin.enabled:
            _load(plugin, point.load, hooks)
        plugins.append(plugin)
    return plugins


def of(name: str, module: Any, hooks: Collection[str] = NAMES) -> Plugin:
    """The plugin that a module (or an object with the hooks) is, without being installed."""
    plugin = Plugin(name, f"{getattr(module, '__name__', type(module).__name__)}")
    _load(plugin, lambda: module, hooks)
    return plugin


def _source(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value


def _load(plugin: Plugin, imported: Callable[[], Any], hooks: Collection[str]) -> None:
    began = SystemClock.monotonic()
    try:
        _fill(plugin, imported(), hooks)
        check(plugin)
    except SystemExit as error:
        plugin.leave_out(f"it tried to end the program ({error.code})")
        logger.error("the plugin %s is left out: %s", plugin.name, plugin.failure)
    except Exception as error:
        plugin.leave_out(f"{type(error).__name__}: {error}")
        logger.exception("the plugin %s is left out", plugin.name)
    took = SystemClock.monotonic() - began
    if took > SLOW_START:
        logger.warning("the plugin %s took %.1f s to load", plugin.name, took)


def _fill(plugin: Plugin, module: Any, hooks: Collection[str]) -> None:
    """Collect what its hooks return. pluggy finds them and checks their signatures; each is called by itself, so that
    what fails is known by name."""
    manager = pluggy.PluginManager("synapse")
    manager.add_hookspecs(Hooks)
    manager.register(module, plugin.name)
    manager.check_pending()
    callers = {caller.name: caller for caller in manager.get_hookcallers(module) or ()}
    callers = {name: callers[name] for name in sorted(callers, key=NAMES.index)}
    if not callers:
        raise Unfit(f"it has none of the hooks: {', '.join(NAMES)}")
    for name, caller in callers.items():
        if name in hooks:
            [hook] = caller.get_hookimpls()
            if hook.wrapper or hook.hookwrapper:
                raise Unfit(f"{name} is a wrapper: hooks are asked one by one, there is nothing to wrap")
            setattr(plugin, name.removeprefix("synapse_"), _items(name, hook.function))
            if name == "synapse_settings":
                _declare(plugin)  # the other hooks may ask for them
    plugin.hooks = tuple(sorted(callers))
    plugin.verbs = tuple(contained(plugin.name, verb) for verb in plugin.verbs)


def _declare(plugin: Plugin) -> None:
    try:
        declare(plugin.name, plugin.settings)
    except ValueError as error:
        raise Unfit(str(error)) from None


def _items(name: str, hook: Callable[[], Any]) -> tuple[Any, ...]:
    try:
        answer = hook()
        items = tuple(answer)
    except _CAUGHT as error:
        if isinstance(error, TypeError) and "not iterable" in str(error):
            raise Unfit(f"{name} returns {type(answer).__name__}, not several of anything") from error
        raise Unfit(f"{name}: {type(error).__name__}: {error}") from error
    for item in items:
        lacking = wanted(name, item)
        if lacking:
            raise Unfit(f"{name} returns {shown(item)}, not {lacking}")
    return items


def contributions(plugin: Plugin) -> Iterable[tuple[str, list[str]]]:
    """What it brings, by name."""
    yield "commands", [command.name for command in plugin.commands]
    yield "options", [f"{one.command} {option.names[0]}" for one in plugin.extensions for option in one.options]
    yield "settings", [setting.key for setting in plugin.settings]
    yield "profiles", sorted(file.stem for folder in plugin.profiles for file in folder.glob("*.toml"))
    yield "verbs", [verb.name for verb in plugin.verbs if not verb.internal]
    yield "kinds", [fact.kind for fact in plugin.facts]
    yield "projections", [projection.name for projection in plugin.projections]
    yield "tables", [table.name for table in plugin.tables]
    yield "guards", sorted({name for guard in plugin.guards for name in guard.verbs})
    yield "reactions", sorted({kind for reaction in plugin.reactions for kind in reaction.kinds})
    yield "routes", [f"{route.method} {route.path}" for route in plugin.routes]
    yield "sections", [section.title for section in plugin.sections]
    yield "columns", [column.title for column in plugin.columns]
    yield "background", [background.name for background in plugin.background]
