"""A person who looks elsewhere is told that something waits: on the desktop, and in the terminals they look at."""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agents_kit import SOON, House
from tests.e2e.hubs import until

RECORDER = """#!{python}
import json, os, sys
with open({file!r}, "a") as file:
    file.write(json.dumps(sys.argv) + "\\n")
{more}
"""


class Desk(House):
    """A house whose PATH has a program that stands in for the desktop's and writes down how it was called."""

    def __init__(self, program: str = "notify-send", more: str = "", **settings: object) -> None:
        super().__init__()
        self.calls_file = self.data / "calls"
        place = self.data / "bin"
        place.mkdir()
        if program:
            script = place / program
            script.write_text(RECORDER.format(python=sys.executable, file=str(self.calls_file), more=more))
            script.chmod(0o755)
        self.env["PATH"] = f"{place}:{self.data}" if program == "" else f"{place}:{os.environ['PATH']}"
        self.settings(after=0.0, **settings)

    def settings(self, **chosen: object) -> None:
        file = self.data / ".config" / "synapse" / "settings.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = (f"{name} = {json.dumps(value)}\n" for name, value in chosen.items())
        file.write_text(f"[notify]\n{''.join(lines)}")

    @property
    def calls(self) -> list[list[str]]:
        """How the desktop's program was called."""
        if not self.calls_file.exists():
            return []
        return [json.loads(line) for line in self.calls_file.read_text().splitlines()]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


def ask(house: House, name: str, command: str = "echo <b>hi") -> str:
    """Something that waits in an agent's terminal; its id."""
    known = {item["id"] for item in house.ask("waiting")}
    house.queue(name, f"RUN {command}")
    [item] = until(lambda: [item for item in house.waiting() if item["id"] not in known], SOON)
    return str(item["id"])


def test_the_desktop_is_told_once_where_who_and_why(desk: Desk) -> None:
    desk.agent("bob")
    ask(desk, "bob")
    until(lambda: desk.calls, SOON)
    [[program, *words]] = desk.calls
    assert Path(program).name == "notify-send"
    assert words[:3] == ["--app-name=synapse", "--", "house/bob"]
    assert words[3].startswith("asks for permission: Do you want to run this command?")
    assert "echo &lt;b&gt;hi" in words[3]
    glass = desk.attach("bob", columns=70)  # drawn anew: the same question
    glass.shows("1. Yes")
    time.sleep(0.3)
    assert len(desk.calls) == 1


def test_each_question_is_told_and_what_is_answered_soon_is_not(desk: Desk) -> None:
    desk.agent("bob")
    for number in range(2):
        id = ask(desk, "bob", f"echo {number}")
        until(lambda number=number: len(desk.calls) == number + 1, SOON)  # type: ignore[misc]
        assert desk.synapse("approve", id).returncode == 0
        desk.becomes("bob", "READY")
    desk.settings(after=600.0)
    id = ask(desk, "bob")
    assert desk.synapse("approve", id).returncode == 0
    desk.becomes("bob", "READY")
    desk.settings(after=0.0)
    glass = desk.attach("bob")  # something changes: it is looked again
    glass.shows("demo - ? for help")
    ask(desk, "bob", "echo last")
    until(lambda: len(desk.calls) == 3, SOON)
    assert "echo last" in desk.calls[-1][-1]


def test_a_question_of_an_agent_is_told_with_its_text(desk: Desk) -> None:
    desk.agent("bob")
    desk.send("bob", "hello")
    id = ask(desk, "bob", f"{desk.program} send me 'Which branch?' --notify")
    assert desk.synapse("approve", id).returncode == 0
    until(lambda: ["house/bob", "asks you: Which branch?"] in [call[-2:] for call in desk.calls], SOON)


