"""`who`, `status`, `state`: how things are now."""

from synapse.cli.command import AS_JSON, COMMON, ELSEWHERE, FROM, WORKSPACE, Argument, Command, Option
from synapse.cli.table import clock, one_line, since, table, write
from synapse.client.blocking import Client
from synapse.client.lines import dumps
from synapse.errors import SynapseError


def _rows(reply: "dict[str, object]", name: str) -> "list[dict[str, object]]":
    rows = reply.get(name) or []
    assert isinstance(rows, list)
    return rows


def _number(row: "dict[str, object]", name: str) -> float:
    value = row.get(name, 0)
    assert isinstance(value, int | float)
    return value


def _text(row: "dict[str, object]", name: str) -> str:
    return str(row.get(name) or "")


def who(*, all: bool, as_json: bool, sender: "str | None", workspace: "str | None", no_start: bool) -> int:
    """Who is here, since when, doing what."""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        found = _rows(client.call("agents.who", workspace="*" if all else ""), "participants")
    if as_json:
        write(dumps({"participants": found}).decode())
        return 0
    rows = [
        (
            _text(one, "name"), _text(one, "type"), _text(one, "workspace") if all else "",
            _text(one, "status") or _text(one, "presence"), clock(_number(one, "since")), _text(one, "doing"),
        )
        for one in found
    ]  # fmt: skip
    heads = ("NAME", "TYPE", "WORKSPACE", "STATUS", "SINCE", "DOING")
    write(table(heads, rows, keep=("NAME",)) if rows else "Nobody is here yet: `synapse run` starts an agent.\n")
    return 0


def part_of(client: Client, part: "dict[str, object]") -> "dict[str, object]":
    """What a plugin adds to an answer; where it cannot say it, why."""
    try:
        return client.call(str(part["verb"]))
    except SynapseError as error:
        return {"error": error.sentence}


def status(target: "str | None", *, as_json: bool, sender: "str | None", workspace: "str | None") -> int:
    """The hub, or one agent: what it is, does, and has before it. Never starts a hub."""
    with Client(sender or "", workspace or "", start=False) as client:
        if not target:
            reply = client.call("hub.status")
            parts = {str(part["title"]): part_of(client, part) for part in _rows(reply, "sections")}
            if as_json:
                write(dumps({**reply, "sections": parts} if parts else reply).decode())
            else:
                write(_hub(reply["hub"]) + "".join(_section(title, part) for title, part in parts.items()))
            return 0
        reply = client.call("agents.show", target=target)
        recent = _rows(client.call("history.list", agent=_key(reply), limit=5), "tasks")
    if as_json:
        write(dumps({"waiting": [], **reply, "recent": recent}).decode())
    else:
        write(_agent(reply, recent))
    return 0


def _key(reply: "dict[str, object]") -> str:
    row = reply["agent"]
    assert isinstance(row, dict)
    return str(row["key"])


def _hub(hub: object) -> str:
    assert isinstance(hub, dict)
    lines = [
        ("hub", f"synapse {hub['version']}, process {hub['pid']}, port {hub['port']}"),
        ("data", hub["data"]),
        ("since", clock(hub["started_at"])),
        ("log", f"{hub['head']} records"),
        ("here", f"{hub['agents']} participants, {hub['connections']} connections"),
        ("work", f"{hub['tasks']} tasks, {hub['queued']} messages not done with"),
    ]
    if hub["read_only"]:
        lines.append(("read-only", hub["read_only"]))
    lines += [("broken", f"{name}: {why}") for name, why in hub["broken"].items()]
    if hub["refusals"]:
        lines.append(("refused", ", ".join(f"{code} {count}" for code, count in hub["refusals"].items())))
    return _pairs(lines)


def _section(title: str, part: "dict[str, object]") -> str:
    return f"\n{title}\n" + (_pairs([(f"  {name}", _shown(value)) for name, value in part.items()]) if part else "")


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(one)}" for name, one in value.items())
    return ", ".join(map(_shown, value)) if isinstance(value, list | tuple) else str(value)


def _pairs(lines: "list[tuple[str, str]]") -> str:
    width = max(len(name) for name, _ in lines) + 2
    return "".join(f"{name:<{width}}{one_line(str(value))}\n" for name, value in lines)


