"""Sending, replying, and how conversations end."""

import asyncio
from typing import Any

import pytest

from synapse.clock import ManualClock
from synapse.hub.limits import Limits, RateLimited
from tests.core.hub.kit import Bench


async def test_a_message_to_an_agent_is_a_task_and_waits_in_its_queue(bench: Bench) -> None:
    await bench.agent("bob")
    alice = bench.client("alice")
    sent = await alice("messages.send", to="bob", text="review auth.py")
    assert sent["task_id"] == sent["id"]
    shown = await alice("agents.show", target="bob")
    assert (shown["agent"]["queued"], shown["waiting"][0]["requester"]) == (1, "alice")


async def test_a_silent_message_asks_no_work(bench: Bench) -> None:
    await bench.agent("bob")
    sent = await bench.client("alice")("messages.send", to="bob", text="fyi", mode="silent")
    assert sent["task_id"] == ""
    assert "tasks.submitted" not in bench.kinds()


async def test_the_answer_comes_to_the_requester_as_a_message_that_expects_none(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    task = (await alice("messages.send", to="bob", text="2+2?"))["task_id"]
    given = await bob.take()
    assert (given["text"], given["sender"], given["reply_expected"]) == ("2+2?", "alice", True)
    answered = await bench.command(bob)("messages.reply", text="4")
    assert (answered["task_id"], answered["state"]) == (task, "completed")
    [answer] = (await alice("messages.inbox"))["messages"]
    assert (answer["text"], answer["sender"], answer["role"]) == ("4", "bob", "answer")
    assert "task_id" not in answer


async def test_a_waiting_sender_gets_the_receivers_answer_and_no_message(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    task = (await alice("messages.send", to="bob", text="2+2?", mode="wait"))["task_id"]
    waiting = alice.ask("tasks.wait", task=task)
    await bob.take()
    await bob("tasks.complete", task=task, text="4", source="signal")
    assert b"completed" in await waiting
    assert (await alice("history.show", task=task))["answer"] == "4"
    assert (await alice("messages.inbox")) == {}


async def test_an_answer_that_speaks_of_errors_is_no_failure(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    task = (await alice("messages.send", to="bob", text="?"))["task_id"]
    await bob.take()
    assert (await bob("tasks.complete", task=task, text="fixed the previous error: FAILED"))["state"] == "completed"


async def test_a_failure_is_what_the_agent_says_is_one(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await alice("messages.send", to="bob", text="?")
    await bob.take()
    assert (await bob("messages.reply", fail="no such file"))["state"] == "failed"
    [told] = (await alice("messages.inbox"))["messages"]
    assert (told["role"], told["text"]) == ("notification", "failed (agent): no such file")


async def test_a_reply_goes_to_the_task_in_the_terminal_and_ends_no_other(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    tasks = [(await alice("messages.send", to="bob", text=text))["task_id"] for text in "abc"]
    await bob.take()
    assert (await bob("messages.reply", text="A"))["task_id"] == tasks[0]
    assert [t["state"] for t in (await alice("history.list"))["tasks"]] == ["completed", "submitted", "submitted"]


async def test_a_reply_without_a_task_lists_what_could_be_meant(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    refusal = await bob.refused("messages.reply", text="hm")
    assert (refusal.code, refusal.sentence) == ("no_task", "You have no task to answer.")
    tasks = [(await alice("messages.send", to="bob", text=text))["task_id"] for text in "ab"]
    refusal = await bob.refused("messages.reply", text="hm")
    assert refusal.code == "no_task"
    assert all(f"synapse reply --to {task}" in refusal.sentence for task in tasks)
    await bob("messages.reply", text="to the second", to=tasks[1])
    await bob("messages.reply", text="the only one left")


async def test_a_reply_is_refused_for_anothers_or_an_ended_task(bench: Bench) -> None:
    bob, eve, alice = await bench.agent("bob"), await bench.agent("eve"), bench.client("alice")
    task = (await alice("messages.send", to="bob", text="?"))["task_id"]
    assert (await eve.refused("messages.reply", to=task, text="x")).code == "not_yours"
    assert (await bob.refused("messages.reply", to="t-none", text="x")).code == "no_such_task"
    assert (await bob.refused("messages.reply", to=task)).code == "no_text"
    await bob("messages.reply", to=task, text="x")
    assert (await bob.refused("messages.reply", to=task, text="x")).code == "task_ended"


async def test_a_person_answers_a_task_that_was_asked_of_it(bench: Bench) -> None:
    bob, kim = await bench.agent("bob"), bench.person()
    task = (await bob("messages.send", to="me", text="ship it?"))["task_id"]
    assert (await kim("messages.read", id=task))["state"] == "read"
    assert (await kim("messages.reply", text="yes"))["task_id"] == task
    assert (await bob.take())["text"] == "yes"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": "bob", "text": " \n"}, "no_text"),
        ({"to": "", "text": "x"}, "no_target"),
        ({"to": "bob,,eve", "text": "x"}, "no_target"),
        ({"to": "bob", "text": "x", "priority": 0}, "bad_priority"),
        ({"to": "bob", "text": "x", "priority": 6}, "bad_priority"),
        ({"to": "bob", "text": "x", "mode": "shout"}, "bad_mode"),
        ({"to": "bob", "blob": "xyz"}, "bad_blob"),
        ({"to": "nobody-*", "text": "x"}, "nobody"),
        ({"to": ",".join(["bob"] * 17), "text": "x"}, "too_many"),
    ],
)
async def test_a_message_of_the_wrong_shape_is_refused_and_leaves_nothing(
    bench: Bench, fields: dict[str, Any], code: str
) -> None:
    await bench.agent("bob")
    alice = bench.client("alice")
    await alice("messages.send", to="bob", text="first")
    head, picture = bench.hub.head, str(bench.picture())
    assert (await alice.refused("messages.send", **fields)).code == code
    assert (bench.hub.head, str(bench.picture())) == (head, picture)


async def test_a_message_to_several_is_a_task_for_each(bench: Bench) -> None:
    for name in ("bob", "eve"):
        await bench.agent(name)
    sent = await bench.client("alice")("messages.send", to="bob, eve,bob", text="work")
    assert sent["to"] == ["bob", "eve"]
    assert len(set(sent["tasks"])) == 2
    assert [body["to"] for body in bench.bodies("messages.sent")] == [["w/bob"], ["w/eve"]]


async def test_a_message_to_several_of_which_one_is_missing_is_sent_to_nobody(bench: Bench) -> None:
    await bench.agent("bob")
    alice = bench.client("alice")
    assert (await alice.refused("messages.send", to="bob,carol", text="work")).code == "no_such_agent"
    assert "messages.sent" not in bench.kinds()
    assert bench.picture() == bench.refolded()


async def test_a_long_text_to_sixteen_is_stored_once(bench: Bench) -> None:
    agents = [await bench.agent(f"bob{n}") for n in range(10)] + [await bench.agent(f"eve{n}", "x") for n in range(6)]
    names = ",".join([f"bob{n}" for n in range(10)] + [f"eve{n}" for n in range(6)])
    await bench.client("alice")("messages.send", to=names, text="\n" * 32_000 + "x")
    assert all(body["blob"] for body in bench.bodies("messages.sent"))
    assert len((await agents[0].frame("deliver"))["text"]) == 32_001


async def test_a_long_text_comes_back_whole(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    text = "ä€𝄞" * 20_000
    task = (await alice("messages.send", to="bob", text=text))["task_id"]
    assert (await bob.take())["text"] == text
    await bob("messages.reply", text=text + "!")
    assert (await alice("history.show", task=task))["answer"] == text + "!"
    assert (await alice("messages.inbox"))["messages"][0]["text"] == text + "!"


async def test_a_broadcast_is_one_event_and_a_note_to_each(bench: Bench) -> None:
    bob, eve = await bench.agent("bob"), await bench.agent("eve")
    await bench.agent("far", workspace="other")
    sent = await bob("messages.send", to="all", text="lunch")
    assert sent["to"] == ["eve"]
    assert (await eve.frame("deliver"))["role"] == "note"
    assert bench.kinds().count("messages.sent") == 1
    assert "tasks.submitted" not in bench.kinds()


async def test_a_glob_reaches_those_whose_name_it_means(bench: Bench) -> None:
    for name, workspace in (("web-a", "w"), ("web-b", "w"), ("db", "w"), ("x", "web")):
        await bench.agent(name, workspace=workspace)
    alice = bench.client("alice")
    assert (await alice("messages.send", to="web-*", text="hi"))["to"] == ["web-a", "web-b"]
    assert (await alice("messages.send", to="web/*", text="hi"))["to"] == ["x"]
    assert (await alice("messages.send", to="web/all", text="hi"))["to"] == ["x"]


async def test_an_agent_does_not_send_work_to_itself(bench: Bench) -> None:
    bob = await bench.agent("bob")
    assert (await bob.refused("messages.send", to="bob", text="hi")).code == "to_yourself"


# -- conversations end


async def test_a_wait_that_closes_a_circle_is_refused_with_the_circle(bench: Bench) -> None:
    a, b, c = [await bench.agent(name) for name in ("a", "b", "c")]
    await a("messages.send", to="b", text="?", mode="wait")
    await b("messages.send", to="c", text="?", mode="wait")
    refusal = await c.refused("messages.send", to="a", text="?", mode="wait")
    assert refusal.code == "circular_wait"
    assert refusal.details["circle"] == ["c", "a", "b", "c"]
    assert (await c("messages.send", to="a", text="?"))["task_id"]


async def test_a_wait_for_a_task_closes_a_circle_too(bench: Bench) -> None:
    a, b = await bench.agent("a"), await bench.agent("b")
    task = (await a("messages.send", to="b", text="?"))["task_id"]
    back = (await b("messages.send", to="a", text="?"))["task_id"]
    waiting = bench.command(a).ask("tasks.wait", task=task)
    assert (await b.refused("messages.send", to="a", text="?", mode="wait")).code == "circular_wait"
    assert (await bench.command(b).refused("tasks.wait", task=back)).code == "circular_wait"
    await b("messages.reply", text="x")
    await waiting


async def test_no_circle_is_seen_where_a_wait_has_ended(bench: Bench) -> None:
    a, b = await bench.agent("a"), await bench.agent("b")
    first = (await a("messages.send", to="b", text="?", mode="wait"))["task_id"]
    second = (await a("messages.send", to="b", text="?", mode="wait"))["task_id"]
    await b("messages.reply", to=first, text="x")
    assert (await b.refused("messages.send", to="a", text="?", mode="wait")).code == "circular_wait"
    await a("tasks.stop_waiting", task=second)
    await b("messages.send", to="a", text="?", mode="wait")


async def test_a_ninth_task_within_a_task_is_refused(bench: Bench) -> None:
    agents = [await bench.agent(f"a{n}") for n in range(1, 10)]
    await bench.client("alice")("messages.send", to="a1", text="go")
    for number, agent in enumerate(agents[:-2], 2):
        await agent.take()
        await agent("messages.send", to=f"a{number}", text="go on")
    await agents[7].take()
    assert (await agents[7].refused("messages.send", to="a9", text="go on")).code == "too_deep"
    await agents[7]("messages.send", to="a9", text="no work, just so you know", mode="silent")


async def test_two_agents_that_talk_too_much_are_slowed_down(bench: Bench) -> None:
    a, _ = await bench.agent("a"), await bench.agent("b")
    for _ in range(60):
        await a("messages.send", to="b", text="hi")
    refusal = await a.refused("messages.send", to="b", text="hi")
    assert (refusal.code, refusal.status) == ("talking_too_much", 429)
    bench.clock.advance(float(str(refusal.details["retry_after"])))
    await a("messages.send", to="b", text="hi")


async def test_a_participant_that_changes_too_much_is_slowed_down(bench: Bench) -> None:
    await bench.agent("bob")
    bench.hub.limits = Limits(bench.clock, rate=10, burst=20)
    alice, carol = bench.client("alice"), bench.client("carol")
    asked = [alice.ask("messages.send", to="bob", text="x") for _ in range(30)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [getattr(a, "code", "") for a in answers].count("rate_limited") == 9  # the first, who had no name yet, apart
    await carol("messages.send", to="bob", text="x")


def test_limits_forget_those_who_have_their_full_share_again() -> None:
    clock = ManualClock()
    limits = Limits(clock, rate=1, burst=2)
    for number in range(30_000):
        limits.caller(f"p{number}")
        clock.advance(0.01)
    assert len(limits) <= 10_000


def test_limits_stay_bounded_when_everybody_comes_at_once() -> None:
    limits = Limits(ManualClock(), rate=1, burst=2)
    for number in range(30_000):
        limits.caller(f"p{number}")
    assert len(limits) <= 10_000
    limits.caller("p29999")
    with pytest.raises(RateLimited):
        limits.caller("p29999")
