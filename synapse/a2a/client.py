"""Speaking A2A to an agent elsewhere: JSON-RPC and HTTP+JSON of 1.0, JSON-RPC of 0.3; one class each, one interface.

What comes back is told as it came; `heard.Heard` makes sense of it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
from msgspec import json

from synapse.a2a.errors import TABLE, A2AError
from synapse.a2a.heard import word
from synapse.a2a.outgoing import Limits, Outgoing
from synapse.a2a.sse import events
from synapse.a2a.wire import parsed
from synapse.errors import Refused, SynapseError, Unavailable
from synapse.hub.external_facts import Interface

LARGEST = 64 << 20  # bytes of one answer
LONG = 1 << 18  # bytes that are read beside the loop
QUICK = Limits(connect=10.0, pause=30.0, total=30.0)
SENDING = Limits(connect=10.0, pause=0.0, total=0.0)  # it may work before it answers: whoever asks bounds that
STREAMING = Limits(connect=10.0, pause=120.0, total=0.0)
AGAIN = (429, 502, 503, 504)
_CODES = {code: reason for reason, (code, _, _) in TABLE.items() if code > -32600} | {-32601: "METHOD_NOT_FOUND"}


_NOT_FOUND = ("TASK_NOT_FOUND", "CONTEXT_NOT_FOUND", "NOT_FOUND")
_INVALID = ("INVALID_PARAMS", "INVALID_ARGUMENT", "INVALID_REQUEST", "UNSUPPORTED_OPERATION")


class Told(SynapseError):
    """The agent elsewhere refused in the protocol's words; `code` is its reason (`TASK_NOT_FOUND`), in capitals."""


class NotTaken(Unavailable):
    """The request has not reached it, or was turned away unread: it may be sent again."""


class Remote(Protocol):
    """An agent elsewhere. Each answer is JSON of its version; Unavailable when it cannot be had, Told when it refuses."""

    async def send(self, message: Mapping[str, Any]) -> Any:
        """Send a message, and come back as soon as it has it."""

    def stream(self, message: Mapping[str, Any]) -> AsyncIterator[Any]:
        """Send a message, and hear what comes of it."""

    async def get(self, task: str, history: int = 0) -> Any:
        """A task as it is, with so many of its newest messages."""

    def subscribe(self, task: str) -> AsyncIterator[Any]:
        """Hear what becomes of a task."""

    async def cancel(self, task: str) -> Any:
        """Call a task off."""


class _Wire:
    """Requests to one interface, with its headers."""

    def __init__(self, client: Outgoing, interface: Interface, headers: Mapping[str, str]) -> None:
        self._client = client
        self._url = interface.url
        self._tenant = interface.tenant
        self._headers = {
            "Content-Type": "application/json",
            "Connection": "close",  # of a connection that was kept nobody can say whether a request still got through
            **({"A2A-Version": interface.version} if interface.version != "0.3" else {}),
            **headers,
        }

    async def ask(self, method: str, url: str, body: Any, limits: Limits) -> Any:
        """The JSON of an answer; of any status, for an error may be told in it."""
        headers = {**self._headers, "Accept": "application/json, application/a2a+json"}
        content = await _encoded(body)
        try:
            answer = await self._client.fetch(
                method, url, headers=headers, body=content, limits=limits, largest=LARGEST
            )
        except Unavailable as error:
            raise _judged(error) from None
        return await _json(answer.status, answer.body)

    async def listen(self, method: str, url: str, body: Any) -> AsyncIterator[Any]:
        """The JSON of each event of a stream; what is answered instead of a stream, if there is none."""
        headers = {**self._headers, "Accept": "text/event-stream, application/json"}
        content = await _encoded(body)
        try:
            async with self._client.open(method, url, headers=headers, body=content, limits=STREAMING) as response:
                if response.status == 200 and response.content_type == "text/event-stream":
                    async with aclosing(events(response)) as stream:  # type: ignore[type-var]
                        async for data in stream:
                            yield await _read(data)
                    return
                got = bytearray()
                async for piece in response.content.iter_chunked(1 << 16):
                    got += piece
                    if len(got) > LARGEST:
                        raise Refused("answer_too_large", f"It answers with more than {LARGEST >> 20} MiB.")
                yield await _json(response.status, bytes(got))
        except Unavailable as error:
            raise _judged(error) from None


def _judged(error: Unavailable) -> Unavailable:
    """Was anything sent before it failed? Not when there was no connection."""
    cause = error.__context__
    if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return NotTaken(error.code, error.sentence)
    return error


async def _encoded(body: Any) -> bytes | None:
    """The bytes of a request; a message may hold files, so it is written beside the loop."""
    if body is None:
        return None
    return await asyncio.to_thread(json.encode, body)


