"""The local door as conversations: every request is answered or refused, and a peer costs at most its own connection."""

import asyncio
import json
import os
import resource
from collections.abc import Callable
from typing import Any

import pytest

from synapse import __version__
from synapse.server import connection, stall
from synapse.server.frames import MAX_FRAME
from tests.core.server.conftest import House, Peer


async def settled(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


def code_of(frame: dict[str, Any]) -> str:
    return str(frame["error"]["data"]["code"])


async def test_hello_and_the_first_request_come_together(house: House) -> None:
    peer = await house.peer()
    peer.request("hello", 0, user="ada", workspace="house")
    peer.request("hub.status", 1)
    hello, status = await peer.frame(), await peer.frame()
    assert (hello["id"], status["id"]) == (0, 1)
    assert hello["result"]["name"] == "ada"
    assert status["result"]["hub"]["pid"] == os.getpid()


async def test_a_request_before_hello_is_refused_and_hello_may_still_come(house: House) -> None:
    peer = await house.peer()
    assert code_of(await peer.ask("hub.status")) == "no_hello"
    assert "result" in await peer.hello()
    assert "result" in await peer.ask("hub.status")


async def test_a_second_hello_is_refused(house: House) -> None:
    peer = await house.guest()
    assert code_of(await peer.hello()) == "greeted"
    assert "result" in await peer.ask("hub.status")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"protocol": 99}, "protocol"),
        ({"protocol": "one"}, "bad_request"),
        ({"workspace": "no such name!"}, "bad_name"),
        ({"workspace": "", "folder": "relative"}, "bad_folder"),
        ({"as": "hub"}, "reserved_name"),
        ({"agent": "synapse-claude-8100"}, "agent_gone"),
        ({"nope": 1}, "bad_request"),
    ],
)
async def test_a_hello_that_cannot_be_is_refused(house: House, params: dict[str, Any], code: str) -> None:
    peer = await house.peer()
    assert code_of(await peer.hello(**params)) == code
    assert "result" in await peer.hello()


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"from": "ann"}, "hello takes no `from`. Did you mean `as`? It takes protocol, version, pid, as, agent,"),
        ({"workspce": "w"}, "Did you mean `workspace`?"),
        ({"nope": 1, "version": __version__}, "hello takes no `nope`. It takes"),
    ],
)
async def test_what_hello_does_not_take_is_refused_with_what_it_may_have_been(
    house: House, params: dict[str, Any], sentence: str
) -> None:
    peer = await house.peer()
    assert sentence in (await peer.hello(**params))["error"]["message"]
    assert "result" in await peer.hello()


async def test_who_says_nothing_about_where_is_where_everybody_is(house: House) -> None:
    peer = await house.peer()
    assert (await peer.ask("hello"))["result"]["workspace"] == "default"
    saved = await peer.ask("memory.save", key="k", text="not for every workspace")
    assert saved["result"]["workspace"] == "default"
    await house.client("ann")
    other = await house.peer()
    assert (await other.ask("hello", **{"as": "ann"}))["result"]["workspace"] == "house"


async def test_a_caller_of_another_version_may_say_more_than_this_hub_knows(house: House) -> None:
    peer = await house.peer()
    assert "result" in await peer.hello(version="99.0", nope=1)


