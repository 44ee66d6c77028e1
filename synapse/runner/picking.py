"""Values in what a program reports, by the names of their fields: `message.content[type=text].text`."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

_STEP = re.compile(r"([^.\[\]]+)((?:\[[^\]=]+=[^\]]*\])*)(?:\.|$)")
_FILTER = re.compile(r"\[([^\]=]+)=([^\]]*)\]")


def pick(value: Any, path: str) -> list[Any]:
    """All values that a path leads to. A name looks into every member of a list, a number picks one; `[a=b]` keeps the
    objects whose field is that."""
    found = [value]
    for name, filters in _STEP.findall(path):
        found = [one for each in found for one in _step(each, name)]
        for key, wanted in _FILTER.findall(filters):
            found = [one for each in found for one in _members(each) if _is(one, key, wanted)]
    return [one for one in found if one is not None]


def text(value: Any, path: str, join: str = "\n") -> str:
    """The strings that a path leads to, joined; "" when there are none."""
    if not path:
        return ""
    return join.join(one for each in pick(value, path) for one in _members(each) if isinstance(one, str))


def number(value: Any, path: str) -> int | None:
    """The sum of the numbers that a path leads to; None when there are none."""
    found = [one for one in pick(value, path) if isinstance(one, int | float) and not isinstance(one, bool)]
    return int(sum(found)) if found else None


def matches(value: Any, conditions: Mapping[str, Any]) -> bool:
    """Do all the conditions hold? A path must lead to a value that is the wanted one, or one of a list; a table wants
    `match` (a regular expression), or `absent` (nothing there)."""
    return all(_holds(pick(value, path), wanted) for path, wanted in conditions.items())


def check(conditions: Mapping[str, Any], where: str) -> None:
    """ValueError when a condition is none."""
    for path, wanted in conditions.items():
        if isinstance(wanted, dict):
            if not wanted or wanted.keys() - {"match", "absent"}:
                raise ValueError(f"'{where}.{path}' takes `match` or `absent`")
            try:
                re.compile(wanted.get("match", ""))
            except (re.error, TypeError) as error:
                raise ValueError(f"'{where}.{path}': {error}") from None


def _holds(found: list[Any], wanted: Any) -> bool:
    if isinstance(wanted, dict):
        if "absent" in wanted:
            return bool(wanted["absent"]) is not bool(found)
        return any(isinstance(one, str) and re.search(wanted["match"], one) for one in found)
    options = wanted if isinstance(wanted, list) else [wanted]
    return any(type(one) is type(option) and one == option for one in found for option in options)


def _step(value: Any, name: str) -> Iterable[Any]:
    if isinstance(value, list):
        if name.isdecimal():
            return value[int(name) : int(name) + 1]
        return [one[name] for one in value if isinstance(one, dict) and name in one]
    return [value[name]] if isinstance(value, dict) and name in value else []


def _members(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is(value: Any, key: str, wanted: str) -> bool:
    return isinstance(value, dict) and str(value.get(key)) == wanted
