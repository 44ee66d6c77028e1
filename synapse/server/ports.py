"""A port for each agent: taken when it joins, listened on by the hub's process, let go of when it leaves."""

import asyncio
import errno
import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from synapse.event import Event
from synapse.hub.agents import Agents
from synapse.hub.facts import Joined, Left
from synapse.hub.loop import Hub
from synapse.server.hall import Hall, Visit

logger = logging.getLogger(__name__)
BACKLOG = 128
AGAIN = 10.0  # seconds until a port that somebody else had is tried once more
LAST_WORDS = 1.0  # seconds that what was asked on an agent's port may still be answered when it has left


@dataclass(slots=True)
class _Door:
    """A port that is ours."""

    listening: socket.socket
    server: asyncio.Server | None = None  # it lets people in
    opening: bool = False  # ... soon
    inside: set[Visit] = field(default_factory=set)


class AgentPorts:
    """Listens on the ports of the agents that are here; what it has open is always made to agree with the state."""

    def __init__(
        self,
        hub: Hub,
        hall: Hall,
        make: Callable[[], asyncio.Protocol],
        address: tuple[object, ...],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`make` gives the protocol of a connection; `address` is where the hub itself listens."""
        self.troubles: dict[int, str] = {}  # ports of agents that cannot be had, and why
        self._tls = tls
        self._hub = hub
        self._hall = hall
        self._make = make
        self._address = address
        self._doors: dict[int, _Door] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def failures(self) -> dict[str, str]:
        """What is out of order, by name."""
        agents = {agent.port: agent for agent in self._hub.state.get(Agents) if agent.port in self.troubles}
        return {
            f"port {port}": f"{self.troubles[port]}; {agent.label} is reached under /agents/{agent.id}"
            for port, agent in agents.items()
        }

    def endpoint(self, port: int, id: str) -> str:
        """The URL where an agent is reached: on its port, else by its id on the hub's."""
        address, own = ipaddress.ip_address(str(self._address[0])), port in self._doors
        if address.is_unspecified:
            address = ipaddress.ip_address("127.0.0.1")
        base = f"{'https' if self._tls else 'http'}://{f'[{address}]' if address.version == 6 else address}"
        return f"{base}:{port}" if own else f"{base}:{self._address[1]}/agents/{id}"

    # -- taking and letting go

    def open(self) -> None:
        """Begin: the state is whole."""
        hub = self._hub
        hub.on_publish.append(self._published)
        hub.on_folded.append(self._folded)
        self.look()

    def take(self, port: int) -> bool:
        """Listen on a port for an agent that is about to join; False when another program has it.

        If the agent does not join after all, the port is let go of at once.
        """
        if port in self._doors:
            return True
        why = self._listen(port)
        if not why:
            self._hub.loop.call_soon(self.look)
        return not why

    def look(self) -> None:
        """Have the ports of those who are here, and no others."""
        if self._closed or self._hub.suspended:
            return
        wanted = {agent.port: agent for agent in self._hub.state.get(Agents) if agent.port and agent.wrapped}
        for port in [port for port in self._doors if port not in wanted]:
            self._hub.loop.call_later(LAST_WORDS, _send_off, self._let_go(port))
        self.troubles = {port: why for port, why in self.troubles.items() if port in wanted}
        for port, agent in wanted.items():
            if port not in self._doors and (why := self._listen(port)):
                if self.troubles.get(port) != why:
                    logger.error("port %s of %s: %s; it is reached under /agents/%s", port, agent.label, why, agent.id)
                self.troubles[port] = why
            elif self.troubles.pop(port, None):
                logger.info("port %s of %s is listened on again", port, agent.label)
            if port in self._doors and not self._doors[port].opening:
                self._open(port)
        if self.troubles and self._again is None:
            self._again = self._hub.loop.call_later(AGAIN, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        self.look()

    def _folded(self) -> None:
        self._hub.loop.call_soon(self.look)  # when the hub answers again

    def _published(self, position: int, events: list[Event]) -> None:
        if any(isinstance(event.body, (Joined, Left)) for event in events):
            self.look()

    def _listen(self, port: int) -> str:
        """Why that port cannot be had; "" when it is ours now."""
        family = socket.AF_INET6 if ":" in str(self._address[0]) else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self._address[0], port, *self._address[2:]))
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            taken = error.errno == errno.EADDRINUSE
            return "another program listens there" if taken else error.strerror or str(error)
        listening.setblocking(False)
        self._doors[port] = _Door(listening)
        return ""

    def _open(self, port: int) -> None:
        """Let people in."""
        door = self._doors[port]
        door.opening = True

        async def accept() -> None:
            server = await self._hub.loop.create_server(
                lambda: self._hall.visit(self._make(), door.inside),
                sock=door.listening, backlog=BACKLOG, ssl=self._tls, start_serving=False,
            )  # fmt: skip
            door.server = server
            if self._doors.get(port) is door:
                await server.start_serving()
            else:
                server.close()

        task = self._hub.loop.create_task(accept())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _let_go(self, port: int) -> _Door:
        door = self._doors.pop(port)
        if door.server is not None:
            door.server.close()
        else:
            door.listening.close()
        return door

    async def close(self) -> None:
        """Let nobody in any more; those inside are answered yet."""
        self._closed = True
        if self._again is not None:
            self._again.cancel()
        if self._opening:
            await asyncio.wait(set(self._opening))
        for port in list(self._doors):
            self._let_go(port)


def _send_off(door: _Door) -> None:
    for visit in list(door.inside):
        visit.close()
