"""Where no agent and no path is, a client of the protocol is told so in the protocol's words, and everybody else in ours."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.client import ClientConfig, ClientFactory
from a2a.client.errors import A2AClientError
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import MethodNotFoundError

from synapse.server.app import Options, Server
from tests.core.a2a import schema
from tests.core.server.conftest import House
from tests.core.server.webs import Answer, http, url

SPOKEN: list[dict[str, str]] = [
    {"A2A-Version": "1.0"},
    {"Accept": "application/a2a+json"},
    {"Content-Type": "application/a2a+json"},
]
CALL = {"jsonrpc": "2.0", "id": "one", "method": "GetTask", "params": {"id": "t-1"}}


@pytest.fixture
async def house(folder: Path) -> AsyncIterator[House]:
    async with Server(Options(str(folder), port=0, rate=0, test_agent=True)) as server:
        yield House(server)


def rest(answer: Answer, status: int, code: str) -> None:
    """A refusal of HTTP+JSON."""
    assert answer.status == status
    schema.refuses(answer.body, status)
    assert answer.body["error"]["details"][0]["metadata"]["code"] == code


def rpc(answer: Answer, status: int, code: str, id: Any = "one") -> None:
    """A refusal of JSON-RPC."""
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/json"
    schema.answers("GetTask", answer.body, id)
    assert answer.body["error"]["data"][0]["metadata"]["code"] == code


@pytest.mark.parametrize("spoken", SPOKEN, ids=str)
@pytest.mark.parametrize("path", ["/tasks", "/tasks/t-1", "/nothing/at/all", "/.well-known/agent-card.json"])
async def test_who_speaks_http_json_is_told_of_an_agent_that_is_not_there(
    house: House, spoken: dict[str, str], path: str
) -> None:
    answer = await http(house, "GET", f"/agents/nobody{path}", headers=spoken)
    rest(answer, 404, "no_such_path" if "nothing" in path else "no_such_agent")
    kind = "application/a2a+json" if "a2a+json" in str(spoken) else "application/json"
    assert answer.headers["Content-Type"] == kind


async def test_a_path_of_the_protocol_alone_says_enough(house: House) -> None:
    for method, path in (("POST", "/message:send"), ("GET", "/extendedAgentCard"), ("POST", "/tasks/t-1:cancel")):
        rest(await http(house, method, f"/agents/nobody{path}"), 404, "no_such_agent")


async def test_a_path_that_an_agent_has_not_is_told_as_well(house: House) -> None:
    for headers in SPOKEN:
        rest(await http(house, "GET", "/agents/tck/no/such", headers=headers), 404, "no_such_path")
    wrong = await http(house, "PUT", "/agents/tck/tasks", headers=SPOKEN[0])
    rest(wrong, 405, "wrong_method")
    assert wrong.headers["Allow"]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("headers", [{}, {"A2A-Version": "1.0"}], ids=["0.3", "1.0"])
async def test_who_calls_by_json_rpc_is_answered_by_json_rpc(house: House, slash: str, headers: dict[str, str]) -> None:
    rpc(await http(house, "POST", f"/agents/nobody{slash}", json=CALL, headers=headers), 404, "no_such_agent")
    for path in ("/agents/tck/rpc", "/agents/nobody/a2a/v1"):
        rpc(await http(house, "POST", path, json=CALL, headers=headers), 404, "no_such_path")
    broken = {**headers, "Content-Type": "application/json"}
    rpc(await http(house, "POST", f"/agents/nobody{slash}", data=b"{", headers=broken), 404, "no_such_agent", None)


async def test_everybody_else_is_told_in_our_own_words(house: House) -> None:
    for method, path, code in (
        ("GET", "/agents/nobody/tasks", "no_such_agent"),
        ("GET", "/agents/nobody/status", "no_such_agent"),
        ("GET", "/agents/nobody/.well-known/agent-card.json", "no_such_agent"),
        ("POST", "/agents/nobody/tasks/send", "no_such_agent"),
        ("GET", "/agents/tck/no/such", "no_such_path"),
        ("POST", "/agents/tck/no/such", "no_such_path"),
        ("GET", "/agents", "no_such_path"),
    ):
        answer = await http(house, method, path, json={"text": "x"} if method == "POST" else None)
        assert (answer.status, answer.code) == (404, code), path
    elsewhere = await http(house, "GET", "/no/such", headers=SPOKEN[0])
    assert (elsewhere.status, elsewhere.code) == (404, "no_such_path")


async def test_who_may_not_come_in_is_told_so_in_its_own_words_and_its_request_is_not_read(house: House) -> None:
    stranger = {"A2A-Version": "1.0", "X-API-Key": "no such token"}
    turned_away = await http(house, "GET", "/agents/tck/tasks", headers=stranger)
    rest(turned_away, 401, "unknown_token")
    assert turned_away.headers["WWW-Authenticate"] == "Bearer"
    rpc(await http(house, "POST", "/agents/tck", json=CALL, headers=stranger), 401, "unknown_token", None)
    plain = await http(house, "GET", "/agents/tck/tasks", headers={"X-API-Key": "no such token"})
    assert (plain.status, plain.code) == (401, "unknown_token")


async def test_while_the_hub_reads_its_log_nobody_is_said_not_to_be_there(house: House) -> None:
    hub = house.server.core.hub
    hub.suspended = True
    try:
        for name in ("tck", "nobody"):
            answer = await http(house, "GET", f"/agents/{name}/tasks", headers=SPOKEN[0])
            rest(answer, 503, "recovering")
            assert answer.headers["Retry-After"] == "1"
            rpc(await http(house, "POST", f"/agents/{name}", json=CALL, headers=SPOKEN[0]), 503, "recovering")
            plain = await http(house, "GET", f"/agents/{name}/tasks")
            assert (plain.status, plain.code) == (503, "recovering")
    finally:
        hub.suspended = False


async def test_a_request_that_is_none_is_refused_as_anywhere(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.core.hub.place.port)
    head = f"POST /agents/nobody HTTP/1.1\r\nHost: {url(house).removeprefix('http://')}\r\nA2A-Version: 1.0\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n".encode())
    told = await asyncio.wait_for(reader.read(), 10)
    assert told.startswith(b"HTTP/1.0 400 ")
    assert b'"bad_http"' in told
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_the_official_client_understands_it(house: House, binding: str) -> None:
    interface = pb.AgentInterface(url=url(house, "/agents/nobody"), protocol_binding=binding, protocol_version="1.0")
    card = pb.AgentCard(name="nobody", supported_interfaces=[interface])
    async with httpx.AsyncClient(headers={"A2A-Version": "1.0"}, verify=False) as connection:
        config = ClientConfig(streaming=False, httpx_client=connection, supported_protocol_bindings=[binding])
        client = ClientFactory(config).create(card)
        with pytest.raises((MethodNotFoundError, A2AClientError), match=r"404|There is no agent 'nobody' here"):
            await client.get_task(pb.GetTaskRequest(id="t-1"))
