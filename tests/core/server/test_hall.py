"""How many may come in by TCP, from this machine and from one other, and how fast they may ask."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from synapse.server import gate, hall, stall
from synapse.server.app import Options, Server
from synapse.server.platform import raise_descriptor_limit
from tests.core.server.conftest import House
from tests.core.server.webs import http, post, url, websocket

PATIENCE = 10.0
Plain = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.01)


Come = Callable[[], Awaitable[Plain]]


@pytest.fixture
async def come(house: House) -> AsyncIterator[Come]:
    """Makes a connection on which nothing is asked yet."""
    made: list[Plain] = []

    async def one() -> Plain:
        made.append(await asyncio.open_connection("127.0.0.1", house.server.core.hub.place.port))
        return made[-1]

    yield one
    for _, writer in made:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in made), return_exceptions=True)


async def asked(house: House, plain: Plain) -> bytes:
    """The whole answer to a question that ends the connection."""
    plain[1].write(f"GET /health HTTP/1.1\r\nHost: {url(house)[7:]}\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        return await plain[0].read()


async def test_idle_connections_fill_the_hall_and_whoever_is_one_too_many_is_told(house: House, come: Come) -> None:
    house.server.hall.most = 3
    inside = [await come() for _ in range(3)]
    await until(lambda: house.server.hall.plain == 3)
    answer = await http(house, "GET", "/health")
    assert (answer.status, answer.code) == (503, "too_many_clients")
    assert b"200 OK" in await asked(house, inside[0])
    inside[1][1].close()
    await until(lambda: house.server.hall.plain == 1)
    assert (await http(house, "GET", "/health")).status == 200
    inside[2][1].close()


async def test_one_too_many_that_asks_nothing_is_sent_off(
    house: House, come: Come, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hall, "UNWELCOME", 0.05)
    monkeypatch.setattr(hall, "BEYOND", 1)
    house.server.hall.most = 1
    first, second, third = [await come() for _ in range(3)]
    async with asyncio.timeout(PATIENCE):
        for dropped in (second, third):
            assert await dropped[0].read() == b""
    await until(lambda: house.server.hall.plain == 1)
    assert b"200 OK" in await asked(house, first)


async def test_a_websocket_has_a_seat_of_its_own_and_frees_the_one_in_the_hall(house: House) -> None:
    house.server.hall.most = 1
    sockets = [await websocket(house, f"?from=w{number}") for number in range(3)]
    assert house.server.hall.plain == 0
    for socket in sockets:
        await socket.close()
    await until(lambda: len(house.server.websockets) == 0)
    assert house.server.hall.plain == 0


async def test_a_thousand_connections_are_there_at_once_and_answered(house: House, come: Come) -> None:
    raise_descriptor_limit(4096)  # both ends of each are ours
    plain = [await come() for _ in range(800)]
    sockets = [await websocket(house) for _ in range(200)]
    await until(lambda: house.server.hall.plain == 800)
    assert len(house.server.websockets) == 200
    assert b"200 OK" in await asked(house, plain[250])
    assert "result" in await sockets[70].ask("hub.status")
    assert (await http(house, "GET", "/health")).status == 200
    for _, writer in plain:
        writer.close()
    for socket in sockets:
        await socket.close()
    await until(lambda: house.server.hall.plain == 0)


async def test_other_users_of_the_machine_leave_half_of_the_room(house: House, come: Come) -> None:
    house.server.hall.most = 4
    mine = house.server.hall.ours
    house.server.hall.ours = lambda transport: False  # from now on come others
    strangers = [await come() for _ in range(3)]
    await until(lambda: house.server.hall.plain == 3)
    assert b"200 OK" in await asked(house, strangers[0])
    refused = await asked(house, strangers[2])
    assert b"503 Service Unavailable" in refused
    assert b"what room is left is for the user whose hub this is" in refused
    house.server.hall.ours = mine
    await until(lambda: house.server.hall.plain == 1)
    inside = [await come() for _ in range(3)]
    await until(lambda: house.server.hall.plain == 4)
    assert b"200 OK" in await asked(house, inside[2])


@pytest.mark.skipif(os.getuid() != 0, reason="not run: only root can be another user")
async def test_the_kernel_tells_other_users_from_ours(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.server.hall.most = 0
    refusals = [(await http(house, "GET", "/health")).body["detail"]]
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    monkeypatch.setattr(house.server.hall, "most", 2)
    words = ["curl", "-sS", "-m", "9", url(house, "/health")]
    _, kept = await asyncio.open_connection("127.0.0.1", house.server.core.hub.place.port)
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE, user=65534, cwd="/")
    refusals.append((await process.communicate())[0].decode())
    assert "raise --max-clients" in refusals[0]
    assert "the user whose hub this is" in refusals[1]
    assert (await http(house, "GET", "/health")).status == 200  # root may do everything
    kept.close()


async def test_who_asks_and_takes_no_answer_is_sent_off(
    house: House, come: Come, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stall, "SOON", 0.05)
    monkeypatch.setattr(stall, "LATEST", 0.2)
    _, writer = await come()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    question = f"GET /api/openapi.json HTTP/1.1\r\nHost: {url(house)[7:]}\r\n\r\n".encode()
    for _ in range(200):
        writer.write(question)
    await until(lambda: house.server.hall.plain == 0)
    assert (await http(house, "GET", "/health")).status == 200


async def test_another_machine_has_its_own_bound_which_websockets_count_against(house: House, come: Come) -> None:
    house.server.hall.near = lambda host: False  # we are another machine
    house.server.hall.per_host = 2
    socket = await websocket(house)
    plain = await come()
    await until(lambda: house.server.hall.plain == 1)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await websocket(house)
    assert refused.value.status == 503
    answer = await http(house, "GET", "/health")
    assert (answer.status, answer.code) == (503, "too_many_clients")
    assert "127.0.0.1" in answer.body["detail"]
    await socket.close()
    plain[1].close()
    await until(lambda: not house.server.hall._hosts)
    assert (await http(house, "GET", "/health")).status == 200


async def test_another_machine_asks_only_so_fast_whomever_it_is_over_http_and_websocket(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "loopback", lambda host: False)
    options = Options(str(folder), port=0, rate=0.001, burst=3.0, token="correct-horse-battery", insecure=True)
    async with Server(options) as server:
        await too_fast(House(server), {"X-API-Key": "correct-horse-battery"})


async def too_fast(house: House, token: dict[str, str]) -> None:
    socket = await websocket(house, headers=token)  # the handshake is the first
    assert "result" in await socket.ask("hub.status")
    assert (await post(house, "hub.status", headers=token)).status == 200
    over = await socket.ask("hub.status")
    assert over["error"]["data"]["code"] == "rate_limited"
    assert over["error"]["data"]["retry_after"] > 1
    refused = await post(house, "hub.status", headers=token)
    assert (refused.status, refused.code, int(refused.headers["Retry-After"]) > 1) == (429, "rate_limited", True)
    assert json.loads(refused.content)["detail"].startswith("More than 0.001 requests a second from 127.0.0.1")
    await socket.close()
