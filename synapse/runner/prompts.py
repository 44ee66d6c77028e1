"""Where an unknown program stands when it waits for a line."""

from dataclasses import dataclass

from synapse.runner.process import Child
from synapse.runner.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Prompt:
    """The place before its cursor, the line mode, and who has the terminal."""

    tail: str  # the last two characters before the cursor
    canonical: bool
    foreground: int

    @classmethod
    def of(cls, terminal: Terminal, child: Child) -> "Prompt":
        row, column = terminal.cursor
        lines = terminal.lines()
        before = lines[row].ljust(column)[:column] if row < len(lines) else ""
        return cls(before[-2:], child.canonical, child.foreground)

    def same_mode(self, other: "Prompt") -> bool:
        return (self.canonical, self.foreground) == (other.canonical, other.foreground)

    def betters(self, other: "Prompt", own_group: int) -> bool:
        """A line editor at work says more than a program that has not started one yet."""
        return other.canonical and not self.canonical and self.foreground in (other.foreground, own_group)
