"""Placeholders in the texts of a profile: `{folder}`, `{session:8}` (its first 8 characters); and places by variables."""

import os
import re
from collections.abc import Mapping

from synapse.client.lines import dumps

_PLACEHOLDER = re.compile(r"\{(\w+)(?::(\d+))?\}")


def fill(text: str, values: Mapping[str, str], *, quoted: bool = False) -> str:
    """A text with the values in the places of their names; other braces stay. `quoted`: as within a JSON string."""

    def value(found: re.Match[str]) -> str:
        name, first = found.groups()
        if name not in values:
            return found[0]
        wanted = values[name][: int(first)] if first else values[name]
        return wanted if not quoted or name == "hook_list" else dumps(wanted).decode().strip()[1:-1]

    return _PLACEHOLDER.sub(value, text)


def where(text: str, env: Mapping[str, str]) -> str:
    """The first of the places between `|` that is set: a path, or `$NAME` or `$NAME/path` by what the environment says."""
    for one in text.split("|"):
        name, slash, rest = one.partition("/") if one.startswith("$") else ("", "", one)
        found = one if not name else f"{env[name[1:]]}{slash}{rest}" if env.get(name[1:]) else ""
        if found:
            return os.path.expanduser(found)
    return ""
