"""Notices for the terminal of whoever looks at the agent: OSC 9 (iTerm2 and others), or OSC 777 (urxvt, foot and others)."""

from typing import Any


def notice(params: dict[str, Any]) -> bytes:
    """The bytes that make a terminal show a notice; nothing of the text can be taken for more than text."""
    title, text = (_plain(str(params.get(name, ""))) for name in ("title", "text"))
    if params.get("way") == "osc777":
        return f"\x1b]777;notify;{title.replace(';', ',')};{text}\x07".encode()
    return f"\x1b]9;{title} {text}\x07".encode()


def _plain(text: str) -> str:
    return "".join(sign for sign in text if sign.isprintable())[:400]
