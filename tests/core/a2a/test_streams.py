"""Streams of a task, whatever happens in whatever order: all hear the same, states go forwards, chunks make the answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from a2a.types import a2a_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from synapse.a2a import model, v03
from synapse.a2a.errors import A2AError
from synapse.a2a.feed import Feeds, Item
from synapse.a2a.handlers import Call, Handlers
from synapse.a2a.reading import SendIn, TaskIn, read
from synapse.testing import BOUND, Bench, Peer
from synapse.verb import INLINE
from tests.core.a2a import schema

RANKS = {
    "TASK_STATE_SUBMITTED": 0,
    "TASK_STATE_WORKING": 1,
    "TASK_STATE_INPUT_REQUIRED": 1,
    "TASK_STATE_AUTH_REQUIRED": 1,
    "TASK_STATE_COMPLETED": 2,
    "TASK_STATE_FAILED": 2,
    "TASK_STATE_CANCELED": 2,
    "TASK_STATE_REJECTED": 2,
}

texts = st.text(st.sampled_from("ab \n`漢"), max_size=6)
steps = st.one_of(
    st.tuples(st.just("write"), texts, st.booleans()),
    st.tuples(st.just("follow"), st.sampled_from(["subscribe", "slow"])),
    st.tuples(st.just("leave"), st.integers(0, 5)),
    st.tuples(st.just("ask"), st.booleans()),
    st.just(("resume",)),
    st.just(("settle",)),
)
ends = st.one_of(
    st.tuples(st.just("rest"), texts),  # the answer goes on where the chunks stopped
    st.tuples(st.just("other"), texts),
    st.tuples(st.just("long"), texts),
    st.tuples(st.just("parts"), texts),
    st.sampled_from([("fail",), ("cancel",), ("reject",)]),
)


class Reader:
    """Somebody who follows a task, and what was heard."""

    def __init__(self, stream: AsyncIterator[Item | None]) -> None:
        self.heard: list[Item] = []
        self.left = False
        self._reading = asyncio.create_task(self._read(stream))

    async def _read(self, stream: AsyncIterator[Item | None]) -> None:
        async for item in stream:
            if item is not None:
                self.heard.append(item)

    async def leave(self) -> None:
        self.left = True
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def end(self) -> None:
        await asyncio.wait_for(self._reading, BOUND)


class Story:
    """One task of an agent with a terminal, and those who follow it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.feeds = Feeds(bench.core)
        self.handlers = Handlers(self.feeds)
        self.kim = bench.person()
        self.readers: list[Reader] = []
        self.said = ""
        self.interrupted = False

    async def begin(self) -> None:
        self.bob: Peer = await self.bench.agent("bob")
        self.call = Call(self.kim_asks, "w/bob", "bob")
        request = read(SendIn, {"message": {"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": "x"}]}})
        self.task = await self.handlers.submit(self.call, request)
        await self.bob.take()

    async def kim_asks(self, verb: str, parameters: dict[str, Any]) -> bytes:
        return await self.kim.ask(verb, **parameters)

    async def step(self, kind: str, *more: Any) -> None:
        if kind == "write":
            text, append = more
            self.said = self.said + text if append else text
            await self.bob("tasks.output", task=self.task, text=text, append=append)
        elif kind == "follow":
            stream = await self.handlers.subscribe(self.call, TaskIn(id=self.task))
            self.readers.append(Reader(stream if more[0] == "subscribe" else _slowly(stream)))
        elif kind == "leave" and self.readers:
            await self.readers[more[0] % len(self.readers)].leave()
        elif kind == "ask" and not self.interrupted:
            self.interrupted = True
            await self.bob("tasks.ask", task=self.task, question="?", choices=["Yes", "No"], auth=more[0])
        elif kind == "resume" and self.interrupted:
            self.interrupted = False
            await self.bob("tasks.resume", task=self.task)
        elif kind == "settle":
            await asyncio.sleep(0)

    async def end(self, kind: str, *more: Any) -> None:
        if kind == "fail":
            await self.bob("tasks.complete", task=self.task, failed=True, text="no")
        elif kind == "reject":
            await self.bob("tasks.reject", task=self.task, reason="no")
        elif kind == "cancel":
            await self.kim("tasks.cancel", task=self.task)
        else:
            await self.complete(kind, more[0])

    async def complete(self, kind: str, text: str) -> None:
        fields: dict[str, Any] = {"text": text if kind == "other" else self.said + text}
        if kind == "long":
            fields["text"] += "-" * INLINE  # stored beside the event
        if kind == "parts":
            fields["parts"] = [{"kind": "data", "value": json.encode({"a": text}).decode()}]
        await self.bob("tasks.complete", task=self.task, **fields)


