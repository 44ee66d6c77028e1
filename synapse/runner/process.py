"""The child on its pseudo-terminal: bytes out, bytes in, size, signals, end. Nothing here ever blocks or polls."""

import asyncio
import os
import signal
import termios
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ptyprocess import PtyProcess

from synapse.runner import platform
from synapse.runner.adopting import adopts, bury
from synapse.runner.spawn import spawn

QUEUE_BOUND = 1 << 20  # bytes that may wait for a child that does not read
READ_SIZE = 65536
READS_PER_TURN = 16  # a flood must leave the loop to the keys
STOP_SETTLES = 0.02  # seconds for the screen to take in what a program wrote before it stopped
KILLED_WITHIN = 2.0  # seconds in which even what is started meanwhile is killed
OTHERS_WAIT = 1.0  # seconds in which whoever has started a process of the runner's own takes its status
LAST_WORDS = 0.2  # seconds in which the kernel hands over what an ended child had written


@dataclass(frozen=True)
class ExitStatus:
    """How a process ended: by itself with a code, or by a signal (then `code` is its negative, as in subprocess)."""

    code: int

    @property
    def signal(self) -> int | None:
        return -self.code if self.code < 0 else None

    @property
    def shell(self) -> int:
        """The status a shell shows: 128 + n after a signal."""
        return 128 - self.code if self.code < 0 else self.code


def _nothing() -> None:
    pass


