"""Reading stored messages and tasks back from the log, on a reader's thread."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from synapse.hub.agents import Agents
from synapse.hub.facts import Sent
from synapse.log.base import Log, Record

MOST = 4 << 20  # bytes of long texts in one answer
GONE = "(its text is gone)"

_sent = msgspec.json.Decoder(Sent)


class Stored(NamedTuple):
    """A message as it lies in the log, its text fetched."""

    position: int
    at: float
    sent: Sent
    text: str


SECRET = b"\0synapse: told to nobody\0"  # how the content of a blob begins that the hub keeps for itself


def content_of(log: Log, blob: str) -> bytes | None:
    """What a blob holds; None when it is not stored (any more), or not to be told: its sum stands in events, and everybody
    may name a blob."""
    content = log.blob(blob)
    return None if content is not None and content.startswith(SECRET) else content


class Texts:
    """Texts from the log; of the long ones no more than fit into one answer."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._left = MOST

    def full(self, text: str, blob: str) -> str:
        """The text itself, or the blob that holds it."""
        if not blob:
            return text
        if self._left <= 0:
            return "(it is long, and this answer is full: ask for it alone)"
        content = content_of(self._log, blob)
        if content is None:
            return GONE
        self._left -= len(content)
        return content.decode("utf-8", "replace")


def stored_message(texts: Texts, record: Record | None, id: str) -> Stored | None:
    """The message of that id in a record; None when it was redacted or forgotten."""
    for event in record.events if record is not None else ():
        if event.kind == Sent.kind and event.story == id and event.body != b"{}":
            assert record is not None
            sent = _sent.decode(event.body)
            return Stored(record.position, record.at, sent, texts.full(sent.text, sent.blob))
    return None


def box_names(agents: Agents, boxes: Iterable[str]) -> dict[str, str]:
    """What to call the owners of boxes, gathered on the loop for use on a thread."""
    return {box: agents.label(box) for box in boxes}
