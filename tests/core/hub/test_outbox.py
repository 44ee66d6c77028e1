"""Nothing that was computed from undecided state leaves before its commit."""

import asyncio
import json
from typing import Any

import pytest

from synapse.errors import Unavailable
from synapse.hub.outbox import Outbox
from synapse.log.faulty import Fault, FaultyLog
from tests.core.hub.kit import BOUND, Bench, HeldLog


class Recorder:
    """What left, in order."""

    def __init__(self) -> None:
        self.left: list[tuple[int, Any]] = []

    def __call__(self, position: int, what: Any) -> None:
        self.left.append((position, what))


def test_what_is_computed_from_committed_state_leaves_at_once() -> None:
    out, got = Outbox(), Recorder()
    out.answer(0, got, "a")
    assert got.left == [(0, "a")]


def test_what_is_computed_later_never_overtakes() -> None:
    out, got = Outbox(), Recorder()
    out.answer(1, got, "reply 1")
    out.tell(1, got, "told 1")
    out.answer(2, got, "reply 2")
    out.answer(0, got, "a read of the log")
    out.release(1)
    assert got.left == [(1, "reply 1"), (1, "told 1")]
    out.release(2)
    assert [what for _, what in got.left[2:]] == ["reply 2", "a read of the log"]


def test_what_was_decided_on_a_lost_record_is_answered_unavailable_and_told_to_nobody() -> None:
    out, got = Outbox(), Recorder()
    for position in (1, 2):
        out.answer(position, got, f"reply {position}")
        out.tell(position, got, f"told {position}")
    out.settle(lambda position: position <= 1, 1)
    assert got.left[:2] == [(1, "reply 1"), (1, "told 1")]
    [(position, lost)] = got.left[2:]
    assert position == 2
    assert isinstance(lost, Unavailable)


def test_a_receiver_that_fails_keeps_nothing_from_the_others() -> None:
    def fails(position: int, what: Any) -> None:
        raise ConnectionError

    out, got = Outbox(), Recorder()
    out.answer(1, fails, "x")
    out.answer(1, got, "y")
    out.release(1)
    out.answer(1, fails, "x")
    assert got.left == [(1, "y")]


@pytest.fixture
def log(held: Bench) -> HeldLog:
    assert isinstance(held.log, HeldLog)
    return held.log


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_replies_reads_refusals_and_notifications_wait_for_the_commit(held: Bench, log: HeldLog) -> None:
    bob, alice, watcher = await held.agent("bob"), held.client("alice"), held.person()
    await alice("messages.send", to="bob", text="first", mode="silent")
    await bob.take()
    await watcher("events.follow", presence=True)
    watcher.frames.clear()
    log.hold()
    reply = alice.ask("messages.send", to="bob", text="undecided", mode="silent")
    read = alice.ask("agents.show", target="bob")
    refusal = alice.ask("messages.send", to="nobody", text="x")
    query = alice.ask("history.list")
    wait = bob.ask("messages.next")
    report = bob.ask("agents.report", status="PROCESSING")
    await turns()
    asked = [reply, read, refusal, query, wait, report]
    assert not any(future.done() for future in asked)
    assert not bob.frames
    assert not watcher.frames
    log.let_go()
    done = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), BOUND)
    assert json.loads(done[1])["agent"]["queued"] == 1  # type: ignore[arg-type]
    assert getattr(done[2], "code", "") == "no_such_agent"
    assert (await bob.frame("deliver"))["text"] == "undecided"
    assert [frame["method"] for frame in watcher.frames] == ["event", "presence"]


async def test_with_nothing_pending_a_read_is_answered_at_once(held: Bench) -> None:
    assert held.client("alice").ask("agents.who").done()


async def test_for_one_position_the_reply_comes_before_the_notifications(held: Bench) -> None:
    alice = held.client("alice")
    await held.agent("bob")
    await alice("events.follow", mine=True)
    left: list[str] = []
    alice.session.push = lambda frame: left.append(json.loads(frame)["params"]["kind"])
    verb = held.core.verbs.get("messages.send")
    held.hub.ask(
        alice.session, verb, verb.parse(b'{"to":"bob","text":"x"}'), lambda position, what: left.append("reply")
    )
    await held.settled()
    assert left == ["agents.joined", "reply", "tasks.submitted", "messages.sent"]


async def test_a_delivery_that_became_possible_by_an_undecided_end_waits_for_it(held: Bench, log: HeldLog) -> None:
    bob, alice = await held.agent("bob"), held.client("alice")
    first = (await alice("messages.send", to="bob", text="a"))["task_id"]
    await alice("messages.send", to="bob", text="b")
    await bob.take()
    log.hold()
    before = alice.ask("messages.send", to="bob", text="c")  # its commit looks at what is owed to bob
    assert await asyncio.to_thread(log.reached.wait, BOUND)
    ended = bob.ask("tasks.complete", task=first, text="A")
    log.reached.clear()
    log.let_go()
    log.hold()
    await asyncio.wait_for(before, BOUND)
    await turns()
    if not ended.done():  # else both were one commit, and nothing is left to see
        assert not bob.frames
    log.let_go()
    await ended
    assert (await bob.take())["text"] == "b"


async def test_a_change_waits_while_the_writer_has_no_room_and_is_then_decided(held: Bench, log: HeldLog) -> None:
    bob, alice = await held.agent("bob"), held.client("alice")
    await alice("messages.send", to="bob", text="first", mode="silent")
    await bob.take()
    log.hold()
    head = held.hub.head
    asked = [alice.ask("messages.send", to="bob", text="x", mode="silent") for _ in range(1500)]
    assert held.hub.head == head + 1000
    read = alice.ask("hub.status")
    log.let_go()
    await asyncio.wait_for(asyncio.gather(*asked), BOUND)
    await read
    assert held.hub.head == head + 1500
    positions = [json.loads(future.result())["position"] for future in asked]
    assert positions == sorted(positions)


async def test_a_refusal_computed_on_a_grant_that_fails_is_answered_unavailable() -> None:
    log = FaultyLog(held := HeldLog())
    bench = await Bench(log).open()
    try:
        first, second = (bench.peer(s) for s in (_session(), _session()))
        log.fail("append", [Fault.BEFORE])
        held.hold()
        granted = first.ask("agents.join", profile="claude", name="bob", workspace="w")
        refused = second.ask("agents.join", profile="codex", name="bob", workspace="w")
        held.let_go()
        for asked in (granted, refused):
            with pytest.raises(Unavailable):
                await asyncio.wait_for(asked, BOUND)
        await bench.settled()
        assert (await second("agents.join", profile="codex", name="bob", workspace="w"))["name"] == "bob"
        assert bench.picture() == bench.refolded()
    finally:
        await bench.close()


def _session() -> Any:
    from synapse.hub.sessions import Session

    return Session(workspace="w")
