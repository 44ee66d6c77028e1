"""Who wants to hear of appends."""

from collections.abc import Callable


class Listeners:
    """Functions that are called with the head after every append, in the order in which they came."""

    def __init__(self) -> None:
        self._listeners: tuple[
            Callable[[int], None], ...
        ] = ()  # replaced whole: any thread may add while one is telling

    def add(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Call `listener` from now on; what is returned ends it."""
        self._listeners = (*self._listeners, listener)

        def end() -> None:
            self._listeners = tuple(kept for kept in self._listeners if kept is not listener)

        return end

    def tell(self, head: int) -> None:
        for listener in self._listeners:
            listener(head)
