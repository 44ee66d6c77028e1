"""Calls to those who want to hear of tasks: what is told, in which order, again, and to whom never."""

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Coroutine
from email.utils import formatdate
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from a2a.types import a2a_pb2 as pb

from synapse.a2a import callbacks
from synapse.a2a.callbacks import Caller, Patience
from synapse.a2a.outgoing import Outgoing, retry_after
from synapse.a2a.telling import EVENT, LARGEST, LEFT_OUT, SIGNATURE, TIMESTAMP, TOKEN, signature
from synapse.errors import Refused, Unavailable
from synapse.hub.addresses import Reach
from synapse.hub.callbacks import EVENT_ID, Callbacks
from synapse.hub.push import reach
from synapse.log.base import Log
from synapse.log.faulty import Fault, FaultyLog, random_faults
from synapse.log.memory import MemoryLog
from synapse.testing import Bench
from tests.core.a2a import schema
from tests.core.a2a.receiving import Receiver
from tests.core.hub.kit import HeldLog

QUICK = Patience(timeout=2.0, retries=3, pause=0.02)
ENDLESS = Patience(timeout=60.0, retries=10**9, pause=0.0)


class House:
    """A hub that calls, a receiver, a person who asks, and a client bob who works."""

    def __init__(self, log: Log | None = None) -> None:
        self.bench = Bench(log)
        self.receiver = Receiver()
        self.patience = QUICK

    async def open(self) -> "House":
        await self.receiver.open()
        await self.bench.open()
        self.bench.hub.place.webhooks = Reach(lifted_by="webhooks.allow_private")
        self.enter()
        self.bob = self.bench.client("bob")
        await self.bob("agents.advertise", description="does it")
        return self

    def enter(self) -> None:
        hub = self.bench.hub
        self.caller = Caller(
            hub,
            Outgoing(lambda: reach(hub, hub.place.push)),
            Outgoing(lambda: reach(hub, hub.place.webhooks)),
            self.patience,
        )
        self.caller.look_everywhere()
        self.kim = self.bench.person("kim")

    async def close(self) -> None:
        await self.caller.close()
        await self.bench.close()
        await self.receiver.close()

    async def crash(self) -> None:
        """The hub ends without a word, and begins again."""
        old = self.caller
        await self.bench.crash()
        await old.close()
        self.bob = self.bench.client("bob")
        self.enter()

    async def ask(self, text: str = "do it", **push: Any) -> str:
        """A task of kim's for bob, told to `push`."""
        reply = await self.kim("tasks.submit", to="bob", text=text)
        task = str(reply["task_id"])
        if push:
            await self.kim("push.set", task=task, since=reply["position"], **push)
        return task

    async def take(self, task: str) -> str:
        """Bob has read it: it is in his hands."""
        await self.bob("messages.read", id=task)
        return task

    async def fail(self, task: str) -> None:
        await self.bob("tasks.complete", task=await self.take(task), text="no", failed=True)

    async def answer(self, task: str, text: str = "done") -> None:
        await self.bob("messages.reply", to=task, text=text)

    async def hook(self, path: str = "/hook", **more: Any) -> str:
        return str((await self.kim("webhooks.add", url=self.receiver.url(path), **more))["id"])

    async def deliveries(self) -> list[dict[str, Any]]:
        self.caller.settle()
        found: list[dict[str, Any]] = (await self.kim("webhooks.deliveries"))["deliveries"]
        return found

    async def made(self, count: int = 1) -> list[dict[str, Any]]:
        """The calls of webhooks, when so many are over."""

        async def over() -> list[dict[str, Any]]:
            while True:
                found = [one for one in await self.deliveries() if one["outcome"] != "waiting"]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.005)

        return await asyncio.wait_for(over(), 15)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = await House().open()
    yield house
    await house.close()


# -- push


