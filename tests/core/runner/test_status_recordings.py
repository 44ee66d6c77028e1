"""The built-in profiles on recordings of the real programs: what their screens and signals say, and what was asked."""

import json
from itertools import groupby
from pathlib import Path

import pytest

from synapse.runner.profile import BUILT_IN, load
from synapse.runner.replies import answer
from synapse.runner.status import Question
from tests.core.runner.stage import Stage

SCREENS = Path(__file__).parents[2] / "screens"
PROGRAMS = ("aider", "claude", "codex", "copilot", "gemini", "opencode", "qwen")
CHOICES = {
    "aider": ("(Y)es", "(N)o", "(D)on't ask again"),
    "claude": ("1 Yes", "2 No"),
    "codex": (
        "1 Yes, proceed (y)",
        "2 Yes, and don't ask again for commands that start with `touch zz_$$ && echo hi_from_tool` (p)",
        "3 No, and tell Codex what to do differently (esc)",
    ),
    "copilot": (
        "1 Yes",
        "2 Yes, and don't ask again for `touch` in this repo (/srv/demo/repo/copilot)",
        "3 No, and tell Copilot what to do differently (Esc to stop)",
    ),
    "gemini": ("1 Allow once", "2 Allow for this session", "3 No, suggest changes (esc)"),
    "opencode": ("Allow once", "Allow always", "Reject"),
    "qwen": (
        "1 Yes, allow once",
        "2 Always allow run 'touch *' commands in this project",
        "3 Always allow run 'touch *' commands for this user",
        "4 No, suggest changes (esc)",
    ),
}


def played(name: str) -> tuple[list[str], list[Question], Stage]:
    """The statuses of a recording, each once, and the questions that were asked."""
    header, *events = map(json.loads, (SCREENS / f"{name}.cast").read_text().splitlines())
    stage = Stage(load(BUILT_IN / f"{name.partition('-')[0]}.toml"), header["width"], header["height"])
    questions: list[Question] = []
    told = stage.machine.on_change

    def changed(before: str) -> None:
        told(before)
        question = stage.machine.question
        if question is not None and question not in questions:
            questions.append(question)

    stage.machine.on_change = changed
    began = stage.clock.time()
    for at, kind, data in events:
        stage.clock.go(max(0.0, began + at - stage.clock.time()))
        if kind == "o":
            stage.writes(data.encode())
    stage.clock.go(5)
    return [status for status, _ in groupby(status for status, _ in stage.changes)], questions, stage


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(("kind", "typed"), [("ping", "PING tok4711"), ("slow", "SLOW 6 tokS")])
def test_an_answer_is_seen_to_begin_and_to_end_and_is_read(program: str, kind: str, typed: str) -> None:
    statuses, questions, stage = played(f"{program}-{kind}")
    assert statuses[-2:] == ["PROCESSING", "DONE"]
    assert questions == []
    terminal = stage.terminal
    found = answer(stage.profile, "\n".join([*terminal.history(), *terminal.lines()]), typed, above=None)
    if kind == "ping":
        assert found == "PONG tok4711"
    else:
        *words, done, token = found.split()
        assert words == [f"word{number}" for number in range(1, len(words) + 1)]
        assert (len(words) >= 16, done, token) == (True, "DONE", "tokS")


def test_a_dialog_in_a_narrow_terminal_and_a_question_of_the_models_are_seen() -> None:
    statuses, questions, _ = played("copilot-narrow")
    assert statuses == [
        "READY",
        "PROCESSING",
        "WAITING",
        "PROCESSING",
        "DONE",
        "PROCESSING",
        "WAITING",
        "PROCESSING",
        "DONE",
    ]
    permission, asked = questions
    assert permission.choices == (
        "1 Yes",
        "2 Yes, and don't ask again for `touch` in this repo (/srv/me/repo/copilot)",
        "3 No, and tell Copilot what to do differently (Esc to stop)",
    )
    assert (asked.text, asked.choices) == (
        "Copilot needs information.\n Which color?\n\n color:",
        ("Red", "Blue", "Other (type your answer)"),
    )


def test_opencode_is_ready_before_its_first_message_and_a_question_of_its_models_is_seen() -> None:
    statuses, (asked,), _ = played("opencode-question")
    assert statuses == ["READY", "PROCESSING", "WAITING", "PROCESSING", "DONE"]
    assert (asked.text, asked.choices) == ("Which color?", ("1. Red", "2. Blue", "3. Type your own answer"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_permission_dialog_is_seen_with_its_choices(program: str) -> None:
    statuses, questions, _ = played(f"{program}-runcmd")
    assert statuses.count("WAITING") == (3 if program == "aider" else 2)  # it asks again after a wrong answer
    assert statuses[-1] == "DONE"
    assert questions[0].choices == CHOICES[program]
    assert not set("│┃") & set(questions[0].text)
