"""What the hub is told of one errand to an agent elsewhere, in that agent's name."""

from typing import TYPE_CHECKING, Any

from synapse.a2a.answer import parts_of
from synapse.a2a.heard import Heard
from synapse.hub import external_work, reports, work
from synapse.hub.tasks import Task, Tasks

if TYPE_CHECKING:
    from synapse.a2a.speaker import Speaker

LONGEST = 2000  # characters of a reason, and of what is said with a state


class Over(Exception):
    """The hub wants no more of it: the task has ended there."""


class Report:
    """Tells what has changed, each thing once. `linked` are the names that the hub knows: of task and conversation."""

    def __init__(self, speaker: "Speaker", id: str, heard: Heard, task: Task | None, *, linked: bool) -> None:
        self.ending = False
        self.linked = (heard.task, heard.context) if linked else None
        self._speaker = speaker
        self._id = id
        self._heard = heard
        self._task = task is not None
        self._asked = (task.state, task.question, task.choices) if task is not None and task.interrupted else None
        self._shown: tuple[object, list[str]] = (None, [])

    @property
    def asked(self) -> bool:
        """Does the task wait for somebody's word, as far as the hub knows?"""
        return self._asked is not None

    # -- on its way

    async def begin(self) -> None:
        """The first byte is about to leave."""
        await self._note("begin", id=self._id)

    async def returned(self, why: str) -> None:
        """Nothing has left: it goes back to its queue."""
        await self._note("returned", id=self._id, reason=why[:LONGEST])

    async def unknown(self, why: str) -> None:
        """Nobody can say whether it arrived."""
        await self._note("unknown", id=self._id, reason=why[:LONGEST])

    async def link(self) -> None:
        """The other side has it, under the names that were heard; a task that was called off meanwhile is called off there."""
        heard = self._heard
        if self.linked == (heard.task, heard.context):
            return
        await self._note("link", id=self._id, remote_task=heard.task, remote_context=heard.context)
        self.linked = (heard.task, heard.context)
        await self._speaker.whole()
        if self._task and self._id not in self._speaker.state(Tasks).live:
            self._speaker.call_off(heard.task)
            raise Over

    async def answering(self, position: int) -> None:
        """The message that was stored at a position is about to be sent."""
        await self._note("answering", task=self._id, position=position)
        self._asked = None

    # -- at work

    async def state(self) -> bool:
        """What was heard last; True when it was the end."""
        heard = self._heard
        await self.link()
        if heard.ended:
            await self._end()
            return True
        if heard.fresh:
            self._show(heard)
        if heard.interrupted:
            await self._ask()
        elif heard.state == "working" and self._asked is not None:
            self._asked = None
            await self._note("resume", task=self._id)
        self._speaker.show()
        return False

    def _show(self, heard: Heard) -> None:
        """What it has said so far, to those who watch the task: to the same ones only what is new."""
        watching = self._speaker.hub.watching
        watchers, (before, pieces) = watching.watched(self._id), self._shown
        if watchers is None:
            return
        if watchers is before and heard.grew:  # it may come in very many pieces
            pieces.append(heard.fresh)
            watching.told(self._id, heard.fresh, append=True)
            return
        text, shown = heard.text, "".join(pieces)
        more = watchers is before and text.startswith(shown)
        self._shown = (watchers, [text])
        watching.told(self._id, text[len(shown) :] if more else text, append=more)

    async def _ask(self) -> None:
        """It cannot go on without an answer: whoever asked for the task is asked."""
        heard = self._heard
        asked = (heard.state, heard.question[:LONGEST], heard.choices)
        await self._speaker.whole()
        if asked == self._asked or self._speaker.owes(self._id):
            return
        self._asked = asked
        await self._note(
            "ask", task=self._id, question=asked[1], choices=heard.choices, auth=heard.state == "auth-required"
        )
        self._speaker.hub.presence(self._speaker.key)  # whoever tells people of questions looks

    # -- the end

    async def _end(self) -> None:
        heard, name = self._heard, self._speaker.name
        said = heard.question
        if heard.state == "completed":
            parts = await parts_of(self._speaker.hub, heard.others)
            await self._last(
                "complete", text=heard.text, source="a2a", parts=parts, note=heard.note[:LONGEST], direct=heard.direct
            )
        elif heard.state == "failed":
            await self.failed("agent", said or heard.text or f"{name} says that it failed, and nothing more.")
        elif heard.state == "rejected":
            await self._last("reject", reason=(said or f"{name} will not do that.")[:LONGEST])
        else:
            await self._last("cancel", reason=(said or f"{name} has called it off.")[:LONGEST])

    async def failed(self, reason: str, text: str) -> None:
        """It failed, or nothing more will be heard of it."""
        await self.link()
        await self._last("complete", text=text, source="a2a", failed=True, reason=reason)

    async def _last(self, what: str, **fields: Any) -> None:
        self.ending = True
        if await self._speaker.note(_VERBS[what], {"task": self._id, **fields}):
            return
        await self._speaker.whole()
        if self._id in self._speaker.state(Tasks).live:  # what it answered is more than the hub takes
            why = f"The answer of {self._speaker.name} cannot be stored."
            await self._speaker.note(work.complete, {"task": self._id, "text": why, "failed": True, "reason": "answer"})
        raise Over

    async def _note(self, what: str, **fields: Any) -> None:
        """Have the hub note something; Over when it wants no more of it."""
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
