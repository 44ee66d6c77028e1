"""The WebSocket: the local socket's conversations over RFC 6455, and what is not kept to it."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError
from hypothesis import given
from hypothesis import strategies as some

from synapse.server import stall
from synapse.server import websocket as door
from synapse.server.websocket import build, unmasked
from tests.core.server.conftest import House
from tests.core.server.webs import Socket, post, websocket


@given(some.binary(max_size=300), some.binary(min_size=4, max_size=4))
def test_a_mask_is_taken_off(payload: bytes, mask: bytes) -> None:
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    assert unmasked(mask, masked) == payload


@pytest.mark.parametrize(("size", "head"), [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)])
def test_a_frame_from_the_hub_is_not_masked_and_says_its_length(size: int, head: int) -> None:
    frame = build(1, b"x" * size)
    assert len(frame) == head + size
    assert frame[0] == 0x81
    assert not frame[1] & 0x80


async def test_hello_is_not_needed_and_the_address_says_who_it_is(house: House) -> None:
    socket = await websocket(house, "?from=ann&workspace=barn")
    assert "result" in await socket.ask("agents.here")
    [row] = (await socket.ask("agents.who"))["result"]["participants"]
    assert (row["name"], row["workspace"], row["presence"]) == ("ann", "barn", "ONLINE")
    await socket.close()


async def test_hello_may_come_first_and_says_more(house: House) -> None:
    socket = await websocket(house)
    hello = await socket.ask("hello", **{"as": "ann", "folder": "/srv/barn"})
    assert (hello["result"]["name"], hello["result"]["workspace"]) == ("ann", "barn")
    assert (await socket.ask("hello"))["error"]["data"]["code"] == "greeted"
    await socket.close()


async def test_who_goes_is_away(house: House) -> None:
    socket = await websocket(house, "?from=ann")
    await socket.ask("agents.here")
    await socket.close()
    other = await websocket(house, "?from=bob")
    async with asyncio.timeout(10):
        while True:
            rows = (await other.ask("agents.who"))["result"]["participants"]
            if {row["name"]: row["presence"] for row in rows}["ann"] == "AWAY":
                break
    assert len(house.server.websockets) == 1
    await other.close()


@pytest.mark.parametrize(
    ("text", "code", "id"),
    [
        ("nonsense", "bad_json", None),
        ('[{"id":1,"method":"hub.status"}]', "bad_frame", None),
        ('{"id":3,"method":7}', "bad_frame", 3),
        ('{"id":4,"method":"no.such"}', "unknown_verb", 4),
        ('{"id":"five","method":"agents.who","params":[1]}', "bad_request", "five"),
        ('{"id":6,"method":"agents.who","params":{"a":' + "[" * 99 + "]" * 99 + "}}", "too_deep", 6),
    ],
)
async def test_what_is_wrong_is_refused_and_the_connection_goes_on(house: House, text: str, code: str, id: Any) -> None:
    socket = await websocket(house)
    await socket.socket.send_str(text)
    frame = await socket.frame()
    assert (frame["id"], frame["error"]["data"]["code"]) == (id, code)
    assert "result" in await socket.ask("hub.status")
    await socket.close()


async def test_a_message_may_come_in_pieces_with_a_ping_between_them_and_as_bytes(house: House) -> None:
    socket = await websocket(house)
    transport: Any = socket.socket._writer.transport
    text = b'{"id":1,"method":"hub.status"}'
    transport.write(raw(1, text[:7], final=False) + raw(9, b"hi") + raw(0, text[7:20], final=False) + raw(0, text[20:]))
    assert (await socket.frame())["id"] == 1
    await socket.socket.send_bytes(b'{"id":2,"method":"hub.status"}')
    assert (await socket.frame())["id"] == 2
    for byte in raw(1, b'{"id":3,"method":"hub.status"}'):
        transport.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await socket.frame())["id"] == 3
    await socket.close()


def raw(opcode: int, payload: bytes, *, final: bool = True, masked: bool = True, more: int = 0) -> bytes:
    mask = b"\x9e\x11\xc3\x58"  # any will do; one that changes would give the cases new names at every run
    first = opcode | (0x80 if final else 0) | more
    size = len(payload)
    head = struct.pack("!BB", first, size | (0x80 if masked else 0)) if size < 126 else (
        struct.pack("!BBQ", first, 127 | (0x80 if masked else 0), size)
    )  # fmt: skip
    body = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload[:1000])) + payload[1000:]
    return head + (mask + body if masked else payload)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (raw(1, b"{}", masked=False), 1002),
        (raw(1, b"{}", more=0x40), 1002),
        (raw(3, b"{}"), 1002),
        (raw(0, b"{}"), 1002),
        (raw(1, b"{", final=False) + raw(1, b"}"), 1002),
        (raw(9, b"x", final=False), 1002),
        (raw(9, b"x" * 126), 1002),
        (b"\x81\xff" + (2 << 20).to_bytes(8, "big") + b"mask", 1009),
        (raw(1, b"x" * 700_000, final=False) + raw(0, b"x" * 700_000), 1009),
        (raw(8, struct.pack("!H", 1000)), 1000),
        (raw(8, b""), 1000),
        (raw(8, struct.pack("!H", 1005)), 1002),
    ],
)
async def test_who_does_not_keep_to_the_protocol_is_told_the_code_and_only_it_is_dropped(
    house: House, content: bytes, code: int
) -> None:
    socket, other = await websocket(house), await websocket(house)
    transport: Any = socket.socket._writer.transport
    transport.write(content)
    message = await socket.socket.receive(timeout=10)
    while message.type is WSMsgType.TEXT:  # it may be told why
        message = await socket.socket.receive(timeout=10)
    assert (message.type, message.data) == (WSMsgType.CLOSE, code)
    assert "result" in await other.ask("hub.status")
    await socket.close()
    await other.close()


@pytest.mark.parametrize(
    "headers",
    [{"Sec-WebSocket-Version": "8"}, {"Sec-WebSocket-Key": "short"}, {"Upgrade": "h2c"}, {"Connection": "close"}],
)
async def test_a_handshake_that_is_none_is_refused(house: House, headers: dict[str, str]) -> None:
    good = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }  # fmt: skip
    from tests.core.server.webs import http

    answer = await http(house, "GET", "/ws", headers={**good, **headers})
    assert answer.status in (400, 426)
    assert len(house.server.websockets) == 0


async def test_what_comes_with_the_handshake_is_not_lost(house: House) -> None:
    port = house.server.core.hub.place.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" % port + raw(1, b'{"id":1,"method":"hub.status"}')
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert b" 101 " in head
    assert (await asyncio.wait_for(reader.readexactly(4), 10))[0] == 0x81
    writer.close()
    await writer.wait_closed()


# -- following


async def test_a_follower_hears_what_happens_and_comes_again_by_cursor_without_a_gap(house: House) -> None:
    bob = await websocket(house, "?from=bob")
    await bob.ask("agents.here")
    await bob.ask("events.follow", mine=True, kinds=["messages.*"])
    for number in range(3):
        await post(house, "messages.send", **{"from": "ann", "to": "bob", "text": f"note {number}", "mode": "silent"})
    heard = [await bob.event() for _ in range(2)]
    await bob.close()
    for number in range(3, 6):
        await post(house, "messages.send", **{"from": "ann", "to": "bob", "text": f"note {number}", "mode": "silent"})
    bob = await websocket(house, "?from=bob")
    await bob.ask("events.follow", after=heard[-1]["position"], mine=True, kinds=["messages.*"])
    heard += [await bob.event() for _ in range(4)]
    assert [event["body"]["text"] for event in heard] == [f"note {number}" for number in range(6)]
    await bob.close()


async def test_a_filter_lets_through_only_its_kinds_and_mine_only_what_is_mine(house: House) -> None:
    bob, eve = await websocket(house, "?from=bob"), await websocket(house, "?from=eve")
    for one in (bob, eve):
        await one.ask("agents.here")
        await one.ask("events.follow", mine=True, kinds=["messages.sent"])
    await bob.ask("messages.send", to="eve", text="for eve", mode="silent")
    await eve.ask("messages.send", to="bob", text="for bob", mode="silent")
    assert [(await bob.event())["body"]["text"] for _ in range(2)] == ["for eve", "for bob"]
    await post(house, "messages.send", **{"from": "ann", "to": "bob", "text": "only bob's", "mode": "silent"})
    await post(house, "messages.send", **{"from": "ann", "to": "eve", "text": "only eve's", "mode": "silent"})
    assert [(await eve.event())["body"]["text"] for _ in range(3)][-1] == "only eve's"
    await bob.close()
    await eve.close()


async def test_a_cursor_of_another_log_is_refused(house: House) -> None:
    socket = await websocket(house)
    refused = await socket.ask("events.follow", after=10_000)
    assert refused["error"]["data"]["code"] == "bad_cursor"
    await socket.close()


async def test_a_reader_that_stalls_is_served_from_the_log_when_it_reads_again(house: House) -> None:
    bob, eve = await websocket(house, "?from=bob"), await websocket(house, "?from=eve")
    for one in (bob, eve):
        await one.ask("agents.here")
        await one.ask("events.follow", mine=True, kinds=["messages.sent"])
    reading: Any = bob.socket._writer.transport
    reading.pause_reading()
    ann = await websocket(house, "?from=ann")
    for number in range(400):
        await ann.ask("messages.send", to="bob,eve", text=f"{number} " + "x" * 20_000, mode="silent")
        await eve.event()
    [stalled] = [one for one in house.server.websockets._inside if one.session.key == bob_key(house)]
    assert stalled._backlog() < 2 << 20
    reading.resume_reading()
    heard = [int((await bob.event())["body"]["text"].partition(" ")[0]) for _ in range(400)]
    assert heard == list(range(400))
    for one in (bob, eve, ann):
        await one.close()


async def rest(socket: Socket) -> AsyncIterator[dict[str, Any]]:
    """The events that still come before the connection ends."""
    while True:
        try:
            yield await socket.event()
        except (TypeError, ConnectionError):  # the end comes in place of a text
            return


def bob_key(house: House) -> str:
    from synapse.hub.agents import Agents

    bob = house.server.core.hub.state.get(Agents).named("default", "bob")
    assert bob is not None
    return bob.key


async def test_who_never_reads_is_dropped_with_a_reason_in_the_log(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stall, "MUCH", 100_000)
    monkeypatch.setattr(stall, "SOON", 0.1)
    socket = await websocket(house)
    await socket.ask("hub.status")
    [inside] = house.server.websockets._inside
    reading: Any = socket.socket._writer.transport
    reading.pause_reading()
    async with asyncio.timeout(10):
        while inside in house.server.websockets._inside:
            inside.push(b'{"method":"noise","params":{"text":"' + b"x" * 10_000 + b'"}}')
            await asyncio.sleep(0.001)
    assert "reads nothing: dropped" in caplog.text
    reading.resume_reading()
    await socket.close()


async def test_a_reader_that_takes_nothing_is_dropped_in_its_time_and_others_are_not(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stall, "SOON", 0.1)
    monkeypatch.setattr(stall, "LATEST", 0.4)
    bob, eve = await websocket(house, "?from=bob"), await websocket(house, "?from=eve")
    for one in (bob, eve):
        await one.ask("agents.here")
        await one.ask("events.follow", mine=True, kinds=["messages.sent"])
    reading: Any = bob.socket._writer.transport
    reading.pause_reading()
    ann = await websocket(house, "?from=ann")
    for number in range(400):  # from then on it is to be served from the log
        await ann.ask("messages.send", to="bob,eve", text=f"{number} " + "x" * 20_000, mode="silent")
        position = (await eve.event())["position"]
    async with asyncio.timeout(10):
        while len(house.server.websockets) > 2:
            await asyncio.sleep(0.01)
    reading.resume_reading()
    seen = [event["position"] async for event in rest(bob)]
    again = await websocket(house, "?from=bob")
    await again.ask("events.follow", mine=True, kinds=["messages.sent"], after=seen[-1])
    while seen[-1] < position:
        seen.append((await again.event())["position"])
    assert len(seen) == len(set(seen)) == 400
    for one in (bob, eve, ann, again):
        await one.close()


# -- being alive


async def test_a_silent_peer_is_dropped_and_one_that_answers_is_not(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "BEAT", 0.05)
    alive, silent = await websocket(house), await websocket(house, autoping=False)
    answering = asyncio.create_task(alive.socket.receive())
    async with asyncio.timeout(10):
        while len(house.server.websockets) == 2:
            await asyncio.sleep(0.01)
    message = await silent.socket.receive()
    assert message.type is WSMsgType.PING
    await asyncio.sleep(0.3)
    assert len(house.server.websockets) == 1
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)
    await alive.close()
    await silent.close()


async def test_too_many_are_told_so(house: House) -> None:
    house.server.door._seats.most = 2
    first, second = await websocket(house), await websocket(house)
    with pytest.raises(WSServerHandshakeError) as refused:
        await websocket(house)
    assert refused.value.status == 503
    await first.close()
    async with asyncio.timeout(10):
        while len(house.server.websockets) > 1:
            await asyncio.sleep(0.01)
    third = await websocket(house)
    await second.close()
    await third.close()


async def test_a_hub_that_stops_says_so_and_closes(house: House) -> None:
    socket = await websocket(house)
    await socket.ask("hub.status")
    house.server.websockets.stop(restart=True)
    closing = asyncio.create_task(house.server.websockets.close())
    frame = await socket.frame()
    assert (frame["method"], frame["params"]) == ("stopping", {"restart": True})
    message = await socket.socket.receive(timeout=10)
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
    await closing
    await socket.close()


async def test_answers_come_in_order_and_by_id(house: House) -> None:
    socket = await websocket(house, "?from=ann")
    await socket.ask("agents.here")
    await asyncio.gather(
        *(socket.socket.send_str(json.dumps({"id": number, "method": "hub.status"})) for number in range(500))
    )
    assert [(await socket.frame())["id"] for _ in range(500)] == list(range(500))
    await socket.close()
