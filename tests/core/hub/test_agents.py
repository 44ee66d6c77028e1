"""Coming, being there and going."""

import asyncio
import json

import pytest

from synapse.hub.sessions import Session
from tests.core.hub.kit import Bench


async def test_an_agent_that_joins_gets_a_key_a_port_an_id_and_a_name(bench: Bench) -> None:
    joined = await bench.peer(Session(workspace="w"))(
        "agents.join", profile="claude", workspace="w", ports=[8100, 8109]
    )
    assert joined["key"].startswith("a-")
    assert (joined["port"], joined["id"], joined["name"]) == (8100, "synapse-claude-8100", "claude-8100")


async def test_ten_agents_that_join_at_once_get_ten_ports(bench: Bench) -> None:
    runner = bench.peer(Session())
    asked = [runner.ask("agents.join", profile="claude", workspace="w", ports=[8100, 8109]) for _ in range(10)]
    joined = [json.loads(reply) for reply in await asyncio.gather(*asked)]
    assert [reply["port"] for reply in joined] == list(range(8100, 8110))


async def test_a_full_range_goes_on_among_the_spare_ports_and_then_is_refused(bench: Bench) -> None:
    runner = bench.peer(Session())
    ports = [(await runner("agents.join", profile="x", workspace="w", ports=[8100, 8101]))["port"] for _ in range(52)]
    assert ports == [8100, 8101, *range(8150, 8200)]
    assert (await runner.refused("agents.join", profile="x", workspace="w", ports=[8100, 8101])).code == "no_port"


async def test_a_port_that_somebody_has_is_refused_with_its_holder(bench: Bench) -> None:
    await bench.agent("bob")
    refusal = await bench.peer(Session()).refused("agents.join", profile="codex", workspace="w", port=8100)
    assert refusal.code == "port_taken"
    assert "w/bob" in refusal.sentence


@pytest.mark.parametrize(("ports", "port"), [([0, 8000], 0), ([9000, 8000], 0), ([8100, 8109], 80), ([1, 70000], 0)])
async def test_ports_that_are_none_are_a_bad_request(bench: Bench, ports: list[int], port: int) -> None:
    refusal = await bench.peer(Session()).refused("agents.join", profile="x", workspace="w", ports=ports, port=port)
    assert refusal.code == "bad_port"


@pytest.mark.parametrize("name", ["all", "hub", "me", "person", "ME"])
async def test_reserved_names_are_refused(bench: Bench, name: str) -> None:
    assert (await bench.peer(Session()).refused("agents.join", profile="x", name=name)).code == "reserved_name"


@pytest.mark.parametrize("name", ["-x", "a b", "x/y", "ä", "x" * 65, "*"])
async def test_names_of_other_characters_are_refused(bench: Bench, name: str) -> None:
    assert (await bench.peer(Session()).refused("agents.join", profile="x", name=name)).code == "bad_name"
    assert (await bench.client(name).refused("messages.send", to="x", text="x")).code == "bad_name"


async def test_a_name_is_given_once_and_in_one_case(bench: Bench) -> None:
    await bench.agent("Bob")
    assert (
        await bench.peer(Session()).refused("agents.join", profile="x", name="BOB", workspace="w")
    ).code == "name_taken"
    await bench.agent("bob", workspace="other")


async def test_an_automatic_name_that_somebody_has_chosen_is_refused(bench: Bench) -> None:
    await bench.agent("claude-8101")
    refusal = await bench.peer(Session()).refused("agents.join", profile="claude", workspace="w", ports=[8101, 8101])
    assert refusal.code == "name_taken"


async def test_a_plain_client_joins_with_its_first_change_and_is_the_same_next_time(bench: Bench) -> None:
    await bench.agent("bob")
    first, again = bench.client("alice"), bench.client("alice")
    await first("messages.send", to="bob", text="hi", mode="silent")
    await again("messages.send", to="bob", text="hi", mode="silent")
    assert first.key == again.key
    assert bench.kinds().count("agents.joined") == 2


async def test_a_plain_client_is_the_same_after_a_restart(bench: Bench) -> None:
    await bench.agent("bob")
    before, after = bench.client("alice"), bench.client("alice")
    await before("messages.send", to="bob", text="hi")
    await bench.restart()
    await after("messages.send", to="bob", text="hi")
    assert before.key == after.key


