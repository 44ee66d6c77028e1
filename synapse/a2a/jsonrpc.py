"""The JSON-RPC binding (A2A 1.0 §9), and the methods of 0.3 at the same URL: a slash in the name tells them apart."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web
from msgspec import Struct, json

from synapse.a2a import v03, wire
from synapse.a2a.errors import A2AError
from synapse.a2a.feed import Item
from synapse.a2a.handlers import Call, Handlers
from synapse.a2a.reading import CardIn, ListIn, PushIn, PushNameIn, SendIn, TaskIn, read

logger = logging.getLogger(__name__)

Single = Callable[[Call, Any], Awaitable[Any]]
Streaming = Callable[[Call, Any], Awaitable[AsyncIterator[Item | None]]]
Card = Callable[[web.Request], dict[str, Any]]


class JsonRpc:
    """Answers one agent's URL."""

    def __init__(self, handlers: Handlers, card: Card) -> None:
        self._card = card
        self._single: dict[str, tuple[type[Struct], Single]] = {
            "SendMessage": (SendIn, handlers.send),
            "GetTask": (TaskIn, handlers.get),
            "ListTasks": (ListIn, handlers.list),
            "CancelTask": (TaskIn, handlers.cancel),
            "CreateTaskPushNotificationConfig": (PushIn, handlers.set_push),
            "GetTaskPushNotificationConfig": (PushNameIn, handlers.get_push),
            "ListTaskPushNotificationConfigs": (PushNameIn, handlers.list_push),
            "DeleteTaskPushNotificationConfig": (PushNameIn, handlers.delete_push),
        }
        self._streaming: dict[str, tuple[type[Struct], Streaming]] = {
            "SendStreamingMessage": (SendIn, handlers.stream),
            "SubscribeToTask": (TaskIn, handlers.subscribe),
        }

    async def answer(self, request: web.Request, call: Call) -> web.StreamResponse:
        """One request."""
        id: Any = None
        try:
            found = await wire.body_of(request, "application/json", wire.MEDIA_TYPE)
            id, method, params = _envelope(found)
            wire.version_of(request)
            return await self._asked(request, call, id, method, params)
        except A2AError as error:
            status = error.status if error.status in (413, 415) else 200
            return _refused(id, error, status)

    async def _asked(self, request: web.Request, call: Call, id: Any, method: str, params: Any) -> web.StreamResponse:
        old = v03.METHODS.get(method)
        to = old.method if old else method
        if to == "GetExtendedAgentCard":
            read(CardIn, params)
            card = self._card(request)
            return _result(id, v03.card(card) if old else card)
        params = old.params(params) if old else params
        if to in self._single:
            kind, handle = self._single[to]
            result = await handle(call, read(kind, params))
            return _result(id, old.result(result) if old else result)
        if to in self._streaming:
            kind, start = self._streaming[to]
            head = b'{"jsonrpc":"2.0","id":%b,"result":' % json.encode(id)
            items = await start(call, read(kind, params))

            def frame(item: Item) -> bytes:
                return head + (json.encode(v03.item(item.value)) if old else item.json) + b"}"

            return await wire.stream(request, items, frame, lambda error: _error(id, error))
        raise A2AError("METHOD_NOT_FOUND", f"There is no method {method[:80]!r}: A2A 1.0 and 0.3 are spoken here.")


def _envelope(found: Any) -> tuple[Any, str, Any]:
    """Id, method and parameters of a JSON-RPC 2.0 request."""
    if not isinstance(found, dict) or found.get("jsonrpc") != "2.0" or not isinstance(found.get("method"), str):
        raise A2AError("INVALID_REQUEST", 'One JSON-RPC 2.0 request is needed: {"jsonrpc":"2.0","id":1,"method":...}.')
    id = found.get("id")
    if not isinstance(id, str | int | float | None) or isinstance(id, bool):
        raise A2AError("INVALID_REQUEST", "An id is a text or a number.")
    params = found.get("params")
    return id, found["method"], {} if params is None else params


def _result(id: Any, result: Any) -> web.Response:
    return wire.respond({"jsonrpc": "2.0", "id": id, "result": result})


def _error(id: Any, error: A2AError) -> bytes:
    return json.encode({"jsonrpc": "2.0", "id": id, "error": error.jsonrpc()})


def _refused(id: Any, error: A2AError, status: int) -> web.Response:
    response = web.Response(body=_error(id, error), status=status, content_type="application/json")
    if error.retry_after:
        response.headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return response