async def test_a_push_tells_the_answer_and_then_the_end_with_its_credentials(house: House) -> None:
    task = await house.ask(url=house.receiver.url("/push"), token="t0ken", scheme="Bearer", credentials="s3cret")
    await house.answer(task)
    artifact, status = await house.receiver.until(2, "/push")
    assert artifact.json["artifactUpdate"]["artifact"]["parts"] == [{"text": "done"}]
    assert artifact.json["artifactUpdate"]["lastChunk"] is True
    assert status.json["statusUpdate"]["taskId"] == task
    assert status.state == "TASK_STATE_COMPLETED"
    for call in (artifact, status):
        assert call.headers["Content-Type"] == "application/a2a+json"
        assert call.headers["Authorization"] == "Bearer s3cret"
        assert call.headers["X-A2A-Notification-Token"] == "t0ken"
    assert artifact.headers["X-Synapse-Event-Id"] != status.headers["X-Synapse-Event-Id"]


async def test_every_change_is_told_in_order_to_each_who_asked(house: House) -> None:
    urls = [house.receiver.url(f"/push/{number}") for number in range(3)]
    house.receiver.answers["/push/1"] = lambda number: 0.02  # it is slow, and misses nothing
    task = await house.ask(url=urls[0])
    for url in urls[1:]:
        await house.kim("push.set", task=task, url=url)
    await house.take(task)
    expected = ["TASK_STATE_WORKING"]
    for round in range(3):
        await house.bob("tasks.ask", task=task, question=f"this or that? {round}")
        await house.kim("tasks.say", task=task, text="that")
        expected += ["TASK_STATE_INPUT_REQUIRED", "TASK_STATE_WORKING"]
    await house.answer(task)
    expected += ["artifactUpdate", "TASK_STATE_COMPLETED"]
    for number in range(3):
        told = await house.receiver.until(len(expected), f"/push/{number}")
        assert [call.state for call in told] == expected
        assert house.receiver.most[f"/push/{number}"] == 1


async def test_a_client_of_0_3_is_told_the_task_in_its_shape(house: House) -> None:
    task = await house.ask(url=house.receiver.url("/push"), version="0.3")
    await house.answer(task)
    [told] = await house.receiver.until(1, "/push")
    assert told.json["kind"] == "task"
    assert told.json["status"]["state"] == "completed"
    assert told.json["artifacts"][0]["parts"] == [{"kind": "text", "text": "done"}]


async def test_what_happened_before_a_config_was_there_is_told_when_it_was_asked_for_with_the_task(
    house: House,
) -> None:
    asked = await house.kim("tasks.submit", to="bob", text="quick")
    await house.answer(asked["task_id"])
    set = {"task": asked["task_id"], "url": house.receiver.url("/push")}
    await house.kim("push.set", **set, id="late")
    await house.kim("push.set", **set, id="inline", since=asked["position"])
    told = await house.receiver.until(2, "/push")
    assert [call.state for call in told] == ["artifactUpdate", "TASK_STATE_COMPLETED"]
    house.caller.settle()
    await house.bench.settled()
    assert all(config.over for config in house.bench.hub.state.get(Callbacks).configs[asked["task_id"]].values())


async def test_a_config_that_was_deleted_is_told_nothing_more(house: House) -> None:
    house.caller._patience = ENDLESS
    house.receiver.answers["/push"] = lambda number: 503
    task = await house.ask(url=house.receiver.url("/push"), id="mine")
    await house.answer(task)
    await house.receiver.until(1, "/push")
    assert (await house.kim("push.delete", task=task, id="mine"))["deleted"] is True
    told = len(house.receiver.calls)
    await house.bench.until(lambda: not house.caller._lines)
    assert len(house.receiver.calls) <= told + 1  # which was under way


async def test_a_config_that_was_changed_is_told_at_its_new_place(house: House) -> None:
    house.receiver.answers["/old"] = lambda number: 503
    house.caller._patience = Patience(timeout=2.0, retries=1000, pause=0.0)
    task = await house.ask(url=house.receiver.url("/old"), id="mine", token="old")
    await house.answer(task)
    await house.receiver.until(3, "/old")
    await house.kim("push.set", task=task, url=house.receiver.url("/new"), id="mine", token="new")
    told = await house.receiver.until(2, "/new")
    assert [call.state for call in told] == ["artifactUpdate", "TASK_STATE_COMPLETED"]
    assert {call.headers["X-A2A-Notification-Token"] for call in told} == {"new"}


