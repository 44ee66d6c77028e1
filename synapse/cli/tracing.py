"""`trace`: everything that happened because of one task."""

from synapse.cli.command import COMMON, Argument, Command
from synapse.cli.events import everybody
from synapse.cli.table import clock, one_line, since, span, terminal_width, write
from synapse.cli.wording import Names, line
from synapse.client.blocking import Client
from synapse.client.lines import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def trace(task: str, *, as_json: bool, sender: "str | None", workspace: "str | None", no_start: bool) -> int:
    """The task, those above and below it, and what happened, in order."""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        found: dict[str, Any] = client.call("history.trace", task=task)
        names = Names(everybody(client)) if not as_json else Names()
    if as_json:
        write(dumps(found).decode())
        return 0
    one, width = found["task"], terminal_width()
    parents = list(reversed(found.get("parents") or []))
    for depth, above in enumerate(parents):
        write(_task(above, depth))
    write(_task(one, len(parents), "* "))
    depths = {one["task_id"]: len(parents)}
    for below in found.get("children") or []:
        depths[below["task_id"]] = depths.get(below["parent"], len(parents)) + 1
        write(_task(below, depths[below["task_id"]]))
    write(f"\n{found['workspace']}, context {found['context']}\n\n")
    for event in found.get("events") or []:
        names.learn(event)
        write(line(event, names, width))
    if found.get("more"):
        write("  … and more: `synapse events query --task TASK` has all of one task.\n")
    return 0


def _task(one: "dict[str, Any]", depth: int, mark: str = "") -> str:
    at, ended = one.get("at", 0.0), one.get("ended_at", 0.0)
    took = f"after {span(ended - at)}" if ended else f"for {since(at)}"
    text = f": {one_line(str(one['text'])[:80])}" if one.get("text") else ""
    indent = "  " * depth
    return f"{indent}{mark}{one['task_id']} {one['requester']} to {one['agent']}, {clock(at)}, {one['state']} {took}{text}\n"


COMMANDS = (
    Command(
        "trace", trace, "Everything because of one task: messages, prompts, the tasks above and below.",
        Argument("task", help="The task's id."), *COMMON,
        example="synapse trace t-01M7XQCXHHAGM20MQW5N3H0VJV",
    ),
)  # fmt: skip
