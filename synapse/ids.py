"""Ids: the only place that draws randomness."""

import os
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]

Random = Callable[[int], bytes]


class _Pool:
    """The system's randomness, drawn in larger portions.

    Each draw lets the interpreter go, and getting it back from a busy writer costs more than all else in an id.
    """

    def __init__(self) -> None:
        self._rest = b""
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """A child must not draw what its parent draws."""
        self._rest = b""

    def __call__(self, count: int) -> bytes:
        rest = self._rest
        if len(rest) < count:
            rest = os.urandom(4096)
        self._rest = rest[count:]
        return rest[:count]


_random = _Pool()


def ulid(at: float, random: Random = _random) -> str:
    """A ULID: 26 characters, sortable by `at` (seconds since 1970), 80 random bits."""
    return _moment(int(at * 1000)) + _letters(int.from_bytes(random(10), "big"), 8)


@lru_cache(1)
def _moment(milliseconds: int) -> str:
    return _letters(milliseconds, 5)


def _letters(number: int, pairs: int) -> str:
    """A number in base 32, in so many pairs of digits."""
    found = []
    for _ in range(pairs):
        found.append(_PAIRS[number & 1023])
        number >>= 10
    return "".join(found[::-1])


def token(random: Random = _random) -> bytes:
    """Sixteen random bytes."""
    return random(16)


def record_id(sender: str, key: str) -> bytes:
    """The id of the one record that `sender` may write under an idempotency key (16 bytes)."""
    return blake2b(f"{sender}\0{key}".encode(), digest_size=16).digest()


def fingerprint(content: bytes) -> bytes:
    """A short sum (16 bytes) by which two requests are known to be the same."""
    return blake2b(content, digest_size=16).digest()


def short(random: Random = _random) -> str:
    """Eight hex digits, for file and socket names."""
    return random(4).hex()
