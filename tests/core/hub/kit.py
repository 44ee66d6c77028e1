"""A hub without a network, the participants who talk to it, and logs whose commits the test holds."""

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from threading import Event as Flag
from typing import Any

import pytest

from synapse.clock import ManualClock
from synapse.errors import SynapseError
from synapse.hub.core import Core
from synapse.hub.facts import Joined
from synapse.hub.limits import Limits
from synapse.hub.loop import Hub
from synapse.hub.recovery import events_of
from synapse.hub.sessions import Session
from synapse.hub.state import State
from synapse.log.base import Entry, Log
from synapse.log.memory import MemoryLog

BOUND = 10.0  # seconds that anything in a test may take
DAY = 24 * 3600.0


class Processes:
    """The processes of a machine that is not there: all live but the dead."""

    def __init__(self) -> None:
        self.dead: set[int] = set()
        self.ended: list[int] = []

    def alive(self, pid: int, start: str) -> bool:
        return pid not in self.dead

    def end(self, pid: int, start: str) -> None:
        self.ended.append(pid)


class HeldLog(MemoryLog):
    """A log whose commits wait while the test holds them."""

    def __init__(self) -> None:
        super().__init__()
        self._free = Flag()
        self._free.set()
        self.reached = Flag()  # the writer stands before a commit

    def hold(self) -> None:
        self.reached.clear()
        self._free.clear()

    def let_go(self) -> None:
        self._free.set()

    def append(self, entries: Sequence[Entry]) -> None:
        self.reached.set()
        assert self._free.wait(BOUND)
        super().append(entries)


class Peer:
    """A participant: asks verbs, and keeps the frames that it is sent."""

    def __init__(self, bench: "Bench", session: Session) -> None:
        self.bench = bench
        self.session = session
        self.frames: deque[dict[str, Any]] = deque()
        self._came = asyncio.Event()
        session.push = self._push

    def _push(self, frame: bytes) -> None:
        self.frames.append(json.loads(frame))
        self._came.set()

    @property
    def key(self) -> str:
        return self.session.key

    def ask(self, verb: str, **fields: Any) -> "asyncio.Future[bytes]":
        """Ask without waiting; the reply's bytes come later."""
        found = self.bench.core.verbs.get(verb)
        return self.bench.hub.do(self.session, found, found.parse(json.dumps(fields).encode()))

    async def raw(self, verb: str, **fields: Any) -> bytes:
        return await asyncio.wait_for(self.ask(verb, **fields), BOUND)

    async def __call__(self, verb: str, **fields: Any) -> Any:
        return json.loads(await self.raw(verb, **fields))

    async def refused(self, verb: str, **fields: Any) -> SynapseError:
        """Ask for something that is refused; what is said."""
        with pytest.raises(SynapseError) as refusal:
            await self.raw(verb, **fields)
        return refusal.value

    async def frame(self, method: str) -> Any:
        """The parameters of the next frame of a method; others before it are passed over."""

        async def next_one() -> Any:
            while True:
                while self.frames:
                    frame = self.frames.popleft()
                    if frame["method"] == method:
                        return frame["params"]
                self._came.clear()
                await self._came.wait()

        return await asyncio.wait_for(next_one(), BOUND)

    def hang_up(self) -> None:
        self.bench.core.gone(self.session)

    # -- what a runner does

    async def take(self) -> Any:
        """Be handed a message and type it; the message."""
        message = await self.frame("deliver")
        await self("messages.typing", id=message["id"])
        await self("messages.delivered", id=message["id"])
        return message


class Bench:
    """A hub on a log, with a clock that the test moves."""

    def __init__(self, log: Log | None = None, **more: Any) -> None:
        self.log: Log = log or MemoryLog()
        self.truth: Log = self.log  # what is stored, read without faults
        self.clock = ManualClock()
        self.processes = Processes()
        self.more = more

    async def open(self) -> "Bench":
        more = {"limits": Limits(self.clock, 0, 0), "retry": 0.001, **self.more}
        self.core = Core(self.log, self.clock, self.processes, **more)
        await self.core.open()
        return self

    @property
    def hub(self) -> Hub:
        return self.core.hub

    async def close(self) -> None:
        await self.core.close()

    async def restart(self) -> None:
        """End in order and begin again on the same log; connections are gone."""
        await self.core.close()
        await self.open()

    async def crash(self) -> None:
        """End without a word: nothing is noted, no snapshot taken; then begin again."""
        self.core.sweeper.close()
        self.core.recovery.close()
        self.hub.suspended = True
        self.hub.readers.shutdown(wait=True, cancel_futures=True)
        self.hub.writer.close()
        await asyncio.sleep(0)
        await self.open()

    def peer(self, session: Session) -> Peer:
        return Peer(self, session)

    def client(self, name: str, workspace: str = "w", **more: Any) -> Peer:
        """A plain client of a chosen name, who joins with its first change."""
        wanted = Joined(key="", name=name, type="client", id=name, chosen=True)
        return self.peer(Session(wanted=wanted, workspace=workspace, user="kim", **more))

    def person(self, name: str = "kim", workspace: str = "w") -> Peer:
        wanted = Joined(key="", name=name, type="person", id=name, chosen=True)
        return self.peer(Session(wanted=wanted, workspace=workspace, user=name))

    async def agent(self, name: str = "", profile: str = "claude", workspace: str = "w", pid: int = 0) -> Peer:
        """An agent whose runner has joined and is attached."""
        runner = self.peer(Session(workspace=workspace, pid=pid, user="kim"))
        joined = await runner(
            "agents.join", profile=profile, name=name, workspace=workspace, pid=pid, ports=[8100, 8109]
        )
        await runner("agents.attach", key=joined["key"], live={"status": "READY"})
        return runner

    def command(self, agent: Peer) -> Peer:
        """A command that an agent runs inside its terminal."""
        peer = self.peer(Session(key=agent.key, workspace=agent.session.workspace, user="kim"))
        self.core.arrived(peer.session)
        return peer

    async def sweep(self) -> None:
        """Sweep until nothing is due, and until it is stored."""
        head = -1
        while head != self.hub.head:
            head = self.hub.head
            self.core.sweeper.run()
            await self.settled()

    async def settled(self) -> None:
        """Until everything decided so far is stored, or known to have failed, and changes are taken again."""

        async def level() -> None:
            while self.hub.suspended or self.hub.read_only or len(self.hub.outbox):
                await asyncio.sleep(0.001)

        await asyncio.wait_for(level(), BOUND)

    def kinds(self) -> list[str]:
        """The kinds of all events that are stored, in order."""
        return [event.kind for record in self.truth.read(0) for event in record.events]

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(e.body) for record in self.truth.read(0) for e in record.events if e.kind == kind]

    def picture(self) -> dict[str, Any]:
        """Everything that the projections know, their indexes too."""
        return picture(self.hub.state)

    def refolded(self) -> dict[str, Any]:
        """The picture of a fresh fold of the whole log."""
        state = fresh(self.hub.state)
        for record in self.truth.read(0):
            for event in events_of(self.hub, record):
                state.fold(event)
        return picture(state)


def fresh(state: State) -> State:
    """The same projections, empty."""
    return State([type(projection)() for projection in state.projections])


def picture(state: State) -> dict[str, Any]:
    assert not state.broken
    return {projection.name: vars(projection) for projection in state.projections}
