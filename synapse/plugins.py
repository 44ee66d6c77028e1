"""Plugins: found by entry points, asked once, contained: one that fails is reported and left out, the rest runs."""

import importlib
import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, fields, replace
from functools import wraps
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from synapse import paths
from synapse.clock import SystemClock
from synapse.errors import NotFound
from synapse.event import Fact
from synapse.hookspecs import GROUP, NAMES, Background, Column, Extension, Guard, Hooks, Reaction, Route, Section
from synapse.projection import Projection
from synapse.settings import Setting, declare
from synapse.verb import Change, Shape, Verb, Wait

if TYPE_CHECKING:
    from synapse.follower import Table

logger = logging.getLogger(__name__)
SLOW = 0.1  # seconds that a plugin's function may hold the loop before the log says so
SLOW_START = 1.0  # the same for its import and its hooks
_NAME = re.compile(r"[a-z][a-z0-9]*\Z")  # without `_`: the tables of `a_b` are not those of `a`
_CAUGHT = (Exception, SystemExit)  # what a plugin does; Ctrl-C is the user's
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


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
        _check(plugin)
    except SystemExit as error:
        plugin.leave_out(f"it tried to end the program ({error.code})")
        logger.error("the plugin %s is left out: %s", plugin.name, plugin.failure)
    except Exception as error:
        plugin.leave_out(f"{type(error).__name__}: {error}")
        logger.exception("the plugin %s is left out", plugin.name)
    took = SystemClock.monotonic() - began
    if took > SLOW_START:
        logger.warning("the plugin %s took %.1f s to load", plugin.name, took)


class Unfit(Exception):
    """What a plugin contributes cannot be used."""


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
    plugin.verbs = tuple(_contained(plugin.name, verb) for verb in plugin.verbs)


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
        wanted = _wanted(name, item)
        if wanted:
            raise Unfit(f"{name} returns {_shown(item)}, not {wanted}")
    return items


def _shown(item: Any) -> str:
    return repr(item)[:80]


_CLASSES: dict[str, type] = {
    "synapse_settings": Setting,
    "synapse_profiles": Path,
    "synapse_verbs": Verb,
    "synapse_reactions": Reaction,
    "synapse_guards": Guard,
    "synapse_routes": Route,
    "synapse_extensions": Extension,
    "synapse_sections": Section,
    "synapse_columns": Column,
    "synapse_background": Background,
}
_PARTS: dict[str, tuple[str, ...]] = {
    "synapse_projections": ("name", "version", "kinds", "reset", "apply", "dump", "load"),
    "synapse_tables": ("name", "version", "kinds", "schema", "apply"),
    "synapse_commands": ("name", "run", "help", "params", "example"),
}


def _wanted(hook: str, item: Any) -> str:
    """What the hook should have returned in its place; "" when it is right."""
    if hook == "synapse_facts":
        return "" if isinstance(item, type) and issubclass(item, Fact) and item.kind else "a Fact with its kind"
    if hook in _CLASSES:
        if not isinstance(item, _CLASSES[hook]):
            return f"a {_CLASSES[hook].__name__}"
        plain = [part for part in ("verbs", "kinds", "tables") if isinstance(getattr(item, part, ()), str)]
        return f"one whose {plain[0]} are several names: a text is its letters" if plain else ""
    missing = [part for part in _PARTS[hook] if not hasattr(item, part)]
    if missing or isinstance(item, type):
        return f"something with {', '.join(missing) or 'a state of its own: a class was returned'}"
    if "kinds" in _PARTS[hook] and not (isinstance(item.kinds, frozenset) and isinstance(item.version, int)):
        return "something with kinds as a frozenset and a version as a number"
    return ""


def _check(plugin: Plugin) -> None:
    """Everything that a plugin owns begins with its name, so that no two can meet, and holds together."""
    name = plugin.name
    if not _NAME.match(name):
        raise Unfit(f"a plugin's name is small letters and digits, not {name!r}")
    for what, names in (
        ("verb", [verb.name for verb in plugin.verbs]),
        ("kind", [fact.kind for fact in plugin.facts]),
    ):
        _unique(what, names)
        for each in names:
            if not each.startswith(f"{name}."):
                raise Unfit(f"its {what} {each!r} does not begin with '{name}.'")
    for what, names in (
        ("projection", [projection.name for projection in plugin.projections]),
        ("table", [table.name for table in plugin.tables]),
    ):
        _unique(what, names)
        for each in names:
            if each != name and not each.startswith(f"{name}_"):
                raise Unfit(f"its {what} {each!r} is not called '{name}' or '{name}_...'")
    _unique("class of a projection", [type(projection).__qualname__ for projection in plugin.projections])
    _unique("command", [command.name for command in plugin.commands])
    tables = [table.name for table in plugin.tables]
    for table in tables:
        within = [other for other in tables if other.startswith(f"{table}_")]
        if within:
            raise Unfit(f"its table {within[0]!r} lies within its table {table!r}: call it otherwise")
    for verb in plugin.verbs:
        _check_verb(verb, tables)
    for folder in plugin.profiles:
        if not any(folder.glob("*.toml")):
            raise Unfit(f"there are no profiles (*.toml) in {folder}")
    for route in plugin.routes:
        if route.method not in _METHODS or not route.path.startswith(f"/{name}"):
            raise Unfit(f"its route {route.method} {route.path} is not one of {', '.join(_METHODS)} below /{name}")


