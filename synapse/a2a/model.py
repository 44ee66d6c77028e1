"""A task as A2A 1.0 tells it: ProtoJSON out, camelCase only, nothing that the schema does not know (A2A 1.0 §4)."""

from datetime import UTC, datetime
from typing import Any

from msgspec import json

from synapse.a2a.naming import named_in
from synapse.hub.views import Piece, Said, TaskView

ARTIFACT = "answer"  # the id of the artifact that an agent's answer is
STATES = {
    "submitted": "TASK_STATE_SUBMITTED",
    "working": "TASK_STATE_WORKING",
    "input-required": "TASK_STATE_INPUT_REQUIRED",
    "auth-required": "TASK_STATE_AUTH_REQUIRED",
    "completed": "TASK_STATE_COMPLETED",
    "failed": "TASK_STATE_FAILED",
    "canceled": "TASK_STATE_CANCELED",
    "rejected": "TASK_STATE_REJECTED",
}
WORDS = {name: word for word, name in STATES.items()}
ENDED = frozenset({"completed", "failed", "canceled", "rejected"})
RESTING = ENDED | {"input-required", "auth-required"}  # a blocking send returns, a sending stream ends
_ROLES = {"user": "ROLE_USER", "agent": "ROLE_AGENT"}


def timestamp(at: float) -> str:
    """`2026-01-31T12:00:00.000Z`, never later than `at`: who asks for what came since then is told of that, too."""
    return datetime.fromtimestamp(int(at * 1000) / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def task(view: TaskView, *, history: int | None = None, artifacts: bool = True) -> dict[str, Any]:
    """A `Task`; `history` is how many of its newest messages are wanted (None: all)."""
    told: dict[str, Any] = {"id": view.id, "contextId": view.context, "status": status(view)}
    if artifacts and view.answer:
        told["artifacts"] = [artifact(view.answer)]
    said = view.history if history is None else view.history[-history:] if history else []
    if said:
        told["history"] = [message(one, view.id, view.context) for one in said]
    return told


def status(view: TaskView) -> dict[str, Any]:
    """A `TaskStatus`."""
    told: dict[str, Any] = {"state": STATES[view.state], "timestamp": timestamp(view.status_at)}
    if view.status is not None:
        told["message"] = message(view.status, view.id, view.context)
    return told


def message(said: Said, task: str, context: str) -> dict[str, Any]:
    """A `Message` of a task's conversation."""
    told: dict[str, Any] = {
        "messageId": said.id,
        "contextId": context,
        "taskId": task,
        "role": _ROLES[said.role],
        "parts": [part(one) for one in said.parts] + asked(said.choices, said.command),
    }
    if said.metadata:
        told["metadata"] = json.decode(said.metadata)
    if said.extensions:
        told["extensions"] = list(said.extensions)
    if said.references:
        told["referenceTaskIds"] = list(said.references)
    return told


def asked(choices: tuple[str, ...], command: str) -> list[dict[str, Any]]:
    """What a question is about, as data."""
    if not (choices or command):
        return []
    data: dict[str, Any] = {"choices": [{"number": n, "text": text} for n, text in enumerate(choices, 1)]}
    if command:
        data["command"] = command
    return [{"data": data, "mediaType": "application/json"}]


def part(piece: Piece) -> dict[str, Any]:
    """A `Part`."""
    told: dict[str, Any] = {piece.kind: json.decode(piece.value) if piece.kind == "data" else piece.value}
    if piece.media_type:
        told["mediaType"] = piece.media_type
    if piece.filename:
        told["filename"] = piece.filename
    if piece.metadata:
        told["metadata"] = json.decode(piece.metadata)
    return told


def artifact(answer: list[Piece], *, bare: bool = False) -> dict[str, Any]:
    """The `Artifact` of an answer: what was said and what belongs to it; code and files in the text also as data, but
    `bare` while it is being written."""
    parts = [part(piece) for piece in answer]
    found = {} if bare else named_in("\n".join(piece.value for piece in answer if piece.kind == "text"))
    if found:
        parts.append({"data": found, "mediaType": "application/json"})
    return {"artifactId": ARTIFACT, "name": ARTIFACT, "parts": parts}


def answer_message(view: TaskView) -> dict[str, Any]:
    """The `Message` that an answer without work is."""
    return {
        "messageId": f"{view.id}-{view.position}",
        "contextId": view.context,
        "role": "ROLE_AGENT",
        "parts": [part(piece) for piece in view.answer],
    }


def sent(view: TaskView, history: int | None = None) -> dict[str, Any]:
    """A `SendMessageResponse`: the task, or the message that was all."""
    if view.direct:
        return {"message": answer_message(view)}
    return {"task": task(view, history=history)}


def status_update(id: str, context: str, state: str, at: float, said: Said | None = None) -> dict[str, Any]:
    """A `StreamResponse` that tells of a status."""
    told: dict[str, Any] = {"state": STATES[state], "timestamp": timestamp(at)}
    if said is not None:
        told["message"] = message(said, id, context)
    return {"statusUpdate": {"taskId": id, "contextId": context, "status": told}}


def artifact_update(id: str, context: str, artifact: dict[str, Any], *, append: bool, last: bool) -> dict[str, Any]:
    """A `StreamResponse` that tells of (a piece of) an artifact; false is not told, as everywhere in ProtoJSON."""
    told: dict[str, Any] = {"taskId": id, "contextId": context, "artifact": artifact}
    if append:
        told["append"] = True
    if last:
        told["lastChunk"] = True
    return {"artifactUpdate": told}
