"""Whose word counts: a program's sources in their order of trust, what each said last, and which have fallen silent."""

from collections.abc import Iterable
from dataclasses import dataclass

from synapse.runner.parts import SCREEN

DIALOG = 1.0  # seconds of doubt at most where a dialog stands on the screen


@dataclass(slots=True)
class Word:
    """What a source last said of the status: since when, and when again."""

    status: str
    since: float
    at: float


class Trust:
    """Judges between sources. `doubt`: seconds for which a lesser one must contradict a better one; 0 = never counts.

    `reporting` are the sources that say when they have taken what was submitted.
    """

    def __init__(self, order: Iterable[str], reporting: Iterable[str], doubt: float) -> None:
        self._rank = {source: place for place, source in enumerate(order)}
        self._reporting = tuple(reporting)
        self._doubt = doubt
        self._words: dict[str, Word] = {}
        self._pending: set[str] = set()  # have not said yet that they took what was submitted
        self._decided = 0.0
        self.silent: set[str] = set()

    @property
    def speaks(self) -> bool:
        """Does the program tell by itself what it does?"""
        return any(source != SCREEN and source not in self.silent for source in self._words)

    @property
    def doubts(self) -> bool:
        """Can a lesser source ever contradict?"""
        return self._doubt > 0

    @property
    def waits(self) -> bool:
        """Is it still to be told that what was submitted was taken?"""
        return bool(self._pending)

    def submitted(self, now: float) -> None:
        """Something was sent: what was said before is over."""
        self._words.clear()
        self._pending = set(self._reporting) - self.silent
        self._decided = now

    def forget(self) -> None:
        """What was said counts no more: somebody interrupted the program."""
        self._words.clear()
        self._pending.clear()

    def heard(self, source: str, *, took: bool) -> None:
        """A source has said something."""
        self.silent.discard(source)
        if took:
            self._pending.discard(source)

    def untaken(self, source: str) -> bool:
        """Is what it says of an end that of something earlier? It has not begun with what was submitted."""
        return source in self._pending

    def fall_silent(self) -> None:
        """Whoever should have spoken by now is not waited for any more."""
        self.silent |= self._pending
        self._pending.clear()

    def says(self, source: str, status: str, now: float) -> None:
        """A source says that this is the status."""
        word = self._words.get(source)
        if word is None or word.status != status:
            self._words[source] = Word(status, now, now)
        else:
            word.at = now

    def decided(self, now: float) -> None:
        """The status was set."""
        self._decided = now

    def left(self, source: str, now: float, *, fresh: bool) -> float | None:
        """Seconds until its word counts, if it stands: 0 = now; None: not before something else happens.

        `fresh`: it has said so just now; else only what was said since the last decision counts.
        """
        word = self._words[source]
        if not fresh and word.at <= self._decided:
            return None
        if word.status != "PROCESSING" and any(self._better(other, source) for other in self._pending):
            return None
        if self.best(source):
            return 0.0
        if not self._doubt:
            return None
        doubt = min(self._doubt, DIALOG) if word.status == "WAITING" else self._doubt
        left = max(word.since, self._decided) + doubt - now
        return left if left > 0.001 else 0.0

    def status(self, source: str) -> str:
        word = self._words.get(source)
        return word.status if word else ""

    def told(self) -> list[str]:
        """The sources that have said something, the best first."""
        return sorted(self._words, key=self._place)

    def best(self, source: str) -> bool:
        """Does no better one speak?"""
        return not any(self._better(other, source) and other not in self.silent for other in self._words)

    def _better(self, other: str, source: str) -> bool:
        return self._place(other) < self._place(source)

    def _place(self, source: str) -> int:
        return self._rank.get(source, len(self._rank) - 1 if source != SCREEN else len(self._rank))
