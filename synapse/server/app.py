"""The hub's process: one event loop with all its doors."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from msgspec import json

from synapse import __version__, paths
from synapse.clock import SystemClock
from synapse.errors import Refused
from synapse.hub.core import Core
from synapse.hub.limits import Limits
from synapse.log.sqlite import SqliteLog
from synapse.server.local import MAX_CLIENTS, LocalDoor
from synapse.server.lock import FolderLock
from synapse.server.platform import MachineProcesses

logger = logging.getLogger(__name__)
STOPPING = b'{"jsonrpc":"2.0","method":"stopping","params":{}}\n'
CORE = web.AppKey("core", Core)


@dataclass(frozen=True, slots=True)
class Options:
    """What `synapse serve` was told. `rate` and `burst` are changes a second of one participant; 0 is no limit."""

    data: str
    host: str = "127.0.0.1"
    port: int = paths.DEFAULT_PORT
    db: str = ""
    max_clients: int = MAX_CLIENTS
    rate: float = 500.0
    burst: float = 2000.0


class Server:
    """Opens the log and the doors, runs until it is told to stop, and closes them in the opposite order."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.stop = asyncio.Event()
        self.start_line = ""

    async def __aenter__(self) -> "Server":
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        options, clock = self.options, SystemClock()
        began = clock.monotonic()
        lock = FolderLock(options.data)
        stack.callback(lock.release)
        listening = _listen(options.host, options.port)
        stack.callback(listening.close)
        port = listening.getsockname()[1]
        path = paths.hub_socket(options.data, port)
        log = await asyncio.to_thread(SqliteLog.open, Path(options.db or os.path.join(options.data, "synapse.db")))
        stack.callback(log.close)
        loop = asyncio.get_running_loop()
        core = self.core = Core(
            log, clock, MachineProcesses(loop.call_later), limits=Limits(clock, options.rate, options.burst)
        )
        level = await core.open(os.getpid())
        stack.push_async_callback(core.close)
        self.door = LocalDoor(core, path, options.max_clients)
        place = core.hub.place
        place.pid, place.port, place.data, place.started_at = os.getpid(), port, options.data, clock.now()
        place.connections = lambda: len(self.door)
        place.stop = self.stop.set
        runner = await _open_http(core, listening)
        stack.push_async_callback(runner.cleanup)
        await self.door.open()
        stack.push_async_callback(self.door.close, STOPPING)
        lock.tell(pid=os.getpid(), port=port, socket=path, version=__version__)
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not look at it again
        took = clock.monotonic() - began
        self.start_line = (
            f"synapse {__version__} on {options.host}:{port}, data in {options.data}; ready in {took:.2f} s ({level})"
        )
        place.start_line = self.start_line
        logger.info(self.start_line)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise Refused(
            "port_taken",
            f"Port {port} on {host} cannot be had ({error.strerror or error}): something else listens there. Choose "
            "another by SYNAPSE_PORT or --port.",
        ) from None
    listening.setblocking(False)
    return listening


async def _open_http(core: Core, listening: socket.socket) -> web.AppRunner:
    app = web.Application()
    app[CORE] = core
    app.router.add_get("/health", _health)
    app.router.add_get("/ready", _ready)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening, backlog=1024).start()
    return runner


async def _health(request: web.Request) -> web.Response:
    """The process is alive."""
    return web.Response(body=json.encode({"status": "ok", "version": __version__}), content_type="application/json")


async def _ready(request: web.Request) -> web.Response:
    """The hub takes changes now."""
    hub = request.app[CORE].hub
    reason = "recovering" if hub.suspended else hub.read_only
    body = json.encode({"status": "ok" if not reason else "unavailable", "reason": reason})
    return web.Response(body=body, status=503 if reason else 200, content_type="application/json")


async def serve(options: Options, ready: "object" = None) -> None:
    """Run a hub until SIGTERM, SIGINT, or `hub.stop`."""
    async with Server(options) as server:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop.set)
        if callable(ready):
            ready(server)
        await server.stop.wait()
        logger.info("stopping")
