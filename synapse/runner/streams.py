"""Streams of events that a program writes by itself: a file of JSON lines, followed as it grows."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from synapse.client.lines import loads
from synapse.runner import picking
from synapse.runner.filling import fill, where
from synapse.runner.parts import Stream

logger = logging.getLogger(__name__)

LOOK_AGAIN = 0.1  # seconds between looks at a file
AWAKE = 10.0  # seconds for which it is looked at after the program has given any sign of life; then it costs nothing
CHUNK = 1 << 20
RECENT = 1 << 18  # bytes of a file with a past that are read

OnEvent = Callable[[str, str, Mapping[str, Any]], None]


class Follower:
    """Reads one stream until it is closed; `on_event(source, event, fields)` for each event."""

    def __init__(self, name: str, stream: Stream, values: Mapping[str, str], on_event: OnEvent) -> None:
        self._name = name
        self._stream = stream
        self._values = values
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._began = datetime.now(UTC)
        self._seen = self._loop.time()  # when the program last gave a sign of life
        self._sign = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._follow())

    def close(self) -> None:
        self._task.cancel()

    def wake(self) -> None:
        """The program has done something: it may write more."""
        self._seen = self._loop.time()
        self._sign.set()

    async def _follow(self) -> None:
        path, place, rest = "", 0, b""
        while True:
            if (found := self._path()) and found != path:
                path, place, rest = found, self._begin(found), b""
            if path:
                place, content = _more(path, place)
                *lines, rest = (rest + content).split(b"\n")
                for line in lines:
                    self._tell(line)
                if content:
                    self.wake()
                    await asyncio.sleep(0)
                    continue
            if self._loop.time() - self._seen < AWAKE:
                await asyncio.sleep(LOOK_AGAIN)
            else:
                self._sign.clear()
                await self._sign.wait()

    def _path(self) -> str:
        """Where it is by now; "" when it is not there."""
        path = where(fill(self._stream.file, self._values), os.environ)
        return path if os.path.exists(path) else ""

    def _begin(self, path: str) -> int:
        """From where on a file is read that has just been found: of one with a past, the end."""
        return max(0, os.stat(path).st_size - RECENT) if self._stream.time else 0

    def _is_old(self, fields: Mapping[str, Any]) -> bool:
        try:
            return datetime.fromisoformat(picking.text(fields, self._stream.time)) < self._began
        except (ValueError, TypeError):  # it has none, or no time zone
            return False

    def _tell(self, line: bytes) -> None:
        try:
            fields = loads(line)
        except (ValueError, RecursionError):
            return
        if isinstance(fields, dict) and not (self._stream.time and self._is_old(fields)):
            self._on_event(self._name, picking.text(fields, self._stream.event), fields)


def _more(path: str, place: int) -> tuple[int, bytes]:
    """What was written behind a place; one that was cut is read from its beginning."""
    try:
        size = os.stat(path).st_size
        if size == place:
            return place, b""
        with open(path, "rb") as file:
            file.seek(place if size > place else 0)
            content = file.read(CHUNK)
            return file.tell(), content
    except OSError:
        return place, b""
