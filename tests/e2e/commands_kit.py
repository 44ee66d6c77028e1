"""A folder with a hub of its own, and the `synapse` command in it as a person or a script calls it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.hubs import free_port

BOUND = 30.0  # seconds that anything may take
SLOW_START = "synapse: the hub is starting (it reads its log) ...\n"  # told where a start takes long
SYNAPSE = [sys.executable, "-m", "synapse"]


class Shell:
    """Runs commands with a data folder and a port of their own, in a project folder called `shop`."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.project = folder / "shop"
        self.project.mkdir(parents=True)
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("SYNAPSE_", "PYTEST_"))}
        self.environ = {**ours, "SYNAPSE_DATA": str(self.data), "SYNAPSE_PORT": str(free_port()), "USER": "pat"}
        self.environ["SYNAPSE_HUB_AGENT_PORTS"] = "false"  # the agents of many hubs are here at once

    def run(self, *words: str, stdin: "str | bytes | None" = None, **environ: str) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        content = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [*SYNAPSE, *words], input=content, capture_output=True, timeout=BOUND, cwd=self.project, check=False,
            env={**self.environ, **environ}, stdin=subprocess.DEVNULL if stdin is None else None,
        )  # fmt: skip
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *words: str, **more: Any) -> str:
        """One command that must succeed: its output."""
        done = self.run(*words, **more)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def json(self, *words: str) -> Any:
        """One command with --json: what it printed."""
        return json.loads(self.ok(*words, "--json"))

    def refused(self, *words: str, status: int = 1, **more: Any) -> str:
        """One command that must fail in order: the code of its error."""
        done = self.run(*words, "--json", **more)
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        code: str = json.loads(done.stderr.splitlines()[-1])["error"]["code"]
        return code

    def start(self, *words: str) -> "Running":
        """A command that goes on."""
        return Running(self, words)

    def hub_pid(self) -> int:
        """The process of the hub; 0 when there is none."""
        done = self.run("status", "--json")
        return int(json.loads(done.stdout)["hub"]["pid"]) if done.returncode == 0 else 0

    def kill_hub(self) -> int:
        """kill -9; the process that is gone."""
        pid = self.hub_pid()
        assert pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: gone(pid))
        return pid

    def stop_hub(self) -> None:
        """End the hub of this folder, if there is one."""
        pid = self.hub_pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
            until(lambda: gone(pid))


class Running:
    """A command that goes on, with its output in files so that nothing of it is lost and nothing blocks."""

    def __init__(self, shell: Shell, words: tuple[str, ...]) -> None:
        self._out = shell.project.parent / f"out-{time.monotonic_ns()}"
        self._err = self._out.with_suffix(".err")
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            self.process = subprocess.Popen(
                [*SYNAPSE, *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=shell.project,
                env=shell.environ,
            )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(BOUND)

    @property
    def said(self) -> str:
        return self._out.read_text()

    @property
    def complained(self) -> str:
        return self._err.read_text()

    def says(self, *words: str) -> None:
        """Wait until it has printed all of these."""
        until(lambda: all(word in self.said for word in words), lambda: f"{words} in {self.said!r} {self.complained!r}")

    def interrupt(self) -> int:
        """Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(BOUND)

    def ends(self) -> int:
        """Its exit status when it is done by itself."""
        return self.process.wait(BOUND)


def gone(pid: int) -> bool:
    """Has a process ended (a zombie has)?"""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False
    return stat.rpartition(") ")[2][:1] == "Z"


def until(true: Callable[[], object], what: Callable[[], object] = lambda: "") -> None:
    """Wait, bounded, for something that another process does."""
    end = time.monotonic() + BOUND
    while not true():
        assert time.monotonic() < end, f"not in {BOUND} s: {what()}"
        time.sleep(0.02)
