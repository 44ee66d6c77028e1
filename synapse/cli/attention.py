"""`waiting`, `approve`, `reject`: what waits for a person, and the answers to it."""

from synapse.cli.command import AS_JSON, FROM, NO_START, Command, Option
from synapse.cli.table import one_line, since, table, write
from synapse.client.blocking import Client
from synapse.client.lines import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HINTS = {
    "permission": "synapse approve {id}   or   synapse reject {id}",
    "input": "synapse attach {agent}",
    "question": "synapse reply --to {id} ...",
    "stalled": "synapse status {agent}",
    "rate_limit": "synapse status {agent}",
}


def waiting(*, here: bool, workspace: "str | None", as_json: bool, sender: "str | None", no_start: bool) -> int:
    """What waits for a person, most blocking and oldest first."""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        found = client.call("attention.waiting", workspace=workspace or ("" if here else "*"))
    items = found.get("items") or []
    assert isinstance(items, list)
    if as_json:
        write(dumps(items).decode())
    elif items:
        rows = [_row(item) for item in items]
        write(table(("ID", "KIND", "AGENT", "WORKSPACE", "SINCE", "WHAT"), rows, keep=("ID", "AGENT", "KIND", "WHAT")))
        hints = dict.fromkeys(HINTS[str(item["kind"])].format(**item) for item in items[:1])
        write("".join(f"\nAnswer: {hint}\n" for hint in hints))
    else:
        write("Nothing waits for you.\n")
    return 0


def _row(item: "dict[str, Any]") -> "tuple[str, ...]":
    choices = " / ".join(item["choices"])
    what = f"{one_line(item['what'])}{f' [{choices}]' if choices else ''}"
    return item["id"], item["kind"], item["agent"], item["workspace"], since(item["since"]), what


COMMANDS = (
    Command(
        "waiting", waiting, "What waits for a person: permissions, questions, stalled work, rate limits.",
        Option("--here", flag=True, help="Only in this folder's workspace."),
        Option("--workspace", help="Only in this workspace."), AS_JSON, FROM, NO_START,
        example="synapse waiting --json", quick=True,
    ),
)  # fmt: skip
