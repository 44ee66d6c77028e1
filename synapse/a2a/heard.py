"""What an agent elsewhere tells of a task, in whatever version: read tolerantly, kept within bounds.

Unknown fields are passed over, what is of a wrong type is as if it were not there. Only a task's id and state must make
sense. The JSON of 0.3 is read by the same functions: it differs by `kind` and the names of states.
"""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable
from typing import Any

from msgspec import json

from synapse.a2a.wire import deeper
from synapse.errors import Refused

MOST_TEXT = 4 << 20  # characters of one answer
MOST_BYTES = 32 << 20  # of all files of one answer
MOST_PARTS = 100
LONGEST_ID = 512
DEEPEST = 40  # levels of data that is told on: with what we put around it, a client of ours can still read it
_STATES = {
    "submitted": "working",
    "working": "working",
    "completed": "completed",
    "failed": "failed",
    "canceled": "canceled",
    "cancelled": "canceled",
    "rejected": "rejected",
    "inputrequired": "input-required",
    "authrequired": "auth-required",
}
ENDED = frozenset({"completed", "failed", "canceled", "rejected"})
INTERRUPTED = frozenset({"input-required", "auth-required"})


class Piece:
    """One part: `kind` is text, raw, url or data; `content` is text, bytes or JSON text."""

    __slots__ = ("content", "filename", "kind", "media_type")

    def __init__(self, kind: str, content: str | bytes, media_type: str = "", filename: str = "") -> None:
        self.kind = kind
        self.content = content
        self.media_type = media_type
        self.filename = filename


class Heard:
    """A task as far as it was told: names, state, what was said with the state, and artifacts by id, in order.

    `direct`: it is no task but a message, and that was all.
    """

    def __init__(self, task: str = "", context: str = "") -> None:
        self.task = task
        self.context = context
        self.state = ""
        self.said: list[Piece] = []
        self.artifacts: dict[str, list[Piece]] = {}
        self.last: list[Piece] = []  # the newest message of the agent in the history
        self.direct = False
        self.fresh = ""  # text that the last update has brought
        self.grew = False  # ... behind all that was there
        self._texts = self._files = 0  # how much the artifacts hold

    @property
    def ended(self) -> bool:
        return self.direct or self.state in ENDED

    @property
    def interrupted(self) -> bool:
        return self.state in INTERRUPTED

    def take(self, told: Any) -> bool:
        """One answer or event of a stream; False for one that says nothing about this task."""
        self.fresh, self.grew = "", False
        kind, found = _unwrapped(told)
        if kind == "task":
            return self._task(found)
        if kind == "message":
            return self._message(found)
        if kind == "statusUpdate":
            return self._mine(found) and self._status(found.get("status"))
        if kind == "artifactUpdate":
            return self._mine(found) and self._artifact(found)
        return False

    def _mine(self, found: dict[str, Any]) -> bool:
        """Is it about this task? The first word says which one that is."""
        task, context = id_of(found.get("taskId")), id_of(found.get("contextId"))
        if self.task and task and task != self.task:
            return False
        self.task, self.context = self.task or task, context or self.context
        return True

    def _task(self, found: dict[str, Any]) -> bool:
        id = id_of(found.get("id"))
        if not id or (self.task and id != self.task):
            return False
        self.task, self.context = id, id_of(found.get("contextId")) or self.context
        artifacts = found.get("artifacts")
        if isinstance(artifacts, list) and artifacts:
            self.artifacts, self._texts, self._files = {}, 0, 0
            for artifact in artifacts[:MOST_PARTS]:
                if isinstance(artifact, dict):
                    self._put(artifact, append=False)
        history = found.get("history")
        for message in reversed(history if isinstance(history, list) else []):
            if isinstance(message, dict) and message.get("role") in ("ROLE_AGENT", "agent", 2):
                self.last = pieces(message.get("parts"))
                break
        self._bounded()
        return self._status(found.get("status"))

    def _message(self, found: dict[str, Any]) -> bool:
        self.context = id_of(found.get("contextId")) or self.context
        self.said, self.direct, self.state = pieces(found.get("parts")), True, "completed"
        return True

    def _status(self, status: Any) -> bool:
        if not isinstance(status, dict):
            return False
        state = state_of(status.get("state"))
        if not state:
            return False
        self.state = state
        message = status.get("message")
        self.said = pieces(message.get("parts")) if isinstance(message, dict) else []
        return True

    def _artifact(self, found: dict[str, Any]) -> bool:
        artifact = found.get("artifact")
        if not isinstance(artifact, dict):
            return False
        self._put(artifact, append=found.get("append") is True)
        self._bounded()
        return True

    def _put(self, artifact: dict[str, Any], *, append: bool) -> None:
        id, parts = id_of(artifact.get("artifactId")) or "artifact", pieces(artifact.get("parts"))
        there = self.artifacts.get(id)
        if append and there is not None:
            self.grew = next(reversed(self.artifacts)) == id and text_in(there)
            there += parts
        else:
            if there is None and len(self.artifacts) >= MOST_PARTS:
                return
            self._count(there or (), -1)
            self.artifacts[id] = parts
        self._count(parts, 1)
        self.fresh = text_of(parts)

    def _count(self, parts: Iterable[Piece], sign: int) -> None:
        for piece in parts:
            if piece.kind == "raw":
                self._files += sign * len(piece.content)
            else:
                self._texts += sign * len(piece.content)

    def _bounded(self) -> None:
        """Refused when it tells more than we keep."""
        if self._texts > MOST_TEXT or self._files > MOST_BYTES:
            raise Refused(
                "answer_too_large",
                f"Its answer is longer than {MOST_TEXT >> 20} MiB of text or {MOST_BYTES >> 20} MiB of files.",
            )

    # -- what it comes to

    @property
    def text(self) -> str:
        """The answer's text: that of the artifacts, else what was said with the state, else the last message."""
        found = "\n\n".join(filter(None, (text_of(parts) for parts in self.artifacts.values())))
        if found or any(self.artifacts.values()):
            return found
        return text_of(self.said) or text_of(self.last)

    @property
    def note(self) -> str:
        """What was said with the state, where that is not the answer itself."""
        return text_of(self.said) if any(self.artifacts.values()) and not self.direct else ""

    @property
    def others(self) -> list[Piece]:
        """What belongs to the answer beside its text."""
        told = [piece for parts in self.artifacts.values() for piece in parts] or self.said
        return [piece for piece in told if piece.kind != "text"][:MOST_PARTS]

    @property
    def question(self) -> str:
        return text_of(self.said)

    @property
    def choices(self) -> tuple[str, ...]:
        """Between what it asks to choose, as far as a data part says so."""
        for piece in self.said:
            if piece.kind == "data":
                found = _choices(json.decode(piece.content))
                if found:
                    return found
        return ()


