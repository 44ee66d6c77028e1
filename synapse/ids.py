"""Ids: the only place that draws randomness."""

import os
from collections.abc import Callable
from hashlib import blake2b

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32

Random = Callable[[int], bytes]


def ulid(at: float, random: Random = os.urandom) -> str:
    """A ULID: 26 characters, sortable by `at` (seconds since 1970), 80 random bits."""
    number = int(at * 1000) << 80 | int.from_bytes(random(10), "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def token(random: Random = os.urandom) -> bytes:
    """Sixteen random bytes."""
    return random(16)


def record_id(sender: str, key: str) -> bytes:
    """The id of the one record that `sender` may write under an idempotency key (16 bytes)."""
    return blake2b(f"{sender}\0{key}".encode(), digest_size=16).digest()


def fingerprint(content: bytes) -> bytes:
    """A short sum (16 bytes) by which two requests are known to be the same."""
    return blake2b(content, digest_size=16).digest()


def short(random: Random = os.urandom) -> str:
    """Eight hex digits, for file and socket names."""
    return random(4).hex()
