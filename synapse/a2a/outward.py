"""Messages of a task's conversation as they are sent to an agent elsewhere, read from the log on a reader's thread."""

from base64 import b64encode
from mimetypes import guess_type
from typing import Any

import msgspec

from synapse.a2a.model import part
from synapse.errors import Refused
from synapse.hub.facts import Attachment, MessageAdded, Part
from synapse.hub.reading import GONE, Texts, content_of, stored_message
from synapse.hub.views import pieces
from synapse.log.base import Log, Record

MOST = 32 << 20  # bytes of one message
_added = msgspec.json.Decoder(MessageAdded)


def first(log: Log, position: int, id: str) -> list[dict[str, Any]]:
    """The parts of the message that was sent at a position: as its author wrote them, or its text and its files.

    Refused when its text is gone, or there is too much of it.
    """
    record = next(iter(log.at([position])), None)
    texts = Texts(log)
    added = _message(record, id)
    if added is not None and added.parts:
        return _parts(texts, log, added.parts)
    stored = stored_message(texts, record, id)
    if stored is None or stored.text == GONE:
        raise Refused("gone", "The text of the message is not stored any more.")
    _check(sum(file.size for file in stored.sent.attachments) + len(stored.text))
    return [{"text": stored.text}, *(_file(log, file) for file in stored.sent.attachments)]


def later(log: Log, position: int, task: str) -> list[dict[str, Any]]:
    """The parts of the message that was added to a task's conversation at a position."""
    added = _message(next(iter(log.at([position])), None), task)
    if added is None:
        raise Refused("gone", "The text of the message is not stored any more.")
    texts = Texts(log)
    if added.parts:
        return _parts(texts, log, added.parts)
    return [{"text": texts.full(added.text, added.blob)}]


def _message(record: Record | None, task: str) -> MessageAdded | None:
    for event in record.events if record is not None else ():
        if event.kind == MessageAdded.kind and event.story == task and event.body != b"{}":
            return _added.decode(event.body)
    return None


def _parts(texts: Texts, log: Log, parts: tuple[Part, ...]) -> list[dict[str, Any]]:
    _check(sum(one.size + len(one.value) for one in parts))
    return [part(piece) for piece in pieces(texts, log, parts)]


def _file(log: Log, file: Attachment) -> dict[str, Any]:
    found = [content_of(log, blob) for blob in file.blobs]
    if any(content is None for content in found):
        raise Refused("gone", f"The file {file.name} is not stored any more.")
    content = b"".join(content for content in found if content is not None)
    told = {"raw": b64encode(content).decode(), "filename": file.name}
    return told | {"mediaType": guess_type(file.name)[0] or "application/octet-stream"}


def _check(size: int) -> None:
    if size > MOST:
        raise Refused(
            "too_large", f"The message is larger than {MOST >> 20} MiB: an agent elsewhere gets no more at once."
        )
