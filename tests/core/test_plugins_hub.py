"""Plugins in a running hub: what one owes, guards, does beside the loop; and what happens when one fails."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from synapse import Background, Column, Guard, Owed, Reaction, Section, change, plugins
from synapse.clock import ManualClock
from synapse.errors import NotFound, Refused, Unavailable
from synapse.hub import background, plugged
from synapse.hub.facts import Sent
from synapse.hub.sessions import Session
from synapse.plugins import watch
from synapse.testing import Bench, hub
from tests.core.toys import Added, AddReply, AddRequest, Pad, add, pad

ADDED = frozenset({"pad.added"})


def owing(to: str = "w/bob", **more: Any) -> Reaction:
    """Each line is sent on; what was sent, or refused, is not owed any more."""

    def owed(call: Any) -> Any:
        for position, line in call.state(Pad).owed.items():
            done = Owed("pad.done", {"saved": position})
            refused = Owed("pad.done", {"saved": position, "reason": "{reason}"})
            yield Owed("messages.send", {"to": to, "text": line}, str(position), then=done, otherwise=refused)

    return Reaction(more.get("kinds", ADDED), more.get("owed", owed))


async def told(bench: Bench, count: int) -> None:
    await bench.until(lambda: bench.kinds().count("pad.done") == count)
    await bench.settled()


async def broken(bench: Bench) -> dict[str, str]:
    found: dict[str, str] = (await bench.client("ada")("hub.status"))["hub"]["broken"]
    return found


# -- what is owed


async def test_what_is_owed_is_done_once_also_after_starts_and_crashes() -> None:
    async with hub({"pad": pad(reactions=(owing(),))}) as bench:
        await bench.agent("bob")
        ada = bench.client("ada")
        for number in range(5):
            await ada("pad.add", line=f"line {number}")
        await told(bench, 5)
        for again in (bench.restart, bench.crash):
            await again()
            await bench.settled()
        assert [body["text"] for body in bench.bodies("messages.sent")] == [f"line {n}" for n in range(5)]
        bench.check()


async def test_what_was_owed_when_the_hub_was_killed_is_done_once_after_its_start(tmp_path: Path) -> None:
    async with hub({"pad": pad(reactions=(owing(),))}, file=tmp_path / "log.db") as bench:
        await bench.agent("bob", pid=1)
        for number in range(30):
            ada = bench.client("ada")
            asked = [ada.ask("pad.add", line=f"{number}/{n}") for n in range(4)]
            await asked[number % 4]
            await bench.crash()
            await asyncio.gather(*asked, return_exceptions=True) if all(a.done() for a in asked) else None
        lines = [body["line"] for body in bench.bodies("pad.added")]
        await told(bench, len(lines))
        texts = [body["text"] for body in bench.bodies("messages.sent")]
        assert sorted(texts) == sorted(lines)
        assert len(set(texts)) == len(texts) >= 30


async def test_a_reaction_that_is_done_but_not_noted_is_not_done_twice() -> None:
    """The worst moment: what was owed is stored, what would end the debt is not."""
    noting = [False]

    @change("pad.done", internal=True, anonymous=True)
    def done(call: Any, request: AddRequest) -> AddReply:
        """Not noted."""
        if not noting[0]:
            raise Unavailable("not_yet", "not yet")
        call.emit(Added(line=""), "pad")
        return AddReply(lines=0, position=0, by="")

    def owed(call: Any) -> Any:
        if call.state(Pad).lines == ["x"]:
            yield Owed("messages.send", {"to": "w/bob", "text": "x"}, "1", then=Owed("pad.done", {"line": ""}))

    toy = pad(verbs=(add, done), reactions=(owing(owed=owed),))
    async with hub({"pad": toy}) as bench:
        await bench.agent("bob")
        await bench.client("ada")("pad.add", line="x")
        await bench.until(lambda: "messages.sent" in bench.kinds())
        for _ in range(3):
            await bench.crash()
            await bench.settled()
        noting[0] = True
        await bench.restart()
        await bench.until(lambda: bench.kinds().count("pad.added") == 2)
        assert bench.kinds().count("messages.sent") == 1


async def test_what_is_refused_goes_back_with_its_reason() -> None:
    async with hub({"pad": pad(reactions=(owing("nobody"),))}) as bench:
        await bench.client("ada")("pad.add", line="x")
        await told(bench, 1)
        assert "no 'nobody'" in bench.bodies("pad.done")[0]["reason"]
        assert bench.hub.state.get(Pad).owed == {}


async def test_a_thousand_debts_are_paid_without_a_flood() -> None:
    async with hub({"pad": pad()}) as bench:
        await bench.agent("bob")
        ada = bench.client("ada")
        await asyncio.gather(*[ada.ask("pad.add", line=f"{n}") for n in range(1000)])
        bench.modules["pad"] = pad(reactions=(owing(),))
        await bench.restart()
        await told(bench, 1000)
        assert len({body["text"] for body in bench.bodies("messages.sent")}) == 1000


async def test_a_reaction_that_fails_is_told_and_keeps_nothing_from_the_others() -> None:
    def fails(call: Any) -> Any:
        raise KeyError("what?")

    toy = pad(reactions=(owing(owed=fails), owing()))
    async with hub({"pad": toy}) as bench:
        await bench.agent("bob")
        await bench.client("ada")("pad.add", line="x")
        await told(bench, 1)
        assert "KeyError" in (await broken(bench))["pad: reactions"]


async def test_a_reaction_asks_no_internal_verb_of_the_core() -> None:
    def owed(call: Any) -> Any:
        yield Owed("hub.stop", {}, "1", otherwise=Owed("pad.add", {"line": "{reason}"}))

    async with hub({"pad": pad(reactions=(owing(owed=owed),))}) as bench:
        await bench.until(lambda: "pad.added" in bench.kinds())
        assert "There is no verb" in bench.bodies("pad.added")[0]["line"]


async def test_what_is_owed_without_a_key_or_with_what_is_no_json_is_told(caplog: pytest.LogCaptureFixture) -> None:
    for wrong in (Owed("pad.add", {"line": "x"}), Owed("pad.add", {"line": object()}, "1")):
        async with hub({"pad": pad(reactions=(owing(owed=lambda call, wrong=wrong: (wrong,)),))}) as bench:
            assert "pad: reactions" in await broken(bench)
            assert "pad.added" not in bench.kinds()


async def test_what_cannot_be_done_at_the_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    open_ = [False]

    def check(call: Any, request: Any) -> None:
        if not open_[0]:
            raise Unavailable("closed", "Not now.")

    monkeypatch.setattr("synapse.hub.reactions.PAUSE", 0.01)
    toy = pad(reactions=(owing(),), guards=(Guard(frozenset({"messages.send"}), check),))
    async with hub({"pad": toy}) as bench:
        await bench.agent("bob")
        await bench.client("ada")("pad.add", line="x")
        await asyncio.sleep(0.05)
        assert "messages.sent" not in bench.kinds()
        open_[0] = True
        await told(bench, 1)
        assert bench.kinds().count("messages.sent") == 1


# -- guards


def guarding(check: Any, *verbs: str) -> Any:
    return pad(guards=(Guard(frozenset(verbs or {"messages.send"}), check),))


async def test_a_guard_refuses_before_anything_is_decided() -> None:
    def check(call: Any, request: Any) -> None:
        if "secret" in request.text:
            raise Refused("secret", f"{call.name} may not say that.")
        request.text = "changed by the guard"

    async with hub({"pad": guarding(check)}) as bench:
        await bench.agent("bob")
        ada = bench.client("ada")
        assert (await ada.refused("messages.send", to="bob", text="a secret")).sentence == "ada may not say that."
        await ada("messages.send", to="bob", text="hello")
        assert [body["text"] for body in bench.bodies("messages.sent")] == ["hello"]


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(1)])
async def test_a_guard_that_fails_refuses_and_is_named(error: BaseException) -> None:
    def check(call: Any, request: Any) -> None:
        raise error

    async with hub({"pad": guarding(check)}) as bench:
        await bench.agent("bob")
        ada = bench.client("ada")
        refusal = await ada.refused("messages.send", to="bob", text="x")
        assert refusal.code == "guard_failed"
        assert "synapse plugins disable pad" in refusal.sentence
        assert (await ada("agents.who"))["participants"]


async def test_a_guard_writes_nothing() -> None:
    def check(call: Any, request: Any) -> None:
        call.emit(Added(line="sneaked in"), "pad")

    async with hub({"pad": guarding(check)}) as bench:
        await bench.agent("bob")
        assert (await bench.client("ada").refused("messages.send", to="bob", text="x")).code == "guard_failed"
        assert "pad.added" not in bench.kinds()


async def test_a_plugin_whose_projection_fails_is_out_and_its_guard_refuses() -> None:
    async with hub({"pad": guarding(lambda call, request: None)}) as bench:
        await bench.agent("bob")
        ada = bench.client("ada")
        await ada("pad.add", line="one")
        await ada("pad.add", line="boom")
        for verb, fields in (("pad.add", {"line": "x"}), ("pad.lines", {}), ("pad.stored", {})):
            refusal = await ada.refused(verb, **fields)
            assert (refusal.status, refusal.code) == (503, "projection_failed")
        assert (await ada.refused("messages.send", to="bob", text="x")).status == 503
        assert "the pad is torn" not in str(await ada("agents.list"))
        assert "ValueError" in (await broken(bench))["pad"]
        [row] = (await ada("plugins.list"))["plugins"]
        assert (row["working"], "ValueError" in row["failure"]) == (False, True)
        await bench.restart()
        assert (await bench.client("ada").refused("pad.lines")).status == 503
        assert bench.bodies("pad.added")[-1]["line"] == "boom"


# -- verbs


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """What the watch on plugins reads; it moves when a toy says so."""
    clock = ManualClock()
    for module in (watch, background, plugged):
        monkeypatch.setattr(module, "SystemClock", clock)
    return clock


def held(caplog: pytest.LogCaptureFixture) -> list[str]:
    """For how long and in what the plugin held the hub."""
    return re.findall(r"the plugin pad held the hub for (.*)", caplog.text)


async def test_a_verb_writes_only_kinds_of_its_own_plugin() -> None:
    @change("pad.forge")
    def forge(call: Any, request: AddRequest) -> AddReply:
        """Write what is another's."""
        call.emit(Sent(id="m-1", to=("bob",), sender="ada"), "m-1")
        raise AssertionError

    async with hub({"pad": pad(verbs=(add, forge))}) as bench:
        assert (await bench.client("ada").refused("pad.forge", line="x")).code == "internal_error"
        assert "messages.sent" not in bench.kinds()


