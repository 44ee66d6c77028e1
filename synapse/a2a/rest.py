"""The HTTP+JSON binding (A2A 1.0 §11)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web
from msgspec import json

from synapse.a2a import wire
from synapse.a2a.errors import A2AError
from synapse.a2a.feed import Item
from synapse.a2a.handlers import Call, Handlers
from synapse.a2a.reading import ListIn, PushIn, PushNameIn, SendIn, TaskIn, read

Answer = Callable[[web.Request, Call], Awaitable[web.StreamResponse]]


class Rest:
    """Answers the paths below one agent's URL."""

    def __init__(self, handlers: Handlers, card: Callable[[web.Request], dict[str, Any]]) -> None:
        self._handlers = handlers
        self._card = card

    def routes(self) -> list[tuple[str, str, Answer]]:
        """Method, path and answer of each operation."""
        configs, config = "/tasks/{id}/pushNotificationConfigs", "/tasks/{id}/pushNotificationConfigs/{config}"
        return [
            ("POST", "/message:send", self._told(self._send)),
            ("POST", "/message:stream", self._told(self._stream)),
            ("GET", "/tasks", self._told(self._list)),
            ("POST", "/tasks/{id}:cancel", self._told(self._cancel)),
            ("POST", "/tasks/{id}:subscribe", self._told(self._subscribe)),
            ("GET", "/tasks/{id}:subscribe", self._told(self._subscribe)),
            ("GET", "/tasks/{id}", self._told(self._get)),
            ("POST", configs, self._told(self._set_push)),
            ("GET", configs, self._told(self._list_push)),
            ("GET", config, self._told(self._get_push)),
            ("DELETE", config, self._told(self._delete_push)),
            ("GET", "/extendedAgentCard", self._told(self._extended_card)),
        ]

    @staticmethod
    def _told(answer: Answer) -> Answer:
        """The version looked at first, and refusals as the binding tells them."""

        async def told(request: web.Request, call: Call) -> web.StreamResponse:
            try:
                wire.version_of(request)
                return await answer(request, call)
            except A2AError as error:
                return refused(request, error)

        return told

    async def _send(self, request: web.Request, call: Call) -> web.StreamResponse:
        return _reply(request, await self._handlers.send(call, read(SendIn, await _body(request))))

    async def _stream(self, request: web.Request, call: Call) -> web.StreamResponse:
        return await _streamed(request, await self._handlers.stream(call, read(SendIn, await _body(request))))

    async def _list(self, request: web.Request, call: Call) -> web.StreamResponse:
        return _reply(request, await self._handlers.list(call, read(ListIn, dict(request.query))))

    async def _get(self, request: web.Request, call: Call) -> web.StreamResponse:
        return _reply(request, await self._handlers.get(call, read(TaskIn, _named(request, id="id"))))

    async def _cancel(self, request: web.Request, call: Call) -> web.StreamResponse:
        sent = await _body(request) if request.can_read_body else {}
        if not isinstance(sent, dict):
            raise A2AError("INVALID_PARAMS", "The body is a JSON object.")
        return _reply(request, await self._handlers.cancel(call, read(TaskIn, sent | _named(request, id="id"))))

    async def _subscribe(self, request: web.Request, call: Call) -> web.StreamResponse:
        return await _streamed(request, await self._handlers.subscribe(call, read(TaskIn, _named(request, id="id"))))

    async def _set_push(self, request: web.Request, call: Call) -> web.StreamResponse:
        sent = await _body(request)
        if not isinstance(sent, dict):
            raise A2AError("INVALID_PARAMS", "The body is a JSON object.")
        config = read(PushIn, sent)
        config.task_id = request.match_info["id"]
        return _reply(request, await self._handlers.set_push(call, config))

    async def _list_push(self, request: web.Request, call: Call) -> web.StreamResponse:
        return _reply(request, await self._handlers.list_push(call, read(PushNameIn, _named(request, id="taskId"))))

    async def _get_push(self, request: web.Request, call: Call) -> web.StreamResponse:
        wanted = read(PushNameIn, _named(request, id="taskId", config="id"))
        return _reply(request, await self._handlers.get_push(call, wanted))

    async def _delete_push(self, request: web.Request, call: Call) -> web.StreamResponse:
        wanted = read(PushNameIn, _named(request, id="taskId", config="id"))
        return _reply(request, await self._handlers.delete_push(call, wanted))

    async def _extended_card(self, request: web.Request, call: Call) -> web.StreamResponse:
        return _reply(request, self._card(request))


async def _body(request: web.Request) -> Any:
    return await wire.body_of(request, "application/json", wire.MEDIA_TYPE)


def _named(request: web.Request, **names: str) -> dict[str, Any]:
    """The query, and what the path names under the names that the operation has for it."""
    return dict(request.query) | {to: request.match_info[name] for name, to in names.items()}


def _reply(request: web.Request, content: Any) -> web.Response:
    return wire.respond(content, media_type=wire.MEDIA_TYPE if wire.wants_a2a(request) else "application/json")


async def _streamed(request: web.Request, items: AsyncIterator[Item | None]) -> web.StreamResponse:
    return await wire.stream(request, items, lambda item: item.json, lambda error: json.encode(error.rest()))


def refused(request: web.Request, error: A2AError) -> web.Response:
    """A refusal as this binding tells it."""
    media_type = wire.MEDIA_TYPE if wire.wants_a2a(request) else "application/json"
    response = wire.respond(error.rest(), status=error.status, media_type=media_type)
    if error.retry_after:
        response.headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return response
