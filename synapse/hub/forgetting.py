"""Forgetting: which finished tasks are to go, the event that says so, and the blobs that nothing names any more."""

import re
from typing import Any, NamedTuple

import msgspec

from synapse.event import Event
from synapse.hub.callbacks import Callbacks
from synapse.hub.facts import LogForgotten
from synapse.hub.loop import Call, Hub
from synapse.hub.mailbox import Mailbox
from synapse.hub.prompts import Prompts
from synapse.hub.tasks import Tasks
from synapse.log.base import Log
from synapse.verb import Change, Reply, Verb, change

DAY = 24 * 3600.0
AT_ONCE = 100  # tasks that are forgotten by one change
EVENTS = 1200  # bytes that a small task takes in the log, its texts apart
MEGABYTE = 1_000_000
_SUM = re.compile(rb'"([0-9a-f]{64})"')


class Bounds(NamedTuple):
    """How much is kept: tasks that ended so many days ago at most, megabytes; None: no bound."""

    days: float | None
    megabytes: float | None

    @property
    def any(self) -> bool:
        return self.days is not None or self.megabytes is not None


class Forgotten:
    """The stories that were forgotten last: they may still be in the log's file."""

    name = "forgotten"
    version = 1
    kinds = frozenset({LogForgotten.kind})

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.stories: tuple[str, ...] = ()

    def apply(self, event: Event) -> None:
        self.stories = event.body.stories

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(self.stories)

    def load(self, state: bytes) -> None:
        self.stories = msgspec.msgpack.decode(state, type=tuple[str, ...])


class ForgetRequest(Change, kw_only=True):
    """Each task with the stories of its messages and prompts."""

    tasks: dict[str, tuple[str, ...]]


class ForgetReply(Reply, kw_only=True, omit_defaults=False):
    tasks: tuple[str, ...]
    stories: tuple[str, ...]


@change("history.forget", internal=True, anonymous=True)
def forget(call: Call, request: ForgetRequest) -> ForgetReply:
    """Forget finished tasks, but for those of which something still lies in a box."""
    going = free(call.hub, request)
    stories = tuple(story for task, own in going.items() for story in (task, *own))
    if stories:
        call.emit(LogForgotten(stories=stories), "log", "")
    return ForgetReply(tasks=tuple(going), stories=stories)


def free(hub: Hub, request: ForgetRequest) -> dict[str, tuple[str, ...]]:
    """Those that have ended, and of which nothing lies in a box, waits to be pressed, or is still to be told."""
    finished, state = hub.state.get(Tasks).finished, hub.state
    alive = (
        {message.id for message in state.get(Mailbox)}
        | state.get(Prompts).open.keys()
        | state.get(Callbacks).tasks_owed()
    )
    return {task: own for task, own in request.tasks.items() if task in finished and alive.isdisjoint((task, *own))}


# -- which


class Old(NamedTuple):
    """A finished task that is to go."""

    changed: int
    task: str
    size: int
    stories: tuple[str, ...]


class Total(NamedTuple):
    """How much there is in all, in the log, about."""

    tasks: int
    size: int


_SIZE = (
    f"({EVENTS} + (SELECT coalesce(sum(x.size), 0) FROM tasks_texts x WHERE x.task = t.task)"  # noqa: S608
    " + (SELECT coalesce(sum(s.size), 0) FROM tasks_stories s WHERE s.task = t.task))"
)
_TOTAL = (
    "SELECT (SELECT count(*) FROM tasks_all), (SELECT coalesce(sum(size), 0) FROM tasks_texts)"
    " + (SELECT coalesce(sum(size), 0) FROM tasks_stories)"
)
_NEXT = (
    f"SELECT changed, task, ended_at, {_SIZE} FROM tasks_all t WHERE end > 0 AND changed > ? ORDER BY changed LIMIT ?"  # noqa: S608
)


def total(db: Any) -> Total:
    """All tasks, and how many bytes they take."""
    [[tasks, size]] = db.execute(_TOTAL).fetchall()
    return Total(tasks, size + tasks * EVENTS)


def oldest(db: Any, after: int, ended: float, over: float) -> list[Old]:
    """The next finished tasks behind an address that ended up to a time, or as many as are `over` in bytes."""
    found = []
    for changed, task, at, size in db.execute(_NEXT, (after, AT_ONCE)).fetchall():
        if at > ended and over <= 0:
            break
        stories = db.execute("SELECT story FROM tasks_stories WHERE task = ?", (task,)).fetchall()
        found.append(Old(changed, task, size, tuple(story for (story,) in stories)))
        over -= size
    return found


def unnamed(log: Log) -> set[str]:
    """The blobs that no event names. Reads the whole log: for a reader's thread."""
    sums = set(log.sums())
    if sums:
        for record in log.read(0):
            for event in record.events:
                if len(event.body) > 64:
                    sums.difference_update(match.decode() for match in _SUM.findall(event.body))
    return sums


VERBS: tuple[Verb, ...] = (forget,)
