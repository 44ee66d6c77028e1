"""The answer to a task is what the agent said for it: by `synapse reply`, else what its screen shows, else none."""

import json
from collections.abc import Iterator

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


TEXTS = (
    "short",
    "two\nlines",
    "a gap\n\nin between\n  indented\n* starred\n> quoted",
    "漢字 and wide ｗｏｒｄｓ, e\u0301, 👍",
    "error: this is not a failure",
    "done in 3s\nWorking (1s - esc to interrupt)\ndemo - ? for help",
    "──────",
)


@pytest.mark.parametrize("how", ["reply", "screen", "alternate"])
def test_answers_come_back_as_they_were_given(house: House, how: str) -> None:
    options = {"reply": ("--answer", "reply"), "screen": (), "alternate": ("--alt",)}[how]
    house.agent(how, "demo", *options)
    for text in TEXTS:
        done = house.synapse("send", how, "--stdin", "--wait", input=f"ECHO {text}")
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{text}\n", "")
    assert house.send(how, "PING again") == house.send(how, "PING again") == "PONG again"
    sources = {task["source"] for task in house.ask("history", "--agent", how)["tasks"]}
    assert sources == {"reply" if how == "reply" else "screen"}


@pytest.mark.parametrize("answer", ["reply", "screen"])
def test_a_long_answer_is_whole_also_what_has_scrolled_away(house: House, answer: str) -> None:
    house.agent(f"long-{answer}", "demo", "--answer", answer)
    assert house.send(f"long-{answer}", "LONG 300").split("\n") == [f"line {number}" for number in range(1, 301)]


def test_no_answer_is_said_to_be_none(house: House) -> None:
    house.agent("mute")
    done = house.synapse("send", "mute", "NOTHING", "--wait")
    assert (done.returncode, done.stdout) == (1, "")
    assert "MISSING_REPLY" in done.stderr
    assert house.ask("history", "--agent", "mute")["tasks"][0]["source"] == "none"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("EXIT 3", "It ended with exit status 3."),
        ("CRASH", "It was ended by signal 9 (SIGKILL)."),
    ],
)
def test_a_program_that_ends_in_the_middle_fails_its_task_and_says_how(house: House, text: str, told: str) -> None:
    house.agent("mortal")
    done = house.synapse("send", "mortal", text, "--wait")
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    until(lambda: "mortal" not in house.names())


def test_an_agent_can_fail_a_task_and_answer_another_than_the_one_at_hand(house: House) -> None:
    house.agent("honest", "demo", "--answer", "reply")
    done = house.synapse("send", "honest", "FAIL no idea", "--wait")
    assert done.returncode == 1
    assert "no idea" in done.stderr
    house.agent("asked")
    busy = house.queue("asked", "SLOW 5 x")
    later = house.queue("asked", "HANG")
    house.task(busy, "working")
    said = house.synapse(
        "reply", "--to", later, "early", env={"SYNAPSE_AGENT_ID": house.status("asked")["agent"]["key"]}
    )
    assert said.returncode == 0, said.stderr
    assert house.task(later)["answer"] == "early"
    assert house.task(busy)["answer"].endswith("x")


def test_the_answer_to_an_agent_that_does_not_wait_is_typed_into_its_terminal(house: House) -> None:
    house.agent("alice", "demo", "--answer", "reply")
    house.agent("bob", "demo", "--answer", "reply")
    assert house.send("alice", "ask-notify bob 6*7") == "asked bob"
    id = house.status("bob")["agent"]["agent_id"]
    house.attach("alice", columns=120, rows=40).shows(f"A2A: [From: bob ({id})] 42")


def test_an_agent_waits_for_the_answer_of_another(house: House) -> None:
    house.agent("carol", "demo", "--answer", "reply")
    house.agent("dave", "demo", "--answer", "reply")
    assert house.send("carol", "ask dave 6*7") == "dave says: 42"
    shown = json.dumps(house.ask("history", "--agent", "dave"))
    assert "synapse-demo" in shown or "carol" in shown


def test_inside_an_agent_the_sender_is_the_agent_and_nobody_else(house: House) -> None:
    told = house.agent("inner")
    house.agent("other")
    send = f"{house.program} send other"
    printed = house.answer_of_command(
        "inner",
        f"env | grep ^SYNAPSE_AGENT | sort; {send} --from mallory PING 2>&1; echo $?;"
        f" env -u SYNAPSE_AGENT_ID {send} PING --silent",
    )
    assert f"SYNAPSE_AGENT_ID={told['id']}\nSYNAPSE_AGENT_NAME=inner\n" in printed
    assert "inside an agent --from names nobody else.\n1\n" in printed
    house.attach("other", columns=120, rows=40).shows(f"A2A: [From: inner ({told['id']})] PING")


def test_the_shell_profile_runs_what_is_sent_and_its_output_is_the_answer(house: House) -> None:
    house.agent("shell", "shell", "--norc")
    assert house.send("shell", "echo hello; seq 3") == "hello\n1\n2\n3"
    assert house.send("shell", "for n in a b; do\n  echo $n\ndone") == "a\nb"
    assert house.send("shell", "echo -n unended") == "unended"
    assert house.send("shell", "cd / && pwd") == "/"
    assert house.synapse("send", "shell", "--wait", "--", "-x 2>/dev/null; true").returncode == 1
