"""What the dialogs of the real programs ask about, and which of their choices mean yes and no."""

import json
from typing import Any

import pytest

from synapse.runner.press import Press, _digit, _letter
from synapse.runner.profile import BUILT_IN, load
from synapse.runner.status import WAITING, Question
from tests.core.runner.casts import SCREENS
from tests.core.runner.stage import Stage
from tests.core.runner.test_status_recordings import CHOICES

COMMANDS = ("touch zz_$$ && echo hi_from_tool", "touch yy_$$ && echo second_tool")
NO = {  # -1: by a key
    "aider": 1, "claude": 1, "codex": 2, "copilot": -1, "gemini": 2, "opencode": 2, "qwen": 3,
}  # fmt: skip
ON_SCREEN = ("codex", "gemini", "qwen")  # the others tell it by themselves, or cannot


def dialogs(program: str) -> list[tuple[Press, Question, list[str]]]:
    """The dialogs of a recording, each as it stood when it had settled: what is pressed, the question, the commands seen."""
    header, *events = map(json.loads, (SCREENS / f"{program}-runcmd.cast").read_text().splitlines())
    stage = Stage(load(BUILT_IN / f"{program}.toml"), header["width"], header["height"])
    nobody: Any = None
    press = Press(child=nobody, terminal=stage.terminal, viewers=nobody, profile=stage.profile, values={})
    found: list[tuple[Press, Question, list[str]]] = []
    began, last = stage.clock.time(), None
    for at, kind, data in events:
        stage.clock.go(max(0.0, began + at - stage.clock.time()))
        question = stage.machine.asks() if stage.status == WAITING else None
        if question is not None and question != last:
            found.append((press, question, [press.command(question, ""), press.command(question, COMMANDS[0])]))
        last = question
        if kind == "o":
            stage.writes(data.encode())
    return found


@pytest.mark.parametrize("program", sorted(CHOICES))
def test_yes_and_no_are_known_and_how_they_are_made(program: str) -> None:
    (press, question, (seen, told)), *_ = dialogs(program)
    assert press.able(question)
    assert (press.yes(question), press.no(question)) == (0, NO[program])
    if program in ON_SCREEN:
        assert seen == COMMANDS[0]
    assert told == COMMANDS[0]  # what a program says by itself counts where its dialog shows it


def test_what_a_program_says_and_its_dialog_does_not_show_is_not_believed() -> None:
    (press, question, _), *_ = dialogs("claude")
    assert press.command(question, "ls") == ""
    assert press.command(question, COMMANDS[0] + "; rm -rf /") == ""


@pytest.mark.parametrize(
    ("choice", "digit", "letter"),
    [
        ("1 Yes", "1", ""),
        ("2 Yes, and don't ask again for: touch (x) (p)", "2", "p"),
        ("3 No, and tell Codex what to do differently (esc)", "3", "\x1b"),
        ("(Y)es", "", "y"),
        ("(D)on't ask again", "", "d"),
        ("12 Twelve", "", ""),
        ("Allow once", "", ""),
    ],
)
def test_the_key_of_a_choice(choice: str, digit: str, letter: str) -> None:
    assert (_digit(choice), _letter(choice)) == (digit, letter)