async def _parsed(body: bytes) -> Any:
    """The JSON of an answer (None where it is none that can be read); what is long is read on a thread."""
    try:
        return parsed(body) if len(body) < LONG else await asyncio.to_thread(parsed, body)
    except A2AError:
        return None


async def _read(body: bytes) -> Any:
    found = await _parsed(body)
    if found is None:
        raise Refused("bad_answer", "It answered with what is no JSON that can be read.")
    return found


async def _json(status: int, body: bytes) -> Any:
    """An answer's JSON; what a status alone says is raised."""
    if 300 <= status < 400:
        raise Refused("moved", f"It has moved (HTTP {status}): `synapse external refresh` reads its card again.")
    if status in AGAIN and status != 502 and status != 504:
        raise NotTaken("unreachable", f"It answers with HTTP {status}: not now.")
    if status in AGAIN:
        raise Unavailable("unreachable", f"What stands before it answers with HTTP {status}.")
    found = await _parsed(body)
    if found is None and status in (401, 403):
        raise Refused("credentials_needed", _credentials(status))
    if found is None and not (200 <= status < 300 and not body.strip()):
        raise Refused("bad_answer", f"It answered with HTTP {status} and what is no JSON that can be read.")
    if status in (401, 403) and not _error_in(found):
        raise Refused("credentials_needed", _credentials(status))
    return found


def _credentials(status: int) -> str:
    return (
        f"It wants to know who calls (HTTP {status}): `synapse external refresh NAME --token-file FILE` gives it other "
        "credentials."
    )


def _error_in(found: Any) -> Any:
    return found.get("error") if isinstance(found, dict) else None


def _refuse(error: Any) -> None:
    """Raise what is told as an error, of either binding."""
    if not isinstance(error, dict):
        raise Refused("bad_answer", "It answered with an error that says nothing.")
    details = error.get("data") or error.get("details")
    infos = [one for one in _listed(details) if isinstance(one, dict)]
    reason = next((word(one.get("reason"), 60) for one in infos if one.get("reason")), "")
    code = error.get("code")
    if not reason:
        reason = _CODES.get(code, "") if isinstance(code, int) else ""
        reason = reason or word(error.get("status"), 60) or "REFUSED"
    said = word(error.get("message"), 500) or "it says nothing more"
    violations = [v for one in infos for v in _listed(one.get("fieldViolations")) if isinstance(v, dict)]
    raise Told(
        reason, f"It refused: {said}", wire_code=code if isinstance(code, int) else 0,
        fields=[word(violation.get("field"), 100) for violation in violations[:10]],
    )  # fmt: skip


def _listed(told: Any) -> list[Any]:
    return told if isinstance(told, list) else []


def forgot_context(error: Told) -> bool:
    """Does a refusal of a first message say that its contextId is not known, or is not taken (A2A 1.0 §3.4.1)?"""
    fields = error.details.get("fields")
    about = " ".join([error.code, error.sentence, *(fields if isinstance(fields, list) else [])]).lower()
    if error.code in _NOT_FOUND:
        return True  # no task was named, so nothing else can be missing
    return "context" in about and (error.code in _INVALID or error.details.get("wire_code") in (-32602, 400))


