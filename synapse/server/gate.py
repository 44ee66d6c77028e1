"""Who may come in by TCP: which Host and Origin, from which process or with which token, and what it may do then."""

import asyncio
import hmac
import ipaddress
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from aiohttp import hdrs, web
from yarl import URL

from synapse.errors import Refused
from synapse.hub.callbacks import EVENT_ID
from synapse.hub.core import Core
from synapse.hub.sessions import Session
from synapse.server import access
from synapse.server.access import BELOW_A_RUNNER, EVERYTHING, Hello
from synapse.server.owner import Owner, tcp_owner
from synapse.server.platform import Peer, ancestors, holders
from synapse.server.tokens import Tokens
from synapse.verb import Permission

SAME_USER = EVERYTHING - {Permission.PERSON}  # of who is this user, but may be a program of its own will
_BY_ITSELF = frozenset({"same-origin", "none"})  # Sec-Fetch-Site of our own pages, and of what a person typed
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-Ip")


class Forbidden(Refused):
    """A page or a machine that has no business here."""

    status = 403


class Unauthorized(Refused):
    """A token is needed, or the one that was given is not known."""

    status = 401


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who has come in: what it may do at most, and its process where the kernel tells (else 0)."""

    granted: frozenset[Permission]
    pid: int = 0
    uid: int = -1
    token: bool = False
    host: str = ""  # the other machine that it comes from

    def session(self, core: Core, hello: Hello, session: Session) -> None:
        """Fill in a session of this visitor."""
        session.pid, session.uid = self.pid, self.uid
        if not (hello.workspace or hello.folder):
            hello.workspace = access.usual_workspace(core.hub, hello.as_name)
        claims = hello.agent and self.token and Permission.ADMIN not in self.granted
        if claims and not access.runner_above(core.hub, self.pid, ancestors):
            raise Refused("not_you", "To speak as an agent takes the scope 'admin', or to run inside of it.")
        access.identify(core.hub, hello, session, ancestors=ancestors, granted=self.granted)


class Gate:
    """Looks at every request before anything else does."""

    def __init__(
        self, core: Core, tokens: Tokens, host: str, port: int, *, scheme: str = "http", names: Iterable[str] = ()
    ) -> None:
        self._core = core
        self._tokens = tokens
        self._port = port
        self._scheme = scheme
        self._host = host.lower().strip("[]")
        self._names = _names(self._host) | {name.strip().lower() for name in names if name.strip()}
        self._owners: WeakKeyDictionary[asyncio.BaseTransport, Owner] = WeakKeyDictionary()
        self._holders: WeakKeyDictionary[asyncio.BaseTransport, list[int]] = WeakKeyDictionary()

    # -- where a request comes from

    def check(self, request: web.Request) -> None:
        """Forbidden unless Host is one of our names with the port it came in by, and whatever page has sent it is ours."""
        port = came_by(request) or self._port
        hosts = request.headers.getall(hdrs.HOST, [])
        if len(hosts) != 1 or not self._ours(f"{self._scheme}://{hosts[0]}", port):
            example = f"{self._scheme}://127.0.0.1:{port}"
            raise Forbidden("foreign_host", f"This hub is not called {', '.join(hosts)[:80]!r}: use {example}.")
        for origin in request.headers.getall(hdrs.ORIGIN, []):
            if not self._ours(origin, port):
                raise Forbidden("foreign_origin", f"A page from {origin[:80]!r} has no access to this hub.")
        site = request.headers.get("Sec-Fetch-Site", "none")
        if site not in _BY_ITSELF and not _visit(request):
            raise Forbidden("foreign_origin", f"A page from elsewhere ({site[:20]}) has no access to this hub.")
        if EVENT_ID in request.headers:  # whoever had it made would speak here as the user of the hub that makes it
            raise Forbidden("call_of_a_hub", "That is the call of a webhook or a push: a hub takes none.")

    def _ours(self, origin: str, port: int) -> bool:
        try:
            url = URL(origin)
            name, given = (url.host or "").lower().partition("%")[0], url.port
        except ValueError:
            return False
        if url.scheme != self._scheme or given != port or url.user or url.path not in ("", "/") or url.query_string:
            return False
        return name in self._names or self._address(name)

    def _address(self, name: str) -> bool:
        """A literal address cannot be rebound: a loopback one, or any where the hub is meant to be reached from."""
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not loopback(self._host)

    # -- who sends it

    async def visitor(self, request: web.Request) -> Visitor:
        """Who sends the request; Unauthorized or Forbidden when it may not."""
        peername = request.transport.get_extra_info("peername") if request.transport else None
        if not peername:
            raise Forbidden("gone", "The connection has ended.")
        near = loopback(peername[0])
        if not near:
            self._core.hub.limits.host(peername[0])
        secret = _secret(request)
        if secret:
            scopes = self._tokens.scopes(secret)
            if scopes is None:
                raise Unauthorized("unknown_token", "That token is not known here.")
            pids = await self._pids(request) if near else []
            pid = self._telling(pids or [])
            return Visitor(scopes, pid=pid, uid=-1, token=True, host="" if near else peername[0])
        if not near:
            raise Unauthorized("token_needed", "From another machine a token is needed: X-API-Key, or Authorization.")
        if not self._tokens.local or any(name in request.headers for name in _FORWARDED):
            raise Unauthorized("token_needed", "A token is needed here: X-API-Key, or Authorization: Bearer.")
        owner = self._owner(request)
        access.check_user(Peer(0, owner.uid))
        pids = await self._pids(request)
        if pids is None:
            return Visitor(SAME_USER, uid=owner.uid)
        return Visitor(SAME_USER if pids else BELOW_A_RUNNER, pid=self._telling(pids), uid=owner.uid)

    def _owner(self, request: web.Request) -> Owner:
        """Whose the other end is; remembered for as long as the connection lives."""
        transport = request.transport
        assert transport is not None
        found = self._owners.get(transport)
        if found is None:
            ours, theirs = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
            found = tcp_owner(theirs[:2], ours[:2]) if sys.platform == "linux" else None
            if found is None:
                raise Unauthorized(
                    "token_needed",
                    "Whose process this is cannot be told: a token is needed (macOS: see `http-token` in the data folder).",
                )
            self._owners[transport] = found
        return found

    async def _pids(self, request: web.Request) -> list[int] | None:
        """The processes at the other end; None while there is no agent here that it could be."""
        if sys.platform != "linux" or not any(True for _ in self._core.hub.sessions.runners()):
            return None
        transport = request.transport
        assert transport is not None
        found = self._holders.get(transport)
        if found is None:
            inode = self._owner(request).inode
            found = await asyncio.get_running_loop().run_in_executor(self._core.hub.readers, holders, inode)
            self._holders[transport] = found
        return found

    def _telling(self, pids: list[int]) -> int:
        """Of several processes with one socket, one that is below a runner counts."""
        hub = self._core.hub
        return next((pid for pid in pids if access.runner_above(hub, pid, ancestors)), pids[0] if pids else 0)


def came_by(request: web.BaseRequest) -> int:
    """Our port by which a request has come in; 0 when its connection has ended."""
    address = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return int(address[1]) if address else 0


def _names(host: str) -> frozenset[str]:
    """The names by which a hub on that address may be asked for."""
    names = {"localhost"}
    if not loopback(host):
        machine = socket.gethostname().lower()
        names |= {host, machine, machine.partition(".")[0]}
    return frozenset(name for name in names if name)


def loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _visit(request: web.Request) -> bool:
    """A person follows a link to one of our pages."""
    return (
        request.method == hdrs.METH_GET
        and request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest") == "document"
        and request.match_info.route.name == PAGE
    )


PAGE = "page"  # the name of routes that are pages for people


def _secret(request: web.Request) -> str:
    """The token of a request."""
    key = request.headers.get("X-API-Key", "")
    if key:
        return key.strip()
    kind, _, secret = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


def bearer(request: web.Request, token: str) -> bool:
    """Does the request carry this token, as a bearer or as `?token=` (for scrapers that can set no header)?"""
    given = _secret(request) or request.query.get("token", "")
    return bool(token) and hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())


def may(visitor: Visitor, permission: Permission) -> None:
    """Forbidden unless the visitor has that permission."""
    if permission not in visitor.granted:
        raise Forbidden("not_permitted", f"This needs the permission '{permission.value}'.")
