"""The tables of a profile's file: which field each key means, and of what type it must be."""

import re
from typing import Any

from synapse.runner.parts import SCREEN, SOURCES, Answering, Record, Rule, Session, Start, Stream
from synapse.runner.tables import build, typed

TABLES: dict[str, dict[str, str]] = {
    "": {
        "command": "command",
        "ports": "ports",
        "signals": "signals",
        "trust": "trust",
        "instructions": "instructions",
        "resume": "resume",
        "mcp": "mcp",
    },
    "submit": {
        "pause": "pause",
        "enter": "enter",
        "header": "header",
        "pastes": "pastes",
        "multiline": "multiline",
        "longest": "longest",
        "again": "again",
        "clear": "clear",
        "closes": "closes",
        "placeholder": "placeholder",
        "continued": "continued",
        "composer": "composer",
    },
    "interrupt": {"keys": "interrupt", "pause": "interrupt_pause"},
    "stop": {"text": "stop_text"},
    "status": {
        "settle": "settle",
        "still": "still",
        "prompt": "prompt",
        "open": "open",
        "unseen": "unseen",
        "foot": "foot",
        "busy": "busy",
        "ready": "ready",
        "ended": "ended",
        "pauses": "pauses",
        "waiting": "waiting",
        "limited": "limited",
        "limit_lasts": "limit_lasts",
        "doubt": "doubt",
        "silent": "silent",
        "choice": "choice",
    },
    "answer": {
        "first": "answer_first",
        "rest": "answer_rest",
        "failed": "answer_failed",
        "drop": "drop",
        "from": "answer_from",
    },
    "approve": {
        "by": "approve_by",
        "yes": "approve_yes",
        "no": "approve_no",
        "accept": "accept",
        "decline": "decline",
        "enter": "approve_enter",
        "marker": "marker",
        "across": "across",
        "command": "command_asked",
    },
}
_PATTERNS = {"busy", "ready", "ended", "waiting", "limited", "drop"}
_PATTERN = {"choice", "placeholder", "continued", "composer", "answer_first", "answer_rest", "answer_failed"}
_PATTERN |= {"prompt", "open", "approve_yes", "approve_no", "marker", "command_asked"}
_ONE_OF = {"approve_by": ("", "digit", "letter", "arrows", "keys", "http")}


def read(tables: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """The fields that the tables of a file set; `usual` are those of all profiles. ValueError says what is wrong."""
    parts = _parts(tables)
    found: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, dict) and key:
            found |= {_known(key, name): each for name, each in value.items()}
        else:
            found[_known("", key)] = value
    fields = {name: _typed(name, value, usual[name]) for name, value in found.items()} | parts
    _check(fields)
    return fields


def _parts(tables: dict[str, Any]) -> dict[str, Any]:
    """The parts that have fields of their own, taken out of the tables."""
    parts: dict[str, Any] = {}
    if "signal" in tables:
        parts["rules"] = typed(tuple[Rule, ...], tables.pop("signal"), "signal")
    if "stream" in tables:
        parts["streams"] = typed(dict[str, Stream], tables.pop("stream"), "stream")
    for name, kind in (("start", Start), ("session", Session)):
        if name in tables:
            parts[name] = build(kind, tables.pop(name), name)
    answer = tables.get("answer")
    if isinstance(answer, dict) and "record" in answer:
        parts["record"] = build(Record, answer.pop("record"), "answer.record")
    approve = tables.get("approve")
    if isinstance(approve, dict) and "http" in approve:
        parts["answering"] = typed(tuple[Answering, ...], approve.pop("http"), "approve.http")
    return parts


def _check(found: dict[str, Any]) -> None:
    """ValueError when parts of a profile do not fit together."""
    known = (*SOURCES, *found.get("streams", ()))
    for source in (*(rule.source for rule in found.get("rules", ())), *found.get("trust", ())):
        if source not in (*known, SCREEN):
            raise ValueError(f"'{source}' is no source: {', '.join([*known, SCREEN])}")
    for way in found.get("answer_from", ()):
        if way not in ("signal", "record", "screen"):
            raise ValueError(f"'answer.from' names {way!r}: it takes signal, record, screen")


def _known(table: str, key: str) -> str:
    """The field that a key of a table means."""
    try:
        return TABLES[table][key]
    except KeyError:
        raise ValueError(f"unknown key '{table}{'.' if table else ''}{key}'") from None


def _typed(name: str, value: Any, usual: Any) -> Any:
    """A value of the file as the field wants it; ValueError when it is of another kind."""
    try:
        if name in _PATTERNS:
            return tuple(re.compile(each, re.MULTILINE) for each in _list(value, str))
        if name in _PATTERN:
            return re.compile(value, re.MULTILINE)
    except (re.error, TypeError) as error:
        raise ValueError(f"'{name}': {error}") from None
    if isinstance(usual, tuple):
        return _list(value, int if name == "ports" else str)
    if isinstance(usual, float) and type(value) is int:
        return float(value)
    if type(value) is not type(usual):
        raise ValueError(f"'{name}' is {value!r}: it must be a {type(usual).__name__}")
    if value not in _ONE_OF.get(name, (value,)):
        raise ValueError(f"'{name}' is {value!r}: it must be one of {', '.join(filter(None, _ONE_OF[name]))}")
    return value


def _list(value: Any, kind: type) -> tuple[Any, ...]:
    if not isinstance(value, list) or not all(type(each) is kind for each in value):
        raise ValueError(f"{value!r} must be a list of {kind.__name__}")
    return tuple(value)
