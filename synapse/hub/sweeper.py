"""The sweeper: the one verb in which time decides, and the one timer that calls it."""

import asyncio
import logging
from typing import Protocol

from synapse.errors import SynapseError
from synapse.hub.agents import Agent, Agents
from synapse.hub.ending import answer_requester, end_task
from synapse.hub.facts import DeadLettered, Failed, WaitEnded
from synapse.hub.joining import bury, depart
from synapse.hub.loop import Call, Hub
from synapse.hub.mailbox import Mailbox
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
AT_ONCE = 200


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


class SweepReply(Reply, kw_only=True):
    more: bool


@change("hub.sweep", internal=True, anonymous=True)
def sweep(call: Call, request: SweepRequest) -> SweepReply:
    """Write down what has expired, and look after the mail of those who left."""
    agents = call.state(Agents)
    for key in request.lost:
        agent = agents.get(key)
        if agent is not None:
            depart(call, agent, "runner_lost", "The agent's process ended without a word.")
            return SweepReply(more=True)
    for box in call.state(Mailbox).boxes():
        if box.startswith("a-") and agents.at_box(box) is None:
            bury(call, box, agents.label(box))
            return SweepReply(more=True)
    more = _end_waits(call)
    return SweepReply(more=_expire_mail(call) or more if request.ripe else more)


def _end_waits(call: Call) -> bool:
    now, waited = call.hub.clock.monotonic(), call.hub.waited
    for task in call.state(Tasks).live.values():
        if task.mode != "wait" or call.hub.waits.waiting_for(task.id):
            continue
        if now - waited.setdefault(task.id, now) > WAIT_GRACE:
            call.emit(WaitEnded(task=task.id, box=task.box, requester=task.requester), task.id)
            if len(call.events) >= AT_ONCE:
                return True
    return False


def _expire_mail(call: Call) -> bool:
    tasks = call.state(Tasks)
    for message in call.state(Mailbox):
        if call.at - message.at <= MAIL_TTL or message.state == "typing":
            continue
        call.emit(DeadLettered(id=message.id, box=message.box, sender=message.sender, reason="expired"), message.id)
        task = tasks.live.get(message.task)
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

    def soon(self, seconds: float = 0.0) -> None:
        """Look within that time."""
        due = self._hub.loop.time() + seconds
        if self._timer is None or self._timer.when() > due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._hub.loop.call_at(due, self._run)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _committed(self, touched: set[str]) -> None:
        """A box may have lost its owner."""
        if any(topic.startswith("a-") and topic in self._gone for topic in touched):
            self.soon()

    @property
    def _gone(self) -> dict[str, tuple[str, str, str]]:
        return self._hub.state.get(Agents).gone

    def _run(self) -> None:
        self._timer = None
        hub = self._hub
        if hub.suspended or hub.read_only:
            self.soon(LOOK_AGAIN)
            return
        self._watch_clocks()
        living = hub.state.get(Tasks).live
        hub.waited = {task: seen for task, seen in hub.waited.items() if task in living}
        try:
            lost, uncertain = self._lost()
            ripe = hub.clock.monotonic() >= self._quiet_until
            more = hub.decide(self._session, sweep, SweepRequest(ripe=ripe, lost=lost)).more
        except SynapseError as error:
            logger.warning("nothing swept: %s", error)
            more, uncertain = False, False
        if more:
            self.soon()
        elif uncertain:
            self.soon(LOOK_AGAIN)
        else:
            self.soon(WAIT_GRACE if self._somebody_waits() else IDLE)

    def _somebody_waits(self) -> bool:
        return any(task.mode == "wait" for task in self._hub.state.get(Tasks).live.values())

    def _watch_clocks(self) -> None:
        """After a sleep or a set clock, nobody expires before one heartbeat has passed."""
        now, monotonic = self._hub.clock.now(), self._hub.clock.monotonic()
        then, since = self._clocks
        if abs((now - then) - (monotonic - since)) > JUMP:
            logger.warning("the clock jumped by %.0f s", (now - then) - (monotonic - since))
            self._quiet_until = monotonic + HEARTBEAT
        self._clocks = (now, monotonic)

    def _lost(self) -> tuple[tuple[str, ...], bool]:
        """The agents whose runner's process is gone; and whether one without connection must be looked at again."""
        lost, uncertain = [], False
        now = self._hub.clock.monotonic()
        for agent in self._hub.state.get(Agents):
            if not agent.wrapped or self._hub.sessions.runner(agent.key) is not None:
                continue
            if agent.pid and not self._processes.alive(agent.pid, agent.pid_start):
                self._end_child(agent)
                lost.append(agent.key)
            else:
                uncertain = uncertain or now - self._hub.sessions.away_since.get(agent.key, -1e9) < HEARTBEAT
        return tuple(lost), uncertain

    def _end_child(self, agent: Agent) -> None:
        if agent.child_pid:
            self._processes.end(agent.child_pid, agent.child_start)
