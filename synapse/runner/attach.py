"""The viewer's side of attach: a person's terminal on one end, the runner's private socket on the other.

It copies bytes and knows nothing of what they mean. It imports little: it is started at every `synapse run`.
"""

import errno
import os
import select
import signal
import socket
import sys
import termios
import time
from types import FrameType
from typing import NamedTuple

from synapse.errors import Unavailable
from synapse.runner import frames
from synapse.runner.frames import Hello
from synapse.runner.user_terminal import ENDING, PENDING, UserTerminal

ANSWER_WITHIN = 5.0  # seconds
LEAVE_WITHIN = 0.3  # seconds for the runner to say how to leave the terminal, when a signal ends this
NOTICED = (*ENDING, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)


class Parting(NamedTuple):
    """How an attachment ended: an exit status (below zero: a signal), and why, if the child still lives.

    `ended` is why the child has ended: `exited` by itself, `stopped`, `killed`, `terminal_closed`.
    """

    status: int
    reason: str = ""
    ended: str = ""


def attach(
    path: str,
    *,
    watch: bool = False,
    owner: bool = False,
    detach_key: str = "ctrl-\\",
    typed: bytes = b"",
    version: str = "",
    place: str = "",
    terminal: UserTerminal | None = None,
) -> Parting:
    """Show the agent behind the socket `path` on this terminal until it ends, is detached, or a signal comes.

    `typed` is what the person typed before (see `UserTerminal.probe`), `terminal` the one entered for that. Refused
    without a terminal, Unavailable without a runner.
    """
    if terminal is None:
        with UserTerminal() as terminal:
            return attach(
                path,
                watch=watch,
                owner=owner,
                detach_key=detach_key,
                typed=typed,
                version=version,
                place=place,
                terminal=terminal,
            )
    hello = Hello(0, 0, watch, owner, detach_key, version, place=place)
    with _connect(path) as connection:
        return Attachment(terminal, connection).run(hello, typed)


def places(path: str) -> list[str]:
    """Where those are who look at the agent behind the socket `path`; Unavailable without a runner that answers."""
    with _connect(path) as connection:
        connection.settimeout(ANSWER_WITHIN)
        incoming = frames.Frames()
        try:
            connection.sendall(frames.frame(frames.WHERE))
            while data := connection.recv(PENDING):
                for kind, payload in incoming.feed(data):
                    if kind == frames.PLACES:
                        return frames.decode_places(payload)
        except OSError:
            pass  # it says nothing
    raise Unavailable("no-answer", "The agent's runner does not say who looks at it: it may be of an older version.")


def leave(status: int) -> int:
    """End by the same signal as the child, so that a shell sees no difference; else give back its exit status."""
    if status >= 0:
        return status
    import resource  # only here: not needed in a quarter of a second

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if -status not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-status, signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    os.kill(os.getpid(), -status)
    return 128 - status


