"""synapse: command-line coding agents as a team.

What a plugin may use is here, and is imported when it is first asked for; `synapse.errors` has the errors.
"""

__version__ = "0.1.0"

_PUBLIC = {
    "event": ("Event", "Fact"),
    "verb": (
        "Change", "Permission", "Reply", "Request", "Shape", "Verb", "Wait", "change", "query", "read", "wait",
    ),
    "projection": ("Projection",),
    "follower": ("Table",),
    "hookspecs": (
        "Background", "Call", "Column", "Extension", "Guard", "Owed", "Reaction", "Route", "Section", "hookimpl",
    ),
    "ids": ("ulid",),
    "settings": ("Setting", "setting"),
    "cli.chosen": ("chosen",),
    "cli.command": ("AS_JSON", "COMMON", "FROM", "NO_START", "WORKSPACE", "Argument", "Command", "Option", "text_of"),
    "cli.table": ("clock_time", "one_line", "since", "table", "write", "write_text"),
    "client.agent": ("Agent",),
    "client.blocking": ("Client",),
    "client.lines": ("dumps",),
    "library": ("Hub",),
    "lite": ("decode_lite", "encode_lite"),
}  # fmt: skip
_HOMES = {name: module for module, names in _PUBLIC.items() for name in names}
_RENAMED = {"clock_time": "clock", "setting": "value"}  # `synapse.clock` is a module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from synapse.cli.chosen import chosen as chosen
    from synapse.cli.command import AS_JSON as AS_JSON
    from synapse.cli.command import COMMON as COMMON
    from synapse.cli.command import FROM as FROM
    from synapse.cli.command import NO_START as NO_START
    from synapse.cli.command import WORKSPACE as WORKSPACE
    from synapse.cli.command import Argument as Argument
    from synapse.cli.command import Command as Command
    from synapse.cli.command import Option as Option
    from synapse.cli.command import text_of as text_of
    from synapse.cli.table import clock as _clock
    from synapse.cli.table import one_line as one_line
    from synapse.cli.table import since as since
    from synapse.cli.table import table as table
    from synapse.cli.table import write as write
    from synapse.cli.table import write_text as write_text
    from synapse.client.agent import Agent as Agent
    from synapse.client.blocking import Client as Client
    from synapse.client.lines import dumps as dumps
    from synapse.event import Event as Event
    from synapse.event import Fact as Fact
    from synapse.follower import Table as Table
    from synapse.hookspecs import Background as Background
    from synapse.hookspecs import Call as Call
    from synapse.hookspecs import Column as Column
    from synapse.hookspecs import Extension as Extension
    from synapse.hookspecs import Guard as Guard
    from synapse.hookspecs import Owed as Owed
    from synapse.hookspecs import Reaction as Reaction
    from synapse.hookspecs import Route as Route
    from synapse.hookspecs import Section as Section
    from synapse.hookspecs import hookimpl as hookimpl
    from synapse.ids import ulid as ulid
    from synapse.library import Hub as Hub
    from synapse.lite import decode_lite as decode_lite
    from synapse.lite import encode_lite as encode_lite
    from synapse.projection import Projection as Projection
    from synapse.settings import Setting as Setting
    from synapse.settings import value as _value
    from synapse.verb import Change as Change
    from synapse.verb import Permission as Permission
    from synapse.verb import Reply as Reply
    from synapse.verb import Request as Request
    from synapse.verb import Shape as Shape
    from synapse.verb import Verb as Verb
    from synapse.verb import Wait as Wait
    from synapse.verb import change as change
    from synapse.verb import query as query
    from synapse.verb import read as read
    from synapse.verb import wait as wait

    clock_time = _clock
    setting = _value


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'synapse' has no attribute {name!r}")
    module = __import__(f"synapse.{home}", fromlist=[name])
    found: object = getattr(module, _RENAMED.get(name, name))
    globals()[name] = found
    return found


def __dir__() -> "list[str]":
    return sorted([*globals(), *_HOMES])
