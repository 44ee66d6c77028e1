"""Calls those who want to hear of tasks: each change at least once, in the order of its task, again when it fails.

What is owed stands in the state (`hub.callbacks`). Who is slow holds up nobody but itself: each receiver has so many
calls at once, and those of one task for one who wants to hear go one after the other.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from msgspec.structs import replace
from yarl import URL

from synapse.a2a.outgoing import Limits, Outgoing, retry_after
from synapse.a2a.telling import Letter, letters
from synapse.errors import SynapseError, Unavailable
from synapse.hub.agents import Agents
from synapse.hub.callbacks import Callbacks, Config, Hook
from synapse.hub.loop import Hub
from synapse.hub.sessions import Session
from synapse.hub.settling import AT_ONCE, Outcome, SettleRequest, settle
from synapse.hub.tasks import Tasks
from synapse.hub.views import labels_of

logger = logging.getLogger(__name__)
PER_RECEIVER = 8  # calls of one origin at once
IN_ALL = 128
SETTLE = 1.0  # seconds until what became of calls is noted, many at once
MOST_READ = 64 * 1024  # bytes of an answer that are read, so that the connection can be used again
TRY_LATER = (408, 429)
LONGEST_PAUSE = 300.0  # seconds for which a receiver is left alone, whatever its Retry-After says
READINGS = 8  # times that a change is read again where the log cannot be read, after twice as long each time


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for one call, how often it is made again, and the seconds before the first time (then twice as many)."""

    timeout: float = 10.0
    retries: int = 3
    pause: float = 1.0


class Line(NamedTuple):
    """The changes of one task for one who wants to hear of them."""

    task: str
    hook: str = ""
    config: str = ""


class Made(NamedTuple):
    """What came of one attempt: the status of the answer, or 0 and why there was none; whether asking again is of no use;
    for how many seconds not to ask."""

    status: int
    error: str = ""
    lasting: bool = False
    wait: float = 0.0


class _Receiver:
    """One origin: who waits for a call to it, and how many are called now."""

    def __init__(self) -> None:
        self.waiting: deque[Line] = deque()
        self.active = 0


