"""Following the log: from any cursor, without a gap or a double, and only what one is party to."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from synapse.event import Fact
from synapse.hub.sessions import Session
from synapse.hub.subscriptions import BACKLOG
from synapse.log.faulty import Fault, FaultyLog
from synapse.log.memory import MemoryLog
from synapse.plugins import Plugin
from synapse.verb import Change, change
from tests.core.hub.kit import BOUND, Bench, Peer


def events(peer: Peer) -> list[tuple[int, int]]:
    """The addresses of the events that came."""
    return [(f["params"]["position"], f["params"]["index"]) for f in peer.frames if f["method"] == "event"]


def stored(bench: Bench, after: int) -> list[tuple[int, int]]:
    return [(r.position, index) for r in bench.log.read(after) for index in range(len(r.events))]


async def caught_up(peer: Peer, bench: Bench) -> None:
    async def level() -> None:
        while not events(peer) or events(peer)[-1][0] < bench.log.head():
            await asyncio.sleep(0.001)

    await asyncio.wait_for(level(), BOUND)


@pytest.mark.parametrize("after", [0, 7, 300])
async def test_following_from_the_middle_while_appends_go_on_has_no_gap_and_no_double(bench: Bench, after: int) -> None:
    await bench.agent("bob")
    alice, watcher = bench.client("alice"), bench.person()
    for _ in range(600):
        alice.ask("messages.send", to="bob", text="x", mode="silent")
    await bench.settled()
    await watcher("events.follow", after=after)
    for _ in range(300):
        await alice("messages.send", to="bob", text="y")
    await caught_up(watcher, bench)
    assert events(watcher) == stored(bench, after)


async def test_following_from_now_on_begins_behind_the_head(bench: Bench) -> None:
    alice, watcher = bench.client("alice"), bench.person()
    await bench.agent("bob")
    head = bench.hub.head
    assert (await watcher("events.follow"))["after"] == head
    await alice("messages.send", to="bob", text="x")
    assert events(watcher) == stored(bench, head)


class Socket:
    """A connection that takes nothing until it is drained."""

    def __init__(self) -> None:
        self.unsent = 0
        self.most = 0
        self.waiting: list[Callable[[], None]] = []

    def when_drained(self, then: Callable[[], None]) -> None:
        if self.unsent:
            self.waiting.append(then)
        else:
            then()

    def drain(self) -> None:
        self.unsent = 0
        waiting, self.waiting = self.waiting, []
        for then in waiting:
            then()


async def test_a_slow_reader_falls_back_to_the_log_and_misses_nothing(bench: Bench) -> None:
    socket = Socket()
    session = Session(user="kim", workspace="w", backlog=lambda: socket.unsent, when_drained=socket.when_drained)
    slow = bench.peer(session)

    def push(frame: bytes) -> None:
        socket.unsent += len(frame)
        socket.most = max(socket.most, socket.unsent)
        slow.frames.append(json.loads(frame))

    session.push = push
    await bench.agent("bob")
    await slow("events.follow", after=0)
    alice = bench.client("alice")
    socket.drain()
    for _ in range(400):
        await alice("messages.send", to="bob", text="x" * 3000, mode="silent")
    assert socket.most < 2 * BACKLOG

    async def drained() -> None:
        while events(slow)[-1][0] < bench.log.head():
            socket.drain()
            await asyncio.sleep(0.001)

    await asyncio.wait_for(drained(), BOUND)
    assert events(slow) == stored(bench, 0)


async def test_a_reader_that_stalls_holds_nobody_up(bench: Bench) -> None:
    socket = Socket()
    session = Session(user="kim", workspace="w", backlog=lambda: socket.unsent, when_drained=socket.when_drained)
    stalled, watcher = bench.peer(session), bench.person()
    session.push = lambda frame: setattr(socket, "unsent", socket.unsent + len(frame))
    await bench.agent("bob")
    await stalled("events.follow")
    await watcher("events.follow")
    alice = bench.client("alice")
    for _ in range(200):
        await alice("messages.send", to="bob", text="x" * 3000, mode="silent")
    assert len(events(watcher)) == 201
    assert socket.unsent < 2 * BACKLOG


async def test_a_directed_message_reaches_its_addressees_only(bench: Bench) -> None:
    bob, eve, alice = await bench.agent("bob"), await bench.agent("eve"), bench.client("alice")
    for peer in (bob, eve, alice):
        await peer("events.follow", mine=True, kinds=["messages.*"])
    for peer in (bob, eve):
        peer.frames.clear()
    sent = await alice("messages.send", to="bob", text="psst", mode="silent")
    assert [m["params"]["story"] for m in alice.frames if m["method"] == "event"] == [sent["id"]]
    assert [f["params"]["story"] for f in bob.frames if f["method"] == "event"] == [sent["id"]]
    assert not events(eve)


async def test_what_is_mine_is_found_in_the_past_too(bench: Bench) -> None:
    bob, eve, alice = await bench.agent("bob"), await bench.agent("eve"), bench.client("alice")
    for target in ("bob", "eve", "bob"):
        await alice("messages.send", to=target, text="x", mode="silent")
    await bob("events.follow", after=0, mine=True, kinds=["messages.sent"])
    while len(events(bob)) < 2:
        await asyncio.sleep(0.001)
    assert all(f["params"]["body"]["to"] == ["w/bob"] for f in bob.frames if f["method"] == "event")
    assert eve


async def test_what_is_mine_follows_me_to_another_name(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await bob("events.follow", mine=True, kinds=["messages.sent"])
    await bob("agents.rename", name="bill")
    await bench.agent("bob")
    await alice("messages.send", to="bob", text="not for me", mode="silent")
    mine = await alice("messages.send", to="bill", text="for me", mode="silent")
    assert [f["params"]["story"] for f in bob.frames if f["method"] == "event"] == [mine["id"]]


async def test_a_listener_that_has_not_joined_yet_hears_what_is_addressed_to_it(bench: Bench) -> None:
    listener = bench.person()
    await listener("events.follow", mine=True)
    agent = await bench.agent("bob")
    await agent("messages.send", to="me", text="hello", mode="silent")
    assert (await listener.frame("event"))["body"]["text"] == "hello"


async def test_only_kinds_that_are_wanted_come(bench: Bench) -> None:
    watcher, alice = bench.person(), bench.client("alice")
    await bench.agent("bob")
    await watcher("events.follow", kinds=["tasks.*", "agents.joined"])
    await alice("messages.send", to="bob", text="x")
    assert [f["params"]["kind"] for f in watcher.frames] == ["agents.joined", "tasks.submitted"]


async def test_a_cursor_of_another_log_is_refused(bench: Bench) -> None:
    watcher = bench.person()
    assert (await watcher.refused("events.follow", after=10**6)).code == "bad_cursor"
    assert (await watcher.refused("events.follow", after=2**70)).code == "bad_cursor"


async def test_following_anew_replaces_what_was_followed(bench: Bench) -> None:
    watcher, alice = bench.person(), bench.client("alice")
    await bench.agent("bob")
    await watcher("events.follow")
    await watcher("events.follow")
    head = bench.hub.head
    await alice("messages.send", to="bob", text="x")
    assert events(watcher) == stored(bench, head)


async def test_nothing_is_pushed_to_a_connection_that_has_ended(bench: Bench) -> None:
    watcher, alice = bench.person(), bench.client("alice")
    await bench.agent("bob")
    await watcher("events.follow", after=0, presence=True)
    watcher.hang_up()
    watcher.frames.clear()
    await alice("messages.send", to="bob", text="x")
    assert not watcher.frames


async def test_what_was_not_stored_is_told_to_nobody_and_its_position_comes_once() -> None:
    log = FaultyLog(MemoryLog())
    bench = await Bench(log).open()
    await bench.agent("bob")
    alice, watcher = bench.client("alice"), bench.person()
    await alice("messages.send", to="bob", text="one")
    await watcher("events.follow", after=0)
    for fault in (Fault.BEFORE, Fault.AFTER):
        log.fail("append", [fault])
        await asyncio.gather(alice.ask("messages.send", to="bob", text="two"), return_exceptions=True)
        await bench.settled()
        await alice("messages.send", to="bob", text="three")
    await caught_up(watcher, bench)
    assert events(watcher) == stored(bench, 0)
    await bench.close()


async def test_a_page_that_cannot_be_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synapse.hub.subscriptions.TRY_AGAIN", 0.001)
    log = FaultyLog(MemoryLog())
    bench = await Bench(log).open()
    await bench.agent("bob")
    watcher = bench.person()
    log.fail("read", [Fault.BEFORE, Fault.AFTER])
    await watcher("events.follow", after=0)
    await caught_up(watcher, bench)
    assert events(watcher) == stored(bench, 0)
    await bench.close()


# -- pages of the log


async def test_pages_cover_the_log(bench: Bench) -> None:
    await bench.agent("bob")
    alice, watcher = bench.client("alice"), bench.person()
    for _ in range(5):
        await alice("messages.send", to="bob", text="x")
    seen: list[Any] = []
    after = 0
    while after < bench.hub.head:
        page = await watcher("events.page", after=after, limit=3)
        seen += [(e["position"], e["index"]) for e in page["events"]]
        after = page["next"]
    assert seen == stored(bench, 0)


async def test_the_last_events_are_one_page(bench: Bench) -> None:
    await bench.agent("bob")
    alice = bench.client("alice")
    for _ in range(5):
        await alice("messages.send", to="bob", text="x")
    page = await bench.person()("events.page", last=3)
    assert [(e["position"], e["index"]) for e in page["events"]] == stored(bench, 0)[-3:]
    page = await bench.person()("events.page", last=1000, kinds=["hub.*"])
    assert [e["kind"] for e in page["events"]] == ["hub.started"]
    assert await bench.person()("events.page", after=2**70) == {"events": [], "next": bench.hub.head}


class Strange(Fact, frozen=True):
    """Something of a plugin that is not installed any more."""

    kind = "strange.happened"
    what: str = ""


@change("strange.do")
def strange(call: Any, request: Change) -> None:
    """Do something strange."""
    call.emit(Strange(what="odd"), "s-1")


async def test_an_event_of_an_unknown_kind_is_kept_as_it_is() -> None:
    bench = await Bench(plugins=[Plugin("strange", verbs=(strange,))]).open()
    await bench.client("alice")("strange.do")
    await bench.restart()
    [event] = (await bench.person()("events.page", kinds=["strange.*"]))["events"]
    assert event["body"] == {"what": "odd"}
    assert bench.picture() == bench.refolded()
    await bench.close()
