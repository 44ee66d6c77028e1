"""The inbox: looking, reading, acknowledging, waiting."""

from typing import Any

import pytest

from tests.core.hub.kit import Bench


async def send(bench: Bench, text: str, to: str = "alice", mode: str = "silent") -> str:
    return str((await bench.client("bob")("messages.send", to=to, text=text, mode=mode))["id"])


async def texts(peer: Any, **fields: Any) -> list[str]:
    return [m["text"] for m in (await peer("messages.inbox", **fields)).get("messages", [])]


@pytest.fixture
async def alice(bench: Bench) -> Any:
    alice = bench.client("alice")
    await alice("messages.send", to="alice", text="a note to myself", mode="silent")
    [own] = (await alice("messages.inbox"))["messages"]
    await alice("messages.ack", id=own["id"])
    return alice


async def test_looking_changes_nothing_reading_marks_and_acknowledging_removes(bench: Bench, alice: Any) -> None:
    id = await send(bench, "hi")
    head = bench.hub.head
    assert (await texts(alice), bench.hub.head) == (["hi"], head)
    assert (await alice("messages.read", id=id))["state"] == "read"
    assert (await alice("messages.inbox"))["messages"][0]["state"] == "read"
    assert (await alice("messages.ack", id=id))["state"] == "acknowledged"
    assert await texts(alice) == []
    assert (await alice.refused("messages.ack", id=id)).code == "no_such_message"


async def test_reading_twice_is_one_event(bench: Bench, alice: Any) -> None:
    id = await send(bench, "hi")
    await alice("messages.read", id=id)
    await alice("messages.read", id=id)
    assert bench.kinds().count("messages.read") == 1


async def test_the_sender_sees_what_became_of_a_message(bench: Bench, alice: Any) -> None:
    id = await send(bench, "hi", mode="notify")
    bob = bench.client("bob")

    async def state() -> str:
        return str((await bob("messages.show", id=id))["state"])

    assert await state() == "queued"
    assert await texts(bob, which="sent") == ["hi"]
    await alice("messages.read", id=id)
    assert await state() == "read"
    await alice("messages.reply", text="yes")
    assert await state() == "answered"


async def test_a_task_that_was_read_is_in_the_readers_hands(bench: Bench, alice: Any) -> None:
    await bench.client("bob")("messages.send", to="alice", text="one")
    second = (await bench.client("bob")("messages.send", to="alice", text="two"))["id"]
    await alice("messages.read", id=second)
    assert (await alice("messages.reply", text="done"))["task_id"] == second


async def test_a_task_is_not_acknowledged_away(bench: Bench, alice: Any) -> None:
    id = await send(bench, "work", mode="notify")
    refusal = await alice.refused("messages.ack", id=id)
    assert refusal.code == "unanswered"
    assert f"synapse reply --to {id}" in refusal.sentence


async def test_what_is_being_typed_is_neither_read_nor_acknowledged(bench: Bench) -> None:
    agent = await bench.agent("carl")
    id = await send(bench, "hi", to="carl")
    await agent("messages.typing", id=id)
    assert (await agent.refused("messages.read", id=id)).code == "wrong_state"
    assert (await agent.refused("messages.ack", id=id)).code == "wrong_state"


async def test_what_an_agent_has_read_itself_is_not_typed_any_more(bench: Bench) -> None:
    agent = await bench.agent("carl")
    first, second = await send(bench, "one", to="carl"), await send(bench, "two", to="carl")
    await bench.command(agent)("messages.read", id=first)
    assert (await agent.refused("messages.typing", id=first)).code == "wrong_state"
    await agent("messages.typing", id=second)


async def test_a_wait_for_messages_ends_with_the_next_one_and_goes_on_behind_it(bench: Bench, alice: Any) -> None:
    waiting = alice.ask("messages.next")
    first = await send(bench, "one")
    assert first.encode() in await waiting
    second = await send(bench, "two")
    both = await alice("messages.next")
    assert both["ids"] == [first, second]
    assert await alice("messages.next", after=both["position"], timeout=0) == {"pending": True}


async def test_a_person_waits_before_it_has_ever_changed_anything(bench: Bench) -> None:
    person, agent = bench.person(), await bench.agent("carl")
    waiting = person.ask("messages.next")
    await agent("messages.send", to="me", text="hello")
    assert b"t-" in await waiting


async def test_others_do_not_read_my_mail(bench: Bench, alice: Any) -> None:
    id = await send(bench, "secret")
    eve = await bench.agent("eve")
    assert (await eve.refused("messages.show", id=id)).code == "no_such_message"
    assert (await eve.refused("messages.read", id=id)).code == "no_such_message"
    assert (await alice("messages.show", id=id))["text"] == "secret"
    assert (await alice.refused("messages.show", id="m-none")).code == "no_such_message"


async def test_mail_is_still_ones_own_after_a_rename(bench: Bench) -> None:
    agent, alice = await bench.agent("carl"), bench.client("alice")
    got = (await alice("messages.send", to="carl", text="to carl", mode="silent"))["id"]
    sent = (await agent("messages.send", to="alice", text="from carl", mode="silent"))["id"]
    await agent("agents.rename", name="charles")
    assert (await agent("messages.show", id=got))["text"] == "to carl"
    assert (await agent("messages.show", id=sent))["text"] == "from carl"
    assert await texts(agent, which="sent") == ["from carl"]


async def test_an_unknown_list_is_refused(alice: Any) -> None:
    assert (await alice.refused("messages.inbox", which="all")).code == "bad_choice"


async def test_the_newest_of_a_full_inbox_are_listed(bench: Bench, alice: Any) -> None:
    for number in range(5):
        await send(bench, str(number))
    assert await texts(alice, limit=2) == ["3", "4"]


async def test_long_texts_fill_an_answer_and_no_more(bench: Bench, alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synapse.hub.reading.MOST", 60_000)
    ids = [await send(bench, f"{number}" * 40_000) for number in range(3)]
    listed = await texts(alice)
    assert [len(text) for text in listed[:2]] == [40_000, 40_000]
    assert "ask for it alone" in listed[2]
    assert (await alice("messages.show", id=ids[2]))["text"] == "2" * 40_000
