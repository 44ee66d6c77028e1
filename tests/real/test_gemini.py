"""Gemini CLI as it is, with a model of ours."""

from collections.abc import Iterator

import pytest

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import COUNT, RealHouse, real

pytestmark = real("gemini")


@pytest.fixture(scope="module")
def house() -> Iterator[RealHouse]:
    """One gemini, and a person before it."""
    house = RealHouse("gemini")
    house.before = house.snapshot()
    house.seat()
    yield house
    house.close()


def test_it_says_by_its_title_what_it_does_and_is_done_soon_after_its_model(house: RealHouse) -> None:
    scenes.status_in_time(house, "when", "title", 0.3)


def test_its_answers_are_word_for_word_those_of_its_model(house: RealHouse) -> None:
    scenes.word_for_word(house, "record", leaves_out="\u200d")


def test_what_its_model_used_is_counted(house: RealHouse) -> None:
    task = house.queue("bob", "PING used")
    assert scenes.ended(house, task)["usage"] == {"input": 10, "output": 5, "cached": 0, "thoughts": 0}


def test_texts_of_all_kinds_arrive_once_and_as_they_are(house: RealHouse) -> None:
    scenes.delivered(house, scenes.LOOK_ALIKES, "kinds")


def test_many_messages_at_once_arrive_in_order(house: RealHouse) -> None:
    scenes.burst(house, "many", 10)


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


def test_a_dialog_is_told_with_its_choices_and_answered_from_outside(house: RealHouse) -> None:
    live = scenes.asks_and_is_answered(house, 3, answer="approve", mark="yes")
    assert live["source"] == "title"
    assert "touch " in live["command"]
    scenes.asks_and_is_answered(house, 3, answer="reject", mark="no")


def test_a_message_waits_for_an_open_dialog(house: RealHouse) -> None:
    scenes.a_dialog_is_not_typed_into(house)


def test_a_message_waits_for_a_persons_draft(house: RealHouse) -> None:
    scenes.a_draft_holds_it_back(house, house.glasses[0], b"\x7f" * 14)


def test_a_letter_is_read_without_asking_anybody(house: RealHouse) -> None:
    scenes.a_letter_is_read(house, 'CALL read_file {"file_path": "FILE"}')


def test_what_its_service_refuses_fails_the_task_with_the_reason(house: RealHouse) -> None:
    scenes.fails_with_its_reason(house)


def test_it_is_interrupted_in_its_own_way(house: RealHouse) -> None:
    scenes.interrupts(house, "stopped")


def test_nothing_of_ours_is_in_the_persons_settings(house: RealHouse) -> None:
    assert house.snapshot() == house.before
    assert not (house.repo / ".gemini").exists()
    assert not (house.home / ".gemini" / "policies").exists()


@pytest.mark.parametrize("columns", [60, 200])
def test_at_other_widths_texts_arrive_cold_and_warm(columns: int) -> None:
    house = RealHouse("gemini")
    try:
        house.seat(columns=columns, ready=False)
        until(lambda: "bob" in house.names())
        scenes.delivered(house, scenes.LOOK_ALIKES[::3], f"w{columns}")
        live = scenes.asks_and_is_answered(house, 3, answer="approve", mark="narrow")
        assert "Allow execution" in live["question"]
    finally:
        house.close()


@pytest.mark.skipif(not COUNT, reason="not run: SYNAPSE_REAL_COUNT says how many texts")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("columns", [60, 120, 200])
def test_hundreds_of_texts_arrive(columns: int) -> None:
    house = RealHouse("gemini")
    try:
        house.seat(columns=columns)
        scenes.works_with_a_busy_machine(house, COUNT, f"c{columns}")
    finally:
        house.close()


def test_it_ends_with_all_that_it_has_started_and_restores_the_terminal() -> None:
    house = RealHouse("gemini")
    try:
        glass = house.seat()
        assert house.send("bob", "PING last") == "PONG last"
        scenes.leaves_nothing(house, glass)
    finally:
        house.close()
