"""What happens to a task, told to everybody who streams it: the same items in the same order, each encoded once."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

from msgspec import json

from synapse.a2a import model
from synapse.event import Event
from synapse.hub.core import Core
from synapse.hub.facts import Canceled, Completed, Failed, InputRequired, Rejected, Resumed, Working
from synapse.hub.reading import GONE, Texts
from synapse.hub.tasks import ENDS, INTERRUPTED, Task, Tasks
from synapse.hub.views import Piece, Said, TaskView, pieces
from synapse.log.base import Log

logger = logging.getLogger(__name__)
MOST = 1000  # items that wait for one reader; who is slower than that is let go
KEEP_ALIVE = 15.0  # seconds without anything to tell
_ENDED = Completed | Failed | Canceled | Rejected


class Item:
    """One thing that happened, as A2A 1.0 tells it (`StreamResponse`). `state` is the one that the task is in now, "" when
    that is not what happened; `number` is the position in the log, 0 for what is not in it."""

    __slots__ = ("_json", "number", "state", "value")

    def __init__(self, value: dict[str, Any], number: int, state: str = "") -> None:
        self.value = value
        self.number = number
        self.state = state
        self._json = b""

    @property
    def json(self) -> bytes:
        if not self._json:
            self._json = json.encode(self.value)
        return self._json


class Follower:
    """One reader of one task's items."""

    def __init__(self, feed: "_Feed", after: int) -> None:
        self.after = after  # the position that the task was told as of
        self.lost = False  # it was too slow
        self.said = feed.said  # what of the answer had been told by then
        self._feed = feed
        self._items: deque[Item] = deque()
        self._wake = asyncio.Event()
        self._over = False

    def put(self, item: Item) -> None:
        if self.lost or self._over:
            return
        if len(self._items) >= MOST:
            self.lost = True
            self._items.clear()
        else:
            self._items.append(item)
        self._wake.set()

    def end(self) -> None:
        """Nothing more comes."""
        self._over = True
        self._wake.set()

    async def items(self, until: Collection[str]) -> AsyncIterator[Item | None]:
        """Each item, up to the one by which the task comes into one of these states; None when nothing has happened for a
        while."""
        while True:
            while self._items:
                item = self._items.popleft()
                yield item
                if item.state in until:
                    return
            if self.lost or self._over:
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(KEEP_ALIVE):
                    await self._wake.wait()
            except TimeoutError:
                yield None

    def leave(self) -> None:
        """It reads no longer."""
        self._feed.leave(self)


