"""`send`, `reply`, `interrupt`, `broadcast`: talking to agents."""

import os

from synapse.cli.command import COMMON, Argument, Command, Option, text_of
from synapse.client.blocking import Client
from synapse.client.lines import dumps
from synapse.errors import BadRequest

TEXT = (
    Argument("text", help="What to say; `-` reads standard input.", required=False),
    Option("--message-file", help="Take the text from this file.", metavar="PATH"),
    Option("--stdin", flag=True, help="Take the text from standard input."),
)
PRIORITY = Option("--priority", "-p", kind=int, default=3, help="1 (low) to 5 (interrupts first).")


def send(
    target: str,
    text: "str | None",
    *,
    message_file: "str | None",
    stdin: bool,
    priority: int,
    wait: bool,
    notify: bool,
    silent: bool,
    timeout: "float | None",
    as_json: bool,
    sender: "str | None",
    workspace: "str | None",
    no_start: bool,
) -> int:
    """Send work (or, with --silent, a note) and, with --wait, print the answer and nothing else."""
    if wait + notify + silent > 1:
        raise BadRequest("two_modes", "Choose one of --wait, --notify and --silent.")
    mode = "wait" if wait else "silent" if silent else "notify"
    with Client(sender or "", workspace or "", start=not no_start) as client:
        content = text_of(text, message_file, stdin)
        sent = client.change("messages.send", to=target, text=content, priority=priority, mode=mode)
        if not wait or not sent.get("task_id"):
            return _told(sent, as_json)
        return await_answer(client, str(sent["task_id"]), timeout, as_json)


def _told(sent: "dict[str, object]", as_json: bool) -> int:
    if as_json:
        os.write(1, dumps(sent))
    else:
        to = sent.get("to") or []
        assert isinstance(to, list)
        what = sent.get("task_id") or sent["id"]
        os.write(1, f"queued for {', '.join(to)}: {what}\n".encode())
    return 0


def await_answer(client: Client, task: str, timeout: "float | None", as_json: bool) -> int:
    """Wait for the end of a task and print its answer; 1 when it failed, 124 when the time was over."""
    from time import monotonic

    end = None if timeout is None else monotonic() + timeout
    while True:
        left = 60.0 if end is None else min(60.0, end - monotonic())
        if left <= 0:
            client.change("tasks.stop_waiting", task=task)
            os.write(2, f"synapse: no answer in {timeout:g} s; it will come as a message (task {task}).\n".encode())
            return 124
        if not client.call("tasks.wait", task=task, timeout=left).get("pending"):
            break
    return print_answer(client.call("history.show", task=task), as_json)


def print_answer(task: "dict[str, object]", as_json: bool) -> int:
    """The answer on standard output; what went wrong on standard error."""
    state, answer = str(task["state"]), str(task.get("answer", ""))
    if as_json:
        os.write(1, dumps(task))
    elif state == "completed":
        write_all(answer if answer.endswith("\n") else answer + "\n")
    else:
        os.write(2, f"synapse: {task['agent']} {state} ({task.get('reason', '')}): {answer}\n".encode())
    return 0 if state == "completed" else 1


def write_all(text: str) -> None:
    """All of a text on standard output, also into a pipe that takes it in pieces."""
    content = memoryview(text.encode("utf-8", "replace"))
    while content:
        content = content[os.write(1, content) :]


def reply(
    text: "str | None",
    *,
    message_file: "str | None",
    stdin: bool,
    to: "str | None",
    fail: "str | None",
    as_json: bool,
    sender: "str | None",
    workspace: "str | None",
    no_start: bool,
) -> int:
    """Answer the task in this terminal, or the one named by --to."""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        content = text_of(text, message_file, stdin) if text is not None or message_file or stdin else ""
        done = client.change("messages.reply", text=content, to=to or "", fail=fail or "")
        os.write(1, dumps(done) if as_json else f"{done['state']}: {done['task_id']}\n".encode())
    return 0


def interrupt(target: str, text: "str | None", **options: object) -> int:
    """Stop what an agent does, then deliver the text."""
    return send(target, text, priority=5, **options)  # type: ignore[arg-type]


def broadcast(text: "str | None", *, to: str, **options: object) -> int:
    """A note to everybody in the workspace (or a glob of names)."""
    return send(to, text, wait=False, notify=False, silent=True, timeout=None, **options)  # type: ignore[arg-type]


MODES = (
    Option("--wait", "--response", flag=True, help="Wait for the answer and print it."),
    Option("--notify", flag=True, help="Have the answer sent as a message (the default)."),
    Option("--silent", "--no-response", flag=True, help="A note: no answer is wanted."),
    Option(
        "--timeout",
        kind=float,
        help="Seconds to wait; the answer then comes as a message (exit 124).",
        metavar="SECONDS",
    ),
)

COMMANDS = (
    Command(
        "send", send, "Send work to an agent, a list, a glob or all.",
        Argument("target", help="Name, id, profile, workspace/name, a comma list, a glob, or `all`."),
        *TEXT, PRIORITY, *MODES, *COMMON,
        example='synapse send codex "review auth.py" --wait', quick=True,
    ),
    Command(
        "reply", reply, "Answer the task in this terminal.",
        *TEXT,
        Option("--to", help="Another task than the one in this terminal.", metavar="TASK"),
        Option("--fail", help="Say that the task failed, and why.", metavar="REASON"),
        *COMMON,
        example='synapse reply "all tests pass"', quick=True,
    ),
    Command(
        "interrupt", interrupt, "Stop what an agent does, then deliver a text.",
        Argument("target", help="Name, id or profile."), *TEXT, *MODES, *COMMON,
        example='synapse interrupt claude "stop: the schema has changed"', quick=True,
    ),
    Command(
        "broadcast", broadcast, "Send a note to everybody in the workspace.",
        *TEXT, Option("--to", default="all", help="A glob of names."), PRIORITY, *COMMON,
        example='synapse broadcast "the main branch is frozen"', quick=True,
    ),
)  # fmt: skip
