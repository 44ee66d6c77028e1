"""JSON that people write by hand, with comments in it, and two of them joined."""

import re
from typing import Any

from synapse.client.lines import dumps, loads

_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)


def read_json(what: str) -> dict[str, Any]:
    """The object in a text that begins with `{`, or in a file; ValueError when there is none."""
    if what.lstrip().startswith("{"):
        text = what
    else:
        with open(what, encoding="utf-8") as file:
            text = file.read()
    return parse(text)


def parse(text: str) -> dict[str, Any]:
    """The object in a text; comments and commas at ends of lists are allowed."""
    plain = _TRAILING.sub(lambda found: found[1] or "", _COMMENT.sub(lambda found: found[1] or " ", text))
    found = loads(plain.encode())
    if not isinstance(found, dict):
        raise ValueError("it holds no JSON object")
    return found


def merged(text: str, theirs: dict[str, Any]) -> str:
    """Our object with theirs: lists one behind the other, tables within each other; else theirs counts."""
    return dumps(_join(parse(text), theirs)).decode()


def _join(ours: Any, theirs: Any) -> Any:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return {**ours, **{key: _join(ours[key], value) if key in ours else value for key, value in theirs.items()}}
    if isinstance(ours, list) and isinstance(theirs, list):
        return [*theirs, *ours]
    return theirs
