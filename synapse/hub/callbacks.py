"""Callbacks: who is to be called when a task changes, what each has still to be told, and what became of the last calls.

What is owed is state: it is there after every start, whatever happened to the hub between a change and its call.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Struct, field

from synapse.event import Event, Fact
from synapse.hub.callback_facts import (
    CALLBACKS,
    PushConfigured,
    PushRemoved,
    PushSettled,
    WebhookAdded,
    WebhookRemoved,
    WebhookSettled,
)
from synapse.hub.facts import (
    Canceled,
    Completed,
    Failed,
    InputRequired,
    LogForgotten,
    Rejected,
    Renamed,
    Resumed,
    Working,
)

EVENT_ID = "X-Synapse-Event-Id"  # the header that every call carries
EVENTS = ("task.completed", "task.failed", "task.canceled", "task.input_required")
CHANGES: dict[type[Fact], str] = {
    Working: "",
    Resumed: "",
    InputRequired: "task.input_required",
    Completed: "task.completed",
    Failed: "task.failed",
    Rejected: "task.failed",
    Canceled: "task.canceled",
}  # what a change of a task is called; "": only those who asked for this task hear of it
RECENT = 50  # calls of one webhook that are remembered
MOST_OWED = 10_000  # calls that one webhook is owed; of more, the oldest are given up
REMEMBERED = 1000  # tasks whose changes are remembered; push configurations of ended tasks that are kept


class Config(Struct, kw_only=True, omit_defaults=True):
    """One push configuration of a task. `place` orders them; `owed` are positions of changes, in order."""

    task: str
    id: str
    url: str
    owner: str
    place: int
    scheme: str = ""
    secrets: str = ""
    version: str = "1.0"
    owed: list[int] = field(default_factory=list)
    over: bool = False


class Call(Struct, frozen=True, array_like=True):
    """What became of one call of a webhook."""

    at: float
    task: str
    position: int
    event: str
    status: int
    attempts: int
    error: str


class Hook(Struct, kw_only=True, omit_defaults=True):
    """One webhook; `owed` are positions of changes by task."""

    id: str
    url: str
    owner: str
    since: float
    events: tuple[str, ...] = EVENTS
    secrets: str = ""
    box: str = ""
    owed: dict[str, list[int]] = field(default_factory=dict)
    owing: int = 0
    given_up: int = 0  # for want of room
    recent: list[Call] = field(default_factory=list)


class _Dump(Struct, array_like=True):
    configs: list[Config]
    hooks: list[Hook]
    changes: dict[str, list[int]]
    ended: list[tuple[str, str]]


class Callbacks:
    """Push configurations by task and id, webhooks by id."""

    name = "callbacks"
    version = 2
    kinds = frozenset(
        {fact.kind for fact in CALLBACKS} | {fact.kind for fact in CHANGES} | {Renamed.kind, LogForgotten.kind}
    )

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.configs: dict[str, dict[str, Config]] = {}
        self.hooks: dict[str, Hook] = {}
        self._changes: dict[str, list[int]] = {}  # where the newest tasks changed
        self._ended: dict[tuple[str, str], None] = {}  # configurations that are told nothing more
        self._count = 0

    def apply(self, event: Event) -> None:
        body = event.body
        if type(body) in CHANGES:
            self._changed(event, body)
        elif isinstance(body, PushConfigured):
            self._configure(event.position, body)
        elif isinstance(body, PushSettled):
            self._settle(body)
        elif isinstance(body, PushRemoved):
            self._remove(body.task, body.id)
        elif isinstance(body, WebhookAdded):
            self._add(event, body)
        elif isinstance(body, WebhookSettled):
            self._called(event, body)
        elif isinstance(body, WebhookRemoved):
            self.hooks.pop(body.id, None)
        elif isinstance(body, Renamed):
            self._rename(body.old_box, body.box)
        elif isinstance(body, LogForgotten):
            for story in body.stories:
                self._forget(story)

    def _changed(self, event: Event, body: Working | Resumed | InputRequired) -> None:
        """A task has changed: who wants to hear of it?"""
        task, position, name = body.task, event.position, CHANGES[type(body)]
        where = self._changes.setdefault(task, [])
        where.append(position)
        if len(self._changes) > REMEMBERED:
            del self._changes[next(iter(self._changes))]
        for config in self.configs.get(task, {}).values():
            _owe(config.owed, position)
        for hook in self.hooks.values():
            if name in hook.events and hook.box in ("", body.box):
                hook.owing += _owe(hook.owed.setdefault(task, []), position)
                if hook.owing > MOST_OWED:
                    _give_up_oldest(hook)

    def _configure(self, position: int, body: PushConfigured) -> None:
        before = self.configs.get(body.task, {}).get(body.id)
        config = Config(
            task=body.task,
            id=body.id,
            url=body.url,
            owner=body.owner,
            place=before.place if before else position,
            scheme=body.scheme,
            secrets=body.secrets,
            version=body.version,
            owed=before.owed if before else [],
        )
        for owed in body.owed:
            _owe(config.owed, owed)
        self._count += before is None
        self.configs.setdefault(body.task, {})[body.id] = config
        self._ended.pop((body.task, body.id), None)
        if body.over:
            self._end(config)

    def _settle(self, body: PushSettled) -> None:
        config = self.configs.get(body.task, {}).get(body.id)
        if config is not None:
            config.owed = [position for position in config.owed if position > body.position]
            if body.over:
                self._end(config)

    def _end(self, config: Config) -> None:
        """It can still be looked at, as long as there is room."""
        config.over = True
        self._ended[config.task, config.id] = None
        if len(self._ended) > REMEMBERED:
            self._remove(*next(iter(self._ended)))

    def _remove(self, task: str, id: str) -> None:
        self._ended.pop((task, id), None)
        of_task = self.configs.get(task, {})
        if of_task.pop(id, None) is not None:
            self._count -= 1
        if not of_task:
            self.configs.pop(task, None)

    def _add(self, event: Event, body: WebhookAdded) -> None:
        before = self.hooks.get(body.id)
        hook = Hook(
            id=body.id,
            url=body.url,
            owner=body.owner,
            since=event.at,
            events=body.events,
            secrets=body.secrets,
            box=body.box,
        )
        if before is not None:
            hook.owed, hook.owing, hook.recent, hook.since = before.owed, before.owing, before.recent, before.since
        self.hooks[body.id] = hook

    def _called(self, event: Event, body: WebhookSettled) -> None:
        hook = self.hooks.get(body.id)
        if hook is None:
            return
        _paid(hook, body.task, body.position)
        hook.recent.append(Call(event.at, body.task, body.position, body.event, body.status, body.attempts, body.error))
        del hook.recent[:-RECENT]

    def _rename(self, old: str, new: str) -> None:
        """Whoever is given the old name has nothing of what its last owner wanted to hear of."""
        for hook in self.hooks.values():
            hook.box = new if hook.box == old else hook.box
            hook.owner = new if hook.owner == old else hook.owner
        for of_task in self.configs.values():
            for config in of_task.values():
                config.owner = new if config.owner == old else config.owner

    def _forget(self, story: str) -> None:
        self._changes.pop(story, None)
        for id in list(self.configs.get(story, ())):
            self._remove(story, id)
        for hook in self.hooks.values():
            hook.owing -= len(hook.owed.pop(story, ()))
            hook.recent = [call for call in hook.recent if call.task != story]

    def dump(self) -> bytes:
        configs = [config for of_task in self.configs.values() for config in of_task.values()]
        return msgspec.msgpack.encode(_Dump(configs, list(self.hooks.values()), self._changes, list(self._ended)))

    def load(self, state: bytes) -> None:
        dumped = msgspec.msgpack.decode(state, type=_Dump)
        self.reset()
        for config in dumped.configs:
            self.configs.setdefault(config.task, {})[config.id] = config
        self._count = len(dumped.configs)
        self.hooks = {hook.id: hook for hook in dumped.hooks}
        self._changes = dumped.changes
        self._ended = dict.fromkeys(dumped.ended)

    # -- looking

    @property
    def configured(self) -> int:
        """How many push configurations there are."""
        return self._count

    def changes(self, task: str, after: int) -> tuple[int, ...]:
        """Where a task has changed after a position, as far as that is remembered."""
        return tuple(position for position in self._changes.get(task, ()) if position > after)

    def owing(self, task: str) -> Iterator[Config | Hook]:
        """Who has still to be told of changes of a task."""
        yield from (config for config in self.configs.get(task, {}).values() if config.owed)
        yield from (hook for hook in self.hooks.values() if task in hook.owed)

    def tasks_owed(self) -> set[str]:
        """The tasks of whose changes somebody has still to be told."""
        pushed = {task for task, configs in self.configs.items() if any(config.owed for config in configs.values())}
        return pushed.union(*(hook.owed for hook in self.hooks.values()))


def _owe(owed: list[int], position: int) -> int:
    """One position more, each once and in order; how many more it are now."""
    if position in owed:
        return 0
    owed.append(position)
    if len(owed) > 1 and owed[-2] > position:
        owed.sort()
    return 1


def _paid(hook: Hook, task: str, position: int) -> None:
    owed = hook.owed.get(task, [])
    if position in owed:
        owed.remove(position)
        hook.owing -= 1
    if not owed:
        hook.owed.pop(task, None)


def _give_up_oldest(hook: Hook) -> None:
    task = next(iter(hook.owed))
    hook.given_up += 1
    _paid(hook, task, hook.owed[task][0])
