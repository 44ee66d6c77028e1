"""GitHub Copilot CLI as it is, with a model of ours."""

import json

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import RealHouse, house_of, real

pytestmark = real("copilot")
house = house_of("copilot")


def test_what_helpers_of_its_do_is_not_mistaken_for_its_own_doing(house: RealHouse) -> None:
    words = {"agent_type": "general-purpose", "name": "helper", "description": "try", "prompt": "hello helper"}
    task = house.queue("bob", f"CALL task {json.dumps({**words, 'mode': 'sync'})}")
    assert scenes.ended(house, task, 60)["answer"] == "RESULT ECHO: hello helper"


def test_nothing_of_ours_is_in_the_persons_settings(house: RealHouse) -> None:
    assert b"synapse" not in (house.home / ".copilot" / "config.json").read_bytes()
    assert not (house.home / ".copilot" / "hooks").exists()
    assert not (house.repo / ".github").exists()


def test_its_own_folder_may_lie_elsewhere() -> None:
    house = RealHouse("copilot")
    try:
        elsewhere = house.place / "elsewhere"
        (house.home / ".copilot").rename(elsewhere)
        house.env["COPILOT_HOME"] = str(elsewhere)
        house.real()
        told = scenes.ended(house, house.queue("bob", "PING there"), 60)
        assert (told["answer"], told["source"], told["usage"]["input"]) == ("PONG there", "record", 10)
        scenes.fails_with_its_reason(house)
        assert not (house.home / ".copilot").exists()
    finally:
        house.close()


def test_a_question_of_its_models_is_answered_from_outside() -> None:
    house = RealHouse("copilot")
    try:
        house.real()
        colors = {"color": {"type": "string", "enum": ["Red", "Blue"]}}
        words = {"message": "Which color?", "requestedSchema": {"type": "object", "properties": colors}}
        task = house.queue("bob", f"CALL ask_user {json.dumps(words)}")
        house.becomes("bob", "WAITING")
        until(lambda: house.status("bob")["live"].get("question"), 5)
        (waits,) = house.ask("waiting")
        assert "Which color?" in waits["what"]
        assert house.synapse("approve", waits["id"]).returncode != 0  # which choice means yes is not sure
        assert house.synapse("approve", waits["id"], "2").returncode == 0
        assert scenes.ended(house, task)["answer"] == "RESULT User responded: Blue"
    finally:
        house.close()
