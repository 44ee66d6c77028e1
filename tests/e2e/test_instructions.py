"""What an agent is told when it is first ready: one line, before any message, and never in the way of one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from synapse.runner.profile import BUILT_IN
from tests.e2e.agents_kit import House
from tests.e2e.hubs import until

GUEST = "instructions = true\nresume = ['--resume']\nmcp = ['.mcp.json']\n" + (BUILT_IN / "demo.toml").read_text()


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    house.env["SYNAPSE_INSTRUCTIONS_ENABLED"] = "true"
    house.profile("guest", GUEST)
    yield house
    house.close()


def told(house: House, name: str) -> bool:
    """Was it told who it is? Looked at when it has answered something."""
    assert house.send(name, "ping").endswith("ping")
    return "instructions show" in house.screen(name)


def test_an_agent_is_told_who_it_is_before_its_first_message_and_is_given_no_task(house: House) -> None:
    house.agent("bob", "guest", ready=False)
    answers = [house.queue("bob", text) for text in ("one", "two")]
    assert [house.task(task)["answer"] for task in answers] == ["You said: one", "You said: two"]
    screen = "".join(house.screen("bob").split("\n"))
    first = screen.index("You are bob (synapse-guest-8150)")
    assert screen.count("You are bob (") == 2  # as it was typed, and as the demo agent says it back
    assert first < screen.index("one")
    assert [event["kind"] for event in house.events() if event["kind"] == "tasks.submitted"] == ["tasks.submitted"] * 2


def test_the_one_command_that_it_names_says_how_to_reach_the_others(house: House) -> None:
    house.agent("bob", "guest")
    told = house.answer_of_command("bob", f"{house.program} instructions show")
    assert "You are bob (synapse-guest-8150)" in told
    assert "synapse reply" in told
    assert "{{" not in told


@pytest.mark.parametrize("why", ["demo", "resume", "resume with a value", "mcp", "setting", "option"])
def test_who_need_not_be_told_is_not(house: House, why: str) -> None:
    words, options = ["guest"], []
    if why == "demo":
        words = ["demo"]
    elif why.startswith("resume"):
        (house.data / "agent.sh").write_text(f"exec {house.program} _demo-agent")
        house.profile("guest", GUEST.replace('["$SYNAPSE", "_demo-agent"]', f'["sh", "{house.data}/agent.sh"]'))
        words += ["--resume=4711" if "value" in why else "--resume"]
    elif why == "mcp":
        server = {"command": "/usr/bin/synapse", "args": ["mcp"]}
        (house.data / ".mcp.json").write_text(json.dumps({"mcpServers": {"team": server}}))
    elif why == "setting":
        house.env["SYNAPSE_INSTRUCTIONS_ENABLED"] = "false"
    else:
        options = ["--no-instructions"]
    house.agent("bob", *words, options=options)
    assert not told(house, "bob")


def test_a_server_of_somebody_else_is_none_of_ours(house: House) -> None:
    servers = {"a": {"command": "npx", "args": ["github", "mcp"]}, "b": {"url": "http://127.0.0.1/mcp"}, "c": 3}
    (house.data / ".mcp.json").write_text(json.dumps({"mcpServers": servers}))
    house.agent("bob", "guest")
    assert told(house, "bob")


def test_a_resume_word_can_be_chosen(house: House) -> None:
    profile = GUEST.replace('["$SYNAPSE", "_demo-agent"]', '["sh", "agent.sh"]')
    house.profile("claude", profile)
    (house.data / "agent.sh").write_text(f"exec {house.program} _demo-agent")
    assert house.synapse("config", "set", "--", "profiles.claude.resume_flags", "--again,-a").returncode == 0
    house.agent("bob", "claude", "--again")
    house.agent("cid", "claude", "--resume")
    assert (told(house, "bob"), told(house, "cid")) == (False, True)


def test_what_a_person_has_begun_to_write_is_left_alone_and_the_line_comes_later(house: House) -> None:
    glass = house.glass("run", "--no-setup", "--name", "ann", "guest")
    glass.type("a draft")
    glass.shows("a draft")
    until(lambda: "ann" in house.names())
    task = house.queue("ann", "hello")
    glass.shows("1 message waiting")
    assert "instructions show" not in " ".join(glass.lines())
    glass.type("\x15")
    assert house.task(task)["answer"] == "You said: hello"
    screen = house.screen("ann")
    assert screen.index("instructions show") < screen.index("hello")


DEAF = """
import os, sys, tty
tty.setraw(0)
os.write(1, b"ready> ")
while os.read(0, 1) != b"\\x15": pass  # shows nothing of what is typed, until that is taken back
while True:
    line = b""
    while (sign := os.read(0, 1)) != b"\\r":
        line += sign
        os.write(1, sign)
    os.write(1, b"\\r\\nheard " + line[-5:] + b"\\r\\nready> ")
