"""Qwen Code as it is, with a model of ours."""

import json

from tests.e2e.hubs import until
from tests.real.kit import RealHouse, house_of, real

pytestmark = real("qwen")
house = house_of("qwen")


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
