"""GitHub Copilot CLI as it is, with a model of ours."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import COUNT, RealHouse, real

pytestmark = real("copilot")


@pytest.fixture(scope="module")
def house() -> Iterator[RealHouse]:
    """One copilot, and a person before it."""
    house = RealHouse("copilot")
    house.before = house.snapshot()
    house.seat()
    yield house
    house.close()


def test_it_says_by_itself_what_it_does_and_is_done_soon_after_its_model(house: RealHouse) -> None:
    scenes.status_in_time(house, "when", "hook agentStop", 0.3)
    assert "silent" not in house.status("bob")["live"]


def test_its_answers_are_word_for_word_those_of_its_model(house: RealHouse) -> None:
    scenes.word_for_word(house, "record")


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


def test_what_helpers_of_its_do_is_not_mistaken_for_its_own_doing(house: RealHouse) -> None:
    words = {"agent_type": "general-purpose", "name": "helper", "description": "try", "prompt": "hello helper"}
    task = house.queue("bob", f"CALL task {json.dumps({**words, 'mode': 'sync'})}")
    assert scenes.ended(house, task, 60)["answer"] == "RESULT ECHO: hello helper"


def test_a_dialog_is_told_with_its_choices_and_answered_from_outside(house: RealHouse) -> None:
    live = scenes.asks_and_is_answered(house, 3, answer="approve", mark="yes")
    assert live["source"] == "hook notification"
    assert live["command"] == f"touch {house.repo}/yes.txt"
    scenes.asks_and_is_answered(house, 3, answer="reject", mark="no")


def test_a_letter_is_read_without_asking_anybody(house: RealHouse) -> None:
    scenes.a_letter_is_read(house, 'CALL view {"path": "FILE"}')


def test_what_its_service_refuses_fails_the_task_with_the_reason(house: RealHouse) -> None:
    scenes.fails_with_its_reason(house)


def test_it_is_interrupted_in_its_own_way(house: RealHouse) -> None:
    scenes.interrupts(house, "stopped")


def test_nothing_of_ours_is_in_the_persons_settings(house: RealHouse) -> None:
    assert b"synapse" not in (house.home / ".copilot" / "config.json").read_bytes()
    assert not (house.home / ".copilot" / "hooks").exists()
    assert not (house.repo / ".github").exists()


@pytest.mark.parametrize("columns", [60, 200])
def test_at_other_widths_texts_arrive_cold_and_warm(columns: int) -> None:
    house = RealHouse("copilot")
    try:
        house.seat(columns=columns, ready=False)
        until(lambda: "bob" in house.names(), 30)
        scenes.delivered(house, scenes.LOOK_ALIKES[::3], f"w{columns}")
        live = scenes.asks_and_is_answered(house, 3, answer="approve", mark="narrow")
        assert live["question"].startswith("Do you want")
    finally:
        house.close()


@pytest.mark.skipif(not COUNT, reason="not run: SYNAPSE_REAL_COUNT says how many texts")
@pytest.mark.timeout(1800)
def test_hundreds_of_texts_arrive(house: RealHouse) -> None:
    scenes.works_with_a_busy_machine(house, COUNT, "many")


def test_it_ends_with_all_that_it_has_started_and_restores_the_terminal() -> None:
    house = RealHouse("copilot")
    try:
        glass = house.seat()
        assert house.send("bob", "PING last") == "PONG last"
        scenes.leaves_nothing(house, glass)
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
