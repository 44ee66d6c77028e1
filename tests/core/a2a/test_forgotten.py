"""An agent elsewhere that has forgotten a conversation: the message begins a new one there, and nothing is done twice."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from synapse.a2a.peers import Peers
from synapse.testing import Bench

INFO = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "a2a-protocol.org"}
FIELD = {
    "@type": "type.googleapis.com/google.rpc.BadRequest",
    "fieldViolations": [{"field": "message.contextId", "description": "unknown"}],
}


class Far:
    """A server that takes only the contexts that it has made itself, since `forget`; each message is noted."""

    def __init__(self, binding: str, error: dict[str, Any]) -> None:
        self.binding = binding
        self.error = error
        self.heard: list[tuple[str, str]] = []  # message and context
        self.refusing = False
        self._contexts: list[str] = []
        app = web.Application()
        app.router.add_get("/.well-known/agent-card.json", self._card)
        app.router.add_post("/rpc", self._rpc)
        app.router.add_post("/rest/message:send", self._rest)
        self.server = TestServer(app)

    def forget(self) -> None:
        self._contexts.clear()

    async def _card(self, request: web.Request) -> web.Response:
        path = "/rpc" if self.binding == "JSONRPC" else "/rest"
        interface = {
            "url": str(self.server.make_url(path)),
            "protocolBinding": self.binding,
            "protocolVersion": "1.0",
        }
        return web.json_response({"name": "far", "supportedInterfaces": [interface], "skills": []})

    def _task(self, message: dict[str, Any]) -> dict[str, Any] | None:
        context = message.get("contextId", "")
        self.heard.append((message["messageId"], context))
        if self.refusing or (context and context not in self._contexts):
            return None
        if not context:
            context = f"theirs-{len(self.heard)}"
            self._contexts.append(context)
        said = {"messageId": "s", "role": "ROLE_AGENT", "parts": [{"text": f"in {context}"}]}
        return {"id": f"r-{len(self.heard)}", "contextId": context,
                "status": {"state": "TASK_STATE_COMPLETED", "message": said}}  # fmt: skip

    async def _rpc(self, request: web.Request) -> web.Response:
        asked = await request.json()
        found = self._task(asked["params"]["message"])
        told = {"result": {"task": found}} if found else {"error": self.error}
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], **told})

    async def _rest(self, request: web.Request) -> web.Response:
        found = self._task((await request.json())["message"])
        if found:
            return web.json_response({"task": found})
        return web.json_response({"error": self.error}, status=self.error["code"])


class Desk:
    """A person who talks to the far agent."""

    def __init__(self, bench: Bench, far: Far) -> None:
        self.far = far
        self.kim = bench.person()

    async def says(self, text: str, context: str = "c-ours") -> dict[str, Any]:
        """What becomes of a message in a conversation."""
        task = (await self.kim("tasks.submit", to="far", text=text, context=context))["task_id"]
        await self.kim("tasks.wait", task=task, timeout=15)
        found: dict[str, Any] = await self.kim("tasks.get", task=task)
        return found


@pytest.fixture
async def desk(request: pytest.FixtureRequest, bench: Bench, tmp_path: Path) -> AsyncIterator[Desk]:
    far = Far(*request.param)
    await far.server.start_server()
    peers = Peers(bench.hub, tmp_path)
    peers.open()
    desk = Desk(bench, far)
    await desk.kim("external.add", url=str(far.server.make_url("/")), alias="far")
    yield desk
    await peers.close()
    await far.server.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = await Bench().open()
    yield bench
    await bench.close()


ABOUT_CONTEXT = [
    ("JSONRPC", {"code": -32602, "message": "bad context id"}),
    ("JSONRPC", {"code": -32602, "message": "No.", "data": [INFO | {"reason": "INVALID_PARAMS"}, FIELD]}),
    ("JSONRPC", {"code": -32001, "message": "Task not found"}),
    ("JSONRPC", {"code": -32004, "message": "A contextId of its own is not taken."}),
    ("HTTP+JSON", {"code": 400, "status": "INVALID_ARGUMENT", "message": "contextId: it is not known."}),
    ("HTTP+JSON", {"code": 404, "status": "NOT_FOUND", "message": "There is none."}),
    ("HTTP+JSON", {"code": 400, "message": "No.", "details": [INFO | {"reason": "INVALID_PARAMS"}, FIELD]}),
]


@pytest.mark.parametrize("desk", ABOUT_CONTEXT, indirect=True, ids=str)
async def test_the_message_begins_a_new_conversation_there_which_goes_on(desk: Desk) -> None:
    assert (await desk.says("one"))["answer"][0]["value"] == "in theirs-1"
    desk.far.forget()
    told = await desk.says("two")
    assert (told["state"], told["context"]) == ("completed", "c-ours")
    assert told["answer"][0]["value"] == "in theirs-3"
    assert [context for _, context in desk.far.heard] == ["", "theirs-1", ""]
    assert len({message for message, _ in desk.far.heard}) == 2
    assert (await desk.says("three"))["answer"][0]["value"] == "in theirs-3"
    assert len(desk.far.heard) == 4


@pytest.mark.parametrize("desk", ABOUT_CONTEXT[:1] + ABOUT_CONTEXT[4:5], indirect=True, ids=str)
async def test_it_is_tried_once_and_then_told_as_it_was_said(desk: Desk) -> None:
    await desk.says("one")
    desk.far.refusing = True
    told = await desk.says("two")
    assert (told["state"], told["reason"]) == ("failed", "refused")
    assert desk.far.error["message"] in told["status"]["parts"][0]["value"]
    assert len(desk.far.heard) == 3


OTHERS = [
    ("JSONRPC", {"code": -32602, "message": "parts: too many"}),
    ("JSONRPC", {"code": -32005, "message": "no such content type in this context"}),
    ("JSONRPC", {"code": -32603, "message": "the context store is broken"}),
    ("HTTP+JSON", {"code": 403, "status": "PERMISSION_DENIED", "message": "not in your context"}),
]


@pytest.mark.parametrize("desk", OTHERS, indirect=True, ids=str)
async def test_any_other_refusal_is_not_asked_again(desk: Desk) -> None:
    await desk.says("one")
    desk.far.refusing = True
    told = await desk.says("two")
    assert (told["state"], told["reason"]) == ("failed", "refused")
    assert len(desk.far.heard) == 2


@pytest.mark.parametrize("desk", ABOUT_CONTEXT[:3], indirect=True, ids=str)
async def test_where_none_was_sent_there_is_none_to_leave_out(desk: Desk) -> None:
    desk.far.refusing = True
    told = await desk.says("one")
    assert told["state"] == "failed"
    assert len(desk.far.heard) == 1
