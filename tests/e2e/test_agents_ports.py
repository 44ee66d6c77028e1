"""Agents' own ports, with real runners and a hub that is a process."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.error
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


def get(url: str, token: str = "", context: ssl.SSLContext | None = None) -> Any:
    request = urllib.request.Request(url, headers={"X-API-Key": token} if token else {})
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
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


def test_where_others_may_come_its_port_has_the_hubs_tls_and_tokens(house: Harbour) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("not run: openssl is absent")
    cert, key, secret = house.data / "cert.pem", house.data / "key.pem", house.data / "tokens"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    secret.write_text("read:a-long-secret-1\n")
    secret.chmod(0o600)
    words = ("--host", "0.0.0.0", "--token-file", str(secret), "--tls-cert", str(cert), "--tls-key", str(key))
    house.serve("--background", *words, env={"SYNAPSE_ALLOW_LOCALHOST": "false"})
    told = house.agent("bob", "guest")
    context = ssl.create_default_context(cafile=str(cert))
    endpoint = house.status("bob")["agent"]["endpoint"]
    assert endpoint == f"https://127.0.0.1:{told['port']}"
    path = "/.well-known/agent-card.json"
    card = get(f"https://localhost:{told['port']}{path}", "a-long-secret-1", context)
    assert card["supportedInterfaces"][0]["url"] == f"https://localhost:{told['port']}"
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"{endpoint}/tasks", context=context)
    with refused.value as answer:
        assert answer.code == 401
    with pytest.raises(OSError):  # noqa: PT011 - not TLS: the connection ends, in one way or another
        get(f"http://127.0.0.1:{told['port']}{path}")
