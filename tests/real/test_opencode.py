"""OpenCode as it is, with a model of ours."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import COUNT, RealHouse, real

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


def test_it_says_by_itself_what_it_does_and_is_done_soon_after_its_model(house: RealHouse) -> None:
    scenes.status_in_time(house, "when", "events session.idle", 0.3)
    assert "silent" not in house.status("bob")["live"]


def test_its_answers_are_word_for_word_those_of_its_model(house: RealHouse) -> None:
    scenes.word_for_word(house, "signal")


def test_what_its_model_used_is_counted(house: RealHouse) -> None:
    task = house.queue("bob", "PING used")
    assert scenes.ended(house, task)["usage"] == {"input": 10, "output": 5, "cached": 0}


def test_texts_of_all_kinds_arrive_once_and_as_they_are(house: RealHouse) -> None:
    scenes.delivered(house, scenes.LOOK_ALIKES, "kinds")


def test_many_messages_at_once_arrive_in_order(house: RealHouse) -> None:
    scenes.burst(house, "many", 10)


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


def test_a_dialog_is_told_with_its_choices_and_answered_from_outside(house: RealHouse) -> None:
    live = scenes.asks_and_is_answered(house, 3, answer="approve", mark="yes")
    assert live["source"] == "events permission.asked"
    assert live["command"] == f"touch {house.repo}/yes.txt"
    scenes.asks_and_is_answered(house, 3, answer="reject", mark="no")


def test_a_letter_is_read_without_asking_anybody(house: RealHouse) -> None:
    scenes.a_letter_is_read(house, 'CALL read {"filePath": "FILE"}')


def test_what_its_service_refuses_fails_the_task_with_the_reason(house: RealHouse) -> None:
    scenes.fails_with_its_reason(house)


def test_it_is_interrupted_in_its_own_way(house: RealHouse) -> None:
    scenes.interrupts(house, "stopped")


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


@pytest.mark.parametrize("columns", [60, 200])
def test_at_other_widths_texts_arrive_cold_and_warm(columns: int) -> None:
    house = RealHouse("opencode")
    try:
        house.seat(columns=columns, ready=False)
        until(lambda: "bob" in house.names(), 30)
        first = house.queue("bob", "PING cold")  # it takes long to begin
        assert scenes.ended(house, first, 150)["answer"] == "PONG cold"
        scenes.delivered(house, scenes.LOOK_ALIKES[::3], f"w{columns}")
        live = scenes.asks_and_is_answered(house, 3, answer="approve", mark="narrow")
        assert live["question"].startswith("△ Permission required")
    finally:
        house.close()


@pytest.mark.skipif(not COUNT, reason="not run: SYNAPSE_REAL_COUNT says how many texts")
@pytest.mark.timeout(1800)
def test_hundreds_of_texts_arrive(house: RealHouse) -> None:
    scenes.works_with_a_busy_machine(house, COUNT, "many")


def test_it_ends_with_all_that_it_has_started_and_restores_the_terminal() -> None:
    house = RealHouse("opencode")
    try:
        glass = house.seat()
        assert house.send("bob", "PING last") == "PONG last"
        scenes.leaves_nothing(house, glass)
    finally:
        house.close()