async def test_a_thousand_configs_of_one_task_are_all_told(house: House) -> None:
    task = await house.ask()
    await asyncio.gather(
        *(house.kim("push.set", task=task, url=house.receiver.url(f"/push?n={n}"), id=f"c{n}") for n in range(1000))
    )
    assert (await house.kim.refused("push.set", task=task, url=house.receiver.url("/push"))).code == "too_many"
    await house.fail(task)
    told = await house.receiver.until(2000, "/push")
    assert {call.state for call in told} == {"TASK_STATE_WORKING", "TASK_STATE_FAILED"}
    assert house.receiver.most["/push"] <= 8
    await house.bench.until(lambda: not house.caller._lines)
    house.caller.settle()
    await house.bench.settled()
    assert len(house.receiver.calls) == 2000
    assert not house.bench.hub.state.get(Callbacks).tasks_owed()


# -- webhooks


async def test_a_webhook_is_called_on_each_end_signed_and_under_an_id_of_its_own(house: House) -> None:
    await house.hook(secret="geheim")
    task = await house.ask()
    await house.answer(task, "fertig ✓")
    [call] = await house.receiver.until(1, "/hook")
    assert call.json["event"] == call.headers["X-Synapse-Event"] == "task.completed"
    assert call.json["id"] == call.headers["X-Synapse-Event-Id"]
    assert call.json["agent"] == "bob"
    assert call.json["task"]["status"] == "completed"
    assert call.json["task"]["artifacts"][0]["parts"] == [{"type": "text", "text": "fertig ✓"}]
    expected = signature("geheim", call.headers["X-Synapse-Timestamp"], call.body)
    assert call.headers["X-Synapse-Signature"] == expected
    assert expected != signature("anders", call.headers["X-Synapse-Timestamp"], call.body)


async def test_a_webhook_hears_only_of_the_events_and_the_agent_that_it_is_for(house: House) -> None:
    carol = house.bench.client("carol")
    await carol("agents.advertise", description="works too")
    await house.hook("/failed", events=["task.failed"])
    await house.hook("/carol", agent="carol")
    await house.hook("/all")
    done, failed, asks, off = [await house.ask(text) for text in ("a", "b", "c", "d")]
    hers = (await house.kim("tasks.submit", to="carol", text="e"))["task_id"]
    await house.answer(done)
    await house.fail(failed)
    await house.bob("tasks.ask", task=await house.take(asks), question="which?")
    await house.kim("tasks.cancel", task=off)
    await carol("messages.reply", to=hers, text="done")
    all = await house.receiver.until(5, "/all")
    assert {call.json["event"] for call in all} == {
        "task.completed", "task.failed", "task.input_required", "task.canceled",
    }  # fmt: skip
    assert [call.json["task"]["id"] for call in await house.receiver.until(1, "/failed")] == [failed]
    assert [call.json["task"]["id"] for call in await house.receiver.until(1, "/carol")] == [hers]
    await house.made(7)
    assert len(house.receiver.calls) == 7


async def test_what_fails_is_called_again_and_then_given_up(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.receiver.answers["/hook"] = lambda number: 500
    await house.hook("/hook?key=s3cret")
    with caplog.at_level(logging.WARNING):
        await house.answer(await house.ask())
        [made] = await house.made()
    assert (made["outcome"], made["status"], made["attempts"]) == ("failed", 500, 4)
    calls = house.receiver.of("/hook")
    assert len(calls) == 4
    assert len({(call.headers["X-Synapse-Event-Id"], call.body) for call in calls}) == 1
    assert "was not told of" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("answers", "attempts"),
    [([503, 429, 408, 200], 4), ([400], 1), ([404], 1), ([410], 1), ([302], 1), ([500, 204], 2)],
)
async def test_a_refusal_is_not_repeated_and_what_passes_is(house: House, answers: list[int], attempts: int) -> None:
    house.receiver.answers["/hook"] = lambda number: answers[number]
    house.receiver.headers["/hook"] = {"Location": house.receiver.url("/elsewhere")}
    await house.hook()
    await house.answer(await house.ask())
    [made] = await house.made()
    assert (made["status"], made["attempts"]) == (answers[-1], attempts)
    assert (made["outcome"] == "delivered") is (answers[-1] < 300)
    assert not house.receiver.of("/elsewhere")