def _unwrapped(told: Any) -> tuple[str, dict[str, Any]]:
    """What it is (the member's name of 1.0, or the kind of 0.3), and that itself."""
    if not isinstance(told, dict):
        return "", {}
    for name in ("task", "message", "statusUpdate", "artifactUpdate"):
        if isinstance(told.get(name), dict) and "kind" not in told:
            return name, told[name]
    kinds = {"task": "task", "message": "message", "status-update": "statusUpdate", "artifact-update": "artifactUpdate"}
    kind = told.get("kind")
    if isinstance(kind, str) and kind in kinds:
        return kinds[kind], told
    return ("task", told) if "id" in told and "status" in told else ("", {})


def state_of(told: Any) -> str:
    """Our word for a state; "" for one that means nothing here."""
    if not isinstance(told, str):
        return ""
    return _STATES.get(told.removeprefix("TASK_STATE_").replace("_", "").replace("-", "").lower(), "")


def id_of(told: Any) -> str:
    """An id that is fit to be kept and sent back; "" for none."""
    return told if isinstance(told, str) and 0 < len(told) <= LONGEST_ID and told.isprintable() else ""


def text_of(parts: list[Piece]) -> str:
    """The texts of parts; pieces of one text come as several parts, so nothing is put between them."""
    return "".join(str(piece.content) for piece in parts if piece.kind == "text")


def text_in(parts: list[Piece]) -> bool:
    """Is there any text in parts?"""
    return any(piece.kind == "text" and piece.content for piece in parts)


def pieces(told: Any) -> list[Piece]:
    """The parts of a message or an artifact, of 1.0 or 0.3."""
    found = (_piece(part) for part in (told if isinstance(told, list) else ()) if isinstance(part, dict))
    return [piece for piece in found if piece is not None]


def _piece(part: dict[str, Any]) -> Piece | None:
    media_type, filename = word(part.get("mediaType")), word(part.get("filename"))
    file = part.get("file")
    if isinstance(file, dict):
        part = {"raw": file.get("bytes")} if "bytes" in file else {"url": file.get("uri")}
        media_type, filename = word(file.get("mimeType")), word(file.get("name"))
    for kind in ("text", "url"):
        content = part.get(kind)
        if isinstance(content, str) and (kind == "text" or len(content) <= 4096):
            return Piece(kind, content.replace("\0", ""), media_type, filename)
    raw = part.get("raw")
    if isinstance(raw, str):
        try:
            return Piece(
                "raw", b64decode(raw.replace("-", "+").replace("_", "/") + "=" * (-len(raw) % 4)), media_type, filename
            )
        except (NotBase64, ValueError):
            return None
    return _data(part["data"], media_type, filename) if "data" in part else None


def _data(data: Any, media_type: str, filename: str) -> Piece | None:
    """Data as it was told; what nests too deep to be told on as data comes as a file."""
    try:
        content = json.encode(data)
    except RecursionError:
        return None
    media_type = media_type or "application/json"
    if deeper(content, DEEPEST):
        return Piece("raw", content, media_type, filename or "data.json")
    return Piece("data", content.decode(), media_type, filename)


def word(told: Any, longest: int = 255) -> str:
    """A short text in one line, without what is not printed."""
    if not isinstance(told, str):
        return ""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in told[: longest * 4]).split())[:longest]


def _choices(data: Any) -> tuple[str, ...]:
    found = data.get("choices", data.get("options")) if isinstance(data, dict) else None
    texts: list[str] = []
    for one in found[:20] if isinstance(found, list) else ():
        if isinstance(one, dict):
            one = next((one[name] for name in ("text", "label", "title", "name", "value") if name in one), "")
        if isinstance(one, str | int | float):
            texts.append(word(str(one), 500))
    return tuple(filter(None, texts))