@pytest.mark.parametrize(
    ("line", "code", "id"),
    [
        (b"nonsense", "bad_json", None),
        (b"\x00\xff\xfe", "bad_json", None),
        (b'[{"id":1,"method":"hub.status"}]', "bad_frame", None),
        (b'{"id":3,"method":7}', "bad_frame", 3),
        (b'{"id":4,"method":"no.such"}', "unknown_verb", 4),
        (b'{"id":"five","method":"agents.who","params":[1]}', "bad_request", "five"),
        (b'{"id":6,"method":"agents.who","params":null}', "bad_request", 6),
        (b'{"id":7,"method":"agents.who","params":{"nope":1}}', "bad_request", 7),
        (b'{"id":8,"method":"agents.who","params":{"workspace":8}}', "bad_request", 8),
        (b'{"id":9,"method":"messages.send","params":{"to":"x","text":"y","priority":1e999}}', "bad_request", 9),
        (b'{"id":10,"method":"messages.send","params":{"to":"x","text":"y","priority":' + b"9" * 99 + b"}}", None, 10),
        (b'{"id":11,"method":"agents.who","params":{"a":' + b"[" * 99 + b"]" * 99 + b"}}", "too_deep", 11),
        (b'{"id":12,"method":"hub.start","params":{}}', "unknown_verb", 12),
        (b'{"id":null,"method":"no.such"}', "unknown_verb", None),
        (b'{"id":1000000000000000000000000000000,"method":"no.such"}', "unknown_verb", 10**30),
    ],
)
async def test_what_is_wrong_is_refused_with_its_id_and_the_connection_goes_on(
    house: House, line: bytes, code: str | None, id: Any
) -> None:
    peer = await house.guest()
    peer.send(line + b"\n")
    frame = await peer.frame()
    assert frame["id"] == id
    assert code is None or code_of(frame) == code
    assert frame["error"]["message"]
    assert "result" in await peer.ask("hub.status", id="after")


async def test_a_notification_gets_no_answer(house: House) -> None:
    peer = await house.guest()
    peer.send(b'{"method":"no.such"}\n{"method":"hub.status","params":{}}\n')
    peer.request("hub.status", 5)
    assert (await peer.frame())["id"] == 5


async def test_lines_may_end_as_on_windows_and_empty_ones_are_nothing(house: House) -> None:
    peer = await house.guest()
    peer.send(b'\r\n\n  \n{"id":1,"method":"hub.status"}\r\n')
    assert (await peer.frame())["id"] == 1


async def test_a_frame_may_come_byte_by_byte(house: House) -> None:
    peer = await house.guest()
    for byte in b'{"id":1,"method":"hub.status"}\n':
        peer.send(bytes([byte]))
        await peer.writer.drain()
        await asyncio.sleep(0)
    assert (await peer.frame())["id"] == 1


async def test_half_a_frame_and_then_nothing_costs_nobody_anything(house: House) -> None:
    peer = await house.guest()
    peer.send(b'{"id":1,"method":"hub.sta')
    await peer.close()
    assert "result" in await (await house.guest()).ask("hub.status")


@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_a_line_that_is_too_long_ends_this_connection_with_a_word(house: House, end: bytes) -> None:
    peer, other = await house.guest(), await house.guest()
    peer.send(b'{"id":1,"method":"' + b"x" * (MAX_FRAME + 10) + end)
    assert code_of(await peer.frame()) == "too_large"
    assert await peer.frame() == {}
    assert "result" in await other.ask("hub.status")


async def test_the_longest_line_that_is_allowed_is_answered(house: House) -> None:
    peer = await house.guest()
    frame = b'{"id":1,"method":"agents.who","params":{"workspace":"%s"}}'
    peer.send(frame % (b"x" * (MAX_FRAME - len(frame) + 2)) + b"\n")
    assert (await peer.frame())["id"] == 1


async def test_thousands_of_changes_at_once_are_answered_in_order(house: House) -> None:
    alice, _ = await house.client("alice"), [await house.client(f"bob-{number}") for number in range(10)]
    count = 3000
    for number in range(count):
        alice.request("messages.send", number, to=f"bob-{number % 10}", text=f"note {number}", mode="silent")
    frames = [await alice.frame() for _ in range(count)]
    assert [frame["id"] for frame in frames] == list(range(count))
    assert all("result" in frame for frame in frames), next(frame for frame in frames if "error" in frame)
    positions = [frame["position"] for frame in frames]
    assert positions == sorted(set(positions))


