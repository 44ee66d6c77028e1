"""`inbox`, `inbox read`, `inbox ack`, `wait`: what lies here for me."""

from synapse.cli.command import COMMON, Argument, Command, Option
from synapse.cli.errors import TIME_OVER
from synapse.cli.messages import await_answer, check_timeout, present
from synapse.cli.table import clock, one_line, table, write, write_text
from synapse.client.blocking import Client
from synapse.client.lines import dumps
from synapse.errors import BadRequest, NotFound


def inbox(
    *,
    sent: bool,
    dead: bool,
    limit: int,
    as_json: bool,
    sender: "str | None",
    workspace: "str | None",
    no_start: bool,
) -> int:
    """List what lies in the box (with --sent: what of mine waits elsewhere; with --dead: what could not be delivered)."""
    if sent and dead:
        raise BadRequest("two_lists", "Choose one of --sent and --dead.")
    if not 1 <= limit <= 1000:
        raise BadRequest("bad_limit", "--limit: from 1 to 1000.")
    with Client(sender or "", workspace or "", start=not no_start) as client:
        which = "sent" if sent else "dead" if dead else "inbox"
        found = client.call("messages.inbox", which=which, limit=limit).get("messages") or []
    assert isinstance(found, list)
    if as_json:
        write(dumps({"messages": found}).decode())
    elif not found:
        write("No messages.\n")
    else:
        write(_listed(found, elsewhere=sent, dead=dead))
    return 0


def _listed(entries: "list[dict[str, object]]", *, elsewhere: bool, dead: bool) -> str:
    heads = ("ID", "WHEN", "TO" if elsewhere else "FROM", "WHAT", "REASON" if dead else "STATE", "TEXT")
    rows = []
    for entry in entries:
        who = entry["to" if elsewhere else "sender"]
        state = entry.get("reason", "") if dead else entry["state"]
        rows.append((
            str(entry["id"]), clock(_time(entry)), str(who), str(entry["role"]), str(state),
            one_line(str(entry.get("text", ""))[:500]),
        ))  # fmt: skip
    return table(heads, rows, keep=("ID", "STATE"))


def _time(entry: "dict[str, object]") -> float:
    at = entry.get("at", 0.0)
    assert isinstance(at, int | float)
    return at


def read(id: str, *, as_json: bool, sender: "str | None", workspace: "str | None", no_start: bool) -> int:
    """Print one message in full, and say that it was read."""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        _show(client, id, as_json)
    return 0


def _show(client: Client, id: str, as_json: bool) -> None:
    """Print a message; it counts as read when it is printed, not before."""
    entry = client.call("messages.show", id=id)
    if as_json:
        write(dumps(entry).decode())
    else:
        write(_head(entry))
        write_text(str(entry.get("text", "")))
    if entry["state"] == "queued":
        try:
            client.change("messages.read", id=id)
        except NotFound:
            pass  # it is one that I sent: its addressee reads it


def _head(entry: "dict[str, object]") -> str:
    head = f"From {entry['sender']} to {entry['to']}, {clock(_time(entry))}, {entry['role']} {entry['id']}"
    if entry.get("role") != "task":
        return f"{head}\n\n"
    return f'{head}\nTo answer: synapse reply --to {entry["task_id"]} "..."\n\n'


def ack(id: str, *, as_json: bool, sender: "str | None", workspace: "str | None", no_start: bool) -> int:
    """Say that a message is done with: it leaves the inbox."""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        done = client.change("messages.ack", id=id)
    write(dumps(done).decode() if as_json else f"acknowledged: {done['id']}\n")
    return 0


def wait(
    task: "str | None",
    *,
    timeout: "float | None",
    as_json: bool,
    sender: "str | None",
    workspace: "str | None",
    no_start: bool,
) -> int:
    """Wait for a task's answer, or for the next message that I have not read, and print it."""
    check_timeout(timeout)
    with Client(sender or "", workspace or "", start=not no_start) as client:
        if task:
            return await_answer(client, task, timeout, as_json)
        present(client)
        id = _next(client, timeout)
        if not id:
            return TIME_OVER
        _show(client, id, as_json)
    return 0


def _next(client: Client, timeout: "float | None") -> str:
    """The oldest message that is not read; "" when the time is over."""
    from time import monotonic

    end = None if timeout is None else monotonic() + timeout
    while True:
        left = 60.0 if end is None else max(0.0, min(60.0, end - monotonic()))
        ids = client.call("messages.next", timeout=left).get("ids")
        if ids:
            assert isinstance(ids, list)
            return str(ids[0])
        if end is not None and monotonic() >= end:
            return ""


_ID = Argument("id", help="The message's id, from `synapse inbox`.")
COMMANDS = (
    Command(
        "inbox", inbox, "What lies here for you and is not done with.",
        Option("--sent", flag=True, help="What of yours still waits in others' boxes."),
        Option("--dead", flag=True, help="What could not be delivered, and why."),
        Option("--limit", kind=int, default=100, help="At most so many, the newest."), *COMMON,
        example="synapse inbox --json", quick=True,
    ),
    Command(
        "inbox read", read, "Print one message in full; its sender sees that you have read it.", _ID, *COMMON,
        example="synapse inbox read m-01M7XQCXHHAGM20MQW5N3H0VJV", quick=True,
    ),
    Command(
        "inbox ack", ack, "Say that you are done with a message: it leaves your inbox.", _ID, *COMMON,
        example="synapse inbox ack m-01M7XQCXHHAGM20MQW5N3H0VJV", quick=True,
    ),
    Command(
        "wait", wait, "Wait for your next message, or for the answer to a task, and print it.",
        Argument("task", help="A task's id; without it, your next unread message.", required=False),
        Option("--timeout", kind=float, metavar="SECONDS", help="Seconds to wait at most (exit 124)."), *COMMON,
        example="synapse wait --timeout 60", quick=True,
    ),
)  # fmt: skip
