"""Projections: live state as a fold over declared kinds of events."""

from collections.abc import Iterable
from typing import Protocol

from synapse.event import Event


class Projection(Protocol):
    """State that only `apply` writes.

    Laws, held by tests: folding the log gives the state; a dump that is loaded and followed by the events after it
    gives the same state; forgetting a finished story changes nothing that is alive.
    """

    name: str
    version: int  # raise it when dump() or the meaning of the state changes
    kinds: frozenset[str]  # the kinds that apply() wants to see

    def reset(self) -> None:
        """Become the state before the first event."""

    def apply(self, event: Event) -> None:
        """Take one fact into the state; O(what it changes); accepts everything that was ever written."""

    def dump(self) -> bytes:
        """The state for a snapshot."""

    def load(self, state: bytes) -> None:
        """Become what `dump` gave."""


def fold(projections: Iterable[Projection], events: Iterable[Event]) -> None:
    """Apply the events to every projection that declares their kind."""
    by_kind: dict[str, list[Projection]] = {}
    for projection in projections:
        for kind in projection.kinds:
            by_kind.setdefault(kind, []).append(projection)
    for event in events:
        for projection in by_kind.get(event.kind, ()):
            projection.apply(event)
