"""The recordings in other words, other places, other widths, and among texts that look like them: nothing changes."""

import re
from functools import lru_cache
from itertools import product

import pytest

from synapse.runner.dialogs import Question
from tests.core.runner.casts import NAMES, PROGRAMS, SCREENS, Moment, cast, mute, play, profile
from tests.core.runner.stage import Stage

ALIKE = (SCREENS / "alike.txt").read_text()
CHUNKS = [chunk.strip("\n") for chunk in ALIKE.split("%%\n") if chunk]  # each program's dialog, then the small signs
OTHERS = {  # as long as before: a program may write over single cells of it
    "RUNCMD": "ЗАПУСК",
    "touch zz_$$": "создай_файл",
    "hi_from_tool": "привет_друже",
    "I will run that.": "Сейчас запущу её",
    "RESULT": "ИТОГИ!",
    "PING": "ПИНГ",
    "PONG": "ПОНГ",
    "word1": "слов1",
}
INDENT = {
    "aider": "",
    "claude": "  ",
    "codex": "  ",
    "copilot": "   ",
    "gemini": "  ",
    "opencode": "     ",
    "qwen": "    ",
}
FEET = {"aider": 1, "claude": 4, "codex": 7, "copilot": 5, "gemini": 8, "opencode": 6, "qwen": 5}  # rows of its own
DIALOGS = {  # how the first row of a dialog looks
    "aider": r"^Run shell",
    "claude": "^─+$",
    "codex": "Would you like",
    "copilot": "^╭",
    "gemini": "^╭",
    "opencode": "△",
    "qwen": "^  ╭",
}
COMPOSERS = {  # what its rows begin with, and how many rows stand below them
    "aider": ("diff> ", "diff> ", 0),
    "claude": ("❯ ", "  ", 2),
    "codex": ("› ", "  ", 3),
    "copilot": ("┃ ", "┃ ", 2),
    "gemini": (" > ", "   ", 3),
    "opencode": ("  ┃  ", "  ┃  ", 4),
    "qwen": ("> ", "  ", 2),
}


def other(text: str) -> str:
    for one, another in OTHERS.items():
        text = text.replace(one, another)
    return text


@lru_cache
def moments(name: str) -> list[Moment]:
    return play(cast(name), mute(profile(name.partition("-")[0]))).moments


def at(program: str, status: str, recording: str = "") -> tuple[list[str], Question | None]:
    """How the program's screen looks at that status: the rows of its frame or its dialog alone."""
    recording = recording or f"{program}-{'slow' if status == 'PROCESSING' else 'runcmd'}"
    moment = next(one for one in moments(recording) if one.status == status.replace("READY", "DONE"))
    rows = "\n".join(moment.screen).rstrip().split("\n")
    if status != "WAITING":
        return rows[-FEET[program] :], None
    first = max(place for place, row in enumerate(rows) if re.search(DIALOGS[program], row))
    return rows[first:], moment.question


def shown(program: str, *rows: str, columns: int = 120) -> Stage:
    stage = Stage(mute(profile(program)), columns, 60)
    stage.writes(b"\x1b[?2004h")
    stage.redraws(*rows, seconds=2)
    return stage


def plain(told: list[Moment]) -> list[tuple[str, Question | None]]:
    return [(moment.status.replace("DONE", "READY"), moment.question) for moment in told]


def first(moment: Moment) -> tuple[str, int]:
    """The first line of its question, and how many choices it has."""
    return (moment.question.text.split("\n")[0], len(moment.question.choices)) if moment.question else ("", 0)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_same_in_another_language(name: str) -> None:
    there = play(cast(name), mute(profile(cast(name).program)), speak=other)
    assert [(one.at, one.status) for one in there.moments] == [(one.at, one.status) for one in moments(name)]
    assert [first(one) for one in there.moments] == [first(one) for one in moments(name)]


