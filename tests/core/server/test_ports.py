"""Agents' own ports: taken when they join, guarded like the hub's, let go of when they leave."""

import asyncio
import contextlib
import itertools
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from synapse.log.base import AppendFailed, Entry
from synapse.server import gate, ports
from synapse.server.app import Options, Server
from synapse.server.owner import Owner
from tests.core.server.conftest import House, Peer
from tests.core.server.webs import Answer, http

PATIENCE = 10.0


_FIRST, _COUNT = 20_000, 10_000  # ports below those that the kernel gives to whoever asks for any
_places = itertools.count(os.getpid() * 100)


def free_range(count: int = 10) -> tuple[int, int]:
    """Ports in a row that nobody has, and that no other test is given soon."""
    for place in itertools.islice(_places, 0, _COUNT, count):
        first = _FIRST + place % (_COUNT - count)
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first, first + count - 1
    raise AssertionError("no ports are free")


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.01)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


async def ask(port: int, method: str, path: str, **more: Any) -> Answer:
    async with ClientSession() as session, session.request(method, f"http://127.0.0.1:{port}{path}", **more) as came:
        return Answer(came.status, came.headers, await came.read())


async def join(
    house: House, range: tuple[int, int], name: str = "", workspace: str = "house", **more: Any
) -> tuple[Peer, dict[str, Any]]:
    """The runner of an agent that is here, and what the hub calls it."""
    runner = await house.guest(runner=True)
    reply = await runner.ask("agents.join", profile="claude", name=name, workspace=workspace, ports=range, **more)
    if "result" in reply:
        assert "result" in await runner.ask("agents.attach", key=reply["result"]["key"])
    return runner, reply.get("result") or reply["error"]["data"] | {"message": reply["error"]["message"]}


@pytest.fixture
def range_() -> tuple[int, int]:
    return free_range()


@pytest.fixture
async def house(folder: Path) -> AsyncIterator[House]:
    async with Server(Options(str(folder), port=0, rate=0, agent_ports=True)) as server:
        house = House(server)
        yield house
        await house.close()


async def test_an_agent_is_reached_on_its_port_until_it_leaves(house: House, range_: tuple[int, int]) -> None:
    runner, bob = await join(house, range_, "bob")
    assert bob["port"] == range_[0]
    assert (await ask(bob["port"], "GET", "/health")).body["status"] == "ok"
    [row] = (await http(house, "GET", "/api/agents.list?workspace=house")).body["agents"]
    assert row["endpoint"] == f"http://127.0.0.1:{bob['port']}"
    card = (await ask(bob["port"], "GET", "/.well-known/agent-card.json")).body
    assert card["supportedInterfaces"][0]["url"] == row["endpoint"]
    await runner.ask("agents.leave")
    await until(lambda: not listens(bob["port"]))


async def test_each_port_is_its_agents(house: House, range_: tuple[int, int]) -> None:
    names = {}
    for name in ("bob", "eve"):
        _, agent = await join(house, range_, name)
        names[agent["port"]] = (await ask(agent["port"], "GET", "/.well-known/agent-card.json")).body["name"]
    assert names == {range_[0]: "bob", range_[0] + 1: "eve"}


async def test_the_paths_of_plugins_are_there_and_mean_the_agents_workspace(
    house: House, range_: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "ancestors", lambda pid: ())  # this process is no agent's
    for workspace in ("house", "barn"):
        _, agent = await join(house, range_, workspace=workspace)
        saved = await ask(agent["port"], "POST", "/memory/save", json={"key": "k", "text": f"of the {workspace}"})
        assert (saved.status, saved.body["workspace"]) == (200, workspace)
    found = await ask(range_[0], "GET", "/memory/show/k")
    assert found.body["entry"]["text"] == "of the house"
    elsewhere = await ask(range_[0], "GET", "/memory/show/k", headers={"Synapse-Workspace": "barn"})
    assert elsewhere.body["entry"]["text"] == "of the barn"
    assert (await ask(range_[0], "GET", "/api/agents.list")).status == 404


