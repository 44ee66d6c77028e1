"""The plugin door: what a plugin may contribute. Each hook is called once at start and returns data.

A plugin is a module named by an entry point of the group `synapse.plugins`, with functions of these names marked by
`synapse.hookimpl`. Its verbs, kinds, projections and tables begin with the entry point's name. The command line asks
only for settings, profiles, commands and extensions, so what else a plugin needs is best imported inside its hooks.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pluggy

from synapse.event import Fact
from synapse.projection import Projection
from synapse.verb import Verb

if TYPE_CHECKING:
    from pathlib import Path

    from synapse.follower import Table  # SQLite comes with it: a command needs none
    from synapse.settings import Setting

GROUP = "synapse.plugins"
hookspec = pluggy.HookspecMarker("synapse")
hookimpl = pluggy.HookimplMarker("synapse")
P = TypeVar("P")


class Call(Protocol):
    """What a plugin's verbs, guards and reactions are given: who asks, when, the plugin's state, and how to say what
    happened."""

    @property
    def by(self) -> str:
        """The key of the participant who asks; `hub` when the hub or a plugin does."""

    @property
    def name(self) -> str:
        """What the participant who asks is called."""

    @property
    def workspace(self) -> str:
        """The workspace it asks from."""

    @property
    def at(self) -> float:
        """Now, in seconds since 1970; it never runs backwards."""

    @property
    def position(self) -> int:
        """The position of the record that this change becomes."""

    @property
    def reached(self) -> int:
        """What a reply gives as its position: that of its record, or where nothing changes, of the state it found."""

    def label(self, key: str) -> str:
        """What the participant of a key is, or was, called."""

    def state(self, kind: type[P]) -> P:
        """The plugin's projection of that type."""

    def emit(self, fact: Fact, story: str, workspace: str | None = None) -> None:
        """In a verb that changes something: this happened, in the caller's workspace unless another is named."""


Ask = Callable[[str, dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Owed:
    """A verb that must be called: it is asked for until it has answered, under a key that makes it happen once.

    `key` says what it is owed for, usually the position of an event; `<plugin>:<key>` is the idempotency key. `then` is
    asked for when it was done, `otherwise` when it was refused; their keys follow from this one unless they are given,
    and a parameter of theirs that is `{reason}` becomes what the refusal said. `by` is the key of the participant in
    whose name it is done.
    """

    verb: str
    params: dict[str, Any]
    key: str = ""
    then: "Owed | None" = None
    otherwise: "Owed | None" = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Reaction:
    """Work that follows from events: after a commit with one of `kinds`, and after every start, `owed(call)` says what
    is to be done, read from the state; what is done must end what is owed."""

    kinds: frozenset[str]
    owed: Callable[[Call], Iterable[Owed]]


@dataclass(frozen=True, slots=True)
class Guard:
    """A pure function of call and request that may raise Refused before a change is decided; `verbs` names them.

    A guard that fails, or whose plugin is out of order, refuses. The request is a copy; a long text is there as a blob.
    """

    verbs: frozenset[str]
    check: Callable[[Call, Any], None]


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
    """Options (`synapse.Option`) on a core command. When one of them was given and the command's change is done,
    `after(client, values, reply)` is called: a connected client, the plugin's options by name, the change's reply."""

    command: str
    options: tuple[Any, ...]
    after: Callable[[Any, dict[str, Any], dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of `synapse status`: the reply of a reading verb that needs no parameters, a line for each of its fields."""

    title: str
    verb: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `synapse list`: a reading verb without parameters whose reply's `agents` gives a text by agent's key."""

    title: str
    verb: str


@dataclass(frozen=True, slots=True)
class Background:
    """Work beside the loop: `run(ask)` lives as long as the hub; `await ask(verb, params)` asks a verb as the plugin."""

    name: str
    run: Callable[[Ask], Awaitable[None]]


class Hooks:
    """The hooks, with what each promises."""

    @hookspec
    def synapse_settings(self) -> "Iterable[Setting]":
        """Settings of the plugin's own, asked for before everything else."""
        return ()

    @hookspec
    def synapse_profiles(self) -> "Iterable[Path]":
        """Folders with profiles, one TOML file for each program."""
        return ()

    @hookspec
    def synapse_facts(self) -> Iterable[type[Fact]]:
        """The kinds of events that the plugin writes."""
        return ()

    @hookspec
    def synapse_projections(self) -> Iterable[Projection]:
        """Live state, folded from events: made anew at every call."""
        return ()

    @hookspec
    def synapse_tables(self) -> "Iterable[Table]":
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
        """What may refuse a change of anybody."""
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
FOR_COMMANDS = ("synapse_settings", "synapse_commands", "synapse_extensions")  # what the command line asks for
