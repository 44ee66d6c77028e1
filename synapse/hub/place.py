"""Where this hub runs, for those who ask."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Place:
    """Filled in by the server: process, port, data folder; `started_at` is in seconds since 1970.

    `stop(restart)` ends the hub; `restart` says that another one comes at once.
    """

    pid: int = 0
    port: int = 0
    data: str = ""
    started_at: float = 0.0
    start_line: str = ""
    connections: Callable[[], int] = lambda: 0
    stop: Callable[[bool], None] = lambda restart: None
