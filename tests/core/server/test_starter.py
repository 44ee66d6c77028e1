"""The hub's own starts of agents, in the test's own loop: who is asked once, how many at once, and what the end undoes."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from synapse import Hub
from synapse.errors import Refused, Unavailable
from synapse.hub.agents import Agents
from synapse.hub.loop import Call
from synapse.server import starter
from synapse.server.app import Options, Server
from synapse.server.starter import environment
from tests.core.server.conftest import House, Peer
from tests.e2e.hubs import alive


@pytest.fixture
async def passing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A server whose agents end with it."""
    monkeypatch.setenv("SYNAPSE_INSTRUCTIONS_ENABLED", "false")
    async with Server(Options(str(folder), port=0, rate=0, passing=True)) as server:
        house = House(server)
        yield house
        await house.close()


async def person(house: House) -> Peer:
    return await house.guest(folder=str(house.server.options.data), workspace="")


def agents(house: House) -> list[str]:
    return sorted(agent.name for agent in house.server.core.hub.state.get(Agents) if agent.wrapped)


async def starting(some: bool) -> None:
    """Wait until programs of ours run that start an agent, or none does any more."""
    mine = Path(f"/proc/self/task/{os.getpid()}/children")
    async with asyncio.timeout(10):
        while any(map(starts, mine.read_text().split())) != some:
            await asyncio.sleep(0.01)


def starts(pid: str) -> bool:
    try:
        return b"\0_start\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False  # it has ended


def code(frame: dict[str, Any]) -> str:
    return str(frame["error"]["data"]["code"]) if "error" in frame else ""


async def test_two_who_ask_under_one_key_at_once_get_the_same_agent(passing: House) -> None:
    asked = {"profile": "demo", "task": "PING x", "idempotency_key": "k"}
    wishes = [asked, asked, asked | {"profile": "sh"}]
    peers = [await person(passing) for _ in wishes]
    first, second, third = await asyncio.gather(
        *(peer.ask("agents.spawn", **wish) for peer, wish in zip(peers, wishes, strict=True))
    )
    assert first["result"] == second["result"]
    assert code(third) == "key_reused"
    assert len(agents(passing)) == 1


async def test_a_plain_client_is_the_same_whichever_workspace_is_usual(passing: House) -> None:
    """The agent that is started makes another workspace the usual one."""
    asked = {"profile": "demo", "task": "PING x", "idempotency_key": "k", "cwd": str(passing.server.options.data)}
    told = [
        await (await passing.guest(**{"as": "ci", "workspace": workspace})).ask("agents.spawn", **asked)
        for workspace in ("one", "two")
    ]
    assert told[0]["result"]["key"] == told[1]["result"]["key"]
    assert told[0]["result"]["task_id"] == told[1]["result"]["task_id"] != ""
    third = await passing.guest(**{"as": "ci", "workspace": "three"})
    assert code(await third.ask("agents.spawn", **asked | {"task": "another"})) == "key_reused"
    assert len(agents(passing)) == 1


async def test_who_has_ended_under_a_key_is_not_started_anew(passing: House) -> None:
    ada = await person(passing)
    asked = {"profile": "demo", "idempotency_key": "k"}
    hello = {"as": "ci", "workspace": "one"}
    key = (await (await passing.guest(**hello)).ask("agents.spawn", **asked))["result"]["key"]
    await ada.ask("agents.signal", target=key, action="kill")
    await ada.ask("agents.wait_gone", key=key, timeout=20)
    again = await passing.guest(**hello | {"workspace": "two"})  # it has no record of the first answer
    assert code(await again.ask("agents.spawn", **asked)) == "ended"
    assert agents(passing) == []


async def test_one_too_many_is_told_so(passing: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "MOST", 2)
    one, two = await person(passing), await person(passing)
    team = asyncio.create_task(one.ask("agents.spawn_team", agents=["demo:a", "demo:b"]))
    await starting(True)
    refused = await two.ask("agents.spawn", profile="demo")
    assert (code(refused), refused["error"]["data"]["retry_after"]) == ("too_many_starts", 5)
    assert (await team)["result"]["started"] == 2
    assert code(await two.ask("agents.spawn", profile="demo")) == ""


