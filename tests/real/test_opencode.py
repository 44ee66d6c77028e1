"""OpenCode as it is, with a model of ours."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import RealHouse, real

pytestmark = real("opencode")


@pytest.fixture(scope="module")
def house() -> Iterator[RealHouse]:
    """One opencode, and a person before it."""
    house = RealHouse("opencode")
    house.before = house.snapshot()
    house.seat()
    house.send("bob", "PING first", timeout=150)  # it loads what it needs
    yield house
    house.close()


def test_its_model_may_reply_and_look_without_asking_anybody(house: RealHouse) -> None:
    assert house.send("bob", "RUNCMD synapse reply 'of its own; really'") == "of its own; really"
    house.becomes("bob", "READY")
    assert house.send("bob", "RUNCMD synapse list").startswith("RESULT ")
    assert house.ask("waiting") == []


def test_what_more_a_shell_would_do_is_asked(house: RealHouse) -> None:
    task = house.queue("bob", "RUNCMD synapse list; touch more")
    house.becomes("bob", "WAITING")
    (waits,) = until(lambda: house.ask("waiting"), 5)
    assert house.synapse("reject", waits["id"]).returncode == 0
    scenes.ended(house, task)
    assert not (house.repo / "more").exists()


def test_another_hub_is_asked_about(house: RealHouse) -> None:
    task = house.queue("bob", "RUNCMD synapse list --url http://127.0.0.1:1")
    house.becomes("bob", "WAITING")
    (waits,) = until(lambda: house.ask("waiting"), 5)
    assert house.synapse("reject", waits["id"]).returncode == 0
    scenes.ended(house, task)


def test_what_helpers_of_its_do_is_not_mistaken_for_its_own_doing(house: RealHouse) -> None:
    words = {"description": "try", "prompt": "hello helper", "subagent_type": "general"}
    task = house.queue("bob", f"CALL task {json.dumps(words)}")
    assert scenes.ended(house, task, 60)["answer"].startswith("RESULT <task ")


def test_its_questions_are_answered_from_outside(house: RealHouse) -> None:
    options = [{"label": label, "description": label} for label in ("Red", "Blue")]
    words = {"questions": [{"question": "Which color?", "header": "Color", "options": options}]}
    task = house.queue("bob", f"CALL question {json.dumps(words)}")
    house.becomes("bob", "WAITING")
    (waits,) = until(lambda: house.ask("waiting"), 5)
    until(lambda: house.ask("waiting")[0]["choices"], 5)
    assert house.ask("waiting")[0]["what"] == "Which color?"
    assert house.synapse("approve", waits["id"], "2").returncode == 0
    assert "Blue" in scenes.ended(house, task)["answer"]


def test_a_person_who_answers_is_seen_and_a_late_answer_presses_nothing(house: RealHouse) -> None:
    task = house.queue("bob", f"RUNCMD touch {house.repo}/person.txt")
    house.becomes("bob", "WAITING")
    (waits,) = until(lambda: house.ask("waiting"), 5)
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
    (waits,) = until(lambda: house.ask("waiting"), 5)
    assert house.synapse("approve", waits["id"]).returncode == 0
    assert scenes.ended(house, task)["answer"] == "RESULT =="


def test_nothing_of_ours_is_in_the_persons_settings(house: RealHouse) -> None:
    assert house.snapshot() == house.before
    assert not (house.repo / "opencode.json").exists()