async def test_a_verb_that_ends_the_program_is_a_bug_and_one_that_blocks_is_named(
    caplog: pytest.LogCaptureFixture, clock: ManualClock
) -> None:
    @change("pad.end")
    def end(call: Any, request: AddRequest) -> AddReply:
        """End everything, or only sleep."""
        if request.line == "end":
            raise SystemExit(1)
        clock.advance(0.3)
        return AddReply(lines=0, position=0, by="")

    async with hub({"pad": pad(verbs=(add, end))}) as bench:
        assert (await bench.client("ada").refused("pad.end", line="end")).code == "internal_error"
        await bench.client("ada")("pad.end", line="sleep")
        await bench.client("ada")("pad.add", line="x")
    assert held(caplog) == ["0.30 s in pad.end"]


async def test_a_projection_that_blocks_is_named(caplog: pytest.LogCaptureFixture, clock: ManualClock) -> None:
    class Sleepy(Pad):
        def apply(self, event: Any) -> None:
            clock.advance(0.2)
            super().apply(event)

    @change("pad.add")
    def add_(call: Any, request: AddRequest) -> AddReply:
        """Add a line."""
        call.emit(Added(line=request.line), "pad")
        return AddReply(lines=0, position=0, by="")

    async with hub({"pad": pad(projections=lambda: (Sleepy(),), verbs=(add_,))}) as bench:
        await bench.client("ada")("pad.add", line="x")
    assert held(caplog) == ["0.20 s in apply of pad.added"]


