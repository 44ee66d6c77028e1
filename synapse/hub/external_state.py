"""Agents elsewhere as folded state: which there are, which of our tasks they have, and what is owed to them."""

from typing import TypeVar

import msgspec
from msgspec import Struct, structs

from synapse.event import Event
from synapse.hub.external_facts import (
    EXTERNAL,
    ExternalAdded,
    ExternalAnswered,
    ExternalContextLinked,
    ExternalLinked,
    ExternalRefreshed,
    ExternalReleased,
    ExternalRemoved,
)
from synapse.hub.facts import Canceled, Completed, Failed, LogForgotten, MessageAdded, Rejected

T = TypeVar("T")

CONTEXTS_KEPT = (
    10_000  # conversations that have begun with a task, and of one agent those that have a name of their own
)


class Registration(ExternalAdded, frozen=True, kw_only=True, omit_defaults=True):
    """An agent elsewhere that is a participant here: what was added, as it is now, and since when."""

    since: float


class Link(Struct, kw_only=True, omit_defaults=True):
    """A task of ours that an agent elsewhere has. `owed` are the positions of messages that it has not been told."""

    task: str
    key: str
    context: str
    remote_task: str = ""
    remote_context: str = ""
    owed: list[int] = []


class _Dump(Struct, array_like=True):
    registered: list[Registration]
    links: list[Link]
    calling_off: list[Link]
    contexts: dict[str, dict[str, str]]
    begun: dict[str, tuple[str, str]]


class External:
    """Agents elsewhere, and the tasks that they have."""

    name = "external"
    version = 1
    kinds = frozenset({fact.kind for fact in EXTERNAL} | {LogForgotten.kind, MessageAdded.kind}) | {
        Completed.kind, Failed.kind, Canceled.kind, Rejected.kind
    }  # fmt: skip

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.registered: dict[str, Registration] = {}  # by key
        self.links: dict[str, Link] = {}  # by task
        self.calling_off: dict[str, Link] = {}  # called off here, and the other side is not told yet
        self._contexts: dict[str, dict[str, str]] = {}  # key -> our conversation -> theirs, oldest first
        self._begun: dict[
            str, tuple[str, str]
        ] = {}  # task -> whose it was, and their name of the conversation it began

    def apply(self, event: Event) -> None:
        body = event.body
        if isinstance(body, MessageAdded):
            if body.task in self.links:
                self.links[body.task].owed.append(event.position)
        elif isinstance(body, Completed | Failed | Rejected | Canceled):
            link = self.links.pop(body.task, None)
            if link is not None and isinstance(body, Canceled) and body.reason != "interrupted":
                self.calling_off[body.task] = link
        elif isinstance(body, ExternalLinked):
            self._link(body)
        elif isinstance(body, ExternalAnswered):
            link = self.links.get(body.task)
            if link is not None:
                link.owed = [position for position in link.owed if position > body.position]
        elif isinstance(body, ExternalReleased):
            self.calling_off.pop(body.task, None)
        elif isinstance(body, ExternalContextLinked):
            _keep(self._contexts.setdefault(body.key, {}), body.context, body.remote_context)
        elif isinstance(body, LogForgotten):
            for story in body.stories:
                self._begun.pop(story, None)
                self.calling_off.pop(story, None)
        else:
            self._register(event.at, body)

    def _register(self, at: float, body: ExternalAdded | ExternalRefreshed | ExternalRemoved) -> None:
        if isinstance(body, ExternalAdded):
            self.registered[body.key] = Registration(since=at, **structs.asdict(body))
        elif isinstance(body, ExternalRefreshed):
            there = self.registered.get(body.key)
            if there is not None:
                self.registered[body.key] = structs.replace(
                    there, card=body.card, secret=body.secret, headers=body.headers
                )
        else:
            self.registered.pop(body.key, None)
            self._contexts.pop(body.key, None)
            self._begun = {task: begun for task, begun in self._begun.items() if begun[0] != body.key}
            for links in (self.links, self.calling_off):
                for task in [link.task for link in links.values() if link.key == body.key]:
                    del links[task]

    def _link(self, body: ExternalLinked) -> None:
        link = self.links.get(body.task)
        if link is None:
            link = self.links[body.task] = Link(task=body.task, key=body.key, context=body.context)
        link.remote_task, link.remote_context = body.remote_task, body.remote_context
        if body.remote_context and body.context == own_context(body.task):
            _keep(self._begun, body.task, (body.key, body.remote_context))

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(
            _Dump(
                list(self.registered.values()),
                list(self.links.values()),
                list(self.calling_off.values()),
                self._contexts,
                self._begun,
            )
        )

    def load(self, state: bytes) -> None:
        dumped = msgspec.msgpack.decode(state, type=_Dump)
        self.registered = {one.key: one for one in dumped.registered}
        self.links = {link.task: link for link in dumped.links}
        self.calling_off = {link.task: link for link in dumped.calling_off}
        self._contexts, self._begun = dumped.contexts, dumped.begun

    # -- looking

    def of(self, key: str) -> list[Link]:
        """The tasks that an agent elsewhere has."""
        return [link for link in self.links.values() if link.key == key]

    def remote_context(self, key: str, context: str) -> str:
        """What it calls a conversation of ours; "" where it has not heard of it."""
        known = self._contexts.get(key, {}).get(context, "")
        whose, theirs = self._begun.get("t-" + context.removeprefix("c-"), ("", ""))
        return known or (theirs if whose == key else "")


def own_context(task: str) -> str:
    """The conversation that a task begins when it is given none."""
    return "c-" + task.removeprefix("t-")


def _keep(kept: dict[str, T], name: str, value: T) -> None:
    kept.pop(name, None)
    kept[name] = value
    if len(kept) > CONTEXTS_KEPT:
        del kept[next(iter(kept))]
