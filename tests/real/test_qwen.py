"""Qwen Code as it is, with a model of ours."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import RealHouse, real

pytestmark = real("qwen")


@pytest.fixture(scope="module")
def house() -> Iterator[RealHouse]:
    """One Qwen Code, and a person before it."""
    house = RealHouse("qwen")
    house.before = house.snapshot()
    house.seat()
    yield house
    house.close()


def test_its_model_may_reply_and_look_without_asking_anybody(house: RealHouse) -> None:
    assert house.send("bob", "RUNCMD synapse reply 'of its own'", timeout=60) == "of its own"
    house.becomes("bob", "READY")
    assert house.send("bob", "RUNCMD synapse list").startswith("RESULT ID")
    assert house.ask("waiting") == []


@pytest.mark.parametrize(
    "command", ["synapse reply x; touch y", "synapse reply x --url http://192.0.2.1", "synapse kill bob"]
)
def test_what_does_more_than_that_is_asked_about(house: RealHouse, command: str) -> None:
    task = house.queue("bob", f"RUNCMD {command}")
    house.becomes("bob", "WAITING", seconds=30)
    until(lambda: house.status("bob")["live"].get("no", -1) >= 0)
    (waits,) = house.ask("waiting")
    assert house.synapse("reject", waits["id"]).returncode == 0, waits
    house.becomes("bob", "READY", seconds=30)
    scenes.ended(house, task)


def test_a_person_who_interrupts_it_makes_it_ready(house: RealHouse) -> None:
    task = house.queue("bob", "SLOW 30 person")
    until(lambda: house.stub.asked("person"), 20)
    glass = house.attach("bob", columns=120, rows=40)
    glass.shows("cancel)")
    glass.type("\x1b")
    assert house.within(lambda: scenes.ended(house, task), 10) < 6
    assert house.becomes("bob", "READY")["source"] == "screen"
    glass.close()


def test_nothing_of_ours_is_in_the_persons_settings(house: RealHouse) -> None:
    now = {name: json.loads(text) for name, text in house.snapshot().items()}
    before = {name: json.loads(text) for name, text in house.before.items()}
    assert [settings.get("hooks") for settings in now.values()] == [None]
    assert {name: {**text, "$version": 0} for name, text in now.items()} == {
        name: {**text, "$version": 0} for name, text in before.items()
    }
    assert not (house.repo / ".qwen").exists()


def test_hooks_of_the_person_stay_in_force_and_hooks_that_are_off_are_noticed() -> None:
    house = RealHouse("qwen")
    try:
        settings = house.home / ".qwen" / "settings.json"
        own = json.loads(settings.read_text())
        stop = {"hooks": [{"type": "command", "command": f"touch {house.place}/mine.ran"}]}
        settings.write_text(json.dumps({**own, "hooks": {"Stop": [stop]}}))
        house.real()
        assert house.send("bob", "PING mine") == "PONG mine"
        until(lambda: (house.place / "mine.ran").exists())
        assert house.status("bob")["live"]["source"] == "hook Stop"
        house.synapse("stop", "bob", timeout=60)
        settings.write_text(json.dumps({**own, "disableAllHooks": True}))
        house.real("mute")
        assert house.send("mute", "PING unhooked", timeout=60) == "PONG unhooked"
        live = house.status("mute")["live"]
        assert (live["source"], live["silent"]) == ("screen", ["hook"])
    finally:
        house.close()


def test_a_conversation_is_taken_up_again() -> None:
    house = RealHouse("qwen")
    try:
        house.real()
        assert house.send("bob", "PING first") == "PONG first"
        session = house.status("bob")["live"]["session"]
        house.synapse("stop", "bob", timeout=60)
        house.real("bob", "--resume", session)
        assert house.send("bob", "PING again") == "PONG again"
        assert house.status("bob")["live"]["source"] == "hook Stop"
    finally:
        house.close()
