"""What every real program does alike, each in its own way: `-k NAME` for one of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import RealHouse, lived_in, real


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
    choices: tuple[str, ...] = ()  # in each of its choices, at any width
    hears: str = ""  # how its model hears of a rejection, with the next message
    leaves_out: str = ""  # characters that it does not say
    session: int = 0  # characters of the id of its conversation, which it says
    goes_on: str = ""  # its word for going on with one
    leaves: str = ""  # in a command that is to leave its sandbox
    broken_off: str = ""  # what tells that a person has interrupted it


WAYS = {
    "claude": Way(
        "hook Stop", "signal", used=("cached",), reads='CALL Read {"file_path": "FILE"}',
        asks_by="hook PermissionRequest", asks="Do you want to proceed", choices=("1 Yes", "2 Yes", "3 No"),
        hears="RESULT The user doesn't want to proceed", session=36, goes_on="--resume", broken_off="screen",
    ),
    "codex": Way(
        "osc7501", "signal", used=("cached",), reads="RUNCMD cat FILE", asks_by="osc7501", asks="Would you like",
        choices=("(y)", "(p)", "(esc)"), session=36, goes_on="resume", leaves=" ESCALATED", broken_off="osc7501",
    ),
    "copilot": Way(
        "hook agentStop", "record", used=("cached",), reads='CALL view {"path": "FILE"}',
        asks_by="hook notification", asks="Do you want", choices=("1 Yes", "2 Yes", "3 No"), session=36,
    ),
    "gemini": Way(
        "title", "record", used=("cached", "thoughts"), reads='CALL read_file {"file_path": "FILE"}',
        asks_by="title", asks="Allow execution", choices=("Allow once", "Allow for this session", "(esc)"),
        leaves_out="\u200d", broken_off="title",
    ),
    "opencode": Way(
        "events session.idle", "signal", used=("cached",), reads='CALL read {"filePath": "FILE"}',
        asks_by="events permission.asked", asks="△ Permission required", choices=("once", "always", "eject"),
        session=30,
    ),
    "qwen": Way(
        "hook Stop", "signal", used=("cached", "thoughts"), reads='CALL read_file {"file_path": "FILE"}',
        asks_by="hook Notification", asks="Allow execution", choices=("Yes", "Always", "Always", "(esc)"), session=36,
        goes_on="--resume", broken_off="screen",
    ),
    "aider": Way("screen", "record", within=1.0),  # it has no tools
}  # fmt: skip


def named(has: str = "by") -> list[object]:
    """The programs of which something is known."""
    return [pytest.param(name, marks=real(name)) for name, way in WAYS.items() if getattr(way, has)]


@pytest.fixture(scope="module", params=named())
def house(request: pytest.FixtureRequest) -> Iterator[RealHouse]:
    """One agent of the program, and a person before it."""
    with lived_in(request.param) as house:
        yield house


FORBIDDEN = ("synapse list; touch more", "synapse reply x --url http://192.0.2.1", "synapse stop bob")


@pytest.fixture
def way(house: RealHouse) -> Way:
    return WAYS[house.program_of.name]


@pytest.fixture
def tools(way: Way) -> Way:
    """Of a program whose model has tools."""
    if not way.reads:
        pytest.skip("its model has no tools")
    return way


def test_its_first_turn_ends_soon_after_its_model(house: RealHouse) -> None:
    (first,) = (event for event in house.events(1000) if event["kind"] == "tasks.completed")
    assert first["at"] - house.stub.answered("first") < 2.0


def test_it_says_what_it_does_and_is_done_soon_after_its_model(house: RealHouse, way: Way) -> None:
    for attempt in range(5):  # the machine may have other things to do
        try:
            scenes.status_in_time(house, f"when{attempt}", way.by, way.within)
            break
        except AssertionError:
            if attempt == 4:
                raise
    live = house.status("bob")["live"]
    assert "silent" not in live
    assert len(live.get("session", "")) == way.session


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
    assert house.send("bob", "go on").startswith(tools.hears)  # some tell their model only then


def test_its_model_may_reply_and_look_without_asking_anybody(house: RealHouse, tools: Way) -> None:
    said = f"of its own; really{tools.leaves}"
    assert house.send("bob", f"RUNCMD synapse reply '{said}'", timeout=60) == said
    house.becomes("bob", "READY")
    assert house.send("bob", f"RUNCMD synapse list{tools.leaves}").startswith("RESULT ")
    assert house.ask("waiting") == []


@pytest.mark.parametrize("command", FORBIDDEN)
def test_what_does_more_than_that_is_asked_about(house: RealHouse, tools: Way, command: str) -> None:
    scenes.is_asked_and_rejected(house, f"RUNCMD {command}{tools.leaves}")
    assert "bob" in house.names()
    assert not (house.repo / "more").exists()


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


def test_a_person_who_interrupts_it_makes_it_ready(house: RealHouse, way: Way) -> None:
    if not way.broken_off:
        pytest.skip("it is interrupted by more than one key")
    scenes.a_person_interrupts(house, house.glasses[0])
    assert house.becomes("bob", "READY")["source"] == way.broken_off


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


@pytest.mark.parametrize("name", named("goes_on"))
def test_a_conversation_is_taken_up_again(name: str) -> None:
    house, way = RealHouse(name), WAYS[name]
    try:
        house.real()
        assert house.send("bob", "PING first", timeout=60) == "PONG first"
        session = house.status("bob")["live"]["session"]
        house.synapse("stop", "bob", timeout=60)
        house.real("bob", way.goes_on, session)
        assert house.send("bob", "PING again", timeout=60) == "PONG again"
        live = house.status("bob")["live"]
        assert (live["source"], live["session"]) == (way.by, session)
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
