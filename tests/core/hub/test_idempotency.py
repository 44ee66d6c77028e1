"""A retry gets the first answer, whatever happened in between."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from synapse.hub.keys import LIMIT, SECONDS, Keys
from synapse.hub.sessions import Session
from synapse.log.faulty import Fault, FaultyLog
from synapse.log.memory import MemoryLog
from synapse.log.sqlite import SqliteLog
from tests.core.hub.kit import BOUND, Bench, HeldLog

SEND: dict[str, Any] = {"to": "bob", "text": "x", "idempotency_key": "k1"}


async def test_a_retry_gets_the_same_bytes_and_changes_nothing(bench: Bench) -> None:
    await bench.agent("bob")
    alice = bench.client("alice")
    first = await alice.raw("messages.send", **SEND)
    head = bench.hub.head
    assert await alice.raw("messages.send", **SEND) == first
    assert await alice.raw("messages.send", to="bob", text="x", idem_key="k1") == first
    assert bench.hub.head == head


async def test_a_retry_while_the_first_is_being_stored_waits_for_the_same_commit(held: Bench) -> None:
    assert isinstance(held.log, HeldLog)
    await held.agent("bob")
    alice = held.client("alice")
    await alice("messages.send", to="bob", text="first")
    held.log.hold()
    asked = [alice.ask("messages.send", **SEND) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(future.done() for future in asked)
    held.log.let_go()
    first, again = await asyncio.wait_for(asyncio.gather(*asked), BOUND)
    assert first == again


@pytest.mark.parametrize("how", ["restart", "crash"])
async def test_a_retry_after_a_restart_gets_the_same_bytes(tmp_path: Path, how: str) -> None:
    log = SqliteLog.open(tmp_path / "log.db")
    bench = await Bench(log).open()
    await bench.agent("bob")
    first = await bench.client("alice").raw("messages.send", **SEND)
    await getattr(bench, how)()
    assert await bench.client("alice").raw("messages.send", **SEND) == first
    await bench.close()
    log.close()


async def test_a_retry_after_an_unknown_outcome_gets_the_first_answer_or_does_it_once() -> None:
    log = FaultyLog(MemoryLog())
    bench = await Bench(log).open()
    await bench.agent("bob")
    alice = bench.client("alice")
    await alice("messages.send", to="bob", text="first")
    for fault in (Fault.BEFORE, Fault.AFTER):
        request = {**SEND, "idempotency_key": fault.value}
        log.fail("append", [fault])
        [first] = await asyncio.gather(alice.ask("messages.send", **request), return_exceptions=True)
        await bench.settled()
        again = await alice.raw("messages.send", **request)
        assert isinstance(first, Exception) or first == again
    assert bench.kinds().count("messages.sent") == 3
    await bench.close()


async def test_another_request_under_the_same_key_is_refused(bench: Bench) -> None:
    await bench.agent("bob")
    alice = bench.client("alice")
    await alice("messages.send", **SEND)
    assert (await alice.refused("messages.send", **{**SEND, "text": "y"})).code == "key_reused"
    assert (await alice.refused("agents.leave", idempotency_key="k1")).code == "key_reused"


async def test_a_key_belongs_to_its_sender(bench: Bench) -> None:
    await bench.agent("bob")
    ids = [(await bench.client(name)("messages.send", **SEND))["id"] for name in ("alice", "carol")]
    assert ids[0] != ids[1]


async def test_a_refusal_is_not_kept(bench: Bench) -> None:
    alice = bench.client("alice")
    assert (await alice.refused("messages.send", **SEND)).code == "no_such_agent"
    await bench.agent("bob")
    await alice("messages.send", **SEND)


async def test_a_refusal_for_its_size_is_not_kept_either(bench: Bench) -> None:
    runner = bench.peer(Session())
    request = {"idempotency_key": "k", "profile": "claude", "workspace": "w"}
    for _ in range(2):
        assert (await runner.refused("agents.join", role="x" * 600_000, **request)).code == "too_large"
    await runner("agents.join", role="short", **request)
    assert bench.picture() == bench.refolded()


async def test_a_long_text_is_retried_by_its_sum(bench: Bench) -> None:
    await bench.agent("bob")
    alice = bench.client("alice")
    request = {**SEND, "text": "x" * 50_000}
    assert await alice.raw("messages.send", **request) == await alice.raw("messages.send", **request)


@pytest.mark.parametrize("how", ["redact", "forget"])
async def test_an_answer_that_is_gone_is_refused_and_not_done_again(bench: Bench, how: str) -> None:
    await bench.agent("bob")
    alice = bench.client("alice")
    sent = await alice("messages.send", **SEND)
    if how == "redact":
        bench.log.redact(sent["position"])
    else:
        bench.log.forget([sent["id"]])
    assert (await alice.refused("messages.send", **SEND)).code == "forgotten"


def test_the_newest_keys_are_kept() -> None:
    keys = Keys()
    for number in range(LIMIT + 10):
        keys.add(number.to_bytes(16, "big"), number + 1)
    assert len(keys) == LIMIT
    assert keys.find((0).to_bytes(16, "big")) == 0
    assert keys.find((LIMIT + 9).to_bytes(16, "big")) == LIMIT + 10


async def test_keys_of_more_than_a_day_are_forgotten_by_a_start(bench: Bench) -> None:
    await bench.agent("bob")
    await bench.client("alice")("messages.send", **SEND)
    bench.clock.advance(SECONDS + 1)
    await bench.restart()
    await bench.client("alice")("messages.send", **SEND)
    assert bench.kinds().count("messages.sent") == 2