def test_many_in_a_short_time_are_told_together(desk: Desk) -> None:
    desk.settings(after=600.0)
    names = [f"bob{number}" for number in range(4)]
    for name in names:
        desk.agent(name)
    for name in names:
        desk.queue(name, "RUN true")
    until(lambda: len(desk.waiting()) == len(names), SOON)
    desk.settings(after=0.0)
    desk.attach("bob0")  # something changes
    until(lambda: desk.calls, SOON)
    [[*_, title, text]] = desk.calls
    assert title == "4 things wait for you"
    assert text.endswith(": synapse waiting")
    assert all(f"house/{name}" in text for name in names)


def test_the_program_of_a_mac_is_called_in_its_own_way() -> None:
    desk = Desk("terminal-notifier")
    place = desk.data / "bin"
    desk.env["PATH"] = str(place)
    for name in ("sh", "bash", "env"):
        (place / name).symlink_to(Path("/bin") / name)
    try:
        desk.agent("bob")
        ask(desk, "bob", "true")
        until(lambda: desk.calls, SOON)
        assert desk.calls[0][1:5] == ["-group", "synapse", "-title", "house/bob"]
        assert desk.calls[0][5] == "-message"
    finally:
        desk.close()


@pytest.mark.parametrize("more", ["import time; time.sleep(600)", "sys.exit(3)", "os.kill(os.getpid(), 9)"])
def test_a_program_that_hangs_or_fails_keeps_nobody_waiting(more: str) -> None:
    desk = Desk(more=more)
    try:
        desk.agent("bob")
        id = ask(desk, "bob")
        until(lambda: desk.calls, SOON)
        assert desk.synapse("approve", id, timeout=10).returncode == 0
        desk.becomes("bob", "READY")
        assert desk.synapse("serve", "--stop", timeout=10).returncode == 0
    finally:
        desk.close()


@pytest.mark.parametrize(
    ("way", "wanted"),
    [
        ("osc9", b"\x1b]9;house/bob asks for permission: Do you want to run this command?"),
        ("osc777", b"\x1b]777;notify;house/bob;asks for permission: Do you want to run this command?"),
    ],
)
def test_a_terminal_that_looks_at_the_agent_is_told(desk: Desk, way: str, wanted: bytes) -> None:
    desk.settings(after=0.0, desktop=False, terminal=way)
    desk.agent("bob")
    desk.agent("ann")
    theirs, other = desk.attach("bob"), desk.attach("ann")
    theirs.shows("demo - ? for help")
    other.shows("demo - ? for help")
    ask(desk, "bob")
    theirs.expect(wanted)
    theirs.expect(b"\x07")
    assert wanted[:6] not in other.seen
    assert desk.calls == []


def test_where_nobody_looks_at_the_agent_the_others_terminals_are_told(desk: Desk) -> None:
    desk.settings(after=0.0, desktop=False)
    desk.agent("bob")
    desk.agent("ann")
    other = desk.attach("ann")
    other.shows("demo - ? for help")
    until(lambda: desk.status("ann")["live"].get("viewed"))
    ask(desk, "bob")
    other.expect(b"\x1b]9;house/bob asks for permission")


def test_nothing_is_told_where_the_person_does_not_want_it(desk: Desk) -> None:
    desk.settings(after=0.0, desktop=False, terminal="off")
    desk.agent("bob")
    glass = desk.attach("bob")
    glass.shows("demo - ? for help")
    ask(desk, "bob")
    glass.shows("1. Yes")
    time.sleep(0.5)
    assert desk.calls == []
    glass.lines()
    assert b"\x1b]9;" not in glass.seen


def test_a_hub_that_starts_anew_does_not_tell_it_all_again(desk: Desk) -> None:
    desk.agent("bob")
    id = ask(desk, "bob")
    until(lambda: desk.calls, SOON)
    desk.kill()
    assert until(desk.waiting, SOON)[0]["id"] == id
    time.sleep(0.5)
    assert len(desk.calls) in (1, 2)  # the new hub may have started within the seconds in which it is not certain
