"""Rows as CSV, as spreadsheets read it: times in UTC, one line of heads."""

import csv
import io
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from synapse.client.lines import dumps

Columns = tuple[tuple[str, Callable[[dict[str, Any]], object]], ...]


def _plain(name: str, default: object = "") -> tuple[str, Callable[[dict[str, Any]], object]]:
    return name, lambda row: row.get(name, default)


def _time(name: str, key: str) -> tuple[str, Callable[[dict[str, Any]], object]]:
    return name, lambda row: _utc(row.get(key) or 0.0)


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else ""


def _took(row: dict[str, Any]) -> object:
    return round(row["ended_at"] - row["at"], 3) if row.get("ended_at") else ""


_WHO = (_plain("task_id"), _plain("agent"), _plain("requester"), _plain("state"), _time("asked", "at"))
TASKS: Columns = (
    *_WHO, _time("ended", "ended_at"), ("seconds", _took), _plain("reason"), _plain("source"), _plain("text"),
    _plain("answer"), ("tokens", lambda row: dumps(row["usage"]).decode().strip() if row.get("usage") else ""),
)  # fmt: skip
FOUND: Columns = (*_WHO, _time("ended", "ended_at"), _plain("where"), _plain("snippet"), _plain("rank"))
STATES = ("submitted", "working", "input-required", "auth-required", "completed", "failed", "canceled", "rejected")


def _state(name: str) -> tuple[str, Callable[[dict[str, Any]], object]]:
    return name, lambda row: (row.get("states") or {}).get(name, 0)


STATS: Columns = (
    _plain("agent"), _plain("tasks", 0), *map(_state, STATES), _plain("success"), _plain("median"),
    ("tokens", lambda row: dumps(row["tokens"]).decode().strip() if row.get("tokens") else ""), _plain("cost"),
)  # fmt: skip


def lines(columns: Columns, rows: Iterable[dict[str, Any]], *, heads: bool) -> str:
    """The rows, under a line of heads where it is wanted."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    if heads:
        writer.writerow(name for name, _ in columns)
    writer.writerows([value(row) for _, value in columns] for row in rows)
    return out.getvalue()
