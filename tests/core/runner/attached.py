"""Real pseudo-terminals around the harness: what a person at a terminal sees of `run` and `attach`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pexpect
import pyte

HARNESS = str(Path(__file__).with_name("harness.py"))
PATIENCE = 10.0  # seconds; on a loaded machine everything takes longer


def until(condition: Callable[[], Any], what: str = "") -> Any:
    """The first true value of `condition`, asked again every 10 ms for at most `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what or condition}"
        time.sleep(0.01)
    return value


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie whose parent does not care is dead."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith(b"Z")


class Glass:
    """A terminal with a program in it; `screen` shows what a person would see."""

    def __init__(self, argv: Sequence[str], columns: int = 80, rows: int = 24) -> None:
        self.process = pexpect.spawn(argv[0], list(argv[1:]), dimensions=(rows, columns), timeout=PATIENCE)
        self.process.delaybeforesend = None
        self.process.delayafterclose = 0
        self.seen = b""
        self._unfed = bytearray()  # for the screen, which is slow and not always wanted
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def pid(self) -> int:
        return int(self.process.pid)

    def type(self, keys: bytes | str) -> None:
        self.process.send(keys)

    def resize(self, columns: int, rows: int) -> None:
        self.process.setwinsize(rows, columns)

    def expect(self, text: bytes | str) -> bytes:
        """Wait for bytes that have not been waited for yet; what came before them."""
        wanted = text.encode() if isinstance(text, str) else text
        try:
            until(lambda: [self._take()] and wanted in self.seen)
        except AssertionError:
            raise AssertionError(f"{wanted!r} did not come, only {self.seen[-2000:]!r}") from None
        before, _, self.seen = self.seen.partition(wanted)
        return before

    def lines(self) -> list[str]:
        """The screen as it is now."""
        self._take()
        self._stream.feed(bytes(self._unfed))
        self._unfed.clear()
        return [line.rstrip() for line in self._screen.display]

    def shows(self, text: str) -> None:
        """Wait until the text is on the screen."""
        until(lambda: any(text in line for line in self.lines()), f"{text!r} on the screen {self.lines()}")

    def end(self) -> int:
        """Wait for the end: the exit status, below zero for a signal."""
        until(lambda: self._take() is None, f"the end, after {self.seen[-2000:]!r}")
        self.process.close(force=False)
        return int(-self.process.signalstatus if self.process.signalstatus else self.process.exitstatus)

    def close(self) -> None:
        if not self.process.closed:
            self.process.close(force=True)

    def _take(self) -> bool | None:
        """Whatever is there; None at the end of the output."""
        try:
            while True:
                data = self.process.read_nonblocking(65536, timeout=0)
                self.seen += data
                self._unfed += data
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return None


class Agents:
    """Starts runners and looks at them; `close` ends all of it, by pid."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._glasses: list[Glass] = []
        self._runners: list[subprocess.Popen[bytes]] = []
        self._count = 0

    def path(self) -> Path:
        """A new place for a runner's socket."""
        self._count += 1
        return self._folder / str(self._count)

    def run(self, *command: str, columns: int = 80, rows: int = 24, path: Path | None = None) -> Glass:
        """What `synapse run` does, in a terminal of its own."""
        return self.glass([*self.command("run", path or self.path()), "--", *command], columns, rows)

    def serve(self, *command: str, size: str = "80x24") -> Path:
        """What `synapse start` does: the socket to attach to."""
        path = self.path()
        argv = [*self.command("serve", path, "--size", size), "--", *command]
        runner = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        self._runners.append(runner)
        assert runner.stdout
        assert runner.stdout.readline() == b"ready\n"
        return path

    def attach(self, path: Path, *options: str, columns: int = 80, rows: int = 24) -> Glass:
        return self.glass(self.command("attach", path, *options), columns, rows)

    def glass(self, argv: Sequence[str], columns: int = 80, rows: int = 24) -> Glass:
        self._glasses.append(Glass(argv, columns, rows))
        return self._glasses[-1]

    @staticmethod
    def command(role: str, path: Path, *options: str) -> list[str]:
        return [sys.executable, HARNESS, role, str(path), *options]

    @staticmethod
    def pids(path: Path) -> tuple[int, int]:
        """The processes behind a socket: runner and child."""
        file = path.with_suffix(".pids")
        until(lambda: file.exists() and file.read_text(), "the runner's note of its pids")
        runner, child = map(int, file.read_text().split())
        return runner, child

    def close(self) -> None:
        for glass in self._glasses:
            glass.close()
        for file in self._folder.glob("*.pids"):
            for pid in map(int, file.read_text().split()):
                _end(pid)
        for runner in self._runners:
            runner.wait(PATIENCE)
            if runner.stdout:
                runner.stdout.close()


def _end(pid: int) -> None:
    for number in (signal.SIGCONT, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
    until(lambda: not alive(pid), f"the end of {pid}")
