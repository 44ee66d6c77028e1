"""Line readers, recorded: password prompts, questions, pagers, progress, long silence."""

import pytest

from synapse.runner.profile import Profile
from tests.core.runner.casts import READERS, Replay, cast, play, profile
from tests.core.runner.stage import Stage

WORKS, READY, ASKS = {"PROCESSING"}, {"DONE", "READY"}, {"WAITING"}


@pytest.fixture(scope="module")
def replays() -> dict[str, Replay]:
    return {program: play(cast(f"{program}-lines"), profile(program)) for program in READERS}


@pytest.mark.parametrize(
    ("program", "entered", "at_first", "at_last"),
    [
        ("bash", "echo hi", WORKS, READY),
        ("bash", "read -p", WORKS, WORKS),  # it may be a program at work that has written half a line
        ("bash", "read -sp", WORKS, ASKS),
        ("bash", "for i in", WORKS, READY),
        ("bash", "sleep 6", WORKS, READY),
        ("bash", "seq 100 | less", WORKS, WORKS),
        ("bash", "q", WORKS, READY),
        ("bash", "cat alike.txt", WORKS, READY),
        ("python3", "1 + 1", WORKS, READY),
        ("python3", "import time; time.sleep", WORKS, READY),
        ("python3", "name = input", WORKS, ASKS),
        ("python3", "import getpass", WORKS, ASKS),
        ("python3", "for i in", WORKS, ASKS),  # for the rest of the block
        ("python3", "print(open('alike.txt')", WORKS, READY),
        ("sqlite3", "with recursive", WORKS, READY),
        ("sqlite3", ".shell sleep", WORKS, READY),
        ("sqlite3", "select\r", WORKS, ASKS),
    ],
)
def test_what_a_line_reader_does(
    replays: dict[str, Replay], program: str, entered: str, at_first: set[str], at_last: set[str]
) -> None:
    replay = replays[program]
    at = next(at for at, what in replay.marks if what.startswith(entered))
    end = next((later for later, _ in replay.marks if later > at), at + 9) - 0.01
    assert replay.between(at + 0.1, at + 0.4) == at_first
    assert replay.between(end - 0.1, end) <= at_last
    assert replay.between(at + 0.1, end) <= at_first | at_last


@pytest.mark.parametrize(
    ("program", "entered", "seconds"), [("bash", "sleep 6", 6), ("python3", "import time", 5), ("sqlite3", ".shell", 5)]
)
def test_a_long_silence_while_it_works_is_no_rest(
    replays: dict[str, Replay], program: str, entered: str, seconds: float
) -> None:
    at = next(at for at, what in replays[program].marks if what.startswith(entered))
    assert replays[program].between(at + 0.1, at + seconds) == WORKS


@pytest.mark.parametrize("program", READERS)
def test_one_of_which_nothing_is_known_is_at_rest_behind_another_prompt_after_a_while(program: str) -> None:
    replay = play(cast(f"{program}-lines"), Profile("unknown"))
    assert not any(question.text != "Password:" for question in replay.questions)
    assert replay.statuses[:3] == ["READY", "PROCESSING", "DONE"]


def test_a_prompt_of_the_persons_own_is_no_question() -> None:
    stage = Stage(profile("python3"))
    stage.writes(b"mine: ", 1.0)
    assert stage.status == "READY"
    stage.machine.submitted()
    stage.writes(b"1 + 1\r\n2\r\nmine: ", 1.0)
    assert stage.status == "DONE"


def test_a_line_that_a_person_writes_behind_the_prompt_is_no_question() -> None:
    stage = Stage(profile("python3"), columns=40)
    stage.writes(b">>> ", 1.0)
    stage.writes(b"print('begun", 5.0)
    assert stage.status == "READY"
    stage.writes(b" and gone on in the next row of the terminal, and one more", 5.0)
    assert stage.status == "READY"
