"""A participant in a program, at a hub of this machine by its local socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from synapse import Agent, paths
from synapse.client import opening, starting
from synapse.client.aio import Connection
from synapse.errors import Refused, Unavailable
from synapse.server.app import Options, Server

BOUND = 20.0


@asynccontextmanager
async def served(folder: Path, port: int = 0) -> AsyncIterator[Server]:
    async with Server(Options(str(folder), port=port)) as server:
        yield server


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    for name in ("SYNAPSE_AGENT_ID", "SYNAPSE_URL", "SYNAPSE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SYNAPSE_DATA", str(tmp_path / "data"))
    async with asyncio.timeout(BOUND), served(tmp_path / "data") as server:
        monkeypatch.setenv("SYNAPSE_SOCKET", server.door.path)
        yield server


async def kinds(server: Server) -> list[str]:
    hub = server.core.hub
    await hub.flushed()
    return [event.kind for record in hub.log.read(0) for event in record.events]


def connection(agent: Agent) -> Connection:
    assert isinstance(agent._link, Connection)
    return agent._link


async def test_two_participants_talk(server: Server) -> None:
    async with Agent("alice", workspace="w") as alice, Agent("bob", workspace="w") as bob:
        sent = await alice.messages.send(to="bob", text="hi", mode="silent")
        [message] = await bob.inbox()
        assert (message["id"], message["sender"], message["text"]) == (sent["id"], "alice", "hi")
        mail = bob.mail()
        assert (await anext(mail))["text"] == "hi"
        await mail.aclose()  # type: ignore[attr-defined]


async def test_a_change_whose_answer_is_lost_happens_once(server: Server) -> None:
    async with Agent("alice", workspace="w") as alice, Agent("bob", workspace="w"):
        losing = connection(alice)

        def lose(data: bytes) -> None:
            losing.close()  # the answer is here, and is not looked at

        losing.data_received = lose  # type: ignore[method-assign]
        await alice.send("bob", "once")
        assert connection(alice) is not losing
        assert (await kinds(server)).count("messages.sent") == 1


async def test_a_hub_that_comes_back_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SYNAPSE_AGENT_ID", "SYNAPSE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SYNAPSE_DATA", str(tmp_path / "data"))
    async with asyncio.timeout(BOUND):
        first = Server(Options(str(tmp_path / "data"), port=0))
        await first.__aenter__()
        port = first.core.hub.place.port
        monkeypatch.setenv("SYNAPSE_SOCKET", paths.hub_socket(str(tmp_path / "data"), port))
        async with (
            Agent("alice", workspace="w") as alice,
            Agent("bob", workspace="w") as bob,
            bob.listen(kinds=["messages.sent"]) as events,
        ):
            await alice.send("bob", "one", mode="silent")
            assert (await anext(events))["body"]["text"] == "one"
            assert (await anext(bob.mail()))["text"] == "one"
            await first.__aexit__(None, None, None)
            asking = asyncio.create_task(alice.send("bob", "two", mode="silent"))
            second = Server(Options(str(tmp_path / "data"), port=port))
            await second.__aenter__()
            await asking
            assert (await anext(events))["body"]["text"] == "two"
            assert [message["text"] for message in await bob.inbox()] == ["one", "two"]
            assert (await kinds(second)).count("messages.sent") == 2
        await second.__aexit__(None, None, None)


async def test_where_no_hub_is_there_is_an_error_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("SYNAPSE_URL", raising=False)
    async with asyncio.timeout(BOUND):
        with pytest.raises(Unavailable) as none:
            async with Agent("alice", start=False):
                pass
        assert none.value.code == "no_hub"


async def test_a_hub_that_does_not_start_is_not_tried_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNAPSE_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("SYNAPSE_AGENT_ID", raising=False)
    tried = []

    def find(data: str, path: str, *, start: bool) -> str:
        tried.append(start)
        raise Unavailable("hub_not_started", "The hub did not start.")

    monkeypatch.setattr(starting, "find_or_start", find)
    monkeypatch.setattr(opening, "FIRST_PAUSE", 0.05)
    local = opening.Local(str(tmp_path / "nowhere.sock"), start=True)
    begun = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < begun + 0.5:
        with pytest.raises(Unavailable):
            await local.open({}, lambda method, params: None, lambda link: None)
        await asyncio.sleep(0.002)
    assert 2 <= sum(tried) <= 4  # at 0, 0.05, 0.15 and 0.35 s
    assert len(tried) > 10


async def test_who_the_hub_does_not_let_in_is_told_why(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_AGENT_ID", "synapse-claude-8100")
    with pytest.raises(Refused) as gone:
        async with Agent("alice", workspace="w"):
            pass
    assert gone.value.code == "agent_gone"


async def test_many_requests_are_on_their_way_at_once(server: Server) -> None:
    async with Agent("alice", workspace="w") as alice, Agent("bob", workspace="w") as bob:
        sent: list[dict[str, Any]] = await asyncio.gather(
            *(alice.send("bob", str(number), mode="silent") for number in range(300))
        )
        assert len({one["id"] for one in sent}) == 300
        assert len((await bob.messages.inbox(limit=1000))["messages"]) == 300


async def test_a_question_is_answered_also_by_a_plugin_s_verb_that_is_asked_by_its_name(server: Server) -> None:
    async with Agent("alice", workspace="w") as alice:
        if "memory.save" in [verb.name for verb in server.core.verbs]:
            await alice.memory.save(key="auth", text="Tokens live for an hour.")
            assert await alice.memory.search(query="tokens")
