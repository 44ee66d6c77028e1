"""Live output: what an agent has said so far for the task in its terminal, told only while somebody watches."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import Struct, json

from synapse.errors import Refused
from synapse.event import Event
from synapse.hub.facts import Working
from synapse.hub.joining import Nothing
from synapse.hub.loop import Call, Hub
from synapse.hub.tasks import Tasks
from synapse.verb import Permission, Request, Verb, session

logger = logging.getLogger(__name__)
MOST = 4 << 20  # characters of one task that are kept for whoever comes later

Listener = Callable[[str, bool], None]  # (text, append): behind what was told before, or in its place


class _Watch(Struct):
    task: str
    on: bool


class _Frame(Struct):
    params: _Watch
    method: str = "watch"
    jsonrpc: str = "2.0"


@dataclass(slots=True)
class _Watched:
    """A task that somebody watches."""

    text: str = ""
    listeners: dict[object, Listener] = field(default_factory=dict)


class Watching:
    """Who watches which task. Nothing here is durable: a runner tells all of it again to the next hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._watched: dict[str, _Watched] = {}
        hub.on_publish.append(self._published)

    def watch(self, task: str, listener: Listener) -> Callable[[], None]:
        """Tell the listener what comes, in order, until the returned function is called.

        What is known already it is told at once, before this returns. A task that is not in a terminal yet, or never
        will be, may be watched too. Nothing is told any more once the task has ended.
        """
        watched = self._watched.get(task)
        if watched is None:
            watched = self._watched[task] = _Watched()
            self._tell_runner(task, on=True)
        who = object()
        watched.listeners[who] = listener
        if watched.text:
            listener(watched.text, False)
        return lambda: self._stop(task, watched, who)

    def _stop(self, task: str, watched: _Watched, who: object) -> None:
        if watched.listeners.pop(who, None) is None:
            return
        if not watched.listeners and self._watched.get(task) is watched:
            del self._watched[task]
            self._tell_runner(task, on=False)

    def watched(self, task: str) -> object | None:
        """What stands for those who watch it now, as long as somebody does; None when nobody does."""
        return self._watched.get(task)

    def told(self, task: str, text: str, append: bool) -> None:
        """A runner tells what its agent says; it goes out behind everything that was decided before."""
        self._hub.outbox.tell(self._hub.head, lambda position, what: self._pass_on(task, text, append), None)

    def _pass_on(self, task: str, text: str, append: bool) -> None:
        watched = self._watched.get(task)
        if watched is None:
            return
        watched.text = watched.text + text if append else text
        for who, listener in list(watched.listeners.items()):
            if who not in watched.listeners:
                continue  # one before it has sent it away
            try:
                listener(text, append)
            except Exception:
                logger.exception("somebody who watches %s could not be told", task)

    def room(self, task: str, text: str, append: bool) -> bool:
        """May so much be told of that task?"""
        watched = self._watched.get(task)
        return len(text) + (len(watched.text) if append and watched is not None else 0) <= MOST

    def attached(self, agent: str) -> None:
        """An agent's runner is there (again): it tells the whole text once more."""
        if not self._watched:
            return
        current = self._hub.state.get(Tasks).current(agent)
        if current is not None and current.id in self._watched:
            self._tell_runner(current.id, on=True)

    def look_everywhere(self) -> None:
        """The state is whole again: what could not be asked for meanwhile is asked for."""
        for task in self._watched:
            self._tell_runner(task, on=True)

    def _published(self, position: int, events: list[Event]) -> None:
        if self._watched:
            for event in events:
                if isinstance(event.body, Working) and event.body.task in self._watched:
                    self._tell_runner(event.body.task, on=True)

    def _tell_runner(self, task: str, *, on: bool) -> None:
        """Whoever has the task in its terminal hears whether it is watched; nobody does before it is there."""
        hub = self._hub
        if hub.suspended:
            return
        tasks = hub.state.get(Tasks)
        there = tasks.live.get(task)
        if there is None or not there.agent or tasks.current(there.agent) is not there:
            return
        runner = hub.sessions.runner(there.agent)
        if runner is not None:
            frame = json.encode(_Frame(_Watch(task, on)))
            hub.outbox.tell(hub.head, lambda position, what: runner.push(what), frame)


class OutputRequest(Request, kw_only=True):
    """`append`: the text goes behind what was told before; else it stands in its place."""

    task: str
    text: str
    append: bool = False


@session("tasks.output", Permission.WRITE, lasting=True)
def output(call: Call, request: OutputRequest) -> Nothing:
    """A runner tells what its agent has said so far for the task in its terminal."""
    agent, watching = call.session.runner_of, call.hub.watching
    if not agent:
        raise Refused("not_a_runner", "Only a runner tells what its agent says.")
    task = call.state(Tasks).get(request.task)
    if call.state(Tasks).current(agent) is not task:
        raise Refused("not_yours", f"Task {task.id} is not in your terminal.")
    if not watching.room(task.id, request.text, request.append):
        raise Refused("too_much_output", f"Of one task {MOST} characters are kept: tell its end alone, not appended.")
    watching.told(task.id, request.text, request.append)
    return Nothing()


VERBS: tuple[Verb, ...] = (output,)
