"""Clients of the doors on TCP, for tests: HTTP and WebSocket."""

import json
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

from tests.core.server.conftest import House


def url(house: House, path: str = "") -> str:
    return f"http://127.0.0.1:{house.server.core.hub.place.port}{path}"


class Answer:
    """What came back over HTTP."""

    def __init__(self, status: int, headers: Any, content: bytes) -> None:
        self.status = status
        self.headers = headers
        self.content = content

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    @property
    def code(self) -> str:
        """The code of a refusal; "" when it is none."""
        refused = self.headers.get("Content-Type", "").startswith("application/problem+json")
        return str(self.body["code"]) if refused else ""


async def http(house: House, method: str, path: str, **more: Any) -> Answer:
    async with ClientSession() as session, session.request(method, url(house, path), **more) as response:
        return Answer(response.status, response.headers, await response.read())


async def post(house: House, verb: str, headers: Any = None, **body: Any) -> Answer:
    return await http(house, "POST", f"/api/{verb}", json=body, headers=headers)


class Socket:
    """A WebSocket, asked as a peer of the local socket is."""

    def __init__(self, session: ClientSession, socket: ClientWebSocketResponse) -> None:
        self._session = session
        self.socket = socket
        self.told: list[dict[str, Any]] = []

    async def frame(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.socket.receive_str(timeout=10))
        return found

    async def ask(self, method: str, id: Any = 1, **params: Any) -> dict[str, Any]:
        await self.socket.send_str(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
        while True:
            frame = await self.frame()
            if frame.get("id") == id and "method" not in frame:
                return frame
            self.told.append(frame)

    async def event(self) -> dict[str, Any]:
        """The next event that it is told."""
        while True:
            frame = self.told.pop(0) if self.told else await self.frame()
            if frame.get("method") == "event":
                event: dict[str, Any] = frame["params"]
                return event

    async def close(self) -> None:
        await self.socket.close()
        await self._session.close()


async def websocket(house: House, query: str = "", **more: Any) -> Socket:
    session = ClientSession()
    try:
        return Socket(session, await session.ws_connect(url(house, f"/ws{query}"), **more))
    except BaseException:
        await session.close()
        raise
