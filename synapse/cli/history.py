"""`history`: what was asked of whom, and what came of it."""

from synapse.cli.command import COMMON, Argument, Command, Option
from synapse.cli.table import clock, one_line, since, span, table, write, write_text
from synapse.client.blocking import Client
from synapse.client.lines import dumps


def listed(
    *,
    agent: "str | None",
    limit: int,
    as_json: bool,
    sender: "str | None",
    workspace: "str | None",
    no_start: bool,
) -> int:
    """The newest tasks, the newest last."""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        found = client.call("history.list", agent=agent or "", limit=limit).get("tasks") or []
    assert isinstance(found, list)
    if as_json:
        write(dumps({"tasks": found}).decode())
    elif not found:
        write("No tasks yet.\n")
    else:
        heads = ("TASK", "WHEN", "FROM", "TO", "STATE", "TOOK", "ASKED", "ANSWER")
        write(table(heads, [_row(task) for task in found], keep=("TASK", "STATE")))
    return 0


def _row(task: "dict[str, object]") -> "tuple[str, ...]":
    at, ended = task.get("at", 0.0), task.get("ended_at", 0.0)
    assert isinstance(at, int | float)
    assert isinstance(ended, int | float)
    return (
        str(task["task_id"]), clock(at), str(task["requester"]), str(task["agent"]), str(task["state"]),
        span(ended - at) if ended else since(at), one_line(str(task.get("text", ""))[:200]),
        one_line(str(task.get("answer", ""))[:200]),
    )  # fmt: skip


def show(task: str, *, as_json: bool, sender: "str | None", workspace: "str | None", no_start: bool) -> int:
    """One task in full."""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        found = client.call("history.show", task=task)
    if as_json:
        write(dumps(found).decode())
        return 0
    id, when, requester, agent, state, took, _, _ = _row(found)
    reason = f" ({found['reason']})" if found.get("reason") else ""
    write(f"{id}: {requester} asked {agent}, {when}; {state}{reason} after {took}\n\n")
    write_text(str(found.get("text", "")))
    if found.get("answer"):
        write(f"\n--- {agent} answered ---\n\n")
        write_text(str(found["answer"]))
    usage = found.get("usage")
    if isinstance(usage, dict) and usage:
        write(f"\n--- tokens: {', '.join(f'{name} {count}' for name, count in usage.items())} ---\n")
    return 0


_LISTED = (
    Option("--agent", help="Only what was asked of this one.", metavar="TARGET"),
    Option("--limit", kind=int, default=50, help="At most so many, the newest."),
    *COMMON,
)
COMMANDS = (
    Command(
        "history", listed, "What was asked of whom, and what came of it.", *_LISTED,
        example="synapse history --agent codex --limit 10", quick=True,
    ),
    Command(
        "history list", listed, "The newest tasks (the same as `synapse history`).", *_LISTED,
        example="synapse history list --json", quick=True,
    ),
    Command(
        "history show", show, "One task with its request and its answer in full.",
        Argument("task", help="The task's id."), *COMMON,
        example="synapse history show t-01M7XQCXHHAGM20MQW5N3H0VJV", quick=True,
    ),
)  # fmt: skip
