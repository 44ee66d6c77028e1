"""Tables of a profile's file, read into dataclasses by the types of their fields; what does not fit is said."""

import re
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def build(kind: type[T], table: Any, where: str) -> T:
    """A dataclass from a table; ValueError names the key that is unknown, missing or of another type.

    A field `source` with the metadata `key` is called by that in the file.
    """
    if not isinstance(table, dict):
        raise ValueError(f"'{where}' must be a table")
    hints = get_type_hints(kind)
    named = {field.metadata.get("key", field.name): field for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := table.keys() - named.keys():
        raise ValueError(f"unknown key '{where}.{min(unknown)}'")
    missing = [k for k, f in named.items() if k not in table and f.default is f.default_factory is MISSING]
    if missing:
        raise ValueError(f"'{where}' needs the key '{missing[0]}'")
    return kind(
        **{named[key].name: typed(hints[named[key].name], value, f"{where}.{key}") for key, value in table.items()}
    )


def typed(kind: Any, value: Any, where: str) -> Any:
    """A value as its field wants it."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return typed(next(one for one in inner if one is not type(None)), value, where)
    if kind is Any:
        return value
    if origin is re.Pattern:
        return _pattern(value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"'{where}' is {value!r}: it must be a list")
        return tuple(typed(inner[0], one, where) for one in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"'{where}' must be a table")
        return {name: typed(inner[1], one, f"{where}.{name}") for name, one in value.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        return build(kind, value, where)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"'{where}' is {value!r}: it must be a {kind.__name__}")
    return value


def _pattern(value: Any, where: str) -> re.Pattern[str]:
    try:
        return re.compile(value, re.MULTILINE)
    except (re.error, TypeError) as error:
        raise ValueError(f"'{where}': {error}") from None
