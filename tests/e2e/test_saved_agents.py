"""Saved agents: kept as files, started by their id, and offered when a named agent ends in a person's terminal."""

import json
import os
import shlex
import shutil
import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.runner.attached import Glass
from tests.e2e.agents_kit import House
from tests.e2e.hubs import until

ASKING = {"SYNAPSE_AGENT_SAVE_PROMPT_ENABLED": "true"}


@pytest.fixture(scope="module")
def shared() -> Iterator[House]:
    house = House()
    try:
        house.serve("--background")
        yield house
    finally:
        house.close()


@pytest.fixture
def house(shared: House) -> Iterator[House]:
    """Nothing is saved, and nobody of before is here."""
    shutil.rmtree(folder(shared), ignore_errors=True)
    yield shared
    shared.leave()
    shared.synapse("kill", "-f", *shared.names())


def folder(house: House) -> Path:
    return house.data / ".config" / "synapse" / "agents"


def saved(house: House) -> list[str]:
    return [agent["id"] for agent in house.ask("agents")["agents"]]


def refused(house: House, *words: str) -> tuple[int, str, str]:
    """The status, code and sentence of a command that fails."""
    done = house.synapse(*words, "--json")
    error = json.loads(done.stderr)["error"]
    return done.returncode, error["code"], error["message"]


# -- keeping


def test_an_agent_is_saved_shown_listed_started_and_deleted(house: House) -> None:
    (house.data / "role.md").write_text("Reviews.\nKindly, 'every' \"line\".\n")
    done = house.synapse(
        "agents",
        "add",
        "Rev",
        "--profile",
        "demo --answer reply",
        "--role",
        f"@{house.data}/role.md",
        "--skill-set",
        "r",
    )
    assert done.returncode == 0, done.stderr
    file = folder(house) / "rev.toml"
    assert done.stdout == f"saved rev ({file}): `synapse run --agent rev` starts it\n"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    wanted = {
        "id": "rev", "profile": "demo", "arguments": ["--answer", "reply"], "name": "rev",
        "role": "Reviews.\nKindly, 'every' \"line\".", "skill_set": "r",
    }  # fmt: skip
    assert house.ask("agents", "show", "rev") == wanted
    assert house.ask("agents", "list") == house.ask("agents") == {"agents": [wanted]}
    assert {**tomllib.loads(file.read_text()), "id": "rev"} == wanted
    assert house.synapse("agents").stdout.splitlines()[1].split()[:4] == ["rev", "rev", "demo", "--answer"]
    shown = house.synapse("agents", "show", "rev").stdout
    assert "start it   synapse run --agent rev" in shown
    told = json.loads(house.synapse("start", "--json", "-A", "rev").stdout)
    house.processes |= {told["pid"], told["child_pid"]}
    house.becomes("rev", "READY")
    agent = house.status("rev")["agent"]
    assert (agent["name"], agent["role"], agent["skill_set"]) == ("rev", wanted["role"], "r")
    assert house.send("rev", "PING x") == "PONG x"
    assert house.synapse("agents", "delete", "rev").stdout == "deleted rev\n"
    assert saved(house) == []
    assert house.send("rev", "PING y") == "PONG y"


def test_what_is_said_at_the_start_counts_more_and_words_go_to_the_program(house: House) -> None:
    house.synapse("agents", "add", "one", "--profile", "sh -c", "--name", "usual", "--role", "saved")
    glass = house.glass("run", "--agent", "one", "--name", "other", "--", "echo I am $SYNAPSE_AGENT_NAME; sleep 30")
    glass.expect("I am other")
    assert house.status("other")["agent"]["role"] == "saved"
    again = house.glass("run", "-A", "usual", "echo now $SYNAPSE_AGENT_NAME")
    again.expect("now usual")
    assert again.end() == 0


def test_a_saved_agent_asks_for_no_name_and_is_not_offered_again(house: House) -> None:
    house.synapse("agents", "add", "quiet", "--profile", "sh -c 'echo here $SYNAPSE_AGENT_NAME'")
    glass = house.glass("run", "--agent", "quiet", env=ASKING)
    assert b"Name:" not in glass.expect("here quiet")
    assert glass.end() == 0
    assert b"Save" not in glass.seen


