"""`list`: the agents, in a live table on a person's terminal, else printed once."""

import os

from synapse.cli.agent_rows import EMPTY, KEEP, cells, heads_of
from synapse.cli.command import COMMON, Command, Option
from synapse.cli.looking import part_of
from synapse.cli.table import table, write
from synapse.client.blocking import Client
from synapse.client.lines import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def list_agents(
    *, all: bool, plain: bool, as_json: bool, sender: "str | None", workspace: "str | None", no_start: bool
) -> int:
    """The agents, what they do and where; with --all people, plain clients and other workspaces too."""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        reply = client.call("agents.list", workspace="*" if all else "", all=all)
        found, added = _rows(reply, "agents"), _rows(reply, "columns")
        if not (as_json or plain) and _live():
            place = str(client.welcome.get("workspace") or "")
            return _show(place, sender=sender or "", workspace=workspace or "", all=all)
        for column in added if found else ():
            told = part_of(client, column).get("agents") or {}
            assert isinstance(told, dict)
            for row in found:
                row.setdefault("columns", {})[column["title"]] = told.get(row["key"], "")
    if as_json:
        write(dumps(found).decode())
    elif found:
        from synapse.cli.chosen import chosen

        heads = heads_of(chosen("list.columns"), all=all, added=[column["title"] for column in added])
        write(table(tuple(head.upper() for head in heads), [cells(row, heads) for row in found], keep=KEEP))
    else:
        write(f"{EMPTY}\n")
    return 0


def _live() -> bool:
    """Does a person look, at a terminal that can show more than lines? A program in an agent's terminal would hang."""
    if os.environ.get("SYNAPSE_AGENT_ID") or os.environ.get("TERM", "") in ("", "dumb"):
        return False
    return os.isatty(0) and os.isatty(1)


def _show(place: str, **caller: "Any") -> int:
    from synapse.cli.chosen import chosen

    columns = chosen("list.columns")
    from synapse.cli.live import show

    return show(place, columns=columns, **caller)


def _rows(reply: "dict[str, object]", name: str) -> "list[dict[str, Any]]":
    rows = reply.get(name) or []
    assert isinstance(rows, list)
    return rows


COMMANDS = (
    Command(
        "list", list_agents, "The agents: state, work, folder. On a terminal a live table, else printed once.",
        Option("--all", flag=True, help="People and plain clients too, and every workspace."),
        Option("--plain", flag=True, help="A plain table, also on a terminal."), *COMMON,
        example="synapse list --json", quick=True,
    ),
)  # fmt: skip
