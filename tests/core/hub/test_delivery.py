"""From the queue into a terminal: one at a time, at most once, and never in silence."""

import pytest

from synapse.hub.agents import Agents
from synapse.hub.mailbox import Mailbox
from synapse.hub.sessions import Session
from synapse.log.faulty import Fault, FaultyLog
from synapse.log.memory import MemoryLog
from tests.core.hub.kit import Bench, Peer


async def reattach(bench: Bench, agent: Peer) -> Peer:
    """The same agent on a new connection."""
    again = bench.peer(Session(workspace="w"))
    await again("agents.attach", key=agent.key, live={"status": "READY"})
    return again


async def test_messages_are_handed_over_one_at_a_time_by_priority_then_in_order(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await bob("agents.report", status="PROCESSING")
    for text, priority in (("first", 3), ("low", 1), ("high", 4), ("second", 3)):
        await alice("messages.send", to="bob", text=text, priority=priority, mode="silent")
    texts = [(await bob.take())["text"] for _ in range(4)]
    assert texts == ["first", "high", "second", "low"]  # the first was handed over before the others came


async def test_a_task_in_the_terminal_holds_back_the_rest_of_the_queue(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    tasks = [(await alice("messages.send", to="bob", text=text))["task_id"] for text in "ab"]
    assert (await bob.take())["task"] == tasks[0]
    assert not bob.frames
    await bob("tasks.complete", task=tasks[0], text="A")
    assert (await bob.take())["task"] == tasks[1]


async def test_not_ready_means_queued_and_not_refused(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    bob.hang_up()
    await alice("messages.send", to="bob", text="x")
    back = await reattach(bench, bob)
    assert (await back.frame("deliver"))["text"] == "x"


async def test_an_urgent_message_is_handed_over_at_once_and_ends_what_it_interrupts(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    slow = (await alice("messages.send", to="bob", text="slow"))["task_id"]
    await bob.take()
    await alice("messages.send", to="bob", text="next")
    await alice("messages.send", to="bob", text="stop that", priority=5)
    given = await bob.take()
    assert (given["text"], given["urgent"]) == ("stop that", True)
    assert (await alice("history.show", task=slow))["reason"] == "interrupted"


async def test_only_one_message_is_being_typed(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    first, urgent = [
        (await alice("messages.send", to="bob", text="x", mode="silent", priority=p))["id"] for p in (3, 5)
    ]
    await bob("messages.typing", id=first)
    assert (await bob.refused("messages.typing", id=urgent)).code == "busy"
    assert (await bob.refused("messages.typing", id=first)).code == "wrong_state"
    await bob("messages.delivered", id=first)
    await bob("messages.typing", id=urgent)


async def test_a_second_task_is_not_typed_while_one_is_in_the_terminal(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    ids = [(await alice("messages.send", to="bob", text="x"))["id"] for _ in range(2)]
    await bob.take()
    assert (await bob.refused("messages.typing", id=ids[1])).code == "busy"


async def test_what_was_not_typed_after_all_goes_back_to_its_place_in_the_queue(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    for text in "ab":
        await alice("messages.send", to="bob", text=text, mode="silent")
    given = await bob.frame("deliver")
    await bob("messages.typing", id=given["id"])
    await bob("messages.returned", id=given["id"], reason="the user is typing")
    assert (await bob.take())["text"] == "a"
    assert (await bob.take())["text"] == "b"


async def test_an_unknown_outcome_is_told_to_the_sender_and_never_typed_again(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    work = (await alice("messages.send", to="bob", text="work"))["id"]
    note = (await alice("messages.send", to="bob", text="note", mode="silent"))["id"]
    for id in (work, note):
        assert (await bob.frame("deliver"))["id"] == id
        await bob("messages.typing", id=id)
        await bob("messages.unknown", id=id)
    told = [(m["role"], m["text"].split(":")[0]) for m in (await alice("messages.inbox"))["messages"]]
    assert told == [("notification", "failed (outcome_unknown)"), ("notification", "Outcome unknown")]
    await reattach(bench, bob)
    assert not bob.frames
    assert (await alice("messages.show", id=work))["state"] == "failed"
    assert (await alice("messages.show", id=note))["state"] == "unknown"


@pytest.mark.parametrize("verb", ["messages.delivered", "messages.returned", "messages.unknown"])
async def test_reports_about_what_is_not_being_typed_are_refused(bench: Bench, verb: str) -> None:
    bob, eve, alice = await bench.agent("bob"), await bench.agent("eve"), bench.client("alice")
    id = (await alice("messages.send", to="bob", text="x"))["id"]
    assert (await bob.refused(verb, id=id)).code == "wrong_state"
    assert (await bob.refused(verb, id="m-none")).code == "no_such_message"
    await bob("messages.typing", id=id)
    assert (await eve.refused(verb, id=id)).code == "no_such_message"


async def test_who_leaves_while_a_message_is_typed_fails_its_task_with_an_unknown_outcome(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    task = (await alice("messages.send", to="bob", text="x"))["id"]
    await bob("messages.typing", id=task)
    await bob("agents.leave", reason="stopped")
    assert "messages.outcome_unknown" in bench.kinds()
    assert (await alice("history.show", task=task))["state"] == "failed"
    assert bench.picture() == bench.refolded()


async def test_a_note_that_was_being_typed_when_its_agent_left_is_told_to_its_sender(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    note = (await alice("messages.send", to="bob", text="x", mode="silent"))["id"]
    await bob("messages.typing", id=note)
    await bob("agents.leave")
    [told] = (await alice("messages.inbox"))["messages"]
    assert told["text"] == "Outcome unknown: bob left while it was typed."


async def test_a_task_of_an_agent_that_leaves_fails_with_its_reason(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    task = (await alice("messages.send", to="bob", text="x"))["id"]
    await bob.take()
    await bob("agents.leave", reason="exited", text="It ended with status 1.")
    shown = await alice("history.show", task=task)
    assert (shown["state"], shown["reason"], shown["answer"]) == ("failed", "exited", "It ended with status 1.")


async def test_mail_for_a_chosen_name_waits_for_its_next_stay(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await alice("messages.send", to="bob", text="one")
    await bob("agents.leave")
    await alice("messages.send", to="bob", text="two")
    await bench.sweep()
    await bench.restart()
    back = await bench.agent("bob")
    assert (await back.take())["text"] == "one"


async def test_mail_for_an_automatic_name_ends_with_its_agent_and_the_sender_is_told(bench: Bench) -> None:
    agent, alice = await bench.agent(), bench.client("alice")
    work = (await alice("messages.send", to="claude", text="work"))["id"]
    note = (await alice("messages.send", to="claude", text="note", mode="silent"))["id"]
    await agent("agents.leave")
    await bench.sweep()
    told = [(m["role"], m["text"]) for m in (await alice("messages.inbox"))["messages"]]
    assert told == [
        ("notification", "rejected (agent_gone): claude-8100 left before it could take this."),
        ("notification", "claude-8100 left before it could take this."),
    ]
    dead = (await alice("messages.inbox", which="dead"))["messages"]
    assert [(m["id"], m["reason"]) for m in dead] == [(work, "agent_gone"), (note, "agent_gone")]
    fresh = await bench.agent()
    assert fresh.session.key != agent.key
    assert not [f for f in fresh.frames if f["method"] == "deliver"]


async def test_mail_of_a_workspace_whose_name_looks_like_a_key_is_not_orphaned(bench: Bench) -> None:
    bob, alice = await bench.agent("bob", workspace="a-team"), bench.client("alice", workspace="a-team")
    await alice("messages.send", to="bob", text="x")
    await bob("agents.leave")
    await bench.sweep()
    assert bench.hub.state.get(Mailbox).queued("a-team/bob") == 1


async def test_orphaned_mail_larger_than_one_record_is_buried_whole(bench: Bench) -> None:
    agent, alice = await bench.agent(), bench.client("alice")
    for _ in range(450):
        alice.ask("messages.send", to="claude", text="x", mode="notify")
    await alice("messages.send", to="claude", text="x")
    await agent("agents.leave")
    await bench.sweep()
    assert bench.kinds().count("messages.dead_lettered") == 451
    assert bench.kinds().count("tasks.rejected") == 451
    assert max(len(record.events) for record in bench.log.read(0)) <= 1000
    assert bench.picture() == bench.refolded()


async def test_a_message_whose_blob_is_gone_is_delivered_all_the_same(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await alice("messages.send", to="bob", blob="0" * 64)
    assert (await bob.take())["text"] == "(its text is gone)"


async def test_what_is_owed_after_a_crash_is_delivered(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await alice("messages.send", to="bob", text="x")
    await bench.crash()
    assert bench.hub.state.get(Agents).get(bob.key)
    back = await reattach(bench, bob)
    assert (await back.take())["text"] == "x"


async def test_what_was_being_typed_at_a_crash_of_the_hub_can_still_be_reported(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    id = (await alice("messages.send", to="bob", text="x"))["id"]
    await bob("messages.typing", id=id)
    await bench.crash()
    back = await reattach(bench, bob)
    await back("messages.delivered", id=id)
    assert (await bench.person()("agents.show", target="w/bob"))["task"]["task_id"] == id


async def test_a_message_that_cannot_be_read_at_the_moment_is_handed_over_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("synapse.hub.delivery.TRY_AGAIN", 0.001)
    log = FaultyLog(MemoryLog())
    bench = await Bench(log).open()
    bob, alice = await bench.agent("bob"), bench.client("alice")
    log.fail("read", [Fault.BEFORE, Fault.BEFORE])
    await alice("messages.send", to="bob", text="x")
    assert (await bob.take())["text"] == "x"
    await bench.close()


async def test_a_message_that_was_redacted_in_the_queue_does_not_block_it(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    bob.hang_up()
    secret = await alice("messages.send", to="bob", text="secret", mode="silent")
    await alice("messages.send", to="bob", text="next", mode="silent")
    bench.log.redact(secret["position"])
    back = await reattach(bench, bob)
    assert [(await back.take())["text"] for _ in range(2)] == ["(its text is gone)", "next"]
