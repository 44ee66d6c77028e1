"""Tasks: their ends, their questions, waiting for them, and their history."""

from typing import Any

import pytest

from tests.core.hub.kit import Bench, Peer


@pytest.fixture
async def bob(bench: Bench) -> Peer:
    return await bench.agent("bob")


@pytest.fixture
async def alice(bench: Bench) -> Peer:
    return bench.client("alice")


async def given(bob: Peer, alice: Peer, **more: Any) -> str:
    """A task that is in bob's terminal."""
    task = (await alice("messages.send", to="bob", text="work", **more))["task_id"]
    await bob.take()
    return str(task)


async def test_what_an_answer_has_cost_is_kept(bob: Peer, alice: Peer) -> None:
    for failed in (False, True):
        task = await given(bob, alice)
        usage = {"input": 12, "output": 3}
        await bob("tasks.complete", task=task, text="x", source="record", failed=failed, usage=usage)
        assert (await alice("history.show", task=task))["usage"] == usage


async def test_a_task_that_ends_without_an_answer_says_so(bob: Peer, alice: Peer) -> None:
    task = await given(bob, alice)
    await bob("tasks.complete", task=task, text=" ", source="none")
    assert (await alice("history.show", task=task))["answer"] == "MISSING_REPLY"


async def test_only_the_terminal_that_has_it_ends_a_task(bench: Bench, bob: Peer, alice: Peer) -> None:
    eve, task = await bench.agent("eve"), await given(bob, alice)
    for verb in ("tasks.complete", "tasks.ask", "tasks.resume"):
        assert (await eve.refused(verb, task=task)).code == "not_yours"
        assert (await eve.refused(verb, task="t-none")).code == "no_such_task"
    await bob("tasks.complete", task=task, failed=True, text="it crashed", reason="crash")
    assert (await bob.refused("tasks.complete", task=task)).code == "task_ended"
    assert (await alice("history.show", task=task))["reason"] == "crash"


async def test_a_question_is_a_state_that_is_told_once_and_goes_with_its_answer(
    bench: Bench, bob: Peer, alice: Peer
) -> None:
    task = await given(bob, alice, mode="wait")
    waiting = alice.ask("tasks.wait", task=task, any_change=True)
    for _ in range(2):
        await bob("tasks.ask", task=task, question="Delete it?", choices=["yes", "no"])
    assert b'"input-required"' in await waiting
    assert bench.kinds().count("tasks.input_required") == 1
    line = (await alice("agents.show", target="bob"))["task"]
    assert (line["question"], line["choices"]) == ("Delete it?", ["yes", "no"])
    await bob("tasks.resume", task=task)
    assert (await alice("agents.show", target="bob"))["task"]["state"] == "working"
    assert await alice("tasks.wait", task=task, any_change=True, timeout=0) == {"pending": True}


async def test_who_asked_calls_a_task_off_and_is_not_told_what_it_knows(bench: Bench, bob: Peer, alice: Peer) -> None:
    eve, task = await bench.agent("eve"), await given(bob, alice)
    assert (await eve.refused("tasks.cancel", task=task)).code == "not_yours"
    await alice("tasks.cancel", task=task)
    assert await alice("messages.inbox") == {}
    assert (await alice("tasks.wait", task=task))["state"] == "canceled"


async def test_a_person_calls_a_task_off_and_who_asked_is_told(bench: Bench, bob: Peer, alice: Peer) -> None:
    task = await given(bob, alice)
    await bench.person()("tasks.cancel", task=task, reason="not today")
    assert (await alice("messages.inbox"))["messages"][0]["text"] == "canceled (canceled): not today"


async def test_a_canceled_task_leaves_the_queue(bob: Peer, alice: Peer) -> None:
    task = (await alice("messages.send", to="bob", text="work"))["task_id"]
    await alice("tasks.cancel", task=task)
    assert (await bob.refused("messages.typing", id=task)).code == "no_such_message"


async def test_who_waits_no_longer_gets_the_answer_as_a_message(bench: Bench, bob: Peer, alice: Peer) -> None:
    task = await given(bob, alice, mode="wait")
    assert (await bob.refused("tasks.stop_waiting", task=task)).code == "not_yours"
    await alice("tasks.stop_waiting", task=task)
    await alice("tasks.stop_waiting", task=task)
    assert bench.kinds().count("tasks.wait_ended") == 1
    await bob("messages.reply", text="late")
    assert (await alice("messages.inbox"))["messages"][0]["text"] == "late"


