"""The log's file read by the command's own process: `backup`, and what `events query` and `export` read."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from synapse import paths
from synapse.cli.command import AS_JSON, Argument, Command, Option
from synapse.cli.following import Address, Event
from synapse.cli.table import write
from synapse.cli.wording import Names
from synapse.client.lines import dumps
from synapse.errors import BadRequest, NotFound, Refused

if TYPE_CHECKING:
    from synapse.event import Event as HubEvent
    from synapse.event import Kinds
    from synapse.log.base import Record
    from synapse.log.sqlite import SqliteLog

_NAMING = ("agents.joined", "agents.renamed")


def backup(file: str, *, db: "str | None", as_json: bool) -> int:
    """Copy the log to a file, also while a hub uses it."""
    target = Path(file)
    if target.is_dir():
        raise Refused("backup_target", f"{file} is a folder: name a file in it.")
    if not target.absolute().parent.is_dir():
        raise NotFound("no_folder", f"There is no folder {target.absolute().parent}: make it first.")
    with opened(db) as log:
        log.backup(target)
        source = log.path
    with opened(file) as copy:
        head = copy.head()
    size = target.stat().st_size
    done = {"file": str(target.absolute()), "log": str(source), "position": head, "bytes": size}
    write(dumps(done).decode() if as_json else f"{file}: {head} records, {size / 1e6:.1f} MB\n")
    return 0


@contextmanager
def opened(db: "str | None") -> "Iterator[SqliteLog]":
    """The log of this data folder, or the one in a file, to be read."""
    from synapse.log.sqlite import SqliteLog

    path = Path(db or os.path.join(paths.data_folder(), "synapse.db"))
    if not path.is_file():
        inside = path / "synapse.db"
        if path.is_dir() and inside.is_file():
            raise NotFound("no_log", f"{path} is a folder: the log in it is {inside}.")
        named = "name the file of a log: synapse.db in a data folder, or a backup"
        where = named if db else "`synapse serve` begins one; SYNAPSE_DATA or --db chooses another"
        raise NotFound("no_log", f"There is no log {path}: {where}.")
    log = SqliteLog.open(path, read_only=True)
    try:
        yield log
    finally:
        log.close()


@contextmanager
def written(file: "str | None") -> "Iterator[Callable[[bytes], object]]":
    """What writes lines into a file, or on standard output."""
    if not file or file == "-":
        yield lambda line: write(line.decode())
        return
    try:
        with open(file, "wb") as out:
            yield out.write
    except OSError as error:
        raise Refused("no_output", f"{file} cannot be written: {error.strerror}.") from None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are wanted; what is "" or () wants all. Times are words: `10m`, `2026-01-31 14:00`."""

    kinds: tuple[str, ...] = ()
    agent: str = ""
    story: str = ""
    since: str = ""
    until: str = ""


def names(log: "SqliteLog") -> Names:
    """The names of everybody who was ever here."""
    found = Names()
    for record in log.read(0, kinds=_NAMING):
        for event in record.events:
            if event.body != b"{}":
                found.learn({"kind": event.kind, "body": msgspec.json.decode(event.body)})
    return found


def read(log: "SqliteLog", after: Address, wanted: Filter, limit: "int | None" = None) -> Iterator[Event]:
    """The events behind an address that fit."""
    since, until = moment(wanted.since), moment(wanted.until) or float("inf")
    keys = _keys(log, wanted.agent) if wanted.agent else frozenset()
    start = max(0, after[0] - 1)
    records = iter(log.story(wanted.story)) if wanted.story else log.read(start)
    left = limit
    for record in records:
        if record.at > until:
            return
        if record.at < since or record.position < after[0]:
            continue
        for index, event in record.numbered():
            if (record.position, index) <= after or not _kind_fits(event.kind, wanted.kinds):
                continue
            if keys and event.by not in keys and not any(key in event.body for key in _quoted(keys)):
                continue
            if left is not None and left <= 0:
                return
            left = None if left is None else left - 1
            yield {
                "position": record.position, "index": index, "at": record.at, "kind": event.kind, "by": event.by,
                "workspace": event.workspace, "story": event.story, "body": msgspec.json.decode(event.body),
            }  # fmt: skip


def _kind_fits(kind: str, wanted: tuple[str, ...]) -> bool:
    return not wanted or any(fnmatchcase(kind, one) for one in wanted)


