"""`manifest`, `advertise`, `offers`: who can do what, and who offers what."""

from synapse.cli.command import COMMON, Argument, Command, Option
from synapse.cli.table import clock, one_line, table, write
from synapse.client.blocking import Client
from synapse.client.lines import dumps
from synapse.errors import BadRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def manifest(*, all: bool, as_json: bool, sender: "str | None", workspace: "str | None", no_start: bool) -> int:
    """Who can do what: skills, task classes, model, offers."""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        reply = client.call("agents.manifest", workspace="*" if all else "")
    if as_json:
        write(dumps(reply).decode())
        return 0
    rows = [
        (
            str(one["name"]), str(one["agent_type"]), str(one["workspace"]) if all else "", str(one["status"]),
            ", ".join(one["task_classes"]), ", ".join([*one["skills"], *filter(None, (one["skill_set"],))]),
            str(one["model"]), ", ".join(map(_offer, one["offers"])), one_line(one["description"] or one["role"]),
        )
        for one in _rows(reply, "agents")
    ]  # fmt: skip
    heads = ("NAME", "TYPE", "WORKSPACE", "STATUS", "CLASSES", "SKILLS", "MODEL", "OFFERS", "DESCRIPTION")
    write(table(heads, rows, keep=("NAME", "CLASSES")) if rows else "Nobody is here who can do anything yet.\n")
    return 0


def _rows(reply: "dict[str, object]", name: str) -> "list[dict[str, Any]]":
    rows = reply.get(name) or []
    assert isinstance(rows, list)
    return rows


def _offer(offer: "dict[str, Any]") -> str:
    return f"{offer['kind']}/{offer['name']} x {offer['capacity']:g}"


def advertise(
    *,
    description: "str | None",
    skill: "tuple[str, ...]",
    task_class: "tuple[str, ...]",
    model: "str | None",
    clear: bool,
    as_json: bool,
    sender: "str | None",
    workspace: "str | None",
    no_start: bool,
) -> int:
    """Put up my card in place of the one before."""
    given = {"description": description or "", "skills": skill, "task_classes": task_class, "model": model or ""}
    if clear == any(given.values()):
        raise BadRequest("nothing", "Say something: --description, --skill, --task-class, --model; or --clear alone.")
    with Client(sender or "", workspace or "", start=not no_start) as client:
        reply = client.change("agents.advertise", **given)
    classes = _rows(reply, "task_classes")
    write(dumps(reply).decode() if as_json else "your card is taken down\n" if clear else _told(classes))
    return 0


def _told(classes: "list[Any]") -> str:
    return f"your card is up{''.join(f'; class:{name} reaches you' for name in classes)}\n"


def offers(
    *, kind: "str | None", all: bool, as_json: bool, sender: "str | None", workspace: "str | None", no_start: bool
) -> int:
    """What is offered now."""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        reply = client.call("offers.list", workspace="*" if all else "", kind=kind or "")
    if as_json:
        write(dumps({"offers": _rows(reply, "offers")}).decode())
        return 0
    rows = [
        (
            one["kind"], one["name"], f"{one['capacity']:g}", one["agent"], one["workspace"] if all else "",
            "overdue" if one["overdue"] else clock(one["expires_at"]),
            ", ".join(f"{name}={value}" for name, value in one["meta"].items()), one["id"],
        )
        for one in _rows(reply, "offers")
    ]  # fmt: skip
    heads = ("KIND", "NAME", "CAPACITY", "BY", "WORKSPACE", "UNTIL", "META", "ID")
    write(table(heads, rows, keep=("KIND", "NAME")) if rows else "Nothing is offered: `synapse offers put` does.\n")
    return 0


def put(
    kind: str,
    name: str,
    *,
    capacity: float,
    ttl: float,
    meta: "tuple[str, ...]",
    as_json: bool,
    sender: "str | None",
    workspace: "str | None",
    no_start: bool,
) -> int:
    """Offer something for a time."""
    pairs = dict(_pair(word) for word in meta)
    with Client(sender or "", workspace or "", start=not no_start) as client:
        made = client.change("offers.put", kind=kind, name=name, capacity=capacity, ttl=ttl, meta=pairs)
    until = made["expires_at"]
    assert isinstance(until, int | float)
    write(dumps(made).decode() if as_json else f"offered until {clock(until)}: {made['id']}\n")
    return 0


def _pair(word: str) -> "tuple[str, str]":
    name, equals, value = word.partition("=")
    if not name or not equals:
        raise BadRequest("bad_meta", f"--meta {word[:40]!r}: NAME=VALUE.")
    return name, value


def withdraw(offer: str, *, as_json: bool, sender: "str | None", workspace: "str | None", no_start: bool) -> int:
    """Take an offer back."""
    kind, slash, name = offer.partition("/")
    which = {"kind": kind, "name": name} if slash else {"id": offer}
    with Client(sender or "", workspace or "", start=not no_start) as client:
        reply = client.change("offers.withdraw", **which)
    write(dumps(reply).decode() if as_json else f"withdrawn: {reply['id']}\n")
    return 0


_ALL = Option("--all", flag=True, help="In all workspaces.")
COMMANDS = (
    Command(
        "manifest", manifest, "Who can do what: task classes, skills, model, offers.", _ALL, *COMMON,
        example="synapse manifest --json",
    ),
    Command(
        "advertise", advertise, "Put up your card: what you can do, and which classes of tasks reach you.",
        Option("--description", metavar="TEXT", help="What you are."),
        Option("--skill", many=True, metavar="NAME", help="What you can; may be given several times."),
        Option("--task-class", many=True, metavar="NAME", help="What reaches you by `send class:NAME`; several times."),
        Option("--model", metavar="NAME", help="The model behind you."),
        Option("--clear", flag=True, help="Take the card down."), *COMMON,
        example="synapse advertise --from alice --task-class review --skill python",
    ),
    Command(
        "offers", offers, "What is offered now: of what kind, how much, by whom, until when.",
        Option("--kind", help="Only of this kind."), _ALL, *COMMON,
        example="synapse offers --kind gpu",
    ),
    Command(
        "offers put", put, "Offer something to the workspace; the same again says how it is now.",
        Argument("kind", help="What kind of thing: gpu, browser, reviews."), Argument("name", help="Which one."),
        Option("--capacity", kind=float, default=1.0, help="How much of it."),
        Option("--ttl", kind=float, default=3600.0, metavar="SECONDS", help="For how long."),
        Option("--meta", many=True, metavar="NAME=VALUE", help="More about it; may be given several times."), *COMMON,
        example="synapse offers put gpu a100 --capacity 2 --from alice",
    ),
    Command(
        "offers withdraw", withdraw, "Take back what you offer.",
        Argument("offer", help="KIND/NAME, or its id."), *COMMON,
        example="synapse offers withdraw gpu/a100 --from alice",
    ),
)  # fmt: skip
