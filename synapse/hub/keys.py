"""Idempotency keys: which record holds the first answer to a request."""

from collections.abc import Iterable

from synapse.ids import record_id

LIMIT = 100_000
SECONDS = 24 * 3600.0


class Keys:
    """The newest 100,000 keys of 24 hours, each with the position of its record.

    A record's id is the sum of sender and key, followed by its position: found again after a start by its first half,
    and still unique when a key is used anew long after it was forgotten here.
    """

    def __init__(self) -> None:
        self._positions: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._positions)

    def reset(self, stored: Iterable[tuple[bytes, int]]) -> None:
        """Begin with the (record id, position) pairs that the log holds, oldest first."""
        self._positions = {id[:16]: position for id, position in stored if len(id) > 16}

    def find(self, sum: bytes) -> int:
        """The position of the record with the first answer, 0 when there is none."""
        return self._positions.get(sum, 0)

    def add(self, sum: bytes, position: int) -> None:
        """Remember where the first answer under a key is."""
        self._positions[sum] = position
        if len(self._positions) > LIMIT:
            del self._positions[next(iter(self._positions))]

    @staticmethod
    def sum(sender: str, key: str) -> bytes:
        return record_id(sender, key)

    @staticmethod
    def id(sum: bytes, position: int) -> bytes:
        """The id of the record at a position that holds the first answer."""
        return sum + position.to_bytes(8, "big")
