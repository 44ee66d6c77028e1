"""Tasks: pieces of work asked of an agent, their states, and who waits for whom."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable
from operator import itemgetter
from sys import intern
from typing import NamedTuple

import msgspec
from msgspec import Struct

from synapse.errors import NotFound, Refused
from synapse.event import Event, Fact
from synapse.hub.facts import (
    Canceled,
    Completed,
    Failed,
    InputRequired,
    LogForgotten,
    Rejected,
    Renamed,
    Resumed,
    Submitted,
    WaitEnded,
    Working,
)

DEEPEST = 8
INTERRUPTED = ("input-required", "auth-required")
ENDS: dict[type[Fact], str] = {Completed: "completed", Failed: "failed", Canceled: "canceled", Rejected: "rejected"}


def context_of(task: str, context: str = "") -> str:
    """The conversation of a task; one of its own where none was given."""
    return context or f"c-{task.removeprefix('t-')}"


class Task(Struct, kw_only=True, omit_defaults=True):
    """A task that is alive. `agent` is the key of who works on it; `position` where it was submitted."""

    id: str
    box: str
    requester: str
    position: int
    since: float
    state: str = "submitted"
    mode: str = "notify"
    blocking: bool = False  # its requester is an agent that does nothing else until it is answered
    depth: int = 1
    agent: str = ""
    question: str = ""
    choices: tuple[str, ...] = ()
    context: str = ""

    @property
    def interrupted(self) -> bool:
        """Does it wait for somebody's word?"""
        return self.state in INTERRUPTED


class Finished(NamedTuple):
    """What is kept of a task that ended: where its record begins and ends in the log. `box` and `requester` are as they
    were then: `Tasks.owner` and `Tasks.asker` say whose they are now."""

    state: str
    box: str
    requester: str
    position: int
    end: int


class _Dump(Struct, array_like=True):
    live: list[Task]
    finished: dict[str, Finished]
    current: dict[str, str]
    moves: dict[str, list[tuple[int, str]]]


