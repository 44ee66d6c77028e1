"""`history`: what was asked of whom, and what came of it."""

from synapse.cli.command import COMMON, Argument, Command, Option
from synapse.cli.table import clock, one_line, since, span, table, write, write_text
from synapse.client.blocking import Client
from synapse.client.lines import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _client(common: "dict[str, Any]") -> Client:
    return Client(common["sender"] or "", common["workspace"] or "", start=not common["no_start"])


def _rows(reply: "dict[str, object]", name: str = "tasks") -> "list[dict[str, Any]]":
    rows = reply.get(name) or []
    assert isinstance(rows, list)
    return rows


def listed(*, agent: "str | None", limit: int, format: str, as_json: bool, **common: "Any") -> int:
    """The newest tasks, the newest last."""
    with _client(common) as client:
        found = _rows(client.call("history.list", agent=agent or "", limit=limit))
    if as_json or format == "json":
        write(dumps({"tasks": found}).decode())
    elif format == "csv":
        from synapse.cli.spreadsheet import TASKS, lines

        write(lines(TASKS, found, heads=True))
    elif not found:
        write("No tasks yet.\n")
    else:
        heads = ("TASK", "WHEN", "FROM", "TO", "STATE", "TOOK", "ASKED", "ANSWER")
        write(table(heads, [_row(task) for task in found], keep=("TASK", "STATE")))
    return 0


def _row(task: "dict[str, Any]") -> "tuple[str, ...]":
    at, ended = task.get("at", 0.0), task.get("ended_at", 0.0)
    return (
        str(task["task_id"]), clock(at), str(task["requester"]), str(task["agent"]), str(task["state"]),
        span(ended - at) if ended else since(at), one_line(str(task.get("text", ""))[:200]),
        one_line(str(task.get("answer", ""))[:200]),
    )  # fmt: skip


def show(task: str, *, as_json: bool, **common: "Any") -> int:
    """One task in full."""
    with _client(common) as client:
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


def search(
    words: "tuple[str, ...]",
    *,
    agent: "str | None",
    logic: str,
    limit: int,
    format: str,
    as_json: bool,
    **common: "Any",
) -> int:
    """The tasks in whose texts some words are, the best first; 1 when there is none."""
    from synapse.cli.chosen import chosen
    from synapse.errors import Refused

    if chosen("history.enabled") is False:
        raise Refused("history_off", "There is no search: `history.enabled` (SYNAPSE_HISTORY_ENABLED) is false.")
    query = " ".join(f'"{word}"' if " " in word and '"' not in word and len(words) > 1 else word for word in words)
    with _client(common) as client:
        reply = client.call("history.search", query=query, agent=agent or "", logic=logic.lower(), limit=limit)
    found = _rows(reply)
    if as_json or format == "json":
        write(dumps({"tasks": found, "many": bool(reply.get("many"))}).decode())
    elif format == "csv":
        from synapse.cli.spreadsheet import FOUND, lines

        write(lines(FOUND, found, heads=True))
    elif not found:
        raise Refused("nothing_found", f"Nothing holds {query[:80]!r}: fewer words, or a beginning (auth*).")
    else:
        for one in found:
            write(f"{one['task_id']}  {clock(one['at'])}  {one['requester']} to {one['agent']}, {one['state']}\n")
            write(f"    {one['where']}: {one_line(str(one['snippet']))}\n")
        if reply.get("many"):
            write("\nMore than 5,000 texts fit: only the newest of them were ranked. More words, or --logic and.\n")
    return 0 if found else 1


def stats(*, agent: "str | None", days: "float | None", format: str, as_json: bool, **common: "Any") -> int:
    """How many tasks each agent had, how they ended, how long they took, what they used."""
    with _client(common) as client:
        reply = client.call("history.stats", agent=agent or "", since=days_ago(days))
    found, total = _rows(reply, "agents"), reply["total"]
    assert isinstance(total, dict)
    if as_json or format == "json":
        write(dumps(reply).decode())
    elif format == "csv":
        from synapse.cli.spreadsheet import STATS, lines

        write(lines(STATS, found, heads=True))
    elif not found:
        write("No tasks yet.\n")
    else:
        heads = ("AGENT", "TASKS", "DONE", "FAILED", "OTHER", "SUCCESS", "MEDIAN", "TOKENS", "COST")
        rows = [_figures(one) for one in (*found, {**total, "agent": "all"})]
        write(table(heads, rows, keep=("AGENT", "TASKS", "SUCCESS")))
    return 0


def _figures(one: "dict[str, Any]") -> "tuple[str, ...]":
    states = dict(one.get("states") or {})
    done, failed = states.pop("completed", 0), states.pop("failed", 0)
    tokens = one.get("tokens") or {}
    took, success, cost = one.get("median"), one.get("success"), one.get("cost")
    return (
        str(one["agent"]), str(one.get("tasks", 0)), str(done or ""), str(failed or ""),
        ", ".join(f"{state} {count}" for state, count in states.items()),
        "" if success is None else f"{success:.0%}",
        "" if took is None else f"{took:.1f}s" if took < 10 else span(took),
        ", ".join(f"{kind} {count}" for kind, count in tokens.items()),
        "" if cost is None else f"{cost:.2f}",
    )  # fmt: skip


