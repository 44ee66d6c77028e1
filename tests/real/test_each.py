"""What every real program does alike, each in its own way: `-k NAME` for one of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import COUNT, RealHouse, real


@dataclass(frozen=True)
class Way:
    """How a program says what it does."""

    by: str  # what tells that it is done
    answers: str  # where its answers come from
    within: float = 0.3  # seconds from its model's last word to the end of the task
    used: tuple[str, ...] = ()  # which tokens are counted
    reads: str = ""  # what has its model read FILE
    asks_by: str = ""  # what tells that it asks
    asks: str = ""  # in its question
    choices: int = 3
    leaves_out: str = ""  # characters that it does not say


WAYS = {
    "claude": Way(
        "hook Stop", "signal", used=("cached",), reads='CALL Read {"file_path": "FILE"}',
        asks_by="hook PermissionRequest", asks="Do you want to proceed",
    ),
    "codex": Way(
        "osc7501", "signal", used=("cached",), reads="RUNCMD cat FILE", asks_by="osc7501", asks="Would you like",
    ),
    "copilot": Way(
        "hook agentStop", "record", used=("cached",), reads='CALL view {"path": "FILE"}',
        asks_by="hook notification", asks="Do you want",
    ),
    "gemini": Way(
        "title", "record", used=("cached", "thoughts"), reads='CALL read_file {"file_path": "FILE"}',
        asks_by="title", asks="Allow execution", leaves_out="\u200d",
    ),
    "opencode": Way(
        "events session.idle", "signal", used=("cached",), reads='CALL read {"filePath": "FILE"}',
        asks_by="events permission.asked", asks="△ Permission required",
    ),
    "qwen": Way(
        "hook Stop", "signal", used=("cached", "thoughts"), reads='CALL read_file {"file_path": "FILE"}',
        asks_by="hook Notification", asks="Allow execution", choices=4,
    ),
    "aider": Way("screen", "record", within=1.0),  # it has no tools
}  # fmt: skip


def named(*but: str) -> list[object]:
    return [pytest.param(name, marks=real(name)) for name in WAYS if name not in but]


@pytest.fixture(scope="module", params=named())
def house(request: pytest.FixtureRequest) -> Iterator[RealHouse]:
    """One agent of the program, and a person before it."""
    house = RealHouse(request.param)
    house.seat()
    house.send("bob", "PING first", timeout=150)  # it loads what it needs
    yield house
    house.close()


@pytest.fixture
def way(house: RealHouse) -> Way:
    return WAYS[house.program_of.name]


@pytest.fixture
def tools(way: Way) -> Way:
    """Of a program whose model has tools."""
    if not way.reads:
        pytest.skip("its model has no tools")
    return way


def test_it_says_what_it_does_and_is_done_soon_after_its_model(house: RealHouse, way: Way) -> None:
    for attempt in range(5):  # the machine may have other things to do
        try:
            scenes.status_in_time(house, f"when{attempt}", way.by, way.within)
            break
        except AssertionError:
            if attempt == 4:
                raise
    assert "silent" not in house.status("bob")["live"]


def test_its_answers_are_word_for_word_those_of_its_model(house: RealHouse, way: Way) -> None:
    scenes.word_for_word(house, way.answers, leaves_out=way.leaves_out)


def test_what_its_model_used_is_counted(house: RealHouse, way: Way) -> None:
    used = scenes.ended(house, house.queue("bob", "PING used")).get("usage")
    assert used == ({"input": 10, "output": 5, **dict.fromkeys(way.used, 0)} if way.used else None)


def test_texts_of_all_kinds_arrive_once_and_as_they_are(house: RealHouse) -> None:
    scenes.delivered(house, scenes.LOOK_ALIKES, "kinds")


def test_many_messages_at_once_arrive_in_order(house: RealHouse) -> None:
    scenes.burst(house, "many", 10)


def test_a_dialog_is_told_with_its_choices_and_answered_from_outside(house: RealHouse, tools: Way) -> None:
    live = scenes.asks_and_is_answered(house, tools.choices, answer="approve", mark="yes")
    assert live["source"] == tools.asks_by
    assert "touch " in live["command"]
    scenes.asks_and_is_answered(house, tools.choices, answer="reject", mark="no")
    house.send("bob", "go on")  # some tell their model only then


def test_a_message_waits_for_an_open_dialog(house: RealHouse, tools: Way) -> None:
    scenes.a_dialog_is_not_typed_into(house)


def test_a_message_waits_for_a_persons_draft(house: RealHouse) -> None:
    scenes.a_draft_holds_it_back(house, house.glasses[0], b"\x7f" * 14)


def test_a_letter_is_read_without_asking_anybody(house: RealHouse, tools: Way) -> None:
    scenes.a_letter_is_read(house, tools.reads)


def test_what_its_service_refuses_fails_the_task_with_the_reason(house: RealHouse) -> None:
    scenes.fails_with_its_reason(house)


def test_it_is_interrupted_in_its_own_way(house: RealHouse) -> None:
    scenes.interrupts(house, "stopped")


@pytest.mark.skipif(not COUNT, reason="not run: SYNAPSE_REAL_COUNT says how many texts")
@pytest.mark.timeout(1800)
def test_hundreds_of_texts_arrive_beside_a_busy_process(house: RealHouse) -> None:
    scenes.works_with_a_busy_machine(house, COUNT, "hundreds")


@pytest.mark.parametrize("columns", [60, 200])
@pytest.mark.parametrize("name", named())
def test_at_other_widths_texts_arrive_cold_and_warm(name: str, columns: int) -> None:
    house, way = RealHouse(name), WAYS[name]
    try:
        house.seat(columns=columns, ready=False)
        until(lambda: "bob" in house.names(), 30)
        cold = house.queue("bob", "PING cold")
        assert scenes.ended(house, cold, 150)["answer"] == "PONG cold"
        scenes.delivered(house, scenes.LOOK_ALIKES[::3], f"w{columns}")
        if way.reads:
            live = scenes.asks_and_is_answered(house, way.choices, answer="approve", mark="narrow")
            assert way.asks in live["question"], live
    finally:
        house.close()


@pytest.mark.parametrize("name", named())
def test_it_ends_with_all_that_it_has_started_and_restores_the_terminal(name: str) -> None:
    house = RealHouse(name)
    try:
        glass = house.seat()
        assert house.send("bob", "PING last", timeout=150) == "PONG last"
        scenes.leaves_nothing(house, glass)
    finally:
        house.close()
