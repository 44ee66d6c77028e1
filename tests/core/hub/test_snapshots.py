"""Snapshots: taken now and then and at a stop, never ahead of the log, and never trusted blindly."""

from pathlib import Path

import pytest

from synapse.hub.mailbox import Mailbox
from synapse.hub.tasks import Tasks
from synapse.log.base import Entry, Snapshot
from synapse.log.sqlite import SqliteLog
from synapse.plugins import Plugin
from tests.core.hub.kit import Bench


async def fill(bench: Bench, count: int) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    for number in range(count):
        await alice("messages.send", to="bob", text=str(number))
        await bob.take()
        await bob("messages.reply", text="done")
    await alice("messages.send", to="bob", text="open")


async def test_a_stop_takes_a_snapshot_of_every_projection(bench: Bench) -> None:
    await fill(bench, 3)
    await bench.restart()
    assert {s.name for s in bench.log.snapshots()} == {p.name for p in bench.hub.state.projections}
    assert bench.picture() == bench.refolded()


async def test_a_snapshot_is_taken_every_so_many_events(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synapse.hub.recovery.SNAPSHOT_EVERY", 50)
    await fill(bench, 20)
    snapshots = bench.log.snapshots()
    assert {s.name for s in snapshots} == {p.name for p in bench.hub.state.projections}
    assert all(50 < s.position <= bench.hub.outbox.committed for s in snapshots)


async def test_a_snapshot_and_the_tail_are_the_full_fold(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synapse.hub.recovery.SNAPSHOT_EVERY", 50)
    await fill(bench, 12)
    before = bench.picture()
    await bench.crash()
    assert bench.picture() == before == bench.refolded()


async def test_snapshots_of_different_positions_are_folded_each_from_its_own(bench: Bench) -> None:
    await fill(bench, 3)
    projections = {p.name: p for p in bench.hub.state.projections}
    mail = projections["mailbox"]
    bench.log.append([Entry(None, (Snapshot("mailbox", mail.version, bench.hub.head, mail.dump()),))])
    await bench.client("alice")("messages.send", to="bob", text="after it")
    tasks = projections["tasks"]
    bench.log.append([Entry(None, (Snapshot("tasks", tasks.version, bench.hub.head, tasks.dump()),))])
    await bench.client("alice")("messages.send", to="bob", text="after both")
    before = bench.picture()
    await bench.crash()
    assert bench.picture() == before


async def test_another_version_is_folded_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(bench, 3)
    before = bench.picture()
    await bench.core.close()
    monkeypatch.setattr(Tasks, "version", Tasks.version + 1)
    await bench.open()
    assert bench.picture() == before


@pytest.mark.parametrize("state", [b"", b"\xc1", b"[]", b"\x91\x80"])
async def test_a_snapshot_that_cannot_be_read_is_folded_anew(bench: Bench, state: bytes) -> None:
    await fill(bench, 3)
    before = bench.picture()
    bench.log.append([Entry(None, (Snapshot("mailbox", Mailbox.version, bench.hub.head, state),))])
    await bench.crash()
    assert bench.picture() == before


async def test_a_projection_that_comes_later_folds_the_log_from_the_start(bench: Bench) -> None:
    class Late(Tasks):
        name = "late"

    await fill(bench, 3)
    await bench.core.close()
    bench.more["plugins"] = [Plugin("late", projections=(late := Late(),))]
    await bench.open()
    assert len(late.finished) == 3


async def test_the_start_line_says_what_it_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = SqliteLog.open(tmp_path / "log.db")
    bench = await Bench(log).open()
    await fill(bench, 3)
    await bench.core.close()
    monkeypatch.setattr(Tasks, "version", Tasks.version + 1)
    level = await bench.open() and await bench.core.recovery.load()
    assert str(level).startswith(f"{len(bench.hub.state.projections) - 1} snapshots, ")
    assert str(level).endswith("folded from the start: tasks")
    bench.hub.resume()
    await bench.close()
    log.close()


async def test_a_redacted_record_does_not_stop_a_fold(bench: Bench) -> None:
    alice = bench.client("alice")
    await bench.agent("bob")
    sent = await alice("messages.send", to="bob", text="secret", mode="silent")
    bench.log.redact(sent["position"])
    await bench.crash()
    assert (await bench.client("alice")("messages.inbox", which="sent")) == {}
