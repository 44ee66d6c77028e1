"""The real programs are told who they are: once, submitted as their first words, before the first message."""

from collections.abc import Iterator

import pytest

from tests.e2e.hubs import until
from tests.real.kit import RealHouse, real

NAMES = ("claude", "codex", "gemini", "opencode", "copilot", "qwen")


@pytest.fixture(params=[pytest.param(name, marks=real(name)) for name in NAMES])
def house(request: pytest.FixtureRequest) -> Iterator[RealHouse]:
    house = RealHouse(request.param)
    house.env["SYNAPSE_INSTRUCTIONS_ENABLED"] = "true"
    yield house
    house.close()


def test_a_real_program_hears_who_it_is_and_then_its_first_message(house: RealHouse) -> None:
    house.real("bob", ready=False)
    task = house.queue("bob", "PING fl-1")
    until(lambda: house.call("history.show", task=task)["state"] not in ("submitted", "working"), 120.0)
    assert house.ask("history", "show", task)["answer"] == "PONG fl-1"
    told = house.stub.asked("instructions show` once")
    first = house.stub.asked("PING fl-1")
    assert told
    assert first
    assert f"You are bob (synapse-{house.program_of.name}-" in told[0]
    asked = [note["asked"] for note in house.stub.notes()]
    places = [next(at for at, words in enumerate(asked) if token in words) for token in ("You are bob", "PING fl-1")]
    assert places == sorted(places)
