"""A task as those outside see it: folded from its story in the log, on a reader's thread."""

from base64 import b64encode
from typing import Any

import msgspec
from msgspec import Struct, field

from synapse.hub.agents import Agents
from synapse.hub.facts import (
    Canceled,
    Completed,
    Failed,
    InputRequired,
    MessageAdded,
    Part,
    Rejected,
    Resumed,
    Sent,
    Submitted,
    WaitEnded,
    Working,
)
from synapse.hub.reading import GONE, Texts, content_of
from synapse.hub.tasks import ENDS, INTERRUPTED, Finished, Task, Tasks
from synapse.log.base import Log, StoredEvent
from synapse.verb import Reply

_KINDS = (
    Submitted,
    Sent,
    MessageAdded,
    Working,
    InputRequired,
    Resumed,
    Completed,
    Failed,
    Canceled,
    Rejected,
    WaitEnded,
)
_DECODERS: dict[str, Any] = {kind.kind: msgspec.json.Decoder(kind) for kind in _KINDS}


class Piece(Struct, kw_only=True, omit_defaults=True):
    """A part with its content: text as it is, `raw` in base64, `data` as JSON text."""

    kind: str
    value: str = ""
    media_type: str = ""
    filename: str = ""
    metadata: str = ""


class Said(Struct, kw_only=True, omit_defaults=True):
    """One message of a conversation; `role` is `user` or `agent`. `choices`: between which it asks to choose."""

    id: str
    role: str
    at: float
    parts: list[Piece] = field(default_factory=list)
    metadata: str = ""
    extensions: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    command: str = ""


class TaskView(Reply, kw_only=True):
    """A task as of a position. Times are seconds since 1970; `status` is what was said with the present state."""

    id: str
    context: str
    box: str
    agent: str
    requester: str
    state: str
    at: float
    status_at: float
    position: int
    status: Said | None = None
    history: list[Said] = field(default_factory=list)
    answer: list[Piece] = field(default_factory=list)
    reason: str = ""
    source: str = ""
    usage: dict[str, int] = field(default_factory=dict)
    direct: bool = False


def labels_of(tasks: Tasks, agents: Agents, found: Task | Finished) -> dict[str, str]:
    """What to call those who have to do with a task now, by the boxes that its record has."""
    return {found.requester: agents.label(tasks.asker(found)), found.box: agents.label(tasks.owner(found))}


def view(log: Log, task: str, until: int, labels: dict[str, str]) -> TaskView:
    """The task as it was at a position."""
    folding = _Folding(task, Texts(log), log, labels)
    for record in log.story(task):
        if record.position > until:
            break
        for event in record.events:
            folding.apply(record.position, record.at, event)
    return folding.view


def pieces(texts: Texts, log: Log, parts: tuple[Part, ...]) -> list[Piece]:
    """Parts with what lies in blobs."""
    return [_piece(texts, log, part) for part in parts]


def _piece(texts: Texts, log: Log, part: Part) -> Piece:
    value = part.value
    if part.kind == "raw":
        found = [content_of(log, blob) for blob in part.blobs]
        value = b64encode(b"".join(content for content in found if content is not None)).decode()
    elif part.blobs:
        value = "".join(texts.full("", blob) for blob in part.blobs)
    return Piece(
        kind=part.kind, value=value, media_type=part.media_type, filename=part.filename, metadata=part.metadata
    )


class _Folding:
    """From the events of one story to its view."""

    def __init__(self, task: str, texts: Texts, log: Log, labels: dict[str, str]) -> None:
        self._texts = texts
        self._log = log
        self._labels = labels
        self._asked = 0  # where the first message was sent
        self.view = TaskView(
            id=task, context="", box="", agent="", requester="", state="submitted", at=0.0, status_at=0.0, position=0
        )

    def apply(self, position: int, at: float, event: StoredEvent) -> None:
        decoder = _DECODERS.get(event.kind)
        if decoder is None or event.body == b"{}":
            return
        body, view = decoder.decode(event.body), self.view
        view.position = position
        if isinstance(body, Submitted):
            view.at = view.status_at = at
            view.box, view.context = body.box, body.context or "c-" + view.id.removeprefix("t-")
            view.agent = self._labels.get(body.box) or body.box.rpartition("/")[2]
            view.requester = self._labels.get(body.requester) or body.requester.rpartition("/")[2]
        elif isinstance(body, Sent):
            if not self._asked and body.task == view.id:
                self._asked = position
                view.history.append(Said(id=body.id, role="user", at=at, parts=[self._text(body.text, body.blob)]))
        elif isinstance(body, MessageAdded):
            self._said(position, at, body)
        elif isinstance(body, Working | Resumed):
            self._state(at, "working")
        elif isinstance(body, InputRequired):
            self._state(at, INTERRUPTED[body.auth])
            view.status = Said(
                id=f"{view.id}-{position}", role="agent", at=at, parts=[Piece(kind="text", value=body.question)],
                choices=body.choices, command=body.command,
            )  # fmt: skip
        elif type(body) in ENDS:
            self._ended(at, position, body)

    def _said(self, position: int, at: float, body: MessageAdded) -> None:
        first = self.view.history[0] if position == self._asked else None
        parts = pieces(self._texts, self._log, body.parts)
        if not parts and (body.text or body.blob):
            parts = [self._text(body.text, body.blob)]
        said = Said(
            id=body.id, role=body.role, at=at, parts=parts, metadata=body.metadata, extensions=body.extensions,
            references=body.references,
        )  # fmt: skip
        if first is not None:  # the first message, as its author wrote it
            said.parts = parts or first.parts
            self.view.history[0] = said
        elif all(one.id != said.id or one.role != "agent" for one in self.view.history):  # told twice, by it and of it
            self._spoken()
            self.view.history.append(said)

    def _state(self, at: float, state: str) -> None:
        """A state without words; what was said with the one before belongs to the conversation from now on."""
        self._spoken()
        self.view.state, self.view.status, self.view.status_at = state, None, at

    def _spoken(self) -> None:
        """A question comes before its answer, also while it stands."""
        if self.view.status is not None and self.view.status not in self.view.history:
            self.view.history.append(self.view.status)

    def _ended(self, at: float, position: int, body: Any) -> None:
        view = self.view
        self._state(at, ENDS[type(body)])
        view.source, view.usage, view.reason = body.source, body.usage, getattr(body, "reason", "")
        said = [self._text(body.text, body.blob)] if body.text or body.blob else []
        if isinstance(body, Completed):
            view.answer = [*said, *pieces(self._texts, self._log, body.parts)]
            view.direct = body.direct
            said = [Piece(kind="text", value=body.note)] if body.note else []
        if said:
            view.status = Said(id=f"{view.id}-{position}", role="agent", at=at, parts=said)

    def _text(self, text: str, blob: str) -> Piece:
        return Piece(kind="text", value=self._texts.full(text, blob) or GONE)
