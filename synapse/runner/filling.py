"""Placeholders in the texts of a profile: `{folder}`, `{hook}`."""

import re
from collections.abc import Mapping

from synapse.client.lines import dumps

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def fill(text: str, values: Mapping[str, str], *, quoted: bool = False) -> str:
    """A text with the values in the places of their names; other braces stay. `quoted`: as within a JSON string."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            return found[0]
        as_is = not quoted or name == "hook_list"
        return values[name] if as_is else dumps(values[name]).decode().strip()[1:-1]

    return _PLACEHOLDER.sub(value, text)