class Attachment:
    """One session of looking: moves bytes both ways until one side ends."""

    def __init__(self, terminal: UserTerminal, connection: socket.socket) -> None:
        self._terminal = terminal
        self._connection = connection
        self._frames = frames.Frames()
        self._to_terminal = bytearray()
        self._to_runner = bytearray()
        self._parting: Parting | None = None
        self._leaving: Parting | None = None  # a signal has come, and the runner is asked for the terminal's modes ...
        self._until = 0.0  # ... until then (monotonic)
        self._woken, self._wake = os.pipe()

    def run(self, hello: Hello, typed: bytes) -> Parting:
        """Say hello with the terminal's size, and go on until one side ends."""
        before = self._listen()  # first: a change of size after this is not missed
        columns, rows = self._terminal.size()
        self._to_runner += hello._replace(columns=columns, rows=rows).encode()
        try:
            if typed:
                self._send(frames.INPUT, typed)
            while self._parting is None:
                self._turn()
            self._terminal.write_all(self._to_terminal)
        except (OSError, termios.error) as error:
            if error.args[0] not in (errno.EIO, errno.ENXIO):
                raise
            self._parting = Parting(-signal.SIGHUP, "the terminal is gone")
        finally:
            self._unlisten(before)
        return self._parting

    # One turn.

    def _turn(self) -> None:
        reads = [self._woken]
        if len(self._to_terminal) < PENDING:
            reads.append(self._connection.fileno())
        if len(self._to_runner) < PENDING:
            reads.append(self._terminal.reads)
        writes = [self._terminal.writes] if self._to_terminal else []
        if self._to_runner:
            writes.append(self._connection.fileno())
        patience = max(0.0, self._until - time.monotonic()) if self._leaving else None
        readable, writable, _ = select.select(reads, writes, [], patience)
        if self._leaving and time.monotonic() >= self._until:
            self._end_on_a_free_line(self._leaving)
            return
        if self._woken in readable:
            self._signals()
        if self._connection.fileno() in readable:
            self._hear()
        if self._terminal.reads in readable:
            self._keys()
        if self._terminal.writes in writable:
            self._show()
        if self._connection.fileno() in writable:
            self._tell()

    def _keys(self) -> None:
        try:
            data = os.read(self._terminal.reads, PENDING)
        except BlockingIOError:
            return
        if not data:
            self._parting = self._parting or Parting(-signal.SIGHUP, "the terminal is gone")
            return
        self._send(frames.INPUT, data)

    def _send(self, kind: int, payload: bytes = b"") -> None:
        self._to_runner += frames.frame(kind, payload)
        self._tell()

    def _tell(self) -> None:
        try:
            del self._to_runner[: self._connection.send(self._to_runner)]
        except BlockingIOError:
            pass
        except OSError:
            self._to_runner.clear()  # its last frames may still be waiting to be read

    def _show(self) -> None:
        del self._to_terminal[: self._terminal.write(self._to_terminal)]

    def _hear(self) -> None:
        try:
            data = self._connection.recv(PENDING)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end_on_a_free_line(Parting(1, "the connection to the agent's runner was lost"))
            return
        for kind, payload in self._frames.feed(data):
            self._receive(kind, payload)
        if self._to_terminal:
            self._show()

    def _receive(self, kind: int, payload: bytes) -> None:
        if kind == frames.OUTPUT:
            self._to_terminal += payload
        elif kind == frames.UNDO:
            self._terminal.undo = payload
        elif kind == frames.NOTE:
            self._to_terminal += self._line(payload.decode())
        elif kind == frames.STOP:
            self._suspend()
        elif kind == frames.EXIT:
            status, ended = frames.decode_end(payload)
            self._parting = Parting(status, ended=ended)
        elif kind == frames.GOODBYE:
            self._parting = self._leaving or Parting(*frames.decode_end(payload))

    def _end_on_a_free_line(self, parting: Parting) -> None:
        """Nobody can say any more where the picture ends."""
        self._terminal.undo += b"\r\n"
        self._parting = self._parting or self._leaving or parting

    def _line(self, text: str) -> bytes:
        """A line at the bottom, in reverse, that leaves cursor and colours alone."""
        columns, rows = self._terminal.size()
        shown = f" {''.join(filter(str.isprintable, text))} "[: columns - 1]
        return f"\x1b7\x1b[{rows};{columns - len(shown)}H\x1b[0;7m{shown}\x1b8".encode()

    # Signals.

    def _listen(self) -> dict[int, object]:
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self._connection.setblocking(False)
        before: dict[int, object] = {number: signal.signal(number, _noticed) for number in NOTICED}
        before[0] = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        return before

    def _unlisten(self, before: dict[int, object]) -> None:
        signal.set_wakeup_fd(before.pop(0))  # type: ignore[arg-type]
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        os.close(self._woken)
        os.close(self._wake)

    def _signals(self) -> None:
        for number in os.read(self._woken, 64):
            if number == signal.SIGWINCH:
                self._send(frames.RESIZE, frames.encode_size(*self._terminal.size()))
            elif number == signal.SIGTSTP:
                self._suspend()
            elif number == signal.SIGCONT:
                self._resume()
            elif number in ENDING:
                self._end_by(number)

    def _end_by(self, number: int) -> None:
        """The modes that we were told of may be some output behind: ask for those of now; a second signal ends at once."""
        if self._leaving:
            self._end_on_a_free_line(self._leaving)
            return
        self._leaving = Parting(-number, "ended by a signal")
        self._until = time.monotonic() + LEAVE_WITHIN
        self._send(frames.LEAVE)

    def _suspend(self) -> None:
        """Give the terminal back to the shell and stop, with the whole job, as the kernel does at Ctrl-Z.

        Nothing stops in a group that no shell looks after: then this goes on at once.
        """
        self._terminal.write_all(self._to_terminal)
        self._to_terminal.clear()
        self._terminal.restore()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.killpg(0, signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, _noticed)
        self._forget_continue()
        self._resume()

    def _forget_continue(self) -> None:
        try:
            missed = os.read(self._woken, 64)
        except BlockingIOError:
            return
        os.write(self._wake, bytes(number for number in missed if number not in (signal.SIGCONT, signal.SIGTSTP)))

    def _resume(self) -> None:
        self._terminal.raw()
        self._send(frames.RESIZE, frames.encode_size(*self._terminal.size()))
        self._send(frames.CONTINUE)


def _noticed(_number: int, _frame: FrameType | None) -> None:
    pass  # the number comes through the wake-up pipe


def _connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        sentence = f"No runner answers at {path}: {error.strerror}. `synapse list` shows who is here."
        raise Unavailable("no-runner", sentence) from error
    return connection
