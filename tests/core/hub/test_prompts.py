"""Questions on agents' screens: answered once, handed to the runner, and what became of it."""

from typing import Any

import pytest

from synapse.event import Event
from synapse.hub import facts
from synapse.hub.prompts import Prompts
from synapse.hub.sessions import Session
from synapse.testing import check_projection
from synapse.verb import Permission
from tests.core.hub.kit import Bench, Peer

ASKS = {
    "status": "WAITING", "source": "screen", "since": 50.0, "question": "Do you want to run this command?",
    "choices": ["1 Yes", "2 Yes, and don't ask again", "3 No"], "prompt": "p-abcdef", "approvable": True,
    "yes": 0, "no": 2, "command": "rm x",
}  # fmt: skip


async def asking(bench: Bench, name: str = "bob", **more: Any) -> Peer:
    agent = await bench.agent(name)
    await agent("agents.report", **{**ASKS, **more})
    return agent


async def test_an_answer_is_stored_handed_over_and_its_outcome_told(bench: Bench) -> None:
    bob, kim = await asking(bench), bench.person()
    said = await kim("prompts.answer", id="p-abcdef")
    assert (said["agent"], said["choice"]) == ("bob", "1 Yes")
    assert await bob.frame("answer") == {"id": "p-abcdef", "choice": 0, "approve": True, "command": "rm x"}
    waiting = kim.ask("prompts.wait", id="p-abcdef")
    await bob("prompts.report", id="p-abcdef", outcome="done")
    assert b'"outcome":"done"' in await waiting
    [answered] = bench.bodies("prompts.answered")
    assert (answered["name"], answered["choice"], answered["command"]) == ("kim", "1 Yes", "rm x")
    [event] = [event for event in bench.events() if event.kind == "prompts.answered"]
    assert (event.by, event.workspace) == (kim.key, "w")
    assert bench.kinds()[-1] == "prompts.closed"
    bench.check()


async def test_a_second_answer_is_refused_while_the_first_is_pressed_and_afterwards(bench: Bench) -> None:
    bob, kim, ann = await asking(bench), bench.person(), bench.client("ann")
    first, second = kim.ask("prompts.answer", id="p-abcdef"), ann.ask("prompts.answer", id="p-abcdef", approve=False)
    await first
    with pytest.raises(Exception, match="kim answered that already, with '1 Yes'") as refused:
        await second
    assert getattr(refused.value, "code", "") == "answered_already"
    await bob("prompts.report", id="p-abcdef", outcome="done")
    assert (await kim.refused("prompts.answer", id="p-abcdef")).code == "answered_already"
    assert len(bench.bodies("prompts.answered")) == 1


async def test_what_is_answered_waits_no_more(bench: Bench) -> None:
    await asking(bench)
    kim = bench.person()
    assert len((await kim("attention.waiting"))["items"]) == 1
    await kim("prompts.answer", id="p-abcdef")
    assert (await kim("attention.waiting"))["items"] == []


@pytest.mark.parametrize(
    ("word", "place"),
    [("1", 0), ("3", 2), ("3 no", 2), ("No", 2), ("yes", 0), ("don't ask", 1), ("Yes, and", 1)],
)  # fmt: skip
async def test_a_choice_is_taken_by_number_and_by_text(bench: Bench, word: str, place: int) -> None:
    bob = await asking(bench)
    await bench.person()("prompts.answer", id="p-abcdef", choice=word)
    assert (await bob.frame("answer"))["choice"] == place


@pytest.mark.parametrize("word", ["4", "maybe", "e"])
async def test_a_choice_that_there_is_not_or_that_may_be_several_is_refused(bench: Bench, word: str) -> None:
    await asking(bench)
    refused = await bench.person().refused("prompts.answer", id="p-abcdef", choice=word)
    assert refused.code == "no_such_choice"
    assert "1 Yes / 2 Yes" in refused.sentence


async def test_choices_without_numbers_are_counted(bench: Bench) -> None:
    bob = await asking(bench, choices=["Allow once", "Allow always", "Reject"])
    await bench.person()("prompts.answer", id="p-abcdef", choice="2")
    assert (await bob.frame("answer"))["choice"] == 1


async def test_no_takes_the_choice_that_means_so_or_the_keys_for_it(bench: Bench) -> None:
    bob, ann, kim = await asking(bench), await asking(bench, "ann", prompt="p-ann", no=-1), bench.person()
    await kim("prompts.answer", id="p-abcdef", approve=False)
    assert (await bob.frame("answer"))["choice"] == 2
    await kim("prompts.answer", id="p-ann", approve=False)
    assert await ann.frame("answer") == {"id": "p-ann", "choice": -1, "approve": False, "command": "rm x"}