async def test_a_wait_is_bounded_and_can_be_asked_again(bob: Peer, alice: Peer) -> None:
    task = await given(bob, alice, mode="wait")
    assert await alice("tasks.wait", task=task, timeout=-1) == {"pending": True}
    assert await alice("tasks.wait", task=task, timeout=0.01) == {"pending": True}
    await bob("messages.reply", text="x")
    assert (await alice("tasks.wait", task=task))["state"] == "completed"
    assert (await alice.refused("tasks.wait", task="t-none")).code == "no_such_task"


async def test_a_wait_ends_after_a_restart_too(bench: Bench, bob: Peer, alice: Peer) -> None:
    task = await given(bob, alice, mode="wait")
    waiting = alice.ask("tasks.wait", task=task)
    await bench.restart()
    assert b"pending" in await waiting
    again = bench.client("alice")
    waiting = again.ask("tasks.wait", task=task)
    await bench.person()("tasks.cancel", task=task)
    assert b"canceled" in await waiting


async def test_history_shows_what_was_asked_and_answered_newest_last(bench: Bench, bob: Peer, alice: Peer) -> None:
    for number in range(3):
        await given(bob, alice)
        await bob("messages.reply", text=f"answer {number}")
    await alice("messages.send", to="bob", text="open")
    entries = (await alice("history.list", limit=3))["tasks"]
    assert [(e["text"], e.get("answer", ""), e["state"]) for e in entries] == [
        ("work", "answer 1", "completed"),
        ("work", "answer 2", "completed"),
        ("open", "", "submitted"),
    ]
    assert {(e["agent"], e["requester"]) for e in entries} == {("bob", "alice")}
    assert (await alice.refused("history.list", limit=0)).code == "bad_limit"
    assert (await alice.refused("history.show", task="t-none")).code == "no_such_task"


async def test_history_of_an_automatic_name_is_found_after_it_left(bench: Bench, alice: Peer) -> None:
    agent = await bench.agent()
    task = (await alice("messages.send", to="claude", text="work"))["task_id"]
    await agent.take()
    await agent("messages.reply", text="done")
    await agent("agents.leave")
    await bench.restart()
    alice = bench.client("alice")
    for target in ("claude-8100", "synapse-claude-8100", agent.key):
        [entry] = (await alice("history.list", agent=target))["tasks"]
        assert (entry["task_id"], entry["agent"], entry["answer"]) == (task, "claude-8100", "done")
    assert (await alice.refused("history.list", agent="nobody")).code == "no_such_agent"


async def test_history_of_one_agent_is_only_its_own(bench: Bench, bob: Peer, alice: Peer) -> None:
    await bench.agent("eve")
    await alice("messages.send", to="bob,eve", text="work")
    assert [e["agent"] for e in (await alice("history.list", agent="eve"))["tasks"]] == ["eve"]


async def test_an_agent_whose_task_is_called_off_is_interrupted_and_one_that_was_answered_is_not(bench: Bench) -> None:
    alice, bob = bench.client("alice"), await bench.agent("bob")
    first = (await alice("messages.send", to="bob", text="x"))["task_id"]
    await bob.take()
    await alice("tasks.cancel", task=first)
    assert await bob.frame("interrupt") == {}
    second = (await alice("messages.send", to="bob", text="y"))["task_id"]
    await bob.take()
    await bob("tasks.complete", task=second, text="done")
    await bench.hub.flushed()
    assert all(frame["method"] != "interrupt" for frame in bob.frames)


async def test_an_answer_that_is_quicker_than_the_runners_report_says_that_the_message_has_arrived(
    bench: Bench,
) -> None:
    alice, bob = bench.client("alice"), await bench.agent("bob")
    first = (await alice("messages.send", to="bob", text="x"))["task_id"]
    await alice("messages.send", to="bob", text="later")
    message = await bob.frame("deliver")
    await bob("messages.typing", id=message["id"])
    assert (await bob("messages.reply", text="done"))["task_id"] == first
    assert (await bob.refused("messages.delivered", id=first)).code == "no_such_message"
    kinds = [event.kind for record in bench.log.story(first) for event in record.events]
    assert kinds.count("messages.delivered") == 1
    assert (await bob.frame("deliver"))["text"] == "later"