async def test_what_takes_too_long_is_given_up_and_undone(passing: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "WITHIN", 0.05)
    refused = await (await person(passing)).ask("agents.spawn", profile="demo")
    assert code(refused) == "not_started"
    assert "within 0.05 s" in refused["error"]["message"]
    await starting(False)
    await passing.server.core.hub.flushed()
    assert agents(passing) == []


async def test_a_start_that_ends_without_a_word_is_a_bug_that_is_told(
    passing: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synapse.paths.program", lambda: ["true"])
    refused = await (await person(passing)).ask("agents.spawn", profile="demo")
    assert (code(refused), refused["error"]["data"]["status"]) == ("not_started", 503)
    monkeypatch.setattr("synapse.paths.program", lambda: ["/is/not/there"])
    assert code(await (await person(passing)).ask("agents.spawn", profile="demo")) == "not_started"


async def test_a_guard_refuses_before_anybody_is_started(passing: House) -> None:
    def refuse(call: Call, request: Any) -> None:
        raise Refused("guarded", "Not today.")

    passing.server.core.hub.guards["agents.spawn"] = [refuse]
    assert code(await (await person(passing)).ask("agents.spawn", profile="demo")) == "guarded"
    assert [event.kind for record in passing.server.core.hub.log.read(0) for event in record.events] == [
        "hub.started",
        "workspaces.named",
        "agents.joined",  # the person
    ]


async def test_agents_end_with_a_hub_that_is_passing(folder: Path) -> None:
    async with Server(Options(str(folder), port=0, passing=True)) as server:
        house = House(server)
        told = await (await person(house)).ask("agents.spawn", profile="demo")
        agent = server.core.hub.state.get(Agents).get(told["result"]["key"])
        assert agent is not None
        assert alive(agent.pid)
        assert server.core.hub.sessions.runner(agent.key) is not None
        await house.close()
    async with asyncio.timeout(10):
        while alive(agent.pid):  # it has left, and is on its way out
            await asyncio.sleep(0.01)


async def test_a_hub_that_ends_refuses_what_it_has_not_started(folder: Path) -> None:
    async with Server(Options(str(folder), port=0, passing=True)) as server:
        house = House(server)
        ada = await person(house)
        asked = asyncio.create_task(ada.ask("agents.spawn", profile="demo"))
        await starting(True)
    answer = await asked
    assert answer == {} or code(answer) == "stopping"
    await house.close()


async def test_a_hub_in_a_program_of_its_own_starts_nobody() -> None:
    async with Hub(plugins=()) as hub, hub.agent() as ada:
        for asked in (ada.agents.spawn(profile="demo"), ada.agents.spawn_team(agents=["demo"])):
            with pytest.raises(Unavailable, match="synapse serve") as refused:
                await asked
            assert refused.value.code == "no_starter"


async def test_a_start_has_the_settings_and_none_of_the_hubs_secrets(house: House) -> None:
    given = {
        "PATH": "/bin", "ANTHROPIC_API_KEY": "theirs", "SYNAPSE_LONG_MESSAGE_TTL": "60", "SYNAPSE_NO_SETUP": "1",
        "SYNAPSE_API_KEYS": "a-secret", "SYNAPSE_ADMIN_KEY": "a-secret", "SYNAPSE_TOKEN": "a-secret",
        "SYNAPSE_TOKEN_FILE": "/a", "SYNAPSE_URL": "http://far:1", "SYNAPSE_WORKSPACE": "w", "SYNAPSE_AGENT_ID": "x",
        "SYNAPSE_AGENT_NAME": "x", "SYNAPSE_HOOK": "/h", "SYNAPSE_COMMAND": "c", "SYNAPSE_AUTH_ENABLED": "true",
        "SYNAPSE_DATA": "/other", "SYNAPSE_PORT": "1",
    }  # fmt: skip
    place = house.server.core.hub.place
    assert environment(house.server.core.hub, given) == {
        "PATH": "/bin",
        "ANTHROPIC_API_KEY": "theirs",
        "SYNAPSE_LONG_MESSAGE_TTL": "60",
        "SYNAPSE_NO_SETUP": "1",
        "SYNAPSE_DATA": place.data,
        "SYNAPSE_PORT": str(place.port),
        "SYNAPSE_SOCKET": house.path,
    }
