"""Claude Code as it is, with a model of ours."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import COUNT, RealHouse, real

pytestmark = real("claude")


@pytest.fixture(scope="module")
def house() -> Iterator[RealHouse]:
    """One Claude Code, and a person before it."""
    house = RealHouse("claude")
    house.before = house.snapshot()
    house.seat()
    yield house
    house.close()


def test_it_says_by_itself_what_it_does_and_is_done_soon_after_its_model(house: RealHouse) -> None:
    for attempt in range(5):  # the machine may have other things to do
        try:
            scenes.status_in_time(house, f"when{attempt}", "hook Stop", 0.3)
            break
        except AssertionError:
            if attempt == 4:
                raise
    live = house.status("bob")["live"]
    assert "silent" not in live
    assert len(live["session"]) == 36


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
    assert house.send("bob", "RUNCMD synapse reply 'of its own'") == "of its own"
    house.becomes("bob", "READY")
    assert house.send("bob", "RUNCMD synapse list").startswith("RESULT ")
    assert house.ask("waiting") == []


def test_speaking_to_another_hub_is_asked_for(house: RealHouse) -> None:
    task = house.queue("bob", "RUNCMD synapse list --url http://127.0.0.1:9")
    assert house.task(task, "input-required")["state"] == "input-required"
    (waits,) = until(lambda: house.ask("waiting"), 5)
    assert house.synapse("reject", waits["id"]).returncode == 0
    house.becomes("bob", "READY")
    house.send("bob", "go on")


def test_a_dialog_is_told_with_its_choices_and_answered_from_outside(house: RealHouse) -> None:
    live = scenes.asks_and_is_answered(house, 3, answer="approve", mark="yes")
    assert live["source"] == "hook PermissionRequest"
    scenes.asks_and_is_answered(house, 3, answer="reject", mark="no")
    assert house.send("bob", "go on").startswith("RESULT The user doesn't want to proceed")  # its model hears of it


def test_a_letter_is_read_without_asking_anybody(house: RealHouse) -> None:
    scenes.a_letter_is_read(house, 'CALL Read {"file_path": "FILE"}')


def test_what_its_service_refuses_fails_the_task_with_the_reason(house: RealHouse) -> None:
    scenes.fails_with_its_reason(house)


def test_it_is_interrupted_in_its_own_way(house: RealHouse) -> None:
    scenes.interrupts(house, "stopped")


def test_a_person_who_interrupts_it_makes_it_ready(house: RealHouse) -> None:
    task = house.queue("bob", "SLOW 30 person")
    until(lambda: house.stub.asked("person"), 20)
    glass = house.attach("bob", columns=120, rows=40)
    glass.shows("word1")
    glass.type("\x1b")
    assert house.within(lambda: scenes.ended(house, task), 10) < 5
    assert house.becomes("bob", "READY")["source"] == "screen"
    glass.close()


def test_after_clear_its_new_session_is_its_own(house: RealHouse) -> None:
    before = house.status("bob")["live"]["session"]
    glass = house.attach("bob", columns=120, rows=40)
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


def test_a_conversation_is_taken_up_again() -> None:
    house = RealHouse("claude")
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


@pytest.mark.parametrize("columns", [60, 200])
def test_at_other_widths_texts_arrive_cold_and_warm(columns: int) -> None:
    house = RealHouse("claude")
    try:
        house.seat(columns=columns, ready=False)
        until(lambda: "bob" in house.names())
        scenes.delivered(house, scenes.LOOK_ALIKES[::3], f"w{columns}")
        live = scenes.asks_and_is_answered(house, 3, answer="approve", mark="narrow")
        assert live["question"].startswith("Do you want to proceed"), live
    finally:
        house.close()


@pytest.mark.skipif(not COUNT, reason="not run: SYNAPSE_REAL_COUNT says how many texts")
@pytest.mark.timeout(1800)
def test_hundreds_of_texts_arrive(house: RealHouse) -> None:
    scenes.works_with_a_busy_machine(house, COUNT, "many")


def test_it_ends_with_all_that_it_has_started_and_restores_the_terminal() -> None:
    house = RealHouse("claude")
    try:
        glass = house.seat()
        assert house.send("bob", "PING last") == "PONG last"
        scenes.leaves_nothing(house, glass)
    finally:
        house.close()


def test_bare_uses_are_left_alone() -> None:
    house = RealHouse("claude")
    try:
        glass = house.seat("-p", "PING bare", ready=False)
        glass.expect("PONG bare")
        assert not list((house.data / "run" / "agents").glob("*/settings.json"))
    finally:
        house.close()