async def test_a_port_of_another_program_is_passed_over(house: House, range_: tuple[int, int]) -> None:
    with socket.create_server(("127.0.0.1", range_[0])):
        _, bob = await join(house, range_)
        assert (bob["port"], bob["name"]) == (range_[0] + 1, f"claude-{range_[0] + 1}")
        _, refused = await join(house, range_, port=range_[0])
        assert (refused["code"], "Another program" in refused["message"]) == ("port_taken", True)
    _, eve = await join(house, range_)
    assert eve["port"] == range_[0]


async def test_ten_that_come_at_once_have_ten_ports(house: House, range_: tuple[int, int]) -> None:
    with socket.create_server(("127.0.0.1", range_[0] + 3)):
        runners = [await house.guest(runner=True) for _ in range(9)]
        joined = await asyncio.gather(
            *(one.ask("agents.join", profile="claude", workspace="house", ports=range_) for one in runners)
        )
    taken = {reply["result"]["port"] for reply in joined}
    assert taken == {*range(range_[0], range_[1] + 1)} - {range_[0] + 3}
    for port in taken:
        assert (await ask(port, "GET", "/health")).status == 200


async def test_who_does_not_join_after_all_leaves_no_port_taken(house: House, range_: tuple[int, int]) -> None:
    await join(house, range_, "bob")
    _, refused = await join(house, range_, "bob")
    assert refused["code"] == "name_taken"
    await until(lambda: not listens(range_[0] + 1))
    assert listens(range_[0])


