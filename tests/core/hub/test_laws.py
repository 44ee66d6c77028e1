"""The laws of the hub, on random conversations with faults, crashes and jumps of the clock at any step."""

import asyncio
import json
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from synapse.errors import SynapseError, Unavailable
from synapse.hub.agents import Agents
from synapse.hub.mailbox import QUEUED, TYPING, Mailbox, Message
from synapse.hub.outbox import LOST
from synapse.hub.sessions import Session
from synapse.hub.tasks import Tasks
from synapse.log.base import Log
from synapse.log.faulty import STEPS, Fault, FaultyLog
from synapse.log.memory import MemoryLog
from synapse.log.sqlite import SqliteLog
from tests.core.hub.kit import BOUND, Bench, Peer

CLIENTS = ("alice", "carol")
NAMES = ("", "bob", "eve")
TARGETS = ("alice", "carol", "bob", "eve", "claude", "me", "all", "alice,bob", "claude-8100", "class:review")
faults = st.sampled_from([Fault.BEFORE, Fault.AFTER])
numbers = st.integers(0, 7)


class Conversation(RuleBasedStateMachine):
    """Several participants at one hub; whatever goes wrong, the state is the fold of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.stored = self.make_log(Path(self.folder.name))
        self.log = FaultyLog(self.stored)
        self.agents: list[str] = []
        self.peers: dict[str, Peer] = {}
        self.said = 0
        self.acknowledged: list[tuple[str, bytes]] = []  # what was said, and the answer
        self.lost: list[str] = []  # what was said and answered with "nothing has changed"
        self.refused: list[str] = []
        self.keyed: dict[tuple[str, str], tuple[str, dict[str, Any], bytes]] = {}
        self.patch = patch("synapse.hub.recovery.SNAPSHOT_EVERY", 40)
        self.patch.start()

    def make_log(self, folder: Path) -> Log:
        return MemoryLog()

    def run(self, what: Any) -> Any:
        return self.runner.run(asyncio.wait_for(what, BOUND))

    @initialize()
    def begin(self) -> None:
        self.run(self._begin())
        for name in ("", "bob"):
            self.join(name)
        for name in CLIENTS:
            self.change(self.client(name), "messages.send", to="bob", text=self.text())

    async def _begin(self) -> None:
        self.bench = Bench(self.log)
        self.bench.truth = self.stored
        await self.bench.open()

    def teardown(self) -> None:
        for step in STEPS:
            self.log.fail(step, [])
        if hasattr(self, "bench"):
            self.run(self.bench.settled())
            self.check()
            self.run(self.bench.close())
        self.runner.close()
        self.stored.close()
        self.folder.cleanup()
        self.patch.stop()

    # -- who asks

    def client(self, name: str) -> Peer:
        if name not in self.peers:
            self.peers[name] = self.bench.client(name)
        return self.peers[name]

    def agent(self, number: int) -> Peer | None:
        if not self.agents:
            return None
        key = self.agents[number % len(self.agents)]
        if key not in self.peers:
            self.peers[key] = peer = self.bench.peer(Session(workspace="w", user="kim"))
            self.run(self._tried(peer.ask("agents.attach", key=key)))
        return self.peers[key]

    def somebody(self, number: int) -> Peer:
        return (self.agent(number) if number % 2 else None) or self.client(CLIENTS[number % len(CLIENTS)])

    async def _tried(self, asked: "asyncio.Future[bytes]") -> bytes | SynapseError:
        """The answer or the refusal; a bug is neither."""
        [answer] = await asyncio.gather(asked, return_exceptions=True)
        assert isinstance(answer, bytes | SynapseError)
        assert getattr(answer, "code", "") != "internal_error"
        return answer

    def change(self, peer: Peer, verb: str, **fields: Any) -> bytes | SynapseError:
        answer: bytes | SynapseError = self.run(self._change(peer, verb, fields))
        return answer

    async def _change(self, peer: Peer, verb: str, fields: dict[str, Any]) -> bytes | SynapseError:
        answer = await self._tried(peer.ask(verb, **fields))
        self._note(fields.get("text", ""), answer)
        if isinstance(answer, bytes) and "idempotency_key" in fields:
            self.keyed[peer.key, fields["idempotency_key"]] = (verb, fields, answer)
        await self.bench.settled()
        return answer

    def _note(self, text: str, answer: bytes | SynapseError) -> None:
        if isinstance(answer, bytes):
            self.acknowledged.append((text, answer))
        elif text and answer is LOST:
            self.lost.append(text)
        elif text and not isinstance(answer, Unavailable):
            self.refused.append(text)

    def text(self) -> str:
        self.said += 1
        return f"<{self.said}>"

    # -- what they do

    @rule(name=st.sampled_from(NAMES))
    def join(self, name: str) -> None:
        peer = self.bench.peer(Session(workspace="w", user="kim"))
        answer = self.change(peer, "agents.join", profile="claude", name=name, workspace="w", ports=[8100, 8109])
        if isinstance(answer, bytes):
            key = json.loads(answer)["key"]
            self.agents.append(key)
            self.peers[key] = peer
            self.run(self._tried(peer.ask("agents.attach", key=key)))

    @rule(number=numbers)
    @precondition(lambda self: len(self.agents) > 1)
    def leave(self, number: int) -> None:
        peer = self.agent(number)
        if peer is not None and isinstance(self.change(peer, "agents.leave"), bytes):
            self.agents.remove(peer.key)

    @rule(number=numbers, name=st.sampled_from(["gpu", "disk"]), ttl=st.sampled_from([1.0, 100.0]), keep=st.booleans())
    def offer(self, number: int, name: str, ttl: float, keep: bool) -> None:
        verb, more = ("offers.put", {"ttl": ttl}) if keep else ("offers.withdraw", {})
        self.change(self.somebody(number), verb, kind="thing", name=name, **more)

    @rule(number=numbers, classes=st.sampled_from([["review"], ["review", "build"], []]))
    def advertise(self, number: int, classes: list[str]) -> None:
        self.change(self.somebody(number), "agents.advertise", task_classes=classes)

    @rule(number=numbers, name=st.sampled_from(NAMES))
    def rename(self, number: int, name: str) -> None:
        peer = self.agent(number)
        if peer is not None:
            self.change(peer, "agents.rename", **({"name": name} if name else {"clear": True}))

    @rule(
        number=numbers,
        to=st.sampled_from(TARGETS),
        mode=st.sampled_from(["notify", "wait", "silent"]),
        priority=st.integers(1, 5),
        key=st.sampled_from(["", "k1", "k2"]),
        long=st.booleans(),
    )
    def send(self, number: int, to: str, mode: str, priority: int, key: str, long: bool) -> None:
        text = self.text() + ("x" * 40_000 if long and number == 0 else "")
        fields = {"to": to, "text": text, "mode": mode, "priority": priority}
        if key:
            fields["idempotency_key"] = f"{key}-{self.said}"
        self.change(self.somebody(number), "messages.send", **fields)

    @rule(wanted=st.lists(st.tuples(numbers, st.sampled_from(TARGETS)), min_size=2, max_size=12))
    def send_many_at_once(self, wanted: list[tuple[int, str]]) -> None:
        self._at_once(wanted)

    def _at_once(self, wanted: list[tuple[int, str]]) -> None:
        peers = [(self.somebody(number), to, self.text()) for number, to in wanted]

        async def all_of_them() -> None:
            asked = [(text, peer.ask("messages.send", to=to, text=text)) for peer, to, text in peers]
            for text, answer in asked:
                self._note(text, await self._tried(answer))
            await self.bench.settled()

        self.run(all_of_them())

    @precondition(lambda self: self.keyed)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        (by, _), (verb, fields, first) = data.draw(st.sampled_from(list(self.keyed.items())))
        peer = next((p for p in self.peers.values() if p.key == by), None)
        if peer is None:
            return
        answer = self.run(self._tried(peer.ask(verb, **fields)))
        assert answer == first or isinstance(answer, Unavailable)
        other = self.run(self._tried(peer.ask(verb, **{**fields, "text": "something else"})))
        assert isinstance(other, Unavailable) or getattr(other, "code", "") == "key_reused"
        self.run(self.bench.settled())

    def message(self, peer: Peer, number: int, state: str) -> Message | None:
        box = self.bench.hub.state.get(Agents).box_of(peer.session)
        found = [m for m in self.bench.hub.state.get(Mailbox).of(box) if m.state == state]
        return found[number % len(found)] if found else None

    @rule(number=numbers, which=numbers)
    def type_it(self, number: int, which: int) -> None:
        peer = self.agent(number)
        message = self.message(peer, which, QUEUED) if peer else None
        if peer and message:
            self.change(peer, "messages.typing", id=message.id)

    @rule(number=numbers, outcome=st.sampled_from(["answered", "open", "asks"]))
    def take_it(self, number: int, outcome: str) -> None:
        """What a runner does with the head of its queue."""
        peer = self.agent(number)
        message = self.message(peer, 0, TYPING) or self.message(peer, 0, QUEUED) if peer else None
        if not peer or not message:
            return
        if message.state == QUEUED:
            self.change(peer, "messages.typing", id=message.id)
        self.change(peer, "messages.delivered", id=message.id)
        if message.task and outcome == "asks":
            self.change(peer, "tasks.ask", task=message.task, question="?", choices=["a"])
        elif message.task and outcome == "answered":
            self.change(peer, "tasks.complete", task=message.task, text=self.text())

    @rule(number=numbers, verb=st.sampled_from(["delivered", "delivered", "delivered", "returned", "unknown"]))
    def report_it(self, number: int, verb: str) -> None:
        peer = self.agent(number)
        message = self.message(peer, 0, TYPING) if peer else None
        if peer and message:
            self.change(peer, f"messages.{verb}", id=message.id)

    @rule(number=numbers, verb=st.sampled_from(["tasks.complete", "tasks.ask", "tasks.resume"]))
    def work_on_it(self, number: int, verb: str) -> None:
        peer = self.agent(number)
        task = self.bench.hub.state.get(Tasks).current(peer.key) if peer else None
        if peer and task:
            self.change(peer, verb, task=task.id, **({"text": self.text()} if verb == "tasks.complete" else {}))

    @rule(number=numbers, which=numbers, verb=st.sampled_from(["messages.read", "messages.ack"]))
    def read_it(self, number: int, which: int, verb: str) -> None:
        peer = self.somebody(number)
        message = self.message(peer, which, QUEUED)
        if message:
            self.change(peer, verb, id=message.id)

    @rule(number=numbers, fail=st.booleans())
    def reply(self, number: int, fail: bool) -> None:
        self.change(self.somebody(number), "messages.reply", text=self.text(), fail="no" if fail else "")

    @rule(number=numbers, which=numbers, verb=st.sampled_from(["tasks.cancel", "tasks.stop_waiting"]))
    def call_it_off(self, number: int, which: int, verb: str) -> None:
        live = list(self.bench.hub.state.get(Tasks).live)
        if live:
            self.change(self.somebody(number), verb, task=live[which % len(live)])

    @rule(number=numbers)
    def look(self, number: int) -> None:
        peer = self.somebody(number)
        for verb in ("messages.inbox", "history.list", "agents.list", "state.now", "offers.list", "agents.manifest"):
            self.run(self._tried(peer.ask(verb)))

    # -- what goes wrong

    @rule(after=st.integers(0, 3), fault=faults)
    def the_disk_fails(self, after: int, fault: Fault) -> None:
        self.log.fail("append", [None] * after + [fault])
        for _ in range(after + 1):
            self._at_once([(0, "bob"), (1, "alice")])

    @rule(
        script=st.lists(st.none() | faults, max_size=5), step=st.sampled_from(["recover", "probe", "read", "put_blob"])
    )
    def something_else_fails(self, script: list[Fault | None], step: str) -> None:
        self.log.fail(step, script)

    @rule(seconds=st.sampled_from([1, 61, 3600, 8 * 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.bench.clock.advance(seconds)
        self._forget_keys(seconds)
        self.run(self.bench.sweep())

    @rule(seconds=st.sampled_from([-86_400 * 30, -5, 3600, 8 * 86_400]))
    def the_clock_jumps(self, seconds: int) -> None:
        self.bench.clock.jump(seconds)
        self._forget_keys(seconds)
        self.run(self.bench.sweep())

    def _forget_keys(self, seconds: int) -> None:
        """Keys are kept for a day, by the clock that there is."""
        if seconds >= 86_400:
            self.keyed.clear()

    @rule(how=st.sampled_from(["restart", "crash"]))
    def the_hub_starts_anew(self, how: str) -> None:
        self.log.fail("read", [])
        self.run(self.bench.settled())
        before = self.bench.picture()
        self.peers.clear()
        self.run(getattr(self.bench, how)())
        self.run(self.bench.settled())
        assert self.bench.picture() == before

    # -- the laws

    @invariant()
    def check(self) -> None:
        if not hasattr(self, "bench"):
            return
        self.run(self.bench.settled())
        assert self.bench.picture() == self.bench.refolded()
        records = list(self.stored.read(0))
        assert [record.position for record in records] == list(range(1, len(records) + 1))
        assert self.bench.hub.head == self.bench.hub.outbox.committed == len(records)
        assert all(a.at <= b.at for a, b in pairwise(records))
        assert len({record.id for record in records}) == len(records)
        self._check_what_was_said(records)
        self._check_queues()

    def _check_what_was_said(self, records: list[Any]) -> None:
        by_position = {record.position: record for record in records}
        for text, answer in self.acknowledged:
            record = by_position.get(json.loads(answer)["position"])
            assert record is not None
            assert record.reply == answer or not text  # what changed nothing answers with the state it found
        stored = [body.get("text", "") for body in self.bench.bodies("messages.sent")]
        for text in self.lost + self.refused:
            assert text not in stored

    def _check_queues(self) -> None:
        mailbox = self.bench.hub.state.get(Mailbox)
        for box in mailbox.boxes():
            messages = mailbox.of(box)
            assert [m.position for m in messages] == sorted(m.position for m in messages)
            assert sum(m.state == TYPING for m in messages) <= 1
            queued = sorted((m for m in messages if m.state == QUEUED), key=lambda m: (-m.priority, m.position, m.id))
            seen: set[str] = set()
            for expected in queued:
                head = mailbox.head(box, seen)
                assert head is expected
                seen.add(head.id)
            assert mailbox.head(box, seen) is None


class OnSqlite(Conversation):
    """The same on a file."""

    def make_log(self, folder: Path) -> Log:
        return SqliteLog.open(folder / "log.db")


def run_machine(machine: type[RuleBasedStateMachine], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # making a conversation smaller takes many minutes
        ),
    )


def test_whatever_goes_wrong_the_state_is_the_fold_of_the_log() -> None:
    run_machine(Conversation, 40, 40)


def test_whatever_goes_wrong_on_a_file_the_state_is_the_fold_of_the_log() -> None:
    run_machine(OnSqlite, 4, 25)