async def test_a_peer_with_much_to_do_is_read_no_further(house: House) -> None:
    peer = await house.guest()
    highest = 0
    task = "t-" + "0" * 26
    for number in range(2000):
        peer.request("tasks.wait", number, task=task, timeout=0.01)
        peer.request("hub.status", f"s{number}")
    for _ in range(4000):
        await peer.frame()
        highest = max(highest, peer.connection._open)
    assert highest <= connection.IN_FLIGHT


async def test_refusals_that_come_at_once_do_not_pile_up_on_the_stack(house: House) -> None:
    peer = await house.guest(**{"as": "alice"})
    for number in range(connection.IN_FLIGHT):
        peer.request("messages.send", number, to="nobody", text="x")
    peer.send(b'{"id":1,"method":"agents.who","params":[]}\n' * 20_000)
    for _ in range(connection.IN_FLIGHT + 20_000):
        assert "error" in await peer.frame()


async def flood(house: House, count: int, text: str = "x" * 8000) -> None:
    """Store notes of alice to bob."""
    alice, bob = await house.client("alice"), await house.client("bob")
    for number in range(count):
        alice.request("messages.send", number, to="bob", text=text, mode="silent")
    for _ in range(count):
        assert "result" in await alice.frame()
    await alice.close()
    await bob.close()


async def test_who_asks_much_and_reads_nothing_is_not_answered_any_further(house: House) -> None:
    await flood(house, 60)
    peer, other = await house.guest(), await house.guest()
    transport: Any = peer.writer.transport
    transport.pause_reading()
    for number in range(400):  # 400 pages of half a megabyte
        peer.request("events.page", number, after=0, limit=60)
    for _ in range(100):
        assert "result" in await other.ask("hub.status")
    assert peer.connection._backlog() < (connection.IN_FLIGHT + 1) * 600_000
    assert peer.connection._held
    transport.resume_reading()
    answered = [(await peer.frame())["id"] for _ in range(400)]
    assert sorted(answered) == list(range(400))  # when it reads, it gets everything


async def test_one_answer_may_be_larger_than_what_a_peer_may_leave_unread(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stall, "MUCH", 10_000)
    await flood(house, 60)
    peer = await house.guest()
    page = await peer.ask("events.page", after=0, limit=1000)
    assert len(json.dumps(page)) > 400_000


async def test_a_follower_that_reads_nothing_is_served_from_the_log_when_it_does(house: House) -> None:
    follower = await house.guest()
    await follower.ask("events.follow", after=0)
    transport: Any = follower.writer.transport
    transport.pause_reading()
    await flood(house, 400)
    assert follower.connection._backlog() < 2 << 20
    transport.resume_reading()
    last = (await (await house.guest()).ask("hub.status"))["result"]["hub"]["head"]
    positions = [0]
    while positions[-1] < last:
        positions.append((await follower.frame())["params"]["position"])
    assert positions == sorted(positions)
    assert set(positions) == set(range(last + 1))


async def test_a_peer_that_reads_nothing_for_long_is_dropped(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall, "MUCH", 100_000)
    monkeypatch.setattr(stall, "SOON", 0.1)
    peer, other = await house.guest(), await house.guest()
    transport: Any = peer.writer.transport
    transport.pause_reading()
    async with asyncio.timeout(10):
        while peer.connection in house.server.door._inside:
            peer.connection.push(b'{"method":"noise","params":{"text":"' + b"x" * 10_000 + b'"}}')
            await asyncio.sleep(0.001)
    assert "result" in await other.ask("hub.status")
    transport.resume_reading()
    while await peer.frame():
        pass  # what was on its way comes, then the end


