"""The library: a hub in this process, participants without sockets, and events in few letters."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse import Agent, Hub, decode_lite, encode_lite
from synapse.client import agent as module
from synapse.errors import BadRequest, NotFound, Refused, Unavailable
from synapse.hub.core import VERBS
from synapse.library import Joint
from synapse.plugins import Plugin
from synapse.verb import Shape

BOUND = 10.0


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    async with asyncio.timeout(BOUND):
        async with Hub(plugins=()) as hub:
            yield hub


async def kinds(hub: Hub) -> list[str]:
    await hub.core.hub.flushed()
    return [event.kind for record in hub.core.hub.log.read(0) for event in record.events]


def link(agent: Agent) -> Joint:
    assert isinstance(agent._link, Joint)
    return agent._link


# -- being there


async def test_a_participant_is_here_within_its_block(hub: Hub) -> None:
    async with hub.agent("alice") as alice:
        [me] = (await alice.agents.who())["participants"]
        assert (me["name"], me["presence"], me["workspace"]) == ("alice", "ONLINE", "default")
        async with hub.agent("bob") as bob:
            assert (bob.name, bob.welcome["workspace"]) == ("bob", "default")
        who = {one["name"]: one["presence"] for one in (await alice.agents.who())["participants"]}
        assert who == {"alice": "ONLINE", "bob": "AWAY"}
    with pytest.raises(Unavailable) as refusal:
        await alice.agents.who()
    assert refusal.value.code == "closed"


async def test_every_verb_is_a_method(hub: Hub) -> None:
    async with Agent("alice", hub=hub) as alice:
        assert "send" in dir(alice.messages)
        assert alice.messages.send.__doc__ == hub.verbs["messages.send"].summary
        with pytest.raises(AttributeError, match=r"messages\.sent"):
            alice.messages.sent  # noqa: B018
        with pytest.raises(AttributeError, match="it has agents"):
            alice.massages  # noqa: B018
        with pytest.raises(NotFound):
            await alice.do("messages.sent")


async def test_what_a_verb_refuses_is_raised(hub: Hub) -> None:
    async with hub.agent("alice") as alice:
        with pytest.raises(NotFound) as missing:
            await alice.messages.send(to="nobody", text="hi")
        assert missing.value.code == "no_such_agent"
        with pytest.raises(BadRequest) as wrong:
            await alice.messages.send(to="nobody", txt="hi")
        assert "txt" in wrong.value.sentence
        with pytest.raises(BadRequest):
            await alice.offers.put(kind="gpu")


def test_the_verbs_that_take_no_key_are_known() -> None:
    without = {verb.name for verb in VERBS if verb.shape is not Shape.CHANGE and not verb.internal}
    assert without == module.KEYLESS


async def test_a_verb_that_nobody_knew_is_asked_without_a_key_when_it_takes_none(hub: Hub) -> None:
    async with hub.agent("alice") as alice:
        alice._keyless.clear()
        assert (await alice.hub.status())["hub"]["version"]
        assert alice._keyless == {"hub.status"}


async def test_no_subject_of_a_verb_is_hidden_by_something_else(hub: Hub) -> None:
    async with hub.agent("alice") as alice:
        subjects = {verb.name.partition(".")[0] for verb in VERBS if not verb.internal}
        assert subjects & (set(vars(alice)) | set(dir(Agent))) == set()


# -- talking


async def echo(worker: Agent, count: int = 1) -> None:
    async for message in worker.mail():
        await worker.reply(f"{message['sender']} said {message['text']}", to=message["task_id"])
        count -= 1
        if not count:
            return


async def test_a_question_is_answered(hub: Hub) -> None:
    async with hub.agent("alice") as alice, hub.agent("bob") as bob, asyncio.TaskGroup() as group:
        group.create_task(echo(bob))
        assert await alice.ask("bob", "hi") == "alice said hi"


async def test_a_question_to_a_class_is_answered_by_who_takes_it(hub: Hub) -> None:
    async with hub.agent("alice") as alice, hub.agent("bob") as bob, asyncio.TaskGroup() as group:
        await bob.agents.advertise(task_classes=["review"])
        group.create_task(echo(bob))
        assert await alice.ask("class:review", "hi") == "alice said hi"


async def test_a_question_that_is_not_answered_in_time_is_answered_by_mail(hub: Hub) -> None:
    async with hub.agent("alice") as alice, hub.agent("bob") as bob:
        with pytest.raises(Unavailable) as late:
            await alice.ask("bob", "hi", timeout=0.01)
        assert late.value.code == "time_over"
        await echo(bob)
        [message] = await alice.inbox()
        assert (message["role"], message["text"]) == ("answer", "alice said hi")


async def test_work_that_is_not_done_is_an_error_with_its_reason(hub: Hub) -> None:
    async def give_up(worker: Agent) -> None:
        async for message in worker.mail():
            await worker.messages.reply(to=message["task_id"], fail="too hard")
            return

    async with hub.agent("alice") as alice, hub.agent("bob") as bob, asyncio.TaskGroup() as group:
        group.create_task(give_up(bob))
        with pytest.raises(Refused) as failed:
            await alice.ask("bob", "hi")
        assert (failed.value.code, failed.value.sentence) == ("task_failed", "too hard")


async def test_a_note_is_done_with_when_the_next_one_is_asked_for(hub: Hub) -> None:
    async with hub.agent("alice") as alice, hub.agent("bob") as bob:
        await alice.send("bob", "one", mode="silent")
        await alice.send("bob", "two", mode="silent")
        mail = bob.mail()
        assert (await anext(mail))["text"] == "one"
        assert [message["state"] for message in await bob.inbox()] == ["read", "queued"]
        assert (await anext(mail))["text"] == "two"
        assert [message["text"] for message in await bob.inbox()] == ["two"]
        await mail.aclose()  # type: ignore[attr-defined]


async def test_one_is_asked_at_a_time(hub: Hub) -> None:
    async with hub.agent("alice") as alice, hub.agent("bob"), hub.agent("carol"):
        for many in ("bob,carol", "all"):
            with pytest.raises(BadRequest):
                await alice.ask(many, "hi")


# -- listening


async def test_listening_has_begun_before_its_first_line(hub: Hub) -> None:
    async with hub.agent("alice") as alice, hub.agent("bob") as bob, bob.listen(kinds=["messages.*"]) as events:
        sent = await alice.send("bob", "hi", mode="silent")
        event = await anext(events)
        assert (event["kind"], event["position"], event["body"]["text"]) == ("messages.sent", sent["position"], "hi")


async def test_a_listener_goes_on_without_a_gap_when_its_connection_is_lost(hub: Hub) -> None:
    async with hub.agent("alice") as alice, hub.agent("bob") as bob, bob.listen(kinds=["messages.*"]) as events:
        seen = []
        for number in range(30):
            await alice.send("bob", str(number), mode="silent")
            if number % 7 == 3:
                assert events._link is not None
                events._link.close()
            if number % 5 == 4:
                seen += [(await anext(events))["body"]["text"] for _ in range(5)]
        assert seen == [str(number) for number in range(30)]


async def test_a_slow_listener_holds_little_and_misses_nothing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD", 10)
    monkeypatch.setattr(module, "ENOUGH", 2)
    async with hub.agent("alice") as alice, hub.agent("bob") as bob, bob.listen(kinds=["messages.*"]) as events:
        for number in range(500):
            await alice.send("bob", str(number), mode="silent")
        assert len(events._events) < 250  # a page of the log beside what is held
        assert [(await anext(events))["body"]["text"] for _ in range(500)] == [str(n) for n in range(500)]


async def test_a_listener_ends_with_its_agent(hub: Hub) -> None:
    async with hub.agent("alice") as alice:
        listening = alice.listen()
        waiting = asyncio.create_task(anext(listening))
        await asyncio.sleep(0)
    with pytest.raises(StopAsyncIteration):
        await waiting


# -- going away and coming back


async def test_a_change_whose_answer_is_lost_happens_once(hub: Hub) -> None:
    async with hub.agent("alice") as alice, hub.agent("bob"):
        losing, ask = link(alice), link(alice).ask

        def asked(verb: str, params: dict[str, Any]) -> "asyncio.Future[dict[str, Any]]":
            reply = ask(verb, params)
            losing.close()
            return reply

        losing.ask = asked  # type: ignore[method-assign]
        sent = await alice.send("bob", "hi")
        assert link(alice) is not losing
        assert (await kinds(hub)).count("messages.sent") == 1
        assert (await alice.history.show(task=sent["task_id"]))["text"] == "hi"


async def test_a_participant_is_here_again_by_itself(hub: Hub) -> None:
    async with hub.agent("alice") as alice, hub.agent("bob") as bob:
        lost = link(alice)
        lost.close()
        while alice._link is lost:
            await asyncio.sleep(0.001)
        who = {one["name"]: one["presence"] for one in (await bob.agents.who())["participants"]}
        assert who["alice"] == "ONLINE"


async def test_without_a_hub_there_is_an_error_after_some_patience() -> None:
    async with asyncio.timeout(BOUND):
        async with Hub(plugins=()) as hub:
            alice = Agent("alice", hub=hub, patience=0.05)
            await alice.__aenter__()
        with pytest.raises(Unavailable) as none:
            await alice.agents.who()
        assert none.value.code == "no_hub"
        await alice.close()
        with pytest.raises(Unavailable):
            await Agent("bob", hub=hub).__aenter__()


# -- the hub


async def test_a_hub_without_a_folder_keeps_nothing_and_one_with_a_folder_everything(tmp_path: Path) -> None:
    async with asyncio.timeout(BOUND):
        for expected in (0, 1):
            async with Hub(tmp_path / "data", plugins=()) as hub, hub.agent("alice") as alice:
                assert len(await alice.inbox()) == expected
                async with hub.agent("bob") as bob:
                    await bob.send("alice", "hi", mode="silent")


async def test_plugins_are_left_out_by_their_names_and_a_name_that_none_has_is_refused() -> None:
    mine, other = Plugin("mine"), Plugin("other")
    async with Hub(plugins=[mine, other], disabled=["mine"]) as hub:
        assert hub.core.plugins == (other,)
    for wrong, hint in (("mime", "Did you mean 'mine'?"), ("nope", "There is mine, other.")):
        with pytest.raises(NotFound, match=re.escape(hint)) as refused:
            async with Hub(plugins=[mine, other], disabled=[wrong]):
                pass
        assert refused.value.code == "no_such_plugin"
    with pytest.raises(NotFound):
        async with Hub(disabled="nope"):
            pass


async def test_two_hubs_do_not_share_a_folder(tmp_path: Path) -> None:
    async with asyncio.timeout(BOUND), Hub(tmp_path, plugins=()):
        with pytest.raises(Refused) as held:
            await Hub(tmp_path, plugins=()).__aenter__()
        assert held.value.code == "held"


async def test_workspaces_are_apart(hub: Hub) -> None:
    async with hub.agent("alice", workspace="web") as alice, hub.agent("bob", workspace="api") as bob:
        with pytest.raises(NotFound):
            await alice.send("bob", "hi")
        await alice.send("api/bob", "hi", mode="silent")
        assert len(await bob.inbox()) == 1


async def test_the_person_needs_no_name(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "Kim")
    async with hub.agent() as kim:
        assert kim.name == "kim"
        await kim.agents.here()
        [me] = (await kim.agents.who())["participants"]
        assert me["type"] == "person"


# -- events in few letters

TEXT = st.text(max_size=20)
EVENTS = st.fixed_dictionaries(
    {
        "position": st.integers(1, 10**9),
        "index": st.integers(0, 999),
        "at": st.integers(0, 2 * 10**12).map(lambda ms: ms / 1000),
        "kind": st.sampled_from(["messages.sent", "tasks.completed"]),
        "by": TEXT,
        "workspace": TEXT,
        "story": TEXT,
        "body": st.dictionaries(TEXT, TEXT, max_size=3),
    }
)


@given(EVENTS)
def test_what_is_written_in_few_letters_is_read_back(event: dict[str, Any]) -> None:
    line = encode_lite(event)
    assert "\n" not in line
    assert decode_lite(line) == event


def test_a_line_that_is_no_event_is_refused() -> None:
    for line in ("", "{}", "[]", '{"n":1}', "x"):
        with pytest.raises(ValueError, match=r"."):
            decode_lite(line)