async def test_a_refused_first_change_still_leaves_a_participant_and_nothing_else(bench: Bench) -> None:
    alice = bench.client("alice")
    assert (await alice.refused("messages.send", to="nobody-here", text="hi")).code == "no_such_agent"
    assert bench.kinds() == ["hub.started", "agents.joined"]


async def test_the_second_folder_of_a_name_becomes_another_workspace(bench: Bench) -> None:
    async def workspace(folder: str) -> object:
        return (await bench.peer(Session())("agents.join", profile="x", folder=folder))["workspace"]

    assert await workspace("/home/kim/proj") == "proj"
    assert await workspace("/srv/proj") == "proj-2"
    assert await workspace("/home/kim/proj") == "proj"
    await bench.restart()
    assert await workspace("/srv/proj") == "proj-2"


async def test_only_the_process_that_joined_is_the_runner(bench: Bench) -> None:
    agent = await bench.agent(pid=100)
    stranger = bench.peer(Session(pid=200))
    assert (await stranger.refused("agents.attach", key=agent.key)).code == "not_you"
    assert (await stranger.refused("agents.attach", key="a-gone")).code == "no_such_agent"


async def test_a_runner_may_not_do_what_a_person_may(bench: Bench) -> None:
    agent = await bench.agent()
    assert (await agent.refused("hub.shutdown")).code == "not_permitted"
    assert (await agent.refused("events.page")).code == "not_permitted"
    assert (await agent.refused("events.follow")).code == "not_permitted"


async def test_only_a_runner_reports_a_status(bench: Bench) -> None:
    agent = await bench.agent()
    await agent("agents.report", status="PROCESSING", source="signal")
    assert (await bench.client("alice")("agents.list", workspace="w"))["agents"][0]["status"] == "PROCESSING"
    assert (await bench.client("alice").refused("agents.report", status="READY")).code == "not_a_runner"


async def test_who_leaves_frees_its_name_and_port_and_is_not_there_any_more(bench: Bench) -> None:
    agent = await bench.agent("bob")
    await agent("agents.leave", reason="stopped")
    assert (await agent.refused("agents.leave")).code == "not_joined"
    assert (await agent.refused("messages.send", to="me", text="hi")).code == "not_joined"
    assert (await agent.refused("messages.read", id="m-1")).code == "not_joined"
    again = await bench.agent("bob")
    assert again.key != agent.key


async def test_a_rename_moves_the_mail_and_the_tasks(bench: Bench) -> None:
    agent, alice = await bench.agent(), bench.client("alice")
    sent = await alice("messages.send", to="claude", text="work")
    asked = await agent("messages.send", to="alice", text="and you?")
    renamed = await agent("agents.rename", name="bob")
    assert renamed["name"] == "bob"
    assert bench.picture() == bench.refolded()
    assert (await agent.take())["id"] == sent["id"]
    await alice("messages.reply", to=asked["id"], text="fine")
    assert [m["text"] for m in (await agent("messages.inbox"))["messages"]] == ["fine"]
    assert (await alice.refused("messages.send", to="claude-8101", text="?")).code == "no_such_agent"


async def test_a_name_that_was_given_up_means_nobody(bench: Bench) -> None:
    agent, alice = await bench.agent("bob"), bench.client("alice")
    await agent("agents.rename", name="bill")
    assert (await alice.refused("messages.send", to="bob", text="hi")).code == "no_such_agent"
    await agent("agents.rename", clear=True)
    assert (await alice.refused("messages.send", to="bill", text="hi")).code == "no_such_agent"
    assert (await alice("messages.send", to="claude-8100", text="hi"))["to"] == ["claude-8100"]


async def test_renaming_is_refused_to_strangers_and_to_taken_names(bench: Bench) -> None:
    agent, other, alice = await bench.agent("bob"), await bench.agent("eve"), bench.client("alice")
    assert (await agent.refused("agents.rename", name="eve")).code == "name_taken"
    assert (await agent.refused("agents.rename", name="x", target="eve")).code == "not_permitted"
    assert (await alice.refused("agents.rename", name="x")).code == "no_such_agent"
    assert (await bench.person()("agents.rename", name="eva", target="eve"))["name"] == "eva"
    assert other.key


