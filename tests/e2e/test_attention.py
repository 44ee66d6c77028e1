"""What waits for a person: seen by `synapse waiting`, answered from anywhere, once."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.agents_kit import SOON, House
from tests.e2e.hubs import until


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


def waiting(house: House, count: int = 1) -> list[dict[str, Any]]:
    """What waits, once that many do."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = house.waiting()
        return len(found) == count

    until(there, SOON)
    return found


@pytest.mark.parametrize("options", [(), ("--signals",), ("--alt",)], ids=["screen", "signal", "alternate"])
def test_a_permission_waits_with_its_command_and_its_choices(house: House, options: tuple[str, ...]) -> None:
    house.agent("bob", "demo", *options)
    assert house.ask("waiting") == []
    task = house.queue("bob", "RUN echo hi")
    [item] = waiting(house)
    assert item.keys() >= {"id", "agent", "kind", "what", "since", "choices"}
    assert (item["agent"], item["kind"], item["task_id"]) == ("bob", "permission", task)
    assert item["what"].startswith("Do you want to run this command?")
    assert (item["choices"], item["command"], item["workspace"]) == (["1 Yes", "2 No"], "echo hi", "house")
    said = house.synapse("waiting")
    assert said.returncode == 0
    assert item["id"] in said.stdout
    assert f"synapse approve {item['id']}" in said.stdout
    assert house.ask("waiting")[0]["id"] == item["id"]
    glass = house.attach("bob", columns=60, rows=20)
    glass.shows("1. Yes")
    assert house.ask("waiting")[0]["id"] == item["id"]  # drawn anew in another width
    glass.type("1")
    assert house.task(task)["answer"] == "hi"
    assert house.ask("waiting") == []


def test_a_dialog_outside_any_task_waits_too_and_each_has_its_own_id(house: House) -> None:
    house.agent("bob")
    glass = house.attach("bob")
    glass.shows("demo - ? for help")
    seen = []
    for _ in range(2):
        glass.type("RUN true\r")
        [item] = waiting(house)
        assert (item["kind"], item["task_id"]) == ("permission", "")
        seen.append(item["id"])
        glass.type("2")
        assert house.becomes("bob", "READY")
        waiting(house, 0)
    assert seen[0] != seen[1]


def test_a_question_of_an_agent_to_the_person_waits_until_it_is_answered(house: House) -> None:
    house.agent("bob")
    assert house.synapse("who").returncode == 0
    assert house.send("bob", "hello")
    task = house.queue("bob", f"RUN {house.program} send me 'Which branch?' --notify")
    [item] = waiting(house)
    glass = house.attach("bob")
    glass.shows("1. Yes")
    glass.type("1")
    house.task(task)
    [item] = waiting(house)
    assert (item["kind"], item["agent"], item["what"]) == ("question", "bob", "Which branch?")
    said = house.synapse("reply", "--to", item["id"], "main")
    assert said.returncode == 0, said.stderr
    assert house.ask("waiting") == []


def test_an_agent_may_read_what_waits(house: House) -> None:
    house.agent("bob")
    house.agent("ann")
    house.queue("ann", "RUN true")
    waiting(house)
    task = house.queue("bob", f"RUN {house.program} waiting --json")
    waiting(house, 2)
    glass = house.attach("bob")
    glass.shows("1. Yes")
    glass.type("1")
    answer = house.task(task)["answer"]
    assert {item["agent"] for item in json.loads("".join(answer.split("\n")))} >= {"ann"}


def test_nothing_waits_is_said(house: House) -> None:
    house.serve("--background")
    said = house.synapse("waiting")
    assert (said.returncode, said.stdout) == (0, "Nothing waits for you.\n")
    assert json.loads(house.synapse("waiting", "--json").stdout) == []
    assert house.synapse("waiting", "--here", "--workspace", "elsewhere").returncode == 0


# -- answering


@pytest.mark.parametrize("options", [(), ("--signals",), ("--alt",)], ids=["screen", "signal", "alternate"])
def test_an_approval_is_pressed_and_the_task_goes_on(house: House, options: tuple[str, ...]) -> None:
    house.agent("bob", "demo", *options)
    task = house.queue("bob", "RUN sleep 0.5; echo hi")
    [item] = waiting(house)
    said = house.synapse("approve", item["id"])
    assert (said.returncode, said.stdout) == (0, "approved: bob with '1 Yes'\n"), said.stderr
    assert house.task(task)["answer"] == "hi"
    assert house.ask("waiting") == []
    events = {event["kind"]: event for event in house.events()}
    assert events["prompts.answered"]["body"]["name"] == "ada"
    assert events["prompts.answered"]["body"]["command"] == "sleep 0.5; echo hi"
    assert events["prompts.closed"]["body"]["outcome"] == "done"
    assert "tasks.resumed" in events


def test_a_rejection_is_pressed_and_its_reason_reaches_the_agent(house: House) -> None:
    house.agent("bob")
    task = house.queue("bob", "RUN echo hi")
    [item] = waiting(house)
    said = house.synapse("reject", item["id"], "not today")
    assert (said.returncode, said.stdout) == (0, "rejected: bob with '2 No'\n"), said.stderr
    house.task(task)
    glass = house.attach("bob")
    glass.shows("Rejected: not today")
    assert "echo hi" not in house.task(task)["answer"].split("\n")


@pytest.mark.parametrize("choice", ["1", "yes"])
def test_a_choice_is_named_by_number_or_text(house: House, choice: str) -> None:
    house.agent("bob")
    task = house.queue("bob", "RUN echo hi")
    [item] = waiting(house)
    wrong = house.synapse("approve", item["id"], "maybe", "--json")
    assert wrong.returncode == 2
    assert json.loads(wrong.stderr)["error"]["code"] == "no_such_choice"
    assert house.synapse("approve", item["id"], choice).returncode == 0
    assert house.task(task)["answer"] == "hi"


