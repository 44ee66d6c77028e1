"""One message's way to an agent elsewhere and back: sent once, followed to its end, answered when it asks.

It is never sent twice: before the first byte leaves, the hub has noted it; what the other side calls the task is noted as
soon as it is known, and from then on, also after a restart of the hub, the task is asked for instead.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from synapse.a2a import outward
from synapse.a2a.answer import parts_of
from synapse.a2a.client import NotTaken, Told
from synapse.a2a.heard import Heard
from synapse.errors import SynapseError, Unavailable
from synapse.hub import external_work, reports, work
from synapse.hub.external_state import External
from synapse.hub.mailbox import Message
from synapse.hub.talking import context_of
from synapse.hub.tasks import Tasks

if TYPE_CHECKING:
    from synapse.a2a.speaker import Speaker

SLOW = 15.0  # seconds after which a silent agent counts as having the message; more than a connection may take
POLL, PATIENT, RESTING = 0.3, 3.0, 15.0  # seconds between two looks: at first, at most, and while it waits for us
BACKOFF, LONGEST_BACKOFF = 0.5, 30.0  # seconds between two tries
LONGEST = 2000  # characters of a reason
_NO_STREAM = ("UNSUPPORTED_OPERATION", "METHOD_NOT_FOUND", "VERSION_NOT_SUPPORTED")


class Over(Exception):
    """The hub wants no more of it: the task has ended here."""


class Errand:
    """A message on its way, or (`message` None) a task that the other side has already."""

    def __init__(self, speaker: "Speaker", id: str, message: Message | None) -> None:
        self.id = id
        self.message = message
        self.sending = message is not None
        self.ending = False
        self.answered = asyncio.Event()  # somebody has said something to the other side
        self._speaker = speaker
        self._streams = True
        self._asked: tuple[str, str, tuple[str, ...]] | None = None  # what the hub was told that it asks
        self._shown: tuple[object, str] = (None, "")
        self._failing: float | None = None  # since when nothing comes (monotonic)
        self._told: AsyncIterator[Any] | None = None  # the stream of what comes of its message
        link = speaker.state(External).links.get(id)
        self.heard = Heard(link.remote_task, link.remote_context) if link else Heard()
        self.linked = (self.heard.task, self.heard.context) if link else None
        task = speaker.state(Tasks).live.get(id)
        if task is not None and task.interrupted:
            self._asked = (task.state, task.question, task.choices)

    @property
    def context(self) -> str:
        """The conversation that it belongs to; "" for a note."""
        task = self._speaker.state(Tasks).live.get(self.id)
        return context_of(task.id, task.context) if task is not None else ""

    @property
    def interrupted(self) -> bool:
        return self._asked is not None

    # -- the whole way

    async def run(self) -> None:
        """Until the task has ended here or there."""
        try:
            if self.message is None or await self._begin(self.message):
                await self._follow(self._told)
        except Over:
            pass
        finally:
            self.sending = False

    async def _follow(self, source: AsyncIterator[Any] | None) -> None:
        """Listen, and pass on what is said to it, until it has ended."""
        while True:
            self.answered.clear()
            try:
                owed = self._owed()
                listening = (
                    self._answer(owed[0]) if owed else self._again() if source is None else self._hear_all(source)
                )
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

    async def _unless_answered(self, listening: Any) -> bool:
        """Listen until it has ended, or until there is something to be said; the latter is False."""
        listener = asyncio.ensure_future(listening)
        said = asyncio.ensure_future(self.answered.wait())
        try:
            await asyncio.wait({listener, said}, return_when=asyncio.FIRST_COMPLETED)
            return listener.done() and bool(listener.result())
        finally:
            for task in (said, listener):
                task.cancel()
            await asyncio.wait({said, listener})
            if not listener.cancelled():
                listener.exception()  # it is known, also where nobody asks any more

    # -- sending

    async def _begin(self, message: Message) -> bool:
        """Send it; False when it was the end of it, or goes back to its queue."""
        speaker = self._speaker
        try:
            read = partial(outward.first, speaker.hub.log, message.position, message.id)
            parts = await speaker.on_thread(read)
        except SynapseError as error:
            await self._note("begin", id=self.id)
            await self._refused(error)
            return False
        await self._note("begin", id=self.id)
        source = self._source(self._message(parts, message.id))
        try:
            over = await self._first(source)
        except NotTaken as error:
            return await self._not_taken(error)
        except Unavailable as error:
            return await self._unsure(error)
        except SynapseError as error:
            await self._refused(error)
            return False
        speaker.reached()
        if over:
            await source.aclose()
            return False
        self._told = source
        return True

    async def _first(self, source: AsyncIterator[Any]) -> bool:
        """Hear the first word; True when that was the end. After some silence it counts as delivered."""
        first = asyncio.ensure_future(anext(source))
        try:
            done, _ = await asyncio.wait({first}, timeout=SLOW)
            if not done:
                await self._link()
                self._speaker.sent(self)
            try:
                told = await first
            except StopAsyncIteration:
                raise Unavailable("unreachable", "It closed the connection without a word.") from None
        finally:
            first.cancel()
        if self.message is not None and not self.message.task:
            await self._link()  # a note: that it was taken is all
            return True
        over = await self._hear(told)
        if self.linked is None:
            await self._link()
        self._speaker.sent(self)
        return over

    async def _not_taken(self, error: NotTaken) -> bool:
        """Nothing has reached it: back to the queue, or, when it has been so for too long, the end."""
        if self._speaker.unreachable(error):
            await self._note("returned", id=self.id, reason=error.sentence[:LONGEST])
        elif self.message is not None and self.message.task:
            await self._link()
            await self._end_failed("unreachable", f"{self._speaker.name} could not be reached: {error.sentence}")
        else:
            await self._note("unknown", id=self.id, reason=f"it could not be reached: {error.sentence}"[:LONGEST])
        return False

    async def _unsure(self, error: SynapseError) -> bool:
        """It may have got the message: when it has not said how it calls the task, nobody can ask."""
        if self.linked is not None and self.heard.task:
            return True
        if self.linked is not None:
            await self._end_failed("outcome_unknown", f"Outcome unknown: {error.sentence}")
        else:
            why = f"the connection failed while it was sent: {error.sentence}"
            await self._note("unknown", id=self.id, reason=why[:LONGEST])
        return False

    async def _refused(self, error: SynapseError) -> None:
        """It will not do it, or what it says makes no sense."""
        self._speaker.reached()
        await self._link()
        if self.message is None or self.message.task:
            reason = "refused" if isinstance(error, Told) else error.code
            await self._end_failed(reason, f"{self._speaker.name}: {error.sentence}")

    def _message(self, parts: list[dict[str, Any]], id: str) -> dict[str, Any]:
        found: dict[str, Any] = {"messageId": id, "role": "ROLE_USER", "parts": parts}
        key, context = self._speaker.key, self.context
        theirs = self.heard.context or (context and self._speaker.state(External).remote_context(key, context))
        if theirs:
            found["contextId"] = theirs
        if self.heard.task:
            found["taskId"] = self.heard.task
        return found

    async def _source(self, message: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
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
        await self._note("answering", task=self.id, position=position)
        self._asked = None
        message = self._message(parts, f"{self.id}-{position}")
        wait = BACKOFF
        while True:
            try:
                return await self._hear_all(self._source(message), stale=True)
            except NotTaken as error:
                if not speaker.unreachable(error):
                    raise
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_BACKOFF)

    # -- hearing

    async def _again(self) -> bool:
        """Ask how the task is, and listen on; True when it has ended."""
        if not self.heard.task:
            await self._end_failed(
                "outcome_unknown", f"{self._speaker.name} never said what it calls the task: its outcome is unknown."
            )
            return True
        wait, before = POLL, ""
        while True:
            remote = await self._speaker.remote()
            if await self._hear(await remote.get(self.heard.task)):
                return True
            self._failing = None
            self._speaker.reached()
            if self._speaker.streams and self._streams:
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
        probe = Heard(*self._names)
        return probe.take(told) and probe.interrupted

    @property
    def _names(self) -> tuple[str, str]:
        return self.heard.task, self.heard.context

    async def _hear(self, told: Any) -> bool:
        """One thing that it tells; True when the task has ended by it."""
        heard = self.heard
        if not heard.take(told):
            return False
        if self._names != self.linked:
            await self._link()
        if heard.fresh and not heard.ended:
            self._show(heard.text)
        if heard.ended:
            await self._end()
            return True
        if heard.interrupted:
            await self._ask()
        elif heard.state == "working" and self._asked is not None:
            self._asked = None
            await self._note("resume", task=self.id)
        self._speaker.show()
        return False

    def _show(self, text: str) -> None:
        """What it has said so far, to those who watch the task: to the same ones only what is new."""
        watching = self._speaker.hub.watching
        watchers, (before, shown) = watching.watched(self.id), self._shown
        if watchers is None:
            return
        more = watchers is before and text.startswith(shown)
        self._shown = (watchers, text)
        watching.told(self.id, text[len(shown) :] if more else text, append=more)

    async def _ask(self) -> None:
        """It cannot go on without an answer: whoever asked for the task is asked."""
        heard = self.heard
        asked = (heard.state, heard.question, heard.choices)
        if asked == self._asked or self._speaker.owes(self.id):
            return
        self._asked = asked
        await self._note(
            "ask", task=self.id, question=heard.question[:LONGEST], choices=heard.choices,
            auth=heard.state == "auth-required",
        )  # fmt: skip

    # -- the end

    async def _end(self) -> None:
        heard, name = self.heard, self._speaker.name
        said = heard.question
        if heard.state == "completed":
            parts = await parts_of(self._speaker.hub, heard.others)
            self.ending = True
            await self._note(
                "complete", task=self.id, text=heard.text, source="a2a", parts=parts, note=heard.note[:LONGEST],
                direct=heard.direct,
            )  # fmt: skip
        elif heard.state == "failed":
            await self._end_failed("agent", said or heard.text or f"{name} says that it failed, and nothing more.")
        elif heard.state == "rejected":
            self.ending = True
            await self._note("reject", task=self.id, reason=(said or f"{name} will not do that.")[:LONGEST])
        else:
            self.ending = True
            await self._note("cancel", task=self.id, reason=(said or f"{name} has called it off.")[:LONGEST])

    async def _end_failed(self, reason: str, text: str) -> None:
        self.ending = True
        await self._note("complete", task=self.id, text=text, source="a2a", failed=True, reason=reason)

    async def _failed_once(self, error: SynapseError) -> bool:
        """It could not be asked: once more later, unless that was for too long or makes no sense."""
        speaker = self._speaker
        if isinstance(error, Told):
            speaker.reached()
        else:
            speaker.unreachable(error)
        if isinstance(error, Told) and error.code in ("TASK_NOT_FOUND", "NOT_FOUND"):
            await self._end_failed("lost", f"{speaker.name} does not know the task any more.")
            return True
        now = speaker.hub.clock.monotonic()
        first, self._failing = self._failing is None, now if self._failing is None else self._failing
        left = self._failing + speaker.patience - now
        if left <= 0 and not first:
            await self._end_failed("unreachable", f"{speaker.name} has not answered for too long: {error.sentence}")
            return True
        wait = BACKOFF if first else min(max(now - self._failing, BACKOFF), LONGEST_BACKOFF, max(left, 0.05))
        await asyncio.sleep(wait)
        return False

    # -- noting

    async def _link(self) -> None:
        """The other side has it, under these names."""
        await self._note("link", id=self.id, remote_task=self.heard.task, remote_context=self.heard.context)
        self.linked = self._names
        wanted = self.message is None or not self.message.task or self.id in self._speaker.state(Tasks).live
        if not wanted:  # it was called off while it was sent
            self._speaker.call_off(self.heard.task)
            raise Over

    async def _note(self, what: str, **fields: Any) -> None:
        """Have the hub note something in the agent's name; Over when the task has ended there meanwhile."""
        if not await self._speaker.note(_VERBS[what], fields):
            raise Over


_VERBS = {
    "begin": external_work.begin,
    "link": external_work.link,
    "answering": external_work.answering,
    "returned": reports.returned,
    "unknown": reports.unknown,
    "ask": work.ask,
    "resume": work.resume,
    "complete": work.complete,
    "reject": work.reject,
    "cancel": work.cancel,
}
