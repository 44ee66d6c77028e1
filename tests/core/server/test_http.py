"""`/health` and `/ready`: the process is alive; the hub takes changes."""

import json
from typing import Any

from aiohttp import ClientSession

from tests.core.server.conftest import House


async def ask(house: House, path: str) -> tuple[int, dict[str, Any]]:
    url = f"http://127.0.0.1:{house.server.core.hub.place.port}{path}"
    async with ClientSession() as session, session.get(url) as response:
        return response.status, json.loads(await response.text())


async def test_a_hub_that_is_alive_says_so(house: House) -> None:
    status, body = await ask(house, "/health")
    assert (status, body["status"]) == (200, "ok")


async def test_a_hub_that_takes_changes_is_ready(house: House) -> None:
    assert await ask(house, "/ready") == (200, {"status": "ok", "reason": ""})


async def test_a_hub_that_cannot_store_is_alive_and_not_ready(house: House) -> None:
    house.server.core.hub.read_only = "The disk is full."
    assert await ask(house, "/ready") == (503, {"status": "unavailable", "reason": "The disk is full."})
    assert (await ask(house, "/health"))[0] == 200
    house.server.core.hub.read_only = ""
