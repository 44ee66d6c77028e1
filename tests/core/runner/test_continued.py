"""Composers that put a mark before each line of what is typed."""

from synapse.runner.profile import BUILT_IN, load
from synapse.runner.replies import answer

AIDER = load(BUILT_IN / "aider.toml")
TYPED = "A2A: [From: ada] first line\nsecond, which is so long that it goes on\nlast"
ECHO = "diff> A2A: [From: ada] first line\ndiff> second, which is so long\ndiff>  that it goes on\ndiff> last"


def test_the_marks_are_no_part_of_the_echo() -> None:
    assert answer(AIDER, f"diff> \n{ECHO}\n\nyes\n\nTokens: 2k sent\n────\ndiff> ", TYPED) == "yes"


def test_of_a_long_text_the_end_is_enough() -> None:
    typed = "\n".join(f"{number} of many lines that were pasted" for number in range(100))
    shown = "\n".join(f"diff> {line}" for line in typed.split("\n")[-30:])
    assert answer(AIDER, f"{shown}\n\nyes\n\nTokens: 2k sent\n────\ndiff> ", typed) == "yes"


def test_what_a_dialog_asked_is_no_part_of_the_answer() -> None:
    dialog = "Run shell command? (Y)es/(N)o/(D)on't ask again [Yes]: n"
    assert answer(AIDER, f"{ECHO}\n\nDone.\n\n{dialog}\n────\ndiff> ", TYPED) == "Done."