class Caller:
    """Makes the calls that are owed, after every commit and after every start alike."""

    def __init__(self, hub: Hub, push: Outgoing, webhooks: Outgoing, patience: Patience = Patience()) -> None:
        self._hub = hub
        self._outgoing = {"push": push, "webhook": webhooks}
        self._patience = patience
        self._session = Session(key="hub", system=True)
        self._receivers: dict[str, _Receiver] = {}
        self._lines: set[Line] = set()  # that wait or are being told
        self._told: dict[Line, int] = {}  # up to where, and not noted yet
        self._outcomes: list[Outcome] = []
        self._timer: asyncio.TimerHandle | None = None
        self._calls = asyncio.Semaphore(IN_ALL)
        self._reading = asyncio.Semaphore(1)  # the rest of the readers' threads is for those who ask
        self._working: set[asyncio.Task[None]] = set()
        self._closed = False
        hub.on_commit.append(self.look)
        hub.on_folded.append(self._folded)

    def look(self, touched: Collection[str]) -> None:
        """See to the tasks among what was touched of which somebody has still to be told."""
        if self._hub.suspended or self._closed:
            return
        callbacks = self._hub.state.get(Callbacks)
        if not (callbacks.configs or callbacks.hooks):
            return
        for topic in touched:
            for owed in callbacks.owing(topic):
                line = Line(topic, config=owed.id) if isinstance(owed, Config) else Line(topic, hook=owed.id)
                self._hub.outbox.tell(self._hub.head, self._begin, line)  # not before it is stored

    def look_everywhere(self) -> None:
        """See to everything that is owed."""
        self.look(self._hub.state.get(Callbacks).tasks_owed())

    def _folded(self) -> None:
        """What was told may be owed again: it is told again."""
        self._told.clear()
        self._outcomes.clear()
        self._hub.loop.call_soon(self.look_everywhere)

    # -- who is called when

    def _begin(self, position: int, line: Line) -> None:
        target = self._target(line)
        if target is None or line in self._lines or self._closed:
            return
        self._lines.add(line)
        origin = str(URL(target.url).origin())
        self._receivers.setdefault(origin, _Receiver()).waiting.append(line)
        self._pump(origin)

    def _pump(self, origin: str) -> None:
        receiver = self._receivers[origin]
        while receiver.waiting and receiver.active < PER_RECEIVER and not self._closed:
            receiver.active += 1
            task = self._hub.loop.create_task(self._tell(receiver.waiting.popleft()))
            self._working.add(task)
            task.add_done_callback(lambda done: self._told_all(done, origin))
        if not receiver.waiting and not receiver.active:
            del self._receivers[origin]

    def _told_all(self, done: "asyncio.Task[None]", origin: str) -> None:
        self._working.discard(done)
        if not done.cancelled() and done.exception() is not None:
            logger.error("a callback failed", exc_info=done.exception())
        self._receivers[origin].active -= 1
        self._pump(origin)

    def _target(self, line: Line) -> Config | Hook | None:
        """Who is called, as things are now; None when it does not want to hear any more."""
        if self._hub.suspended:
            return None
        callbacks = self._hub.state.get(Callbacks)
        if line.hook:
            return callbacks.hooks.get(line.hook)
        return callbacks.configs.get(line.task, {}).get(line.config)

    def _next(self, line: Line) -> int:
        """The position of the change that comes next; 0 when there is none that is stored."""
        target = self._target(line)
        if target is None:
            return 0
        owed = target.owed if isinstance(target, Config) else target.owed.get(line.task, [])
        told = self._told.get(line, 0)
        position = next((position for position in owed if position > told), 0)
        return position if position <= self._hub.outbox.committed else 0

    # -- calling

    async def _tell(self, line: Line) -> None:
        try:
            while position := self._next(line):
                outcome = await self._change(line, position)
                if outcome is not None:
                    self._told[line] = position
                    self._outcomes.append(outcome)
                    self._settle_soon()
        finally:
            self._lines.discard(line)

    async def _change(self, line: Line, position: int) -> Outcome | None:
        """Tell of one change; None when it is not wanted any more, or has to be told otherwise now."""
        target = self._target(line)
        if target is None:
            return None
        outcome = Outcome(task=line.task, position=position, hook=line.hook, config=line.config)
        to_tell = await self._read(target, line.task, position)
        if not to_tell:
            return replace(outcome, error="It is not in the log any more.")
        for letter in to_tell:
            made = await self._deliver(line, target, letter, outcome)
            if made is None:
                return None
            outcome = made
            if not 200 <= outcome.status < 500:
                break  # nobody is there: the rest of it goes the same way
        return outcome

    async def _read(self, target: Config | Hook, task: str, position: int) -> list[Letter]:
        """What is to be told of a change; nothing when it is gone, or cannot be read for a long time."""
        hub, pause = self._hub, self._patience.pause
        for attempt in range(READINGS):
            if attempt:
                await asyncio.sleep(pause)
                pause *= 2
            try:
                labels = self._labels(task)
                async with self._reading:
                    reading = hub.loop.run_in_executor(hub.readers, letters, hub.log, target, task, position, labels)
                    return await reading
            except Exception as error:
                logger.error("a change of %s cannot be read: %s", task, error, exc_info=attempt == READINGS - 1)
        return []

    def _labels(self, task: str) -> dict[str, str]:
        """What to call those who have to do with a task."""
        tasks, agents = self._hub.state.get(Tasks), self._hub.state.get(Agents)
        found = tasks.live.get(task) or tasks.finished.get(task)
        return labels_of(tasks, agents, found) if found else {}

    async def _deliver(self, line: Line, target: Config | Hook, letter: Letter, outcome: Outcome) -> Outcome | None:
        """Make one call, again while that may help; None when it is not wanted any more, or otherwise."""
        pause = self._patience.pause
        for attempt in range(1, self._patience.retries + 2):
            made = await self._call(letter)
            outcome = replace(outcome, event=letter.event, status=made.status, attempts=attempt, error=made.error)
            if 200 <= made.status < 300:
                return outcome
            if made.lasting or attempt > self._patience.retries:
                break
            await asyncio.sleep(max(pause, min(made.wait, LONGEST_PAUSE)))
            pause *= 2
            if self._target(line) is not target:
                return None
        logger.warning(
            "%s was not told of %s (%s after %s attempts)",
            URL(letter.url).with_query(None),
            line.task,
            outcome.error or f"status {outcome.status}",
            outcome.attempts,
        )
        return outcome

    async def _call(self, letter: Letter) -> Made:
        timeout, outgoing = self._patience.timeout, self._outgoing[letter.sort]
        try:
            async with (
                self._calls,
                outgoing.open(
                    "POST",
                    letter.url,
                    headers=letter.headers(self._hub.clock.now()),
                    body=letter.body,
                    limits=Limits(connect=timeout, pause=timeout, total=timeout),
                ) as response,
            ):
                status, read = response.status, 0
                wait = retry_after(response.headers, self._hub.clock.now())
                async for piece in response.content.iter_any():
                    read += len(piece)
                    if read > MOST_READ:
                        break
        except Unavailable as error:
            return Made(0, error.sentence)
        except SynapseError as error:
            return Made(0, error.sentence, lasting=True)
        return Made(status, lasting=status < 500 and status not in TRY_LATER, wait=wait)

    # -- noting

    def _settle_soon(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = self._hub.loop.call_later(SETTLE, self.settle)

    def settle(self) -> None:
        """Note what became of the calls, so that they are not made again."""
        hub = self._hub
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._outcomes and not (hub.suspended or hub.read_only):
            outcomes = self._outcomes[:AT_ONCE]
            try:
                hub.decide(self._session, settle, SettleRequest(outcomes=tuple(outcomes)))
            except SynapseError as error:
                logger.warning("what became of calls cannot be noted: %s", error)
                break
            del self._outcomes[:AT_ONCE]
            for outcome in outcomes:
                line = Line(outcome.task, outcome.hook, outcome.config)
                if self._told.get(line, 0) <= outcome.position:
                    self._told.pop(line, None)
        if self._outcomes:
            self._settle_soon()

    async def close(self) -> None:
        """Break off what is under way; what is not told yet is told by the next hub."""
        self.settle()
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._working:
            task.cancel()
        if self._working:
            await asyncio.wait(self._working)
        for outgoing in self._outgoing.values():
            await outgoing.close()
