"""Who has come in by TCP: connections that are no WebSockets are bounded, and those of one other machine are, too."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable

from synapse.clock import Clock
from synapse.errors import Unavailable
from synapse.server.gate import loopback
from synapse.server.owner import tcp_owner
from synapse.server.seldom import Seldom
from synapse.server.stall import Stall

logger = logging.getLogger(__name__)
IDLE = 75.0  # seconds that a connection is kept on which nothing is asked
UNWELCOME = 5.0  # ... and one too many, which is told so when it asks
BEYOND = 128  # connections too many that are told; further ones are not even heard


class Hall:
    """Makes the protocol of each new connection, and counts. `most` are plain HTTP, `per_host` of another machine."""

    def __init__(self, make: Callable[[], asyncio.Protocol], most: int, per_host: int, clock: Clock) -> None:
        self.most = most
        self.per_host = per_host
        self.plain = 0  # connections that are no WebSockets
        self.clock = clock
        self.near = loopback
        self.ours = _of_this_user
        self.seldom = Seldom(clock, logger)
        self._make = make
        self._hosts: dict[str, int] = {}

    def __call__(self) -> "Visit":
        return Visit(self, self._make())

    def visit(self, inner: asyncio.Protocol, inside: "set[Visit]") -> "Visit":
        """One connection of another door, counted like all; it stands in the set for as long as it lives."""
        return Visit(self, inner, inside)

    def enter(self, host: str) -> str:
        """Somebody from another machine ("" from this one) is here; why that is one too many, else ""."""
        self.plain += 1
        if host:
            self._hosts[host] = self._hosts.get(host, 0) + 1
            if self._hosts[host] > self.per_host:
                return f"{self.per_host} connections are open from {host}: close some (setting hub.max_per_host)."
        if self.plain > self.most:
            return f"{self.most} connections without a WebSocket are open: close some, or raise --max-clients."
        return ""

    def full_of_strangers(self, transport: asyncio.Transport, *, near: bool) -> str:
        """Why a newcomer from this machine is one too many, else "": half of the room is its user's alone."""
        if not near or self.plain <= self.most // 2 or self.ours(transport):
            return ""
        return f"{self.most // 2} connections are open: what room is left is for the user whose hub this is."

    def leave(self, host: str) -> None:
        """A connection from there has ended."""
        left = self._hosts.get(host, 0) - 1
        if left > 0:
            self._hosts[host] = left
        else:
            self._hosts.pop(host, None)

    def crowded(self, host: str) -> bool:
        """Are there so many that one more is not even told?"""
        return self.plain > self.most + BEYOND or self._hosts.get(host, 0) > self.per_host + BEYOND


def _of_this_user(transport: asyncio.Transport) -> bool:
    """Is the other end on this machine this user's, or root's? Where the kernel does not tell, it may be."""
    ours, theirs = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    if sys.platform != "linux" or not ours or not theirs:
        return True
    found = tcp_owner(theirs[:2], ours[:2])
    return found is not None and found.uid in (os.getuid(), 0)


class Visit(asyncio.Protocol):
    """One connection, from its first byte to its last; what it says is the business of what it was made for."""

    def __init__(self, hall: Hall, inner: asyncio.Protocol, inside: "set[Visit] | None" = None) -> None:
        self._hall = hall
        self._inside = inside
        self._inner = inner
        self._host = ""
        self._plain = True
        self._why = ""  # it is one too many
        self._stall: Stall | None = None  # while it does not take an answer
        self._transport: asyncio.Transport

    def check(self) -> None:
        """Unavailable when this connection is one too many."""
        if self._why:
            raise Unavailable("too_many_clients", self._why)

    def close(self) -> None:
        """End it, when what is written has been sent."""
        self._transport.close()

    def upgraded(self) -> None:
        """It is a WebSocket from now on, which has a seat of its own."""
        if self._plain:
            self._plain = False
            self._hall.plain -= 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._inside is not None:
            self._inside.add(self)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        self._host = "" if not address or self._hall.near(address) else address
        self._why = self._hall.enter(self._host) or self._hall.full_of_strangers(transport, near=not self._host)
        self._inner.connection_made(transport)
        if self._why:
            if self._hall.crowded(self._host):
                self._hall.seldom.warning(f"a connection from {address} was dropped: {self._why}")
                transport.abort()
            else:
                asyncio.get_running_loop().call_later(UNWELCOME, transport.abort)

    def connection_lost(self, error: Exception | None) -> None:
        self.upgraded()
        self._end_stall()
        if self._inside is not None:
            self._inside.discard(self)
        self._hall.leave(self._host)
        self._inner.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        transport = self._transport
        self._stall = Stall(self._hall.clock, transport, lambda: 0, transport.abort)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._end_stall()
        self._inner.resume_writing()

    def _end_stall(self) -> None:
        if self._stall is not None:
            self._stall.end()
            self._stall = None
