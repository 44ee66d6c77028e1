"""What a runner is told at its start, and where its traces lie."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synapse import paths
from synapse.runner.terminal import Terminal

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spec:
    """What a runner is told at its start."""

    words: tuple[str, ...]  # a profile with arguments, or a command line
    cwd: str
    folder: str = ""
    workspace: str = ""
    name: str = ""
    role: str = ""
    skill_set: str = ""
    port: int = 0
    columns: int = 120
    rows: int = 40
    owned: bool = False
    keep: bool = False
    probe: str = ""  # the answers of the person's terminal, in Latin-1
    cursor: tuple[int, ...] = ()
    socket: str = ""
    instructions: bool = True  # is it told who it is, where its profile wants that?
    join_key: str = ""  # under which it joins: a second one with it is refused

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Spec":
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in told.items()}
        return cls(**values)


def log_path(data: str, key: str, ending: str) -> Path:
    """Where an agent's log, or its last screen, lies."""
    folder = os.path.join(data, "logs")
    paths.make_private(folder)
    return Path(folder) / f"{key}{ending}"


def keep_screen(data: str, key: str, terminal: Terminal) -> None:
    """Keep what was on an agent's terminal, for `synapse logs` afterwards."""
    path = log_path(data, key, ".txt")
    try:
        path.write_text("\n".join([*terminal.history(), *terminal.lines()]).rstrip() + "\n")
        path.chmod(0o600)
    except OSError as error:
        logger.warning("its last screen cannot be kept: %s", error)
