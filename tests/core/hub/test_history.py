"""The table of all tasks: it is the fold of the log, and pages, searches and exports read it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from synapse.hub.tasks import Tasks, context_of
from synapse.log.memory import MemoryLog
from tests.core.hub.kit import Bench, Peer

ALL = (
    "SELECT task, box, requester, context, mode, agent, state, submitted_at, changed, status_at, ended_at, end, source,"
    " reason, usage, id FROM tasks_all ORDER BY id"
)
TEXTS = "SELECT id, task, role, size, text FROM tasks_texts ORDER BY id"
STORIES = "SELECT story, task FROM tasks_stories ORDER BY story"
INDEXED = "SELECT rowid, text FROM tasks_words WHERE tasks_words MATCH 'x OR work OR answer OR done' ORDER BY rowid"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = await Bench(cache=tmp_path / "cache.db").open()
    yield bench
    await bench.close()


@pytest.fixture
async def bob(bench: Bench) -> Peer:
    return await bench.agent("bob")


@pytest.fixture
async def alice(bench: Bench) -> Peer:
    return bench.client("alice")


async def tables(bench: Bench) -> list[Any]:
    """Everything that the table holds."""
    return [await bench.rows("tasks", sql) for sql in (ALL, TEXTS, STORIES, INDEXED)]


async def check(bench: Bench) -> list[Any]:
    """The table agrees with the state, and is the same when it is filled anew."""
    assert bench.core.failures() == {}
    before = await tables(bench)
    state = bench.hub.state.get(Tasks)
    told = {row[0]: (row[1], row[2], row[6], row[15] >> 10, row[11]) for row in before[0]}
    live = {t.id: (t.box, t.requester, t.state, t.position, 0) for t in state.live.values()}
    ended = {id: (f.box, f.requester, f.state, f.position, f.end) for id, f in state.finished.items()}
    assert told == live | ended
    for row in before[0]:
        task = state.live.get(row[0])
        if task is not None:
            assert (row[3], row[4], row[5]) == (context_of(task.id, task.context), task.mode, task.agent)
    return before


async def anew(bench: Bench) -> None:
    """The same without its file, which is what a version bump is too."""
    before = await check(bench)
    await bench.refill()
    assert await check(bench) == before


async def asked(alice: Peer, text: str = "work", **more: Any) -> str:
    return str((await alice("messages.send", to="bob", text=text, **more))["task_id"])


async def test_the_table_is_the_fold_of_the_log_through_a_tasks_whole_life(bench: Bench) -> None:
    alice, bob = bench.client("alice"), await bench.agent("bob")
    done = await asked(alice)
    await bob.take()
    await bob("tasks.ask", task=done, question="Delete it?", choices=["yes", "no"])
    assert (await check(bench))[0][0][6] == "input-required"
    await bob("tasks.resume", task=done)
    await bob("tasks.complete", task=done, text="done", usage={"input": 3, "output": 1})
    failed = await asked(alice, mode="wait")
    await bob.take()
    await alice("tasks.stop_waiting", task=failed)
    await bob("tasks.complete", task=failed, failed=True, text="it crashed", reason="crash")
    rejected = await asked(alice, "x" * 40_000)
    await bob.take()
    await bob("tasks.reject", task=rejected, reason="no")
    await alice("tasks.cancel", task=await asked(alice, "never mind"))
    await asked(alice, "open")
    await alice("messages.send", to="bob", text="a note", mode="silent")
    await bob("agents.rename", name="rob")
    rows, texts, stories, words = await check(bench)
    assert [row[6] for row in rows] == ["completed", "failed", "rejected", "canceled", "submitted"]
    assert rows[0][14] == '{"input":3,"output":1}'
    assert [row[1] for row in rows] == ["w/bob"] * 4 + ["w/rob"]
    assert (len(texts), len(stories), [text[3] for text in texts][4]) == (9, 3, 40_000)
    await anew(bench)
    await bench.crash()
    assert (await check(bench))[0] == rows
    assert len(words) == 3


async def test_the_table_begins_where_it_was_after_a_crash_and_misses_nothing(bench: Bench) -> None:
    alice, bob = bench.client("alice"), await bench.agent("bob")
    for number in range(5):
        task = await asked(alice, f"work {number}")
        await bob.take()
        await bob("tasks.complete", task=task, text=f"answer {number}")
        if number == 2:
            await bench.crash()
            alice, bob = bench.client("alice"), bench.peer(bob.session)
            bench.core.arrived(bob.session)
            await bob("agents.attach", key=bob.key, live={"status": "READY"})
    await anew(bench)


async def test_what_is_redacted_is_in_no_table_any_more(bench: Bench, bob: Peer, alice: Peer) -> None:
    task = await asked(alice, "the secret word is xylophone")
    [record] = [r for r in bench.log.read(0) if any(e.kind == "messages.sent" for e in r.events)]
    await bob.take()
    await bob("tasks.complete", task=task, text="I will not tell the word xylophone")
    assert [e["task_id"] for e in (await alice("history.search", query="xylophone"))["tasks"]] == [task]
    for position in {r.position for r in bench.log.read(0) if any(b"xylophone" in e.body for e in r.events)}:
        await redact(bench, position)
    assert record.position
    assert (await alice("history.search", query="xylophone OR secret"))["tasks"] == []
    await bench.hub.flushed()
    before = await check(bench)
    assert [text[4] for text in before[1]] == ["", ""]
    await bench.core.close()
    assert b"xylophone" not in bench.cache.read_bytes()
    await bench.open()
    assert await check(bench) == before


async def redact(bench: Bench, position: int) -> None:
    """What a redaction is: the texts blanked in the log, and an event that says so."""
    from synapse.hub.facts import LogRedacted
    from synapse.verb import Change, Reply, change

    [record] = bench.log.at([position])
    bodies = {}
    for index, event in record.numbered():
        body = json.loads(event.body)
        bodies[index] = json.dumps({k: v for k, v in body.items() if k not in ("text", "blob")}).encode()
    bench.log.redact(position, bodies)

    class Nothing(Change, kw_only=True):
        pass

    class Done(Reply, kw_only=True):
        pass

    @change("test.redacted", internal=True, anonymous=True)
    def told(call: Any, request: Nothing) -> Done:
        """Say it."""
        call.emit(LogRedacted(position=position), "log")
        return Done()

    bench.hub.decide(bench.client("hub").session, told, Nothing())
    await bench.hub.flushed()


# -- pages


async def pages(peer: Peer, **how: Any) -> list[str]:
    """The ids on all pages."""
    found: list[str] = []
    token, totals = "", set()
    while True:
        reply = await peer("tasks.page", token=token, **how)
        found += [task["id"] for task in reply["tasks"]]
        totals.add(reply["total"])
        token = reply["next"]
        if not token:
            return found


async def test_ten_thousand_tasks_by_pages_while_new_ones_come(tmp_path: Path) -> None:
    log = MemoryLog()
    bench = await Bench(log, cache=tmp_path / "cache.db").open()
    try:
        bob, alice = bench.client("bob"), bench.client("alice")
        await bob("agents.here")
        asks = [alice.ask("messages.send", to="bob", text=f"number {n}", mode="wait") for n in range(10_000)]
        ids = [json.loads(await ask)["task_id"] for ask in asks]
        reply = await alice("tasks.page", limit=100)
        assert (reply["total"], len(reply["tasks"])) == (10_000, 100)
        found, token = [task["id"] for task in reply["tasks"]], reply["next"]
        while token:
            await asked(alice, "new")
            reply = await alice("tasks.page", limit=100, token=token)
            found, token = found + [task["id"] for task in reply["tasks"]], reply["next"]
        assert found == ids[::-1]
        newest = await alice("tasks.page", limit=1)
        assert newest["total"] == 10_000 + 99
        assert newest["tasks"][0]["id"] not in ids
    finally:
        await bench.close()


async def test_a_page_is_in_the_order_of_the_last_change_and_narrowed_by_what_is_asked(
    bench: Bench, alice: Peer
) -> None:
    bob, eve = await bench.agent("bob"), await bench.agent("eve")
    first, second = await asked(alice), await asked(alice)
    other = str((await alice("messages.send", to="eve", text="y"))["task_id"])
    assert await pages(alice) == [other, second, first]
    bench.clock.advance(10)
    await bob.take()
    assert await pages(alice, limit=1) == [first, other, second]
    assert await pages(alice, agent="bob") == await pages(alice, agent="w/bob") == [first, second]
    assert await pages(alice, agent=eve.key) == [other]
    assert await pages(alice, state="working") == [first]
    assert await pages(alice, since=bench.clock.now()) == [first]
    assert await pages(alice, since=bench.clock.now() + 1) == []
    assert await pages(alice, context="c-" + second.removeprefix("t-")) == [second]
    assert await alice("tasks.page", context="no such") == {"tasks": [], "next": "", "total": 0}
    assert await pages(alice, workspace="elsewhere") == []
    [row] = (await alice("tasks.page", limit=1))["tasks"]
    context = "c-" + first.removeprefix("t-")
    assert row == {"id": first, "state": "working", "context": context, "status_at": bench.clock.now()}


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"token": "x"}, "bad_token"),
        ({"token": "k" + "f" * 20}, "bad_token"),
        ({"token": "k1\n"}, "bad_token"),
        ({"limit": 0}, "bad_limit"),
        ({"limit": 101}, "bad_limit"),
        ({"state": "WORKING"}, "bad_state"),
        ({"agent": "nobody"}, "no_such_agent"),
    ],
)
async def test_a_page_that_makes_no_sense_is_refused(bench: Bench, alice: Peer, how: dict[str, Any], code: str) -> None:
    assert (await alice.refused("tasks.page", **how)).code == code


async def test_all_tasks_are_exported_with_their_texts_in_full(bench: Bench, bob: Peer, alice: Peer) -> None:
    long = "ä" * 300_000
    texts = [long, "short", long, long, "so 'quoted', \"twice\"\nand\ttabbed"]
    for text in texts:
        task = await asked(alice, text, mode="wait")
        await bob.take()
        await bob("tasks.complete", task=task, text=text[::-1])
    found: list[Any] = []
    token, count = "", 0
    while True:
        reply = await alice("history.export", token=token, limit=3)
        found, token, count = found + reply["tasks"], reply["next"], count + 1
        if not token:
            break
    assert [(one["text"], one["answer"]) for one in found] == [(text, text[::-1]) for text in texts]
    assert count == 5
    assert (await alice("history.export", until=1.0))["tasks"] == []
    assert (await alice.refused("history.export", limit=1001)).code == "bad_limit"
