"""`listen`: what concerns me, as it happens."""

from synapse.cli.command import AS_JSON, ELSEWHERE, FROM, NO_START, WORKSPACE, Command, Option
from synapse.cli.following import Cursor, Event, Follower, address, address_of, kinds_of
from synapse.cli.messages import present
from synapse.cli.table import write
from synapse.cli.wording import Names, line, message
from synapse.client.blocking import Client
from synapse.client.lines import dumps
from synapse.errors import BadRequest, NotFound


def listen(
    *,
    name: "str | None",
    after: "str | None",
    cursor: "str | None",
    kinds: "str | None",
    once: bool,
    as_json: bool,
    sender: "str | None",
    workspace: "str | None",
    no_start: bool,
) -> int:
    """Print messages and what becomes of mine, until Ctrl-C; goes on by itself when the hub comes back."""
    if name and sender:
        raise BadRequest("two_names", "--for and --from say the same here: give one.")
    who = name or sender or ""
    kept = Cursor(cursor) if cursor else None
    follower = Follower(who, workspace or "", start=not no_start, mine=True, kinds=kinds_of(kinds))
    follower.after = address(after) if after else kept.read() if kept else None
    with follower.connect() as client:
        present(client)
        names = Names(_everybody(client))
        for event in follower.events(client):
            names.learn(event)
            _fill(event, who, workspace or "")
            if as_json:
                write(dumps(event).decode())
            else:
                talk = event["kind"] == "messages.sent" and event["body"]
                write(message(event, names) if talk else line(event, names))
            if kept is not None:
                kept.write(address_of(event))
            if once:
                break
    return 0


def _everybody(client: Client) -> "list[dict[str, object]]":
    found = client.call("agents.list", workspace="*", all=True).get("agents") or []
    assert isinstance(found, list)
    return found


def _fill(event: Event, as_name: str, workspace: str) -> None:
    """Fetch a message's text where it is too long to be in the event."""
    body = event["body"]
    if event["kind"] != "messages.sent" or not isinstance(body, dict) or not body.get("blob"):
        return
    with Client(as_name, workspace, start=False) as client:  # the other connection is full of events
        try:
            body["text"] = client.call("messages.show", id=body["id"]).get("text", "")
        except NotFound:
            pass  # it was forgotten meanwhile


COMMANDS = (
    Command(
        "listen", listen, "Print what concerns you as it happens: messages, and what becomes of yours.",
        Option("--for", parameter="name", metavar="NAME", help="Listen as this participant (as --from)."),
        Option("--after", metavar="POSITION", help="Begin behind this position of the log; else with what is new."),
        Option("--cursor", metavar="FILE", help="Keep the place in this file, and go on from there the next time."),
        Option("--kinds", metavar="LIST", help="Only such events: messages.*,tasks.completed"),
        Option("--once", flag=True, help="End after the first."), AS_JSON, FROM, WORKSPACE, NO_START, *ELSEWHERE,
        example="synapse listen --for alice --cursor alice.cursor", quick=True,
    ),
)  # fmt: skip
