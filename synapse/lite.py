"""Events in few letters: the seven core fields under short keys, one line each, for observers who pay by the token."""

import json
from typing import Any

# short key: the field of an event. The address (`position.index`) is one field, and `.0` is left away.
KEYS = {"n": "position", "t": "at", "k": "kind", "b": "by", "w": "workspace", "s": "story", "d": "body"}
_EMPTY: "tuple[Any, ...]" = ("", {}, None)


def encode_lite(event: "dict[str, Any]") -> str:
    """One event as a line without its line feed; what is empty is left out. `decode_lite` gives it back.

    Times are kept to the millisecond.
    """
    short: dict[str, Any] = {}
    for key, name in KEYS.items():
        value = event.get(name, "")
        if key == "n":
            index = event.get("index", 0)
            value = f"{value}.{index}" if index else value
        elif key == "t":
            value = round(value, 3) if value else ""
            value = int(value) if value and value == int(value) else value
        if value not in _EMPTY:
            short[key] = value
    return json.dumps(short, ensure_ascii=False, separators=(",", ":"))


def decode_lite(line: str) -> "dict[str, Any]":
    """The event in such a line, with every field; ValueError when it is none."""
    short = json.loads(line)
    if not isinstance(short, dict) or "n" not in short or "k" not in short:
        raise ValueError(f"not an event in few letters: {line[:80]!r}")
    position, _, index = str(short["n"]).partition(".")
    return {
        "position": int(position),
        "index": int(index or 0),
        "at": float(short.get("t", 0.0)),
        "kind": short["k"],
        "by": short.get("b", ""),
        "workspace": short.get("w", ""),
        "story": short.get("s", ""),
        "body": short.get("d", {}),
    }
