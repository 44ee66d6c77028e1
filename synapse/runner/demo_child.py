"""A program that the demo runs: in a process group of its own, on pipes, with nothing of the terminal."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import IO

from synapse.runner.demo_brain import Ran, Run

GRACE = 0.5  # seconds between SIGTERM and SIGKILL


class Child:
    """A running program; `reading` and `writing` are the descriptors to wait for."""

    def __init__(self, run: Run) -> None:
        self._process = subprocess.Popen(
            run.argv,
            stdin=subprocess.DEVNULL if run.text is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if run.together else subprocess.PIPE,
            process_group=0,
        )
        self._pieces: dict[int, list[bytes]] = {}
        self._open: dict[int, IO[bytes]] = {}
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._open[pipe.fileno()] = pipe
                self._pieces[pipe.fileno()] = []
        self._unwritten = memoryview((run.text or "").encode())
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)

    @property
    def reading(self) -> list[int]:
        return list(self._open)

    @property
    def writing(self) -> list[int]:
        stdin = self._process.stdin
        return [stdin.fileno()] if stdin is not None and not stdin.closed else []

    def write(self) -> None:
        """Give it more of its input; close it when that was all, or when it does not want more."""
        assert self._process.stdin is not None
        try:
            self._unwritten = self._unwritten[os.write(self._process.stdin.fileno(), self._unwritten) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unwritten = memoryview(b"")
        if not self._unwritten:
            self._process.stdin.close()

    def read(self, descriptor: int) -> None:
        """Take what it has said."""
        with suppress(BlockingIOError):
            while data := os.read(descriptor, 65536):
                self._pieces[descriptor].append(data)
            self._open.pop(descriptor).close()

    def ended(self) -> Ran | None:
        """What came of it, once it has ended; whoever still holds its pipes is not waited for."""
        status = self._process.poll()
        if status is None:
            return None
        for descriptor in self.reading:
            self.read(descriptor)
        output, errors = [*(b"".join(pieces).decode(errors="replace") for pieces in self._pieces.values()), ""][:2]
        self._close()
        return Ran(status if status >= 0 else 128 - status, output, errors)

    def stop(self) -> None:
        """End it and all of its group."""
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:  # until it is reaped, its number is nobody else's
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _close(self) -> None:
        for pipe in (*self._open.values(), self._process.stdin):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._open.clear()
