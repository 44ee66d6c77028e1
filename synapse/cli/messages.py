"""`send`, `reply`, `interrupt`, `broadcast`: talking to agents."""

from synapse.cli.command import COMMON, Argument, Command, Option, text_of, utf8
from synapse.cli.errors import TIME_OVER, say
from synapse.cli.table import harmless, write, write_text
from synapse.client.blocking import Client
from synapse.client.lines import dumps
from synapse.errors import BadRequest, NotFound, SynapseError

TEXT = (
    Argument("text", help="What to say; `-` reads standard input.", required=False),
    Option("--message-file", help="Take the text from this file.", metavar="PATH"),
    Option("--stdin", flag=True, help="Take the text from standard input."),
)
ATTACH = Option("--attach", many=True, help="A file that goes with it; may be given several times.", metavar="PATH")
LARGEST_FILE, PIECE = 64 << 20, 512 << 10  # bytes
PRIORITY = Option("--priority", "-p", kind=int, default=3, help="1 (low) to 5 (interrupts first).")


def send(target: "str | None", text: "str | None", *, to: "str | None", named: "str | None", **options: object) -> int:
    """Send to the target by its place, or to the one that --target or --name says: then the first word is the text."""
    if to is not None and named is not None:
        raise BadRequest("two_targets", f"Say once who it is for: --target {to} or --name {named}.")
    chosen, option = (named, "--name") if to is None else (to, "--target")
    if chosen is None:
        if target is None:
            raise BadRequest("usage", "Missing argument 'TARGET'. See `synapse send --help`.")
        return _send(target, text, **options)  # type: ignore[arg-type]
    if text is not None or (target is not None and (options["stdin"] or options["message_file"])):
        raise BadRequest(
            "two_targets",
            f"'{target}' and {option} {chosen}: say once who it is for. With {option} the only word is the text.",
        )
    return _send(chosen, target, by_name=option == "--name", **options)  # type: ignore[arg-type]


def _send(
    target: str,
    text: "str | None",
    *,
    by_name: bool = False,
    message_file: "str | None",
    stdin: bool,
    priority: int,
    wait: bool,
    notify: bool,
    silent: bool,
    timeout: "float | None",
    force: bool,
    attach: "tuple[str, ...]",
    as_json: bool,
    sender: "str | None",
    workspace: "str | None",
    no_start: bool,
) -> int:
    """Send work (or, with --silent, a note) and, with --wait, print the answer and nothing else."""
    if wait + notify + silent > 1:
        raise BadRequest("two_modes", "Choose one of --wait, --notify and --silent.")
    if not (wait or notify or silent):
        from synapse.cli.chosen import chosen

        flow = chosen("a2a.flow")
        wait, silent = flow == "roundtrip", flow == "oneway"
    if timeout is not None and not wait:
        raise BadRequest("no_wait", "--timeout is how long --wait waits: give both.")
    check_timeout(timeout)
    mode = "wait" if wait else "silent" if silent else "notify"
    to, content = utf8(target, "The target"), text_of(text, message_file, stdin)
    files = [(path, _content(path)) for path in attach]
    with Client(sender or "", workspace or "", start=not no_start) as client:
        if by_name:
            _check_name(client, to)
        sent = client.change(
            "messages.send", to=to, text=content, priority=priority, mode=mode, force=force,
            attachments=[_upload(client, path, file) for path, file in files],
        )  # fmt: skip
        tasks = sent.get("tasks") or [sent.get("task_id")]
        if not wait or not sent.get("task_id"):
            if wait:
                say(b"synapse: a note to many: no answer comes.\n")
            return _told(sent, as_json)
        assert isinstance(tasks, list)
        return max([await_answer(client, str(task), timeout, as_json, named=len(tasks) > 1) for task in tasks])


