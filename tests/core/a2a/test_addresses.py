"""Whom a path below /agents/ means."""

from collections.abc import AsyncIterator

import pytest

from synapse.a2a.door import Addressed, addressed_by_name
from synapse.errors import NotFound
from synapse.hub.agents import Agents
from synapse.testing import Bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = await Bench().open()
    yield bench
    await bench.close()


def meant(bench: Bench, name: str, workspace: str = "") -> Addressed:
    hub = "http://127.0.0.1:1"
    return addressed_by_name(bench.core, name, f"{hub}/agents/{name}", hub, secured=False, workspace=workspace)


async def test_an_agent_is_not_hidden_by_a_client_of_its_name_or_of_its_id(bench: Bench) -> None:
    bob = await bench.agent("bob")
    agent = bench.hub.state.get(Agents).get(bob.key)
    assert agent is not None
    for taken in ("bob", agent.id):
        await bench.client(taken, workspace="other")("messages.send", to="me", text="x")
    assert {meant(bench, name).target for name in ("bob", agent.id, bob.key)} == {bob.key}


async def test_an_agent_that_is_away_keeps_its_address(bench: Bench) -> None:
    bob = await bench.agent("bob")
    await bob("agents.leave")
    await bench.client("bob", workspace="other")("messages.send", to="me", text="x")
    found = meant(bench, "bob")
    assert (found.box, found.agent) == ("w/bob", None)


async def test_a_client_is_meant_where_no_agent_is_called_so(bench: Bench) -> None:
    ci = bench.client("ci")
    await ci("messages.send", to="me", text="x")
    assert meant(bench, "ci").target == ci.key
    other = bench.client("ci", workspace="other")
    await other("messages.send", to="me", text="x")
    with pytest.raises(NotFound, match=f"say which by its id, .*{ci.key}"):
        meant(bench, "ci")
    assert meant(bench, other.key).target == other.key


async def test_two_agents_of_a_name_are_told_apart_by_their_ids(bench: Bench) -> None:
    agents = bench.hub.state.get(Agents)
    keys = [(await bench.agent("bob", workspace=place)).key for place in ("w", "other")]
    with pytest.raises(NotFound, match="in several workspaces"):
        meant(bench, "bob")
    ids = [one.id for key in keys if (one := agents.get(key))]
    assert [meant(bench, id).target for id in ids] == keys


async def test_a_workspace_chooses_between_agents_of_a_name(bench: Bench) -> None:
    agents = bench.hub.state.get(Agents)
    keys = {place: (await bench.agent("bob", workspace=place)).key for place in ("w", "other")}
    for place, key in keys.items():
        found = meant(bench, "bob", place)
        agent = agents.get(key)
        assert agent is not None
        assert (found.target, found.place.base) == (key, f"http://127.0.0.1:1/agents/{agent.id}")
        assert meant(bench, agent.id, "elsewhere").target == key
    with pytest.raises(NotFound, match="Synapse-Workspace"):
        meant(bench, "bob", "elsewhere")


async def test_a_workspace_says_nothing_of_a_name_that_is_only_once(bench: Bench) -> None:
    bob = await bench.agent("bob")
    for place in ("w", "other"):
        found = meant(bench, "bob", place)
        assert (found.target, found.place.base) == (bob.key, "http://127.0.0.1:1/agents/bob")


async def test_a_workspace_chooses_one_that_is_away_too(bench: Bench) -> None:
    bob, other = await bench.agent("bob"), await bench.agent("bob", workspace="other")
    await bob("agents.leave")
    assert (meant(bench, "bob", "w").box, meant(bench, "bob", "w").agent) == ("w/bob", None)
    assert meant(bench, "bob", "other").target == meant(bench, "bob").target == other.key
    await other("agents.leave")
    assert meant(bench, "bob", "other").box == "other/bob"
