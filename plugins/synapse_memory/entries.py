"""Which keys are alive, and which notes are still owed. The texts are in the log and in the table."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from synapse import Event
from synapse_memory.facts import Deleted, Saved, Told, key_of

TITLE = 160  # characters of a text that a note shows


class Entry(Struct, array_like=True, frozen=True):
    """The newest version of a key."""

    position: int
    versions: int


class Note(Struct, array_like=True, frozen=True):
    """A workspace is to be told of what was saved."""

    workspace: str  # who is told
    by: str
    author: str
    key: str
    title: str


class _Dump(Struct, array_like=True):
    alive: dict[str, dict[str, Entry]]
    gone: dict[str, float]
    owed: dict[int, Note]


class Entries:
    """The living keys by workspace ("" is global), the deleted ones until they are forgotten, and the notes owed."""

    name = "memory"
    version = 1
    kinds = frozenset({Saved.kind, Deleted.kind, Told.kind, "log.forgotten", "log.redacted"})

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._alive: dict[str, dict[str, Entry]] = {}
        self._gone: dict[str, float] = {}  # story -> when it was deleted
        self.owed: dict[int, Note] = {}  # by the position of what was saved

    def apply(self, event: Event) -> None:
        body = event.body
        if isinstance(body, Saved):
            self._save(event, body)
        elif isinstance(body, Deleted):
            self._take(event.workspace, key_of(event.workspace, event.story))
            self._gone[event.story] = event.at
        elif isinstance(body, Told):
            self.owed.pop(body.saved, None)
        elif event.kind == "log.forgotten":
            for story in body.stories:
                self._gone.pop(story, None)
        elif event.kind == "log.redacted":
            note = self.owed.get(body.position)
            if note is not None:
                self.owed[body.position] = msgspec.structs.replace(note, title="")

    def _save(self, event: Event, body: Saved) -> None:
        key = key_of(event.workspace, event.story)
        before = self.get(event.workspace, key)
        entry = Entry(event.position, before.versions + 1 if before else 1)
        self._alive.setdefault(event.workspace, {})[key] = entry
        self._gone.pop(event.story, None)
        if body.notify:
            title = body.text.strip().partition("\n")[0][:TITLE]
            self.owed[event.position] = Note(body.notify, event.by, body.author, key, title)

    def _take(self, workspace: str, key: str) -> None:
        there = self._alive.get(workspace, {})
        there.pop(key, None)
        if not there:
            self._alive.pop(workspace, None)

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(_Dump(self._alive, self._gone, self.owed))

    def load(self, state: bytes) -> None:
        dumped = msgspec.msgpack.decode(state, type=_Dump)
        self._alive, self._gone, self.owed = dumped.alive, dumped.gone, dumped.owed

    # -- looking

    def get(self, workspace: str, key: str) -> Entry | None:
        return self._alive.get(workspace, {}).get(key)

    def places(self, key: str) -> list[str]:
        """The workspaces that have the key; "" is global."""
        return sorted(workspace for workspace, there in self._alive.items() if key in there)

    def nearest(self, workspace: str, key: str) -> list[str]:
        """Keys that look like this one."""
        from difflib import get_close_matches

        return get_close_matches(key, [*self._alive.get(workspace, {}), *self._alive.get("", {})][:5000], n=3)

    def finished(self, before: float) -> Iterator[str]:
        """The stories that were over before a time: of deleted keys."""
        return (story for story, at in self._gone.items() if at < before)
