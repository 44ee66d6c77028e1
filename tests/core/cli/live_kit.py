"""A hub in this process with agents whose runners say what a test wants, and the live table on a screen of its own."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Static

from synapse import Hub
from synapse.cli.live import LiveList, Table
from synapse.cli.live_feed import Feed
from synapse.settings.declared import COLUMNS

BOUND = 10.0  # seconds
HELLO = {"protocol": 1, "version": "test", "user": "ada", "workspace": "house"}


class Runner:
    """What stands between the hub and an agent; `commands` is what it was asked to do."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.commands: list[str] = []
        self.delivered: list[dict[str, Any]] = []
        self.key = ""

    async def join(self, name: str, profile: str = "demo", **more: Any) -> "Runner":
        hello = {**HELLO, "pid": os.getpid(), "runner": True}
        self._link = await self._hub.connect(hello, self._frame, lambda link: None)
        asked = {
            "profile": profile,
            "name": name,
            "pid": os.getpid(),
            "cwd": "/srv/shop",
            "ports": (8150, 8199),
            "workspace": "house",
        }
        joined = await self._link.ask("agents.join", {**asked, **more, "idempotency_key": f"join-{name}"})
        self.key = str(joined["key"])
        await self._link.ask("agents.attach", {"key": self.key, "live": {"status": "READY"}})
        return self

    def _frame(self, method: str, params: dict[str, Any]) -> None:
        if method == "deliver":
            self.delivered.append(params)
        else:
            self.commands.append(method)

    async def report(self, status: str, **more: Any) -> None:
        await self._link.ask("agents.report", {"status": status, **more})

    async def change(self, verb: str, **params: Any) -> dict[str, Any]:
        return await self._link.ask(verb, {**params, "idempotency_key": os.urandom(8).hex()})

    async def take(self) -> dict[str, Any]:
        """Be handed a message and type it."""
        await soon(lambda: self.delivered)
        message = self.delivered.pop(0)
        await self.change("messages.typing", id=message["id"])
        await self.change("messages.delivered", id=message["id"])
        return message


class Going:
    """Where the person went, in place of windows and terminals."""

    def __init__(self) -> None:
        self.went: list[tuple[str, str]] = []

    async def jump(self, key: str) -> bool:
        self.went.append(("jump", key))
        return True

    def attach(self, key: str) -> str:
        self.went.append(("attach", key))
        return ""


class Seen:
    """The table as a person sees it."""

    def __init__(self, app: LiveList, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def rows(self) -> list[list[str]]:
        """The cells of the table, line by line."""
        table = self.app.query_one(Table)
        return [[str(cell) for cell in table.get_row_at(at)] for at in range(table.row_count)]

    @property
    def heads(self) -> list[str]:
        return [str(column.label) for column in self.app.query_one(Table).ordered_columns][1:]

    def column(self, head: str) -> list[str]:
        return [row[1 + self.heads.index(head)] for row in self.rows]

    def colours(self, head: str) -> list[str]:
        table = self.app.query_one(Table)
        at = 1 + self.heads.index(head)
        return [str(table.get_row_at(row)[at].style) for row in range(table.row_count)]

    def text(self, id: str) -> str:
        """What stands in a part of the screen; "" when it is not shown."""
        part = self.app.query_one(f"#{id}", Static)
        return str(part.render()) if part.display else ""

    @property
    def chosen(self) -> str:
        table = self.app.query_one(Table)
        return self.rows[table.cursor_row][1 + self.heads.index("NAME")]

    async def until(self, true: Callable[[], object], what: str = "") -> None:
        await soon(true, what or (lambda: f"{self.text('top')} {self.rows} {self.text('waiting')}"))
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)


async def soon(true: Callable[[], object], what: "str | Callable[[], str]" = "") -> None:
    """Wait, bounded, for something that another part does."""
    end = asyncio.get_running_loop().time() + BOUND
    while not true():
        assert asyncio.get_running_loop().time() < end, what() if callable(what) else what
        await asyncio.sleep(0.01)


@asynccontextmanager
async def table(
    hub: Hub,
    *,
    size: tuple[int, int] = (120, 30),
    columns: tuple[str, ...] = COLUMNS,
    all: bool = False,
    going: Going | None = None,
    opener: Any = None,
) -> AsyncIterator[Seen]:
    """The live table of that hub."""
    feed = Feed(dict(HELLO), opener or hub.connect, all=all)
    app = LiveList(feed, place="house", columns=columns, all=all, going=going or Going())
    async with app.run_test(size=size) as pilot:
        yield Seen(app, pilot)
