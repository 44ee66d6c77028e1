"""The sweeper: the one verb in which time decides, and the one timer that calls it."""

import asyncio
import logging
from typing import Protocol

from synapse.errors import SynapseError, Unavailable
from synapse.event import Event
from synapse.hub.agents import CLIENT, Agent, Agents
from synapse.hub.ending import answer_requester, end_task
from synapse.hub.facts import Acknowledged, DeadLettered, Failed, OfferMade, OfferWithdrawn, WaitEnded
from synapse.hub.joining import bury, depart
from synapse.hub.loop import Call, Hub
from synapse.hub.mailbox import QUEUED, READ, Mailbox
from synapse.hub.offers import Offers
from synapse.hub.sessions import Session
from synapse.hub.tasks import Tasks
from synapse.verb import Change, Reply, change

logger = logging.getLogger(__name__)

HEARTBEAT = 60.0  # seconds: nobody expires earlier after a start or a jump of the clock
JUMP = 10.0  # seconds by which the clocks may differ before it counts as a jump
MAIL_TTL = 7 * 24 * 3600.0
WAIT_GRACE = 15.0  # seconds in which a waiting client must have asked again
IDLE = 60.0  # seconds between sweeps when nothing is due
LOOK_AGAIN = 1.0  # seconds until the process of a lost runner is looked at once more
AWAY = 120.0  # seconds after which an agent of another machine, whose process we cannot look at, is lost
CLIENT_AWAY = MAIL_TTL  # seconds after which a plain client that nobody has spoken as since is not here any more
AT_ONCE = 200  # events of one record


class Processes(Protocol):
    """What the sweeper must know and do about processes of this machine."""

    def alive(self, pid: int, start: str) -> bool:
        """Is this very process (same number, same start) still there?"""

    def end(self, pid: int, start: str) -> None:
        """End what is left of an agent whose runner is gone: TERM, and KILL some seconds later."""


class SweepRequest(Change, kw_only=True):
    """`ripe`: may what depends on the clock expire?"""

    ripe: bool
    lost: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


class SweepReply(Reply, kw_only=True):
    more: bool


@change("hub.sweep", internal=True, anonymous=True)
def sweep(call: Call, request: SweepRequest) -> SweepReply:
    """Write down what has expired, and look after the mail of those who left."""
    agents = call.state(Agents)
    for key in request.lost:
        agent = agents.get(key)
        if agent is not None:
            call.workspace = agent.workspace
            depart(call, agent, "runner_lost", "The agent's process ended without a word.")
            return SweepReply(more=True)
    for box in call.state(Mailbox).boxes():
        if box in agents.gone:
            call.workspace = agents.gone[box].workspace
            bury(call, box, agents.label(box))
            return SweepReply(more=True)
    if not request.ripe:
        return SweepReply(more=False)
    for agent in filter(None, map(agents.get, request.unseen)):
        call.workspace = agent.workspace
        depart(call, agent, "unseen", "Nobody has spoken under that name for 7 days.")
        return SweepReply(more=True)
    return SweepReply(more=_end_waits(call) or _expire_offers(call) or _expire_mail(call))


def _end_waits(call: Call) -> bool:
    """Nobody waits any more for what was to be waited for: the answer will come as a message."""
    hub, tasks = call.hub, call.state(Tasks)
    now = hub.clock.monotonic()
    for id in tasks.waited_for:
        if hub.waits.waiting_for(id) or now - hub.waited.setdefault(id, now) <= WAIT_GRACE:
            continue
        task = tasks.live[id]
        call.emit(WaitEnded(task=id, box=task.box, requester=task.requester), id)
        if len(call.events) >= AT_ONCE:
            return True
    return False


def _expire_offers(call: Call) -> bool:
    """What was offered for a time that is over."""
    agents = call.state(Agents)
    for offer in call.state(Offers).due(call.hub.clock.now())[:AT_ONCE]:
        agent = agents.get(offer.key)
        call.emit(
            OfferWithdrawn(id=offer.id, key=offer.key, reason="expired"),
            offer.key,
            agent.workspace if agent else offer.workspace,
        )
    return len(call.events) >= AT_ONCE


def _expire_mail(call: Call) -> bool:
    """What nobody took in seven days; by the clock, for `at` stays ahead of one that was wrong for a while."""
    tasks = call.state(Tasks)
    for message in call.state(Mailbox).older(call.hub.clock.now() - MAIL_TTL):
        task = tasks.live.get(message.task)
        if message.state == READ and task is None:
            call.emit(Acknowledged(id=message.id, box=message.box, sender=message.sender), message.id)
        elif message.state == QUEUED:
            call.emit(DeadLettered(id=message.id, box=message.box, sender=message.sender, reason="expired"), message.id)
            if task is not None:
                end_task(call, task, Failed, text="Nobody took it in 7 days.", reason="expired", source="hub")
            elif message.role == "note":
                answer_requester(call, message.sender, "Nobody read it in 7 days.", message.id, role="notification")
        if len(call.events) >= AT_ONCE:
            return True
    return False


