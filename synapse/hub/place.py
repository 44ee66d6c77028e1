"""Where this hub runs, for those who ask."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Place:
    """Filled in by the server: process, port, data folder; `started_at` is in seconds since 1970.

    `stop(restart)` ends the hub; `restart` says that another one comes at once. `plugins` are all that are installed,
    and `failures()` says what of the hub is out of order, by name.
    """

    pid: int = 0
    port: int = 0
    data: str = ""
    started_at: float = 0.0
    start_line: str = ""
    connections: Callable[[], int] = lambda: 0
    stop: Callable[[bool], None] = lambda restart: None
    plugins: tuple[Any, ...] = ()
    failures: Callable[[], dict[str, str]] = dict
