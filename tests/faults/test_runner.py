"""Runners and hubs that are killed in the middle of things: nothing is typed twice, nothing is lost without a word."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from synapse.runner import profile as profiles
from tests.e2e.agents_kit import House
from tests.e2e.hubs import alive, until

pytestmark = pytest.mark.faults


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


def slow_to_submit(house: House, pause: float) -> None:
    """A profile `hesitant`: the demo, with so many seconds between the text and Enter."""
    demo = (Path(profiles.__file__).with_name("profiles") / "demo.toml").read_text()
    house.profile("hesitant", demo.replace("pause = 0.03", f"pause = {pause}"))


def in_the_log(house: House, kind: str, id: str) -> int:
    """How often the log tells this of a message."""
    return sum(event["kind"] == kind and id in str(event) for event in house.events())


def test_a_runner_killed_in_the_middle_of_a_task_fails_it_and_frees_name_and_port(house: House) -> None:
    told = house.agent("lost")
    task = house.queue("lost", "HANG")
    house.task(task, "working")
    later = house.queue("lost", "PING kept for the name")
    os.kill(told["pid"], signal.SIGKILL)
    ended = house.task(task)
    assert (ended["state"], ended["reason"]) == ("failed", "runner_lost")
    began = time.monotonic()
    until(lambda: "lost" not in house.names(), 10)
    assert time.monotonic() - began < 10
    until(lambda: not alive(told["child_pid"]), 10)
    again = house.agent("lost", options=("--port", str(told["port"])))
    assert again["port"] == told["port"]
    assert house.task(later)["answer"] == "PONG kept for the name"


def test_a_child_that_ignores_the_end_of_its_terminal_does_not_outlive_its_runner(house: House) -> None:
    told = house.agent("deaf", "bash", "-c", "trap '' HUP TERM; echo up; while :; do sleep 0.1; done", ready=False)
    until(lambda: alive(told["child_pid"]))
    os.kill(told["pid"], signal.SIGKILL)
    until(lambda: not alive(told["child_pid"]), 15)
    assert house.names() == []


def test_a_runner_killed_while_it_types_leaves_an_unknown_outcome_that_is_told(house: House) -> None:
    slow_to_submit(house, 5.0)
    told = house.agent("typist", "hesitant")
    house.agent("sender")
    task = house.queue("typist", "PING once", "--from", "asker")
    until(lambda: in_the_log(house, "messages.typing", task))
    glass = house.attach("typist", columns=120, rows=40)
    glass.shows("PING once")
    os.kill(told["pid"], signal.SIGKILL)
    ended = house.task(task)
    assert ended["state"] == "failed"
    until(lambda: in_the_log(house, "messages.outcome_unknown", task))
    until(
        lambda: any(
            "left" in m["text"] or "ended" in m["text"] for m in house.ask("inbox", "--from", "asker")["messages"]
        )
    )
    house.agent("typist")
    assert house.send("typist", "PING new") == "PONG new"
    assert in_the_log(house, "messages.typing", task) == 1


def test_a_hub_killed_while_a_runner_types_hears_of_it_once_when_it_is_back(house: House) -> None:
    slow_to_submit(house, 1.0)
    house.agent("patient", "hesitant", "--answer", "reply")
    task = house.queue("patient", "PING through")
    until(lambda: in_the_log(house, "messages.typing", task))
    hub = house.pid
    os.kill(hub, signal.SIGKILL)
    until(lambda: house.pid not in (0, hub))
    assert house.task(task)["answer"] == "PONG through"
    assert in_the_log(house, "messages.delivered", task) == 1
    assert in_the_log(house, "messages.typing", task) == 1
    assert house.screen("patient").count("PING through") == 1


def test_after_the_death_of_a_hub_the_runners_start_one_and_the_queue_goes_on(house: House) -> None:
    for name in ("one", "two", "three"):
        house.agent(name)
    busy = house.queue("one", "SLOW 3 x")
    house.task(busy, "working")
    queued = [house.queue("one", f"PING {number}") for number in range(3)]
    dialog = house.queue("two", "RUN true")
    house.task(dialog, "input-required")
    hub = house.pid
    os.kill(hub, signal.SIGKILL)
    until(lambda: house.pid not in (0, hub))  # nobody but the runners is there to start it
    assert len(house.hubs()) == 1
    assert house.becomes("one", "PROCESSING")
    assert house.becomes("two", "WAITING")["choices"] == ["1 Yes", "2 No"]
    assert house.becomes("three", "READY")
    assert house.task(busy)["answer"].endswith("x")
    assert [house.task(id)["answer"] for id in queued] == [f"PONG {number}" for number in range(3)]


def test_a_hub_that_was_stopped_is_not_started_by_runners_but_found_again(house: House) -> None:
    told = house.agent("calm")
    assert house.synapse("serve", "--stop").returncode == 0
    time.sleep(3.0)  # nothing is to happen
    assert house.hubs() == []
    assert alive(told["pid"])
    house.serve()
    house.becomes("calm", "READY")
    assert house.send("calm", "PING x") == "PONG x"


def test_a_restart_keeps_agents_their_queue_and_what_they_answered_meanwhile(house: House) -> None:
    house.agent("steady")
    busy = house.queue("steady", "SLOW 1 x")
    house.task(busy, "working")
    queued = house.queue("steady", "PING y")
    before = house.pid
    assert house.synapse("restart").returncode == 0
    until(lambda: house.pid not in (0, before))
    assert house.task(busy)["answer"].endswith("x")
    assert house.task(queued)["answer"] == "PONG y"


def test_an_agent_that_ends_while_there_is_no_hub_is_not_there_when_one_comes(house: House) -> None:
    told = house.agent("brief")
    task = house.queue("brief", "SLOW 2 x")
    house.task(task, "working")
    assert house.synapse("serve", "--stop").returncode == 0
    os.kill(told["child_pid"], signal.SIGKILL)
    until(lambda: not alive(told["pid"]))
    house.serve()
    until(lambda: house.names() == [])
    assert house.task(task)["state"] == "failed"


def test_a_data_folder_that_is_gone_makes_the_agents_join_again(house: House) -> None:
    told = house.agent("anew")
    hub = house.pid
    os.kill(hub, signal.SIGKILL)
    for file in house.data.glob("synapse.db*"):
        file.unlink()
    until(lambda: house.pid not in (0, hub))
    until(lambda: house.names() == ["anew"])
    house.becomes("anew", "READY")
    found = house.status("anew")["agent"]
    assert (found["agent_id"], found["pid"]) == (told["id"], told["pid"])
    house.attach("anew").shows("demo - ? for help")
    assert house.send("anew", "PING x") == "PONG x"
