"""The simple paths of an agent: plain JSON for scripts (features A3 and A8). Each is a face of an A2A operation or a verb."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import hdrs, web
from msgspec import json

from synapse import ids
from synapse.a2a import model, wire
from synapse.a2a.errors import A2AError, invalid
from synapse.a2a.feed import Item
from synapse.a2a.handlers import Call, Handlers
from synapse.a2a.reading import ListIn, SendIn, TaskIn, decimal, read
from synapse.a2a.v03 import STATES
from synapse.hub.views import TaskView

Answer = Callable[[web.Request, Call], Awaitable[web.StreamResponse]]
READY = frozenset({"READY", "DONE"})
RETRY_AFTER = 5  # seconds
URGENT = 5


class Simple:
    """Answers the simple paths below one agent's URL."""

    def __init__(self, handlers: Handlers, status: Callable[[str], dict[str, Any] | None]) -> None:
        self._handlers = handlers
        self._status = status  # of the agent at a box; None while it is not here

    def routes(self) -> list[tuple[str, str, Answer]]:
        """Method, path and answer; `GET /tasks` and `GET /tasks/{id}` are shared with the protocol's own binding."""
        return [
            ("POST", "/tasks/send", told(self._send)),
            ("POST", "/tasks/send-priority", told(self._send)),
            ("POST", "/tasks/create", told(self._send)),
            ("POST", "/tasks/{id}/cancel", told(self._cancel)),
            ("POST", "/tasks/{id}/approve", told(self._approve)),
            ("POST", "/tasks/{id}/reject", told(self._reject)),
            ("GET", "/tasks/{id}/subscribe", told(self._subscribe)),
            ("GET", "/status", told(self._tell_status)),
            ("GET", "/reply-stack/get", told(self._asker)),
            ("GET", "/reply-stack/pop", told(self._asker)),
        ]

    async def list(self, request: web.Request, call: Call) -> web.StreamResponse:
        """The newest tasks."""
        query = dict(request.query)
        wanted = read(
            ListIn, {name: query[name] for name in ("context_id", "page_size", "page_token") if name in query}
        )
        state = query.get("status", "").replace("_", "-")
        if state:
            if state not in model.STATES:
                raise invalid("status", f"{state[:40]!r} is none of {', '.join(model.STATES)}.")
            wanted.status = model.STATES[state]
        found, views = await self._handlers.page(call, wanted)
        tasks = [task(view) for view in views]
        return wire.respond({"tasks": tasks, "next_page_token": found.get("next", ""), "total": found.get("total", 0)})

    async def get(self, request: web.Request, call: Call) -> web.StreamResponse:
        """One task."""
        return wire.respond({"task": task(await call.view(request.match_info["id"]))})

    async def _send(self, request: web.Request, call: Call) -> web.StreamResponse:
        found = await wire.body_of(request, "application/json")
        if not isinstance(found, dict):
            raise A2AError(
                "INVALID_PARAMS", 'The body is a JSON object: {"message": {"parts": [...]}}, or {"text": "..."}.'
            )
        metadata = _object(found.get("metadata"))
        priority = decimal(str(request.query.get("priority", found.get("priority", 3))))
        if not 1 <= priority <= URGENT:
            raise invalid("priority", "from 1 (low) to 5 (interrupts first).")
        message = _message(found, metadata | {"priority": priority})
        queue = request.query.get("queue", "true").lower()
        if queue not in ("true", "false"):
            raise invalid("queue", f"true or false, not {queue[:40]!r}.")
        if queue == "false" and priority < URGENT and not message.get("taskId"):
            self._check_ready(call)
        id = await self._handlers.submit(call, read(SendIn, {"message": message}))
        return wire.respond({"task": task(await call.view(id))})

    def _check_ready(self, call: Call) -> None:
        status = self._status(call.box)
        if status is None or status["status"] not in READY:
            error = A2AError("UNAVAILABLE", "The agent is not ready, and `queue=false` asks not to wait for it.")
            error.retry_after = RETRY_AFTER
            raise error

    async def _cancel(self, request: web.Request, call: Call) -> web.StreamResponse:
        await self._handlers.cancel(call, TaskIn(id=request.match_info["id"]))
        return await self.get(request, call)

    async def _approve(self, request: web.Request, call: Call) -> web.StreamResponse:
        return await self._answer(request, call, "yes")

    async def _reject(self, request: web.Request, call: Call) -> web.StreamResponse:
        return await self._answer(request, call, "no")

    async def _answer(self, request: web.Request, call: Call, usual: str) -> web.StreamResponse:
        """Answer the question that a task waits on."""
        found = await wire.body_of(request, "application/json") if request.can_read_body else {}
        choice = found.get("choice", usual) if isinstance(found, dict) else usual
        id = request.match_info["id"]
        await call.view(id)
        await call.verb(
            "tasks.say", task=id, text=str(choice), choice=str(choice), message_id="m-" + ids.token().hex()[:16]
        )
        return await self.get(request, call)

    async def _subscribe(self, request: web.Request, call: Call) -> web.StreamResponse:
        """Server-sent events: `output` as it is written, `status` when it changes, `done` with the task at the end."""
        id = request.match_info["id"]
        view = await call.view(id)
        after = max(0, decimal(request.headers.get("Last-Event-ID", "")))
        if view.state in model.ENDED:
            items = _once(Item({"task": model.task(view)}, view.position, view.state))
        else:
            items = await self._handlers.subscribe(call, TaskIn(id=id))

        async def told() -> AsyncIterator[bytes]:
            async for item in items:
                for event in _events(item, after):
                    yield event
            ended = await call.view(id)
            if ended.state in model.ENDED:
                yield _event("done", {"task": task(ended)}, ended.position)

        return await wire.write(request, told())

    async def _tell_status(self, request: web.Request, call: Call) -> web.StreamResponse:
        status = self._status(call.box)
        if status is None:
            error = A2AError("UNAVAILABLE", "The agent is not here now; what is sent to its name waits for it.")
            error.retry_after = RETRY_AFTER
            raise error
        return wire.respond(status)

    async def _asker(self, request: web.Request, call: Call) -> web.StreamResponse:
        """Who waits for the answer that the agent gives next."""
        found = self._status(call.box)
        if found is None or not found["current_task"]:
            raise A2AError("TASK_NOT_FOUND", "Nobody waits for an answer of this agent now.")
        view = await call.view(found["current_task"])
        return wire.respond({"sender_id": view.requester, "sender_task_id": view.id, "context_id": view.context})