class Child:
    """One program on one terminal. `start` connects it to the loop; until then its output waits in the kernel."""

    def __init__(self, pid: int, fd: int) -> None:
        self.pid = pid
        self.fd = fd
        self.status: ExitStatus | None = None
        self.stopped = False
        self._pty = PtyProcess(pid, fd)  # owns the descriptor from here on
        self._queue = bytearray()
        self._started = self._reading = self._paused = self._writing = False
        self._deaf = False  # the output has ended
        self._begun = asyncio.Event()
        self._ended: ExitStatus | None = None
        self._adopts = adopts()
        self._burying: asyncio.TimerHandle | None = None
        self._on_stop: Callable[[], None] = _nothing
        self.on_continue: Callable[[], None] = _nothing

    @classmethod
    def spawn(
        cls, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], columns: int = 120, rows: int = 40
    ) -> "Child":
        """Start `argv`; see `synapse.runner.spawn`, whose refusals come through."""
        return cls(*spawn(argv, cwd=cwd, env=env, columns=columns, rows=rows))

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        on_output: Callable[[bytes], None],
        on_exit: Callable[[ExitStatus], None],
        on_stop: Callable[[], None] = _nothing,
    ) -> None:
        """Report output in bounded pieces, then once the end; `on_stop` when the child was stopped (Ctrl-Z)."""
        self._loop = loop
        self._on_output, self._on_exit, self._on_stop = on_output, on_exit, on_stop
        self._gone = loop.create_future()
        self._begun.set()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        self._started = True
        self._read_on()
        self._write_on()
        loop.call_soon(self._reap)  # it may have ended before anyone listened

    # Bytes.

    def write(self, data: bytes) -> bool:
        """Give the child input, all of it or nothing: False when it has ended or over 1 MiB waits already."""
        if self.fd < 0 or len(self._queue) > QUEUE_BOUND:
            return False
        if not self._queue:
            data = data[self._send(data) :]
        self._queue += data
        self._write_on()
        return True

    @property
    def waiting(self) -> int:
        """Bytes of input that the child has not taken yet."""
        return len(self._queue)

    def pause(self) -> None:
        """Leave the output in the kernel; the child blocks once its buffer there is full. Not after its end."""
        if self._ended is None:
            self._paused = True
            self._read_off()

    def resume(self) -> None:
        """Read again after `pause`."""
        self._paused = False
        self._read_on()

    # The terminal.

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; the kernel tells the child."""
        if self.fd >= 0:
            self._pty.setwinsize(rows, columns)

    @property
    def canonical(self) -> bool:
        """Whether the kernel collects lines for the child (a line reader, not a full-screen program)."""
        return bool(self._local_modes() & termios.ICANON)

    @property
    def echo(self) -> bool:
        """Whether the kernel echoes what is typed (a password prompt switches it off)."""
        return bool(self._local_modes() & termios.ECHO)

    @property
    def foreground(self) -> int:
        """The process group in the terminal's foreground: the child's own, or that of a job it runs."""
        try:
            return os.tcgetpgrp(self.fd)
        except OSError:
            return 0

    @property
    def reading(self) -> bool:
        """Does what has the terminal wait for a whole line from it?"""
        return self.canonical and platform.reads_terminal(self.foreground)

    # Signals.

    def interrupt(self) -> None:
        """SIGINT for whatever is in the terminal's foreground."""
        with suppress(OSError):
            os.killpg(os.tcgetpgrp(self.fd), signal.SIGINT)

    def hangup(self) -> None:
        """What the kernel does when a terminal is closed: SIGHUP, and SIGCONT lest a stopped child sleep through it."""
        self.signal(signal.SIGHUP)
        self.signal(signal.SIGCONT)

    def proceed(self) -> None:
        """Continue the stopped child."""
        self.stopped = False
        self.on_continue()
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        """Send a signal to the child's process group; nothing happens after its end."""
        if self.status is None and self._ended is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def terminate(self, grace: float = 5.0) -> ExitStatus:
        """End everything in the terminal's session: TERM, `grace` seconds, KILL; once it is started."""
        await self._begun.wait()
        deadline = self._loop.time() + grace
        self._signal_session(signal.SIGTERM)
        self._signal_session(signal.SIGCONT)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._gone), grace)
        while platform.session_members(os.getpid()) and self._loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # nobody tells us of the end of a grandchild
        self._signal_session(signal.SIGKILL)
        status: ExitStatus = await self._gone
        deadline = self._loop.time() + KILLED_WITHIN
        while platform.session_members(os.getpid()) and self._loop.time() < deadline:
            self._signal_session(signal.SIGKILL)  # what was started while we looked
            await asyncio.sleep(0.01)
        return status

    def close(self) -> None:
        """Let go of the terminal: the kernel hangs up on what still uses it."""
        if self.fd < 0:
            return
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the kernel sends it to us as well
        self._read_off()
        self._write_off()
        self._pty.fileobj.close()
        self._pty.closed, self._pty.fd, self.fd = True, -1, -1

    # Inside.

    def _read_on(self) -> None:
        if self._started and not (self._reading or self._paused or self._deaf or self.fd < 0):
            self._loop.add_reader(self.fd, self._readable)
            self._reading = True

    def _read_off(self) -> None:
        if self._reading:
            self._loop.remove_reader(self.fd)
            self._reading = False

    def _write_on(self) -> None:
        if self._started and self._queue and not self._writing:
            self._loop.add_writer(self.fd, self._writable)
            self._writing = True

    def _write_off(self) -> None:
        if self._writing:
            self._loop.remove_writer(self.fd)
            self._writing = False

    def _readable(self) -> None:
        pieces, ended = [], False
        with suppress(BlockingIOError):
            for _ in range(READS_PER_TURN):
                piece = self._read()
                if not piece:
                    ended = True
                    break
                pieces.append(piece)
        if pieces:
            self._on_output(b"".join(pieces))
        if ended:
            self._deaf = True
            self._read_off()
            self._finish()

    def _read(self) -> bytes:
        try:
            return os.read(self.fd, READ_SIZE)
        except BlockingIOError:
            raise
        except OSError:
            return b""  # EIO: Linux's way to say that the last user of the terminal is gone

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # nobody is left to read it

    def _writable(self) -> None:
        del self._queue[: self._send(self._queue)]
        if not self._queue:
            self._write_off()

    def _local_modes(self) -> int:
        try:
            return int(termios.tcgetattr(self.fd)[3])
        except (OSError, ValueError, termios.error):
            return 0

    def _signal_session(self, number: int) -> None:
        for pid in platform.session_members(os.getpid()):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def _reap(self) -> None:
        if self._adopts and self._burying is None:
            self._burying = self._loop.call_later(OTHERS_WAIT, self._bury)
        while self._ended is None:
            pid, raw = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            if pid == 0:
                return
            self._changed(raw)

    def _bury(self) -> None:
        """Somebody may still wait for a process of the runner's own: only what is left after a while is adopted."""
        self._burying = None
        bury(self.pid if self._ended is None else 0)

    def _changed(self, raw: int) -> None:
        if os.WIFSTOPPED(raw):
            self.stopped = True
            if self._reading:
                self._readable()  # what it wrote before, also where the loop would hear of it later
            self._loop.call_later(STOP_SETTLES, self._stopped)
        elif os.WIFCONTINUED(raw):
            self.stopped = False
            self.on_continue()
        else:
            self._ended = ExitStatus(os.waitstatus_to_exitcode(raw))
            self._hear_last_words()

    def _stopped(self) -> None:
        if self.stopped:
            self._on_stop()

    def _hear_last_words(self) -> None:
        """Its output reaches us later than its status; grandchildren may hold the terminal open for ever."""
        if self._deaf:
            self._finish()
        else:
            self.resume()
            self._loop.call_later(LAST_WORDS, self._finish)

    def _finish(self) -> None:
        """Report the end once, when both the status and the last output are here."""
        if self.status is None and self._ended is not None:
            self.status = self._ended
            self._loop.remove_signal_handler(signal.SIGCHLD)
            self._on_exit(self.status)
            self._gone.set_result(self.status)