async def test_a_reason_goes_to_the_agent_once_the_no_was_pressed(bench: Bench) -> None:
    bob, kim = await asking(bench), bench.person()
    await kim("prompts.answer", id="p-abcdef", approve=False, reason="use git mv")
    assert "messages.sent" not in bench.kinds()
    await bob("prompts.report", id="p-abcdef", outcome="done")
    note = await bob.frame("deliver")
    assert (note["role"], note["text"], note["sender"]) == ("note", "Rejected: use git mv", "kim")
    assert not note.get("reply_expected")


async def test_where_yes_is_not_certain_a_choice_must_be_named(bench: Bench) -> None:
    await asking(bench, yes=-1)
    refused = await bench.person().refused("prompts.answer", id="p-abcdef")
    assert refused.code == "say_which"
    assert "2 Yes, and" in refused.sentence


async def test_an_unknown_id_an_old_one_and_a_dialog_that_cannot_be_answered_are_refused(bench: Bench) -> None:
    bob, kim = await asking(bench), bench.person()
    assert (await kim.refused("prompts.answer", id="p-zzzzzz")).code == "no_such_prompt"
    assert (await kim.refused("prompts.answer", id="")).code == "no_such_prompt"
    await bob("agents.report", status="PROCESSING")
    assert "answered in its terminal" in (await kim.refused("prompts.answer", id="p-abcdef")).sentence
    await bob("agents.report", status="WAITING", prompt="p-secret", question="Password:", source="terminal")
    assert (await kim.refused("prompts.answer", id="p-secret")).code == "not_from_here"


async def test_an_agent_answers_neither_for_itself_nor_for_another(bench: Bench) -> None:
    bob, ann = await asking(bench), await bench.agent("ann")
    below = frozenset({Permission.READ, Permission.WRITE})
    for agent in (bob, ann):
        command = bench.command(agent)
        command.session.permissions = below
        assert (await command.refused("prompts.answer", id="p-abcdef")).code == "not_permitted"
        assert (await agent.refused("prompts.answer", id="p-abcdef")).code == "not_permitted"
    assert "prompts.answered" not in bench.kinds()


async def test_only_the_runner_that_was_handed_an_answer_tells_what_became_of_it(bench: Bench) -> None:
    bob, ann, kim = await asking(bench), await bench.agent("ann"), bench.person()
    await kim("prompts.answer", id="p-abcdef")
    for other in (ann, kim, bench.command(bob)):
        assert (await other.refused("prompts.report", id="p-abcdef", outcome="done")).code == "no_such_prompt"
    assert (await bob.refused("prompts.report", id="p-abcdef", outcome="well")).code == "bad_outcome"


@pytest.mark.parametrize("ended", ["restart", "crash"])
async def test_an_answer_is_handed_over_again_after_a_start_of_the_hub(bench: Bench, ended: str) -> None:
    bob, kim = await asking(bench), bench.person()
    await kim("prompts.answer", id="p-abcdef")
    await getattr(bench, ended)()
    runner = bench.peer(Session(workspace="w", user="kim"))
    await runner("agents.attach", key=bob.key, live=ASKS)
    assert (await runner.frame("answer"))["id"] == "p-abcdef"
    assert (await bench.person().refused("prompts.answer", id="p-abcdef")).code == "answered_already"
    for _ in range(2):
        await runner("prompts.report", id="p-abcdef", outcome="done")  # the runner may tell it twice
    assert bench.kinds().count("prompts.closed") == 1
    bench.check()


async def test_an_answer_to_an_agent_that_leaves_is_over(bench: Bench) -> None:
    bob, kim = await asking(bench), bench.person()
    await kim("prompts.answer", id="p-abcdef")
    waiting = kim.ask("prompts.wait", id="p-abcdef")
    await bob("agents.leave")
    assert b'"outcome":"gone"' in await waiting
    bench.check()


async def test_waiting_for_what_nobody_answered_is_refused(bench: Bench) -> None:
    await asking(bench)
    assert (await bench.person().refused("prompts.wait", id="p-abcdef")).code == "no_such_prompt"


def test_the_projection_keeps_its_laws() -> None:
    bodies: list[Any] = [
        facts.PromptAnswered(prompt="p-1", agent="a-1", approved=True, name="kim", choice="1 Yes", place=0),
        facts.PromptAnswered(prompt="p-2", agent="a-2", approved=False, reason="no"),
        facts.PromptClosed(prompt="p-1", agent="a-1", outcome="done"),
        facts.PromptClosed(prompt="p-9", agent="a-1", outcome="done"),
        facts.Left(key="a-2"),
    ]
    events = [
        Event(number, 0, float(number), body.kind, "a-3", "w", getattr(body, "prompt", "a-2"), body)
        for number, body in enumerate(bodies, 1)
    ]
    check_projection(Prompts, events)