class Sweeper:
    """Calls the sweep when something may be due, and otherwise once a minute."""

    def __init__(self, hub: Hub, processes: Processes) -> None:
        self._hub = hub
        self._processes = processes
        self._session = Session(key="hub")
        self._timer: asyncio.TimerHandle | None = None
        self._clocks = (hub.clock.now(), hub.clock.monotonic())
        self._quiet_until = hub.clock.monotonic() + HEARTBEAT
        hub.on_commit.append(self._committed)
        hub.on_publish.append(self._published)

    def soon(self, seconds: float = 0.0) -> None:
        """Look within that time."""
        due = self._hub.loop.time() + seconds
        if self._timer is None or self._timer.when() > due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._hub.loop.call_at(due, self.run)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _committed(self, touched: set[str]) -> None:
        """A box may have lost its owner, or somebody may wait."""
        gone = self._hub.state.get(Agents).gone
        if any(topic in gone for topic in touched):
            self.soon()
        elif self._hub.state.get(Tasks).waited_for:
            self.soon(WAIT_GRACE)

    def _published(self, position: int, events: list[Event]) -> None:
        """Something may be offered for a short time."""
        if any(isinstance(event.body, OfferMade) for event in events):
            self.soon(self._until_due())

    def run(self) -> None:
        """Sweep now."""
        self._timer = None
        hub = self._hub
        if hub.suspended or hub.read_only:
            self.soon(LOOK_AGAIN)
            return
        self._watch_clocks()
        try:
            self._forget()
            ripe = hub.clock.monotonic() >= self._quiet_until
            lost, uncertain = self._lost(ripe)
            asked = SweepRequest(ripe=ripe, lost=lost, unseen=self._unseen())
            more = hub.decide(self._session, sweep, asked).more
        except SynapseError as error:
            logger.warning("nothing swept: %s", error)
            more, uncertain = False, False
        if more:
            self.soon()
        elif uncertain:
            self.soon(LOOK_AGAIN)
        else:
            self.soon(self._until_due())

    def _until_due(self) -> float:
        """Seconds until something expires that was offered for a time; at most those between two sweeps."""
        now = self._hub.clock.monotonic()
        try:
            due = self._hub.state.get(Offers).next_due() - self._hub.clock.now()
        except Unavailable:
            return IDLE  # it is out of order
        return min(IDLE, max(due, self._quiet_until - now, 0.0))

    def _forget(self) -> None:
        """What was remembered about tasks and stays that are over."""
        hub = self._hub
        waiting, agents = hub.state.get(Tasks).waited_for, hub.state.get(Agents)
        hub.waited = {task: seen for task, seen in hub.waited.items() if task in waiting}
        away = hub.sessions.away_since
        hub.sessions.away_since = {key: since for key, since in away.items() if agents.get(key) is not None}

    def _watch_clocks(self) -> None:
        """After a sleep or a set clock, nobody expires before one heartbeat has passed."""
        now, monotonic = self._hub.clock.now(), self._hub.clock.monotonic()
        then, since = self._clocks
        if abs((now - then) - (monotonic - since)) > JUMP:
            logger.warning("the clock jumped by %.0f s", (now - then) - (monotonic - since))
            self._quiet_until = monotonic + HEARTBEAT
        self._clocks = (now, monotonic)

    def _lost(self, ripe: bool) -> tuple[tuple[str, ...], bool]:
        """The agents whose runner is gone; and whether one without connection must be looked at again soon."""
        lost, uncertain = [], False
        now = self._hub.clock.monotonic()
        for agent in self._hub.state.get(Agents):
            if not agent.wrapped or self._hub.sessions.runner(agent.key) is not None:
                continue
            away = now - self._hub.sessions.away_since.setdefault(agent.key, now)
            if agent.pid and not self._processes.alive(agent.pid, agent.pid_start):
                self._end_child(agent)
                lost.append(agent.key)
            elif not agent.pid and ripe and away > AWAY:
                lost.append(agent.key)
            else:
                uncertain = uncertain or bool(agent.pid and away < HEARTBEAT)
        return tuple(lost), uncertain

    def _unseen(self) -> tuple[str, ...]:
        """Plain clients whose names nobody uses any more: what is told to all would be kept for each of them."""
        sessions, now = self._hub.sessions, self._hub.clock.monotonic()
        away = (a.key for a in self._hub.state.get(Agents) if a.type == CLIENT and not sessions.here(a.key))
        return tuple(key for key in away if now - sessions.away_since.setdefault(key, now) > CLIENT_AWAY)

    def _end_child(self, agent: Agent) -> None:
        if agent.child_pid:
            self._processes.end(agent.child_pid, agent.child_start)