class Tasks:
    """Tasks by id: the living in full, the finished as a line."""

    name = "tasks"
    version = 4
    kinds = frozenset(
        {Submitted.kind, Working.kind, InputRequired.kind, Resumed.kind, WaitEnded.kind, Renamed.kind}
        | {Completed.kind, Failed.kind, Canceled.kind, Rejected.kind, LogForgotten.kind}
    )

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.live: dict[str, Task] = {}
        self.finished: dict[str, Finished] = {}
        self._current: dict[str, str] = {}  # agent key -> the task in its terminal
        self._by_box: dict[str, dict[str, None]] = {}
        self._by_requester: dict[str, dict[str, None]] = {}
        self.waited_for: dict[str, None] = {}  # tasks that somebody should be waiting for
        self._moves: dict[str, list[tuple[int, str]]] = {}  # box -> where its owner took another one, and which

    def apply(self, event: Event) -> None:
        body = event.body
        if isinstance(body, Submitted):
            self._put(
                Task(
                    id=body.task,
                    box=intern(body.box),
                    requester=intern(body.requester),
                    position=event.position,
                    since=event.at,
                    mode=body.mode,
                    blocking=body.blocking,
                    depth=body.depth,
                    context=body.context,
                )
            )
        elif isinstance(body, Renamed):
            self._rename(event.position, body.old_box, intern(body.box))
        elif isinstance(body, LogForgotten):
            for story in body.stories:
                self.finished.pop(story, None)
        else:
            task = self.live.get(body.task)
            if task is None:
                return
            if type(body) in ENDS:
                self._end(task, ENDS[type(body)], event.position)
            else:
                self._move(task, body)

    def _move(self, task: Task, body: object) -> None:
        if isinstance(body, Working):
            task.state, task.agent = "working", body.agent
            self._current[body.agent] = task.id
        elif isinstance(body, InputRequired):
            task.state = INTERRUPTED[body.auth]
            task.question, task.choices = body.question, body.choices
        elif isinstance(body, Resumed):
            task.state, task.question, task.choices = "working", "", ()
        elif isinstance(body, WaitEnded):
            task.mode, task.blocking = "notify", False
            self.waited_for.pop(task.id, None)

    def _put(self, task: Task) -> None:
        self.live[task.id] = task
        self._by_box.setdefault(task.box, {})[task.id] = None
        self._by_requester.setdefault(task.requester, {})[task.id] = None
        if task.mode == "wait":
            self.waited_for[task.id] = None

    def _end(self, task: Task, state: str, position: int) -> None:
        del self.live[task.id]
        self.waited_for.pop(task.id, None)
        _discard(self._by_box, task.box, task.id)
        _discard(self._by_requester, task.requester, task.id)
        if task.agent and self._current.get(task.agent) == task.id:
            del self._current[task.agent]
        self.finished[task.id] = Finished(state, task.box, task.requester, task.position, position)

    def _rename(self, position: int, old: str, new: str) -> None:
        if old != new:
            self._moves.setdefault(old, []).append((position, new))
        for id in self._by_box.pop(old, {}):
            self.live[id].box = new
            self._by_box.setdefault(new, {})[id] = None
        for id in self._by_requester.pop(old, {}):
            self.live[id].requester = new
            self._by_requester.setdefault(new, {})[id] = None

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(_Dump(list(self.live.values()), self.finished, self._current, self._moves))

    def load(self, state: bytes) -> None:
        dumped = msgspec.msgpack.decode(state, type=_Dump)
        self.reset()
        for task in dumped.live:
            self._put(task)
        self._current, self._moves = dumped.current, dumped.moves
        self.finished = {
            id: Finished(intern(a), intern(b), intern(c), d, e) for id, (a, b, c, d, e) in dumped.finished.items()
        }

    # -- looking

    def get(self, id: str) -> Task:
        """The living task, NotFound, or Refused when it has ended."""
        task = self.live.get(id)
        if task is not None:
            return task
        if id in self.finished:
            raise Refused("task_ended", f"Task {id} is {self.finished[id].state} already: `synapse history show {id}`.")
        raise NotFound("no_such_task", f"There is no task {id[:80]!r}: `synapse history` lists them.")

    def owner(self, found: Task | Finished) -> str:
        """The box that a task belongs to now, also one that ended before its agent was renamed."""
        return self._now(found.box, found.end) if isinstance(found, Finished) else found.box

    def asker(self, found: Task | Finished) -> str:
        """The box of who asked for it, as it is called now."""
        return self._now(found.requester, found.end) if isinstance(found, Finished) else found.requester

    def once(self, boxes: Collection[str]) -> Collection[str]:
        """The boxes in which the tasks of these may have ended: what is in no other need not be looked at."""
        found = set(boxes)
        while more := {
            old for old, moves in self._moves.items() if old not in found and any(m[1] in found for m in moves)
        }:
            found |= more
        return found

    def _now(self, box: str, since: int) -> str:
        # Only renames behind its end move a task: whoever is given a name that is free again gets nothing of what its
        # last owner did, and takes only its own along. Who takes a name whose owner is away joins that name's box, as
        # everybody does who comes under it.
        while moves := self._moves.get(box):
            at = bisect_right(moves, since, key=itemgetter(0))
            if at == len(moves):
                break
            since, box = moves[at]
        return box

    def current(self, agent: str) -> Task | None:
        """The task that is now in the agent's terminal."""
        return self.live.get(self._current.get(agent, ""))

    def of(self, box: str) -> list[Task]:
        """The living tasks of a box, oldest first."""
        return [self.live[id] for id in self._by_box.get(box, ())]

    def circle(self, requester: str, box: str, waits: Callable[[str], Iterable[str]] = lambda box: ()) -> list[str]:
        """The boxes of the circle that would close if `requester` waited for `box`; empty when there is none.

        `waits` tells for whom the owner of a box waits beside the tasks that block it.
        """
        trail, seen = [[requester, box]], {box}
        while trail:
            path = trail.pop()
            if path[-1] == requester:
                return path
            for held_by in (*self._blocking(path[-1]), *waits(path[-1])):
                if held_by not in seen:
                    seen.add(held_by)
                    trail.append([*path, held_by])
        return []

    def _blocking(self, requester: str) -> list[str]:
        """The boxes whose answers a participant waits for."""
        asked = (self.live[id] for id in self._by_requester.get(requester, ()))
        return [task.box for task in asked if task.blocking]


def _discard(index: dict[str, dict[str, None]], key: str, id: str) -> None:
    held = index.get(key)
    if held is not None:
        held.pop(id, None)
        if not held:
            del index[key]