def _check_name(client: Client, name: str) -> None:
    """Nobody who is found otherwise than by that name: a profile, an id, many."""
    from synapse.names import check_name

    plain = check_name(name.rpartition("/")[2])
    try:
        found = client.call("agents.show", target=name)["agent"]
    except NotFound:
        return  # a name that is away may have a mailbox: whoever sends hears of it
    assert isinstance(found, dict)
    if found["name"] != plain:
        raise NotFound(
            "no_such_agent", f"Nobody is called '{name}'; `synapse send {name}` would reach {found['name']}.", name=name
        )


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise BadRequest("bad_file", f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > LARGEST_FILE:
        raise BadRequest("too_large", f"{path} is larger than {LARGEST_FILE >> 20} MiB: say where it lies instead.")
    return content


def _upload(client: Client, path: str, content: bytes) -> "dict[str, object]":
    """Store a file in pieces, before the message that names them."""
    from binascii import b2a_base64
    from os.path import basename

    pieces = [content[start : start + PIECE] for start in range(0, len(content), PIECE)]
    blobs = [client.change("blobs.put", content=b2a_base64(each, newline=False).decode())["blob"] for each in pieces]
    return {"name": utf8(basename(path), "The file's name"), "size": len(content), "blobs": blobs}


def _told(sent: "dict[str, object]", as_json: bool) -> int:
    to = sent.get("to") or []
    assert isinstance(to, list)
    write(dumps(sent).decode() if as_json else f"queued for {', '.join(to)}: {sent.get('task_id') or sent['id']}\n")
    return 0


def await_answer(client: Client, task: str, timeout: "float | None", as_json: bool, *, named: bool = False) -> int:
    """Wait for the end of a task and print its answer; 1 when it failed, 124 when the time was over."""
    from time import monotonic

    end = None if timeout is None else monotonic() + timeout
    try:
        while True:
            left = 60.0 if end is None else min(60.0, end - monotonic())
            if left <= 0:
                return _no_answer(client, task, timeout)
            if "state" in client.call("tasks.wait", task=task, timeout=left):
                break
    except KeyboardInterrupt:
        say(f"\nsynapse: the task goes on: `synapse wait {task}`.\n".encode("utf-8", "replace"))
        raise
    return print_answer(client.call("history.show", task=task), as_json, named=named)


def check_timeout(timeout: "float | None") -> None:
    """Seconds, or None for as long as it takes."""
    if timeout is not None and not timeout >= 0:
        raise BadRequest("bad_timeout", f"--timeout {timeout:g}: seconds, 0 or more.")


def _no_answer(client: Client, task: str, timeout: "float | None") -> int:
    try:
        client.change("tasks.stop_waiting", task=task)
        then = "it will come as a message"
    except SynapseError:
        then = "it goes to whoever asked"  # not my task, or it ended just now
    say(f"synapse: no answer in {timeout:g} s; {then} (task {task}).\n".encode("utf-8", "replace"))
    return TIME_OVER


def print_answer(task: "dict[str, object]", as_json: bool, *, named: bool = False) -> int:
    """The answer on standard output; what went wrong on standard error."""
    state, answer = str(task["state"]), str(task.get("answer", ""))
    if as_json:
        write(dumps(task).decode())
    elif state == "completed" and task.get("source") == "none":
        say(f"synapse: {task['agent']} ended without an answer (MISSING_REPLY).\n".encode("utf-8", "replace"))
        return 1
    elif state == "completed":
        write(f"{task['agent']}:\n" if named else "")
        write_text(answer)
    else:
        say(
            f"synapse: {task['agent']} {state} ({task.get('reason', '')}): {harmless(answer)}\n".encode(
                "utf-8", "replace"
            )
        )
    return 0 if state == "completed" else 1


def present(client: Client) -> None:
    """Be known to the hub before waiting for mail: nobody can write to a name that has never done anything."""
    client.change("agents.here")


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
    content = text_of(text, message_file, stdin) if text is not None or message_file or stdin else ""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        done = client.change("messages.reply", text=content, to=to or "", fail=fail or "")
    write(dumps(done).decode() if as_json else f"{done['state']}: {done['task_id']}\n")
    return 0


def interrupt(target: str, text: "str | None", **options: object) -> int:
    """Stop what an agent does, then deliver the text."""
    return _send(target, text, priority=5, **options)  # type: ignore[arg-type]


def broadcast(text: "str | None", *, to: str, **options: object) -> int:
    """A note to everybody in the workspace (or a glob of names)."""
    return _send(to, text, wait=False, notify=False, silent=True, timeout=None, force=False, **options)  # type: ignore[arg-type]


MODES = (
    Option("--wait", "--response", flag=True, help="Wait for the answer and print it."),
    Option("--notify", flag=True, help="Have the answer sent as a message (unless a2a.flow says otherwise)."),
    Option("--silent", "--no-response", flag=True, help="A note: no answer is wanted."),
    Option(
        "--timeout",
        kind=float,
        help="Seconds to wait; the answer then comes as a message (exit 124).",
        metavar="SECONDS",
    ),
    Option("--force", flag=True, help="Also to a bare name that is only in another workspace."),
)

COMMANDS = (
    Command(
        "send", send, "Send work to an agent, a list, a glob or all.",
        Argument("target", help="Name, id, profile, workspace/name, a comma list, a glob, or `all`.", required=False),
        *TEXT, Option("--target", help="The target, in place of the first word.", parameter="to"),
        Option("--name", help="The target by its name, and by nothing else.", parameter="named"),
        ATTACH, PRIORITY, *MODES, *COMMON,
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
        Argument("target", help="Name, id or profile."), *TEXT, ATTACH, *MODES, *COMMON,
        example='synapse interrupt claude "stop: the schema has changed"', quick=True,
    ),
    Command(
        "broadcast", broadcast, "Send a note to everybody in the workspace.",
        *TEXT, ATTACH, Option("--to", default="all", help="A glob of names."), PRIORITY, *COMMON,
        example='synapse broadcast "the main branch is frozen"', quick=True,
    ),
)  # fmt: skip
