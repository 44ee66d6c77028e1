"""What codex and gemini ask before they can work, and how their questions look on narrow screens."""

import pytest

from synapse.runner.profile import BUILT_IN, load
from tests.core.runner.stage import Stage

LOGIN = """
  Welcome to Codex, OpenAI's command-line coding agent

  Choose how you want to use Codex.

> 1. Sign in with ChatGPT
     Usage included with Plus, Pro, Business, and Enterprise plans

  2. Sign in with Device Code
     Sign in from another device with a one-time code

  3. Sign in another way
     Use an API key or another provider

  Press enter to continue
"""
HOOKS = """
  Hooks need review
  1 hook is new or changed.
  Hooks can run outside the sandbox after you trust them.

› 1. Review hooks
  2. Trust all and continue
  3. Continue without trusting (hooks won't run)

  enter confirm · esc skip
"""
NARROW = """
  Would you like to run the following command?

  Environment: local

  $ touch /home/ada/a/long/path/name.txt

› 1. Yes, proceed (y)
  2. Yes, and don't ask again for commands that start
     with `touch /home/ada/a/long/path/name.txt`
     (p)
  3. No, and tell Codex what to do differently (esc)

  Press enter to confirm or esc to cancel
"""
TRUST = """
 ╭──────────────────────────────────────────────────────────╮
 │                                                          │
 │ Do you trust the files in this folder?                   │
 │                                                          │
 │ Trusting a folder allows Gemini CLI to load its settings │
 │                                                          │
 │ ● 1. Trust folder (repo)                                 │
 │   2. Trust parent folder (ada)                           │
 │   3. Don't trust                                         │
 │                                                          │
 ╰──────────────────────────────────────────────────────────╯
"""
LOG_IN = """
╭───────────────────────────────────────────────────────────╮
│ ? Get started                                             │
│                                                           │
│   How would you like to authenticate for this project?    │
│                                                           │
│   ● 1. Sign in with Google                                │
│     2. Use Gemini API Key                                 │
│     3. Vertex AI                                          │
│                                                           │
│   No authentication method selected.                      │
│                                                           │
│   (Use Enter to select)                                   │
╰───────────────────────────────────────────────────────────╯
"""


@pytest.mark.parametrize(
    ("program", "screen", "asked", "choices"),
    [
        ("codex", LOGIN, "Choose how you want to use Codex.", 3),
        ("codex", HOOKS, "Hooks need review", 3),
        ("codex", NARROW, "Would you like to run the following command?", 3),
        ("gemini", TRUST, "Do you trust the files in this folder?", 3),
        ("gemini", LOG_IN, "How would you like to authenticate for this project?", 3),
    ],
    ids=["login", "hooks", "narrow", "trust", "log in"],
)
def test_a_question_is_seen_with_its_choices(program: str, screen: str, asked: str, choices: int) -> None:
    stage = Stage(load(BUILT_IN / f"{program}.toml"), 62, 40)
    stage.redraws(*screen.split("\n"))
    assert stage.status == "WAITING"
    question = stage.machine.question
    assert question is not None
    assert question.text.startswith(asked)
    assert len(question.choices) == choices


def test_a_choice_that_is_broken_into_lines_is_whole() -> None:
    stage = Stage(load(BUILT_IN / "codex.toml"), 62, 40)
    stage.redraws(*NARROW.split("\n"))
    question = stage.machine.question
    assert question is not None
    command = "touch /home/ada/a/long/path/name.txt"
    assert question.choices[1] == f"2 Yes, and don't ask again for commands that start with `{command}` (p)"


DRAFT = """
• An answer.

› look at this:
  Would you like to run the following command?

  $ touch x

  1. Yes, proceed (y)
  2. No (esc)

  Press enter to confirm or esc to cancel

  a-model default · ~/repo
  ← for agents · ? for shortcuts
"""


def test_a_dialog_that_a_person_pastes_into_the_composer_is_none() -> None:
    stage = Stage(load(BUILT_IN / "codex.toml"), 100, 40)
    stage.redraws(*DRAFT.split("\n"))
    assert "WAITING" not in {status for status, _ in stage.changes}
    stage.redraws(*DRAFT.replace("← for agents · ? for shortcuts", "").split("\n"))
    assert "WAITING" not in {status for status, _ in stage.changes}
