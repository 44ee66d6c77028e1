"""A participant at a hub of another machine, by its WebSocket."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from synapse import Agent
from synapse.client import place, remote
from synapse.client.aio import Connection
from synapse.errors import BadRequest, SynapseError, Unavailable
from synapse.server.app import Options, Server

BOUND = 20.0


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with asyncio.timeout(BOUND), Server(Options(str(tmp_path), port=0, token="s3cret-s3cret-s3cret")) as server:
        yield server


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is another one: its name is not looked at."""
    for name in ("SYNAPSE_AGENT_ID", "SYNAPSE_URL", "SYNAPSE_TOKEN", "SYNAPSE_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(place, "port_here", lambda url: 0)


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.core.hub.place.port}"


async def test_two_participants_talk_over_a_websocket(server: Server) -> None:
    there, token = url(server), "s3cret-s3cret-s3cret"
    async with (
        Agent("alice", workspace="w", url=there, token=token) as alice,
        Agent("bob", workspace="w", url=there, token=token) as bob,
        bob.listen() as events,
    ):
        sent = await alice.send("bob", "hi", mode="silent")
        [message] = await bob.inbox()
        assert (message["id"], message["sender"], message["text"]) == (sent["id"], "alice", "hi")
        assert isinstance(alice._link, remote.Socket)
        assert (await anext(events))["kind"] == "messages.sent"


async def test_it_comes_back_by_itself_and_asks_again(server: Server) -> None:
    async with Agent("alice", workspace="w", url=url(server), token="s3cret-s3cret-s3cret") as alice:
        async with alice.listen(kinds=["messages.sent"]) as events:
            for number in range(5):
                if number % 2:
                    assert isinstance(alice._link, remote.Socket)
                    alice._link._socket._response.connection.transport.abort()
                await alice.send("alice", str(number), mode="silent")
            assert [(await anext(events))["body"]["text"] for _ in range(5)] == ["0", "1", "2", "3", "4"]
        assert len(await alice.inbox()) == 5


async def test_a_token_that_is_not_known_is_told(server: Server) -> None:
    with pytest.raises(SynapseError) as refused:
        async with Agent("alice", workspace="w", url=url(server), token="wrong"):
            pass
    assert refused.value.status == 401
    assert "SYNAPSE_TOKEN" in refused.value.sentence


async def test_the_token_comes_from_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SYNAPSE_URL", url(server))
    monkeypatch.setenv("SYNAPSE_TOKEN", "s3cret-s3cret-s3cret")
    async with Agent("alice", workspace="w") as alice:
        assert isinstance(alice._link, remote.Socket)
    monkeypatch.delenv("SYNAPSE_TOKEN")
    (tmp_path / "token").write_text("s3cret-s3cret-s3cret\n")
    monkeypatch.setenv("SYNAPSE_TOKEN_FILE", str(tmp_path / "token"))
    async with Agent("alice", workspace="w"):
        pass
    monkeypatch.setenv("SYNAPSE_TOKEN_FILE", str(tmp_path / "nothing"))
    with pytest.raises(BadRequest):
        Agent("alice")


async def test_where_no_hub_is_there_is_an_error() -> None:
    with pytest.raises(Unavailable) as none:
        async with Agent("alice", url="http://127.0.0.1:1"):
            pass
    assert none.value.code == "no_hub"


def test_the_address_of_a_websocket() -> None:
    for given, wanted in (
        ("http://host:8876", "ws://host:8876/ws"),
        ("https://host/", "wss://host/ws"),
        ("host:8876", "ws://host:8876/ws"),
        ("wss://host/hub/ws", "wss://host/hub/ws"),
        ("https://host/hub", "wss://host/hub/ws"),
    ):
        assert place.address(given) == wanted
    for wrong in ("ftp://host", "http://", "http://user:pw@host"):
        with pytest.raises(BadRequest):
            place.address(wrong)


@pytest.mark.parametrize(
    ("given", "port"), [("http://localhost:1", 1), ("127.0.0.1:9", 9), ("host:1", 0), ("http://localhost", 0)]
)
def test_which_urls_name_this_machine(given: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert place.port_here(given) == port


async def test_a_hub_of_this_machine_is_asked_on_its_local_socket(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("SYNAPSE_DATA", str(tmp_path))
    monkeypatch.setenv("SYNAPSE_URL", url(server))
    monkeypatch.setenv("SYNAPSE_PORT", "1")
    async with Agent("alice", workspace="w", start=False) as alice:
        assert isinstance(alice._link, Connection)
        assert alice.welcome["port"] == server.core.hub.place.port
    monkeypatch.setenv("SYNAPSE_DATA", str(tmp_path / "another"))
    async with Agent("alice", workspace="w", start=False) as alice:
        assert isinstance(alice._link, remote.Socket)
