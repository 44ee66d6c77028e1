"""One name in two workspaces: whoever asks over HTTP says which is meant, by a header, in the query, or by the id."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from synapse.server.app import Options, Server
from tests.core.server.conftest import House
from tests.core.server.webs import Answer, http, post, url

MESSAGE = {"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": "paint it"}]}
SPEAKS = {"A2A-Version": "1.0"}


@pytest.fixture
async def house(folder: Path) -> AsyncIterator[House]:
    """A hub with a bob in the barn and one in the shed, and an ann in the barn alone; none has a terminal."""
    async with Server(Options(str(folder), port=0, rate=0)) as server:
        house = House(server)
        for name, place in (("bob", "barn"), ("bob", "shed"), ("ann", "barn")):
            await post(house, "agents.here", headers={"Synapse-From": name, "Synapse-Workspace": place})
        yield house
        await house.close()


@pytest.fixture
async def wrapped(house: House) -> House:
    """... and an eve in either, who has a terminal; whoever asks is one of them."""
    for place in ("barn", "shed"):
        runner = await house.guest(runner=True)
        asked = {"profile": "claude", "name": "eve", "workspace": place, "ports": [8100, 8199]}
        joined = (await runner.ask("agents.join", **asked))["result"]
        await runner.ask("agents.attach", key=joined["key"], live={"status": "READY"})
    return house


async def sent(house: House, name: str, headers: dict[str, str] | None = None, query: str = "") -> Answer:
    """A message to whoever has a name."""
    body = {"message": MESSAGE, "configuration": {"returnImmediately": True}}
    path = f"/agents/{name}/message:send{query}"
    return await http(house, "POST", path, json=body, headers={**SPEAKS, **(headers or {})})


async def tasks(house: House, name: str, place: str) -> list[Any]:
    """The tasks of an agent in a workspace."""
    found = await http(house, "GET", f"/agents/{name}/tasks", headers={**SPEAKS, "Synapse-Workspace": place})
    assert found.status == 200
    return [one["id"] for one in found.body["tasks"]]


async def test_the_header_says_which_of_two_is_meant(house: House) -> None:
    for place, other in (("barn", "shed"), ("shed", "barn")):
        before = await tasks(house, "bob", other)
        answer = await sent(house, "bob", {"Synapse-Workspace": place})
        assert answer.status == 200
        assert answer.body["task"]["id"] in await tasks(house, "bob", place)
        assert await tasks(house, "bob", other) == before


async def test_so_does_the_query_and_it_goes_before_the_header(house: House) -> None:
    answer = await sent(house, "bob", {"Synapse-Workspace": "barn"}, "?workspace=shed")
    assert answer.body["task"]["id"] in await tasks(house, "bob", "shed")
    assert not await tasks(house, "bob", "barn")


@pytest.mark.parametrize("elsewhere", ["", "attic"])
@pytest.mark.parametrize("name", ["bob", "eve"])
async def test_without_one_that_has_it_the_choice_is_told(wrapped: House, elsewhere: str, name: str) -> None:
    headers = {"Synapse-Workspace": elsewhere} if elsewhere else {}
    answer = await sent(wrapped, name, headers)
    assert answer.status == 404
    error = answer.body["error"]
    assert error["details"][0]["metadata"]["code"] == "ambiguous"
    assert "Synapse-Workspace" in error["message"]
    plain = await http(wrapped, "GET", f"/agents/{name}/status", headers=headers)
    assert (plain.status, plain.code) == (404, "ambiguous")


async def test_of_one_that_is_there_only_once_nothing_needs_to_be_said(house: House) -> None:
    for headers in ({}, {"Synapse-Workspace": "barn"}, {"Synapse-Workspace": "attic"}):
        assert (await sent(house, "ann", headers)).status == 200


@pytest.mark.parametrize("name", ["bob", "eve"])
async def test_the_address_in_the_card_means_the_chosen_one_without_the_header(wrapped: House, name: str) -> None:
    path = f"/agents/{name}/.well-known/agent-card.json"
    addresses = []
    for place in ("barn", "shed"):
        card = (await http(wrapped, "GET", path, headers={"Synapse-Workspace": place})).body
        addresses.append(card["supportedInterfaces"][0]["url"].removeprefix(url(wrapped)))
        again = (await http(wrapped, "GET", f"{addresses[-1]}/.well-known/agent-card.json")).body
        assert again == card
    assert len(set(addresses)) == 2
