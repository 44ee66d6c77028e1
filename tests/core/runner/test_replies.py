"""The answer in what stands on a screen."""

import pytest

from synapse.runner.profile import BUILT_IN, Profile, load
from synapse.runner.replies import after_echo, answer, bounded
from synapse.runner.terminal import Terminal

DEMO = load(BUILT_IN / "demo.toml")
PLAIN = Profile("plain")
TYPED = "A2A: [From: bob (synapse-demo-8150)] [REPLY EXPECTED] what is it?"
ECHO = f"> {TYPED}"
FRAME = "─" * 40 + "\n> \ndemo - ? for help"


def test_the_marked_lines_behind_the_echo_are_the_answer() -> None:
    assert answer(DEMO, f"{ECHO}\n* one\n  two\n\n  four\ndone in 0s\n\n{FRAME}", TYPED) == "one\ntwo\n\nfour"


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_the_echo_is_found_wherever_it_is_wrapped(columns: int) -> None:
    wrapped = "\n".join(f"  {ECHO[start : start + columns]}" for start in range(0, len(ECHO), columns))
    assert answer(DEMO, f"{wrapped}\n* yes\ndone in 0s", TYPED) == "yes"


def test_an_echo_that_is_shown_cut_is_found_by_its_beginning() -> None:
    typed = f"{TYPED}\n" + "much more\n" * 50
    assert answer(DEMO, f"* an older answer\n{ECHO}\n  much more\n  ...\n* yes\ndone in 0s", typed) == "yes"


def test_of_two_equal_messages_the_newer_one_is_answered() -> None:
    above = f"{ECHO}\n* first\ndone in 0s"
    text = f"{above}\n\n{ECHO}\n* second: you said {TYPED}\n{FRAME}"
    assert answer(DEMO, text, TYPED, above=above) == f"second: you said {TYPED}"
    assert answer(DEMO, f"{above}\n\n{ECHO}\n* second\n{FRAME}", TYPED, above=None) == "second"


def test_an_answer_whose_beginning_has_left_the_screen_goes_on_from_its_top() -> None:
    assert answer(DEMO, f"  line 8\n  line 9\ndone in 0s\n{FRAME}", TYPED, above=None) == "line 8\nline 9"


def test_notices_and_frames_are_no_part_of_the_answer() -> None:
    text = f"{ECHO}\nrunning: synapse send x\n* asked x\nreply failed (status 1): no\ndone in 0s\n{FRAME}"
    assert answer(DEMO, text, TYPED) == "asked x"


@pytest.mark.parametrize("rest", ["", "\ndone in 0s\n" + FRAME, "\n" + FRAME])
def test_no_answer_is_empty(rest: str) -> None:
    assert answer(DEMO, ECHO + rest, TYPED) == ""


def test_of_an_unknown_program_everything_between_echo_and_prompt_is_the_answer() -> None:
    assert answer(PLAIN, "$ ls -l\na\n\nb\n$ ", "ls -l", prompt="$ ") == "a\n\nb"
    assert answer(PLAIN, "ls -l\nls -l is here\n$ ", "ls -l", prompt="$ ") == "ls -l is here"
    assert answer(PLAIN, "$ true\n$ ", "true", prompt="$ ") == ""


def test_without_an_echo_everything_counts() -> None:
    assert after_echo("something else", TYPED) is None
    assert answer(PLAIN, "something else", TYPED) == "something else"


def test_what_has_scrolled_away_is_part_of_it() -> None:
    terminal = Terminal(40, 10)
    mark = terminal.mark()
    terminal.write(("$ seq 99\r\n" + "".join(f"{n}\r\n" for n in range(99)) + "$ ").encode())
    while not terminal.advance(1.0):
        pass
    found = answer(PLAIN, terminal.text_since(mark), "seq 99", prompt="$ ")
    assert found.split("\n") == [str(n) for n in range(99)]


def test_of_an_answer_that_is_too_long_to_tell_the_end_is_told() -> None:
    text = "\n".join(f"漢字 {number}" for number in range(1000))
    assert bounded(text) == text
    first, *rest = bounded(text, 2000).split("\n")
    assert first == f"[the first {1000 - len(rest)} of 1000 lines are left out]"
    assert rest == text.split("\n")[-len(rest) :]
    assert 50 < len(rest) < 200
