"""Writes docs/reference.md from the declarations: `make docs`. A test holds the page equal to what this gives."""

import sys
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from synapse import plugins
from synapse.event import Fact
from synapse.hub.core import VERBS
from synapse.hub.facts import CORE
from synapse.verb import Shape, Verb

PAGE = Path(__file__).with_name("reference.md")
HEAD = """# Reference: verbs and events

Made from the declarations by `make docs`; a test holds it equal to them. Commands and exit codes are in
[commands.md](commands.md), settings and environment names in [settings.md](settings.md), how verbs are asked in
[http.md](http.md).

## Verbs

A *change* writes events and takes an `idempotency_key`; a *read* is answered from memory, a *query* from the log or a
table; a *wait* answers when something has happened, or `pending` after at most 60 s; a *session* verb is about the
caller's own connection. The permission is what a caller must have: agents have `read` and `write`, a person has all.
"""
HIDDEN = ("idempotency_key", "idem_key")


def page() -> str:
    """The whole page."""
    working = [plugin for plugin in plugins.load() if plugin.works]
    verbs = sorted([*VERBS, *(verb for plugin in working for verb in plugin.verbs)], key=lambda verb: verb.name)
    facts = sorted([*CORE, *(fact for plugin in working for fact in plugin.facts)], key=lambda fact: fact.kind)
    parts = [HEAD, *(_verb(verb) for verb in verbs if not verb.internal)]
    parts.append("## Events\n\nFacts in the log. Kinds live for ever: fields are only added, with a default.\n")
    return "\n".join([*parts, *(_fact(fact) for fact in facts)])


def _verb(verb: Verb) -> str:
    kind = f"{verb.shape.value}, `{verb.permission.value}`"
    lines = [f"### {verb.name}\n", f"{verb.summary} ({kind})\n"]
    lines += _fields("Takes", verb.request)
    reply = verb.reply
    for option in get_args(reply) if get_origin(reply) in (Union, UnionType) else (reply,):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            lines += _fields("Gives", option)
    if verb.shape is Shape.WAIT:
        lines.append('Or `{"pending": true}`.\n')
    return "\n".join(lines)


def _fact(fact: type[Fact]) -> str:
    return "\n".join([f"### {fact.kind}\n", f"{_doc(fact)}\n", *_fields("Holds", fact)])


def _doc(thing: Any) -> str:
    return " ".join((thing.__doc__ or "").split())


def _fields(title: str, struct: Any) -> list[str]:
    rows = [field for field in msgspec.structs.fields(struct) if field.name not in HIDDEN]
    if not rows:
        return []
    lines = [f"{title}:\n", "| field | type | default |", "|---|---|---|"]
    lines += [f"| `{row.encode_name}` | {_type(row.type)} | {_default(row)} |" for row in rows]
    return [*lines, ""]


def _type(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(_type(each) for each in arguments)
    if origin in (tuple, list):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"map of {_type(arguments[1])}"
    names = {str: "text", int: "integer", float: "number", bool: "true/false", bytes: "base64", type(None): "nothing"}
    return names.get(kind) or getattr(kind, "__name__", str(kind))


def _default(field: Any) -> str:
    if field.required:
        return "needed"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return f"`{msgspec.json.encode(value).decode()}`"


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")