class Feeds:
    """All tasks that somebody streams."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._feeds: dict[str, _Feed] = {}
        core.hub.on_publish.append(self._publish)

    def follow(self, task: str, context: str) -> Follower:
        """Follow a task from the present head on: what is read of it as of `after` and what comes then is everything."""
        feed = self._feeds.get(task)
        if feed is None:
            feed = self._feeds[task] = _Feed(self._core, task, context, lambda: self._feeds.pop(task, None))
        return feed.enter(self._core.hub.head)

    def fresh(self, task: str) -> Task | None:
        """A task of which nothing has come yet."""
        found = self._core.hub.state.get(Tasks).live.get(task)
        return found if found is not None and found.state == "submitted" else None

    def _publish(self, position: int, events: list[Event]) -> None:
        if not self._feeds:
            return
        for event in events:
            feed = self._feeds.get(event.story)
            if feed is not None:
                feed.happened(position, event)


class _Feed:
    """One task's items, and who reads them."""

    def __init__(self, core: Core, task: str, context: str, over: Callable[[], object]) -> None:
        self.said = ""  # of the answer that is being written
        self._core = core
        self._task = task
        self._context = context
        self._over = over
        self._followers: dict[Follower, None] = {}
        self._unwatch = core.hub.watching.watch(task, self._written)

    def enter(self, head: int) -> Follower:
        follower = Follower(self, head)
        self._followers[follower] = None
        return follower

    def leave(self, follower: Follower) -> None:
        self._followers.pop(follower, None)
        if not self._followers:
            self._close()

    def _close(self) -> None:
        self._unwatch()
        self._over()

    def _tell(self, value: dict[str, Any], position: int, state: str = "", *, stored: bool = True) -> None:
        item = Item(value, position if stored else 0, state)
        for follower in self._followers:
            if position > follower.after:
                follower.put(item)

    def happened(self, position: int, event: Event) -> None:
        """An event of the task's story was stored."""
        body = event.body
        if isinstance(body, Working | Resumed):
            self._status("working", event, position)
        elif isinstance(body, InputRequired):
            asked = Said(
                id=f"{self._task}-{position}", role="agent", at=event.at, parts=[Piece(kind="text", value=body.question)],
                choices=body.choices, command=body.command,
            )  # fmt: skip
            self._status(INTERRUPTED[body.auth], event, position, asked)
        elif isinstance(body, _ENDED):
            self._ended(position, event, body)

    def _status(self, state: str, event: Event, position: int, said: Said | None = None) -> None:
        self._tell(model.status_update(self._task, self._context, state, event.at, said), position, state)

    def _written(self, text: str, append: bool) -> None:
        """The agent has written more of its answer (`append`), or all of it is something else now."""
        if not text:
            return
        append = append and bool(self.said)
        self.said = self.said + text if append else text
        artifact = model.artifact([Piece(kind="text", value=text)], bare=True)
        value = model.artifact_update(self._task, self._context, artifact, append=append, last=False)
        self._tell(value, self._core.hub.head + 1, stored=False)

    def _ended(self, position: int, event: Event, body: Any) -> None:
        """Tell the answer and the end; what lies in blobs is read first, and nothing can come in between."""
        hub = self._core.hub
        self._unwatch()
        if not (body.blob or any(part.blobs for part in getattr(body, "parts", ()))):
            self._finish(position, event, body, body.text, _bare(body))
            return

        def fetch(log: Log) -> tuple[str, list[Piece]]:
            texts = Texts(log)
            return texts.full(body.text, body.blob), pieces(texts, log, getattr(body, "parts", ()))

        def fetched(future: "asyncio.Future[tuple[str, list[Piece]]]") -> None:
            if future.cancelled():
                return
            if future.exception() is not None:
                logger.error("the answer to %s cannot be read", self._task, exc_info=future.exception())
            text, more = (GONE, []) if future.exception() is not None else future.result()
            self._finish(position, event, body, text, more)

        hub.loop.run_in_executor(hub.readers, fetch, hub.log).add_done_callback(fetched)

    def _finish(self, position: int, event: Event, body: Any, text: str, more: list[Piece]) -> None:
        said = [Piece(kind="text", value=text)] if text else []
        if isinstance(body, Completed):
            if said or more:
                self._answer(position, text, [*said, *more])
            said = [Piece(kind="text", value=body.note)] if body.note else []
        told = Said(id=f"{self._task}-{position}", role="agent", at=event.at, parts=said) if said else None
        self._status(ENDS[type(body)], event, position, told)
        for follower in self._followers:
            follower.end()
        self._over()

    def _answer(self, position: int, text: str, answer: list[Piece]) -> None:
        """The answer as it was handed in: what is missing of it where it begins with what was told, else all of it."""
        artifact = model.artifact(answer)
        append = bool(self.said) and text.startswith(self.said)
        if append:
            rest = text[len(self.said) :]
            artifact["parts"] = ([{"text": rest}] if rest else []) + artifact["parts"][1:]
            append = bool(artifact["parts"])
            if not append:  # an artifact has a part at least: all of it once more, and that this was the last
                artifact = model.artifact(answer)
        self._tell(model.artifact_update(self._task, self._context, artifact, append=append, last=True), position)


def _bare(body: Any) -> list[Piece]:
    """The parts that lie in the event itself."""
    return [
        Piece(kind=p.kind, value=p.value, media_type=p.media_type, filename=p.filename, metadata=p.metadata)
        for p in getattr(body, "parts", ())
    ]


def first(view: TaskView, said: str) -> dict[str, Any]:
    """The `StreamResponse` that a stream begins with: the task, with what its agent has written by now."""
    if view.direct:
        return {"message": model.answer_message(view)}
    told = model.task(view)
    if said and not view.answer:
        told["artifacts"] = [model.artifact([Piece(kind="text", value=said)], bare=True)]
    return {"task": told}
