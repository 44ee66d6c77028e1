"""The built-in profiles on recordings of the real programs: what their screens and signals say, and what was asked."""

import pytest

from synapse.runner.replies import answer
from synapse.runner.status import Question
from tests.core.runner.casts import NAMES, PROGRAMS, SCREENS, Replay, cast, mute, play, profile, told
from tests.core.runner.stage import Stage

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
    replay = play(cast(name), profile(cast(name).program))
    return replay.statuses, replay.questions, replay.stage


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_of_a_recording_over_time(name: str) -> None:
    """Where that changes: `python -m tests.core.runner.casts`, and look at the difference."""
    kept = (SCREENS / f"{cast(name).program}.status").read_text()
    assert told(name).rstrip() in kept.rstrip().split("\n\n")


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
    assert statuses.count("WAITING") == (1 if program == "aider" else 2)
    assert statuses[-1] == "DONE"
    assert questions[0].choices == CHOICES[program]
    assert not set("│┃") & set(questions[0].text)


def spans(replay: Replay) -> dict[str, tuple[float, float]]:
    """The parts of a recording: what was done at their beginning, and its times."""
    ends = [at for at, _ in replay.marks[1:]] + [replay.marks[-1][0] + 2]
    return {what: (at, end) for (at, what), end in zip(replay.marks, ends, strict=True)}


@pytest.mark.parametrize("way", ["all", "screen"])
@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(("-60", "-200"))])
def test_dialogs_prompts_and_signs_of_work_in_an_answer_and_in_a_draft_are_none(name: str, way: str) -> None:
    """Its model prints those of all programs, with pauses behind each; then its own is pasted and stands as a draft."""
    known = profile(cast(name).program)
    replay = play(cast(name), known if way == "all" else mute(known))
    parts = spans(replay)
    sent, over = parts["sent"]
    assert (replay.statuses.count("WAITING"), len(replay.questions)) == (1, 2 if name.startswith("aider") else 1)
    assert replay.between(0, parts["ready"][0] + 0.3) <= {"READY", "DONE", "PROCESSING"}
    if (name, way) != ("codex-200", "screen"):  # its screen does not show that it works while its answer comes in
        assert replay.between(sent + 1.5, over - 0.3) == {"PROCESSING"}
    assert replay.between(sent, parts["draft"][1]) <= {"READY", "PROCESSING", "DONE"}
    assert replay.between(*parts["draft"]) <= {"READY", "DONE"}


@pytest.mark.parametrize("way", ["silent", "screen"])
@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(("-60", "-200"))])
def test_what_was_delivered_is_worked_on_until_its_end(name: str, way: str) -> None:
    """Hooks and streams are not in a recording: they are silent, and what stands in its bytes takes their place."""
    known = profile(cast(name).program)
    replay = play(cast(name), known if way == "silent" else mute(known), delivered=True)
    sent, over = spans(replay)["sent"]
    if (name, way) != ("codex-200", "screen"):
        assert replay.between(sent + 0.1, over - 0.3) == {"PROCESSING"}
    assert replay.statuses[-1] == "DONE"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_dialog_asks_the_same_at_any_width(program: str) -> None:
    narrow, wide = (play(cast(f"{program}-{columns}"), mute(profile(program))).questions[0] for columns in (60, 200))
    assert narrow.text.split("\n")[0] == wide.text.split("\n")[0]
    assert len(narrow.choices) == len(wide.choices)
    for one, another in zip(narrow.choices, wide.choices, strict=True):
        assert one == another or (one.endswith("…") and another.startswith(one[:-1]))