@pytest.mark.parametrize(
    "name", [name for name in NAMES if cast(name).program in ("aider", "claude", "gemini", "qwen")]
)
def test_it_is_the_same_below_a_screen_of_texts_that_look_like_it(name: str) -> None:
    """Programs that draw below what is there, and scroll it."""
    above = "".join(f"    {row}\n" for row in "\n".join(CHUNKS * 2).split("\n"))
    there = play(cast(name), mute(profile(cast(name).program)), above=above)
    begun = [one for one in there.moments if one.at > moments(name)[0].at - 0.5]
    assert plain(begun) == plain(moments(name))


@pytest.mark.parametrize(("program", "status"), list(product(PROGRAMS, ["READY", "PROCESSING", "WAITING"])))
def test_what_an_agent_prints_above_is_neither_dialog_nor_prompt_nor_work(program: str, status: str) -> None:
    frame, question = at(program, status)
    for text in [*CHUNKS, "\n".join(CHUNKS[-4:])]:
        printed = [INDENT[program] + row for row in text.split("\n")]
        stage = shown(program, "diff> a message", *printed, *frame)
        assert (stage.status, stage.machine.question) == (status, question), text


@pytest.mark.parametrize(("program", "status"), list(product(PROGRAMS, ["READY", "PROCESSING", "WAITING"])))
def test_what_a_person_has_sent_is_neither_dialog_nor_prompt_nor_work(program: str, status: str) -> None:
    frame, question = at(program, status)
    first, rest = ("  > ", "    ") if program == "qwen" else COMPOSERS[program][:2]
    for text in CHUNKS:
        sent = [(rest if place else first) + row for place, row in enumerate(text.split("\n"))]
        stage = shown(program, *sent, "", *frame)
        assert (stage.status, stage.machine.question) == (status, question), text


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_dialog_that_gives_way_to_something_unknown_is_over(program: str) -> None:
    stage = shown(program, "diff> a message", *at(program, "WAITING")[0])
    assert stage.status == "WAITING"
    stage.redraws("diff> a message", "a picture that nobody knows")
    assert (stage.status, stage.machine.question) == ("PROCESSING", None)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_a_person_pastes_into_the_composer_is_no_dialog(program: str) -> None:
    frame, _ = at(program, "READY")
    first, rest, below = COMPOSERS[program]
    end = len(frame) - below
    stage = shown(program, "An answer.", *frame)
    assert stage.status == "READY"
    for text in [*CHUNKS, *"\n".join(CHUNKS[-2:]).split("\n")]:
        draft = [(rest if place else first) + row for place, row in enumerate(text.split("\n"))]
        stage.redraws("An answer.", *frame[: end - 1], *draft, *frame[end:], seconds=2)
        assert stage.status == "READY", text


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_an_agent_prints_above_a_draft_is_neither(program: str) -> None:
    """A draft hides much of what shows that a program rests; this one is its own dialog."""
    frame, _ = at(program, "READY")
    end = "\n".join(play(cast(f"{program}-200"), mute(profile(program))).stage.terminal.lines()).rstrip().split("\n")
    for text in CHUNKS:
        printed = [INDENT[program] + row for row in text.split("\n")]
        stage = shown(program, *frame, columns=200)
        assert stage.status == "READY"
        stage.redraws("diff> a message", *printed, "", *end[-FEET[program] - 2 :], seconds=2)
        assert stage.status == "READY", text


# -- widths


def stretched(row: str, by: int) -> str:
    """A row of a dialog as it stands in a wider terminal."""
    edge = re.search(r"(?: │)+$", row)
    if re.fullmatch(r"[\s│]*[╭╰]?─+[╮╯]?[\s│]*", row):
        return row.replace("─", "─" * (by + 1), 1)
    return row[: edge.start()].ljust(edge.start() + by) + row[edge.start() :] if edge else row


@pytest.mark.parametrize(("program", "columns"), list(product(PROGRAMS, [61, 80, 100, 140, 199])))
def test_a_dialog_is_the_same_in_a_wider_frame(program: str, columns: int) -> None:
    dialog, question = at(program, "WAITING", f"{program}-60")
    stage = shown(program, *[stretched(row, columns - 60) for row in dialog], columns=columns)
    assert (stage.status, stage.machine.question) == ("WAITING", question)
