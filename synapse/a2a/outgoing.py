"""Calls out of the hub: plain HTTP to addresses that may be called, bounded in time and size, without memory.

No cookies, no proxies from the environment, no redirect unless it is asked for; what was judged is what is connected to.
"""

import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from synapse import __version__
from synapse.errors import BadRequest, Refused, Unavailable
from synapse.hub.addresses import OWN, Reach, forbidden, header, parse

LARGEST = 8 << 20  # bytes of an answer, where a caller does not say otherwise
MOST_REDIRECTS = 5
_AGAIN = (301, 302, 303, 307, 308)
# What goes along to another origin; all else could be credentials.
_HARMLESS = frozenset({"accept", "content-type", "user-agent", "a2a-version", "a2a-extensions", "last-event-id"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to be connected, seconds between two pieces of an answer, and seconds in all (0: no bound)."""

    connect: float = 10.0
    pause: float = 30.0
    total: float = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, the headers, the whole body, and the URL that it came from at last."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Seconds for which a server wants to be left alone (RFC 9110 §10.2.3: seconds, or a date); 0 where it does not say."""
    given = headers.get("Retry-After", "").strip()
    if given.isascii() and given.isdecimal():
        return float(given[:9])
    try:
        date = parsedate_to_datetime(given)
    except ValueError:
        return 0.0
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)


class Outgoing:
    """An HTTP client with one reach; `reach` is asked before each call. Made at first use; `close` it."""

    def __init__(self, reach: Callable[[], Reach], resolver: AbstractResolver | None = None) -> None:
        self._reach = reach
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limits: Limits = Limits(),
        largest: int = LARGEST,
        redirects: bool = False,
    ) -> Answer:
        """The whole answer of one request.

        Refused for an address that may not be called and for an answer over `largest` bytes, Unavailable when it cannot
        be had. Any status is an answer, a redirect too unless `redirects` are followed.
        """
        async with self.open(method, url, headers=headers, body=body, limits=limits, redirects=redirects) as response:
            got = bytearray()
            async for piece in response.content.iter_any():
                got += piece
                if len(got) > largest:
                    raise Refused("answer_too_large", f"{_shown(response.url)} answers with more than {largest} bytes.")
            return Answer(response.status, response.headers, bytes(got), str(response.url))

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limits: Limits = Limits(),
        redirects: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The head of an answer; its body is read by the caller as it comes, under the same limits."""
        where, sent = parse(url), {"User-Agent": f"synapse/{__version__}", **(headers or {})}
        for _ in range(MOST_REDIRECTS + 1):
            response = await self._ask(method, where, sent, body, limits)
            try:
                location = response.headers.get("Location", "") if redirects and response.status in _AGAIN else ""
                if not location:
                    with _told(where):
                        yield response
                    return
                following = _following(where, location)
                if following.origin() != where.origin():
                    sent = {name: value for name, value in sent.items() if name.lower() in _HARMLESS}
                if response.status == 303 or (response.status in (301, 302) and method == "POST"):
                    method, body = "GET", None
                    sent = {name: value for name, value in sent.items() if name.lower() != "content-type"}
                where = following
            finally:
                response.close()
        raise Refused("too_many_redirects", f"{_shown(where)} leads on and on: more than {MOST_REDIRECTS} redirects.")

    async def _ask(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None, limits: Limits
    ) -> aiohttp.ClientResponse:
        self._reach().check(url.raw_host or "", url.port or 0)
        for name, value in headers.items():
            header(name, value)
        timeout = aiohttp.ClientTimeout(
            total=limits.total or None, connect=limits.connect or None, sock_read=limits.pause or None
        )
        with _told(url):
            return await self._connected().request(
                method, url, headers=headers, data=body, timeout=timeout, allow_redirects=False
            )

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=_Judging(self._reach, self._resolver or aiohttp.ThreadedResolver()),
                use_dns_cache=False,
                socket_factory=self._socket,
                limit=0,  # whoever calls bounds how much it calls at once
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                headers={"Accept-Encoding": "identity"},
                skip_auto_headers={"Content-Type"},
            )
        return self._session

    def _socket(self, info: Any) -> socket.socket:
        """The socket for one address, which is judged once more: nothing that is connected to was not."""
        family, kind, protocol, _, address = info
        why = _refusal(self._reach(), str(address[0]), int(address[1]))
        if why:
            raise _Forbidden(why)
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """End every call that is under way."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Forbidden(OSError):
    """An address that may not be called; the sentence says why."""


class _Judging(AbstractResolver):
    """The addresses of a name that may be called; _Forbidden when none may."""

    def __init__(self, reach: Callable[[], Reach], resolver: AbstractResolver) -> None:
        self._reach = reach
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        reach = self._reach()
        whys = [_refusal(reach, one["host"], port) for one in found]
        allowed = [one for one, why in zip(found, whys, strict=True) if not why]
        if found and not allowed:
            raise _Forbidden(whys[0])
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


def _refusal(reach: Reach, address: str, port: int) -> str:
    """Why an address may not be called; a port of ours is ours on every address of this machine."""
    judged = ip_address(address.partition("%")[0])
    why = reach.refusal(judged, port)
    if not why and port in reach.own and _is_this_machine(address, judged.version):
        return OWN.format(port)
    return why


def _is_this_machine(address: str, version: int) -> bool:
    """Has this machine that address? Only then can a socket be bound to it."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _following(url: URL, location: str) -> URL:
    try:
        return parse(str(url.join(URL(location))))
    except (ValueError, BadRequest):
        raise Refused("bad_redirect", f"{_shown(url)} leads to {location[:80]!r}, which is not followed.") from None


@contextmanager
def _told(url: URL) -> Iterator[None]:
    """What goes wrong on the way, as an error that says so."""
    shown = _shown(url)
    try:
        yield
    except TimeoutError:
        raise Unavailable("timeout", f"{shown} does not answer in time.") from None
    except aiohttp.InvalidURL as error:
        raise BadRequest("bad_url", f"{shown} cannot be called: {error}.") from None
    except aiohttp.ClientError as error:
        if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, _Forbidden):
            raise forbidden(shown, str(error.os_error)) from None
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise Unavailable("unreachable", f"{shown} cannot be reached: {why}.") from None


def _shown(url: URL) -> str:
    """A URL as it may be shown: a query may hold secrets."""
    return str(url.with_query(None))[:200]
