"""Mailboxes: what lies where for whom, in the order in which it is to be delivered."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Collection, Iterator
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
    LogForgotten,
    OutcomeUnknown,
    Read,
    Rejected,
    Renamed,
    Returned,
    Sent,
    Typing,
)

QUEUED, TYPING, READ = "queued", "typing", "read"
URGENT = 5  # the priority that interrupts
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
    version = 2
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
            LogForgotten,
        )
    )

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._boxes: dict[str, dict[str, Message]] = {}  # each in the order of positions
        self._queues: dict[str, list[tuple[int, int, str]]] = {}
        self._typing: dict[str, Message] = {}  # by box
        self._along: dict[str, dict[str, Message]] = {}  # task -> what comes along with it, behind its first message
        self.dead: deque[DeadLetter] = deque(maxlen=DEAD_LETTERS_KEPT)

    def apply(self, event: Event) -> None:
        body = event.body
        if isinstance(body, Sent):
            id, sender, position, at = body.id, intern(body.sender), event.position, event.at
            role, task, priority = body.role, body.task, body.priority
            boxes, queues, order = self._boxes, self._queues, (-priority, position, id)
            for box in map(intern, body.to):  # written out: a broadcast has many
                message = Message(
                    id=id, box=box, sender=sender, position=position, at=at, role=role, task=task, priority=priority
                )
                if task and task != id:
                    self._along.setdefault(task, {})[id] = message
                if box in boxes:
                    boxes[box][id] = message
                else:
                    boxes[box] = {id: message}
                if box not in queues:
                    queues[box] = [order]
                elif queues[box][-1] > order:
                    insort(queues[box], order)
                else:
                    queues[box].append(order)
        elif isinstance(body, Renamed):
            self._rename(body.old_box, intern(body.box))
        elif isinstance(body, LogForgotten):
            gone = frozenset(body.stories)
            self.dead = deque((letter for letter in self.dead if letter.id not in gone), DEAD_LETTERS_KEPT)
        elif isinstance(body, (Completed, Failed, Canceled, Rejected)):
            self._take(body.box, body.task)
            for message in list(self._along.get(body.task, {}).values()):
                self._take(message.box, message.id)
        else:
            self._move(event.position, body)

    def _move(
        self, position: int, body: "Typing | Returned | Delivered | OutcomeUnknown | Read | Acknowledged"
    ) -> None:
        message = self.get(body.box, body.id)
        if message is None:
            return
        if isinstance(body, Typing):
            self._move_to(message, TYPING, body.agent)
        elif isinstance(body, Returned):
            self._move_to(message, QUEUED)
        elif isinstance(body, Read):
            self._move_to(message, READ)
        else:
            self._take(body.box, body.id)
            if isinstance(body, DeadLettered):
                self.dead.append(DeadLetter(message.id, message.box, message.sender, message.position, body.reason))

    def _move_to(self, message: Message, state: str, agent: str = "") -> None:
        self._unplace(message)
        message.state, message.agent = state, agent
        self._place(message)

    def _put(self, message: Message) -> None:
        self._boxes.setdefault(message.box, {})[message.id] = message
        if message.task and message.task != message.id:
            self._along.setdefault(message.task, {})[message.id] = message
        self._place(message)

    def _take(self, box: str, id: str) -> Message | None:
        messages = self._boxes.get(box)
        message = messages.pop(id, None) if messages is not None else None
        if message is not None:
            self._unplace(message)
            if not messages:
                del self._boxes[box]
            along = self._along.get(message.task)
            if along is not None:
                along.pop(id, None)
                if not along:
                    del self._along[message.task]
        return message

    def _place(self, message: Message) -> None:
        """Put it into the index of its state."""
        if message.state == QUEUED:
            self._enqueue(message)
        elif message.state == TYPING:
            self._typing[message.box] = message

    def _unplace(self, message: Message) -> None:
        if message.state == QUEUED:
            self._unqueue(message)
        elif self._typing.get(message.box) is message:
            del self._typing[message.box]

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
        moved = list(self._boxes.get(old, {}).values())
        merging = new in self._boxes
        for message in moved:
            self._take(old, message.id)
            if self.get(new, message.id) is None:  # else a broadcast had reached it under both names
                message.box = new
                self._put(message)
        if moved and merging:
            self._boxes[new] = {m.id: m for m in sorted(self._boxes[new].values(), key=_position)}
        for message in self:
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
        return list(self._boxes.get(box, {}).values())

    def newer(self, box: str, after: int) -> list[Message]:
        """What was stored in a box behind a position, oldest first."""
        found = []
        for message in reversed(self._boxes.get(box, {}).values()):
            if message.position <= after:
                break
            found.append(message)
        return found[::-1]

    def older(self, at: float) -> Iterator[Message]:
        """Everything that was stored before a time, box by box."""
        for messages in self._boxes.values():
            for message in messages.values():
                if message.at >= at:
                    break
                yield message

    def sent_by(self, box: str) -> list[Message]:
        """What a sender has lying in others' boxes, oldest first."""
        return sorted((message for message in self if message.sender == box), key=_position)

    def typing(self, box: str) -> Message | None:
        """What is now being typed into the terminal of the box's owner."""
        return self._typing.get(box)

    def along(self, task: str, without: Collection[str] = ()) -> Message | None:
        """What is to be delivered next of that which comes along with a task, apart from those in `without`."""
        queued = (m for m in self._along.get(task, {}).values() if m.state == QUEUED and m.id not in without)
        return next(queued, None)

    def queued(self, box: str) -> int:
        """How many wait to be delivered."""
        return len(self._queues.get(box, ()))

    def head(self, box: str, without: set[str]) -> Message | None:
        """What is to be delivered next, apart from those in `without`."""
        for _, _, id in self._queues.get(box, ()):
            if id not in without:
                return self._boxes[box][id]
        return None


def _position(message: Message) -> int:
    return message.position
