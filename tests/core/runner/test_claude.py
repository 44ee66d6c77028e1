"""The profile of Claude Code on screens as it draws them: with drafts, a status line, vim's keys, and dialogs."""

import pytest

from synapse.runner.profile import BUILT_IN, load
from tests.core.runner.casts import mute
from tests.core.runner.stage import Stage

CLAUDE = load(BUILT_IN / "claude.toml")
RULE = "─" * 80
FEET = {
    "usual": ["  ? for shortcuts · ← for agents"],
    "plan": ["  ⏸ plan mode on (shift+tab to cycle) · ← for agents"],
    "status line": ["  my-status", "  ← for agents"],
    "vim": ["  -- INSERT -- ← for agents"],
    "bare": ["                                            ● high · /effort"],
    "menu": ["/exit                         Exit the CLI", "/context          Visualize current context usage"],
}
SPINNERS = (
    ["✽ Nesting… (2s · ↓ 11 tokens)", ""],
    ["· Ebbing…", "  ⎿  Tip: one", "     goes on", ""],
    ["* Compacting conversation… (3s)", ""],
    ["! sleep 4", "  ⎿  Running…", ""],
)
DRAFTS = (
    [""],
    ["a draft"],
    ["two", "lines", "", "and more"],
    ["Do you want to proceed?", "1. Yes", "2. No"],
    ["1. one"],
)


def composer(draft: list[str]) -> list[str]:
    first, *rest = draft
    return [RULE, f"❯\N{NO-BREAK SPACE}{first}", *("  " + line if line else "" for line in rest), RULE]


def shown(*lines: str) -> Stage:
    stage = Stage(mute(CLAUDE), 80, 40)
    stage.writes(b"\x1b[?2004h")
    stage.redraws(*lines, seconds=2)
    return stage


@pytest.mark.parametrize("foot", FEET)
def test_it_is_seen_to_rest_and_to_work_whatever_stands_below_its_composer(foot: str) -> None:
    for draft in DRAFTS:
        end = [*composer(draft), *FEET[foot]]
        stage = shown("● An answer…", "", "✻ Brewed for 6s", "", *end)
        assert (stage.status, stage.machine.question) == ("READY", None), draft
        for spinner in SPINNERS:
            stage.redraws("● An answer", "", *spinner, *end)
            assert stage.status == "PROCESSING", (draft, spinner)
            stage.redraws("● An answer", "", *end, seconds=2)


def test_what_looks_like_work_above_an_answer_or_a_dialog_is_none() -> None:
    for spinner in SPINNERS:
        assert shown(*spinner, "● An answer", "", *composer([""]), "  my-status").status == "READY"
    dialog = [
        RULE,
        " Bash command",
        "",
        "   touch a",
        "   Run it",
        "",
        " Do you want to proceed?",
        " ❯ 1. Yes",
        "   2. No",
    ]
    stage = shown("● I will…", "", *dialog, "", " Esc to cancel · Tab to amend")
    assert stage.status == "WAITING"
    assert stage.machine.question is not None


def test_an_end_counts_when_nothing_shows_work_any_more() -> None:
    """Other hooks of the person's may run beside ours, and may make it go on."""
    works = ["✽ Nesting… (running stop hooks… 0/2)", "", *composer(["a draft"]), "  my-status"]
    rests = ["✻ Brewed for 6s", "", *composer(["a draft"]), "  my-status"]
    stage = Stage(CLAUDE, 80, 40)
    stage.writes(b"\x1b[?2004h")
    stage.redraws(*rests, seconds=2)
    stage.hooks("SessionStart", session_id="a")
    stage.machine.submitted()
    stage.hooks("UserPromptSubmit", session_id="a", prompt="x")
    stage.redraws(*works)
    for _ in range(2):
        stage.hooks("Stop", session_id="a", last_assistant_message="so far")
        stage.redraws(*works, seconds=5)
        assert stage.status == "PROCESSING"
    stage.redraws(*rests, seconds=0.03)
    assert (stage.machine.status, stage.machine.source) == ("DONE", "hook Stop")


def test_an_early_interrupt_that_puts_the_text_back_is_its_end() -> None:
    stage = Stage(CLAUDE, 80, 40)
    stage.writes(b"\x1b[?2004h")
    stage.redraws(*composer([""]), *FEET["usual"], seconds=2)
    stage.hooks("SessionStart", session_id="a")
    stage.hooks("UserPromptSubmit", session_id="a", prompt="x")
    assert stage.status == "PROCESSING"
    stage.machine.interrupted()
    stage.redraws(*composer(["x"]), *FEET["bare"], seconds=1)
    assert (stage.machine.status, stage.machine.source) == ("DONE", "screen")