async def _slowly(stream: AsyncIterator[Item | None]) -> AsyncIterator[Item | None]:
    async for item in stream:
        await asyncio.sleep(0)
        yield item


async def run(before: list[Any], end: Any) -> None:
    bench = await Bench().open()
    try:
        story = Story(bench)
        await story.begin()
        for step in before:
            await story.step(*step)
        await story.end(*end)
        for reader in story.readers:
            if not reader.left:
                await reader.end()
        await bench.settled()
        view = await story.call.view(story.task)
        task = model.task(view)
        schema.fits(pb.Task, task)
        stayed = [reader.heard for reader in story.readers if not reader.left]
        for heard in stayed:
            look_at(heard, task)
        told = [heard[1:] for heard in stayed]
        longest = max(told, key=len, default=[])
        for items in told:  # whoever came later hears the same from then on
            assert [id(item) for item in items] == [id(item) for item in longest[len(longest) - len(items) :]]
        assert not story.feeds._feeds
        assert not bench.hub.watching.watched(story.task)
        with_error = None
        try:
            await story.handlers.subscribe(story.call, TaskIn(id=story.task))
        except A2AError as error:
            with_error = error.reason
        assert with_error == "UNSUPPORTED_OPERATION"
    finally:
        await bench.close()


def look_at(heard: list[Item], task: dict[str, Any]) -> None:
    """One stream is whole, by the protocol's rules."""
    states, answer = [], {}
    assert "task" in heard[0].value
    for item in heard:
        schema.fits(pb.StreamResponse, item.value)
        assert json.decode(item.json) == item.value
        old = v03.item(item.value)
        schema.fits_old(schema.OLD["message/stream"], old)  # type: ignore[arg-type]
        (kind,) = item.value
        told = item.value[kind]
        if kind == "task":
            assert item is heard[0]
            states.append(told["status"]["state"])
            answer = {one["artifactId"]: one["parts"] for one in told.get("artifacts", [])}
        elif kind == "statusUpdate":
            states.append(told["status"]["state"])
        else:
            artifact = told["artifact"]
            assert told.get("append", False) <= (artifact["artifactId"] in answer)
            before = answer.get(artifact["artifactId"], []) if told.get("append") else []
            answer[artifact["artifactId"]] = [*before, *artifact["parts"]]
    ranks = [RANKS[state] for state in states]
    assert ranks == sorted(ranks)
    assert ranks[-1] == 2
    assert ranks.count(2) == 1
    assert heard[-1].state in model.ENDED
    if task["status"]["state"] == "TASK_STATE_COMPLETED" and "artifacts" in task:
        (final,) = task["artifacts"]
        assert _text(answer[final["artifactId"]]) == _text(final["parts"])
        assert [p for p in answer[final["artifactId"]] if "text" not in p] == [
            p for p in final["parts"] if "text" not in p
        ]


def _text(parts: list[dict[str, Any]]) -> str:
    return "".join(part.get("text", "") for part in parts)


@settings(max_examples=120)
@given(st.lists(steps, max_size=14), ends)
def test_whoever_follows_a_task_hears_all_of_it_in_one_order(before: list[Any], end: Any) -> None:
    asyncio.run(run(before, end))
