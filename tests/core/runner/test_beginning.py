"""Whether a program stays, as real time goes; what is said of one that does not."""

import asyncio

import pytest

from synapse.runner import beginning
from synapse.runner.beginning import Beginning, ended_at_once
from synapse.runner.process import ExitStatus

LONG = 60.0


@pytest.fixture
async def ended() -> "asyncio.Future[ExitStatus]":
    return asyncio.get_running_loop().create_future()


async def test_an_end_is_known_at_once(ended: "asyncio.Future[ExitStatus]", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beginning, "AT_MOST", LONG)
    asyncio.get_running_loop().call_soon(ended.set_result, ExitStatus(3))
    assert not await Beginning().stays(ended)


async def test_an_end_right_after_the_first_output_counts(
    ended: "asyncio.Future[ExitStatus]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "AT_MOST", LONG)
    monkeypatch.setattr(beginning, "MOMENT", LONG)
    begins = Beginning()
    begins.output()
    asyncio.get_running_loop().call_later(0.01, ended.set_result, ExitStatus(127))
    assert not await begins.stays(ended)


async def test_who_speaks_and_lives_on_stays(
    ended: "asyncio.Future[ExitStatus]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "AT_MOST", LONG)
    begins = Beginning()
    begins.output()
    assert await begins.stays(ended)


async def test_nobody_waits_longer_for_one_that_says_nothing(ended: "asyncio.Future[ExitStatus]") -> None:
    async with asyncio.timeout(beginning.AT_MOST + 5):
        assert await Beginning().stays(ended)
    assert not ended.cancelled()


def test_the_last_lines_are_told_and_no_more() -> None:
    refusal = ended_at_once("x", ExitStatus(0), ["", *map(str, range(30)), ""])
    assert refusal.details["exit"] == 1
    assert refusal.sentence.splitlines()[1:] == [f"  {n}" for n in range(18, 30)]
