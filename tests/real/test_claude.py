"""Claude Code as it is, with a model of ours."""

import json
from typing import Any

import pytest

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import RealHouse, house_of, real

pytestmark = real("claude")
house = house_of("claude")


def test_after_clear_its_new_session_is_its_own(house: RealHouse) -> None:
    before = house.status("bob")["live"]["session"]
    glass = house.attach("bob", columns=120, rows=40)
    glass.shows("? for shortcuts")
    house.becomes("bob", "READY")
    glass.type("/clear")
    glass.shows("Start a new session")
    glass.type("\r")
    until(lambda: house.status("bob")["live"]["session"] != before, 10)
    glass.close()
    assert house.send("bob", "PING cleared") == "PONG cleared"


def test_nothing_of_ours_is_in_the_persons_settings(house: RealHouse) -> None:
    def own(text: bytes) -> Any:
        told = json.loads(text)
        return told.get("hooks"), told.get("permissions")

    assert [own(text) for text in house.snapshot().values()] == [own(text) for text in house.before.values()]
    assert not (house.repo / ".claude").exists()


def test_settings_of_the_person_stay_in_force_and_hooks_that_are_off_are_noticed() -> None:
    house = RealHouse("claude")
    try:
        mine = house.place / "mine.json"
        stop = {"hooks": [{"type": "command", "command": f"touch {house.place}/mine.ran"}]}
        mine.write_text(json.dumps({"hooks": {"Stop": [stop]}}))
        house.real("bob", "--settings", str(mine))
        assert house.send("bob", "PING mine") == "PONG mine"
        until(lambda: (house.place / "mine.ran").exists())
        assert house.status("bob")["live"]["source"] == "hook Stop"
        house.real("mute", "--settings", '{"disableAllHooks": true}')
        assert house.send("mute", "PING unhooked") == "PONG unhooked"
        live = house.status("mute")["live"]
        assert (live["source"], live["silent"]) == ("screen", ["hook"])
        assert "does not report by hook" in house.synapse("doctor").stdout
    finally:
        house.close()


def test_a_hook_of_the_persons_may_make_it_go_on() -> None:
    house = RealHouse("claude")
    try:
        once = f"sleep 1; test -e {house.place}/once || {{ touch {house.place}/once; echo '{{BLOCK}}'; }}"
        once = once.replace("{BLOCK}", json.dumps({"decision": "block", "reason": "PING second"}))
        mine = {"hooks": {"Stop": [{"hooks": [{"type": "command", "command": once}]}]}}
        house.real("bob", "--settings", json.dumps(mine))
        assert house.send("bob", "PING first") == "PONG second"
        assert house.status("bob")["live"]["source"] == "hook Stop"
    finally:
        house.close()


@pytest.mark.parametrize("mine", [{"statusLine": {"type": "command", "command": "echo mine"}}, {"editorMode": "vim"}])
def test_where_its_usual_words_are_hidden_its_screen_is_understood(mine: dict[str, Any]) -> None:
    house = RealHouse("claude")
    try:
        glass = house.seat("--settings", json.dumps({**mine, "disableAllHooks": True}))
        task = house.queue("bob", "SLOW 3 hidden")
        assert house.becomes("bob", "PROCESSING")["source"] in ("submit", "screen")
        until(lambda: house.status("bob")["live"]["source"] == "screen", 10)
        assert str(scenes.ended(house, task)["answer"]).endswith("DONE hidden")
        glass.type("SLOW 20 early\r\x1b")
        glass.shows("SLOW 20 early")
        assert house.becomes("bob", "READY")["source"] == "screen"
    finally:
        house.close()


def test_a_person_who_interrupts_it_early_makes_it_ready_though_the_text_stands_there_again(house: RealHouse) -> None:
    glass = house.attach("bob", columns=120, rows=40)
    glass.shows("? for shortcuts")  # before that its keys would be the test's own terminal's
    house.becomes("bob", "READY")
    glass.type("SLOW 20 early")
    glass.shows("SLOW 20 early")
    glass.type("\r")
    house.becomes("bob", "PROCESSING")
    glass.type("\x1b")
    house.becomes("bob", "READY")
    task = house.queue("bob", "PING clean")
    glass.shows("1 message waiting")
    glass.type("\x15")
    assert scenes.ended(house, task)["answer"] == "PONG clean"
    (asked,) = house.stub.asked("clean")
    assert "early" not in asked
    glass.close()


def test_bare_uses_are_left_alone() -> None:
    house = RealHouse("claude")
    try:
        glass = house.seat("-p", "PING bare", ready=False)
        glass.expect("PONG bare")
        assert not list((house.data / "run" / "agents").glob("*/settings.json"))
    finally:
        house.close()
