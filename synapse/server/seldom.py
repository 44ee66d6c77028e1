"""Lines of the log that anybody on the machine can cause: at most one a minute of each kind."""

import logging

from synapse.clock import Clock

EVERY = 60.0  # seconds between two lines


class Seldom:
    """Warns at most once in `EVERY` seconds; how often it was left out meanwhile is in the next line."""

    def __init__(self, clock: Clock, logger: logging.Logger) -> None:
        self._clock = clock
        self._logger = logger
        self._next = clock.monotonic()
        self._left_out = 0

    def warning(self, text: str) -> None:
        now = self._clock.monotonic()
        if now < self._next:
            self._left_out += 1
            return
        more = f" ({self._left_out} more since the last such line)" if self._left_out else ""
        self._next, self._left_out = now + EVERY, 0
        self._logger.warning("%s%s", text, more)
