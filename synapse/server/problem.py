"""Refusals over HTTP: `application/problem+json` (RFC 9457) with a code for programs and a sentence for people."""

from http import HTTPStatus
from typing import Any

from aiohttp import web
from msgspec import json

from synapse.errors import SynapseError

CONTENT_TYPE = "application/problem+json"
_FORBIDDEN = frozenset({"not_permitted", "other_user", "not_you"})  # HTTP has a status of its own for these


def status_of(error: SynapseError) -> int:
    """HTTP's status of a refusal."""
    return 403 if error.code in _FORBIDDEN else error.status


def body_of(error: SynapseError, request_id: str) -> dict[str, Any]:
    """What is told of a refusal."""
    return {
        "type": f"urn:synapse:problem:{error.code}",
        "title": error.code.replace("_", " ").capitalize(),
        "status": status_of(error),
        "detail": error.sentence,
        "code": error.code,
        "request_id": request_id,
        "details": error.details,
    }


def response(error: SynapseError, request_id: str) -> web.Response:
    """The answer that tells of a refusal."""
    body = json.encode(body_of(error, request_id))
    answer = web.Response(body=body, status=status_of(error), content_type=CONTENT_TYPE)
    if error.status == HTTPStatus.UNAUTHORIZED:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if error.status == HTTPStatus.UPGRADE_REQUIRED:
        answer.headers.update({"Upgrade": "websocket", "Sec-WebSocket-Version": "13"})
    wait = error.details.get("retry_after")
    if isinstance(wait, int | float):
        answer.headers["Retry-After"] = str(max(1, round(wait)))
    return answer


def shown(error: Exception) -> SynapseError:
    """What may be told of an error."""
    return error if isinstance(error, SynapseError) else SynapseError("internal_error", "That failed: a bug.")


def of_http(error: web.HTTPException) -> SynapseError:
    """What aiohttp itself refuses, in our words."""
    code, sentence = {
        404: ("no_such_path", "There is nothing here: /api/openapi.json lists what there is."),
        405: ("wrong_method", "This path does not take that method: /api/openapi.json says what it takes."),
        417: ("bad_expect", "Of Expect only 100-continue is understood: leave it out."),
        413: ("too_large", "A body is at most 1 MiB: longer content goes as blobs (`blobs.put`)."),
    }.get(error.status, ("bad_http", f"{error.reason}."))
    found = SynapseError(code, sentence)
    found.status = error.status
    return found
