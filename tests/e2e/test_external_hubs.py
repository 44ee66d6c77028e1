"""Two hubs: an agent of one is an agent elsewhere to the other."""

from collections.abc import Iterator

import pytest

from tests.e2e.agents_kit import House
from tests.e2e.external_kit import ask, kill_hub, send, task
from tests.e2e.hubs import HubProcess, until


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


def test_agents_of_two_hubs_work_together(house: House, hub_process: HubProcess) -> None:
    house.agent("bob")
    hub = hub_process
    added = ask(hub, "external", "add", f"http://localhost:{house.port}/agents/bob")
    assert (added["alias"], added["protocol"], added["streaming"]) == ("bob", "1.0", True)
    done = hub.synapse("send", "bob", "6*7", "--wait", "--timeout", "20")
    assert done.stdout.strip() == "42", done.stderr

    asked = send(hub, "bob", "RUN echo from the other side")
    shown = task(hub, asked, "input-required")
    assert shown["state"] == "input-required"
    [item] = ask(hub, "waiting")
    assert "echo from the other side" in item["what"]
    assert item["choices"] == ["1 Yes", "2 No"]
    assert hub.synapse("external", "answer", asked, "yes").returncode == 0
    assert task(hub, asked)["answer"] == "from the other side"

    failed = task(hub, send(hub, "bob", "FAIL on purpose"))
    assert failed["state"] in ("failed", "completed")

    hanging = send(hub, "bob", "HANG")
    house.becomes("bob", "PROCESSING")
    with hub.peer() as peer:
        peer.hello()
        peer.ask("tasks.cancel", task=hanging)
    house.becomes("bob", "READY")


def test_either_hub_may_be_killed_meanwhile(house: House, hub_process: HubProcess) -> None:
    house.agent("bob")
    hub = hub_process
    ask(hub, "external", "add", f"http://localhost:{house.port}/agents/bob")
    one, two = send(hub, "bob", "SLOW 5 first"), send(hub, "bob", "SLOW 1 second")
    house.becomes("bob", "PROCESSING")
    until(lambda: linked(hub) == 2)  # what is on its way just now would have an unknown outcome
    kill_hub(hub)
    until(lambda: hub.call("external.list")["agents"][0]["tasks"] == 2)
    house.kill()
    assert house.ask("list")  # the runner comes back to the next one
    assert task(hub, one)["answer"].endswith("first")
    assert task(hub, two)["answer"].endswith("second")
    asked = [one for one in house.ask("history")["tasks"] if one["agent"] == "bob"]
    assert len(asked) == 2


def linked(hub: HubProcess) -> int:
    """How many tasks are known by their ids over there."""
    return [event["kind"] for event in hub.call("events.page", last=100)["events"]].count("external.linked")
