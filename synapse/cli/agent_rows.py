"""An agent as a row of a table, printed or live. Quick commands import this: nothing heavy here."""

from synapse.cli.table import one_line, since
from synapse.settings.declared import COLUMNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Row = dict[str, Any]

EMPTY = "No agents here: `synapse run claude` starts one; --all shows other workspaces and people."
KEEP = ("NAME", "STATUS", "ID")  # the columns that a narrow terminal keeps longest
_FIELDS = {"ID": "agent_id", "TYPE": "agent_type"}


def heads_of(chosen: object, *, all: bool, added: "Sequence[str]") -> "tuple[str, ...]":
    """The columns: those that were chosen (`list.columns`), and those that plugins add."""
    assert isinstance(chosen, tuple)
    return (*(("WORKSPACE",) if all else ()), *chosen, *added)


def cells(row: "Row", heads: "Sequence[str]") -> "tuple[str, ...]":
    """What stands in these columns."""
    return tuple(_cell(row, head) for head in heads)


def _cell(row: "Row", head: str) -> str:
    if head == "CURRENT":
        received = row.get("task_received_at") or 0.0
        text = str(row.get("current_task_preview") or "")
        return f"{text} ({since(received)})".strip() if received else text
    if head != "WORKSPACE" and head not in COLUMNS:  # a plugin's, by its title
        return str((row.get("columns") or {}).get(head, ""))
    return str(row.get(_FIELDS.get(head, head.lower())) or "")


def matches(row: "Row", words: str) -> bool:
    """Does a row hold all of these words, in whatever column?"""
    fields = ("workspace", "name", "agent_id", "agent_type", "role", "status", "current_task_preview", "working_dir")
    whole = " ".join(str(row.get(name) or "") for name in (*fields, "skill_set", "editing_file")).lower()
    return all(word in whole for word in one_line(words).lower().split())
