"""Streams of events that a program writes by itself: a file of JSON lines, followed as it grows."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from synapse.client.lines import loads
from synapse.runner import picking
from synapse.runner.filling import fill
from synapse.runner.parts import Stream

logger = logging.getLogger(__name__)

LOOK_AGAIN = 0.1  # seconds between looks at a file
AWAKE = 10.0  # seconds for which it is looked at after the program has given any sign of life; then it costs nothing
CHUNK = 1 << 20

OnEvent = Callable[[str, str, Mapping[str, Any]], None]


class Follower:
    """Reads one stream until it is closed; `on_event(source, event, fields)` for each event."""

    def __init__(self, name: str, stream: Stream, values: Mapping[str, str], on_event: OnEvent) -> None:
        self._name = name
        self._stream = stream
        self._values = values
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
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
            path = path or self._path()
            if path:
                place, content = _more(path, place)
                *lines, rest = (rest + content).split(b"\n")
                for line in lines:
                    self._tell(line)
                if content:
                    self.wake()
                    continue
            if self._loop.time() - self._seen < AWAKE:
                await asyncio.sleep(LOOK_AGAIN)
            else:
                self._sign.clear()
                await self._sign.wait()

    def _path(self) -> str:
        path = fill(self._stream.file, self._values)
        return path if os.path.exists(path) else ""

    def _tell(self, line: bytes) -> None:
        try:
            fields = loads(line)
        except (ValueError, RecursionError):
            return
        if isinstance(fields, dict):
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
