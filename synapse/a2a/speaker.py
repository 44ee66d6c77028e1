"""Who speaks to one agent elsewhere: takes what lies in its box, in order, and says how it is."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from synapse.a2a.client import Remote, Told, remote
from synapse.a2a.errand import BACKOFF, LONGEST_BACKOFF, Errand
from synapse.a2a.outgoing import Outgoing
from synapse.a2a.report import Over
from synapse.a2a.secrets import Secrets
from synapse.errors import BadRequest, NotFound, Refused, SynapseError, Unavailable
from synapse.hub import external_work, reports
from synapse.hub.agents import Agents
from synapse.hub.external_state import External, Link, Registration
from synapse.hub.loop import STOPPING, Hub
from synapse.hub.mailbox import QUEUED, TYPING, Mailbox, Message
from synapse.hub.sessions import Live, Session
from synapse.hub.tasks import Tasks
from synapse.verb import Permission, Verb

logger = logging.getLogger(__name__)
P = TypeVar("P")
MOST_AT_WORK, MOST_OPEN = 8, 100  # tasks that it works on at once; with those that wait for an answer
LOOKED_AT = 50  # messages of a queue that are passed over because their conversation is busy
TELL_WITHIN = 300.0  # seconds within which it is told that a task is called off
FAREWELL = 5.0  # seconds for the same when it is removed
AGAIN = 1.0  # seconds until the hub is asked once more
BETWEEN = 5.0  # seconds between two tries of what went wrong for no reason that is known


class Speaker:
    """Lives as long as the registration; everything durable is in the hub's state."""

    def __init__(
        self, hub: Hub, there: Registration, client: Outgoing, secrets: Secrets, patience: Callable[[], float]
    ) -> None:
        self.hub = hub
        self.key = there.key
        self._there = there
        self._client = client
        self._secrets = secrets
        self._patience = patience
        self._remote: Remote | None = None
        self._errands: dict[str, Errand] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._calling_off: dict[str, asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[Any]] = set()
        self._failing: float | None = None  # since when it cannot be reached (monotonic)
        self._wait = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._folded = asyncio.Event()
        agent = hub.state.get(Agents).get(there.key)
        self.session = Session(
            key=there.key,
            workspace=agent.workspace if agent else "",
            permissions=frozenset({Permission.READ, Permission.WRITE}),
            system=True,
        )
        self.session.live = Live(status="READY", source="a2a", since=hub.clock.now(), endpoint=there.card.interface.url)
        hub.sessions.add(self.session)
        hub.presence(self.key)

    # -- for errands

    @property
    def name(self) -> str:
        agent = self.hub.state.get(Agents).get(self.key)
        return agent.name if agent is not None else self._there.card.name

    @property
    def streams(self) -> bool:
        return self._there.card.streaming

    @property
    def patience(self) -> float:
        return self._patience()

    def state(self, kind: type[P]) -> P:
        return self.hub.state.get(kind)

    async def remote(self) -> Remote:
        """How it is spoken to now."""
        if self._remote is None:
            there = self._there
            headers = await asyncio.to_thread(self._secrets.read, there.secret) if there.secret else {}
            self._remote = remote(self._client, there.card.interface, headers)
        return self._remote

    async def whole(self) -> None:
        """Wait until the state is whole: while the hub folds its log anew, less is in it than there is."""
        if self.hub.suspended:
            self._folded.clear()
            await self._folded.wait()

    def folded(self) -> None:
        """The state is whole again, and may be another."""
        self._folded.set()
        self.look_soon()

    async def on_thread(self, read: Callable[[], P]) -> P:
        """Read from the log, once it holds everything that is decided; Over when that was lost."""
        hub = self.hub
        stored: asyncio.Future[Any] = hub.loop.create_future()

        def known(position: int, what: Any) -> None:
            if not stored.done():
                stored.set_result(what)

        hub.outbox.answer(hub.head, known, None)
        if isinstance(await stored, Exception):
            raise Over
        return await hub.loop.run_in_executor(hub.readers, read)

    async def note(self, verb: Verb, fields: dict[str, Any]) -> bool:
        """Have the hub note something in the agent's name, as soon as it can; False when it wants it no more."""
        while not self._closed:
            try:
                await self.hub.do(self.session, verb, verb.request(**fields))
                return True
            except (Refused, NotFound, BadRequest) as error:
                if error.status == 429:
                    await asyncio.sleep(AGAIN)
                    continue
                logger.debug("%s: %s", verb.name, error)
                return False
            except Unavailable as error:
                if error is STOPPING:
                    return False
                await asyncio.sleep(AGAIN)
        return False

    def owes(self, task: str) -> bool:
        """Is there something that it has not been told?"""
        link = self.state(External).links.get(task)
        return link is not None and bool(link.owed)

    def sent(self, errand: Errand) -> None:
        """The next message may go."""
        errand.sending = False
        self.look_soon()
        self.show()

    def reached(self) -> None:
        self._failing, self._wait = None, 0.0
        self.show()

    def unreachable(self, error: SynapseError) -> bool:
        """It could not be reached: rest for a while; False when that has gone on for too long."""
        now = self.hub.clock.monotonic()
        if self._failing is None:
            self._failing = now
            logger.info("%s cannot be reached: %s", self.name, error)
        left = self._failing + self.patience - now
        if self._timer is None:
            self._wait = min(max(self._wait * 2, BACKOFF), LONGEST_BACKOFF)
            self._again_in(min(self._wait, max(left, 0.05)))
        self.show()
        return left > 0

    def call_off(self, task: str) -> None:
        """Tell it that a task which nobody here knows is not wanted."""
        if task:
            self._spawn(self._tell_cancel(task, FAREWELL))

    # -- looking at what is owed

    def look_soon(self) -> None:
        self.hub.loop.call_soon(self.look)

    def _again_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.hub.loop.call_later(seconds, self._rested)

    def _rested(self) -> None:
        self._timer = None
        self.look()

    def look(self) -> None:
        """Take up what was left, then the head of its box, as long as there is room."""
        hub = self.hub
        if self._closed:
            return
        if hub.suspended or hub.read_only:
            if self._timer is None:
                self._again_in(AGAIN)
            return
        agent = hub.state.get(Agents).get(self.key)
        if agent is None:
            return
        self._call_off_owed()
        if self._timer is not None:
            return
        self._take_up()
        mailbox = hub.state.get(Mailbox)
        typing = mailbox.typing(agent.box)
        if typing is not None and typing.id not in self._errands:
            self._errands_lost(typing)
            return
        if typing is not None or any(one.sending for one in self._errands.values()):
            return
        head = self._head(mailbox, agent.box)
        if head is not None:
            self._start(head.id, head)

    def _take_up(self) -> None:
        """Tasks that it has since before this hub began."""
        external, tasks = self.state(External), self.state(Tasks)
        for link in external.of(self.key):
            if link.task not in self._errands and link.task in tasks.live:
                self._start(link.task, None)

    def _call_off_owed(self) -> None:
        """Tasks that were called off, and it has not been told."""
        for link in self.state(External).calling_off.values():
            if link.key == self.key and link.task not in self._calling_off:
                self._calling_off[link.task] = self.hub.loop.create_task(self._tell_called_off(link))

    def _errands_lost(self, typing: Message) -> None:
        """It was being sent when the hub ended, and nobody can say how far that went."""
        reason = "the hub ended while it was sent"
        self._spawn(self.note(reports.unknown, {"id": typing.id, "reason": reason}))

    def _head(self, mailbox: Mailbox, box: str) -> Message | None:
        """What is to be sent next: in order, but one at a time in a conversation."""
        at_work = [one for one in self._errands.values() if not one.interrupted]
        if len(at_work) >= MOST_AT_WORK or len(self._errands) >= MOST_OPEN:
            return None
        busy, passed = {one.context for one in at_work}, set(self._errands)
        tasks = self.state(Tasks)
        for _ in range(LOOKED_AT):
            head = mailbox.head(box, passed)
            if head is None or head.state == TYPING:
                return None
            task = tasks.live.get(head.task)
            if task is None or not task.context or task.context not in busy:
                return head
            passed.add(head.id)
        return None

    def _start(self, id: str, message: Message | None) -> None:
        errand = self._errands[id] = Errand(self, id, message)
        running = self._running[id] = self.hub.loop.create_task(errand.run(), name=f"errand {id}")
        running.add_done_callback(lambda task: self._ended(id, task))
        self.show()

    def _ended(self, id: str, task: "asyncio.Task[None]") -> None:
        del self._errands[id], self._running[id]
        if not task.cancelled() and task.exception() is not None:
            logger.error("task %s with %s went wrong", id, self.name, exc_info=task.exception())
        if self._closed:
            return
        if self._timer is None and not self.hub.suspended and self._left_over(id):
            self._again_in(BETWEEN)
        self.show()
        self.look_soon()

    def _left_over(self, id: str) -> bool:
        """Would it be taken up again at once? That must not go round and round."""
        agent = self.state(Agents).get(self.key)
        message = self.state(Mailbox).get(agent.box, id) if agent is not None else None
        return id in self.state(External).links or (message is not None and message.state == QUEUED)

    # -- what happens in the hub

    def answered(self, task: str) -> None:
        """Somebody has said something to it."""
        errand = self._errands.get(task)
        if errand is not None:
            errand.answered.set()

    def over(self, task: str) -> None:
        """A task has ended in the hub; what is being sent is let be, until it is known how the other side calls it."""
        errand, running = self._errands.get(task), self._running.get(task)
        if errand is not None and running is not None and not errand.ending and not errand.sending:
            running.cancel()
        self.look_soon()

    async def _tell_called_off(self, link: Link) -> None:
        try:
            await self._tell_cancel(link.remote_task, TELL_WITHIN)
            await self.note(external_work.release, {"task": link.task})
        finally:
            self._calling_off.pop(link.task, None)

    async def _tell_cancel(self, task: str, within: float) -> None:
        """Ask it to call a task off, for as long as it cannot be reached; what it thinks of that is its own affair."""
        wait = BACKOFF
        try:
            async with asyncio.timeout(within):
                while task:
                    try:
                        await (await self.remote()).cancel(task)
                        return
                    except Unavailable:
                        await asyncio.sleep(wait)
                        wait = min(wait * 2, LONGEST_BACKOFF)
        except TimeoutError:
            logger.info("%s could not be told within %g s that %s is called off", self.name, within, task)
        except Told as error:
            logger.debug("%s: %s", task, error)
        except SynapseError as error:
            logger.info("%s was told that %s is called off, and answered: %s", self.name, task, error)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self.hub.loop.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    # -- how it is

    def show(self) -> None:
        """Tell who looks how it is, when that has changed."""
        if self._closed:
            return
        errands = list(self._errands.values())
        if self._failing is not None:
            status = "AWAY"
        elif errands and any(not one.interrupted for one in errands):
            status = "PROCESSING"
        else:
            status = "WAITING" if errands else "READY"
        many = f"{len(errands)} tasks" if len(errands) > 1 else ""
        live = self.session.live
        if (live.status, live.preview) != (status, many):
            since = live.since if live.status == status else self.hub.clock.now()
            self.session.live = Live(status=status, source="a2a", since=since, preview=many, endpoint=live.endpoint)
            self.hub.presence(self.key)

    def adopt(self, there: Registration) -> None:
        """Its card or its credentials are others: what is asked from now on goes there."""
        self._there, self._remote = there, None
        live = self.session.live
        self.session.live = Live(
            status=live.status, source="a2a", since=live.since, preview=live.preview, endpoint=there.card.interface.url
        )
        self._failing, self._wait = None, 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.show()
        self.look_soon()

    # -- the end

    async def farewell(self) -> None:
        """It was removed: what it still works on is called off there, as far as that can be told."""
        names = [one.heard.task for one in self._errands.values() if one.heard.task]
        for running in self._running.values():
            running.cancel()
        await asyncio.gather(*(self._tell_cancel(name, FAREWELL) for name in names))
        await self.close()

    async def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        running = [*self._running.values(), *self._calling_off.values(), *self._others]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        hub = self.hub
        hub.sessions.remove(self.session, hub.clock.monotonic())
        await self._client.close()
