"""The plugin door: what a plugin may contribute. Each hook is called once at start and returns data.

A plugin is a module named by an entry point of the group `synapse.plugins`, with functions of these names marked by
`synapse.hookimpl`. Its verbs, kinds, projections and tables begin with the entry point's name.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pluggy

from synapse.event import Fact
from synapse.follower import Table
from synapse.projection import Projection
from synapse.verb import Verb

GROUP = "synapse.plugins"
hookspec = pluggy.HookspecMarker("synapse")
hookimpl = pluggy.HookimplMarker("synapse")


@dataclass(frozen=True, slots=True)
class Owed:
    """A verb that must be called: it is asked for until it has answered, under a key that makes it happen once.

    `then` is called when it was done, `otherwise` when it was refused.
    """

    verb: str
    params: dict[str, Any]
    key: str
    then: "Owed | None" = None
    otherwise: "Owed | None" = None


@dataclass(frozen=True, slots=True)
class Reaction:
    """Work that follows from events: after a commit with one of `kinds`, and after every start, `owed(call)` says what
    is to be done, read from the state; what is done must end what is owed."""

    kinds: frozenset[str]
    owed: Callable[[Any], Iterable[Owed]]


@dataclass(frozen=True, slots=True)
class Guard:
    """A pure function of call and request that may raise Refused before the verb is decided; `verbs` names them."""

    verbs: frozenset[str]
    check: Callable[[Any, Any], None]


@dataclass(frozen=True, slots=True)
class Route:
    """A further HTTP path for a verb: `{names}` in the path, the query and a JSON body become its parameters.

    `hub` puts it on the hub's port, `agent` on every agent's.
    """

    method: str
    path: str
    verb: str
    hub: bool = True
    agent: bool = False


@dataclass(frozen=True, slots=True)
class Extension:
    """Options on a command that is there already; `after(client, values, reply)` is called when it was done."""

    command: str
    options: tuple[Any, ...]
    after: Callable[[Any, dict[str, Any], dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of `synapse status`: the reply of a reading verb, a line for each of its fields."""

    title: str
    verb: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `synapse list`: a reading verb whose reply's `agents` gives a text for an agent's key."""

    title: str
    verb: str


@dataclass(frozen=True, slots=True)
class Background:
    """Work beside the loop: `run(ask)` lives as long as the hub; `await ask(verb, params)` asks a verb as the plugin."""

    name: str
    run: Callable[[Callable[[str, dict[str, Any]], Awaitable[Any]]], Awaitable[None]]


class Hooks:
    """The hooks, with what each promises."""

    @hookspec
    def synapse_facts(self) -> Iterable[type[Fact]]:
        """The kinds of events that the plugin writes."""
        return ()

    @hookspec
    def synapse_projections(self) -> Iterable[Projection]:
        """Live state, folded from events: made anew at every call."""
        return ()

    @hookspec
    def synapse_tables(self) -> Iterable[Table]:
        """Tables of the cache file, filled from the log: made anew at every call."""
        return ()

    @hookspec
    def synapse_verbs(self) -> Iterable[Verb]:
        """What can be asked of the plugin; every face is made from these declarations."""
        return ()

    @hookspec
    def synapse_reactions(self) -> Iterable[Reaction]:
        """What is owed after events of others."""
        return ()

    @hookspec
    def synapse_guards(self) -> Iterable[Guard]:
        """What may refuse a verb of anybody."""
        return ()

    @hookspec
    def synapse_routes(self) -> Iterable[Route]:
        """Further HTTP paths for verbs."""
        return ()

    @hookspec
    def synapse_commands(self) -> Iterable[Any]:
        """Commands (`synapse.Command`) of the command line."""
        return ()

    @hookspec
    def synapse_extensions(self) -> Iterable[Extension]:
        """Options on commands that are there already."""
        return ()

    @hookspec
    def synapse_sections(self) -> Iterable[Section]:
        """Parts of `synapse status`."""
        return ()

    @hookspec
    def synapse_columns(self) -> Iterable[Column]:
        """Columns of `synapse list`."""
        return ()

    @hookspec
    def synapse_background(self) -> Iterable[Background]:
        """Work that goes on while the hub runs."""
        return ()


NAMES = tuple(name for name in vars(Hooks) if name.startswith("synapse_"))
