"""OpenCode as it is, with a model of ours."""

import json

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import RealHouse, house_of, real

pytestmark = real("opencode")
house = house_of("opencode")


def test_what_helpers_of_its_do_is_not_mistaken_for_its_own_doing(house: RealHouse) -> None:
    words = {"description": "try", "prompt": "hello helper", "subagent_type": "general"}
    task = house.queue("bob", f"CALL task {json.dumps(words)}")
    assert scenes.ended(house, task, 60)["answer"].startswith("RESULT <task ")


def test_its_questions_are_answered_from_outside(house: RealHouse) -> None:
    options = [{"label": label, "description": label} for label in ("Red", "Blue")]
    words = {"questions": [{"question": "Which color?", "header": "Color", "options": options}]}
    task = house.queue("bob", f"CALL question {json.dumps(words)}")
    house.becomes("bob", "WAITING")
    (waits,) = until(house.waiting, 5)
    until(lambda: house.waiting()[0]["choices"], 5)
    assert house.ask("waiting")[0]["what"] == "Which color?"
    assert house.synapse("approve", waits["id"], "2").returncode == 0
    assert "Blue" in scenes.ended(house, task)["answer"]


def test_a_person_who_answers_is_seen_and_a_late_answer_presses_nothing(house: RealHouse) -> None:
    task = house.queue("bob", f"RUNCMD touch {house.repo}/person.txt")
    house.becomes("bob", "WAITING")
    (waits,) = until(house.waiting, 5)
    person = house.attach("bob", columns=120, rows=40)
    person.shows("Permission required")
    person.type("\r")
    assert scenes.ended(house, task)["state"] == "completed"
    assert house.synapse("approve", waits["id"]).returncode != 0
    assert (house.repo / "person.txt").exists()
    person.close()


def test_its_password_is_in_no_shell_of_its_model(house: RealHouse) -> None:
    task = house.queue("bob", "RUNCMD echo =$OPENCODE_SERVER_PASSWORD=")
    house.becomes("bob", "WAITING")
    (waits,) = until(house.waiting, 5)
    assert house.synapse("approve", waits["id"]).returncode == 0
    assert scenes.ended(house, task)["answer"] == "RESULT =="


def test_nothing_of_ours_is_in_the_persons_settings(house: RealHouse) -> None:
    assert house.snapshot() == house.before
    assert not (house.repo / "opencode.json").exists()
