"""What is told of a turn while somebody watches it, and how often."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from synapse.errors import Refused, SynapseError
from synapse.runner import output as outputs
from synapse.runner.letters import Message, Turn
from synapse.runner.output import EVERY, Output
from synapse.runner.profile import BUILT_IN, load
from synapse.runner.terminal import Terminal


@dataclass
class Line:
    """What is told to a hub, and what it answers."""

    told: list[tuple[str, bool]] = field(default_factory=list)
    refusal: SynapseError | None = None
    free: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, verb: str, **params: Any) -> dict[str, Any]:
        assert (verb, params["task"]) == ("tasks.output", "t-1")
        self.told.append((params["text"], params["append"]))
        await self.free.wait()
        if self.refusal is not None:
            raise self.refusal
        return {}


@dataclass
class Only:
    """The turn in the terminal."""

    current: Turn | None


class Program:
    """A line program in a terminal, in the middle of a turn."""

    def __init__(self) -> None:
        self.terminal = Terminal(40, 10)
        self.prompted = False
        self.shows("$ ")
        turn = Turn(
            Message("m-1", "task", "count", task="t-1"), "count", mark=self.terminal.mark(), above="$ ", line="$ "
        )
        turn.delivered = True
        self.line, self.turns = Line(), Only(turn)
        self.line.free.set()
        self.output = Output(
            asyncio.get_running_loop(),
            link=self.line,  # type: ignore[arg-type]
            profile=load(BUILT_IN / "shell.toml"),
            terminal=self.terminal,
            turns=self.turns,  # type: ignore[arg-type]
            prompted=lambda: self.prompted,
        )
        self.shows("count\r\n")

    def shows(self, text: str) -> None:
        self.terminal.write(text.encode())
        while not self.terminal.advance(1.0):
            pass

    def says(self, text: str) -> None:
        self.shows(text)
        self.output.settled()

    async def tells(self, count: int) -> list[tuple[str, bool]]:
        """What has been told, once it is so many pieces."""
        async with asyncio.timeout(5):
            while len(self.line.told) < count:
                await asyncio.sleep(0.005)
        return self.line.told


@pytest.fixture
async def program() -> Program:
    return Program()


async def test_nothing_is_looked_at_while_nobody_watches(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def from_screen(*arguments: object) -> str:
        looked.append("again")
        return ""

    monkeypatch.setattr(outputs, "from_screen", from_screen)
    program.says("one\r\n")
    program.output.watch({"task": "t-2", "on": True})
    program.says("two\r\n")
    program.output.watch({"task": "t-1", "on": True})
    program.output.watch({"task": "t-1", "on": False})
    program.says("three\r\n")
    await asyncio.sleep(EVERY * 1.5)
    assert len(looked) == 1


async def test_what_comes_is_told_as_it_grows(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "EVERY", 1.5)
    program.says("one\r\n")
    program.output.watch({"task": "t-1", "on": True})
    assert await program.tells(1) == [("one", False)]
    program.says("two\r\n")
    program.says("three\r\n")
    assert await program.tells(2) == [("one", False), ("\ntwo\nthree", True)]


async def test_what_is_no_longer_so_is_told_anew(program: Program) -> None:
    program.output.watch({"task": "t-1", "on": True})
    program.says("10 %")
    await program.tells(1)
    program.says("\r20 %")
    assert await program.tells(2) == [("10 %", False), ("20 %", False)]


async def test_a_line_that_ends_like_a_prompt_is_told_unless_a_prompt_may_stand_there(program: Program) -> None:
    program.output.watch({"task": "t-1", "on": True})
    program.says("one\r\nSend it to <ada@example.org>")
    assert await program.tells(1) == [("one\nSend it to <ada@example.org>", False)]
    program.prompted = True
    program.says("\r\ntwo\r\n$ ")
    assert await program.tells(2) == [("one\nSend it to <ada@example.org>", False), ("\ntwo", True)]


async def test_who_asks_again_is_told_all_of_it(program: Program) -> None:
    program.output.watch({"task": "t-1", "on": True})
    program.says("one\r\n")
    await program.tells(1)
    program.output.watch({"task": "t-1", "on": True})
    assert await program.tells(2) == [("one", False), ("one", False)]


async def test_a_stream_is_told_some_times_a_second_and_a_slow_hub_is_waited_for(program: Program) -> None:
    loop = asyncio.get_running_loop()
    program.output.watch({"task": "t-1", "on": True})
    began = loop.time()
    while loop.time() - began < 0.7:
        program.says("x")
        await asyncio.sleep(0.005)
    assert len(program.line.told) <= 1 + 5 * (loop.time() - began)  # times a second
    program.line.free.clear()
    program.says("x")
    told = len(await program.tells(len(program.line.told) + 1))
    program.says("y")
    await asyncio.sleep(EVERY * 1.5)
    assert len(program.line.told) == told
    program.line.free.set()
    await program.tells(told + 1)
    assert "".join(text for text, _ in program.line.told).replace("\n", "").endswith("xy")  # wherever it was wrapped


async def test_a_long_look_is_followed_by_a_longer_rest(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "EVERY", 0.0)
    monkeypatch.setattr(outputs, "SHARE", 1e9)
    program.says("one\r\n")
    program.output.watch({"task": "t-1", "on": True})
    program.says("two\r\n")
    await asyncio.sleep(0.1)
    assert program.line.told == [("one", False)]
    program.output.forget()  # and the timer is gone with it


async def test_who_is_refused_tells_no_more_until_asked_again(program: Program) -> None:
    program.line.refusal = Refused("not_yours", "No.")
    program.output.watch({"task": "t-1", "on": True})
    program.says("one\r\n")
    await program.tells(1)
    await asyncio.sleep(EVERY * 1.5)
    program.says("two\r\n")
    await asyncio.sleep(EVERY * 1.5)
    assert program.line.told == [("one", False)]
