"""`relay` prints the hub's relay file; `ingest` the events in a database file: neither needs a hub."""

from synapse.cli.command import Argument, Command, Option
from synapse.cli.following import Address, Cursor, address
from synapse.cli.table import write
from synapse.errors import BadRequest, NotFound, Refused
from synapse.lite import decode_lite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_WHO = ("to", "box", "sender", "requester", "agent", "key", "name")


def relay(file: str, *, since: "str | None", cursor: "str | None", name: "str | None", full: bool) -> int:
    """Print the lines of a relay file: all, those behind an event or a time, or those that concern somebody."""
    kept = Cursor(cursor) if cursor else None
    begin, time = _since(since)
    if kept is not None and begin is None:
        begin = kept.read()
    reached: Address | None = None
    for line, event in _lines(file):
        at = (int(event["position"]), int(event["index"]))
        if (begin is not None and at <= begin) or event["at"] < time:
            continue
        if name is None or _concerns(event, name.lower()):
            write(_full(event) if full else line)
        reached = at
    if kept is not None and reached is not None:
        kept.write(reached)
    return 0


def _since(text: "str | None") -> "tuple[Address | None, float]":
    """The event number or the time (`10m`, `2026-01-31`) behind which it begins."""
    if not text:
        return None, 0.0
    if text.replace(".", "", 1).isdigit():
        return address(text, "--since: an event's number or a time"), 0.0
    from synapse.cli.offline import moment

    return None, moment(text)


def _lines(file: str) -> "Iterator[tuple[str, dict[str, Any]]]":
    """Each whole line with its event; BadRequest where one is none."""
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            for line in opened:
                if not line.endswith("\n"):
                    return  # it is being written
                yield line, decode_lite(line)
    except FileNotFoundError:
        raise NotFound("no_relay", f"There is no {file}: `synapse serve --relay-log {file}` writes it.") from None
    except OSError as error:
        raise Refused("bad_relay", f"{file} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise BadRequest("bad_relay", f"{file} is no relay file of a hub.") from None


def _concerns(event: "dict[str, Any]", name: str) -> bool:
    """Did it, or is party to it?"""
    body = event["body"]
    told = [event["by"], *(body.get(field) for field in _WHO)]
    return any(name == one or (isinstance(one, list) and name in one) for one in told)


def _full(event: "dict[str, Any]") -> str:
    from synapse.client.lines import dumps

    return dumps(event).decode()


def ingest(db: str, *, memory: bool, cursor: "str | None") -> int:
    """Print the durable events of a database file as NDJSON; with --cursor those since the last time."""
    from synapse.cli.events import export

    return export(None, kinds="memory.*" if memory else None, after=None, cursor=cursor, db=db)


COMMANDS = (
    Command(
        "relay", relay, "Print a hub's relay file: what happened, in few letters (`serve --relay-log` writes it).",
        Argument("file", help="The relay file."),
        Option("--since", metavar="NUMBER|TIME", help="Only behind this event's number, or not before: 10m, 2026-01-31."),
        Option("--cursor", metavar="FILE", help="Keep the place in this file, and go on from there the next time."),
        Option("--for", parameter="name", metavar="NAME", help="Only what this participant did or is party to."),
        Option("--full", flag=True, help="Print the events under their long names."),
        example="synapse relay relay.ndjson --cursor relay.cursor --for alice",
    ),
    Command(
        "ingest", ingest, "Print the events in a database file as NDJSON; no hub is needed.",
        Argument("db", help="The file: synapse.db of a data folder, or a backup."),
        Option("--memory", flag=True, help="Only those of the shared memory."),
        Option("--cursor", metavar="FILE", help="Only those since the last time; the place is kept in this file."),
        example="synapse ingest synapse-backup.db --cursor ingest.cursor",
    ),
)  # fmt: skip
