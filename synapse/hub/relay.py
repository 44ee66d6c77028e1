"""The relay file: what happens, in few letters, for observers who read a file and pay by the token.

It follows the committed log by its own cursor, the last line's event number: nothing is written that was not stored, and
after a hub's end it goes on where it stood. It is bounded: when it is full its oldest quarter is cut off, by rename, so
that `tail -F` and event numbers survive.
"""

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

from msgspec import json

from synapse.errors import Refused
from synapse.event import Event, encode
from synapse.hub.agents import Agents
from synapse.hub.facts import CursorMoved, Returned, Sent, Typing
from synapse.hub.loop import Hub
from synapse.hub.recovery import events_of
from synapse.lite import decode_lite, encode_lite
from synapse.log.base import Log, Record

logger = logging.getLogger(__name__)

MOST_LINES = 10_000
LEAST_LINES = 10
LONGEST_TEXT = 2000  # characters of a text; who wants all of it asks the hub
PAGE = 200  # records read at once
TRY_AGAIN = 1.0  # seconds, when the file cannot be written
_QUIET = frozenset({CursorMoved.kind, Typing.kind, Returned.kind})  # told to nobody as news
_BOXES = frozenset(
    {"to", "box", "sender", "requester", "agent", "key"}
)  # fields that hold keys or boxes: told as names
_SPARED = {Sent.kind: frozenset({"name", "agent_id", "reply_expected"})}  # what the rest of the line tells already

Address = tuple[int, int]
WHOLE = 1 << 30  # an index behind that of every event of a record


class RelayFile:
    """A bounded file of lines in the order of their event numbers; its methods block."""

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most
        self._lines = 0

    def open(self) -> Address | None:
        """Make the file good, and say which event its last line has; None when there is none."""
        try:
            self._path.touch(mode=0o600)
            content = self._path.read_bytes()
        except OSError as error:
            raise Refused("bad_relay", f"--relay-log: {self._path} cannot be used: {error.strerror}.") from None
        whole = content[: content.rfind(b"\n") + 1]
        lines = whole.splitlines()
        last = _address(lines[-1]) if lines else None
        if lines and last is None:
            raise Refused("bad_relay", f"--relay-log: {self._path} is there and is no relay file: choose another.")
        if len(whole) != len(content):
            os.truncate(self._path, len(whole))  # a line that a hub did not finish
        self._lines = len(lines)
        self._make_room(0)
        return last

    def append(self, lines: list[str]) -> None:
        """Write lines behind the others; when there would be too many, the oldest are cut off first."""
        lines = lines[-self._most :]
        self._make_room(len(lines))
        with open(self._path, "ab") as file:
            file.write("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
        self._lines += len(lines)

    def set_aside(self) -> Path:
        """Begin anew; where the old lines are now."""
        old = self._path.with_name(f"{self._path.name}.old")
        os.replace(self._path, old)
        self._path.touch(mode=0o600)
        self._lines = 0
        return old

    def _make_room(self, new: int) -> None:
        if self._lines + new <= self._most:
            return
        left = max(0, self._most - max(self._most // 4, new))
        kept = self._path.read_bytes().splitlines(keepends=True)[-left:] if left else []
        unfinished = self._path.with_name(f"{self._path.name}.unfinished")
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.writelines(kept)
        os.replace(unfinished, self._path)
        self._lines = len(kept)


def _address(line: bytes) -> Address | None:
    try:
        event = decode_lite(line.decode())
    except (ValueError, UnicodeDecodeError):
        return None
    return event["position"], event["index"]


class Relay:
    """Mirrors the committed events of a hub into a file, beginning with what happens now when the file is new."""

    def __init__(self, hub: Hub, path: Path, most: int = MOST_LINES) -> None:
        if most < LEAST_LINES:
            raise Refused("bad_number", f"--relay-max-lines {most}: {LEAST_LINES} or more.")
        self._hub = hub
        self._path = path
        self._file = RelayFile(path, most)
        self._cursor: Address = (0, 0)
        self._news = asyncio.Event()
        self._busy = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Get level with the log, and follow it from now on; Refused when the file cannot be used."""
        last, head = await asyncio.to_thread(self._file.open), self._hub.outbox.committed
        if last is not None and last[0] > head:
            old = await asyncio.to_thread(self._file.set_aside)
            logger.warning("the relay file was of another log: it is %s now", old)
            last = None
        self._cursor = (head, WHOLE) if last is None else last
        self._hub.on_publish.append(self._published)
        self._news.set()
        self._task = self._hub.loop.create_task(self._follow())

    async def close(self) -> None:
        """Write what is committed, and stop."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._hub.on_publish.remove(self._published)
        try:
            await self._catch_up()
        except OSError as error:
            logger.error("the relay file %s cannot be written: %s", self._path, error)

    def _published(self, position: int, events: list[Event]) -> None:
        self._news.set()

    async def _follow(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await asyncio.shield(self._catch_up())
            except Exception as error:
                logger.error("the relay file %s cannot be written: %s", self._path, error)
                await asyncio.sleep(TRY_AGAIN)
                self._news.set()

    async def _catch_up(self) -> None:
        """Mirror everything between the cursor and the committed head, a page at a time."""
        hub = self._hub
        async with self._busy:
            while self._cursor < (hub.outbox.committed, WHOLE):
                after, until = self._cursor, hub.outbox.committed
                start = (
                    after[0] if after[1] == WHOLE else after[0] - 1
                )  # the rest of a record, after a crash in its middle
                records = await hub.loop.run_in_executor(hub.readers, _page, hub.log, max(0, start), until)
                events = [event for record in records for event in events_of(hub, record)]
                names = hub.state.get(Agents).label
                lines = [_line(event, names) for event in events if _told(event, after)]
                if lines:
                    await asyncio.to_thread(self._file.append, lines)
                self._cursor = (records[-1].position if len(records) == PAGE else until, WHOLE)


def _page(log: Log, after: int, until: int) -> list[Record]:
    return list(log.read(after, limit=PAGE, until=until))


def _told(event: Event, after: Address) -> bool:
    return (event.position, event.index) > after and event.kind not in _QUIET


def _line(event: Event, names: Any) -> str:
    """The event in few letters: names for keys and boxes, nothing twice, long texts cut."""
    body = json.decode(encode(event.body))
    by = names(event.by)
    spared = _SPARED.get(event.kind, frozenset())
    short: dict[str, Any] = {}
    for field, value in body.items() if isinstance(body, dict) else ():
        if field in spared or value == event.story or (field in ("key", "sender") and names(str(value)) == by):
            continue
        short[field] = _short(field, value, names)
    return encode_lite(
        {
            "position": event.position,
            "index": event.index,
            "at": event.at,
            "kind": event.kind,
            "by": by,
            "workspace": event.workspace,
            "story": event.story,
            "body": short,
        }
    )


def _short(field: str, value: Any, names: Any) -> Any:
    if field in _BOXES and isinstance(value, str):
        return names(value)
    if field in _BOXES and isinstance(value, list):
        return [names(one) if isinstance(one, str) else one for one in value]
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return value[:LONGEST_TEXT] + "…"
    return value
