"""Forgetting finished tasks: what goes, what stays, and that nothing alive is changed by it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from synapse.errors import Refused
from synapse.hub.forgetting import DAY, Forgotten
from synapse.hub.tasks import Tasks
from synapse.log.base import AppendFailed
from synapse.log.sqlite import SqliteLog
from tests.core.hub.kit import Bench, Peer
from tests.core.hub.test_history import ALL, STORIES, TEXTS, asked


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    log = SqliteLog.open(tmp_path / "log.db")
    bench = await Bench(log, cache=tmp_path / "cache.db").open()
    yield bench
    await bench.close()
    log.close()


@pytest.fixture
async def bob(bench: Bench) -> Peer:
    return await bench.agent("bob")


@pytest.fixture
async def alice(bench: Bench) -> Peer:
    return bench.client("alice")


@pytest.fixture
def pat(bench: Bench) -> Peer:
    return bench.person("pat")


async def done(bob: Peer, alice: Peer, text: str = "work", answer: str = "done", **more: Any) -> str:
    """A task that has ended."""
    task = await asked(alice, text, **{"mode": "wait", **more})
    await bob.take()
    await bob("tasks.complete", task=task, text=answer)
    return task


def texts(bench: Bench) -> str:
    return " ".join(e.body.decode() for r in bench.truth.read(0) for e in r.events)


async def cleanup(peer: Peer, **how: Any) -> dict[str, Any]:
    report: dict[str, Any] = await peer("history.cleaned", work=(await peer("history.cleanup", **how))["work"])
    return report


async def test_what_ended_long_ago_goes_with_all_that_belongs_to_it_and_the_rest_stays(
    bench: Bench, bob: Peer, alice: Peer, pat: Peer
) -> None:
    old = await done(bob, alice, "the old question", "the old answer", mode="notify")
    [note] = (await alice("messages.inbox"))["messages"]
    await alice("messages.ack", id=note["id"])
    live = await asked(alice, "the live question")
    bench.clock.advance(10 * DAY)
    await bob.take()
    new = await done_by(bob, alice, live)
    dry = await cleanup(pat, days=5, dry_run=True)
    assert (dry["tasks"], dry["left"], dry["dry_run"]) == (1, 1, True)
    assert "old answer" in texts(bench)
    report = await cleanup(pat, days=5)
    assert (report["tasks"], report["kept"], report["left"]) == (1, 0, 1)
    assert report["events"] >= 5
    assert report["bytes"] == dry["bytes"]
    assert "old question" not in texts(bench)
    assert "old answer" not in texts(bench)
    assert (await alice.refused("history.show", task=old)).code == "no_such_task"
    assert (await alice("history.show", task=new))["text"] == "the live question"
    assert [task["id"] for task in (await alice("tasks.page"))["tasks"]] == [new]
    bench.check()
    await bench.refill()
    assert [row[0] for row in await bench.rows("tasks", ALL)] == [new]
    assert old not in bench.hub.state.get(Tasks).finished
    bench.check()


async def done_by(bob: Peer, alice: Peer, task: str) -> str:
    await bob("tasks.complete", task=task, text="done")
    return task


async def test_a_task_that_is_alive_or_whose_answer_is_unread_is_kept(bench: Bench, alice: Peer, pat: Peer) -> None:
    bob = await bench.agent("bob")
    unread = await done(bob, alice, answer="not read yet", mode="notify")
    alive = await asked(alice, "still open")
    bench.clock.advance(DAY)
    assert (await cleanup(pat, days=0, dry_run=True))["kept"] == 1
    report = await cleanup(pat, days=0)
    assert (report["tasks"], report["kept"], report["left"]) == (0, 1, 2)
    assert {unread, alive} == {task["id"] for task in (await alice("tasks.page"))["tasks"]}
    [message] = (await alice("messages.inbox"))["messages"]
    await alice("messages.ack", id=message["id"])
    assert (await cleanup(pat, days=0))["tasks"] == 1
    bench.check()


async def test_the_oldest_go_until_the_rest_is_small_enough(bench: Bench, bob: Peer, alice: Peer, pat: Peer) -> None:
    ids = [await done(bob, alice, "x" * 20_000) for _ in range(10)]
    dry = await cleanup(pat, max_size_mb=0.1, dry_run=True)
    report = await cleanup(pat, max_size_mb=0.1)
    assert (report["tasks"], report["left"]) == (dry["tasks"], dry["left"]) == (6, 4)
    assert report["left_bytes"] <= 100_000
    assert [task["id"] for task in (await alice("tasks.page"))["tasks"]] == ids[:5:-1]
    assert (await cleanup(pat, max_size_mb=0.1))["tasks"] == 0
    assert (await cleanup(pat, max_size_mb=0))["left"] == 0
    bench.check()


async def test_a_blob_goes_when_nothing_names_it_and_it_is_not_fresh(
    bench: Bench, bob: Peer, alice: Peer, pat: Peer
) -> None:
    await done(bob, alice, "a" * 50_000)
    await done(bob, alice, "b" * 50_000)
    shared = await asked(alice, "b" * 50_000)
    assert len(bench.log.sums()) == 2
    assert (await cleanup(pat, days=0))["blobs"] == 0
    bench.clock.advance(2 * 3600)
    await bob.take()
    await bob("tasks.complete", task=shared, text="c")
    [note] = (await alice("messages.inbox"))["messages"]
    await alice("messages.ack", id=note["id"])
    bench.clock.advance(1)
    other = await asked(alice, "b" * 50_000)
    assert (await cleanup(pat, days=0))["blobs"] == 1
    assert (await alice("history.show", task=other))["text"] == "b" * 50_000


async def test_only_a_person_forgets(bench: Bench, bob: Peer, pat: Peer) -> None:
    from synapse.verb import Permission

    agent = bench.command(bob)
    agent.session.permissions = frozenset({Permission.READ, Permission.WRITE})
    assert (await agent.refused("history.cleanup", days=1)).code == "not_permitted"
    work = (await pat("history.cleanup"))["work"]
    assert (await pat.refused("history.cleaned", work=work)).code == "no_bound"
    assert (await pat.refused("history.cleaned", work="w-none")).code == "no_such_work"
    assert (await pat.refused("history.cleanup", days=-1)).code == "bad_bound"


async def test_one_work_is_done_after_the_other(bench: Bench, bob: Peer, alice: Peer, pat: Peer) -> None:
    for _ in range(3):
        await done(bob, alice)
    asks = [pat.ask("history.cleanup", days=0, dry_run=number % 2 == 0) for number in range(6)]
    works = [json.loads(await ask)["work"] for ask in asks]
    assert [(await pat("history.cleaned", work=work))["tasks"] for work in works] == [3, 3, 0, 0, 0, 0]
    refused = [one for one in await asyncio.gather(*map(tried, [pat] * 30)) if one]
    assert set(refused) == {"busy"}
    await bench.restart()


async def tried(pat: Peer) -> str:
    try:
        await pat("history.cleanup", days=0)
    except Refused as refusal:
        return refusal.code
    return ""


async def test_what_a_crash_left_in_the_file_goes_with_the_next_start(
    bench: Bench, bob: Peer, alice: Peer, pat: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await done(bob, alice, "the secret")

    def fails(self: Any, stories: Any) -> int:
        raise AppendFailed("no such luck")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteLog, "forget", fails)
        work = (await pat("history.cleanup", days=0))["work"]
        assert (await pat.refused("history.cleaned", work=work)).code == "storage_unavailable"
        await bench.settled()
    assert bench.hub.state.get(Forgotten).stories
    assert "the secret" in texts(bench)
    await bench.crash()
    await bench.until(lambda: "the secret" not in texts(bench))
    bench.check()
    assert await bench.rows("tasks", ALL) == []
    assert await bench.rows("tasks", TEXTS) == await bench.rows("tasks", STORIES) == []


async def test_once_a_day_the_hub_forgets_what_the_settings_say(
    bench: Bench, bob: Peer, alice: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await done(bob, alice)
    monkeypatch.setenv("SYNAPSE_HISTORY_KEEP_DAYS", "30")
    bench.clock.advance(29 * DAY)
    bench.hub.retention.look()
    await ended(bench)
    assert (await alice("tasks.page"))["total"] == 1
    bench.clock.advance(2 * DAY)
    bench.hub.retention.look()
    await ended(bench)
    assert (await alice("tasks.page"))["total"] == 0
    monkeypatch.setenv("SYNAPSE_HISTORY_KEEP_DAYS", "soon")
    bench.hub.retention.look()
    await ended(bench)


async def ended(bench: Bench) -> None:
    work = bench.hub.retention._newest
    assert work is not None
    await asyncio.wait_for(work, 5)


async def test_many_tasks_go_in_small_records(bench: Bench, alice: Peer, pat: Peer) -> None:
    bob = bench.client("bob")
    await bob("agents.here")
    asks = [alice.ask("messages.send", to="bob", text=f"number {n}", mode="wait") for n in range(450)]
    for ask in asks:
        await bob("messages.reply", to=json.loads(await ask)["task_id"], text="x")
    before = bench.hub.state.get(Tasks).finished
    assert len(before) == 450
    assert (await cleanup(pat, days=0))["tasks"] == 450
    assert bench.kinds().count("log.forgotten") == 5
    assert bench.hub.state.get(Tasks).finished == {}
    await bench.restart()
    bench.check()
