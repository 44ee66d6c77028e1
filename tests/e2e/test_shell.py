"""`synapse shell` as a person uses it: a real terminal, real agents, answers that come while a line is written."""

import signal
import subprocess
from collections.abc import Iterator

import pytest

from synapse.__main__ import _meant
from tests.core.runner.attached import Glass
from tests.e2e.agents_kit import House
from tests.e2e.hubs import until


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


def prompt(house: House, *words: str) -> Glass:
    glass = house.glass("shell", *words, columns=120)
    glass.shows(">")
    return glass


def test_work_goes_to_whom_a_line_names_and_the_next_to_the_same(house: House) -> None:
    house.agent("ann")
    house.agent("bob")
    glass = prompt(house)
    glass.type("hello\r")
    glass.shows("To whom? Begin the line with @NAME")
    glass.type("@bob say one\r")
    glass.shows("bob: You said: say one")
    glass.type("and two\r")
    glass.shows("bob: You said: and two")
    glass.type("@a\t")
    glass.shows("bob> @ann")
    glass.type("three\r")
    glass.shows("ann: You said: three")
    glass.type("@bob\r")
    glass.shows("bob> ")
    glass.type("@@home\r")
    glass.shows("bob: You said: @home")
    glass.type("@ann,bob both\r")
    glass.shows("ann: You said: both")
    glass.shows("bob: You said: both")
    glass.type("\x04")
    assert glass.end() == 0


def test_an_answer_that_comes_while_a_line_is_written_leaves_the_line_and_its_cursor(house: House) -> None:
    house.agent("bob")
    glass = prompt(house, "bob")
    glass.type("SLOW 1\r")
    glass.type("a line that is half-wriXen" + "\x1b[D" * 2)
    glass.shows("bob: ")
    glass.shows("bob> a line that is half-wriXen")
    glass.type("\x7ftt")
    glass.shows("bob> a line that is half-written")
    glass.type("\r")
    glass.shows("bob: You said: a line that is half-written")
    assert sum("half-wriXen" in line for line in glass.lines()) == 0


def test_ctrl_c_drops_a_line_and_ctrl_d_leaves_what_is_still_to_come_in_the_inbox(house: House) -> None:
    house.agent("bob")
    glass = prompt(house, "bob")
    glass.type("never sent")
    glass.shows("bob> never sent")
    glass.type("\x03")
    until(lambda: glass.lines()[2] == "bob>")
    glass.type("SLOW 5\r")
    house.becomes("bob", "PROCESSING")
    glass.type("\x04")
    glass.shows("1 answer is still to come: `synapse inbox` has it then.")
    assert glass.end() == 0
    mail = until(lambda: [one for one in house.ask("inbox")["messages"] if one["role"] == "answer"])
    assert "let me see" in mail[0]["text"]
    assert not any("never sent" in str(event["body"]) for event in house.events())


def test_what_was_written_is_there_the_next_time_and_nobody_else_reads_it(house: House) -> None:
    house.agent("bob")
    glass = prompt(house, "bob")
    glass.type("remember this\r")
    glass.shows("bob: You said: remember this")
    glass.type("\x04")
    assert glass.end() == 0
    file = house.data / "shell-history"
    assert "remember this" in file.read_text()
    assert file.stat().st_mode & 0o77 == 0
    glass = prompt(house, "bob")
    glass.type("\x1b[A")
    glass.shows("bob> remember this")


def test_what_an_agent_asks_and_what_others_write_to_me_is_shown(house: House) -> None:
    house.agent("bob")
    glass = prompt(house, "bob")
    glass.type("RUN ls\r")
    glass.shows("bob asks: Do you want to run this command?")
    house.synapse("send", "me", "the build\x1b[2J is red", "--silent", "--from", "ci")
    glass.shows("ci: the build[2J is red")
    task = house.queue("me", "which branch?", "--from", "ci")
    glass.shows("ci: which branch?")
    glass.shows(f"(synapse reply --to {task} ...)")


def test_what_cannot_be_done_is_said_and_the_prompt_goes_on(house: House) -> None:
    house.agent("bob")
    glass = prompt(house)
    glass.type("@nobody hello\r")
    glass.shows("There is no 'nobody'")
    glass.type("@bob FAIL\r")
    glass.shows("bob: ")
    glass.type("@bob SLOW 30\r")
    glass.shows("@bob SLOW 30")
    house.becomes("bob", "PROCESSING")
    house.synapse("kill", "-f", "bob")
    glass.shows("bob failed (")
    glass.type("?\r")
    glass.shows("Ctrl-C drops a line, Ctrl-D leaves")


def test_an_answer_comes_also_after_the_hub_was_killed(house: House) -> None:
    house.agent("bob")
    glass = prompt(house, "bob")
    glass.type("SLOW 3\r")
    house.becomes("bob", "PROCESSING")
    house.kill()
    glass.shows("bob:")
    glass.type("again\r")
    glass.shows("bob: You said: again")


def test_lines_of_a_script_are_sent_and_all_answers_waited_for(house: House) -> None:
    house.agent("bob")
    done = house.synapse("shell", input="@bob one\n\ntwo\n")
    assert (done.returncode, done.stdout) == (0, "bob: You said: one\nbob: You said: two\n")
    done = house.synapse("shell", input="one\n@nobody two\n@bob three\n")
    assert done.returncode == 1
    assert "To whom?" in done.stdout
    assert "There is no 'nobody'" in done.stdout
    assert "bob: You said: three" in done.stdout
    assert house.synapse("shell", "nobody", input="one\n").returncode == 1
    assert house.synapse("shell", "bob", input="").returncode == 0


def test_a_script_that_waits_is_ended_by_ctrl_c(house: House) -> None:
    house.agent("bob")
    process = house.start("shell", "bob", stdin=subprocess.PIPE)
    try:
        assert process.stdin is not None
        process.stdin.write("SLOW 30\n")
        process.stdin.close()
        process.stdin = None
        house.becomes("bob", "PROCESSING")
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=10)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert (process.returncode, said) == (130, "")
    assert "Traceback" not in complained


def test_without_a_hub_it_says_so(house: House) -> None:
    done = house.synapse("shell", "--no-start", input="")
    assert done.returncode == 1
    assert "No hub is running here" in done.stderr


def test_the_prompt_and_the_profile_of_that_name_do_not_meet() -> None:
    assert _meant(["shell"]) == ["shell"]
    assert _meant(["run", "shell"]) == ["run", "shell"]
    assert _meant(["bash", "-l"]) == ["run", "bash", "-l"]
