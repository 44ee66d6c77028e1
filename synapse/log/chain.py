"""What every engine asks before it stores something."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from types import TracebackType

from synapse.log.base import MOST_EVENTS, RECENT, AppendFailed, Conflict, Entry


class Gate:
    """The chain rule: `with gate:` around every write; after one that failed no other may begin until `open`."""

    def __init__(self) -> None:
        self._failed: BaseException | None = None
        self._probe = False  # it was only a probe that failed: another one may open the gate

    def open(self) -> None:
        """Let writes begin again."""
        self._failed = None
        self._probe = False

    @contextmanager
    def probing(self) -> Iterator[bool]:
        """Around a probe, which may open the gate if one closed it; gives whether one did."""
        if not self._probe:
            self.__enter__()
        try:
            yield self._probe
        except BaseException as error:
            self._failed, self._probe = error, True
            raise
        self.open()

    def __enter__(self) -> None:
        if self._failed is not None:
            raise AppendFailed(f"an earlier write failed ({self._failed}): recover first") from self._failed

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            self._failed = error


class Recent:
    """The ids of the newest records, at least `RECENT` of them, in order."""

    def __init__(self, ids: Iterable[bytes] = ()) -> None:
        self._ids = dict.fromkeys(ids)

    def __contains__(self, id: bytes) -> bool:
        return id in self._ids

    def add(self, ids: Iterable[bytes]) -> None:
        """Take in newer ids and let go of old ones, now and then."""
        self._ids.update(dict.fromkeys(ids))
        if len(self._ids) > 2 * RECENT:
            self._ids = dict.fromkeys(islice(self._ids, len(self._ids) - RECENT, None))


def check(entries: Sequence[Entry], head: int, recent: Recent) -> int:
    """The head after these entries; Conflict where one does not follow from what is before it."""
    seen: set[bytes] = set()
    for entry in entries:
        record = entry.record
        if record is not None:
            if record.expected != head or record.position != head + 1:
                raise Conflict(
                    f"record {record.position} was decided on {record.expected}, and the log's head is {head}"
                )
            if record.id in recent or record.id in seen:
                raise Conflict(f"record {record.position}: its id {record.id.hex()} is already stored")
            if len(record.events) > MOST_EVENTS:
                raise Conflict(f"record {record.position} holds {len(record.events)} events, more than {MOST_EVENTS}")
            seen.add(record.id)
            head = record.position
        for snapshot in entry.snapshots:
            if snapshot.position > head:
                raise Conflict(f"the snapshot of {snapshot.name} at {snapshot.position} is ahead of the log ({head})")
    return head