def _keys(log: "SqliteLog", agent: str) -> frozenset[str]:
    """All keys and boxes that belonged to a name, an id or `workspace/name`; the newest stays and the old ones alike."""
    found, boxes = {agent} if agent.startswith("a-") else set(), set()
    place, _, name = agent.lower().rpartition("/")
    for record in log.read(0, kinds=_NAMING):
        for event in record.events:
            body = msgspec.json.decode(event.body)
            if name in (body.get("name"), body.get("id")) and place in ("", event.workspace):
                found.add(body["key"])
                boxes.add(f"{event.workspace}/{body['name']}")
    if not found:
        raise NotFound("no_such_agent", f"Nobody called '{agent}' was ever here.")
    return frozenset(found | boxes)


def _quoted(keys: frozenset[str]) -> list[bytes]:
    return [msgspec.json.encode(key) for key in keys]


_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)(?: ago)?\Z", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")


def moment(text: str) -> float:
    """Seconds since 1970 of a time in words (this machine's time zone); 0 for ""."""
    if not text:
        return 0.0
    ago = _AGO.match(text)
    if ago:
        return time.time() - float(ago[1]) * _UNITS[ago[2]]
    for form in _FORMS:
        try:
            return time.mktime(time.strptime(text, form))
        except (ValueError, OverflowError):
            continue
    raise BadRequest("bad_time", f"{text[:40]!r} is no time: use 10m, 2h, 3d, 2026-01-31 or '2026-01-31 14:00'.")


def state_at(when: str, db: "str | None" = None) -> "dict[str, object]":
    """The state as it was after a position, or at a time in words: folded again from the log's file."""
    from synapse.event import Kinds
    from synapse.hub.agents import Agents
    from synapse.hub.facts import CORE
    from synapse.hub.mailbox import Mailbox
    from synapse.hub.tasks import Tasks
    from synapse.projection import fold

    agents, tasks, mailbox = Agents(), Tasks(), Mailbox()
    position = int(when) if when.isascii() and when.isdigit() else None
    last = moment(when) if position is None else float("inf")
    reached, at = 0, 0.0
    with opened(db) as log:
        head = log.head()
        if position is not None and position > head:
            raise BadRequest("bad_position", f"--at {position}: the log ends at {head}.")
        for record in log.read(0, until=position):
            if record.at > last:
                break
            reached, at = record.position, record.at
            fold((agents, tasks, mailbox), _decoded(record, Kinds(*CORE)))
    return {
        "position": reached,
        "at": at,
        "agents": [
            {
                "agent_id": a.id, "agent_type": a.type, "name": a.name, "role": a.role, "skill_set": a.skill_set,
                "port": a.port, "pid": a.pid, "working_dir": a.cwd, "workspace": a.workspace, "key": a.key,
                "queued": mailbox.queued(a.box),
            }
            for a in agents
        ],
        "tasks": [
            {"task_id": t.id, "agent": agents.label(t.box), "requester": agents.label(t.requester), "state": t.state,
             "since": t.since, "question": t.question}
            for t in tasks.live.values()
        ],
        "messages": len(mailbox),
    }  # fmt: skip


def _decoded(record: "Record", kinds: "Kinds") -> "Iterator[HubEvent]":
    """The events of a record that can be read: others were redacted, or are of a plugin that is not here."""
    from synapse.event import Event

    for index, e in record.numbered():
        try:
            body = kinds.decode(e.kind, e.body)
        except msgspec.ValidationError:
            continue
        yield Event(record.position, index, record.at, e.kind, e.by, e.workspace, e.story, body)


def keys_of(name: str) -> "list[str]":
    """The keys of everybody who was called so, the newest first; none when there is no log."""
    try:
        with opened(None) as log:
            return sorted((key for key in _keys(log, name) if key.startswith("a-")), reverse=True)
    except (NotFound, Refused):
        return []


COMMANDS = (
    Command(
        "backup", backup, "Copy the log to a file, also while a hub uses it.",
        Argument("file", help="The copy; an older backup of that name is replaced."),
        Option("--db", metavar="FILE", help="Another log than synapse.db in the data folder."), AS_JSON,
        example="synapse backup synapse-backup.db",
    ),
)  # fmt: skip
