"""Whose a finished task is when names change: its agent's, under every name that it takes, and nobody else's."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from synapse.hub.agents import Agents
from synapse.testing import Bench, Peer


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = await Bench(cache=tmp_path / "cache.db").open()
    yield bench
    await bench.close()


async def done(bench: Bench, agent: Peer, by: Peer, text: str = "work") -> str:
    """A task that the agent has finished."""
    name = bench.hub.state.get(Agents).label(agent.key)
    task: str = (await by("tasks.submit", to=name, text=text, message_id="m-" + text))["task_id"]
    await agent.take()
    await agent("tasks.complete", task=task, text="done")
    return task


def box(bench: Bench, agent: Peer) -> str:
    found = bench.hub.state.get(Agents).get(agent.key)
    assert found is not None
    return found.box


async def has(bench: Bench, kim: Peer, agent: Peer, *tasks: str) -> None:
    """Exactly these are the agent's: one by one, in a page, and in the history."""
    own = box(bench, agent)
    page = await kim("tasks.page", agent=own)
    assert sorted(one["id"] for one in page["tasks"]) == sorted(tasks)
    assert sorted(one["task_id"] for one in (await kim("history.list", agent=own)).get("tasks", ())) == sorted(tasks)
    every = {one["id"] for one in (await kim("tasks.page"))["tasks"]}
    for task in every:
        if task in tasks:
            assert (await kim("tasks.get", task=task, agent=own))["id"] == task
        else:
            assert (await kim.refused("tasks.get", task=task, agent=own)).code == "no_such_task"
    bench.check()


async def test_an_agent_keeps_its_finished_tasks_through_all_its_names(bench: Bench) -> None:
    bob, kim = await bench.agent("bob"), bench.person()
    first = await done(bench, bob, kim, "1")
    await bob("agents.rename", name="rob")
    second = await done(bench, bob, kim, "2")
    await has(bench, kim, bob, first, second)
    told = await kim("history.show", task=first)
    assert (told["agent"], (await kim("tasks.get", task=first))["agent"]) == ("rob", "rob")
    for change in ({"name": "bob"}, {"clear": True}, {"name": "zed"}):
        await bob("agents.rename", **change)
        await has(bench, kim, bob, first, second)
    await bench.restart()
    assert (await bench.person()("tasks.get", task=first, agent="w/zed"))["id"] == first


async def test_who_is_given_a_name_that_is_free_again_has_nothing_of_who_had_it(bench: Bench) -> None:
    bob, kim = await bench.agent("bob"), bench.person()
    first = await done(bench, bob, kim, "1")
    await bob("agents.rename", name="rob")
    other = await bench.agent("bob")
    await has(bench, kim, other)
    second = await done(bench, other, kim, "2")
    await has(bench, kim, other, second)
    await has(bench, kim, bob, first)
    await other("agents.rename", name="ann")
    await bob("agents.rename", name="bob")
    await has(bench, kim, other, second)
    await has(bench, kim, bob, first)


async def test_who_takes_the_name_of_one_that_is_away_joins_its_box(bench: Bench) -> None:
    bob, zed, kim = await bench.agent("bob"), await bench.agent("zed"), bench.person()
    tasks = [await done(bench, bob, kim, "1"), await done(bench, zed, kim, "2")]
    await zed("agents.leave")
    await bob("agents.rename", name="zed")
    await has(bench, kim, bob, *tasks)
    await bob("agents.rename", name="rob")
    await has(bench, kim, bob, *tasks)


async def test_who_asked_keeps_the_push_configurations_of_its_tasks(bench: Bench) -> None:
    bob, ann, kim = await bench.agent("bob"), await bench.agent("ann"), bench.person()
    task = (await ann("tasks.submit", to="bob", text="work", message_id="m-1"))["task_id"]
    made = await ann("push.set", task=task, url="http://127.0.0.1:9/")
    await bob.take()
    await bob("tasks.complete", task=task, text="done")
    await ann("agents.rename", name="eve")
    assert (await ann("push.get", task=task, id=made["id"]))["url"] == "http://127.0.0.1:9/"
    assert (await kim("history.show", task=task))["requester"] == "eve"
    other = await bench.agent("ann")
    assert (await other.refused("push.get", task=task, id=made["id"])).code == "no_such_task"