def test_an_id_lasts_and_a_name_may_be_had_twice(house: House) -> None:
    for id in ("a", "b"):
        house.synapse("agents", "add", id, "--profile", "demo", "--name", "same")
    assert refused(house, "start", "--agent", "same") == (
        1, "ambiguous", "2 saved agents are called 'same'. Say which by its id: a, b."
    )  # fmt: skip
    assert refused(house, "agents", "add", "a", "--profile", "demo")[:2] == (1, "there_already")
    assert house.ask("agents", "add", "a", "--profile", "demo", "--name", "new", "--replace")["name"] == "new"
    assert house.synapse("agents", "delete", "same", "new").returncode == 0
    assert saved(house) == []


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("start", "--agent", "nobody"), (1, "no_such_saved_agent")),
        (("agents", "show", "nobody"), (1, "no_such_saved_agent")),
        (("agents", "delete", "../settings"), (1, "no_such_saved_agent")),
        (("agents", "add", "../x", "--profile", "demo"), (2, "bad_name")),
        (("agents", "add", "all", "--profile", "demo"), (2, "reserved_name")),
        (("agents", "add", "x"), (2, "no_profile")),
        (("agents", "add", "x", "--profile", "'"), (2, "bad_profile")),
        (("agents", "add", "x", "--profile", "no-such-program"), (1, "no_such_program")),
        (("agents", "add", "x", "--profile", "demo", "--name", "n n"), (2, "bad_name")),
        (("agents", "add", "x", "--profile", "demo", "--role", "@/nowhere"), (2, "bad_file")),
        (("agents", "forget", "x"), (2, "usage")),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_saved(house: House, words: tuple[str, ...], wanted: object) -> None:
    assert refused(house, *words)[:2] == wanted
    assert saved(house) == []


def test_run_without_words_says_what_is_missing(house: House) -> None:
    done = house.synapse("start")
    assert (done.returncode, "Say what to run" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("profile = 1", "'profile' must be a text"),
        ("name = 'x'", "'profile' is missing"),
        ("profile = 'demo'\ncommand = 'rm'", "unknown key 'command'"),
        ("profile = 'demo'\narguments = 'x'", "'arguments' must be a list"),
        ("profile = 'demo'\nname = 'n n'", "'n n' is not a name"),
        ("profile = ", "Invalid"),
    ],
)
def test_a_file_that_is_wrong_is_said_with_its_place(house: House, text: str, why: str) -> None:
    folder(house).mkdir(parents=True, exist_ok=True)
    (folder(house) / "bad.toml").write_text(text)
    status, code, sentence = refused(house, "start", "--agent", "bad")
    assert (status, code) == (2, "bad_saved_agent")
    assert sentence.startswith(f"{folder(house)}/bad.toml: ")
    assert why in sentence


def test_a_file_that_is_wrong_does_not_hide_the_others(house: House) -> None:
    house.synapse("agents", "add", "good", "--profile", "demo")
    (folder(house) / "bad.toml").write_text("profile = 1")
    (folder(house) / "No Name.toml").write_text("profile = 'demo'")
    done = house.synapse("agents")
    assert (done.returncode, "good" in done.stdout) == (1, True)
    assert f"{folder(house)}/bad.toml: 'profile' must be a text" in done.stderr
    assert "'No Name' is not a name" in done.stderr
    assert house.synapse("agents", "show", "good").returncode == 0
    glass = named(house, "bad")
    glass.type("/exit\r")
    glass.expect("--agent bad-2`?")
    glass.type("y\r")
    assert glass.end() == 0
    assert house.synapse("agents", "delete", "good", "bad-2").returncode == 0


# -- the offer


def named(house: House, name: str, *words: str, **env: str) -> Glass:
    """A person who has started a named demo agent."""
    glass = house.glass("run", "--name", name, "--role", "tests it", *(words or ("demo",)), env={**ASKING, **env})
    glass.shows("demo - ? for help")
    return glass