async def test_a_join_that_could_not_be_stored_leaves_no_port_taken(
    house: House, range_: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = house.server.core.hub.log
    failed: list[str] = []
    append = log.append

    def full(entries: Sequence[Entry]) -> None:
        kinds = [event.kind for entry in entries if entry.record for event in entry.record.events]
        if "agents.joined" in kinds and not failed:
            failed.extend(kinds)
            raise AppendFailed("no room")
        append(entries)

    monkeypatch.setattr(log, "append", full)
    _, refused = await join(house, range_)
    assert (refused.get("code"), failed) == ("storage_unavailable", ["agents.joined"])
    await until(lambda: not listens(range_[0]))


@pytest.mark.parametrize(
    "host", ["evil.test:{port}", "127.0.0.1", "127.0.0.1:{hub}", "10.0.0.1:{port}", "127.0.0.1:{other}", ""]
)
async def test_a_foreign_host_is_kept_out_of_it(house: House, range_: tuple[int, int], host: str) -> None:
    _, bob = await join(house, range_)
    names = {"port": bob["port"], "hub": house.server.core.hub.place.port, "other": bob["port"] + 1}
    for path in ("/health", "/.well-known/agent-card.json", "/tasks"):
        answer = await ask(bob["port"], "GET", path, headers={"Host": host.format(**names)})
        assert answer.code in ("foreign_host", "")
        assert 400 <= answer.status < 500
    swapped = await http(house, "GET", "/health", headers={"Host": f"127.0.0.1:{bob['port']}"})
    assert swapped.code == "foreign_host"


async def test_pages_from_elsewhere_are_kept_out_of_it(house: House, range_: tuple[int, int]) -> None:
    _, bob = await join(house, range_)
    hub, own = house.server.core.hub.place.port, f"http://localhost:{bob['port']}"
    for headers in (
        {"Origin": "http://evil.test"},
        {"Origin": f"http://127.0.0.1:{hub}"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        answer = await ask(bob["port"], "POST", "/message:send", json={}, headers=headers)
        assert (answer.status, answer.code) == (403, "foreign_origin")
    assert (await ask(bob["port"], "GET", "/health", headers={"Origin": own})).status == 200


async def test_other_users_are_kept_out_of_it(
    house: House, range_: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bob = await join(house, range_)
    monkeypatch.setattr(gate, "tcp_owner", lambda theirs, ours: Owner(os.getuid() + 1, 0))
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    answer = await ask(bob["port"], "GET", "/tasks")
    assert (answer.status, answer.code) == (403, "other_user")
    assert (await ask(bob["port"], "GET", "/health")).status == 200


async def test_its_connections_are_counted_with_all_others(house: House, range_: tuple[int, int]) -> None:
    _, bob = await join(house, range_)
    house.server.hall.most = 2
    idle = [await asyncio.open_connection("127.0.0.1", bob["port"]) for _ in range(2)]
    await until(lambda: house.server.hall.plain == 2)
    for answer in (await ask(bob["port"], "GET", "/health"), await http(house, "GET", "/health")):
        assert (answer.status, answer.code) == (503, "too_many_clients")
    for _, writer in idle:
        writer.close()
        await writer.wait_closed()
    await until(lambda: house.server.hall.plain == 0)


async def test_a_connection_to_who_has_left_ends(
    house: House, range_: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "LAST_WORDS", 0.3)
    runner, bob = await join(house, range_)
    async with ClientSession() as session:
        url = f"http://127.0.0.1:{bob['port']}/health"
        async with session.get(url) as first:
            assert first.status == 200
        quiet, writer = await asyncio.open_connection("127.0.0.1", bob["port"])
        await runner.ask("agents.leave")
        await until(lambda: not listens(bob["port"]))
        async with session.get(url) as second:  # on the connection that is still open
            assert (second.status, (await second.json(content_type=None))["code"]) == (404, "agent_gone")
        assert await asyncio.wait_for(quiet.read(), PATIENCE) == b""
        writer.close()


async def test_after_a_start_those_who_are_still_here_have_their_ports_again(
    folder: Path, range_: tuple[int, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ports, "AGAIN", 0.1)
    options = Options(str(folder), port=0, rate=0, agent_ports=True)
    async with Server(options) as server:
        house = House(server)
        _, bob = await join(house, range_, "bob")
        _, eve = await join(house, range_, "eve")
        await house.close()
    assert not listens(bob["port"])
    with socket.create_server(("127.0.0.1", eve["port"])):
        async with Server(options) as server:
            house = House(server)
            assert (await ask(bob["port"], "GET", "/health")).status == 200
            rows = {
                row["name"]: row
                for row in (await http(house, "GET", "/api/agents.list?workspace=house")).body["agents"]
            }
            hub = server.core.hub.place.port
            assert rows["eve"]["endpoint"] == f"http://127.0.0.1:{hub}/agents/{eve['id']}"
            assert (await http(house, "GET", f"/agents/{eve['id']}/.well-known/agent-card.json")).body["name"] == "eve"
            broken = (await http(house, "GET", "/api/hub.status")).body["hub"]["broken"]
            assert "another program listens there" in broken[f"port {eve['port']}"]
            assert f"/agents/{eve['id']}" in caplog.text
    async with Server(options) as server:
        await until(lambda: not server.ports.failures)
        assert (await ask(eve["port"], "GET", "/health")).status == 200
    assert not listens(eve["port"])


async def test_a_port_is_listened_on_when_the_other_program_has_gone(
    folder: Path, range_: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "AGAIN", 0.1)
    options = Options(str(folder), port=0, rate=0, agent_ports=True)
    async with Server(options) as server:
        house = House(server)
        _, bob = await join(house, range_, "bob")
        await house.close()
    other = socket.create_server(("127.0.0.1", bob["port"]))
    async with Server(options) as server:
        assert server.ports.failures
        other.close()
        await until(lambda: not server.ports.failures)
        assert (await ask(bob["port"], "GET", "/health")).status == 200


async def test_without_ports_of_their_own_agents_are_reached_on_the_hubs(folder: Path, range_: tuple[int, int]) -> None:
    async with Server(Options(str(folder), port=0, rate=0)) as server:
        house = House(server)
        _, bob = await join(house, range_, "bob")
        assert not listens(bob["port"])
        [row] = (await http(house, "GET", "/api/agents.list?workspace=house")).body["agents"]
        assert (await http(house, "GET", row["endpoint"].partition(str(server.core.hub.place.port))[2])).status != 404
        await house.close()