async def test_presence_tells_who_comes_goes_and_changes(bench: Bench) -> None:
    watcher = bench.person()
    await watcher("events.follow", presence=True)

    async def told() -> tuple[str, str, str]:
        said = await watcher.frame("presence")
        return said["name"], said["presence"], said.get("status", "")

    agent = await bench.agent("bob")
    assert await told() == ("bob", "AWAY", "AWAY")
    assert await told() == ("bob", "ONLINE", "READY")
    await agent("agents.report", status="PROCESSING")
    assert await told() == ("bob", "ONLINE", "PROCESSING")
    await agent("agents.rename", name="bill")
    assert await told() == ("bill", "ONLINE", "PROCESSING")
    agent.hang_up()
    assert await told() == ("bill", "AWAY", "AWAY")
    back = bench.peer(Session())
    await back("agents.attach", key=agent.key)
    assert (await told())[1] == "ONLINE"
    await back("agents.leave")
    assert (await told())[:2] == ("bill", "GONE")


async def test_who_does_not_watch_hears_nothing_of_presence(bench: Bench) -> None:
    watcher = bench.person()
    await watcher("events.follow", presence=True)
    await watcher("events.follow", presence=False)
    await bench.agent("bob")
    assert {frame["method"] for frame in watcher.frames} == {"event"}


async def test_waiting_for_the_end_of_a_stay_ends_with_it(bench: Bench) -> None:
    agent = await bench.agent("bob")
    waiting = bench.person().ask("agents.wait_gone", key=agent.key)
    assert await bench.person()("agents.wait_gone", key=agent.key, timeout=0) == {"pending": True}
    await agent("agents.leave")
    await waiting


async def test_an_agent_is_found_by_name_id_profile_port_or_profile(bench: Bench) -> None:
    await bench.agent("bob")
    alice = bench.client("alice")
    for target in ("bob", "BOB", "w/bob", "W/Bob", "synapse-claude-8100", "claude-8100", "claude"):
        assert (await alice("messages.send", to=target, text="hi"))["to"] == ["bob"]


async def test_a_profile_that_is_there_twice_is_refused_with_the_choices(bench: Bench) -> None:
    await bench.agent("bob")
    await bench.agent()
    refusal = await bench.client("alice").refused("messages.send", to="claude", text="hi")
    assert refusal.code == "ambiguous"
    assert refusal.details["choices"] == ["bob", "synapse-claude-8101"]
    assert "synapse send bob ..." in refusal.sentence


async def test_a_name_that_is_only_elsewhere_is_refused_with_its_full_name(bench: Bench) -> None:
    await bench.agent("bob", workspace="other")
    alice = bench.client("alice")
    refusal = await alice.refused("messages.send", to="bob", text="hi")
    assert (refusal.code, refusal.details["choices"]) == ("elsewhere", ["other/bob"])
    assert (await alice("messages.send", to="other/bob", text="hi"))["to"] == ["bob"]


async def test_a_person_is_a_target_before_it_was_ever_here(bench: Bench) -> None:
    agent = await bench.agent("bob")
    await agent("messages.send", to="me", text="which one?")
    person = bench.person()
    assert [m["text"] for m in (await person("messages.inbox"))["messages"]] == ["which one?"]


async def test_a_session_that_ends_gives_up_its_waits(bench: Bench) -> None:
    alice = bench.client("alice")
    alice.ask("messages.next")
    assert len(alice.session.waits) == 1
    alice.hang_up()
    assert not alice.session.waits
    assert not bench.hub.waits.waiting_for("w/alice")


async def test_a_broadcast_that_lies_under_both_names_is_one_message_after_a_rename(bench: Bench) -> None:
    bob, agent, alice = await bench.agent("bob"), await bench.agent(), bench.client("alice")
    await alice("messages.send", to="all", text="to all")
    await bob("agents.leave")
    await agent("agents.rename", name="bob")
    assert [m["text"] for m in (await agent("messages.inbox"))["messages"]] == ["to all"]
    assert bench.picture() == bench.refolded()


async def test_an_agents_stay_is_ended_by_its_own_runner_and_by_nobody_else(bench: Bench) -> None:
    bob, ci = await bench.agent("bob"), bench.client("ci")
    assert (await bench.command(bob).refused("agents.leave")).code == "not_a_runner"
    await ci("messages.send", to="bob", text="hi")
    await ci("agents.leave", reason="left")
    await bob("agents.leave")
