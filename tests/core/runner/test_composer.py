"""Where typed text shows: what does not fit on the screen, and the last line of a line reader."""

from synapse.runner.composer import Composer
from synapse.runner.profile import BUILT_IN, load
from synapse.runner.terminal import Terminal

AIDER = load(BUILT_IN / "aider.toml")
BASH = load(BUILT_IN / "bash.toml")
LONG = " ".join(f"{number} of a long line" for number in range(100))


def shown(data: str, columns: int = 40, rows: int = 10) -> Terminal:
    terminal = Terminal(columns, rows)
    terminal.write(data.replace("\n", "\r\n").encode())
    while not terminal.advance(1.0):
        pass
    return terminal


def test_a_line_that_does_not_fit_may_be_left_out_above_the_last_one() -> None:
    composer = Composer(shown("\x1b[?2004h\x1b[2J\x1b[Hdiff> PING"), AIDER)
    assert composer.holds(f"{LONG}\nPING")
    assert not composer.holds(f"{LONG}\nPONG")
    assert not composer.holds("short\nPING")  # all of it would stand there


def test_an_empty_composer_holds_nothing_of_it() -> None:
    assert not Composer(shown("\x1b[?2004h\x1b[2J\x1b[Hdiff> "), AIDER).holds(f"{LONG}\nPING")


def test_a_line_reader_holds_the_last_line_whatever_it_shows_of_those_above() -> None:
    overwritten = "\x1b[?2004h" + "\n".join(f"line {number}" for number in range(9)) + "\nline 99\rE"
    text = "cat <<'E'\n" + "\n".join(f"line {number}" for number in range(100)) + "\nE"
    assert Composer(shown(overwritten), BASH).holds(text)
    assert not Composer(shown("\x1b[?2004h$ "), BASH).holds(text)
