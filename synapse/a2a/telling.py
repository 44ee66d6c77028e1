"""What is told by a call: the changes of a task as A2A 1.0 or 0.3 tells them, or as a webhook does; read from the log."""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from msgspec import json

from synapse.a2a import model, simple, v03
from synapse.hub.callbacks import EVENT_ID, Config, Hook
from synapse.hub.secrets import reveal
from synapse.hub.views import TaskView, view
from synapse.log.base import Log

SIGNATURE, TIMESTAMP = "X-Synapse-Signature", "X-Synapse-Timestamp"
EVENT = "X-Synapse-Event"
TOKEN = "X-A2A-Notification-Token"  # noqa: S105 - the name of a header
_EVENTS = {
    "completed": "task.completed",
    "failed": "task.failed",
    "rejected": "task.failed",
    "canceled": "task.canceled",
    "input-required": "task.input_required",
    "auth-required": "task.input_required",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """One call to be made; `sort` is `push` or `webhook`. Its headers are made anew for each attempt."""

    sort: str
    url: str
    body: bytes
    event: str
    fixed: dict[str, str] = field(repr=False)
    secret: str = field(default="", repr=False)

    def headers(self, now: float) -> dict[str, str]:
        """The headers, signed as of now where there is a secret."""
        if self.sort == "push":
            return self.fixed
        stamp = str(int(now))
        signed = {TIMESTAMP: stamp}
        if self.secret:
            signed[SIGNATURE] = signature(self.secret, stamp, self.body)
        return self.fixed | signed


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`sha256=` and the HMAC of the timestamp, a dot, and the body."""
    return "sha256=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, sha256).hexdigest()


def letters(log: Log, to: Config | Hook, task: str, position: int, labels: dict[str, str]) -> list[Letter]:
    """The calls that tell of the change at a position; none when it is not in the log any more."""
    as_of = view(log, task, position, labels)
    if as_of.position != position or not as_of.context:
        return []
    return _pushed(log, to, as_of) if isinstance(to, Config) else [_hooked(log, to, as_of)]


def _pushed(log: Log, to: Config, as_of: TaskView) -> list[Letter]:
    secrets = reveal(log, to.secrets)
    headers = {"Content-Type": "application/a2a+json" if to.version == "1.0" else "application/json"}
    if secrets.get("token"):
        headers[TOKEN] = secrets["token"]
    if secrets.get("credentials"):
        headers["Authorization"] = f"{to.scheme or 'Bearer'} {secrets['credentials']}"
    told = items(as_of) if to.version == "1.0" else [v03.task(model.task(as_of))]
    return [
        Letter(
            "push",
            to.url,
            json.encode(item),
            as_of.state,
            headers | {EVENT_ID: f"{as_of.id}-{as_of.position}.{number}"},
        )
        for number, item in enumerate(told)
    ]


def items(as_of: TaskView) -> list[dict[str, Any]]:
    """The last change of a task, as `StreamResponse`s (A2A 1.0 §3.2.3): what came of it, and its status."""
    if as_of.direct:
        return [{"message": model.answer_message(as_of)}]
    told = []
    if as_of.answer:
        told.append(
            model.artifact_update(as_of.id, as_of.context, model.artifact(as_of.answer), append=False, last=True)
        )
    return [*told, model.status_update(as_of.id, as_of.context, as_of.state, as_of.status_at, as_of.status)]


def _hooked(log: Log, to: Hook, as_of: TaskView) -> Letter:
    event, id = _EVENTS.get(as_of.state, ""), f"{as_of.id}-{as_of.position}"
    body = {
        "id": id,
        "event": event,
        "timestamp": model.timestamp(as_of.status_at),
        "agent": as_of.agent,
        "task": simple.task(as_of),
    }
    headers = {"Content-Type": "application/json", EVENT: event, EVENT_ID: id}
    secret = reveal(log, to.secrets).get("secret", "")
    return Letter("webhook", to.url, json.encode(body), event, headers, secret)