def days_ago(days: "float | None") -> float:
    """The time so many days ago; 0 for no bound."""
    from time import time

    from synapse.errors import BadRequest

    if days is None:
        return 0.0
    if not 0 <= days <= 1e6:
        raise BadRequest("bad_days", f"--days {days:g}: a number of days, 0 or more.")
    return max(0.001, time() - days * 86400)


def export(*, agent: "str | None", days: "float | None", format: str, as_json: bool, **common: "Any") -> int:
    """All tasks with their texts in full, a page at a time: memory does not grow with them."""
    from synapse.cli.spreadsheet import TASKS, lines

    count, token, since = 0, "", days_ago(days)
    with _client(common) as client:
        while True:
            page = client.call("history.export", agent=agent or "", since=since, token=token)
            found, token = _rows(page), str(page.get("next", ""))
            if format == "csv":
                write(lines(TASKS, found, heads=count == 0))
            elif format == "ndjson":
                write("".join(dumps(one).decode() for one in found))
            else:
                write(('{"tasks":[\n' if count == 0 else ",\n") + ",".join(dumps(one).decode() for one in found))
            count += len(found)
            if not token:
                break
    if format == "json":
        write("]}\n")
    return 0


def cleanup(
    *, days: "float | None", max_size: "float | None", dry_run: bool, force: bool, as_json: bool, **common: "Any"
) -> int:
    """Forget finished tasks that are too old, or the oldest until the rest is small enough; asks before."""
    bounds: dict[str, object] = {"days": days, "max_size_mb": max_size}
    with _client(common) as client:
        report = _clean(client, bounds, dry_run=True) if dry_run or not force else {"tasks": 1, "screens": 0}
        something = report["tasks"] or report["screens"]
        if not dry_run and something and (force or _sure(report)):
            report = _clean(client, bounds, dry_run=False)
        elif not dry_run and something:
            return 1
    write(dumps(report).decode() if as_json else _told(report))
    return 0


def _clean(client: Client, bounds: "dict[str, object]", *, dry_run: bool) -> "dict[str, Any]":
    work = client.change("history.cleanup", dry_run=dry_run, **bounds)["work"]
    while True:
        report = client.call("history.cleaned", timeout=50.0, work=work)
        if not report.get("pending"):
            return report


def _sure(report: "dict[str, Any]") -> bool:
    import sys

    from synapse.cli.errors import say
    from synapse.errors import Refused

    if not sys.stdin.isatty():
        raise Refused("not_asked", "There is no terminal to ask: give --force.")
    say(f"Forget {report['tasks']} tasks ({report['bytes'] / 1e6:.1f} MB){_beside(report)} for ever? [y/N] ".encode())
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _told(report: "dict[str, Any]") -> str:
    size, left = f"{report['bytes'] / 1e6:.1f} MB", f"{report['left']} tasks, {report['left_bytes'] / 1e6:.1f} MB"
    what = "would be forgotten" if report["dry_run"] else "forgotten"
    more = "" if report["dry_run"] else f" ({report['events']} events, {report['blobs']} long texts and files)"
    kept = f"; {report['kept']} kept, whose answer nobody has read yet" if report["kept"] else ""
    return f"{what}: {report['tasks']} tasks, {size}{more}{_beside(report)}{kept}; left: {left}\n"


def _beside(report: "dict[str, Any]") -> str:
    """What goes that is no task: files in the data folder."""
    screens = report["screens"]
    return f", {screens} terminal{'s' * (screens != 1)} of agents that ended" if screens else ""


_AGENT = Option("--agent", help="Only what was asked of this one.", metavar="TARGET")
_FORMAT = Option("--format", choices=("table", "json", "csv"), default="table", help="How it is printed.")
_DAYS = Option("--days", kind=float, help="Only what was asked in the last so many days.", metavar="N")
_LISTED = (_AGENT, Option("--limit", kind=int, default=50, help="At most so many, the newest."), _FORMAT, *COMMON)
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
    Command(
        "history search", search, "The tasks in whose texts some words are, the best first.",
        Argument("words", help='Words, "a phrase", or a beginning: auth*.', many=True), _AGENT,
        Option("--logic", choices=("or", "and", "OR", "AND"), default="or", help="One of the words, or all of them."),
        Option("--limit", kind=int, default=20, help="At most so many, the best."), _FORMAT, *COMMON,
        example="synapse history search token format --logic and",
    ),
    Command(
        "history stats", stats, "How many tasks each agent had, how they ended, what they used.",
        _AGENT, _DAYS, _FORMAT, *COMMON,
        example="synapse history stats --days 7",
    ),
    Command(
        "history export", export, "All tasks with their texts in full, the oldest first.",
        _AGENT, _DAYS,
        Option("--format", choices=("json", "ndjson", "csv"), default="json", help="How they are written."),
        *COMMON,
        example="synapse history export --format csv",
    ),
    Command(
        "history cleanup", cleanup, "Forget finished tasks for ever: the old ones, or the oldest until the rest is small.",
        Option("--days", kind=float, help="Those that ended more than so many days ago; 0: all.", metavar="N"),
        Option("--max-size", kind=float, help="The oldest, until all take so many megabytes at most; 0: all.", metavar="MB"),
        Option("--dry-run", flag=True, help="Only say what would go."),
        Option("--force", flag=True, help="Do not ask."), *COMMON,
        example="synapse history cleanup --days 90 --dry-run",
    ),
)  # fmt: skip
