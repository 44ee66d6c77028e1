"""Codex as it is, with a model of ours."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import COUNT, RealHouse, real

pytestmark = real("codex")


@pytest.fixture(scope="module")
def house() -> Iterator[RealHouse]:
    """One codex, and a person before it."""
    house = RealHouse("codex")
    house.before = house.snapshot()
    house.seat()
    yield house
    house.close()


def test_it_says_by_itself_what_it_does_and_is_done_soon_after_its_model(house: RealHouse) -> None:
    scenes.status_in_time(house, "when", "osc7501", 0.3)
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


def test_its_model_may_reply_out_of_the_sandbox_without_asking_anybody(house: RealHouse) -> None:
    assert house.send("bob", "RUNCMD synapse reply 'of its own, ESCALATED'") == "of its own, ESCALATED"
    house.becomes("bob", "READY")
    assert house.send("bob", "RUNCMD synapse list 'ESCALATED'").startswith("RESULT ")
    assert house.ask("waiting") == []


def test_within_the_sandbox_it_is_told_to_leave_it(house: RealHouse) -> None:
    assert "Ask to run this outside of the sandbox" in house.send("bob", "RUNCMD synapse inbox")


def test_a_dialog_is_told_with_its_choices_and_answered_from_outside(house: RealHouse) -> None:
    live = scenes.asks_and_is_answered(house, 3, answer="approve", mark="yes")
    assert live["source"] == "osc7501"
    assert "touch " in live["command"]
    scenes.asks_and_is_answered(house, 3, answer="reject", mark="no")


def test_a_message_waits_for_an_open_dialog(house: RealHouse) -> None:
    scenes.a_dialog_is_not_typed_into(house)


def test_a_message_waits_for_a_persons_draft(house: RealHouse) -> None:
    scenes.a_draft_holds_it_back(house, house.glasses[0], b"\x7f" * 14)


def test_a_letter_is_read_without_asking_anybody(house: RealHouse) -> None:
    scenes.a_letter_is_read(house, "RUNCMD cat FILE")


def test_what_its_service_refuses_fails_the_task_with_the_reason(house: RealHouse) -> None:
    scenes.fails_with_its_reason(house)


def test_a_limit_that_it_runs_into_fails_the_task(house: RealHouse) -> None:
    told = scenes.ended(house, house.queue("bob", "LIMITED now"))
    assert (told["state"], told["answer"]) == ("failed", "exceeded retry limit, last status: 429 Too Many Requests")
    assert house.send("bob", "PING behind it") == "PONG behind"


def test_it_does_not_look_ready_while_a_long_answer_comes_in(house: RealHouse) -> None:
    assert house.send("bob", "SLOW 8 streamed").endswith("DONE streamed")


def test_it_is_interrupted_in_its_own_way(house: RealHouse) -> None:
    scenes.interrupts(house, "stopped")


def test_nothing_of_ours_is_in_the_persons_settings(house: RealHouse) -> None:
    (settings,) = house.snapshot().values()
    own = settings.replace(b"screen_reader_detection_done = true\n", b"")  # it notes that by itself
    assert [own] == [*house.before.values()]
    assert not (house.repo / ".codex").exists()


@pytest.mark.parametrize("columns", [60, 200])
def test_at_other_widths_texts_arrive_cold_and_warm(columns: int) -> None:
    house = RealHouse("codex")
    try:
        house.seat(columns=columns, ready=False)
        until(lambda: "bob" in house.names())
        scenes.delivered(house, scenes.LOOK_ALIKES[::3], f"w{columns}")
        live = scenes.asks_and_is_answered(house, 3, answer="approve", mark="narrow")
        assert live["question"].startswith("Would you like"), live
        assert [choice[-3:] for choice in live["choices"]] == ["(y)", "(p)", "sc)"]
    finally:
        house.close()


@pytest.mark.skipif(not COUNT, reason="not run: SYNAPSE_REAL_COUNT says how many texts")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("columns", [60, 120, 200])
def test_hundreds_of_texts_arrive(columns: int) -> None:
    house = RealHouse("codex")
    try:
        house.seat(columns=columns)
        scenes.works_with_a_busy_machine(house, COUNT, f"c{columns}")
    finally:
        house.close()


def test_it_ends_with_all_that_it_has_started_and_restores_the_terminal() -> None:
    house = RealHouse("codex")
    try:
        glass = house.seat()
        assert house.send("bob", "PING last") == "PONG last"
        scenes.leaves_nothing(house, glass)
    finally:
        house.close()


def test_bare_uses_are_left_alone() -> None:
    house = RealHouse("codex")
    try:
        glass = house.seat("exec", "--skip-git-repo-check", "PING bare", ready=False)
        glass.expect("PONG bare")
        asked = json.dumps(house.stub.notes())
        assert "bare" in asked
    finally:
        house.close()
