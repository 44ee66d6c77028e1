"""What an agent does is told by its own signals, else by its screen, and never by what only looks like it."""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agents_kit import House
from tests.e2e.hubs import until


@pytest.fixture(scope="module")
def shared() -> Iterator[House]:
    house = House()
    yield house
    house.close()


@pytest.fixture
def house(shared: House) -> Iterator[House]:
    yield shared
    shared.leave()


@pytest.mark.parametrize(("options", "source"), [((), "screen"), (("--signals",), "signal"), (("--alt",), "screen")])
def test_every_status_is_shown_with_what_it_was_told_by(house: House, options: tuple[str, ...], source: str) -> None:
    name = f"seen{len(options)}{''.join(options).strip('-')}"
    assert house.agent(name, "demo", *options, ready=False)
    assert house.becomes(name, "READY")["source"] == source
    task = house.queue(name, "RUN sleep 0.5; echo ran")
    asked = house.task(task, "input-required")
    live = house.becomes(name, "WAITING")
    assert (live["source"], live["choices"]) == (source, ["1 Yes", "2 No"])
    assert live["question"].startswith("Do you want to run this command?")
    assert asked["state"] == "input-required"
    glass = house.attach(name)
    glass.shows("1. Yes")
    glass.type("1")
    assert house.task(task, "working")
    assert house.becomes(name, "PROCESSING")["source"] == source
    assert house.task(task)["answer"] == "ran"
    assert house.becomes(name, "DONE")["source"] == source
    glass.type("/exit\r")
    assert glass.end() == 0
    until(lambda: name not in house.names())


def test_a_person_at_work_is_seen_too(house: House) -> None:
    house.agent("theirs")
    glass = house.attach("theirs")
    glass.shows("demo - ? for help")
    glass.type("SLOW 1 x\r")
    assert house.becomes("theirs", "PROCESSING")["source"] == "screen"
    assert house.becomes("theirs", "DONE")


def test_done_is_shown_for_ten_seconds_and_then_ready(house: House) -> None:
    house.agent("fresh")
    house.send("fresh", "PING x")
    assert house.becomes("fresh", "DONE")
    began = time.monotonic()
    until(lambda: house.status("fresh")["live"]["status"] == "READY", 15)
    assert 8 < time.monotonic() - began < 12


def test_a_dialog_that_is_only_quoted_is_no_question(house: House) -> None:
    house.agent("quoted")
    dialog = "Do you want to run this command?\n    rm -rf /\n> 1. Yes\n  2. No\nenter to choose - esc to decline"
    house.send("quoted", f"ECHO {dialog}")
    assert house.becomes("quoted", "DONE")
    glass = house.attach("quoted", columns=120, rows=40)
    glass.shows("demo - ? for help")
    glass.type(f"\x1b[200~{dialog}\x1b[201~")
    until(lambda: "\n".join(glass.lines()).count("enter to choose") == 2)  # the answer, and the draft
    time.sleep(0.5)  # for a look at the screen
    assert house.status("quoted")["live"]["status"] in ("READY", "DONE")
    glass.type("\r")
    glass.shows("You said: Do you want to run this command?")
    states = {
        json.loads(line)["kind"] for line in house.synapse("events", "tail", "-n", "30", "--json").stdout.splitlines()
    }
    assert "tasks.input_required" not in states
    assert house.becomes("quoted", "READY")


@pytest.mark.parametrize(
    ("program", "line", "seconds"),
    [
        ((sys.executable, "-q"), "import time; time.sleep(2)", 2.0),
        (("bash", "--norc"), "sleep 2", 2.0),
        (("sh",), "sleep 2", 2.0),
    ],
)
def test_a_silent_program_at_work_stays_processing(
    house: House, program: tuple[str, ...], line: str, seconds: float
) -> None:
    house.profile("bare", "[submit]\nheader = false\n")
    house.profile("bare", f'command = ["{program[0]}"]\n[submit]\nheader = false\n')
    name = f"silent-{Path(program[0]).name}"
    house.agent(name, "bare", *program[1:])
    began = time.monotonic()
    task = house.queue(name, line)
    assert house.becomes(name, "PROCESSING")
    house.task(task)
    assert time.monotonic() - began > seconds


def test_a_program_that_hides_what_is_typed_waits_for_a_person(house: House) -> None:
    house.agent("secret", "bash", "-c", "read -s -p 'Password: ' x; echo; echo got $x; sleep 60", ready=False)
    live = house.becomes("secret", "WAITING")
    assert (live["question"], live["source"]) == ("Password:", "terminal")
    id = house.queue("secret", "not for a password")
    glass = house.attach("secret")
    glass.type("hunter2\r")
    glass.shows("got hunter2")
    assert house.ask("history", "show", id)["state"] in ("submitted", "working")


def test_a_program_that_writes_nothing_is_ready_after_a_while(house: House) -> None:
    house.agent("mute", "cat")
    assert house.send("mute", "hello") == "A2A: [From: ada] [REPLY EXPECTED] hello"


def test_a_query_program_answers(house: House) -> None:
    if not shutil.which("sqlite3"):
        pytest.skip("not run: sqlite3 is absent")
    house.profile("sqlite3", "[submit]\nheader = false\n")
    house.agent("base", "sqlite3")
    assert house.send("base", "select 6*7;") == "42"
