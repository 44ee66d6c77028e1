"""Workspaces: the names of project folders."""

import os

import msgspec

from synapse import names
from synapse.event import Event
from synapse.hub.facts import WorkspaceNamed


class Workspaces:
    """Which folder is called what: the first of a name has it, a second folder gets `-2`."""

    name = "workspaces"
    version = 1
    kinds = frozenset({WorkspaceNamed.kind})

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    def apply(self, event: Event) -> None:
        self._names[event.body.path] = event.body.name
        self._taken.add(event.body.name)

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(self._names)

    def load(self, state: bytes) -> None:
        self._names = msgspec.msgpack.decode(state, type=dict[str, str])
        self._taken = set(self._names.values())

    def known(self, path: str) -> bool:
        return path in self._names

    def folder(self, name: str) -> str:
        """The folder of that name; "" when it is none's."""
        return next((path for path, own in self._names.items() if own == name), "")

    def of(self, path: str) -> str:
        """The folder's name, or the one it would get."""
        found = self._names.get(path)
        return found or names.unused(names.fit(os.path.basename(path), "project"), self._taken)