async def test_a_peer_that_takes_nothing_is_dropped_also_when_nothing_more_is_sent(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stall, "SOON", 0.1)
    monkeypatch.setattr(stall, "LATEST", 0.3)
    peer, other = await house.guest(), await house.guest()
    transport: Any = peer.writer.transport
    transport.pause_reading()
    while not peer.connection._paused:
        peer.connection.push(b'{"method":"noise","params":{"text":"' + b"x" * 10_000 + b'"}}')
        peer.connection.flush()
    await settled(lambda: peer.connection not in house.server.door._inside)
    assert "reads nothing: dropped" in caplog.text
    assert peer.connection._stall is None
    assert "result" in await other.ask("hub.status")
    transport.resume_reading()
    while await peer.frame():
        pass


async def test_nothing_looks_at_a_peer_that_takes_what_it_is_sent(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stall, "SOON", 0.05)
    peer = await house.guest()
    while not peer.connection._paused:
        peer.connection.push(b'{"method":"noise","params":{"text":"' + b"x" * 10_000 + b'"}}')
        peer.connection.flush()
    begun = peer.connection._stall
    assert begun is not None
    while peer.connection._paused:
        await peer.frame()
    assert peer.connection._stall is None
    assert begun._timer.cancelled()


async def test_a_slow_peer_that_does_read_is_not_dropped(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall, "MUCH", 100_000)
    monkeypatch.setattr(stall, "SOON", 0.3)
    peer = await house.guest()
    for _ in range(300):
        peer.connection.push(b'{"method":"noise","params":{"text":"' + b"x" * 10_000 + b'"}}')
    for number in range(300):
        assert (await peer.frame())["method"] == "noise"
        if number % 30 == 0:
            await asyncio.sleep(0.1)
            peer.connection.push(b'{"method":"more"}')
    assert peer.connection in house.server.door._inside


async def test_a_thousand_connections_at_once_are_all_served(house: House) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2500:
        pytest.skip(f"not run: only {hard} open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2500), hard))
    try:
        peers: list[Peer] = await asyncio.gather(*(house.peer() for _ in range(1000)))
        for peer in peers:
            peer.request("hello", "hello", user="ada", workspace="house")
            peer.request("hub.status")
        answers = [[await peer.frame(), await peer.frame()] for peer in peers]
        assert all("result" in frame for pair in answers for frame in pair)
        assert len(house.server.door) == 1000
        await asyncio.gather(*(peer.close() for peer in peers))
        await settled(lambda: len(house.server.door) == 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_one_connection_too_many_is_told_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.server.door._seats, "most", 2)
    first, second = await house.guest(), await house.guest()
    third = await house.peer()
    assert code_of(await third.frame()) == "too_many_clients"
    assert await third.frame() == {}
    await second.close()
    await settled(lambda: len(house.server.door) == 1)
    assert "result" in await (await house.guest()).ask("hub.status")
    assert "result" in await first.ask("hub.status")


async def test_a_socket_that_was_taken_away_is_made_again(house: House) -> None:
    before = await house.guest()
    os.unlink(house.path)
    house.server.door._look()
    await settled(lambda: os.path.exists(house.path))
    await settled(lambda: house.server.door._task is not None and house.server.door._task.done())
    assert "result" in await (await house.guest()).ask("hub.status")
    assert "result" in await before.ask("hub.status")


@pytest.mark.parametrize("restart", [True, False])
async def test_a_stop_answers_what_was_asked_and_says_whether_another_hub_comes(house: House, restart: bool) -> None:
    alice, bob = await house.client("alice"), await house.client("bob")
    alice.request("messages.send", 1, to="bob", text="the last one", mode="silent")
    alice.request("hub.shutdown", 2, restart=restart)
    frames = [await alice.frame(), await alice.frame()]
    assert ["result" in frame for frame in frames] == [True, True]
    await asyncio.wait_for(house.server.stopped.wait(), 5)
    house.server.door.stop(restart=house.server.restarts)
    for peer in (alice, bob):
        assert await peer.frame() == {"jsonrpc": "2.0", "method": "stopping", "params": {"restart": restart}}