class JsonRpc:
    """JSON-RPC of 1.0 (A2A 1.0 §9)."""

    METHODS: Mapping[str, str] = {
        "send": "SendMessage",
        "stream": "SendStreamingMessage",
        "get": "GetTask",
        "subscribe": "SubscribeToTask",
        "cancel": "CancelTask",
    }

    def __init__(self, client: Outgoing, interface: Interface, headers: Mapping[str, str]) -> None:
        self._wire = _Wire(client, interface, headers)
        self._url = interface.url
        self._tenant = interface.tenant
        self._number = 0

    async def send(self, message: Mapping[str, Any]) -> Any:
        return await self._ask("send", self._sending(message, stream=False), SENDING)

    def stream(self, message: Mapping[str, Any]) -> AsyncIterator[Any]:
        return self._listen("stream", self._sending(message, stream=True))

    async def get(self, task: str, history: int = 0) -> Any:
        return await self._ask("get", self._named(task) | {"historyLength": history}, QUICK)

    def subscribe(self, task: str) -> AsyncIterator[Any]:
        return self._listen("subscribe", self._named(task))

    async def cancel(self, task: str) -> Any:
        return await self._ask("cancel", self._named(task), QUICK)

    def _sending(self, message: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        configuration = {"historyLength": 0} | ({} if stream else {"returnImmediately": True})
        asked: dict[str, Any] = {"message": message, "configuration": configuration}
        return asked | ({"tenant": self._tenant} if self._tenant else {})

    def _named(self, task: str) -> dict[str, Any]:
        return {"id": task} | ({"tenant": self._tenant} if self._tenant else {})

    def _frame(self, what: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        return {"jsonrpc": "2.0", "id": self._number, "method": self.METHODS[what], "params": params}

    async def _ask(self, what: str, params: dict[str, Any], limits: Limits) -> Any:
        return _result(await self._wire.ask("POST", self._url, self._frame(what, params), limits))

    async def _listen(self, what: str, params: dict[str, Any]) -> AsyncIterator[Any]:
        async with aclosing(self._wire.listen("POST", self._url, self._frame(what, params))) as stream:  # type: ignore[type-var]
            async for found in stream:
                yield _result(found)


def _result(found: Any) -> Any:
    """The result of a JSON-RPC response."""
    if not isinstance(found, dict) or ("result" not in found and not found.get("error")):
        raise Refused("bad_answer", "It answered with what is no JSON-RPC response.")
    if found.get("error"):
        _refuse(found["error"])
    return found["result"]


class OldJsonRpc(JsonRpc):
    """JSON-RPC of 0.3: other methods, other shapes."""

    METHODS: Mapping[str, str] = {
        "send": "message/send",
        "stream": "message/stream",
        "get": "tasks/get",
        "subscribe": "tasks/resubscribe",
        "cancel": "tasks/cancel",
    }

    def _sending(self, message: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        configuration = {"historyLength": 0} | ({} if stream else {"blocking": False})
        return {"message": old_message(message), "configuration": configuration}

    def _named(self, task: str) -> dict[str, Any]:
        return {"id": task}


def old_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of 1.0 as 0.3 writes it."""
    told = {name: value for name, value in message.items() if name != "parts"}
    return told | {"kind": "message", "role": "user", "parts": [_old_part(part) for part in message["parts"]]}


def _old_part(part: Mapping[str, Any]) -> dict[str, Any]:
    more = {"metadata": part["metadata"]} if "metadata" in part else {}
    if "text" in part:
        return {"kind": "text", "text": part["text"], **more}
    if "data" in part:
        data = part["data"]
        return {"kind": "data", "data": data if isinstance(data, dict) else {"value": data}, **more}
    file = {"bytes": part["raw"]} if "raw" in part else {"uri": part["url"]}
    named = (("mimeType", part.get("mediaType")), ("name", part.get("filename")))
    return {"kind": "file", "file": file | {name: value for name, value in named if value}, **more}


class Rest:
    """HTTP+JSON of 1.0 (A2A 1.0 §11)."""

    def __init__(self, client: Outgoing, interface: Interface, headers: Mapping[str, str]) -> None:
        self._wire = _Wire(client, interface, headers)
        tenant = f"/{quote(interface.tenant, safe='')}" if interface.tenant else ""
        self._base = interface.url.rstrip("/") + tenant

    async def send(self, message: Mapping[str, Any]) -> Any:
        body = {"message": message, "configuration": {"historyLength": 0, "returnImmediately": True}}
        return _plain(await self._wire.ask("POST", f"{self._base}/message:send", body, SENDING))

    def stream(self, message: Mapping[str, Any]) -> AsyncIterator[Any]:
        body = {"message": message, "configuration": {"historyLength": 0}}
        return self._listen(f"{self._base}/message:stream", body)

    async def get(self, task: str, history: int = 0) -> Any:
        return _plain(await self._wire.ask("GET", f"{self._task(task)}?historyLength={history}", None, QUICK))

    def subscribe(self, task: str) -> AsyncIterator[Any]:
        return self._listen(f"{self._task(task)}:subscribe", {})

    async def cancel(self, task: str) -> Any:
        return _plain(await self._wire.ask("POST", f"{self._task(task)}:cancel", {}, QUICK))

    async def _listen(self, url: str, body: dict[str, Any]) -> AsyncIterator[Any]:
        async with aclosing(self._wire.listen("POST", url, body)) as stream:  # type: ignore[type-var]
            async for found in stream:
                yield _plain(found)

    def _task(self, task: str) -> str:
        return f"{self._base}/tasks/{quote(task, safe='')}"


def _plain(found: Any) -> Any:
    """The JSON of an HTTP+JSON answer, unless it tells an error."""
    error = _error_in(found)
    if error is not None:
        _refuse(error)
    if not isinstance(found, dict):
        raise Refused("bad_answer", "It answered with what is no object.")
    return found


def remote(client: Outgoing, interface: Interface, headers: Mapping[str, str]) -> Remote:
    """How the agent at an interface is spoken to."""
    if interface.version == "0.3":
        return OldJsonRpc(client, interface, headers)
    return Rest(client, interface, headers) if interface.binding == "HTTP+JSON" else JsonRpc(client, interface, headers)
