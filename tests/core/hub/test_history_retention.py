"""Forgetting finished tasks: what goes, what stays, and that nothing alive is changed by it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from synapse.errors import Refused
from synapse.hub.agents import Agents
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


# -- what lies beside the log


def file(bench: Bench, path: Path, age: float = 0.0) -> Path:
    """A file that was written so many seconds ago."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text("a long text")
    os.utime(path, (bench.clock.now() - age,) * 2)
    return path


async def test_letters_go_with_their_message_or_when_their_hour_is_over(
    bench: Bench, bob: Peer, alice: Peer, pat: Peer, tmp_path: Path
) -> None:
    bench.hub.place.data = str(tmp_path)
    task = await done(bob, alice, mode="notify")
    [note] = (await alice("messages.inbox"))["messages"]
    await alice("messages.ack", id=note["id"])
    letters = tmp_path / "letters" / "a-1"
    own = [
        file(bench, letters / f"{task}.txt"),
        file(bench, letters / f"{task}-1-plan.v2.md"),
        file(bench, letters / f"{note['id']}.txt"),
    ]
    old = file(bench, letters / "m-01M7XQCXHHAGM20MQW5N3H0VJV.txt", 3700)
    new = file(bench, letters / "m-01M7XQCXHHAGM20MQW5N3H0VJW.txt", 3500)
    assert (await cleanup(pat, days=0, dry_run=True))["letters"] == 3
    assert all(path.exists() for path in (*own, old, new))
    assert (await cleanup(pat, days=0))["letters"] == 4
    assert list(letters.iterdir()) == [new]
    new.unlink()
    (tmp_path / "run" / "agents" / "a-2").mkdir(parents=True)
    lives = file(bench, tmp_path / "letters" / "a-2" / "m-1.txt", 3700)
    await cleanup(pat, days=0)
    assert (letters.exists(), lives.exists(), lives.parent.exists()) == (False, False, True)


async def test_letters_are_swept_at_the_hub_s_start_and_once_a_day(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.hub.place.data = str(tmp_path)
    old = file(bench, tmp_path / "letters" / "m-1.txt", 3700)
    bench.hub.retention.look()
    await ended(bench)
    assert not old.exists()
    await bench.hub.retention.close()
    old, new = file(bench, old, 70), file(bench, tmp_path / "letters" / "m-2.txt", 50)
    monkeypatch.setenv("SYNAPSE_LONG_MESSAGE_TTL", "60")
    bench.hub.retention.start()
    await ended(bench)
    assert (old.exists(), new.exists()) == (False, True)
    monkeypatch.setenv("SYNAPSE_LONG_MESSAGE_TTL", "soon")  # then it is an hour
    file(bench, new, 3700)
    file(bench, old, 3500)
    bench.hub.retention.look()
    await ended(bench)
    assert (old.exists(), new.exists()) == (True, False)


async def test_terminals_of_agents_that_ended_before_the_bound_go_and_of_none_that_lives(
    bench: Bench, bob: Peer, pat: Peer, tmp_path: Path
) -> None:
    bench.hub.place.data = str(tmp_path)
    logs = tmp_path / "logs"
    living = next(agent.key for agent in bench.hub.state.get(Agents) if agent.name == "bob")
    ages = {f"{living}.txt": 9, "a-OLD.txt": 9, "a-NEW.txt": 1, "a-OLD.log": 9, "other.txt": 9}
    for name, days in ages.items():
        file(bench, logs / name, days * DAY)
    assert (await cleanup(pat, days=5, dry_run=True))["screens"] == 1
    assert len(list(logs.iterdir())) == 5
    assert (await cleanup(pat, max_size_mb=0))["screens"] == 0
    assert (await cleanup(pat, days=5))["screens"] == 1
    assert {path.name for path in logs.iterdir()} == ages.keys() - {"a-OLD.txt"}
    assert (await cleanup(pat, days=0))["screens"] == 1
    assert (logs / f"{living}.txt").exists()


async def test_a_folder_that_cannot_be_swept_stops_nothing(
    bench: Bench, bob: Peer, alice: Peer, pat: Peer, tmp_path: Path
) -> None:
    bench.hub.place.data = str(tmp_path)
    await done(bob, alice)
    (tmp_path / "letters").write_text("no folder")
    (tmp_path / "logs").write_text("no folder")
    report = await cleanup(pat, days=0)
    assert (report["tasks"], report["letters"], report["screens"]) == (1, 0, 0)
