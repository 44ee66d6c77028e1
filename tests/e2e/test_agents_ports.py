"""Agents' own ports, with real runners and a hub that is a process."""

import json
import os
import re
import signal
import socket
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from synapse.runner.profile import BUILT_IN
from tests.core.server.test_ports import free_range, listens
from tests.e2e.agents_kit import House
from tests.e2e.hubs import until

PROFILE = (BUILT_IN / "demo.toml").read_text()


class Harbour(House):
    """A house whose agents have ports; `guest` is the demo agent with a range that no other test uses."""

    def __init__(self) -> None:
        super().__init__()
        self.env["SYNAPSE_HUB_AGENT_PORTS"] = "true"
        self.range = free_range()
        self.profile("guest", re.sub(r"(?m)^ports = .*$", f"ports = {list(self.range)}", PROFILE))


@pytest.fixture
def house() -> Iterator[Harbour]:
    house = Harbour()
    yield house
    house.close()


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def test_an_agent_has_a_port_until_its_runner_is_killed(house: Harbour) -> None:
    told = house.agent("bob", "guest")
    assert told["port"] == house.range[0]
    endpoint = house.status("bob")["agent"]["endpoint"]
    assert endpoint == f"http://127.0.0.1:{told['port']}"
    assert get(f"{endpoint}/.well-known/agent-card.json")["name"] == "bob"
    os.kill(told["pid"], signal.SIGKILL)
    until(lambda: not listens(told["port"]), 10.0)
    with socket.socket() as other:  # and anybody can have it
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", told["port"]))


def test_ten_started_at_once_have_ten_ports_although_others_have_some_of_the_range(house: Harbour) -> None:
    house.serve("--background")
    with socket.create_server(("127.0.0.1", house.range[0] + 2)):
        starting = [house.start("start", "--json", "guest") for _ in range(9)]
        said = [process.communicate(timeout=60) for process in starting]
        assert {process.returncode for process in starting} == {0}, said
        told = [json.loads(one) for one, _ in said]
        house.processes |= {pid for one in told for pid in (one["pid"], one["child_pid"])}
        ports = {one["port"] for one in told}
        assert ports == {*range(house.range[0], house.range[1] + 1)} - {house.range[0] + 2}
        names = {get(f"http://127.0.0.1:{port}/.well-known/agent-card.json")["name"] for port in ports}
        assert names == {f"guest-{port}" for port in ports}


def test_ports_are_back_with_the_hub_and_one_that_is_gone_is_told(house: Harbour) -> None:
    bob, eve = house.agent("bob", "guest"), house.agent("eve", "guest")
    assert house.synapse("serve", "--stop").returncode == 0
    until(lambda: not listens(eve["port"]))
    with socket.create_server(("127.0.0.1", eve["port"])):
        house.serve("--background")
        until(lambda: listens(bob["port"]))
        assert f"port {eve['port']}: another program listens there" in house.synapse("status").stdout.replace("  ", " ")
        doctor = house.synapse("doctor").stdout
        assert f"port {eve['port']}" in doctor
        until(lambda: house.status("eve")["live"]["status"] in ("READY", "DONE"))
        endpoint = house.status("eve")["agent"]["endpoint"]
        assert endpoint == f"http://127.0.0.1:{house.port}/agents/{eve['id']}"
        assert get(f"{endpoint}/.well-known/agent-card.json")["name"] == "eve"


def test_agents_can_be_without_ports(house: Harbour) -> None:
    house.serve("--background", "--no-agent-ports")
    with socket.create_server(("127.0.0.1", house.range[0])):
        told = house.agent("bob", "guest")
        assert told["port"] == house.range[0]  # a number, and nothing more
    assert not listens(told["port"])
    assert get(f"{house.status('bob')['agent']['endpoint']}/.well-known/agent-card.json")["name"] == "bob"


def test_a_port_of_another_program_cannot_be_wished_for(house: Harbour) -> None:
    house.serve("--background")
    with socket.create_server(("127.0.0.1", house.range[0])):
        done = house.synapse("start", "--port", str(house.range[0]), "guest")
    assert done.returncode == 1
    assert f"Another program listens on port {house.range[0]}" in done.stderr
