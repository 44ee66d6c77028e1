"""What waits for a person: seen by `synapse waiting`, answered from anywhere, once."""

import json
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
        found[:] = house.ask("waiting")
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