def _agent(reply: "dict[str, object]", recent: "list[dict[str, object]]") -> str:
    row, live, task = reply["agent"], reply["live"], reply.get("task")
    assert isinstance(row, dict)
    assert isinstance(live, dict)
    state = _text(row, "status") or _text(reply, "presence")
    told_by = f" (by {live['source']})" if live.get("source") else ""
    if live.get("silent"):
        told_by += f"; silent: {', '.join(live['silent'])}"
    process = ", ".join(
        f"{name} {number}" for name, number in (("runner", row["pid"]), ("child", reply.get("child_pid"))) if number
    )
    lines = [
        ("id", row["agent_id"]),
        ("name", f"{row['workspace']}/{row['name']}" if row["workspace"] else row["name"]),
        ("type", row["agent_type"]),
        ("role", row["role"]),
        ("skills", row["skill_set"]),
        *_card(reply.get("card"), _rows(reply, "offers")),
        ("status", state + told_by),
        ("told", clock(_number(live, "since")) if live.get("since") else ""),
        ("since", clock(_number(reply, "since"))),
        ("process", process),
        ("folder", row["working_dir"]),
        ("endpoint", row["endpoint"]),
        ("editing", row["editing_file"]),
        ("asks", " / ".join((live.get("question", ""), *live.get("choices", ()))).strip(" /")),
        ("current", _task(task) + (f": {row['current_task_preview']}" if row["current_task_preview"] else "")
         if isinstance(task, dict) else "nothing"),
        ("queue", f"{row['queued']} messages to deliver"),
    ]  # fmt: skip
    lines += [("next", _task(one)) for one in _rows(reply, "waiting")]
    lines += [("recent", _past(one)) for one in recent]
    return _pairs([(name, value) for name, value in lines if value])


def _card(card: object, offers: "list[dict[str, object]]") -> "list[tuple[str, str]]":
    """What it says of itself, and what it offers."""
    told = card if isinstance(card, dict) else {}
    return [
        ("does", str(told.get("description", ""))),
        ("can", ", ".join(told.get("skills", ()))),
        ("takes", ", ".join(f"class:{name}" for name in told.get("task_classes", ()))),
        ("model", str(told.get("model", ""))),
        ("offers", ", ".join(f"{offer['kind']}/{offer['name']}" for offer in offers)),
    ]


def _task(task: "dict[str, object]") -> str:
    asked = f"{task['task_id']} {task['state']}, for {task['requester']}, {since(_number(task, 'since'))}"
    return f"{asked}, asks: {task['question']}" if task.get("question") else asked


def _past(task: "dict[str, object]") -> str:
    text = one_line(_text(task, "text")[:200])
    return f"{clock(_number(task, 'at'))} {task['state']} {task['task_id']} {task['requester']}: {text[:60]}"


def state(
    *,
    at: "str | None",
    all: bool,
    as_json: bool,
    sender: "str | None",
    workspace: "str | None",
    no_start: bool,
) -> int:
    """Everything that is alive: agents, tasks, and how many messages wait; now, or as it was."""
    if at:
        from synapse.cli.offline import state_at

        all, reply = True, state_at(at)
    else:
        with Client(sender or "", workspace or "", start=not no_start) as client:
            reply = client.call("state.now", workspace="*" if all else "")
    if as_json:
        write(dumps(reply).decode())
        return 0
    when = f", {clock(_number(reply, 'at'))}" if at else ""
    write(f"At {reply['position']}{when}: {reply['messages']} messages not done with.\n")
    agents, tasks = _rows(reply, "agents"), _rows(reply, "tasks")
    if agents:
        rows = [
            (_text(a, "name"), _text(a, "agent_type"), _text(a, "workspace") if all else "", _text(a, "status"),
             str(a["queued"] or ""), _text(a, "working_dir"))
            for a in agents
        ]  # fmt: skip
        write("\n" + table(("NAME", "TYPE", "WORKSPACE", "STATUS", "QUEUED", "WORKING_DIR"), rows, keep=("NAME",)))
    if tasks:
        lines = [
            (_text(t, "task_id"), _text(t, "state"), _text(t, "requester"), since(_number(t, "since")), _text(t, "question"))
            for t in tasks
        ]  # fmt: skip
        write("\n" + table(("TASK", "STATE", "FOR", "SINCE", "ASKS"), lines, keep=("TASK",)))
    return 0


COMMANDS = (
    Command(
        "who", who, "Who is here, since when, doing what.",
        Option("--all", flag=True, help="In all workspaces."), *COMMON,
        example="synapse who --all", quick=True,
    ),
    Command(
        "status", status, "The hub, or with a target one agent: task, queue, recent work.",
        Argument("target", help="Name, id or profile; without it the hub itself.", required=False),
        AS_JSON, FROM, WORKSPACE, *ELSEWHERE,
        example="synapse status codex", quick=True,
    ),
    Command(
        "state", state, "Everything that is alive: agents, tasks, messages.",
        Option("--at", metavar="WHEN", help="As it was after this position of the log, or at this time (2h, 2026-01-31)."),
        Option("--all", flag=True, help="In all workspaces."), *COMMON,
        example="synapse state --at 2h", quick=True,
    ),
)  # fmt: skip
