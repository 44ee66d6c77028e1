"""Mailboxes: what lies where for whom, in the order in which it is to be delivered."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from sys import intern

import msgspec
from msgspec import Struct

from synapse.event import Event
from synapse.hub.facts import (
    Acknowledged,
    Canceled,
    Completed,
    DeadLettered,
    Delivered,
    Failed,
    OutcomeUnknown,
    Read,
    Rejected,
    Renamed,
    Returned,
    Sent,
    Typing,
)

QUEUED, TYPING, READ = "queued", "typing", "read"
DEAD_LETTERS_KEPT = 1000


class Message(Struct, kw_only=True, omit_defaults=True):
    """A message that is not done with, in one box. The text stays in the log, at `position`."""

    id: str
    box: str
    sender: str
    position: int
    at: float
    role: str = "task"
    task: str = ""
    priority: int = 3
    state: str = QUEUED
    agent: str = ""  # in whose terminal it is being typed

    @property
    def order(self) -> tuple[int, int, str]:
        """Higher priority first, then first come."""
        return (-self.priority, self.position, self.id)


class DeadLetter(Struct, array_like=True):
    """A message that cannot be delivered any more, and why."""

    id: str
    box: str
    sender: str
    position: int
    reason: str


class _Dump(Struct, array_like=True):
    messages: list[Message]
    dead: list[DeadLetter]


class Mailbox:
    """The living messages of every box; those that are delivered, acknowledged or answered are gone from here."""

    name = "mailbox"
    version = 1
    kinds = frozenset(
        fact.kind
        for fact in (
            Sent,
            Typing,
            Returned,
            Delivered,
            OutcomeUnknown,
            Read,
            Acknowledged,
            DeadLettered,
            Renamed,
            Completed,
            Failed,
            Canceled,
            Rejected,
        )
    )

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._boxes: dict[str, dict[str, Message]] = {}
        self._queues: dict[str, list[tuple[int, int, str]]] = {}
        self.dead: deque[DeadLetter] = deque(maxlen=DEAD_LETTERS_KEPT)

    def apply(self, event: Event) -> None:
        body = event.body
        if isinstance(body, Sent):
            for box in body.to:
                self._put(
                    Message(
                        id=body.id,
                        box=intern(box),
                        sender=intern(body.sender),
                        position=event.position,
                        at=event.at,
                        role=body.role,
                        task=body.task,
                        priority=body.priority,
                    )
                )
        elif isinstance(body, Renamed):
            self._rename(body.old_box, intern(body.box))
        elif isinstance(body, (Completed, Failed, Canceled, Rejected)):
            self._take(body.box, body.task)
        else:
            self._move(event.position, body)

    def _move(
        self, position: int, body: "Typing | Returned | Delivered | OutcomeUnknown | Read | Acknowledged"
    ) -> None:
        message = self.get(body.box, body.id)
        if message is None:
            return
        if isinstance(body, Typing):
            message.state, message.agent = TYPING, body.agent
            self._unqueue(message)
        elif isinstance(body, Returned):
            message.state, message.agent = QUEUED, ""
            self._enqueue(message)
        elif isinstance(body, Read):
            message.state = READ
            self._unqueue(message)
        else:
            self._take(body.box, body.id)
            if isinstance(body, DeadLettered):
                self.dead.append(DeadLetter(message.id, message.box, message.sender, message.position, body.reason))

    def _put(self, message: Message) -> None:
        self._boxes.setdefault(message.box, {})[message.id] = message
        if message.state == QUEUED:
            self._enqueue(message)

    def _take(self, box: str, id: str) -> Message | None:
        messages = self._boxes.get(box)
        message = messages.pop(id, None) if messages is not None else None
        if message is not None:
            self._unqueue(message)
            if not messages:
                del self._boxes[box]
        return message

    def _enqueue(self, message: Message) -> None:
        insort(self._queues.setdefault(message.box, []), message.order)

    def _unqueue(self, message: Message) -> None:
        queue = self._queues.get(message.box)
        if queue is not None:
            place = bisect_left(queue, message.order)
            if place < len(queue) and queue[place] == message.order:
                del queue[place]
            if not queue:
                del self._queues[message.box]

    def _rename(self, old: str, new: str) -> None:
        moved = self._boxes.pop(old, {})
        self._queues.pop(old, None)
        for message in moved.values():
            message.box = new
            self._put(message)
        for messages in self._boxes.values():
            for message in messages.values():
                if message.sender == old:
                    message.sender = new

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(_Dump(list(self), list(self.dead)))

    def load(self, state: bytes) -> None:
        dumped = msgspec.msgpack.decode(state, type=_Dump)
        self.reset()
        for message in dumped.messages:
            self._put(message)
        self.dead.extend(dumped.dead)

    # -- looking

    def __iter__(self) -> Iterator[Message]:
        for messages in self._boxes.values():
            yield from messages.values()

    def __len__(self) -> int:
        return sum(map(len, self._boxes.values()))

    def boxes(self) -> Iterator[str]:
        return iter(self._boxes)

    def get(self, box: str, id: str) -> Message | None:
        return self._boxes.get(box, {}).get(id)

    def of(self, box: str) -> list[Message]:
        """Everything in a box, oldest first."""
        return sorted(self._boxes.get(box, {}).values(), key=lambda message: message.position)

    def queued(self, box: str) -> int:
        """How many wait to be delivered."""
        return len(self._queues.get(box, ()))

    def head(self, box: str, without: set[str]) -> Message | None:
        """What is to be delivered next, apart from those in `without`."""
        for _, _, id in self._queues.get(box, ()):
            if id not in without:
                return self._boxes[box][id]
        return None
