"""What can be seen of the agents, the hub and the state."""

from tests.core.hub.kit import Bench


async def test_the_list_has_the_agents_of_a_workspace_and_all_of_everything(bench: Bench) -> None:
    await bench.agent("bob")
    await bench.agent("far", workspace="x")
    alice = bench.client("alice")
    await alice("messages.send", to="bob", text="hi")

    async def names(**fields: object) -> list[str]:
        return [row["name"] for row in (await alice("agents.list", **fields))["agents"]]

    assert await names() == ["bob"]
    assert await names(workspace="x") == ["far"]
    assert await names(workspace="*") == ["bob", "far"]
    assert await names(all=True) == ["bob", "alice"]


async def test_a_row_of_the_list_has_the_fields_of_the_contract(bench: Bench) -> None:
    await bench.agent("bob")
    [row] = (await bench.client("alice")("agents.list"))["agents"]
    assert {
        "agent_id", "agent_type", "name", "role", "skill_set", "port", "status", "pid", "working_dir", "endpoint",
        "transport", "current_task_preview", "task_received_at", "editing_file",
    } <= row.keys()  # fmt: skip


async def test_who_tells_who_is_online(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await alice("messages.send", to="bob", text="hi")
    bob.hang_up()
    who = {p["name"]: p["presence"] for p in (await alice("agents.who"))["participants"]}
    assert who == {"alice": "ONLINE", "bob": "AWAY"}


async def test_everybody_is_away_after_a_start_until_it_reports(bench: Bench) -> None:
    await bench.agent("bob")
    await bench.restart()
    assert (await bench.client("alice")("agents.show", target="bob"))["presence"] == "AWAY"


async def test_showing_somebody_who_is_away_counts_its_mail(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await alice("messages.send", to="bob", text="hi")
    await bob("agents.leave")
    refusal = await alice.refused("agents.show", target="bob")
    assert (refusal.code, refusal.details) == ("away", {"waiting": 1})


async def test_a_signal_reaches_the_runner(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await alice("agents.signal", target="bob", action="interrupt")
    assert bob.frames[-1]["method"] == "interrupt"
    assert (await alice.refused("agents.signal", target="bob", action="hug")).code == "bad_action"
    assert (await alice.refused("agents.signal", target="nobody", action="stop")).code == "no_such_agent"
    bob.hang_up()
    assert (await alice.refused("agents.signal", target="bob", action="stop")).code == "away"


async def test_the_hub_tells_how_it_is(bench: Bench) -> None:
    await bench.agent("bob")
    alice = bench.client("alice")
    await alice("messages.send", to="bob", text="hi")
    await alice.refused("messages.send", to="nobody", text="hi")
    hub = (await alice("hub.status"))["hub"]
    assert (hub["head"], hub["epoch"], hub["agents"], hub["tasks"], hub["queued"]) == (bench.hub.head, 1, 2, 1, 1)
    assert hub["refusals"] == {"no_such_agent": 1}


async def test_the_state_now_has_agents_tasks_and_waiting_messages(bench: Bench) -> None:
    await bench.agent("bob")
    alice = bench.client("alice")
    await alice("messages.send", to="bob", text="hi")
    state = await alice("state.now")
    assert ([a["name"] for a in state["agents"]], len(state["tasks"]), state["messages"]) == (["bob", "alice"], 1, 1)


async def test_a_read_answer_carries_the_position_it_was_computed_at(bench: Bench) -> None:
    assert (await bench.client("alice")("state.now"))["position"] == bench.hub.head
