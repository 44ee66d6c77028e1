"""Gemini CLI as it is, with a model of ours."""

from collections.abc import Iterator

import pytest

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import RealHouse, real

pytestmark = real("gemini")


@pytest.fixture(scope="module")
def house() -> Iterator[RealHouse]:
    """One gemini, and a person before it."""
    house = RealHouse("gemini")
    house.before = house.snapshot()
    house.seat()
    yield house
    house.close()


def test_its_model_may_reply_and_look_without_asking_anybody(house: RealHouse) -> None:
    assert house.send("bob", "RUNCMD synapse reply 'of its own'") == "of its own"
    house.becomes("bob", "READY")
    assert house.send("bob", "RUNCMD synapse list").startswith("RESULT ID")
    assert house.ask("waiting") == []


@pytest.mark.parametrize(
    "command", ["synapse reply x; touch y", "synapse reply x --url http://192.0.2.1", "synapse kill bob"]
)
def test_what_does_more_than_that_is_asked_about(house: RealHouse, command: str) -> None:
    task = house.queue("bob", f"RUNCMD {command}")
    live = house.becomes("bob", "WAITING", seconds=30)
    (waits,) = until(lambda: house.ask("waiting"))
    assert house.synapse("reject", waits["id"]).returncode == 0, live
    house.becomes("bob", "READY", seconds=30)
    scenes.ended(house, task)


def test_nothing_of_ours_is_in_the_persons_settings(house: RealHouse) -> None:
    assert house.snapshot() == house.before
    assert not (house.repo / ".gemini").exists()
    assert not (house.home / ".gemini" / "policies").exists()
