"""`waiting`, `approve`, `reject`: what waits for a person, and the answers to it."""

from synapse.cli.command import AS_JSON, FROM, NO_START, Argument, Command, Option, text_of
from synapse.cli.table import one_line, since, table, write
from synapse.client.blocking import Client
from synapse.client.lines import dumps
from synapse.errors import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PRESSED_WITHIN = 15.0  # seconds for a runner to press an answer
HINTS = {
    "permission": "synapse approve {id}   or   synapse reject {id}",
    "input": "synapse attach {agent}",
    "question": "synapse reply --to {id} ...",
    "elsewhere": "synapse external answer {id} ...",
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


def approve(id: str, choice: "str | None", *, as_json: bool, sender: "str | None", no_start: bool) -> int:
    """Answer the question that stands on an agent's screen: yes, or a choice by its number or text."""
    return _answer(id, as_json=as_json, sender=sender, no_start=no_start, choice=choice or "", approve=True)


def reject(id: str, reason: "str | None", *, as_json: bool, sender: "str | None", no_start: bool) -> int:
    """Answer it with no; the reason goes to the agent as a note."""
    text = text_of(reason, None, stdin=False) if reason else ""
    return _answer(id, as_json=as_json, sender=sender, no_start=no_start, approve=False, reason=text)


def _answer(id: str, *, as_json: bool, sender: "str | None", no_start: bool, **how: object) -> int:
    with Client(sender or "", start=not no_start) as client:
        client.change("prompts.answer", id=id, **how)
        told = client.call("prompts.wait", id=id, timeout=PRESSED_WITHIN)
    if told.get("pending"):
        raise Refused("pending", "It is decided and stored, but the agent's runner has not said yet that it is done.")
    if told["outcome"] != "done":
        raise Refused(str(told["outcome"]), f"{told['agent']}: {told['reason']}")
    said = "approved" if how["approve"] else "rejected"
    choice = f" with '{told['choice']}'" if told["choice"] else ""
    write(dumps(told).decode() if as_json else f"{said}: {told['agent']}{choice}\n")
    return 0


COMMANDS = (
    Command(
        "waiting", waiting, "What waits for a person: permissions, questions, stalled work, rate limits.",
        Option("--here", flag=True, help="Only in this folder's workspace."),
        Option("--workspace", help="Only in this workspace."), AS_JSON, FROM, NO_START,
        example="synapse waiting --json", quick=True,
    ),
    Command(
        "approve", approve, "Say yes to a question that waits, or take one of its choices; agents cannot.",
        Argument("id", help="What `synapse waiting` shows."),
        Argument("choice", help="A choice by its number or text, where yes is not enough.", required=False),
        AS_JSON, FROM, NO_START,
        example="synapse approve p-k3vm9x", quick=True,
    ),
    Command(
        "reject", reject, "Say no to a question that waits; agents cannot.",
        Argument("id", help="What `synapse waiting` shows."),
        Argument("reason", help="Why: the agent is told.", required=False),
        AS_JSON, FROM, NO_START,
        example="synapse reject p-k3vm9x 'not on this machine'", quick=True,
    ),
)  # fmt: skip
