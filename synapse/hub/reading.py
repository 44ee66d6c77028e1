"""Reading stored messages and tasks back from the log, on a reader's thread."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from synapse.hub.agents import Agents
from synapse.hub.facts import Sent
from synapse.log.base import Log, Record

_sent = msgspec.json.Decoder(Sent)


class Stored(NamedTuple):
    """A message as it lies in the log, its text fetched."""

    position: int
    at: float
    sent: Sent
    text: str


def stored_message(log: Log, record: Record | None, id: str) -> Stored | None:
    """The message of that id in a record; None when it was redacted or forgotten."""
    for event in record.events if record is not None else ():
        if event.kind == Sent.kind and event.story == id and event.body != b"{}":
            assert record is not None
            sent = _sent.decode(event.body)
            return Stored(record.position, record.at, sent, full_text(log, sent.text, sent.blob))
    return None


def full_text(log: Log, text: str, blob: str) -> str:
    """The text itself, or the blob that holds it."""
    if not blob:
        return text
    content = log.blob(blob)
    return "(its text is gone)" if content is None else content.decode("utf-8", "replace")


def box_names(agents: Agents, boxes: Iterable[str]) -> dict[str, str]:
    """What to call the owners of boxes, gathered on the loop for use on a thread."""
    return {box: agents.label(box) for box in boxes}
