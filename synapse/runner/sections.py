"""A record that is a plain text: its parts begin with lines that a profile knows, and become entries as JSON lines are."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from synapse.runner.parts import Record


def sections(record: Record, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Each part: its `kind`, its `text`, and that as it stands there (`raw`). What stands above the first is in none."""
    kind, texts = "", list[str]()
    for line in lines:
        begun = next((name for name, pattern in record.sections.items() if pattern.search(line)), "")
        if not begun:
            texts.append(line)
            continue
        if kind:
            yield _entry(record, kind, texts)
        kind, texts = begun, []
    if kind:
        yield _entry(record, kind, texts)


def _entry(record: Record, kind: str, lines: list[str]) -> dict[str, Any]:
    text = "\n".join(_bare(record.prefix, line) for line in lines)
    text = record.without.sub("", text) if record.without else text
    return {"kind": kind, "text": text, "raw": "\n".join(lines)}


def _bare(prefix: re.Pattern[str] | None, line: str) -> str:
    return prefix.sub("", line, count=1) if prefix else line