@pytest.fixture
async def slow(house: House) -> AsyncIterator[Receiver]:
    """One that is told of every end, and does not answer."""
    slow = Receiver()
    await slow.open()
    slow.answers["/slow"] = lambda number: 20.0
    await house.kim("webhooks.add", url=slow.url("/slow"))
    yield slow
    await house.caller.close()
    await slow.close()


async def test_who_does_not_answer_in_time_is_called_again(house: House, slow: Receiver) -> None:
    house.caller._patience = Patience(timeout=0.3, retries=1, pause=0.01)
    tasks = [await house.ask(str(number)) for number in range(10)]
    for task in tasks:
        await house.answer(task)
    made = await house.made(10)
    assert {(one["outcome"], one["status"], one["attempts"]) for one in made} == {("failed", 0, 2)}
    assert {"does not answer in time" in one["error"] for one in made} == {True}
    assert slow.most["/slow"] <= 8


async def test_who_does_not_answer_holds_up_nobody(house: House, slow: Receiver) -> None:
    house.caller._patience = ENDLESS
    await house.hook("/quick")
    tasks = [await house.ask(str(number)) for number in range(30)]
    for task in tasks:
        await house.answer(task)
    await house.receiver.until(30, "/quick")
    assert len(slow.calls) <= 8


async def test_nobody_there_is_told_as_such(house: House) -> None:
    house.caller._patience = Patience(timeout=1.0, retries=1, pause=0.01)
    await house.kim("webhooks.add", url="http://127.0.0.1:1/")
    await house.answer(await house.ask())
    [made] = await house.made()
    assert (made["outcome"], made["status"]) == ("failed", 0)
    assert "cannot be reached" in made["error"]


@pytest.mark.parametrize("status", [503, 429])
@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "date"])
async def test_who_says_for_how_long_it_wants_to_be_left_alone_is(house: House, status: int, as_date: bool) -> None:
    house.receiver.answers["/hook"] = lambda number: (status, 200)[number]
    until = formatdate(house.bench.clock.now() + 2, usegmt=True) if as_date else "1"
    house.receiver.headers["/hook"] = {"Retry-After": until}
    await house.hook()
    await house.answer(await house.ask())
    first, again = await house.receiver.until(2, "/hook")
    assert again.at - first.at >= 0.95
    assert (await house.made())[0]["outcome"] == "delivered"


@pytest.mark.parametrize("after", ["864000", "9" * 400, formatdate(1e10, usegmt=True)], ids=["days", "digits", "date"])
async def test_nobody_is_left_alone_for_ever(house: House, after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "LONGEST_PAUSE", 0.3)
    house.receiver.answers["/hook"] = lambda number: (503, 200)[number]
    house.receiver.headers["/hook"] = {"Retry-After": after}
    await house.hook()
    await house.answer(await house.ask())
    first, again = await house.receiver.until(2, "/hook")
    assert 0.25 <= again.at - first.at < 5


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("120", 120.0), (" 7 ", 7.0), ("0", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 30.0), ("", 0.0), ("soon", 0.0),
        ("-5", 0.0), ("1.5", 0.0), ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0), ("٣", 0.0), ("Wed, 99 Xxx 2015", 0.0),
        ("Wed, 21 Oct 2015 07:28:00", 30.0), ("Wed, 21 Oct 99999 07:28:00 GMT", 0.0),
    ],
)  # fmt: skip
def test_when_to_ask_again_is_read_as_seconds_or_as_a_date(given: str, seconds: float) -> None:
    assert retry_after({"Retry-After": given}, 1445412450.0) == seconds


