"""What is refused before an operation is reached (there is no such agent or path, who asks may not), in the words of the
protocol for those who speak it."""

import re
from typing import Any

from aiohttp import web
from msgspec import json

from synapse.a2a import wire
from synapse.a2a.errors import A2AError, of
from synapse.errors import SynapseError

JSONRPC, REST = "JSONRPC", "HTTP+JSON"
FORM = web.RequestKey("a2a_form", str)  # the binding of the path that was asked; not set where there is no such path
BELOW = web.AppKey("a2a_below", re.Pattern[str])  # the paths of agents; `rest` is what follows their address
_REASONS = {
    400: "INVALID_REQUEST", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "METHOD_NOT_FOUND",
    405: "METHOD_NOT_FOUND", 413: "TOO_LARGE", 429: "RATE_LIMITED", 503: "UNAVAILABLE",
}  # fmt: skip


async def tell(request: web.Request, error: SynapseError, response: web.Response, *, admitted: bool) -> None:
    """Put a refusal into the words of the binding that the request is of; who speaks none keeps what is there.

    HTTP's status stays. Of nobody who may not come in (`admitted`) a body is read.
    """
    form = request.get(FORM, "")
    below = request.app[BELOW].match(request.path)
    if below is None:
        return
    calls = request.method == "POST" and request.content_type in ("application/json", wire.MEDIA_TYPE)
    called = await _called(request) if calls and admitted else None
    if not form and called is not None:
        form = JSONRPC
    elif not form and wire.speaks(request):
        form = JSONRPC if calls and (below["rest"] or "/") == "/" else REST
    if form == JSONRPC:
        body = {"jsonrpc": "2.0", "id": called["id"] if called else None, "error": _said(error, response).jsonrpc()}
        _put(response, body, "application/json")
    elif form == REST:
        body = _said(error, response).rest()
        body["error"]["code"] = response.status
        _put(response, body, wire.MEDIA_TYPE if wire.wants_a2a(request) else "application/json")


async def _called(request: web.Request) -> dict[str, Any] | None:
    """The JSON-RPC request that was sent, with an id that can be told; None when it is none."""
    try:
        found = await wire.body_of(request, "application/json", wire.MEDIA_TYPE)
    except A2AError:
        return None
    if not isinstance(found, dict) or found.get("jsonrpc") != "2.0":
        return None
    id = found.get("id")
    return {"id": id if isinstance(id, str | int | float) and not isinstance(id, bool) else None}


def _said(error: SynapseError, response: web.Response) -> A2AError:
    told = of(error)
    return A2AError(_REASONS.get(response.status, told.reason), told.sentence, code=told.code)


def _put(response: web.Response, body: Any, media_type: str) -> None:
    response.body = json.encode(body)
    response.content_type = media_type