def told(answer: Answer) -> Answer:
    """Refusals as `{"error": {...}}` with HTTP's status."""

    async def with_refusals(request: web.Request, call: Call) -> web.StreamResponse:
        try:
            return await answer(request, call)
        except A2AError as error:
            response = wire.respond(error.rest(), status=error.status)
            if error.retry_after:
                response.headers[hdrs.RETRY_AFTER] = str(max(1, round(error.retry_after)))
            return response

    return with_refusals


def _message(found: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    """An A2A message from what a script sends."""
    given = found.get("message", {})
    if isinstance(given, str):
        given = {"parts": [{"text": given}]}
    if not isinstance(given, dict):
        raise invalid("message", "an object with parts, or a text.")
    if "text" in found and "parts" not in given:
        given = given | {"parts": [{"text": found["text"]}]}
    parts = given.get("parts", [])
    return {
        "messageId": given.get("message_id") or given.get("messageId") or "m-" + ids.token().hex()[:16],
        "contextId": found.get("context_id") or given.get("context_id"),
        "taskId": given.get("task_id") or found.get("task_id"),
        "parts": [_part_in(part) for part in parts] if isinstance(parts, list) else parts,
        "metadata": _object(given.get("metadata")) | metadata,
    }


def _part_in(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    if part.get("type") == "file" and isinstance(part.get("file"), dict):
        file = part["file"]
        content = {"raw": file["bytes"]} if "bytes" in file else {"url": file.get("uri") or file.get("url")}
        return content | {"filename": file.get("name"), "mediaType": file.get("mimeType")}
    if part.get("type") == "data":
        return {"data": part.get("data")}
    return {name: value for name, value in part.items() if name != "type"}


def _object(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def task(view: TaskView) -> dict[str, Any]:
    """A task in the simple shape."""
    found = model.task(view)
    first = found["history"][0] if "history" in found else {}
    sender = _object(_object(first.get("metadata")).get("sender"))
    told = {
        "id": view.id,
        "context_id": view.context,
        "status": view.state.replace("-", "_"),
        "message": _message_out(first) if first else None,
        "artifacts": [
            {"id": one["artifactId"], "name": one["name"], "parts": [_part(part) for part in one["parts"]]}
            for one in found.get("artifacts", [])
        ],
        "metadata": {
            "sender": {
                "sender_id": sender.get("sender_id", view.requester),
                "sender_type": sender.get("sender_type", ""),
                "sender_endpoint": sender.get("sender_endpoint", ""),
            }
        },
        "created_at": model.timestamp(view.at),
        "updated_at": model.timestamp(view.status_at),
    }
    if "message" in found["status"]:
        told["status_message"] = _message_out(found["status"]["message"])
    return told


def _message_out(message: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": message["messageId"],
        "role": "user" if message["role"] == "ROLE_USER" else "agent",
        "parts": [_part(part) for part in message["parts"]],
    }


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if "text" in part:
        return {"type": "text", "text": part["text"]}
    if "data" in part:
        return {"type": "data", "data": part["data"]}
    file = {"bytes": part["raw"]} if "raw" in part else {"uri": part["url"]}
    return {"type": "file", "file": {"name": part.get("filename", ""), "mimeType": part.get("mediaType", ""), **file}}


async def _once(item: Item) -> AsyncIterator[Item | None]:
    yield item


def _events(item: Item | None, after: int) -> list[bytes]:
    """What a subscriber hears of one item."""
    if item is None:
        return [b": still here\n\n"]
    if item.number and item.number <= after:
        return []  # it has heard of that already
    value = item.value
    if "artifactUpdate" in value:
        update = value["artifactUpdate"]
        text = "".join(part.get("text", "") for part in update["artifact"]["parts"])
        return [_event("output", {"task_id": update["taskId"], "text": text, "append": update.get("append", False)})]
    if "statusUpdate" in value:
        update = value["statusUpdate"]
        return [_status_event(update["taskId"], update["status"], item.number)]
    if "task" in value:
        found = value["task"]
        texts = ["".join(part.get("text", "") for part in one["parts"]) for one in found.get("artifacts", [])]
        output = [_event("output", {"task_id": found["id"], "text": text, "append": False}) for text in texts]
        return [*output, _status_event(found["id"], found["status"], item.number)]
    return []


def _status_event(task: str, status: dict[str, Any], number: int) -> bytes:
    told = {"task_id": task, "status": STATES[status["state"]].replace("-", "_"), "at": status["timestamp"]}
    if "message" in status:
        told["message"] = _message_out(status["message"])
    return _event("status", told, number)


def _event(name: str, data: Any, number: int = 0) -> bytes:
    id = f"id: {number}\n" if number else ""
    return f"{id}event: {name}\ndata: ".encode() + json.encode(data) + b"\n\n"
