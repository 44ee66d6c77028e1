"""Line readers of which nothing is known, recorded: password prompts, questions, pagers, progress, long silence."""

import pytest

from tests.core.runner.casts import READERS, Replay, cast, play, profile

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
        ("python3", "name = input", WORKS, READY),  # its line editor takes a line, behind another prompt
        ("python3", "import getpass", WORKS, ASKS),
        ("python3", "for i in", WORKS, WORKS),
        ("python3", "print(open('alike.txt')", WORKS, READY),
        ("sqlite3", "with recursive", WORKS, READY),
        ("sqlite3", ".shell sleep", WORKS, READY),
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
