"""The library: a hub in this process, and participants that need no socket to talk to it.

async with Hub() as hub, hub.agent("alice") as alice: ...
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import convert, json, to_builtins

from synapse import __version__
from synapse import plugins as door
from synapse.client.agent import Agent, Listening
from synapse.client.aio import OnFrame, lost
from synapse.clock import SystemClock
from synapse.errors import SynapseError, Unavailable
from synapse.hub.core import Core
from synapse.hub.limits import Limits
from synapse.hub.sessions import Session
from synapse.lite import decode_lite, encode_lite
from synapse.log.base import Log
from synapse.log.memory import MemoryLog
from synapse.log.sqlite import SqliteLog
from synapse.server import access
from synapse.server.lock import FolderLock
from synapse.server.platform import MachineProcesses
from synapse.verb import Verb

__all__ = ["Agent", "Hub", "Listening", "decode_lite", "encode_lite"]

STALLED = 1 << 30  # what a reader that takes nothing in has before it: more than the hub sends anybody


class Hub:
    """A hub in this process, without doors: nobody else reaches it.

    With a folder it keeps its log there (and no other hub may have that folder); without one nothing is kept.
    `plugins` are those that are used in place of the installed ones; `disabled` leaves some out: NotFound when it names
    none of them.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        plugins: "Iterable[door.Plugin] | None" = None,
        disabled: Iterable[str] = (),
    ) -> None:
        self._folder = None if folder is None else Path(folder).absolute()
        self._plugins = None if plugins is None else tuple(plugins)
        self._disabled = (disabled,) if isinstance(disabled, str) else tuple(disabled)
        self._stack = contextlib.AsyncExitStack()
        self._links: set[Joint] = set()
        self._letting_in = False
        self.verbs: Mapping[str, Verb] = {}
        self.core: Core

    async def __aenter__(self) -> "Hub":
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        used = self._used()
        clock, loop = SystemClock(), asyncio.get_running_loop()
        log: Log = MemoryLog()
        if self._folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="synapse-")))
        else:
            folder = self._folder
            lock = await asyncio.to_thread(FolderLock, str(folder))
            stack.callback(lock.release)
            log = await asyncio.to_thread(SqliteLog.open, folder / "synapse.db")
            lock.tell(pid=os.getpid())
        stack.callback(log.close)
        self.core = Core(
            log,
            clock,
            MachineProcesses(loop.call_later),
            limits=Limits(clock, 0, 0),  # nobody is kept from himself
            plugins=used,
            cache=folder / "cache.db",
        )
        stack.push_async_callback(self.core.close)
        place = self.core.hub.place
        place.pid, place.data, place.started_at = os.getpid(), str(folder), clock.now()
        place.connections = lambda: len(self._links)
        await self.core.open(os.getpid())
        stack.callback(self._let_go)
        self.verbs = {verb.name: verb for verb in self.core.verbs if not verb.internal}
        self._letting_in = True

    def _used(self) -> list[door.Plugin]:
        """The plugins that are wanted."""
        points = door.found() if self._plugins is None else ()
        names = [plugin.name for plugin in self._plugins or ()] + [point.name for point in points]
        for name in self._disabled:
            if name not in names:
                raise door.absent(name, names)
        if self._plugins is None:
            return door.load(self._disabled, points)
        return [plugin for plugin in self._plugins if plugin.name not in self._disabled]

    def _let_go(self) -> None:
        self._letting_in = False  # who is let go of must not come back while it closes
        for link in list(self._links):
            link.close()

    def agent(self, name: str = "", *, workspace: str = "") -> Agent:
        """A participant of that name, to be used in an `async with`."""
        return Agent(name, workspace=workspace, hub=self)

    async def connect(self, hello: dict[str, Any], on_frame: OnFrame, on_lost: "Callable[[Joint], None]") -> "Joint":
        """A way in: what `Agent(hub=...)` uses."""
        if not self._letting_in or self.core.hub.closed_for is not None:
            raise Unavailable("no_hub", "This hub is not open: use it inside its `async with`.")
        if "folder" in hello and not hello.get("workspace"):
            hello = {**hello, "folder": "", "workspace": access.ANYWHERE}
        joint = Joint(self, on_frame, on_lost)
        joint.greet(hello)
        self._links.add(joint)
        return joint

    def left(self, link: "Joint") -> None:
        """A way in has ended."""
        if link in self._links:
            self._links.discard(link)
            self.core.gone(link.session)


class Joint:
    """A connection without a socket: requests are asked on the loop, frames come with its next turn."""

    def __init__(self, hub: Hub, on_frame: OnFrame, on_lost: "Callable[[Joint], None]") -> None:
        self.welcome: dict[str, Any] = {}
        self._hub = hub
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._paused = False
        self._drained: list[Callable[[], None]] = []
        self._waiting: set[asyncio.Future[Any]] = set()
        self.closed = False
        self.session = Session(
            push=self._push, backlog=lambda: STALLED if self._paused else 0, when_drained=self._when_drained
        )

    def greet(self, hello: dict[str, Any]) -> None:
        """Say who is there; Refused when that may not be."""
        core, session = self._hub.core, self.session
        session.pid, session.uid = os.getpid(), os.getuid()
        access.identify(core.hub, convert(hello, access.Hello), session, ancestors=lambda pid: ())
        core.arrived(session)
        self.welcome = to_builtins(access.welcome(core.hub, session, __version__))

    def ask(self, verb: str, params: dict[str, Any]) -> "asyncio.Future[dict[str, Any]]":
        """The future reply to a verb."""
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if self.closed:
            reply.set_exception(lost())
            return reply
        self._waiting.add(reply)
        reply.add_done_callback(self._waiting.discard)

        def answer(position: int, what: Any) -> None:
            if reply.done():
                return
            if isinstance(what, Exception):
                reply.set_exception(what)
            else:
                reply.set_result(json.decode(what))

        core = self._hub.core
        try:
            declared = core.verbs.get(verb)
            core.hub.ask(self.session, declared, declared.parse(json.encode(params)), answer)
        except SynapseError as error:
            reply.set_exception(error)
        return reply

    def _push(self, frame: bytes) -> None:
        if not self.closed:
            said = json.decode(frame)
            asyncio.get_running_loop().call_soon(self._on_frame, said["method"], said.get("params") or {})

    def _when_drained(self, then: Callable[[], None]) -> None:
        if self._paused:
            self._drained.append(then)
        else:
            asyncio.get_running_loop().call_soon(then)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        drained, self._drained = self._drained, []
        for then in drained:
            then()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._hub.left(self)
        for reply in list(self._waiting):
            if not reply.done():
                reply.set_exception(lost())
        self._on_lost(self)
