"""The hub's process: one event loop with all its doors."""

import asyncio
import contextlib
import difflib  # noqa: F401 - used for the first time when a verb is misspelt; nothing is imported once the doors are open
import errno
import gc
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from msgspec import json

from synapse import __version__, paths, plugins
from synapse.clock import SystemClock
from synapse.errors import Refused
from synapse.hub.core import Core
from synapse.hub.limits import Limits
from synapse.log.sqlite import SqliteLog
from synapse.server.local import MAX_CLIENTS, LocalDoor
from synapse.server.lock import FolderLock
from synapse.server.platform import MachineProcesses

logger = logging.getLogger(__name__)
BACKLOG = 1024
CORE = web.AppKey("core", Core)


@dataclass(frozen=True, slots=True)
class Options:
    """What `synapse serve` was told. `rate` and `burst` are changes a second of one participant; 0 is no limit."""

    data: str
    host: str = "127.0.0.1"
    port: int = paths.DEFAULT_PORT
    db: str = ""
    max_clients: int = MAX_CLIENTS
    rate: float = 2000.0
    burst: float = 4000.0
    disabled: tuple[str, ...] = ()  # plugins that are left out


class Server:
    """Opens the log and the doors, runs until it is told to stop, and closes them in the opposite order."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.stopped = asyncio.Event()
        self.restarts = False
        self.start_line = ""

    def stop(self, restart: bool = False) -> None:
        """End soon; `restart` says that another hub comes at once."""
        self.restarts = self.restarts or restart
        self.stopped.set()

    async def __aenter__(self) -> "Server":
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        """At the end: nobody comes in, everybody inside is told, what was asked is answered, all go, the log closes."""
        options, clock = self.options, SystemClock()
        began = clock.monotonic()
        lock = FolderLock(options.data)
        stack.callback(lock.release)
        file = Path(options.db or os.path.join(options.data, "synapse.db")).absolute()
        locks = [lock]
        if options.db and file.parent.is_dir():
            locks.append(FolderLock(options.data, path=f"{file}.lock"))  # the hub of another folder may have it
            stack.callback(locks[-1].release)
        listening = _listen(options.host, options.port)
        stack.callback(listening.close)
        port = listening.getsockname()[1]
        log = await asyncio.to_thread(SqliteLog.open, file)
        stack.callback(log.close)
        loop = asyncio.get_running_loop()
        core = self.core = Core(
            log,
            clock,
            MachineProcesses(loop.call_later),
            limits=Limits(clock, options.rate, options.burst),
            plugins=plugins.load(options.disabled),
            cache=Path(options.data) / "cache.db",
        )
        runner = await _http(core)
        stack.push_async_callback(runner.cleanup)
        self.door = LocalDoor(core, paths.hub_socket(options.data, port), options.max_clients)
        stack.push_async_callback(self.door.close)
        stack.push_async_callback(core.close)
        place = core.hub.place
        place.pid, place.port, place.data, place.started_at = os.getpid(), port, options.data, clock.now()
        place.connections = lambda: len(self.door)
        place.stop = self.stop
        level = await core.open(os.getpid())
        await web.SockSite(runner, listening, backlog=BACKLOG).start()
        await self.door.open()
        stack.callback(lambda: self.door.stop(restart=self.restarts))
        for held in locks:
            held.tell(pid=os.getpid(), port=port, socket=self.door.path, version=__version__)
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not look at it again
        took = clock.monotonic() - began
        self.start_line = (
            f"synapse {__version__} on {options.host}:{port}, data in {options.data}; ready in {took:.2f} s ({level})"
        )
        place.start_line = self.start_line
        logger.info(self.start_line)


def _listen(host: str, port: int) -> socket.socket:
    """Listen at once: of two hubs that start together on one port, only one gets beyond here."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise Refused("bad_host", f"{host!r} is no address of this machine ({error.strerror}).") from None
    if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
        raise Refused(
            "token_needed",
            f"{host} can be reached from other machines, and there is no token to keep them out: use 127.0.0.1.",
        )
    listening = socket.socket(family, kind)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise Refused(
            "port_taken",
            f"Port {port} on {host} cannot be had: {_why(error, host, port)}. Choose another by SYNAPSE_PORT or --port.",
            port=port,
        ) from None
    listening.setblocking(False)
    return listening


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno != errno.EADDRINUSE:
        return error.strerror or str(error)
    return "the hub of another data folder listens there" if _is_hub(host, port) else "another program listens there"


def _is_hub(host: str, port: int) -> bool:
    """Does the program on that port answer as a hub does?"""
    try:
        with socket.create_connection((host, port), timeout=0.3) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return b"\r\nServer: synapse" in connection.recv(4096)
    except OSError:
        return False


async def _http(core: Core) -> web.AppRunner:
    app = web.Application()
    app[CORE] = core
    app.router.add_get("/health", _health)
    app.router.add_get("/ready", _ready)
    app.on_response_prepare.append(_sign)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    return runner


async def _sign(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = f"synapse/{__version__}"


async def _health(request: web.Request) -> web.Response:
    """The process is alive."""
    return web.Response(body=json.encode({"status": "ok", "version": __version__}), content_type="application/json")


async def _ready(request: web.Request) -> web.Response:
    """The hub takes changes now."""
    hub = request.app[CORE].hub
    reason = hub.read_only or ("recovering" if hub.suspended else "")
    body = json.encode({"status": "unavailable" if reason else "ok", "reason": reason})
    return web.Response(body=body, status=503 if reason else 200, content_type="application/json")


async def serve(options: Options, ready: Callable[[Server], None], *, hang_up: bool) -> None:
    """Run a hub until SIGTERM, SIGINT or `hub.shutdown`; `hang_up`: also until its terminal is closed (SIGHUP)."""
    server = Server(options)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    loop.add_signal_handler(signal.SIGHUP, server.stop if hang_up else _nothing)
    async with server:
        ready(server)
        await server.stopped.wait()
        logger.info("stopping")


def _nothing() -> None:
    """A hub in the background has no terminal to lose."""
