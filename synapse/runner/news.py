"""Waiting for something on the screen or of the status: whoever waits looks again whenever something has happened."""

import asyncio
from collections.abc import Callable


class News:
    """Any number may wait at the same time."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def come(self) -> None:
        """Something has happened that may be waited for."""
        for one in self._waiting:
            if not one.done():
                one.set_result(None)

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until it is true; False when the time is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not condition():
            left = end - loop.time()
            if left <= 0:
                return False
            news = loop.create_future()
            self._waiting.add(news)
            try:
                await asyncio.wait([news], timeout=left)
            finally:
                self._waiting.discard(news)
        return True
