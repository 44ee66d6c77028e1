"""Programs of which nothing is known: where they stand when they wait for a line."""

from dataclasses import dataclass

from synapse.runner.process import Child
from synapse.runner.profile import Profile
from synapse.runner.terminal import Terminal

UNSURE = 3.0  # seconds of stillness after which an unknown prompt counts as well


@dataclass(frozen=True, slots=True)
class Prompt:
    """What stands before its cursor, the line mode, and who has the terminal."""

    before: str
    canonical: bool
    foreground: int

    @property
    def tail(self) -> str:
        """The last two characters before the cursor."""
        return self.before[-2:]

    @classmethod
    def of(cls, terminal: Terminal, child: Child) -> "Prompt":
        row, column = terminal.cursor
        lines = terminal.lines()
        before = lines[row].ljust(column)[:column] if row < len(lines) else ""
        while 0 < row <= len(lines) and len(lines[row - 1]) >= terminal.columns - 1:  # it goes on over several rows
            row -= 1
            before = lines[row] + before
        return cls(before, child.canonical, child.foreground)

    def same_mode(self, other: "Prompt") -> bool:
        return (self.canonical, self.foreground) == (other.canonical, other.foreground)

    def betters(self, other: "Prompt", own_group: int) -> bool:
        """A line editor at work says more than a program that has not started one yet."""
        return other.canonical and not self.canonical and self.foreground in (other.foreground, own_group)


class Stillness:
    """Judges a program that is still: at rest in the same line mode and foreground as at its first prompt."""

    def __init__(self, child: Child, terminal: Terminal, profile: Profile) -> None:
        self._prompt, self._open = profile.prompt, profile.open
        self._child = child
        self._terminal = terminal
        self._first: Prompt | None = None

    @property
    def hidden(self) -> bool:
        """Does it read a line without showing it?"""
        return self._child.canonical and not self._child.echo

    @property
    def unchanged(self) -> bool:
        """Is it, at this very moment, in the mode of its first prompt?"""
        return self._first is None or Prompt.of(self._terminal, self._child).same_mode(self._first)

    @property
    def wants(self) -> bool:
        """At rest, does it want a certain line: the rest of what it was given, or what it has asked for?

        A prompt that is not known at its start (the person has chosen another) tells nothing later.
        """
        now, first = Prompt.of(self._terminal, self._child), self._first
        if first is None or not now.same_mode(first):
            return False
        if self._prompt is not None and self._prompt.search(first.before):
            return not self._prompt.search(now.before)
        return self._open is not None and bool(self._open.search(now.before)) and not self._open.search(first.before)

    def left(self, quiet: float, *, heard: bool) -> float | None:
        """Seconds until it counts as ready: 0 = now; None while it runs something. `heard`: it has written anything."""
        now = Prompt.of(self._terminal, self._child)
        if self._first is None or now.betters(self._first, self._child.pid):
            self._first = now
        if not now.same_mode(self._first):
            return None  # its next output brings us here again
        known = heard and now.tail == self._first.tail
        return 0.0 if known or quiet >= UNSURE - 0.001 else UNSURE - quiet
