"""Whether what a plugin contributes can be used: each hook's answer, what its names are, and how it fits to the rest."""

import inspect
import logging
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synapse.event import Fact
from synapse.hookspecs import Background, Column, Extension, Guard, Reaction, Route, Section
from synapse.settings import Setting
from synapse.verb import Change, Shape, Verb, Wait

if TYPE_CHECKING:
    from synapse.plugins import Plugin

logger = logging.getLogger("synapse.plugins")
_NAME = re.compile(r"[a-z][a-z0-9]*\Z")  # without `_`: the tables of `a_b` are not those of `a`
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Unfit(Exception):
    """What a plugin contributes cannot be used."""


def shown(item: Any) -> str:
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


def wanted(hook: str, item: Any) -> str:
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


def check(plugin: "Plugin") -> None:
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


def fit(plugins: "Iterable[Plugin]", verbs: Iterable[Verb], kinds: Iterable[str], projections: Iterable[str]) -> None:
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


def _unguarded(plugin: "Plugin", there: dict[str, Verb], subjects: Collection[str]) -> str:
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


def _misfit(plugin: "Plugin", there: dict[str, Verb]) -> str:
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
