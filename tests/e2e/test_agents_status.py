"""What an agent does is told by its own signals, else by its screen, and never by what only looks like it."""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agents_kit import House, gate
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


@pytest.mark.parametrize(("options", "source"), [((), "screen"), (("--signals",), "osc7501"), (("--alt",), "screen")])
def test_every_status_is_shown_with_what_it_was_told_by(
    house: House, tmp_path: Path, options: tuple[str, ...], source: str
) -> None:
    name = f"seen{len(options)}{''.join(options).strip('-')}"
    assert house.agent(name, "demo", *options, ready=False)
    assert house.becomes(name, "READY")["source"] == source
    task = house.queue(name, f"RUN {gate(tmp_path / 'go')}; echo ran")
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
    (tmp_path / "go").touch()
    assert house.task(task)["answer"] == "ran"
    assert house.becomes(name, "DONE")["source"] == source
    glass.type("/exit\r")
    assert glass.end() == 0
    until(lambda: name not in house.names())


def test_a_person_at_work_is_seen_too(house: House) -> None:
    house.agent("theirs")
    glass = house.attach("theirs")
    glass.shows("demo - ? for help")
    glass.type("SLOW 5 x\r")
    assert house.becomes("theirs", "PROCESSING")["source"] == "screen"
    assert house.becomes("theirs", "DONE")


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
    kinds = [(event["kind"], event["by"]) for event in house.events()]
    assert ("tasks.input_required", house.status("quoted")["agent"]["key"]) not in kinds
    assert house.becomes("quoted", "READY")


def test_a_silent_program_at_work_stays_processing(house: House) -> None:
    go = house.data / "go"
    waits = f"import os, time; _ = [time.sleep(0.1) for _ in iter(lambda: os.path.exists({str(go)!r}), True)]"
    programs = {
        "python": ([sys.executable, "-q"], waits),
        "bash": (["bash", "--norc"], gate(go)),
        "sh": (["sh"], gate(go)),
    }
    for name, (argv, _) in programs.items():
        house.profile(f"bare-{name}", f"command = {json.dumps(argv)}\n[submit]\nheader = false\n")
        house.agent(f"silent-{name}", f"bare-{name}", ready=False)
    for name in programs:
        house.becomes(f"silent-{name}", "READY")
    tasks = {name: house.queue(f"silent-{name}", line) for name, (_, line) in programs.items()}
    for name in tasks:
        assert house.becomes(f"silent-{name}", "PROCESSING")
    time.sleep(2)  # without a word
    for name in tasks:
        assert house.status(f"silent-{name}")["live"]["status"] == "PROCESSING"
    go.touch()
    for task in tasks.values():
        ended = house.task(task)
        assert ended["ended_at"] - ended["at"] > 2


def test_programs_without_a_composer_are_told_apart_by_their_terminal(house: House) -> None:
    secret = "read -s -p 'Password: ' x; echo; echo got $x; sleep 60"
    house.agent("secret", "bash", "-c", secret, ready=False)
    house.agent("mute", "cat", ready=False)
    live = house.becomes("secret", "WAITING")
    assert (live["question"], live["source"]) == ("Password:", "terminal")
    id = house.queue("secret", "not for a password")
    glass = house.attach("secret")
    glass.type("hunter2\r")
    glass.shows("got hunter2")
    assert house.ask("history", "show", id)["state"] == "submitted"
    assert house.send("mute", "hello") == "A2A: [From: ada] [REPLY EXPECTED] hello"
    long = house.send("mute", "x" * 1500)
    assert "The message is long: read it in" in long


def test_a_query_program_answers(house: House) -> None:
    if not shutil.which("sqlite3"):
        pytest.skip("not run: sqlite3 is absent")
    house.profile("sqlite3", "[submit]\nheader = false\n")
    house.agent("base", "sqlite3")
    assert house.send("base", "select 6*7;") == "42"
