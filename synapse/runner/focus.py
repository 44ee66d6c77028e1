"""Terminal focus with several viewers: in when any of them is in; a program hears only of changes."""

from collections.abc import Callable


class Focus:
    """Who is in. `tell(focused)` is called for a program that asked (mode 1004), once per change."""

    def __init__(self, tell: Callable[[bool], None]) -> None:
        self._tell = tell
        self._inside: set[int] = set()
        self._told = True
        self._asked = False

    def set(self, who: object, focused: bool) -> None:
        """A viewer's terminal has gained or lost the focus, came (in) or went (out)."""
        (self._inside.add if focused else self._inside.discard)(id(who))
        self._update()

    def reporting(self, asked: bool) -> None:
        """Whether the program wants to know; one that starts to ask takes itself to be in focus."""
        if asked and not self._asked:
            self._told = True
        self._asked = asked
        self._update()

    def _update(self) -> None:
        if self._asked and bool(self._inside) != self._told:
            self._told = bool(self._inside)
            self._tell(self._told)