def test_a_named_agent_that_ends_is_offered_saved_and_started_again(house: House) -> None:
    glass = named(house, "nina")
    glass.type("/exit 3\r")
    glass.expect("Save nina (demo) for `synapse run --agent nina`? [y/N] ")
    glass.type("y\r")
    glass.expect("saved nina")
    assert glass.end() == 3
    assert house.ask("agents", "show", "nina") == {
        "id": "nina", "profile": "demo", "arguments": [], "name": "nina", "role": "tests it", "skill_set": ""
    }  # fmt: skip
    again = named(house, "nina")
    again.type("/exit\r")
    assert again.end() == 0  # it is saved just so: nobody is asked
    assert b"Save" not in again.seen
    other = house.glass("run", "--name", "nina", "demo", env=ASKING)
    other.shows("demo - ? for help")
    other.type("/exit\r")
    other.expect("--agent nina-2`?")
    other.type("\r")
    assert other.end() == 0
    assert saved(house) == ["nina"]


def test_the_offer_comes_after_the_questions_too(house: House) -> None:
    glass = house.glass("run", "--", "sh", "-c", "echo up", env=ASKING)
    glass.expect("Name: ")
    glass.type("Grace\r")
    glass.expect("Role: ")
    glass.type("\r")
    glass.expect("Skill set: ")
    glass.type("\r")
    glass.expect("Save grace (sh -c 'echo up') for")
    glass.type("yes\r")
    assert glass.end() == 0
    assert house.ask("agents", "show", "grace")["arguments"] == ["-c", "echo up"]


def test_ctrl_c_at_the_offer_saves_nothing_and_keeps_the_status(house: House) -> None:
    glass = named(house, "carl")
    glass.type("/exit 5\r")
    glass.expect("[y/N] ")
    glass.type("\x03")
    assert glass.end() == 5
    assert saved(house) == []


def test_it_is_not_offered_when_somebody_ended_it_or_left_or_said_no(house: House) -> None:
    for name, end in (("st", "stop"), ("ki", "kill")):
        glass = named(house, name)
        house.becomes(name, "READY")
        house.synapse(end, *(["-f"] if end == "kill" else []), name)
        glass.end()
        assert b"Save" not in glass.seen
    left = named(house, "le")
    left.type("\x1c")
    left.expect("detached")
    assert left.end() == 0
    off = named(house, "of", SYNAPSE_AGENT_SAVE_PROMPT_ENABLED="false")
    off.type("/exit\r")
    assert off.end() == 0
    killed = named(house, "si")
    os.kill(house.status("si")["child_pid"], signal.SIGKILL)
    assert killed.end() == -signal.SIGKILL
    until(lambda: "si" not in house.names())
    assert b"Save" not in left.seen + off.seen + killed.seen


def test_an_unnamed_agent_is_not_offered(house: House) -> None:
    glass = house.glass("run", "--no-setup", "--", "sh", "-c", "echo up", env=ASKING)
    glass.expect("up")
    assert glass.end() == 0
    assert b"Save" not in glass.seen


def test_the_pages_file_is_one_and_its_commands_are_understood(house: House) -> None:
    page = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
    house.profile("claude", 'command = ["cat"]\n')
    (house.data / "roles").mkdir(exist_ok=True)
    (house.data / "roles" / "reviewer.md").write_text("reviews what others write")
    lines = page.partition("```\nsynapse agents")[2].partition("```")[0].splitlines()
    for line in [f"synapse agents{lines[0]}", *lines[1:]]:
        words = shlex.split(line)[1:]
        if words[0] == "agents":
            done = house.synapse(*words)
            assert done.returncode == 0, done.stderr
            if words[1] == "add":
                written = tomllib.loads((folder(house) / "reviewer.toml").read_text())
    shown = tomllib.loads(page.partition("```toml\n")[2].partition("```")[0])
    assert {**written, "skill_set": "reviewer"} == shown