"""


def test_a_program_that_does_not_take_it_gets_its_messages_all_the_same(house: House) -> None:
    script = house.data / "deaf.py"
    script.write_text(DEAF)
    house.profile("deaf", f'command = ["python3", "{script}"]\ninstructions = true\n')
    house.agent("bob", "deaf")
    task = house.queue("bob", "hello")
    until(lambda: house.call("history.show", task=task)["state"] == "completed", 40.0)
    assert "heard hello" in house.ask("history", "show", task)["answer"]


def test_init_writes_texts_that_may_be_changed(house: House) -> None:
    assert house.synapse("init", "--scope", "user").returncode == 0
    folder = house.data / ".config" / "synapse" / "instructions"
    assert sorted(path.name for path in folder.iterdir()) == ["default.md", "gemini.md"]
    (folder / "guest.md").write_text("Guests are told this: {{agent_name}} {{agent_id}} {{port}} {{other}}")
    house.agent("bob", "guest")
    assert (
        house.synapse("instructions", "show", "bob").stdout
        == "Guests are told this: bob synapse-guest-8150 8150 {{other}}\n"
    )
    assert "{{agent_name}}" in house.synapse("instructions", "show").stdout
    (house.data / ".synapse" / "instructions").mkdir(parents=True)
    (house.data / ".synapse" / "instructions" / "default.md").write_text("In this project: {{agent_name}}.")
    files = {row["file"]: row for row in house.ask("instructions", "files")}
    assert (files["default.md"]["scope"], files["guest.md"]["scope"], files["gemini.md"]["scope"]) == (
        "project",
        "user",
        "user",
    )
    assert house.synapse("instructions", "show", "bob").stdout.startswith("Guests are told")
    assert house.synapse("instructions", "show", "codex").stdout == "In this project: {{agent_name}}.\n"


def test_a_person_can_have_it_told_again(house: House) -> None:
    house.agent("bob", "guest", options=["--no-instructions"])
    shown = house.synapse("instructions", "send", "bob", "--preview").stdout
    assert "You are bob (synapse-guest-8150)" in shown
    assert not [event for event in house.events() if event["kind"] == "messages.sent"]
    assert house.synapse("instructions", "send", "bob").returncode == 0
    until(lambda: any(event["kind"] == "messages.delivered" for event in house.events()), 20.0)
    assert told(house, "bob")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["instructions", "show", "nobody"], "no_such_agent"),
        (["instructions", "send", "nobody"], "no_such_agent"),
        (["instructions", "send", "me"], "not_an_agent"),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_can(house: House, words: list[str], code: str) -> None:
    house.agent("bob", "guest", options=["--no-instructions"])
    done = house.synapse(*words, "--json")
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["code"] == code


def test_who_starts_an_agent_in_a_terminal_is_asked_before(house: House) -> None:
    glass = house.glass("run", "--name", "ann", "guest", columns=120)
    glass.shows("Tell it? [Y/n/s]")
    glass.type("what\r")
    glass.shows("Y: tell it")
    glass.type("\r")
    glass.shows("demo - ? for help")
    glass.shows("instructions show")
    glass.close()


def test_who_does_not_want_it_told_starts_it_without_or_not_at_all(house: House) -> None:
    glass = house.glass("run", "--name", "ann", "guest", columns=120)
    glass.shows("Tell it? [Y/n/s]")
    glass.type("s\r")
    glass.shows("demo - ? for help")
    assert house.send("ann", "ping") == "You said: ping"
    assert "You are ann" not in "".join(glass.lines())
    glass.close()
    glass = house.glass("run", "--name", "ben", "guest", columns=120)
    glass.shows("Tell it? [Y/n/s]")
    glass.type("n\r")
    assert glass.end() == 1
    assert "ben" not in house.names()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"SYNAPSE_APPROVAL_MODE": "auto"}, ["guest"]),
        ({}, ["--no-instructions", "guest"]),
        ({}, ["demo"]),
        ({"SYNAPSE_INSTRUCTIONS_ENABLED": "false"}, ["guest"]),
    ],
)
def test_nobody_is_asked_where_there_is_nothing_to_ask(house: House, environ: dict[str, str], words: list[str]) -> None:
    glass = house.glass("run", "--name", "ann", *words, env=environ, columns=120)
    glass.shows("demo - ? for help")
    assert "Tell it?" not in " ".join(glass.lines())
    glass.close()


def test_the_texts_that_come_with_it_name_only_commands_that_there_are() -> None:
    import re

    from synapse.cli import GROUPS, instruction_texts

    for path in Path(instruction_texts.BUILT_IN).glob("*.md"):
        named = re.findall(r"synapse ([a-z]+)", path.read_text())
        assert named
        assert [name for name in named if name not in GROUPS and name != "help"] == []