async def test_an_answer_that_is_larger_than_a_call_is_left_out_and_said_to_be_with_the_task(house: House) -> None:
    await house.hook()
    text = "long ø " * 200_000
    task = await house.ask(url=house.receiver.url("/push"), id="new")
    await house.kim("push.set", task=task, url=house.receiver.url("/old"), id="old", version="0.3")
    await house.answer(task, text)
    [status] = await house.receiver.until(1, "/push")
    assert status.state == "TASK_STATE_COMPLETED"
    assert task in status.json["statusUpdate"]["metadata"][LEFT_OUT]
    schema.fits(pb.StreamResponse, status.json)
    [old] = await house.receiver.until(1, "/old")
    assert (old.json["status"]["state"], "artifacts" in old.json) == ("completed", False)
    assert task in old.json["metadata"][LEFT_OUT]
    [hook] = await house.receiver.until(1, "/hook")
    assert (hook.json["task"]["status"], hook.json["task"]["artifacts"]) == ("completed", [])
    assert task in hook.json["task"]["metadata"][LEFT_OUT]
    assert all(len(call.body) < 4096 for call in (status, old, hook))
    assert (await house.kim("tasks.get", task=task))["answer"][0]["value"] == text


async def test_a_reason_that_is_larger_than_a_call_is_told_by_its_beginning(house: House) -> None:
    task = await house.ask(url=house.receiver.url("/push"))
    await house.bob("tasks.complete", task=await house.take(task), text="why " * 500_000, failed=True)
    told = (await house.receiver.until(2, "/push"))[1]
    update = told.json["statusUpdate"]
    assert update["status"]["message"]["parts"][0]["text"].startswith("why why ")
    assert task in update["metadata"][LEFT_OUT]
    assert len(told.body) < 64 * 1024
    schema.fits(pb.StreamResponse, told.json)


async def test_what_fits_is_told_whole(house: House) -> None:
    text = "x" * (LARGEST - 1000)
    task = await house.ask(url=house.receiver.url("/push"))
    await house.answer(task, text)
    artifact, status = await house.receiver.until(2, "/push")
    assert artifact.json["artifactUpdate"]["artifact"]["parts"] == [{"text": text}]
    assert "metadata" not in status.json["statusUpdate"]


async def test_an_address_that_may_not_be_called_any_more_is_not_called_and_not_tried_again(house: House) -> None:
    await house.hook()
    house.bench.hub.place.webhooks = Reach(loopback=False)
    await house.answer(await house.ask())
    [made] = await house.made()
    assert (made["outcome"], made["attempts"]) == ("failed", 1)
    assert "this machine" in made["error"]
    assert not house.receiver.calls


async def test_what_was_not_told_before_a_crash_is_told_after_it(house: House) -> None:
    house.receiver.answers["/hook"] = house.receiver.answers["/push"] = lambda number: 503 if number == 0 else 200
    house.caller._patience = Patience(timeout=1.0, retries=3, pause=60.0)
    await house.hook(secret="geheim")
    task = await house.ask(url=house.receiver.url("/push"), credentials="s3cret")
    await house.answer(task)
    await house.receiver.until(1, "/hook")
    await house.receiver.until(1, "/push")
    await house.crash()
    first, again = await house.receiver.until(2, "/hook")
    assert first.headers["X-Synapse-Event-Id"] == again.headers["X-Synapse-Event-Id"]
    assert "X-Synapse-Signature" in again.headers
    told = await house.receiver.until(3, "/push")
    assert [call.state for call in told[1:]] == ["artifactUpdate", "TASK_STATE_COMPLETED"]
    assert told[-1].headers["Authorization"] == "Bearer s3cret"
    assert len(await house.made()) == 1
    house.bench.check()


async def test_what_was_told_and_noted_is_not_told_again_after_a_restart(house: House) -> None:
    await house.hook()
    await house.answer(await house.ask(url=house.receiver.url("/push")))
    await house.receiver.until(2, "/push")
    await house.made()
    await house.bench.until(lambda: not house.caller._lines)
    house.caller.settle()
    await house.bench.settled()
    await house.crash()
    await house.hook("/other")
    await house.answer(await house.ask())
    await house.receiver.until(1, "/other")
    assert len(house.receiver.of("/push")) == 2
    assert len({call.headers["X-Synapse-Event-Id"] for call in await house.receiver.until(2, "/hook")}) == 2