# -- background


async def test_background_work_asks_verbs_as_the_plugin_and_ends_with_the_hub() -> None:
    ended = []

    async def run(ask: Any) -> None:
        try:
            reply = await ask("pad.add", {"line": "from behind", "idempotency_key": "1"})
            assert reply["by"] == "hub"
            with pytest.raises(NotFound):
                await ask("hub.stop", {})
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with hub({"pad": pad(background=(Background("watch", run),))}) as bench:
        await bench.until(lambda: "pad.added" in bench.kinds())
        await bench.restart()
        await bench.until(lambda: not bench.core.background.failures)
        assert bench.kinds().count("pad.added") == 1, "the same key: once"
        assert ended == [True]
    assert ended == [True, True]


async def test_background_work_that_fails_is_told_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(ask: Any) -> None:
        raise OSError("no line")

    async def ends(ask: Any) -> None:
        raise SystemExit(1)

    def is_not_async(ask: Any) -> Any:
        return None

    works = tuple(Background(run.__name__, run) for run in (fails, ends, is_not_async))
    async with hub({"pad": pad(background=works)}) as bench:
        await bench.until(lambda: len(bench.core.background.failures) == 3)
        found = await broken(bench)
        assert found["pad: fails"] == "OSError: no line"
        assert {"pad: ends", "pad: is_not_async"} <= found.keys()
        assert await bench.client("ada")("pad.add", line="x")


