"""Where this hub runs, for those who ask."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from synapse.hub.addresses import Reach


@dataclass
class Place:
    """Filled in by the server: process, port, data folder; `started_at` is in seconds since 1970.

    `stop(restart)` ends the hub; `restart` says that another one comes at once. `plugins` are all that are installed,
    and `failures()` says what of the hub is out of order, by name. `take(port)` makes a port that of an agent which is
    about to join, unless another program has it; `endpoint(port, id)` is the URL where an agent is reached.
    """

    pid: int = 0
    port: int = 0
    data: str = ""
    started_at: float = 0.0
    start_line: str = ""
    take: Callable[[int], bool] = lambda port: True
    endpoint: Callable[[int, str], str] = lambda port, id: ""
    connections: Callable[[], int] = lambda: 0
    stop: Callable[[bool], None] = lambda restart: None
    plugins: tuple[Any, ...] = ()
    push: Reach = field(default_factory=Reach)  # where those who asked for a task may be called
    webhooks: Reach = field(default_factory=Reach)
    failures: Callable[[], dict[str, str]] = dict