async def test_nothing_is_told_before_it_is_stored() -> None:
    held = HeldLog()
    house = await House(held).open()
    try:
        await house.hook()
        task = await house.ask(url=house.receiver.url("/push"))
        other = await house.ask("other")
        held.hold()
        answering = house.bob.ask("messages.reply", to=task, text="done")
        await house.bench.until(held.reached.is_set)
        house.caller.look_everywhere()
        again = house.bob.ask("messages.reply", to=other, text="done")
        for _ in range(50):
            await asyncio.sleep(0)
        assert not house.receiver.calls
        held.let_go()
        await asyncio.gather(answering, again)
        assert len(await house.receiver.until(2, "/hook")) == 2
        await house.receiver.until(2, "/push")
    finally:
        held.let_go()
        await house.close()


async def test_what_could_not_be_stored_is_never_told_and_what_could_not_be_noted_is_told_again() -> None:
    log = FaultyLog(MemoryLog())
    house = await House(log).open()
    house.bench.truth = log
    try:
        await house.hook()
        first, second = await house.ask("first"), await house.ask("second")
        log.fail("append", [Fault.BEFORE])
        with pytest.raises(Unavailable):
            await house.answer(first)
        await house.bench.settled()
        await house.answer(second)
        [call] = await house.receiver.until(1, "/hook")
        assert call.json["task"]["id"] == second
        await house.bench.until(lambda: house.caller._outcomes)
        log.fail("append", [Fault.BEFORE])
        house.caller.settle()
        again = (await house.receiver.until(2, "/hook"))[1]
        assert again.headers[EVENT_ID] == call.headers[EVENT_ID]
        assert len(await house.made()) == 1
        await house.answer(first)
        assert (await house.receiver.until(3, "/hook"))[2].json["task"]["id"] == first
    finally:
        await house.close()


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_fails_everything_stored_is_told_in_order_and_noted_at_last(seed: int) -> None:
    """The storage fails now and then, receivers do, and the hub crashes: at least once, in order, and none forever."""
    log = FaultyLog(MemoryLog())
    house = House(log)
    house.patience = Patience(timeout=2.0, retries=60, pause=0.0)
    await house.open()
    house.bench.truth = log
    house.receiver.answers["/hook"] = lambda number: (200, 503, 200, 429, 500, 200)[(number + seed) % 6]
    house.receiver.answers["/push"] = lambda number: (503, 200, 200)[(number + seed) % 3]
    try:
        await house.hook()
        tasks = [await house.ask(str(number), url=house.receiver.url("/push")) for number in range(12)]
        log.fail("append", islice(random_faults(seed, 0.2), 200))
        for number, task in enumerate(tasks):
            log.fail("read", islice(random_faults(seed + number, 0.3), 10))
            for step in (house.take, house.answer):
                while not await _stored(house, step(task)):
                    await house.bench.settled()
            if number % 5 == 4:
                await house.bench.settled()
                log.fail("read", [])  # a hub that cannot read its log does not start
                await house.crash()
        log.fail("append", [])
        log.fail("read", [])
        await house.bench.settled()

        async def noted() -> None:
            while house.bench.hub.state.get(Callbacks).tasks_owed():
                house.caller.settle()
                await asyncio.sleep(0.002)

        await asyncio.wait_for(noted(), 15)
        await house.bench.settled()
        house.bench.check()
        for task in tasks:
            assert [c for c in house.receiver.of("/hook") if c.json["task"]["id"] == task]
            told = [c for c in house.receiver.of("/push") if task in c.body.decode()]
            firsts = list(dict.fromkeys(call.state for call in told))
            assert firsts == ["TASK_STATE_WORKING", "artifactUpdate", "TASK_STATE_COMPLETED"]
    finally:
        await house.close()


async def _stored(house: House, step: Coroutine[Any, Any, Any]) -> bool:
    """Was it stored? What is not known is asked again, and may have been."""
    try:
        await step
    except Unavailable:
        return False
    except Refused:
        pass  # it was
    return True