async def test_background_work_that_blocks_is_named(caplog: pytest.LogCaptureFixture, clock: ManualClock) -> None:
    ended: list[bool] = []

    async def run(ask: Any) -> None:
        await ask("pad.lines", {})
        clock.advance(0.3)
        await asyncio.sleep(0)
        clock.advance(0.05)
        ended.append(True)

    async with hub({"pad": pad(background=(Background("slow", run),))}) as bench:
        await bench.until(lambda: ended)
    assert held(caplog) == ["0.30 s in slow"]


# -- coming and going


async def test_a_plugin_that_is_installed_later_folds_the_old_log() -> None:
    async with hub({"pad": pad()}) as bench:
        await bench.client("ada")("pad.add", line="old")
        del bench.modules["pad"]
        await bench.restart()
        await bench.client("ada")("agents.here")
        assert "pad.added" in bench.kinds()
        with pytest.raises(NotFound):
            await bench.client("ada")("pad.lines")
        bench.modules["pad"] = pad()
        await bench.restart()
        ada = bench.client("ada")
        assert (await ada("pad.lines"))["lines"] == (await ada("pad.stored"))["lines"] == ["old"]


class Second(Pad):
    version = 2


async def test_a_version_that_was_raised_folds_from_the_start() -> None:
    async with hub({"pad": pad()}) as bench:
        await bench.client("ada")("pad.add", line="x")
        bench.modules["pad"] = pad(projections=lambda: (Second(),), verbs=())
        await bench.restart()
        assert bench.hub.state.get(Second).lines == ["x"]


async def test_a_plugin_that_does_not_fit_is_left_out_of_the_hub() -> None:
    bad = plugins.of("messages", pad_named_like_the_core := pad(facts=(), projections=(), tables=(), verbs=()))
    assert pad_named_like_the_core
    bench = await Bench(plugins=[bad, plugins.of("pad", pad())]).open()
    try:
        ada = bench.client("ada")
        assert (await ada("pad.add", line="x"))["lines"] == 1
        assert "the core has" in (await broken(bench))["plugin messages"]
        rows = {row["name"]: row["working"] for row in (await ada("plugins.list"))["plugins"]}
        assert rows == {"messages": False, "pad": True}
    finally:
        await bench.close()


async def test_sections_and_columns_are_told_with_what_they_add_to() -> None:
    toy = pad(sections=(Section("Pad", "pad.lines"),), columns=(Column("pad", "pad.lines"),))
    async with hub({"pad": toy}) as bench:
        ada = bench.client("ada")
        assert (await ada("hub.status"))["sections"] == [{"title": "Pad", "verb": "pad.lines"}]
        assert (await ada("agents.list"))["columns"] == [{"title": "pad", "verb": "pad.lines"}]
    async with hub() as bench:
        assert "sections" not in await bench.client("ada")("hub.status")


async def test_a_field_may_be_called_as_it_likes() -> None:
    """`key` was once how the core asked a change for its idempotency key."""

    class Keyed(AddRequest, kw_only=True):
        key: str

    @change("pad.put")
    def put(call: Any, request: Keyed) -> AddReply:
        """Put."""
        call.emit(Added(line=request.key), "pad")
        return AddReply(lines=0, position=call.reached, by="")

    async with hub({"pad": pad(verbs=(put,))}) as bench:
        ada = bench.peer(Session(key="hub", system=True))
        for _ in range(2):
            await ada("pad.put", key="same", line="x")
        assert bench.kinds().count("pad.added") == 2