def test_of_two_approvals_at_once_one_is_pressed(house: House) -> None:
    house.agent("bob")
    task = house.queue("bob", "RUN echo once")
    [item] = waiting(house)
    both = [house.start("approve", item["id"], "--json") for _ in range(2)]
    ended = [(process.communicate(timeout=30), process.returncode)[::-1] for process in both]
    assert sorted(status for status, _ in ended) == [0, 1]
    [refused] = [json.loads(complained) for status, (_, complained) in ended if status == 1]
    assert refused["error"]["code"] == "answered_already"
    assert house.task(task)["answer"] == "once"
    assert [event["kind"] for event in house.events()].count("prompts.answered") == 1
    assert house.becomes("bob", "READY")


def test_what_a_person_answered_in_the_terminal_cannot_be_approved_any_more(house: House) -> None:
    house.agent("bob")
    task = house.queue("bob", "RUN echo hi")
    [item] = waiting(house)
    glass = house.attach("bob")
    glass.shows("1. Yes")
    glass.type("2")
    house.task(task)
    late = house.synapse("approve", item["id"], "--json")
    assert late.returncode == 1
    assert json.loads(late.stderr)["error"]["code"] == "no_such_prompt"
    unknown = house.synapse("approve", "p-zzzzzz")
    assert unknown.returncode == 1
    assert "synapse waiting" in unknown.stderr


def test_an_agent_cannot_approve(house: House) -> None:
    house.agent("bob")
    house.agent("ann")
    task = house.queue("ann", "RUN echo hi")
    [item] = waiting(house)
    glass = house.attach("bob")
    glass.shows("demo - ? for help")
    for words in ("", "env -u SYNAPSE_AGENT_ID -u SYNAPSE_AGENT_NAME "):
        glass.type(f"RUN {words}{house.program} approve {item['id']}\r")
        glass.shows("1. Yes")
        glass.type("1")
        glass.shows("is for a person")
        assert house.becomes("bob", "READY")
        glass.type("ECHO cleared\r")
        assert house.becomes("bob", "READY")
    assert house.ask("history", "show", task)["state"] == "input-required"
    assert house.ask("waiting")[0]["id"] == item["id"]
    assert "prompts.answered" not in [event["kind"] for event in house.events()]


@pytest.mark.skipif(sys.platform != "linux", reason="not run: only Linux lets a runner adopt")
def test_a_process_that_an_agent_has_let_go_is_no_person_either_and_leaves_no_zombie(house: House) -> None:
    runner = house.agent("bob")["pid"]
    house.agent("ann")
    task = house.queue("ann", "RUN echo hi")
    [item] = waiting(house)
    said = house.data / "said"
    glass = house.attach("bob")
    glass.shows("demo - ? for help")
    alone = "setsid -f env -u SYNAPSE_AGENT_ID -u SYNAPSE_AGENT_NAME"
    glass.type(f"RUN {alone} {house.program} approve {item['id']} > {said} 2>&1\r")
    glass.shows("1. Yes")
    glass.type("1")
    until(lambda: said.exists() and "is for a person" in said.read_text(), SOON)
    assert house.ask("history", "show", task)["state"] == "input-required"

    def zombies() -> list[str]:
        listed = subprocess.run(
            ["ps", "-o", "stat=", "--ppid", str(runner)], capture_output=True, text=True, check=False
        )
        return [line for line in listed.stdout.split() if line.startswith("Z")]

    until(lambda: not zombies(), SOON)


def test_a_hub_that_was_killed_meanwhile_knows_the_same_question(house: House) -> None:
    house.agent("bob")
    task = house.queue("bob", "RUN echo hi")
    [item] = waiting(house)
    house.kill()
    [again] = waiting(house)
    assert again["id"] == item["id"]
    assert house.synapse("approve", item["id"]).returncode == 0
    assert house.task(task)["answer"] == "hi"
    refused = house.synapse("approve", item["id"], "--json")
    assert json.loads(refused.stderr)["error"]["code"] == "answered_already"


def test_an_answer_waits_for_a_runner_that_is_stopped_and_is_then_pressed_once(house: House) -> None:
    agent = house.agent("bob")
    task = house.queue("bob", "RUN echo hi")
    [item] = waiting(house)
    os.kill(agent["pid"], signal.SIGSTOP)
    try:
        approving = house.start("approve", item["id"])
        until(lambda: "prompts.answered" in [event["kind"] for event in house.events()], SOON)
        house.kill()
    finally:
        os.kill(agent["pid"], signal.SIGCONT)
    approving.communicate(timeout=30)
    assert house.task(task)["answer"] == "hi"
    kinds = [event["kind"] for event in house.events()]
    assert (kinds.count("prompts.answered"), kinds.count("prompts.closed")) == (1, 1)


def test_a_rule_of_the_persons_settings_approves_what_it_is_sure_of_and_nothing_else(house: House) -> None:
    settings = house.data / ".config" / "synapse" / "settings.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("[approvals]\nmode = 'allow-list'\nallow = ['echo .*', 'rm .*']\n")
    house.agent("bob")
    assert house.send("bob", "RUN echo hi; echo there") == "hi\nthere"
    [event] = [event for event in house.events() if event["kind"] == "prompts.answered"]
    assert (event["by"], event["body"]["rule"]) == ("hub", "approvals.allow: 'echo .*'")
    task = house.queue("bob", "RUN rm -rf some-folder")
    [item] = waiting(house)
    assert (item["task_id"], item["command"]) == (task, "rm -rf some-folder")
    assert house.synapse("reject", item["id"]).returncode == 0
    house.task(task)
