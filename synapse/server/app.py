"""The hub's process: one event loop with all its doors."""

import asyncio
import contextlib
import difflib  # noqa: F401 - used for the first time when a verb is misspelt; nothing is imported once the doors are open
import errno
import gc
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from synapse import __version__, ids, paths, plugins
from synapse.a2a import tck
from synapse.a2a.peers import Peers
from synapse.clock import SystemClock
from synapse.errors import Refused
from synapse.hub.core import Core
from synapse.hub.limits import Limits
from synapse.hub.relay import MOST_LINES, Relay
from synapse.log.sqlite import SqliteLog
from synapse.server import calling, tokens
from synapse.server.connection import MAX_CLIENTS, Seats
from synapse.server.gate import SAME_USER, Gate, loopback
from synapse.server.hall import Hall
from synapse.server.http import HttpDoor
from synapse.server.local import LocalDoor
from synapse.server.lock import FolderLock
from synapse.server.metrics import Commits, Metrics
from synapse.server.platform import MachineProcesses
from synapse.server.ports import AgentPorts
from synapse.server.starter import Starter
from synapse.server.tokens import Token, Tokens
from synapse.server.websocket import WebSocketDoor

logger = logging.getLogger(__name__)
BACKLOG = 1024


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
    token: str | tuple[str, ...] = ()
    token_file: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    insecure: bool = False  # other machines may come without TLS
    metrics: bool | None = None  # None: on loopback only
    metrics_token: str = ""
    relay_log: str = ""  # the file that what happens is mirrored to
    relay_max_lines: int = MOST_LINES
    max_per_host: int = 1024  # connections from one other machine
    agent_ports: bool = False  # each agent is reached on a port of its own, too
    test_agent: bool = False  # an agent that answers those who test this server
    passing: bool = False  # the agents that it starts end with it
    umask: int = -1  # what this process was allowed before it chose for itself, for the programs that it starts
    files: int = 0


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
        known, tls = _secured(options)
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
        near = loopback(options.host)
        if near and sys.platform != "linux":
            known = known.plus(Token(_own_token(options.data).encode(), SAME_USER))
        seats = Seats(options.max_clients)
        self.door = LocalDoor(core, paths.hub_socket(options.data, port), seats)
        self.websockets = WebSocketDoor(core, seats)
        commits = Commits(clock.monotonic)
        commits.watch(log)
        names = os.environ.get("SYNAPSE_ALLOWED_HOSTS", "").split(",")
        gate = Gate(core, known, options.host, port, scheme="https" if tls else "http", names=names)
        told = near if options.metrics is None else options.metrics
        doors: dict[str, Callable[[], int]] = {"local": self.door.__len__, "websocket": self.websockets.__len__}
        metrics = Metrics(core, commits, doors) if told else None
        web = HttpDoor(core, gate, self.websockets, metrics, options.metrics_token)
        runner = await web.runner(web.application())
        stack.push_async_callback(runner.cleanup)
        of_agents = await web.runner(web.agent_application())
        stack.push_async_callback(of_agents.cleanup)
        stack.push_async_callback(self.websockets.close)
        stack.push_async_callback(self.door.close)
        stack.push_async_callback(core.close)
        place = core.hub.place
        place.pid, place.port, place.data, place.started_at = os.getpid(), port, options.data, clock.now()
        place.connections = lambda: seats.taken
        place.stop = self.stop
        assert runner.server is not None
        assert of_agents.server is not None
        protocols = web.protocols(runner.server)
        self.hall = Hall(protocols, max(1, options.max_clients // 2), options.max_per_host, clock)
        address = listening.getsockname()
        ports = self.ports = AgentPorts(core.hub, self.hall, web.protocols(of_agents.server), address, tls)
        place.endpoint = ports.endpoint
        if options.agent_ports:
            place.take = ports.take
            place.failures = lambda: core.failures() | ports.failures
        calling.allow(core.hub, near)
        caller = calling.caller(core.hub)
        level = await core.open(os.getpid())
        stack.push_async_callback(caller.close)
        caller.look_everywhere()
        peers = Peers(core.hub, Path(options.data) / "external")
        stack.push_async_callback(peers.close)
        peers.open()
        if options.relay_log:
            relay = Relay(core.hub, Path(options.relay_log).absolute(), options.relay_max_lines)
            await relay.open()
            stack.push_async_callback(relay.close)
        tck.send_off(core)
        if options.test_agent:
            agent = tck.ScriptedAgent(core)
            await agent.open()
            stack.callback(agent.close)
        if options.agent_ports:
            ports.open()
            stack.push_async_callback(ports.close)
        starter = Starter(core.hub, umask=options.umask, files=options.files, passing=options.passing)
        starter.open()
        accepting = await asyncio.get_running_loop().create_server(self.hall, sock=listening, backlog=BACKLOG, ssl=tls)
        stack.callback(accepting.close)
        await self.door.open()
        stack.callback(lambda: self.websockets.stop(restart=self.restarts))
        stack.callback(lambda: self.door.stop(restart=self.restarts))
        stack.push_async_callback(starter.close)
        for held in locks:
            held.tell(pid=os.getpid(), port=port, socket=self.door.path, version=__version__)
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not look at it again
        gc.enable()
        took = clock.monotonic() - began
        self.start_line = (
            f"synapse {__version__} on {options.host}:{port}, data in {options.data}; ready in {took:.2f} s ({level})"
        )
        place.start_line = self.start_line
        logger.info(self.start_line)


def _secured(options: Options) -> tuple[Tokens, ssl.SSLContext | None]:
    """Tokens and TLS; Refused when other machines could come in without."""
    known = tokens.gather(options.token, options.token_file)
    if bool(options.tls_cert) != bool(options.tls_key):
        raise Refused("tls_needs_both", "TLS needs a certificate and its key: --tls-cert and --tls-key.")
    tls = _tls(options) if options.tls_cert else None
    if loopback(options.host):
        return known, tls
    if not known:
        raise Refused(
            "token_needed",
            f"{options.host} can be reached from other machines, and there is no token to keep them out: give --token-file "
            "(or --token, SYNAPSE_API_KEYS), or use 127.0.0.1.",
        )
    if tls is None and not options.insecure:
        raise Refused(
            "tls_needed",
            f"Without TLS everybody on the way to {options.host} can read the token: give --tls-cert and --tls-key, or "
            "--insecure if something else encrypts.",
        )
    if tls is None:
        logger.warning("--insecure: tokens and texts go to %s unencrypted", options.host)
    return known, tls


def _tls(options: Options) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except OSError as error:
        raise Refused("bad_tls", f"{options.tls_cert} and {options.tls_key} cannot be used: {error}.") from None
    return context


def _own_token(data: str) -> str:
    """The token by which this user's programs are known where the kernel does not name them: in a file of their own."""
    path = os.path.join(data, "http-token")
    secret = ids.token().hex()
    file = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "w") as writing:
        writing.write(secret + "\n")
    os.replace(path + ".new", path)
    return secret


def _listen(host: str, port: int) -> socket.socket:
    """Listen at once: of two hubs that start together on one port, only one gets beyond here."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise Refused("bad_host", f"{host!r} is no address of this machine ({error.strerror}).") from None
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
            connection.sendall(b"GET /health HTTP/1.0\r\nHost: localhost:%d\r\n\r\n" % port)
            return b"\r\nServer: synapse" in connection.recv(4096)
    except OSError:
        return False


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
