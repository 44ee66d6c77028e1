"""The runner's line to the hub: it joins, reports, takes deliveries, and comes back when the hub does."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from synapse import __version__
from synapse.client import aio
from synapse.client.starting import find_or_start
from synapse.errors import NotFound, SynapseError, Unavailable

logger = logging.getLogger(__name__)

LOOK_AGAIN = (0.05, 0.2, 1.0, 2.0, 4.0)  # seconds between looks for a hub that has stopped; the last one repeats
PAUSE = 1.0  # seconds until a hub that cannot take changes now is asked again
JITTER = 1.0  # seconds at most before a runner starts a hub by itself: another may be quicker


@dataclass(slots=True)
class _Report:
    """A change that the hub must hear of, under one key until it has answered."""

    verb: str
    params: dict[str, Any]
    answer: asyncio.Future[dict[str, Any]]
    key: str = field(default_factory=lambda: os.urandom(12).hex())


class Link:
    """One agent's connection. Changes are sent in order, and again after a loss, until they are answered."""

    def __init__(self, join: dict[str, Any], *, data: str, socket: str) -> None:
        self.on_deliver: Callable[[dict[str, Any]], None] = lambda message: None
        self.on_command: Callable[[str], None] = lambda command: None
        self.on_answer: Callable[[dict[str, Any]], None] = lambda order: None
        self.on_notice: Callable[[dict[str, Any]], None] = lambda notice: None
        self.on_watch: Callable[[dict[str, Any]], None] = lambda watch: None
        self.on_back: Callable[[], None] = lambda: None
        self.on_joined: Callable[[], None] = lambda: None
        self.agent: dict[str, Any] = {}
        self._join = join
        self._data = data
        self._path = socket
        self._live: dict[str, Any] = {"status": "STARTING"}
        self._connection: aio.Connection | None = None
        self._attached = False
        self._handed: list[dict[str, Any]] = []  # over, before we knew that we are accepted
        self._reports: deque[_Report] = deque()
        self._wake = asyncio.Event()
        self._lost = asyncio.Event()
        self._told_to_wait = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connected(self) -> bool:
        """Does the hub know this connection as the agent's?"""
        return self._attached and self._connection is not None

    @property
    def port(self) -> int:
        """The hub's."""
        return int(self._connection.welcome.get("port", 0)) if self._connection is not None else 0

    async def open(self) -> dict[str, Any]:
        """Join; the agent's key, name, id and port. Raises what the hub refuses with."""
        await self._connect()
        self.agent = await self._joined()
        self._join.pop("idempotency_key", None)  # for this stay alone
        await self._attach()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep()), loop.create_task(self._send())]
        return self.agent

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._connection is not None:
            self._connection.close()

    # -- telling

    def report(self, **live: Any) -> None:
        """Tell how the agent is; the newest word counts, also after a loss."""
        self._live = live
        if self._connection is not None:
            self._connection.ask("agents.report", live).add_done_callback(_heard)

    def told(self, name: str) -> Any:
        """What was told last of how the agent is; "" if nothing was."""
        return self._live.get(name, "")

    def change(self, verb: str, **params: Any) -> "asyncio.Future[dict[str, Any]]":
        """A change, sent behind those before it; the future gives the reply or raises the hub's refusal."""
        report = _Report(verb, params, asyncio.get_running_loop().create_future())
        self._reports.append(report)
        self._wake.set()
        return report.answer

    async def ask(self, verb: str, **params: Any) -> dict[str, Any]:
        """The reply to a question; raises what the hub answers with, Unavailable when it is not there."""
        if self._connection is None:
            raise Unavailable("lost", "The hub is gone.")
        return await self._connection.ask(verb, params)

    async def flush(self, seconds: float) -> None:
        """Wait until everything is told, at most that long."""
        waiting = [report.answer for report in self._reports]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)

    async def _send(self) -> None:
        while True:
            while self._reports and self._attached and self._connection is not None:
                await self._send_one(self._reports[0], self._connection)
            self._wake.clear()
            await self._wake.wait()

    async def _send_one(self, report: _Report, connection: aio.Connection) -> None:
        try:
            reply = await connection.ask(report.verb, {**report.params, "idempotency_key": report.key})
        except SynapseError as error:
            if isinstance(error, Unavailable) or error.code == "rate_limited":
                await self._pause(error.code)
                return
            self._reports.popleft()
            if not report.answer.done():
                report.answer.set_exception(error)
                report.answer.exception()  # who does not ask is not told twice
            return
        self._reports.popleft()
        if not report.answer.done():
            report.answer.set_result(reply)

    async def _pause(self, code: str) -> None:
        if code == "lost":
            self._wake.clear()
            if self._attached:
                await asyncio.sleep(0)  # it is closing: that is told in a moment
            else:
                await self._wake.wait()
        else:
            await asyncio.sleep(PAUSE)

    # -- the connection

    async def _connect(self) -> None:
        hello = {
            "protocol": 1,
            "version": __version__,
            "pid": os.getpid(),
            "runner": True,
            "user": os.environ.get("USER", ""),
            "folder": self._join.get("folder", ""),
            "workspace": self._join.get("workspace", ""),
        }
        self._lost.clear()
        self._handed.clear()
        self._connection = await aio.connect(self._path, hello, self._frame, self._gone)
        if self._connection.closed:  # between its welcome and now
            self._connection = None
            raise Unavailable("lost", "The hub has closed the connection.")

    async def _joined(self) -> dict[str, Any]:
        assert self._connection is not None
        return await self._connection.ask("agents.join", {"idempotency_key": os.urandom(12).hex(), **self._join})

    async def _attach(self) -> None:
        assert self._connection is not None
        key = self.agent["key"]
        try:
            self.agent = await self._connection.ask("agents.attach", {"key": key, "live": self._live})
        except NotFound:
            logger.warning("the hub knows nothing of the stay %s: joining again", key)
            self.agent = await self._joined()
            self.agent = await self._connection.ask("agents.attach", {"key": self.agent["key"], "live": self._live})
        self._attached = self._connection is not None
        handed, self._handed = self._handed, []
        for params in handed if self._attached else ():
            self.on_deliver(params)

    def _gone(self, connection: aio.Connection) -> None:
        if connection is self._connection:
            self._connection, self._attached = None, False
            self._lost.set()

    def _frame(self, method: str, params: dict[str, Any]) -> None:
        if method == "deliver":
            if self._attached:
                self.on_deliver(params)
            else:  # right behind the hub's yes, which this has not heard yet
                self._handed.append(params)
        elif method == "answer":
            self.on_answer(params)
        elif method == "notice":
            self.on_notice(params)
        elif method == "watch":
            self.on_watch(params)
        elif method == "stopping":
            self._told_to_wait = not params.get("restart")
        else:
            self.on_command(method)

    async def _keep(self) -> None:
        """Come back whenever the connection was lost."""
        while True:
            await self._lost.wait()
            logger.info("the hub is gone")
            key, attempt = self.agent["key"], 0
            while not await self._come_back(attempt):
                attempt += 1
            logger.info("back at the hub")
            self._told_to_wait = False
            if self.agent["key"] != key:
                self.on_joined()
            self._wake.set()

    async def _come_back(self, attempt: int) -> bool:
        pause = LOOK_AGAIN[min(attempt, len(LOOK_AGAIN) - 1)]
        await asyncio.sleep(pause if self._told_to_wait else pause + JITTER * os.urandom(1)[0] / 256)
        try:
            self._path = await asyncio.to_thread(find_or_start, self._data, self._path, start=not self._told_to_wait)
            await self._connect()
            self.on_back()  # before the hub hands over anything
            await self._attach()
        except (OSError, SynapseError) as error:
            logger.info("not yet: %s", error)
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()
            return False
        return True


def _heard(reply: "asyncio.Future[dict[str, Any]]") -> None:
    """A status that was not heard is told again when the connection is back."""
    if not reply.cancelled() and reply.exception() is not None:
        logger.debug("a status was not heard: %s", reply.exception())