async def test_a_hub_that_stops_does_not_wait_for_who_is_silent(house: House) -> None:
    house.caller._patience = ENDLESS
    house.receiver.answers["/hook"] = lambda number: 20.0
    await house.hook()
    await house.answer(await house.ask())
    await house.receiver.until(1, "/hook")
    async with asyncio.timeout(10):
        await house.caller.close()
        await house.bench.restart()
    assert house.bench.hub.state.get(Callbacks).tasks_owed()
    house.receiver.answers.clear()
    house.enter()
    await house.receiver.until(2, "/hook")
    await house.made()
    await house.caller.close()
    await house.bench.restart()
    house.enter()
    assert not house.bench.hub.state.get(Callbacks).tasks_owed()


async def test_many_outcomes_are_few_records(house: House) -> None:
    await house.hook()
    tasks = [await house.ask(str(number)) for number in range(50)]
    before = house.bench.hub.head
    for task in tasks:
        await house.answer(task)
    await house.receiver.until(50, "/hook")
    await house.bench.until(lambda: not house.caller._lines)
    house.caller.settle()
    await house.bench.settled()
    assert house.bench.kinds().count("webhooks.settled") == 50
    assert house.bench.hub.head - before < 50 + 10


async def test_a_removed_webhook_is_called_no_more(house: House) -> None:
    house.caller._patience = ENDLESS
    house.receiver.answers["/hook"] = lambda number: 503
    id = await house.hook()
    await house.answer(await house.ask())
    await house.receiver.until(1, "/hook")
    await house.kim("webhooks.remove", id=id)
    told = len(house.receiver.calls)
    await house.bench.until(lambda: not house.caller._lines)
    assert len(house.receiver.calls) <= told + 1  # which was under way
    assert (await house.kim("webhooks.deliveries"))["deliveries"] == []


def test_the_signature_is_that_of_the_timestamp_and_the_body() -> None:
    import hashlib
    import hmac

    digest = hmac.new(b"key", b'1700000000.{"a":1}', hashlib.sha256).hexdigest()
    assert signature("key", "1700000000", b'{"a":1}') == f"sha256={digest}"


def test_the_page_shows_how_a_signature_is_checked() -> None:
    page = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
    [script] = re.findall(r"```python\n(.*?)```", page, re.S)
    there: dict[str, Any] = {}
    exec(script, there)
    stamp = str(int(time.time()))
    headers = {"X-Synapse-Timestamp": stamp, "X-Synapse-Signature": signature("key", stamp, b"{}")}
    assert there["genuine"](headers, b"{}", "key") is True
    assert there["genuine"](headers, b"{ }", "key") is False
    assert there["genuine"](headers, b"{}", "other") is False
    old = {**headers, "X-Synapse-Timestamp": "1700000000", "X-Synapse-Signature": signature("key", "1700000000", b"{}")}
    assert there["genuine"](old, b"{}", "key") is False
    [body] = map(json.loads, re.findall(r"```json\n(.*?)```", page, re.S))
    assert set(body) == {"id", "event", "timestamp", "agent", "task"}
    for name in (SIGNATURE, TIMESTAMP, EVENT, EVENT_ID, TOKEN):
        assert f"`{name}" in page


async def test_who_names_the_blob_of_a_secret_learns_nothing(house: House) -> None:
    task = await house.ask()
    secret = {"token": "tok-geheim", "scheme": "Bearer", "credentials": "cred-geheim"}
    await house.kim("push.set", task=task, url=house.receiver.url("/push"), **secret)
    [configured] = house.bench.bodies("push.configured")
    blob = configured["secrets"]
    assert (await house.kim.refused("blobs.get", blob=blob)).code == "no_such_blob"
    sent = await house.kim("messages.send", to="kim", text="", blob=blob, mode="silent")
    assert "geheim" not in str(await house.kim("messages.show", id=sent["id"]))
    parts = [{"kind": "raw", "blobs": [blob], "size": 1}, {"kind": "text", "blobs": [blob], "size": 1}]
    asked = await house.kim("tasks.submit", to="bob", text="look", parts=parts)
    assert "geheim" not in str(await house.kim("tasks.get", task=asked["task_id"]))
    await house.answer(task, "fertig")
    calls = await house.receiver.until(1, "/push")
    assert calls[0].headers["Authorization"] == "Bearer cred-geheim"
