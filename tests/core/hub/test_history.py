"""The table of all tasks: it is the fold of the log, and pages, searches and exports read it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from synapse.hub import tasks_table
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
    ended = {id: (state.owner(f), state.asker(f), f.state, f.position, f.end) for id, f in state.finished.items()}
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
    assert [row[1] for row in rows] == ["w/rob"] * 5
    assert (len(texts), len(stories), [text[3] for text in texts][4]) == (9, 3, 40_000)
    await anew(bench)
    await bench.crash()
    assert (await check(bench))[0] == rows
    assert len(words) == 3


async def test_a_table_of_another_version_is_filled_anew(
    bench: Bench, bob: Peer, alice: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asked(alice)
    before = await check(bench)
    monkeypatch.setattr(tasks_table, "VERSION", tasks_table.VERSION + 1)
    await bench.restart()
    assert await check(bench) == before
    assert await bench.rows("tasks", "SELECT version FROM followers WHERE name = 'tasks'") == [(tasks_table.VERSION,)]


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


# -- words


async def found(peer: Peer, query: str, **how: Any) -> list[str]:
    return [one["task_id"] for one in (await peer("history.search", query=query, **how))["tasks"]]


async def answered(bob: Peer, alice: Peer, text: str, answer: str, **more: Any) -> str:
    task = await asked(alice, text, mode="wait")
    await bob.take()
    await bob("tasks.complete", task=task, text=answer, **more)
    return task


async def test_one_of_the_words_is_enough_and_and_wants_all_of_them_in_one_task(bob: Peer, alice: Peer) -> None:
    both = await answered(bob, alice, "review the token format", "opaque, and no cookie")
    one = await answered(bob, alice, "write about cookies", "the cookie is set")
    assert await found(alice, "token cookie") == [both, one]
    assert await found(alice, "token cookie", logic="and") == await found(alice, "cookie token", logic="AND") == [both]
    assert await found(alice, '"the cookie"') == [one]
    assert await found(alice, "cooki*", limit=1) == [one]
    assert await found(alice, "nothing") == []
    [hit, _] = (await alice("history.search", query="cookie"))["tasks"]
    assert (hit["where"], hit["agent"], hit["requester"], hit["state"]) == ("answered", "bob", "alice", "completed")
    assert "[cookie]" in hit["snippet"]


async def test_words_are_found_of_one_agent_only_also_while_the_task_is_open(
    bench: Bench, bob: Peer, alice: Peer
) -> None:
    await bench.agent("eve")
    task = str((await alice("messages.send", to="eve", text="the word is open"))["task_id"])
    await asked(alice, "the word is open")
    assert await found(alice, "open", agent="eve") == [task]
    assert len(await found(alice, "open")) == 2
    assert (await alice.refused("history.search", query="x", agent="nobody")).code == "no_such_agent"


@pytest.mark.parametrize(
    "query",
    [
        '"', '""', '" OR 1=1 --', "text:work", "a NEAR b", "NEAR(a b)", "work)", "(work", "w^ork", "- work", "{text} : work",
        "work AND", "NOT work", "wörk", "日本語", "🙂 work", "'; DROP TABLE tasks_all; --", "work\0x", "a*b*",
        "*work*", "\\", "%_",
    ],
)  # fmt: skip
@pytest.mark.parametrize("logic", ["or", "and"])
async def test_whatever_is_typed_is_words_and_never_syntax(bench: Bench, alice: Peer, query: str, logic: str) -> None:
    await bench.agent("bob")
    task = await asked(alice, f"some work {query} done")
    if any(sign.isalnum() for sign in query):
        assert await found(alice, query, logic=logic) == [task]
    else:
        assert (await alice.refused("history.search", query=query, logic=logic)).code == "bad_query"
    assert (await alice("tasks.page"))["total"] == 1


async def test_texts_of_all_scripts_are_found_without_regard_to_case_and_accents(bob: Peer, alice: Peer) -> None:
    task = await answered(bob, alice, "Café ÜBER Straße 日本語 проверка", "naïve 🙂 done")
    for query in ("cafe", "CAFÉ", "uber", "straße", "日本語", "ПРОВЕРКА", "naive"):
        assert await found(alice, query) == [task]


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"query": "x", "logic": "xor"}, "bad_logic"),
        ({"query": "  "}, "bad_query"),
        ({"query": "a " * 33}, "bad_query"),
        ({"query": "x", "limit": 0}, "bad_limit"),
    ],
)
async def test_a_search_that_makes_no_sense_is_refused(alice: Peer, how: dict[str, Any], code: str) -> None:
    assert (await alice.refused("history.search", **how)).code == code


async def test_long_texts_are_searched_as_far_as_64_kb(bob: Peer, alice: Peer) -> None:
    task = await answered(bob, alice, "beginning " + "x " * 30_000 + "inside " + "y " * 30_000 + "outside", "done")
    assert await found(alice, "beginning inside", logic="and") == [task]
    assert await found(alice, "outside") == []
    assert (await alice("history.show", task=task))["text"].endswith("outside")


async def test_switched_off_no_words_are_kept_and_switched_on_again_they_are_back(
    bench: Bench, bob: Peer, alice: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await answered(bob, alice, "the word", "answer")
    monkeypatch.setenv("SYNAPSE_HISTORY_ENABLED", "false")
    await bench.restart()
    alice = bench.client("alice")
    assert (await alice.refused("history.search", query="word")).code == "history_off"
    assert (await alice("history.show", task=task))["text"] == "the word"
    assert (await alice("tasks.page"))["total"] == 1
    assert [text[3:] for text in (await check(bench))[1]] == [(8, ""), (6, "")]
    await bench.core.close()
    assert b"the word" not in bench.cache.read_bytes()
    monkeypatch.delenv("SYNAPSE_HISTORY_ENABLED")
    await bench.open()
    assert await found(bench.client("alice"), "word") == [task]


# -- figures


async def test_figures_of_each_agent_and_of_all(
    bench: Bench, bob: Peer, alice: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seconds in (1, 2, 9):
        task = await asked(alice)
        await bob.take()
        bench.clock.advance(seconds)
        await bob("tasks.complete", task=task, text="x", usage={"input": 1_000_000, "output": 500_000})
    await answered(bob, alice, "x", "no", failed=True)
    eve = await bench.agent("eve", "codex")
    await alice("messages.send", to="eve", text="y")
    await eve.take()
    reply = await alice("history.stats")
    [of_bob, of_eve] = reply["agents"]
    assert of_bob == {
        "agent": "bob", "tasks": 4, "states": {"completed": 3, "failed": 1}, "success": 0.75, "median": 1.5,
        "tokens": {"input": 3_000_000, "output": 1_500_000},
    }  # fmt: skip
    assert of_eve == {"agent": "eve", "tasks": 1, "states": {"working": 1}}
    assert (reply["total"]["tasks"], reply["total"]["success"]) == (5, 0.75)
    monkeypatch.setenv("SYNAPSE_HISTORY_PRICES", "input=3")
    assert "cost" not in (await alice("history.stats"))["total"]
    monkeypatch.setenv("SYNAPSE_HISTORY_PRICES", "input=3,output=15,claude.output=10")
    assert (await alice("history.stats", agent="bob"))["total"]["cost"] == 24.0
    monkeypatch.setenv("SYNAPSE_HISTORY_PRICES", "input=much")
    assert (await alice.refused("history.stats")).code == "bad_price"
    monkeypatch.delenv("SYNAPSE_HISTORY_PRICES")
    assert (await alice("history.stats", since=bench.clock.now() + 1))["agents"] == []


async def test_no_figures_of_nothing(alice: Peer) -> None:
    assert await alice("history.stats") == {"agents": [], "total": {"agent": ""}}


# -- a trace


async def test_a_trace_ties_together_what_belongs_to_a_task(bench: Bench, bob: Peer, alice: Peer) -> None:
    eve = await bench.agent("eve")
    top = await asked(alice, "the whole")
    await bob.take()
    below = str((await bench.command(bob)("messages.send", to="eve", text="a part"))["task_id"])
    await eve.take()
    other = await asked(alice, "another")
    await eve("tasks.complete", task=below, text="the part")
    await bob("tasks.complete", task=top, text="all")
    trace = await alice("history.trace", task=top)
    assert (trace["task"]["task_id"], trace["task"]["answer"], trace["workspace"]) == (top, "all", "w")
    assert [child["task_id"] for child in trace["children"]] == [below]
    assert trace["parents"] == []
    assert [event["kind"] for event in trace["events"]].count("tasks.completed") == 2
    places = [(event["position"], event["index"]) for event in trace["events"]]
    assert places == sorted(places)
    assert {event["story"] for event in trace["events"]} >= {top, below}
    assert other not in {event["story"] for event in trace["events"]}
    assert "messages.sent" in [e["kind"] for e in trace["events"] if e["story"].startswith("m-")]
    up = await alice("history.trace", task=below)
    assert [above["task_id"] for above in up["parents"]] == [top]
    assert (await alice.refused("history.trace", task="t-none")).code == "no_such_task"


async def test_events_of_plugins_that_name_the_task_are_in_its_trace(tmp_path: Path) -> None:
    from synapse.testing import hub
    from tests.core.toys import pad

    async with hub({"pad": pad()}, cache=tmp_path / "cache.db") as bench:
        alice = bench.client("alice")
        await bench.agent("bob")
        await alice("pad.add", line="before")
        task = await asked(alice)
        await alice("pad.add", line=f"for {task}")
        await alice("pad.add", line="for another")
        events = (await alice("history.trace", task=task))["events"]
        assert [event["body"]["line"] for event in events if event["kind"] == "pad.added"] == [f"for {task}"]


async def test_what_is_said_in_a_conversation_is_found_and_its_context_is_the_given_one(
    bench: Bench, alice: Peer
) -> None:
    bob = await bench.agent("bob")
    parts = [{"kind": "text", "value": "a first part"}, {"kind": "data", "value": '{"a":1}'}]
    sent = await alice("tasks.submit", to="bob", text="begin with a first part", context="ours", parts=parts)
    await bob.take()
    await bob("tasks.ask", task=sent["task_id"], question="Which colour?")
    await alice("tasks.say", task=sent["task_id"], text="turquoise, please")
    await bob("tasks.complete", task=sent["task_id"], text="done", parts=[{"kind": "text", "value": "violet"}])
    for word in ("turquoise", "first", "done", "violet"):
        assert await found(alice, word) == [sent["task_id"]]
    [hit] = (await alice("history.search", query="turquoise"))["tasks"]
    assert hit["where"] == "said"
    assert await pages(alice, context="ours") == [sent["task_id"]]
    await anew(bench)
