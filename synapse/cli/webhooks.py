"""`webhooks`: URLs that the hub calls when tasks have ended or ask something."""

from synapse.cli.command import COMMON, Argument, Command, Option
from synapse.cli.secretfile import secret_in
from synapse.cli.table import clock, one_line, since, table, write
from synapse.client.blocking import Client
from synapse.client.lines import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LONGEST = 8192  # bytes of a secret


def _client(common: "dict[str, Any]") -> Client:
    return Client(common["sender"] or "", common["workspace"] or "", start=not common["no_start"])


def listed(*, as_json: bool, **common: "Any") -> int:
    """The webhooks that there are."""
    with _client(common) as client:
        reply = client.call("webhooks.list")
    heads = ("WEBHOOK", "URL", "EVENTS", "AGENT", "OWNER", "SIGNED", "SINCE", "WAITING", "GIVEN_UP")
    none = "No webhooks: `synapse webhooks add URL` adds one.\n"
    return _shown(reply, "webhooks", heads, _row, keep=("WEBHOOK", "URL"), none=none, as_json=as_json)


def _shown(
    reply: "dict[str, object]",
    name: str,
    heads: "tuple[str, ...]",
    cells: "Callable[[dict[str, Any]], tuple[str, ...]]",
    *,
    keep: "tuple[str, ...]",
    none: str,
    as_json: bool,
) -> int:
    """The rows of a reply, as they are or as a table."""
    rows = reply.get(name) or []
    assert isinstance(rows, list)
    if as_json:
        write(dumps(reply).decode())
    else:
        write(table(heads, [cells(one) for one in rows], keep=keep) if rows else none)
    return 0


def _row(one: "dict[str, Any]") -> "tuple[str, ...]":
    events = [event.removeprefix("task.") for event in one["events"]]
    return (
        str(one["id"]), str(one["url"]), "all" if len(events) == 4 else ", ".join(events), str(one["agent"]),
        str(one["owner"]), "yes" if one["signed"] else "no", since(one["since"]), str(one["waiting"] or ""),
        str(one["given_up"] or ""),
    )  # fmt: skip


def add(
    url: str,
    *,
    event: "tuple[str, ...]",
    agent: "str | None",
    secret_file: "str | None",
    as_json: bool,
    **common: "Any",
) -> int:
    """Have a URL called."""
    secret = secret_in(secret_file, LONGEST) if secret_file else ""
    events = [f"task.{one.removeprefix('task.').replace('-', '_')}" for one in event]
    with _client(common) as client:
        made = client.change("webhooks.add", url=url, events=events, agent=agent or "", secret=secret)
    if as_json:
        write(dumps(made).decode())
        return 0
    signed = "signed" if made["signed"] else "not signed"
    whose = f" of {made['agent']}" if made["agent"] else ""
    told = made["events"]
    assert isinstance(told, list)
    write(f"{made['id']}: {made['url']} is called on {', '.join(told)}{whose}, {signed}\n")
    return 0


def remove(webhook: str, *, as_json: bool, **common: "Any") -> int:
    """Call a URL no more."""
    with _client(common) as client:
        gone = client.change("webhooks.remove", **{"url" if "://" in webhook else "id": webhook})
    removed = gone["removed"]
    assert isinstance(removed, list)
    write(dumps(gone).decode() if as_json else f"removed: {', '.join(removed)}\n")
    return 0


def deliveries(webhook: "str | None", *, limit: int, as_json: bool, **common: "Any") -> int:
    """What became of the calls."""
    with _client(common) as client:
        reply = client.call("webhooks.deliveries", id=webhook or "", limit=limit)
    heads = ("WEBHOOK", "WHEN", "EVENT", "TASK", "OUTCOME", "STATUS", "ATTEMPTS", "WHY")
    keep = ("TASK", "OUTCOME", "STATUS")
    return _shown(reply, "deliveries", heads, _delivery, keep=keep, none="No calls yet.\n", as_json=as_json)


def _delivery(one: "dict[str, Any]") -> "tuple[str, ...]":
    return (
        str(one["webhook"]), clock(one["at"]), str(one["event"]), str(one["task"]), str(one["outcome"]),
        str(one["status"] or ""), str(one["attempts"] or ""), one_line(str(one["error"])),
    )  # fmt: skip


_EVENTS = ("completed", "failed", "canceled", "input-required")
_SPELLED = tuple(
    dict.fromkeys(
        (
            *_EVENTS,
            *(f"{front}{one}" for front in ("", "task.") for name in _EVENTS for one in (name, name.replace("-", "_"))),
        )
    )
)
COMMANDS = (
    Command(
        "webhooks", listed, "URLs that are called when tasks end or ask something; as `webhooks list`.", *COMMON,
        example="synapse webhooks",
    ),
    Command(
        "webhooks list", listed, "The webhooks: what is called, when, and how much waits to be told.", *COMMON,
        example="synapse webhooks list --json",
    ),
    Command(
        "webhooks add", add, "Have a URL called when a task is completed, fails, is canceled, or asks something.",
        Argument("url", help="http:// or https://, on this machine or a public one."),
        Option("--event", many=True, choices=_SPELLED, metavar="EVENT",
               help=f"Only on this ({', '.join(_EVENTS)}); may be given several times."),
        Option("--agent", help="Only for tasks of this agent.", metavar="NAME"),
        Option("--secret-file", help="A file with the secret that calls are signed with; - is standard input.",
               metavar="FILE"), *COMMON,
        example="synapse webhooks add http://localhost:9000/tasks --event completed --event failed",
    ),
    Command(
        "webhooks remove", remove, "Call a URL no more; what it has not been told is dropped.",
        Argument("webhook", help="Its id, or its URL."), *COMMON,
        example="synapse webhooks remove http://localhost:9000/tasks",
    ),
    Command(
        "webhooks deliveries", deliveries, "What became of the newest calls, and which are still to be made.",
        Argument("webhook", help="Only of this one: its id, or its URL.", required=False),
        Option("--limit", kind=int, default=20, help="At most so many of each webhook."), *COMMON,
        example="synapse webhooks deliveries --limit 5",
    ),
)  # fmt: skip
