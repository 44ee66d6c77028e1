"""The tap that plugin authors test with: it finds what is wrong with a plugin."""

from pathlib import Path
from typing import Any

import pytest

from synapse import Event
from synapse.testing import Bench, check_projection, hub
from tests.core.toys import Added, Pad, pad


def events(*lines: str) -> list[Event]:
    return [Event(n, 0, float(n), Added.kind, "a", "w", "pad", Added(line=line)) for n, line in enumerate(lines, 1)]


async def test_a_plugin_that_does_not_work_is_an_error_of_the_test() -> None:
    with pytest.raises(AssertionError, match="returns NoneType"):
        async with hub({"pad": pad(verbs=lambda: None)}):
            pass


async def test_a_hub_on_a_file_is_there_again(tmp_path: Path) -> None:
    for expected in ([], ["x"]):
        async with hub({"pad": pad()}, file=tmp_path / "log.db") as bench:
            ada = bench.client("ada")
            assert (await ada("pad.lines"))["lines"] == expected
            await ada("pad.add", line="x")
            assert await bench.rows("pad", "SELECT count(*) FROM pad_lines") == [(len(expected) + 1,)]


async def test_refused_is_an_error_where_nothing_is_refused() -> None:
    async with hub({"pad": pad()}) as bench:
        with pytest.raises(AssertionError, match="was not refused"):
            await bench.client("ada").refused("pad.lines")


async def test_time_passes_when_it_is_told_to() -> None:
    async with hub({"pad": pad()}) as bench:
        before = bench.hub.call(bench.client("ada").session).at
        bench.clock.advance(60)
        assert bench.hub.call(bench.client("ada").session).at == before + 60


async def test_the_state_is_checked_against_the_log() -> None:
    async with hub({"pad": pad()}) as bench:
        await bench.client("ada")("pad.add", line="x")
        bench.check()
        bench.hub.state.get(Pad).lines.append("from nowhere")
        with pytest.raises(AssertionError):
            bench.check()


async def test_an_agent_takes_what_it_is_sent() -> None:
    async with hub() as bench:
        bob = await bench.agent("bob")
        await bench.client("ada")("messages.send", to="bob", text="hello")
        assert (await bob.take())["text"] == "hello"


def test_a_projection_in_order_keeps_the_laws() -> None:
    check_projection(Pad, events("a", "b", "c"))
    check_projection(Pad, [])


class Forgets(Pad):
    def dump(self) -> bytes:
        kept, self.owed = self.owed, {}
        try:
            return super().dump()
        finally:
            self.owed = kept


class Remembers(Pad):
    def reset(self) -> None:
        lines = getattr(self, "lines", [])
        super().reset()
        self.lines += lines


class Strict(Pad):
    def apply(self, event: Event) -> None:
        if not event.body.line:
            raise KeyError("line")
        super().apply(event)


class Counts(Pad):
    made = 0

    def apply(self, event: Event) -> None:
        Counts.made += 1
        self.lines.append(str(Counts.made))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Forgets, "loaded from a dump"),
        (Remembers, "leaves something behind"),
        (Strict, "is redacted"),
        (Counts, "give two states"),
    ],
)
def test_a_projection_that_breaks_a_law_is_found_out(wrong: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_projection(wrong, events("a", "b"))


async def test_a_bench_leaves_nothing_behind() -> None:
    bench = await Bench(modules={"pad": pad()}).open()
    cache = bench.cache
    await bench.client("ada")("pad.add", line="x")
    assert cache.parent.exists()
    await bench.close()
    assert not cache.parent.exists()
