"""Rates: how much one participant may change, and how often two agents may address each other."""

from itertools import islice

from synapse.clock import Clock
from synapse.errors import Refused

PAIR_PER_MINUTE = 60
MOST = 10_000  # buckets


class RateLimited(Refused):
    """Too many requests; `details["retry_after"]` says in how many seconds there is room for one."""

    status = 429


class Bucket:
    """A token bucket: `rate` a second, `burst` at once."""

    __slots__ = ("at", "left")

    def __init__(self, at: float, left: float) -> None:
        self.at = at
        self.left = left

    def take(self, now: float, rate: float, burst: float) -> float:
        """0 when a token was taken, else the seconds until there is one."""
        self.left = min(burst, self.left + (now - self.at) * rate)
        self.at = now
        if self.left >= 1:
            self.left -= 1
            return 0.0
        return (1 - self.left) / rate


class Limits:
    """Buckets by participant and by pair; a rate of 0 means no limit."""

    def __init__(self, clock: Clock, rate: float = 2000.0, burst: float = 4000.0) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, Bucket] = {}

    def caller(self, key: str) -> None:
        """One change by a participant."""
        if self._rate:
            wait = self._take(key, self._rate, self._burst)
            if wait:
                raise RateLimited(
                    "rate_limited",
                    f"More than {self._rate:g} changes a second: try again in {wait:.2f} s.",
                    retry_after=wait,
                )

    def host(self, address: str) -> None:
        """One request from another machine, by whomever there."""
        wait = self._take(f"host {address}", self._rate, self._burst) if self._rate else 0.0
        if wait:
            raise RateLimited(
                "rate_limited",
                f"More than {self._rate:g} requests a second from {address}: try again in {wait:.2f} s.",
                retry_after=wait,
            )

    def pair(self, sender: str, to: str) -> None:
        """One task asked by an agent of another: conversations between machines end."""
        wait = self._take(f"{sender}\0{to}", PAIR_PER_MINUTE / 60, PAIR_PER_MINUTE)
        if wait:
            raise RateLimited(
                "talking_too_much",
                f"You two have exchanged {PAIR_PER_MINUTE} tasks within a minute: try again in {wait:.1f} s.",
                retry_after=wait,
            )

    def __len__(self) -> int:
        return len(self._buckets)

    def _take(self, key: str, rate: float, burst: float) -> float:
        now = self._clock.monotonic()
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= MOST:
                self._forget(now)
            bucket = self._buckets[key] = Bucket(now, burst)
        return bucket.take(now, rate, burst)

    def _forget(self, now: float) -> None:
        """Let go of those who have been quiet for a minute; when that is not half of them, of the oldest."""
        kept = {key: bucket for key, bucket in self._buckets.items() if now - bucket.at < 60}
        self._buckets = dict(islice(kept.items(), max(0, len(kept) - MOST // 2), None))
