"""The laws of the history, on random conversations with crashes and failing disks: the table is the fold of the log, and
what is forgotten is gone from everything while nothing alive is changed."""

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from synapse.hub.agents import Agents
from synapse.hub.facts import LogForgotten
from synapse.hub.mailbox import Mailbox
from synapse.hub.tasks import Tasks
from synapse.log.base import Log
from synapse.log.sqlite import SqliteLog
from tests.core.hub.kit import Bench, Peer
from tests.core.hub.test_history import ALL, INDEXED, STORIES, TEXTS, check
from tests.core.hub.test_laws import Conversation, faults, run_machine


class History(Conversation):
    """The same conversations at a hub with tables, at which somebody forgets."""

    def make_log(self, folder: Path) -> Log:
        return SqliteLog.open(folder / "log.db")

    async def _begin(self) -> None:
        self.bench = Bench(self.log, cache=Path(self.folder.name) / "cache.db")
        self.bench.truth = self.stored
        await self.bench.open()

    @rule(script=st.lists(st.none() | faults, max_size=3), step=st.sampled_from(["recover", "probe", "put_blob"]))
    def something_else_fails(self, script: list[Any], step: str) -> None:
        self.log.fail(step, script)

    @rule(number=st.integers(0, 7), fail=st.booleans())
    def answer_all(self, number: int, fail: bool) -> None:
        peer = self.somebody(number)
        for task in self.bench.hub.state.get(Tasks).of(self.box(peer)):
            self.change(peer, "messages.reply", to=task.id, text=self.text(), fail="no" if fail else "")

    @rule(number=st.integers(0, 7))
    def be_done_with_all(self, number: int) -> None:
        peer = self.somebody(number)
        for message in self.bench.hub.state.get(Mailbox).of(self.box(peer)):
            self.change(peer, "messages.ack", id=message.id)

    def box(self, peer: Peer) -> str:
        return self.bench.hub.state.get(Agents).box_of(peer.session)

    @rule(days=st.sampled_from([0.0, 1.0]), dry=st.booleans())
    def forget(self, days: float, dry: bool) -> None:
        self.run(self._forget(days, dry))

    async def _forget(self, days: float, dry: bool) -> None:
        pat = self.bench.person("pat")
        before = set(self.bench.hub.state.get(Tasks).live)
        asked = await self._tried(pat.ask("history.cleanup", days=days, dry_run=dry))
        if isinstance(asked, bytes):
            await self._tried(pat.ask("history.cleaned", work=json.loads(asked)["work"]))
        await self.bench.settled()
        assert set(self.bench.hub.state.get(Tasks).live) == before
        gone = {s for body in self.bench.bodies(LogForgotten.kind) for s in body["stories"] if s.startswith("t-")}
        assert gone.isdisjoint(self.bench.hub.state.get(Tasks).finished)

    @rule(anew=st.booleans())
    def the_table_agrees(self, anew: bool) -> None:
        self.run(self._agrees(anew))

    @invariant()
    def check(self) -> None:
        """Of what is forgotten the records are gone; the rest is as it was."""
        if hasattr(self, "bench"):
            self.run(self.bench.settled())
            self.bench.check()
            self._check_queues()

    async def _agrees(self, anew: bool) -> None:
        await self.bench.settled()
        before = await check(self.bench)
        if not anew:
            return
        self.peers.clear()
        await self.bench.refill()
        await self.bench.settled()
        after = [await self.bench.rows("tasks", sql) for sql in (ALL, TEXTS, STORIES, INDEXED)]
        assert after == before


def test_the_laws_of_the_history() -> None:
    run_machine(History, 12, 25)
