"""The runner's process: told what to run on standard input, says on a descriptor that it does."""

import asyncio
import concurrent.futures.thread  # noqa: F401 - else asyncio looks for it when the hub is gone, and perhaps our files too
import contextlib
import logging
import logging.handlers
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from synapse import paths
from synapse.client.lines import dumps, loads
from synapse.errors import SynapseError
from synapse.runner import platform
from synapse.runner.adopting import adopt
from synapse.runner.agent import Agent
from synapse.runner.profile import resolve
from synapse.runner.spawn import become_session_leader
from synapse.runner.spec import Spec, log_path

LEAVING = 120.0  # seconds for git to take a worktree away
LOG_BYTES, LOG_FILES = 1 << 20, 2
KEPT = 14 * 24 * 3600.0  # seconds for which the log of an agent is kept after its last line


def main(ready_fd: int) -> int:
    """Run one agent to its end; the exit status is the child's."""
    told = loads(sys.stdin.buffer.read())
    assert isinstance(told, dict)
    worktree = str(told.pop("worktree", ""))
    become_session_leader()
    adopt()
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        with asyncio.Runner(loop_factory=platform.new_event_loop) as runner:
            status = runner.run(_run(told, ready_fd))
        if worktree:
            _leave_worktree(worktree)
        return status
    except SynapseError as error:
        # `exit` is what a shell would say of the program: 127 not there, 126 not executable.
        exits = error.details.get("exit", error.details.get("status", 1))
        say(ready_fd, {"code": error.code, "message": error.sentence, "status": error.status, "exit": exits})
        return 1


async def _run(told: dict[str, Any], ready_fd: int) -> int:
    spec = Spec.of(told)
    profile, argv = resolve(spec.words)
    data = paths.data_folder()
    agent = Agent(spec, profile, argv, data)

    def begun(key: str) -> None:
        file = log_path(data, key, ".log")
        _forget_old(file.parent)
        _log_to(str(file))

    status = await agent.run(begun, lambda known: say(ready_fd, known))
    return status.shell


def _leave_worktree(path: str) -> None:
    """Have the worktree taken away in which the agent was, if nothing is lost with it."""
    project = paths.project(path)
    words = [*paths.program(), "worktree", "prune", os.path.basename(path)]
    with contextlib.suppress(OSError, subprocess.SubprocessError):  # the next `worktree prune` sees it
        subprocess.run(words, cwd=project, stdin=subprocess.DEVNULL, timeout=LEAVING, check=False)


def say(ready_fd: int, what: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        os.write(ready_fd, dumps(what))
        os.close(ready_fd)


def _forget_old(folder: Path) -> None:
    """Take away the logs and last screens of agents that ended long ago."""
    before = time.time() - KEPT
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another runner was quicker
            if path.stat().st_mtime < before:
                path.unlink()


def _log_to(file: str) -> None:
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=LOG_BYTES, backupCount=LOG_FILES)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level="INFO", handlers=[handler], force=True)
    os.chmod(file, 0o600)
    with open(file, "ab") as opened:
        for stream in (1, 2):  # a traceback belongs into the log
            os.dup2(opened.fileno(), stream)
