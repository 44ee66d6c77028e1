"""From a message of the protocol to what the agent reads of it: text as text, files as attachments, data as JSON."""

import mimetypes
import re
from base64 import b64decode, b64encode
from binascii import Error
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET, UnsetType, json

from synapse.a2a.errors import invalid
from synapse.a2a.reading import ROLES, MessageIn, PartIn, enum
from synapse.hub.blobs import PIECE
from synapse.hub.views import Piece, Said

INLINE = 8 * 1024  # characters of a part that lies in the event itself
SHOWN = 4 * 1024  # characters of data that are put into the text; more goes as a file
_URL = re.compile(r"https?://[^\s\x00-\x1f\x7f]{1,4000}\Z", re.I)
_NAME = re.compile(r"[\x00-\x1f\x7f/\\]+")
_NO_TEXT = "(A message without words: see what is attached.)"


@dataclass(slots=True)
class Content:
    """Bytes that are to be stored before the message that names them."""

    content: bytes
    blobs: list[str] = field(default_factory=list)  # their names, once they are stored

    def pieces(self) -> list[bytes]:
        return [self.content[start : start + PIECE] for start in range(0, len(self.content), PIECE)]


@dataclass(slots=True)
class Incoming:
    """A message, ready to be sent to an agent."""

    text: str
    parts: list[tuple[dict[str, Any], Content | None]]
    attachments: list[tuple[str, Content]]
    contents: list[Content]
    words: list[str] = field(default_factory=list)  # what an agent reads of each part; "" for a file

    def stored(self) -> dict[str, Any]:
        """The parameters of `tasks.submit`, once the contents are stored."""
        parts = [part | ({"blobs": held.blobs, "size": len(held.content)} if held else {}) for part, held in self.parts]
        files = [{"name": name, "size": len(held.content), "blobs": held.blobs} for name, held in self.attachments]
        return {"text": self.text, "parts": parts, "attachments": files}

    def said(self, message: MessageIn, at: float) -> Said:
        """The message as those who read the task's conversation get it."""
        return Said(
            id=message.message_id,
            role="user",
            at=at,
            parts=[_piece(part, held) for part, held in self.parts] or [Piece(kind="text", value=self.text)],
            metadata=metadata_of(message),
            extensions=tuple(message.extensions),
            references=tuple(message.reference_task_ids),
        )


def answering(found: Incoming) -> tuple[str, str]:
    """Which choice a message means ("": its text says so), and what else it says. A choice may be said as data
    (`{"choice": 2}`, `{"choice": "Yes"}`, `{"approve": true}`); else it is the first text of several parts."""
    words = found.words
    for place, (part, _) in enumerate(found.parts):
        choice = _choice(json.decode(part["value"])) if part["kind"] == "data" and "value" in part else ""
        if choice:
            return choice, _rest(found, words[:place] + words[place + 1 :])
    first = next((place for place, (part, _) in enumerate(found.parts) if part["kind"] == "text"), -1)
    if len(found.parts) < 2 or first < 0 or len(words[first]) > INLINE:
        return "", ""
    return words[first].strip(), _rest(found, words[:first] + words[first + 1 :])


def _choice(data: Any) -> str:
    choice = data.get("choice", data.get("approve")) if isinstance(data, dict) else ""
    if isinstance(choice, float) and choice.is_integer():
        choice = int(choice)  # numbers of some clients are all doubles
    if isinstance(choice, bool):
        return "yes" if choice else "no"
    return str(choice) if isinstance(choice, int | str) else ""


def _rest(found: Incoming, words: list[str]) -> str:
    """What is told besides; a long text goes as a file."""
    rest = "\n\n".join(word for word in words if word.strip())
    if len(rest) <= INLINE:
        return rest
    held = Content(rest.encode())
    found.contents.append(held)
    found.attachments.append(("message.txt", held))
    return ""


def _piece(part: dict[str, Any], held: Content | None) -> Piece:
    if held is None:
        return Piece(**part)
    value = b64encode(held.content) if part["kind"] == "raw" else held.content
    return Piece(**part, value=value.decode())


def metadata_of(message: MessageIn) -> str:
    """A message's metadata as JSON text; "" for none."""
    return json.encode(message.metadata).decode() if message.metadata else ""


def incoming(message: MessageIn) -> Incoming:
    """Look a message through; A2AError names the field that is wrong."""
    if not message.message_id:
        raise invalid("message.messageId", "it is missing.")
    if not message.parts:
        raise invalid("message.parts", "at least one is needed.")
    enum(ROLES, message.role, "message.role")
    found = Incoming("", [], [], [])
    words: list[str] = []
    for number, part in enumerate(message.parts):
        _take(found, words, part, f"message.parts[{number}]", number)
    found.text, found.words = "\n\n".join(word for word in words if word.strip()), words
    if not found.text and not found.attachments:
        raise invalid("message.parts", "there is nothing in them.")
    found.text = found.text or _NO_TEXT
    first = found.parts[0]
    if len(found.parts) == 1 and first[0].keys() == {"kind", "value"} and first[0]["kind"] == "text":
        found.parts = []  # what is sent says it all
    return found


def _take(found: Incoming, words: list[str], part: PartIn, where: str, number: int) -> None:
    given = {
        kind: value
        for kind, value in (("text", part.text), ("raw", part.raw), ("url", part.url), ("data", part.data))
        if value is not UNSET
    }
    if len(given) != 1:
        raise invalid(where, "exactly one of text, raw, url and data is needed.")
    kind, value = next(iter(given.items()))
    assert not isinstance(value, UnsetType)
    told: dict[str, Any] = {"kind": kind}
    if part.media_type:
        told["media_type"] = part.media_type[:200]
    if part.filename:
        told["filename"] = part.filename[:1000]
    if part.metadata:
        told["metadata"] = json.encode(part.metadata).decode()
    name = file_name(part.filename, part.media_type, number)
    held: Content | None = None
    if kind == "raw":
        held = Content(_bytes(value, where))
        found.attachments.append((name, held))
        words.append("")
    else:
        text = json.encode(value).decode() if kind == "data" else value
        if kind == "url" and not _URL.match(text):
            raise invalid(f"{where}.url", "an absolute http or https URL without spaces is needed.")
        if len(text) > INLINE:
            held = Content(text.encode())
        else:
            told["value"] = text
        if kind == "data" and len(text) > SHOWN:
            attached = Content(text.encode())
            found.contents.append(attached)
            found.attachments.append((name, attached))
            words.append("")
        else:
            words.append(_shown(kind, text, part))
    if held is not None:
        found.contents.append(held)
    found.parts.append((told, held))


def _shown(kind: str, text: str, part: PartIn) -> str:
    """What an agent reads of a part that is no file."""
    if kind == "text":
        return text
    if kind == "data":
        return f"```json\n{text}\n```"
    about = ", ".join(filter(None, (_NAME.sub(" ", part.filename)[:200], _NAME.sub("/", part.media_type)[:100])))
    return f"[file{': ' + about if about else ''}] {text}"


def _bytes(value: str, where: str) -> bytes:
    """What base64 stands for, in either alphabet, with or without its padding (ProtoJSON)."""
    plain = value.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (Error, ValueError):
        raise invalid(f"{where}.raw", "it is not base64.") from None


def file_name(given: str, media_type: str, number: int) -> str:
    """A name for a file that goes to an agent: the last part of what was given, without anything that leads elsewhere."""
    name = _NAME.sub("/", given).rpartition("/")[2].strip(" .")
    if name:
        return name[-100:]
    return f"file-{number + 1}{mimetypes.guess_extension(media_type.partition(';')[0].strip()) or ''}"