def _unique(what: str, names: list[str]) -> None:
    twice = {each for each in names if names.count(each) > 1}
    if twice:
        raise Unfit(f"its {what} {min(twice)!r} is there twice")


_REQUESTS = {Shape.CHANGE: Change, Shape.WAIT: Wait}


def _check_verb(verb: Verb, tables: list[str]) -> None:
    wanted = _REQUESTS.get(verb.shape)
    if wanted is not None and not issubclass(verb.request, wanted):
        raise Unfit(f"the request of {verb.name} is no {wanted.__name__}")
    if inspect.iscoroutinefunction(inspect.unwrap(verb.run)):
        raise Unfit(f"{verb.name} is async: a verb decides at once; what waits belongs into the background")
    if verb.shape is Shape.SESSION:
        raise Unfit(f"{verb.name} is about a connection: plugins have changes, reads, queries and waits")
    absent = set(verb.tables) - set(tables)
    if absent or (verb.tables and verb.shape is not Shape.QUERY):
        raise Unfit(f"{verb.name} cannot read the tables {', '.join(sorted(absent or verb.tables))}")


def fit(plugins: Iterable[Plugin], verbs: Iterable[Verb], kinds: Iterable[str], projections: Iterable[str]) -> None:
    """Leave out what does not fit to the core, or refers to what nobody has."""
    core = {verb.name: verb for verb in verbs}
    taken = {name.partition(".")[0] for name in (*core, *kinds)} | set(projections) | {"plugins", "synapse", "disabled"}
    working = [plugin for plugin in plugins if plugin.works]
    there = core | {verb.name: verb for plugin in working for verb in plugin.verbs}
    subjects = {name.partition(".")[0] for name in core} | {plugin.name for plugin in working}
    for plugin in working:
        clash = f"the core has a '{plugin.name}' already" if plugin.name in taken else ""
        why = clash or _unguarded(plugin, there, subjects) or _misfit(plugin, there)
        if why:
            plugin.leave_out(why)
            logger.error("the plugin %s is left out: %s", plugin.name, why)


def _unguarded(plugin: Plugin, there: dict[str, Verb], subjects: Collection[str]) -> str:
    """Why a guard of it would never be asked; what is another plugin's, which may come, may be guarded."""
    for name in sorted({name for guard in plugin.guards for name in guard.verbs}):
        subject, dot, _ = name.partition(".")
        if name in there and there[name].shape is not Shape.CHANGE:
            return f"it guards {name}, which changes nothing"
        if name not in there and (not dot or subject in subjects):
            from difflib import get_close_matches

            changing = [verb.name for verb in there.values() if verb.shape is Shape.CHANGE and not verb.internal]
            near = get_close_matches(name, changing, 1)
            return f"it guards {name}, which is not there{f': did you mean {near[0]}?' if near else ''}"
    return ""


def _misfit(plugin: Plugin, there: dict[str, Verb]) -> str:
    for route in plugin.routes:
        verb = there.get(route.verb)
        if verb is None or verb.internal:
            return f"its route {route.path} leads to {route.verb}, which is not there"
        absent = set(re.findall(r"{(\w+)}", route.path)) - {one.encode_name for one in _fields(verb)}
        if absent:
            return f"its route {route.path} names {min(absent)}, which {route.verb} does not take"
    parts: list[Section | Column] = [*plugin.sections, *plugin.columns]
    for part in parts:
        verb = there.get(part.verb)
        if verb is None or verb.shape not in (Shape.READ, Shape.QUERY):
            return f"its '{part.title}' is made from {part.verb}, which is no reading verb that is there"
        needed = [one.name for one in _fields(verb) if one.required]
        if needed:
            return f"its '{part.title}' is made from {part.verb}, which needs {needed[0]}"
    return ""


def _fields(verb: Verb) -> Any:
    import msgspec

    return msgspec.structs.fields(verb.request)


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


# -- the watch


def _contained(owner: str, verb: Verb) -> Verb:
    """The verb with a watch on it."""
    run = watched(owner, verb.name, verb.run)
    if verb.shape is Shape.QUERY:
        chosen = run

        def run(*args: Any) -> Any:
            return watched(owner, verb.name, chosen(*args), tell=_tell_slow_reader)

    watches = verb.watches and watched(owner, verb.name, verb.watches)
    return replace(verb, owner=owner, run=run, watches=watches)


def tell_slow(owner: str, what: str, took: float) -> None:
    """Name what held the loop for too long."""
    if took > SLOW:
        logger.warning("the plugin %s held the hub for %.2f s in %s", owner, took, what)


def _tell_slow_reader(owner: str, what: str, took: float) -> None:
    if took > SLOW_START:
        logger.warning("the plugin %s kept a reader for %.2f s in %s", owner, took, what)


def watched(
    owner: str, what: str, run: Callable[..., Any], *, tell: Callable[[str, str, float], None] = tell_slow
) -> Callable[..., Any]:
    """A plugin's function: what holds the loop is named in the hub's log, and what ends the program does not."""

    @wraps(run)
    def watching(*args: Any) -> Any:
        began = SystemClock.monotonic()
        try:
            return run(*args)
        except SystemExit as error:
            raise RuntimeError(f"{what} of the plugin {owner} tried to end the program") from error
        finally:
            tell(owner, what, SystemClock.monotonic() - began)

    return watching
