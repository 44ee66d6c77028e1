"""What the live table shows, kept up to date: read from the hub when it tells of a change, never in between."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from synapse.client.aio import Link, OnFrame
from synapse.errors import SynapseError, Unavailable

Row = dict[str, Any]
Opener = Callable[[dict[str, Any], OnFrame, Callable[[Any], None]], Awaitable[Link]]

TOGETHER = 0.1  # seconds in which changes are taken together
LONGEST_PAUSE = 1.0  # seconds between two looks for the next hub
KINDS = ("agents.*", "tasks.*")


@dataclass(frozen=True, slots=True)
class News:
    """How everything is now."""

    rows: list[Row] = field(default_factory=list)
    added: tuple[str, ...] = ()  # titles of the columns that plugins add
    waiting: tuple[Row, ...] = ()  # what waits for a person, as `synapse waiting --json` has it


class Feed:
    """A connection to the hub, and to the next one when it ends.

    `on_news` is called with how things are, after every change; `on_away` when the hub is gone.
    """

    def __init__(self, hello: dict[str, Any], opener: Opener, *, all: bool) -> None:
        self.on_news: Callable[[News], None] = lambda news: None
        self.on_away: Callable[[], None] = lambda: None
        self._hello = hello
        self._opener = opener
        self._request = {"workspace": "*" if all else "", "all": all}
        self._link: Link | None = None
        self._stale = asyncio.Event()

    async def run(self) -> None:
        """Tell the news for ever."""
        pause = 0.05
        while True:
            try:
                self._link = await self._opener(self._hello, self._frame, self._lost)
                await self._follow(self._link)
            except (OSError, SynapseError) as error:
                if isinstance(error, SynapseError) and not isinstance(error, Unavailable):
                    raise
            else:
                pause = 0.05
            self.close()
            self.on_away()
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)

    def close(self) -> None:
        if self._link is not None:
            self._link.close()

    async def signal(self, key: str, action: str) -> None:
        """Have an agent end (`stop` in its own way, `kill` at once); raises what the hub refuses with."""
        if self._link is None:
            raise Unavailable("lost", "The hub is gone: try again when it is back.")
        await self._link.ask("agents.signal", {"target": key, "action": action})

    async def _follow(self, link: Link) -> None:
        """Tell the news as long as this connection lasts."""
        first = await link.ask("agents.list", self._request)
        kinds = () if first.get("columns") else KINDS  # what a plugin's column says may change with any event
        await link.ask("events.follow", {"kinds": kinds, "presence": True})
        while not link.closed:
            self._stale.clear()
            self.on_news(await self._read(link))
            await asyncio.sleep(TOGETHER)
            await self._stale.wait()

    async def _read(self, link: Link) -> News:
        reply = await link.ask("agents.list", self._request)
        rows, columns = reply.get("agents") or [], reply.get("columns") or []
        for column in columns if rows else ():
            try:
                told = (await link.ask(column["verb"], {})).get("agents") or {}
            except Unavailable:
                raise
            except SynapseError:
                told = {}  # a plugin that cannot say it now
            for row in rows:
                row.setdefault("columns", {})[column["title"]] = told.get(row["key"], "")
        return News(rows, tuple(each["title"] for each in columns), await self._waiting(link))

    async def _waiting(self, link: Link) -> tuple[Row, ...]:
        place = self._request["workspace"]
        try:
            return tuple((await link.ask("attention.waiting", {"workspace": place})).get("items") or ())
        except Unavailable:
            raise
        except SynapseError:
            return ()  # an older hub, which does not know of it

    def _frame(self, method: str, params: dict[str, Any]) -> None:
        if method in ("event", "presence"):
            self._stale.set()

    def _lost(self, link: Any) -> None:
        self._stale.set()


def here(hello: dict[str, Any]) -> Opener:
    """The way to the hub that commands talk to, of this machine or another; it never starts one."""
    from synapse import paths, settings
    from synapse.client import place

    url = os.environ.get("SYNAPSE_URL", "")
    data = paths.data_folder()
    socket, token = place.find(url) if url else ("", "")
    if url and not socket:
        return _far(url, token, place.abroad(hello))
    return _local(data, socket or os.environ.get("SYNAPSE_SOCKET") or paths.hub_socket(data, settings.hub_port()))


def _far(url: str, token: str, told: dict[str, Any]) -> Opener:
    async def opened(hello: dict[str, Any], on_frame: OnFrame, on_lost: Callable[[Any], None]) -> Link:
        from synapse.client.remote import connect

        return await connect(url, token, told, on_frame, on_lost)

    return opened


def _local(data: str, path: str) -> Opener:
    async def opened(hello: dict[str, Any], on_frame: OnFrame, on_lost: Callable[[Any], None]) -> Link:
        from synapse.client.aio import connect
        from synapse.client.starting import holder

        try:
            return await connect(path, hello, on_frame, on_lost)
        except OSError:
            there = str((holder(data) or {}).get("socket", ""))  # it has moved to another port
            if there in ("", path):
                raise
            return await connect(there, hello, on_frame, on_lost)

    return opened
