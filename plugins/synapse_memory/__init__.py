"""Shared knowledge: what one agent found out, the others find again; each key with its history, searched by its words."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from synapse import hookimpl

if TYPE_CHECKING:
    from synapse import Command, Fact, Projection, Reaction, Route, Table, Verb


@hookimpl
def synapse_facts() -> "Iterable[type[Fact]]":
    from synapse_memory.facts import FACTS

    return FACTS


@hookimpl
def synapse_projections() -> "Iterable[Projection]":
    from synapse_memory.entries import Entries

    return (Entries(),)


@hookimpl
def synapse_tables() -> "Iterable[Table]":
    from synapse_memory.table import Versions

    return (Versions(),)


@hookimpl
def synapse_verbs() -> "Iterable[Verb]":
    from synapse_memory.looking import READING
    from synapse_memory.saving import CHANGING
    from synapse_memory.searching import SEARCHING

    return (*CHANGING, *READING, *SEARCHING)


@hookimpl
def synapse_reactions() -> "Iterable[Reaction]":
    from synapse_memory.saving import NOTES

    return (NOTES,)


@hookimpl
def synapse_routes() -> "Iterable[Route]":
    from synapse import Route

    return (
        Route("GET", "/memory/list", "memory.list", agent=True),
        Route("GET", "/memory/search", "memory.search", agent=True),
        Route("GET", "/memory/stats", "memory.stats", agent=True),
        Route("GET", "/memory/show/{key}", "memory.show", agent=True),
        Route("POST", "/memory/save", "memory.save", agent=True),
        Route("DELETE", "/memory/{key}", "memory.delete", agent=True),
    )


@hookimpl
def synapse_commands() -> "Iterable[Command]":
    from synapse_memory.commands import COMMANDS

    return COMMANDS
