"""Every engine holds the same after the same work, however it is asked."""

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from synapse.log.base import Entry, Log, Snapshot, StoredEvent
from synapse.log.memory import MemoryLog
from synapse.log.sqlite import SqliteLog
from synapse.log.trial import state
from tests.core.log.making import append, record

KINDS = ["a.x", "b.y", "c.z"]
STORIES = ["s-1", "s-2", "s-3", "s-4"]

events = st.builds(
    StoredEvent,
    st.sampled_from(KINDS),
    st.just("a-1"),
    st.just("w"),
    st.sampled_from(STORIES),
    st.binary(max_size=40),
)
steps = st.one_of(
    st.tuples(st.just("append"), st.lists(st.lists(events, min_size=1, max_size=4), min_size=1, max_size=4)),
    st.tuples(st.just("forget"), st.lists(st.sampled_from(STORIES), max_size=2)),
    st.tuples(st.just("redact"), st.integers(0, 20)),
    st.tuples(st.just("snapshot"), st.sampled_from(["p", "q"])),
    st.tuples(st.just("recover"), st.none()),
)
questions = st.tuples(
    st.integers(0, 20),
    st.none() | st.integers(0, 5),
    st.none() | st.sets(st.sampled_from(KINDS)),
    st.none() | st.integers(0, 20),
)


def do(log: Log, step: tuple[str, Any]) -> int:
    match step:
        case "append", batch:
            head = log.head()
            append(log, *(record(head + number, *one, key="k") for number, one in enumerate(batch, 1)))
        case "forget", stories:
            return log.forget(stories)
        case "redact", position:
            log.redact(position)
        case "snapshot", name:
            log.append([Entry(snapshots=(Snapshot(name, 1, log.head(), b"state"),))])
        case _:
            log.recover()
    return log.head()


@settings(max_examples=60, deadline=None)
@given(work=st.lists(steps, max_size=12), asked=st.lists(questions, min_size=1, max_size=6))
def test_sqlite_holds_what_memory_holds(work: list[tuple[str, Any]], asked: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(SqliteLog.open(Path(folder) / "log.db")) as log:
        model = MemoryLog()
        for step in work:
            assert do(log, step) == do(model, step)
        assert state(log) == state(model)
        for after, limit, kinds, until in asked:
            assert list(log.read(after, limit=limit, kinds=kinds, until=until)) == list(
                model.read(after, limit=limit, kinds=kinds, until=until)
            )
            assert log.keys(1000.0 + after, limit or 3) == model.keys(1000.0 + after, limit or 3)
        for story in STORIES:
            assert log.story(story) == model.story(story)
        assert log.at(range(20)) == model.at(range(20))
