"""What is told by a call: the changes of a task as A2A 1.0 or 0.3 tells them, or as a webhook does; read from the log."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from msgspec import json
from msgspec.structs import replace

from synapse.a2a import model, simple, v03
from synapse.hub.callbacks import EVENT_ID, Config, Hook
from synapse.hub.secrets import reveal
from synapse.hub.views import Piece, TaskView, view
from synapse.log.base import Log

SIGNATURE, TIMESTAMP = "X-Synapse-Signature", "X-Synapse-Timestamp"
EVENT = "X-Synapse-Event"
TOKEN = "X-A2A-Notification-Token"  # noqa: S105 - the name of a header
LARGEST = 1 << 20  # bytes of one call's body: of what is larger, the rest is said to be fetched
CUT = 16 * 1024  # characters of what is said with a state, where there is more than fits
LEFT_OUT = "urn:synapse:left-out"  # in `metadata`: what was left out, and where it is
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
    told = items(as_of) if to.version == "1.0" else [_old(as_of)]
    return [
        Letter(
            "push",
            to.url,
            item,
            as_of.state,
            headers | {EVENT_ID: f"{as_of.id}-{as_of.position}.{number}"},
        )
        for number, item in enumerate(told)
    ]


def items(as_of: TaskView) -> list[bytes]:
    """The last change of a task, as `StreamResponse`s (A2A 1.0 §3.2.3, §4.3.3): what came of it, and its status.

    An answer that is too large for a call is left out, as a client asks for the task then anyway (`GetTask`).
    """
    if as_of.direct:
        return [_fitting(as_of, lambda view: {"message": model.answer_message(view)}, _in("message"))]
    told, left_out = [], ""
    if as_of.answer:
        artifact = model.artifact(as_of.answer)
        told = [json.encode(model.artifact_update(as_of.id, as_of.context, artifact, append=False, last=True))]
        if len(told[0]) > LARGEST:
            told, left_out = [], _left_out(as_of, len(told[0]))

    def status(view: TaskView) -> dict[str, Any]:
        found = model.status_update(view.id, view.context, view.state, view.status_at, view.status)
        if left_out:
            found["statusUpdate"]["metadata"] = {LEFT_OUT: left_out}
        return found

    return [*told, _fitting(as_of, status, _in("statusUpdate"))]


def _old(as_of: TaskView) -> bytes:
    return _fitting(as_of, lambda view: v03.task(model.task(view)), _note)


# -- what is larger than a call


def _fitting(
    as_of: TaskView, tell: Callable[[TaskView], dict[str, Any]], note: Callable[[dict[str, Any], str], None]
) -> bytes:
    """What is told of a task; what does not fit is left out of it, which is noted in it."""
    body = json.encode(tell(as_of))
    if len(body) <= LARGEST:
        return body
    told = tell(_short(as_of))
    note(told, _left_out(as_of, len(body)))
    return json.encode(told)


def _short(as_of: TaskView) -> TaskView:
    """Without the answer and the conversation, and with the beginning of what is said with the state."""
    said, answer = as_of.status, []
    if said is not None:
        texts = "".join(piece.value for piece in said.parts if piece.kind == "text")
        said = replace(
            said, parts=[Piece(kind="text", value=texts[:CUT])], choices=tuple(c[:200] for c in said.choices)
        )
    if as_of.direct:  # a message has a part
        answer = [Piece(kind="text", value="".join(p.value for p in as_of.answer if p.kind == "text")[:CUT])]
    return replace(as_of, answer=answer, history=[], status=said)


def _left_out(as_of: TaskView, size: int) -> str:
    return f"What there is to tell has {size} bytes, of which a call holds {LARGEST}: task {as_of.id} has all of it."


def _in(name: str) -> Callable[[dict[str, Any], str], None]:
    return lambda told, why: _note(told[name], why)


def _note(told: dict[str, Any], why: str) -> None:
    told["metadata"] = {**told.get("metadata", {}), LEFT_OUT: why}


def _hooked(log: Log, to: Hook, as_of: TaskView) -> Letter:
    event, id = _EVENTS.get(as_of.state, ""), f"{as_of.id}-{as_of.position}"

    def tell(view: TaskView) -> dict[str, Any]:
        return {
            "id": id,
            "event": event,
            "timestamp": model.timestamp(view.status_at),
            "agent": view.agent,
            "task": simple.task(view),
        }

    body = _fitting(as_of, tell, _in("task"))
    headers = {"Content-Type": "application/json", EVENT: event, EVENT_ID: id}
    secret = reveal(log, to.secrets).get("secret", "")
    return Letter("webhook", to.url, body, event, headers, secret)
