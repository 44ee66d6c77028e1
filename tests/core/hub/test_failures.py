"""A disk that fails: one new fold, read-only until a probe, and back."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from synapse.errors import Unavailable
from synapse.event import Event
from synapse.hub.messages import SendRequest
from synapse.hub.sessions import Session
from synapse.hub.tasks import Tasks
from synapse.log.faulty import Fault, FaultyLog
from synapse.log.memory import MemoryLog
from synapse.plugins import Plugin
from synapse.verb import change
from tests.core.hub.kit import BOUND, Bench


class Disk:
    """A hub on a log that can be told to fail."""

    def __init__(self, log: FaultyLog, bench: Bench) -> None:
        self.log = log
        self.bench = bench


@pytest.fixture
async def disk() -> AsyncIterator[Disk]:
    log = FaultyLog(MemoryLog())
    bench = await Bench(log).open()
    yield Disk(log, bench)
    await bench.close()


class Switch:
    """A fault that lasts until it is mended."""

    def __init__(self) -> None:
        self.broken = True

    def __iter__(self) -> Any:
        while True:
            yield Fault.BEFORE if self.broken else None


async def test_a_record_that_was_not_stored_has_not_happened(disk: Disk) -> None:
    bench = disk.bench
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await alice("messages.send", to="bob", text="one")
    head = bench.hub.head
    disk.log.fail("append", [Fault.BEFORE])
    refusal = await alice.refused("messages.send", to="bob", text="two")
    assert (refusal.code, bench.hub.head) == ("storage_unavailable", head)
    await bench.settled()
    assert (await alice("messages.send", to="bob", text="three"))["position"] == head + 1
    assert bench.picture() == bench.refolded()
    assert [m["text"] for m in (await bob("messages.inbox"))["messages"]] == ["one", "three"]


async def test_a_record_that_was_stored_all_the_same_is_answered_as_stored(disk: Disk) -> None:
    bench = disk.bench
    await bench.agent("bob")
    alice = bench.client("alice")
    await alice("messages.send", to="bob", text="one")
    disk.log.fail("append", [Fault.AFTER])
    sent = await alice("messages.send", to="bob", text="two")
    await bench.settled()
    assert (await alice("messages.show", id=sent["id"]))["text"] == "two"
    assert bench.picture() == bench.refolded()


async def test_what_was_decided_behind_a_lost_record_is_lost_too(disk: Disk) -> None:
    bench = disk.bench
    await bench.agent("bob")
    alice = bench.client("alice")
    await alice("messages.send", to="bob", text="one")
    disk.log.fail("append", [Fault.BEFORE])
    asked = [alice.ask("messages.send", to="bob", text=str(n)) for n in range(20)]
    answers = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), BOUND)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert bench.kinds().count("messages.sent") == 1


async def test_reads_go_on_and_changes_are_refused_with_the_reason_while_nothing_can_be_stored(disk: Disk) -> None:
    bench = disk.bench
    await bench.agent("bob")
    alice = bench.client("alice")
    await alice("messages.send", to="bob", text="one")
    probe = Switch()
    disk.log.fail("probe", probe)
    disk.log.fail("append", [Fault.BEFORE])
    await alice.refused("messages.send", to="bob", text="two")
    refusal = await alice.refused("messages.send", to="bob", text="three")
    assert refusal.code == "storage_unavailable"
    assert "a fault was injected" in refusal.sentence
    assert "fault" in (await alice("hub.status"))["hub"]["read_only"]
    assert (await alice("agents.show", target="bob"))["agent"]["queued"] == 1
    assert (await alice("history.list"))["tasks"]
    probe.broken = False
    await bench.settled()
    await alice("messages.send", to="bob", text="four")


async def test_nobody_is_kept_waiting_while_the_log_cannot_even_be_reopened(disk: Disk) -> None:
    bench = disk.bench
    await bench.agent("bob")
    alice = bench.client("alice")
    await alice("messages.send", to="bob", text="one")
    recover = Switch()
    disk.log.fail("recover", recover)
    disk.log.fail("append", [Fault.BEFORE])
    unknown = alice.ask("messages.send", to="bob", text="two")
    while not bench.hub.closed_for:
        await asyncio.sleep(0.001)
    assert (await alice.refused("messages.send", to="bob", text="x")).code == "storage_unavailable"
    assert (await alice.refused("agents.who")).code == "storage_unavailable"
    recover.broken = False
    with pytest.raises(Unavailable):
        await asyncio.wait_for(unknown, BOUND)
    await bench.settled()
    await alice("messages.send", to="bob", text="four")


@pytest.mark.parametrize("step", ["recover", "probe", "read"])
async def test_a_fault_during_the_recovery_only_makes_it_longer(disk: Disk, step: str) -> None:
    bench = disk.bench
    await bench.agent("bob")
    alice = bench.client("alice")
    await alice("messages.send", to="bob", text="one")
    disk.log.fail("append", [Fault.BEFORE])
    disk.log.fail(step, [Fault.BEFORE, Fault.AFTER, None, Fault.BEFORE, None, None, Fault.AFTER])
    await alice.refused("messages.send", to="bob", text="two")
    await bench.settled()
    await alice("messages.send", to="bob", text="three")
    assert bench.picture() == bench.refolded()


async def test_a_participant_whose_admission_was_lost_is_admitted_again(disk: Disk) -> None:
    bench = disk.bench
    await bench.agent("bob")
    alice = bench.client("alice")
    alice.session.folder, alice.session.workspace = "/home/kim/proj", "proj"
    disk.log.fail("append", [Fault.BEFORE])
    await alice.refused("messages.send", to="w/bob", text="one")
    await bench.settled()
    await alice("messages.send", to="w/bob", text="two")
    assert bench.kinds()[-4:] == ["workspaces.named", "agents.joined", "tasks.submitted", "messages.sent"]
    assert alice.key == bench.bodies("agents.joined")[-1]["key"]
    assert (await alice("agents.who"))["participants"][-1]["presence"] == "ONLINE"


async def test_a_lease_that_was_lost_is_taken_again() -> None:
    log = FaultyLog(MemoryLog(), {"append": [Fault.BEFORE]})
    bench = await Bench(log).open()
    await bench.settled()
    await bench.client("alice").refused("messages.send", to="nobody", text="x")
    assert [record.epoch for record in log.read(0)] == [1, 1]
    assert bench.kinds() == ["hub.started", "agents.joined"]
    await bench.close()


async def test_a_message_whose_typing_was_lost_is_handed_over_again(disk: Disk) -> None:
    bench = disk.bench
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await alice("messages.send", to="bob", text="one")
    given = await bob.frame("deliver")
    disk.log.fail("append", [Fault.BEFORE])
    await bob.refused("messages.typing", id=given["id"])
    assert (await bob.take())["id"] == given["id"]


async def test_a_wait_survives_a_failure_and_ends(disk: Disk) -> None:
    bench = disk.bench
    bob, alice = await bench.agent("bob"), bench.client("alice")
    task = (await alice("messages.send", to="bob", text="one", mode="wait"))["task_id"]
    waiting = alice.ask("tasks.wait", task=task)
    await bench.settled()  # that somebody waits is stored
    disk.log.fail("append", [Fault.BEFORE])
    await bob.refused("messages.reply", text="lost")
    await bench.settled()
    assert not waiting.done()
    await bob("messages.reply", text="kept")
    assert b"completed" in await asyncio.wait_for(waiting, BOUND)


async def test_a_wait_whose_time_is_over_during_a_fold_says_pending_and_reads_nothing(disk: Disk) -> None:
    bench = disk.bench
    await bench.agent("bob")
    alice = bench.client("alice")
    task = (await alice("messages.send", to="bob", text="one", mode="wait"))["task_id"]
    waiting = alice.ask("tasks.wait", task=task, timeout=0.02)
    recover = Switch()
    disk.log.fail("recover", recover)
    disk.log.fail("append", [Fault.BEFORE])
    alice.ask("messages.send", to="bob", text="two").add_done_callback(lambda done: done.exception())
    while not bench.hub.suspended:
        await asyncio.sleep(0.001)
    bench.hub.state.reset()  # what a wait must not see
    await asyncio.sleep(0.03)
    recover.broken = False
    assert json.loads(await asyncio.wait_for(waiting, BOUND)) == {"pending": True}


async def test_a_long_text_that_cannot_be_stored_is_refused_and_the_hub_comes_back(disk: Disk) -> None:
    bench = disk.bench
    await bench.agent("bob")
    alice = bench.client("alice")
    disk.log.fail("put_blob", [Fault.BEFORE])
    assert (await alice.refused("messages.send", to="bob", text="x" * 40_000)).code == "storage_unavailable"
    await bench.settled()
    await alice("messages.send", to="bob", text="x" * 40_000)


async def test_a_stop_in_the_middle_of_a_failure_answers_everybody(disk: Disk) -> None:
    bench = disk.bench
    await bench.agent("bob")
    alice = bench.client("alice")
    await alice("messages.send", to="bob", text="one")
    disk.log.fail("recover", Switch())
    disk.log.fail("append", [Fault.BEFORE])
    unknown = alice.ask("messages.send", to="bob", text="two")
    while not bench.hub.suspended:
        await asyncio.sleep(0.001)
    await bench.core.close()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(unknown, BOUND)
    assert (await alice.refused("agents.who")).code == "stopping"
    disk.log.fail("recover", [])
    disk.log._gate.open()
    await bench.open()


# -- bugs are contained


class Poison(Tasks):
    """A projection that cannot take a certain event."""

    name = "poison"

    def apply(self, event: Event) -> None:
        if getattr(event.body, "depth", 0):
            raise ValueError("I do not like this")


@change("poison.ask")
def poisoned(call: Any, request: SendRequest) -> None:
    """Ask the projection that is out of order."""
    call.state(Poison)


@change("poison.raise")
def raising(call: Any, request: SendRequest) -> None:
    """Fail after something was said."""
    call.emit(_fact(), "x")
    raise KeyError("a bug")


def _fact() -> Any:
    from synapse.hub.facts import HubStopped

    return HubStopped()


async def test_a_projection_that_raises_is_out_of_order_and_the_rest_goes_on() -> None:
    bench = await Bench(plugins=[Plugin("poison", projections=(Poison(),), verbs=(poisoned,))]).open()
    await bench.agent("bob")
    alice = bench.client("alice")
    await alice("messages.send", to="bob", text="x")
    refusal = await alice.refused("poison.ask", to="x")
    assert refusal.code == "projection_failed"
    assert "ValueError" in (await alice("hub.status"))["hub"]["broken"]["poison"]
    assert (await alice("agents.show", target="bob"))["agent"]["queued"] == 1
    await bench.close()
    assert "poison" not in {snapshot.name for snapshot in bench.log.snapshots()}


async def test_a_core_projection_that_raises_answers_unavailable_and_the_hub_stays(bench: Bench) -> None:
    bob, alice, watcher = await bench.agent("bob"), bench.client("alice"), bench.person()
    await watcher("events.follow", presence=True)
    await alice("messages.send", to="bob", text="x")
    bench.hub.state.broken["agents"] = "out of order"
    assert (await alice.refused("messages.send", to="bob", text="x")).code == "projection_failed"
    await bob("agents.report", status="READY")
    bob.hang_up()
    bench.core.sweeper.run()
    await bench.restart()
    await bench.client("alice")("messages.send", to="bob", text="x")


async def test_a_bug_in_a_verb_leaves_nothing_and_is_told_as_one() -> None:
    bench = await Bench(plugins=[Plugin("test", verbs=(raising,))]).open()
    alice = bench.client("alice")
    refusal = await alice.refused("poison.raise", to="x", idempotency_key="k")
    assert (refusal.code, refusal.status) == ("internal_error", 500)
    assert (await alice.refused("poison.raise", to="x", idempotency_key="k")).code == "internal_error"
    assert bench.kinds() == ["hub.started", "agents.joined"]
    await bench.close()


async def test_a_reaction_that_raises_keeps_nothing_from_the_others(bench: Bench) -> None:
    def broken(touched: set[str]) -> None:
        raise RuntimeError

    bench.hub.on_commit.insert(0, broken)
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await alice("messages.send", to="bob", text="x")
    assert (await bob.take())["text"] == "x"


async def test_internal_verbs_cannot_be_asked(bench: Bench) -> None:
    for name in ("hub.sweep", "hub.start", "agents.admit"):
        with pytest.raises(Exception, match="no verb"):
            bench.core.verbs.get(name)
    assert bench.peer(Session()).key == ""
