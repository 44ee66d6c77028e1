"""One message's way to an agent elsewhere and back: sent once, followed to its end, answered when it asks.

It is never sent twice: before the first byte leaves, the hub has noted it; what the other side calls the task is noted as
soon as it is known, and from then on, also after a restart of the hub, the task is asked for instead.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from synapse.a2a import outward
from synapse.a2a.client import NotTaken, Told, forgot_context
from synapse.a2a.heard import Heard
from synapse.a2a.report import Over, Report
from synapse.errors import SynapseError, Unavailable
from synapse.hub.external_state import External
from synapse.hub.mailbox import Message
from synapse.hub.tasks import Tasks, context_of

if TYPE_CHECKING:
    from synapse.a2a.speaker import Speaker

logger = logging.getLogger(__name__)
SLOW = 15.0  # seconds after which a silent agent counts as having the message; more than a connection may take
POLL, PATIENT, RESTING = 0.3, 3.0, 15.0  # seconds between two looks: at first, at most, and while it waits for us
BACKOFF, LONGEST_BACKOFF = 0.5, 30.0  # seconds between two tries
LOOK_BACK = 4  # messages among which an answer is looked for that is no artifact
_NO_STREAM = ("UNSUPPORTED_OPERATION", "METHOD_NOT_FOUND", "VERSION_NOT_SUPPORTED")
_LOST = ("TASK_NOT_FOUND", "NOT_FOUND")


class Errand:
    """A message on its way, or (`message` None) a task that the other side has already."""

    def __init__(self, speaker: "Speaker", id: str, message: Message | None) -> None:
        self.id = id
        self.message = message
        self.sending = message is not None
        self.answered = asyncio.Event()  # somebody has said something to the other side
        self._speaker = speaker
        self._streams = True
        self._failing: float | None = None  # since when nothing comes (monotonic)
        self._source: AsyncGenerator[Any, None] | None = None  # what comes of the message
        link, task = speaker.state(External).links.get(id), speaker.state(Tasks).live.get(id)
        self.heard = Heard(link.remote_task, link.remote_context) if link else Heard()
        self._report = Report(speaker, id, self.heard, task, linked=link is not None)

    @property
    def context(self) -> str:
        """The conversation that it belongs to; "" for a note."""
        task = self._speaker.state(Tasks).live.get(self.id)
        return context_of(task.id, task.context) if task is not None else ""

    @property
    def interrupted(self) -> bool:
        """Does it wait for somebody's word?"""
        return self._report.asked

    @property
    def ending(self) -> bool:
        """Has it ended there, and is that being told?"""
        return self._report.ending

    # -- the whole way

    async def run(self) -> None:
        """Until the task has ended here or there."""
        try:
            if self.message is None or await self._begin(self.message):
                await self._follow()
        except Over:
            pass
        finally:
            self.sending = False
            if self._source is not None:
                await self._source.aclose()

    async def _follow(self) -> None:
        """Listen, and pass on what is said to it, until it has ended."""
        source = self._source
        while True:
            await self._speaker.whole()
            self.answered.clear()
            try:
                owed = self._owed()
                if owed:
                    listening = self._answer(owed[0])
                else:
                    listening = self._again() if source is None else self._hear_all(source)
                source = None
                over = await self._unless_answered(listening)
            except SynapseError as error:
                over = await self._failed_once(error)
            if over:
                return

    def _owed(self) -> list[int]:
        link = self._speaker.state(External).links.get(self.id)
        if link is None:
            raise Over
        return link.owed

    async def _unless_answered(self, listening: Coroutine[Any, Any, bool]) -> bool:
        """Listen until it has ended, or until there is something to be said; the latter is False."""
        listener = asyncio.ensure_future(listening)
        said = asyncio.ensure_future(self.answered.wait())
        try:
            await asyncio.wait({listener, said}, return_when=asyncio.FIRST_COMPLETED)
            return listener.done() and listener.result()
        finally:
            for task in (said, listener):
                task.cancel()
            await asyncio.wait({said, listener})
            if not listener.cancelled():
                listener.exception()  # it is known, also where nobody asks any more

    # -- sending

    async def _begin(self, message: Message) -> bool:
        """Send it; False when that was all, or it goes back to its queue."""
        speaker = self._speaker
        try:
            read = partial(outward.first, speaker.hub.log, message.position, message.id)
            parts = await speaker.on_thread(read)
        except SynapseError as error:
            await self._report.begin()
            return await self._refused(error)
        await self._report.begin()
        await speaker.whole()
        sent = self._message(parts, message.id)
        try:
            over = await self._first_of(sent)
        except NotTaken as error:
            return await self._not_taken(error)
        except Unavailable as error:
            return await self._unsure(error)
        except SynapseError as error:
            return await self._refused(error)
        speaker.reached()
        return not over

    async def _first_of(self, sent: dict[str, Any]) -> bool:
        """Send it and hear the first word; once more as the begin of a conversation, where it has forgotten the old one."""
        self._source = self._sent(sent)
        try:
            return await self._first(self._source)
        except Told as error:
            if "contextId" not in sent or "taskId" in sent or not forgot_context(error):
                raise
            logger.info("%s knows the conversation of %s no more: it begins anew", self._speaker.name, self.id)
        self._source = self._sent({name: value for name, value in sent.items() if name != "contextId"})
        return await self._first(self._source)

    async def _first(self, source: AsyncGenerator[Any, None]) -> bool:
        """Hear the first word; True when that was all. After some silence it counts as delivered."""
        first = asyncio.ensure_future(anext(source))
        try:
            done, _ = await asyncio.wait({first}, timeout=SLOW)
            if not done:
                await self._report.link()
                self._speaker.sent(self)
            told = await first
        except StopAsyncIteration:
            raise Unavailable("unreachable", "It closed the connection without a word.") from None
        finally:
            first.cancel()
            await asyncio.wait({first})
        if self.message is not None and not self.message.task:
            await self._report.link()  # a note: that it was taken is all
            return True
        over = await self._hear(told)
        await self._report.link()
        self._speaker.sent(self)
        return over

    async def _not_taken(self, error: NotTaken) -> bool:
        """Nothing has reached it: back to the queue, or, when it has been so for too long, the end."""
        if self._speaker.unreachable(error):
            await self._report.returned(error.sentence)
        elif self.message is not None and self.message.task:
            await self._report.failed("unreachable", f"{self._speaker.name} could not be reached: {error.sentence}")
        else:
            await self._report.unknown(f"it could not be reached: {error.sentence}")
        return False

    async def _unsure(self, error: SynapseError) -> bool:
        """It may have got the message: when it has not said how it calls the task, nobody can ask."""
        if self._report.linked is None:
            await self._report.unknown(f"the connection failed while it was sent: {error.sentence}")
        elif self.heard.task:
            return True
        elif self.message is not None and self.message.task:
            await self._report.failed("outcome_unknown", f"Outcome unknown: {error.sentence}")
        return False

    async def _refused(self, error: SynapseError) -> bool:
        """It will not do it, or what it says makes no sense."""
        self._speaker.reached()
        if self.message is not None and self.message.task:
            reason = "refused" if isinstance(error, Told) else error.code
            await self._report.failed(reason, f"{self._speaker.name}: {error.sentence}")
        else:
            await self._report.link()
        return False

    def _message(self, parts: list[dict[str, Any]], id: str) -> dict[str, Any]:
        found: dict[str, Any] = {"messageId": id, "role": "ROLE_USER", "parts": parts}
        key, context = self._speaker.key, self.context
        theirs = self.heard.context or (context and self._speaker.state(External).remote_context(key, context))
        if theirs:
            found["contextId"] = theirs
        if self.heard.task:
            found["taskId"] = self.heard.task
        return found

    async def _sent(self, message: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        """Send a message; what comes of it."""
        remote = await self._speaker.remote()
        if self._speaker.streams:
            async with aclosing(remote.stream(message)) as stream:  # type: ignore[type-var]
                async for told in stream:
                    yield told
        else:
            yield await remote.send(message)

    # -- answering

    async def _answer(self, position: int) -> bool:
        """Tell it what was said; True when that led to the end."""
        speaker = self._speaker
        parts = await speaker.on_thread(partial(outward.later, speaker.hub.log, position, self.id))
        await self._report.answering(position)
        await speaker.whole()
        message = self._message(parts, f"{self.id}-{position}")
        wait = BACKOFF
        while True:
            try:
                return await self._hear_all(self._sent(message), stale=True)
            except NotTaken as error:
                if not speaker.unreachable(error):
                    raise
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_BACKOFF)

    # -- hearing

    async def _again(self) -> bool:
        """Ask how the task is, and listen on; True when it has ended."""
        speaker = self._speaker
        if not self.heard.task:
            why = f"{speaker.name} never said what it calls the task: its outcome is unknown."
            await self._report.failed("outcome_unknown", why)
            return True
        wait, before = POLL, ""
        while True:
            remote = await speaker.remote()
            if await self._hear(await remote.get(self.heard.task), asked=True):
                return True
            self._failing = None
            speaker.reached()
            if speaker.streams and self._streams:
                try:
                    if await self._hear_all(remote.subscribe(self.heard.task)):
                        return True
                except Told as error:
                    if error.code not in _NO_STREAM:
                        raise
                    self._streams = False
            if self.heard.state != before:
                wait, before = POLL, self.heard.state
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, RESTING if self.heard.interrupted else PATIENT)

    async def _hear_all(self, source: AsyncIterator[Any], *, stale: bool = False) -> bool:
        """Everything that a stream tells; True when it has ended the task. `stale`: its first word may be of before."""
        late = None
        async with aclosing(source) as stream:  # type: ignore[type-var]
            async for told in stream:
                first, stale = stale, False
                if first and self._as_before(told):
                    late = told
                    continue
                late = None
                if await self._hear(told):
                    return True
        if late is None:
            return False
        if self._speaker.streams:
            return await self._hear(late)
        await asyncio.sleep(POLL)
        return False

    def _as_before(self, told: Any) -> bool:
        """Does it still tell that it waits?"""
        probe = Heard(self.heard.task, self.heard.context)
        return probe.take(told) and probe.interrupted

    async def _hear(self, told: Any, *, asked: bool = False) -> bool:
        """One thing that it tells; True when the task has ended by it. What cannot be heard to its end because the other
        side is out of reach is asked for again: of what has been `asked` the error says so."""
        heard = self.heard
        if not heard.take(told):
            return False
        if heard.state == "completed" and not (heard.direct or heard.text or heard.others):
            try:  # its answer may be its last message
                heard.take(await (await self._speaker.remote()).get(heard.task, LOOK_BACK))
            except Unavailable as error:
                logger.info("the answer to %s is asked for again: %s", self.id, error)
                if asked:
                    raise
                return False
            except SynapseError:
                pass  # it tells no more than that
        return await self._report.state()

    async def _failed_once(self, error: SynapseError) -> bool:
        """It could not be asked: once more later, unless it has lost the task, or that was for too long."""
        speaker = self._speaker
        if isinstance(error, Told):
            speaker.reached()
            if error.code in _LOST:
                await self._report.failed("lost", f"{speaker.name} does not know the task any more.")
                return True
        else:
            speaker.unreachable(error)
        now = speaker.hub.clock.monotonic()
        first, self._failing = self._failing is None, now if self._failing is None else self._failing
        left = self._failing + speaker.patience - now
        if left <= 0 and not first:
            why = f"{speaker.name} has not answered for too long: {error.sentence}"
            await self._report.failed("unreachable", why)
            return True
        await asyncio.sleep(min(max(now - self._failing, BACKOFF), LONGEST_BACKOFF, max(left, 0.05)))
        return False
