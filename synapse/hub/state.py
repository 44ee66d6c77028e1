"""The folded state: every projection by its type, and which of them are out of order."""

import logging
from collections.abc import Iterable
from typing import Any, TypeVar

from synapse.errors import Unavailable
from synapse.event import Event
from synapse.projection import Projection

log = logging.getLogger(__name__)
P = TypeVar("P")


class State:
    """Projections, fed through one table by kind of event.

    A projection whose `apply` raises stands still and answers Unavailable: the event stays, the others go on.
    """

    def __init__(self, projections: Iterable[Projection]) -> None:
        self.projections = tuple(projections)
        self._by_type: dict[type, Projection] = {type(p): p for p in self.projections}
        self._broken: dict[str, str] = {}
        self._handlers: dict[str, list[Projection]] = {}
        for projection in self.projections:
            for kind in projection.kinds:
                self._handlers.setdefault(kind, []).append(projection)

    def get(self, kind: type[P]) -> P:
        """The projection of that type; Unavailable while it is out of order."""
        found: Any = self._by_type[kind]
        if self._broken and found.name in self._broken:
            raise Unavailable("projection_failed", f"'{found.name}' is out of order: {self._broken[found.name]}")
        return found  # type: ignore[no-any-return]

    def reset(self) -> None:
        self._broken.clear()
        for projection in self.projections:
            projection.reset()

    def fold(self, event: Event, among: frozenset[str] | None = None) -> None:
        """Apply one event to all that want its kind (only those named in `among`, when given)."""
        for projection in self._handlers.get(event.kind, ()):
            if projection.name in self._broken or (among is not None and projection.name not in among):
                continue
            try:
                projection.apply(event)
            except (Exception, SystemExit) as error:
                log.exception("projection %s failed at %s %s", projection.name, event.address, event.kind)
                self._broken[projection.name] = f"{type(error).__name__} at event {event.address} ({event.kind})"

    @property
    def broken(self) -> dict[str, str]:
        """What is out of order, and at which event it stopped."""
        return self._broken
