"""The viewer's side of attach: a person's terminal on one end, the runner's private socket on the other.

Whatever happens, the terminal is left as it was found: its modes are undone (only those seen on: the runner says which)
and its line settings put back, at the end, on a signal, and when the runner dies. SIGKILL alone cannot be mended.
"""

import errno
import os
import re
import select
import signal
import socket
import termios
import time
import tty
from types import FrameType
from typing import NamedTuple

from synapse.errors import Refused, Unavailable
from synapse.runner import frames
from synapse.runner.frames import Hello

PENDING = 64 << 10  # bytes under way in one direction before the other side is left waiting
LAST_WORDS = 2.0  # seconds for a terminal to take what is left for it
ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_FENCE = re.compile(rb"\x1b\[\?[0-9;]*c")  # the answer to DA1
NOTICED = (*ENDING, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)


class Parting(NamedTuple):
    """How an attachment ended: an exit status (below zero: a signal), and why, if the child still lives."""

    status: int
    reason: str = ""


def attach(
    path: str,
    *,
    watch: bool = False,
    owner: bool = False,
    detach_key: str = "ctrl-\\",
    typed: bytes = b"",
    version: str = "",
    screen: "Screen | None" = None,
) -> Parting:
    """Show the agent behind the socket `path` on this terminal until it ends, is detached, or a signal comes.

    `typed` is what the person typed before (see `Screen.probe`), `screen` the terminal if it has been entered already.
    Refused without a terminal, Unavailable without a runner.
    """
    if screen is None:
        with Screen() as screen:
            return attach(
                path, watch=watch, owner=owner, detach_key=detach_key, typed=typed, version=version, screen=screen
            )
    connection = _connect(path)
    hello = Hello(*screen.size(), watch, owner, detach_key, version).encode()
    with connection:
        return Attachment(screen, connection).run(hello + (frames.frame(frames.INPUT, typed) if typed else b""))


def leave(status: int) -> int:
    """End by the same signal as the child, so that a shell sees no difference; else give back its exit status."""
    if status >= 0:
        return status
    import resource  # only here: not needed in a quarter of a second

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if -status not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
    return 128 - status


class Screen:
    """This process's terminal: `with` it, it is raw, and restored at the end or at a signal."""

    def __init__(self) -> None:
        if not (os.isatty(0) and os.isatty(1)):
            raise Refused("no-terminal", "This needs a terminal on standard input and output; try `synapse logs`.")
        self._own = _own_description()
        self.reads = self.writes = self._own
        if self._own < 0:
            self.reads, self.writes = 0, 1
        self.undo = b""
        self._found = termios.tcgetattr(self.reads)

    def __enter__(self) -> "Screen":
        self._handlers = {number: signal.signal(number, _end) for number in ENDING}
        self.raw()
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._own >= 0:
            os.close(self._own)

    def probe(self, question: bytes, within: float = 0.15) -> bytes:
        """Ask the terminal, and give back what came in until it answered DA1 or `within` seconds have passed.

        Keys typed meanwhile are among it: pass it on as `attach(typed=...)`, where reports are dropped.
        """
        self.write_all(question)
        deadline = time.monotonic() + within
        answer = b""
        while not _FENCE.search(answer):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.reads], [], [], left)[0]:
                break
            answer += os.read(self.reads, PENDING)
        return answer

    def size(self) -> tuple[int, int]:
        columns, rows = os.get_terminal_size(self.writes)
        return columns or 80, rows or 24

    def raw(self) -> None:
        """Keys come as they are typed, bytes go out as they are."""
        _insist(tty.setraw, self.reads, termios.TCSANOW)

    def restore(self) -> None:
        """Leave the terminal as it was found; harmless when it is gone."""
        try:
            self.write_all(self.undo)
            _insist(termios.tcsetattr, self.reads, termios.TCSANOW, self._found)
        except (OSError, termios.error):
            pass  # the terminal is gone: there is nothing left to restore

    def write_all(self, data: bytes | bytearray) -> None:
        """Write it all, for at most two seconds to a terminal that has stopped reading."""
        deadline = time.monotonic() + LAST_WORDS
        while data:
            data = data[self.write(data) :]
            left = deadline - time.monotonic()
            if data and (left < 0 or not select.select([], [self.writes], [], left)[1]):
                return

    def write(self, data: bytes | bytearray) -> int:
        """As much as the terminal takes now."""
        try:
            return os.write(self.writes, data)
        except BlockingIOError:
            return 0


class Attachment:
    """One session of looking: moves bytes both ways until one side ends."""

    def __init__(self, screen: Screen, connection: socket.socket) -> None:
        self._screen = screen
        self._connection = connection
        self._frames = frames.Frames()
        self._to_screen = bytearray()
        self._to_runner = bytearray()
        self._parting: Parting | None = None
        self._woken, self._wake = os.pipe()

    def run(self, greeting: bytes) -> Parting:
        self._to_runner += greeting
        before = self._listen()
        try:
            while self._parting is None:
                self._turn()
            self._screen.write_all(self._to_screen)
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
        if len(self._to_screen) < PENDING:
            reads.append(self._connection.fileno())
        if len(self._to_runner) < PENDING:
            reads.append(self._screen.reads)
        writes = [self._screen.writes] if self._to_screen else []
        if self._to_runner:
            writes.append(self._connection.fileno())
        readable, writable, _ = select.select(reads, writes, [])
        if self._woken in readable:
            self._signals()
        if self._connection.fileno() in readable:
            self._hear()
        if self._screen.reads in readable:
            self._keys()
        if self._screen.writes in writable:
            self._show()
        if self._connection.fileno() in writable:
            self._tell()

    def _keys(self) -> None:
        try:
            data = os.read(self._screen.reads, PENDING)
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
        del self._to_screen[: self._screen.write(self._to_screen)]

    def _hear(self) -> None:
        try:
            data = self._connection.recv(PENDING)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._parting = self._parting or Parting(1, "the connection to the agent's runner was lost")
            return
        for kind, payload in self._frames.feed(data):
            self._receive(kind, payload)
        if self._to_screen:
            self._show()

    def _receive(self, kind: int, payload: bytes) -> None:
        if kind == frames.OUTPUT:
            self._to_screen += payload
        elif kind == frames.UNDO:
            self._screen.undo = payload
        elif kind == frames.NOTE:
            self._to_screen += self._line(payload.decode())
        elif kind == frames.STOP:
            self._suspend()
        elif kind in (frames.EXIT, frames.GOODBYE):
            self._parting = Parting(*frames.decode_end(payload))

    def _line(self, text: str) -> bytes:
        """A line at the bottom, in reverse, that leaves cursor and colours alone."""
        columns, rows = self._screen.size()
        shown = f" {text} "[: columns - 1]
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
                self._send(frames.RESIZE, frames.encode_size(*self._screen.size()))
            elif number == signal.SIGTSTP:
                self._suspend()
            elif number == signal.SIGCONT:
                self._resume()
            elif number in ENDING:
                self._parting = Parting(-number, "ended by a signal")

    def _suspend(self) -> None:
        """Give the terminal back to the shell and stop, with the whole job, as the kernel does at Ctrl-Z.

        Nothing stops in a group that no shell looks after: then this goes on at once.
        """
        self._screen.write_all(self._to_screen)
        self._to_screen.clear()
        self._screen.restore()
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
        self._screen.raw()
        self._send(frames.RESIZE, frames.encode_size(*self._screen.size()))
        self._send(frames.CONTINUE)


def _noticed(_number: int, _frame: FrameType | None) -> None:
    pass  # the number comes through the wake-up pipe


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        sentence = f"No runner answers at {path}: {error.strerror}. `synapse list` shows who is here."
        raise Unavailable("no-runner", sentence) from error
    return connection


def _own_description() -> int:
    """The terminal opened anew, so that not blocking is our affair alone: the shell shares ours. -1 if that fails."""
    try:
        return os.open(os.ttyname(0), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1


def _insist(change, descriptor: int, *rest) -> None:  # type: ignore[no-untyped-def]
    """In the background this stops us (SIGTTOU) until we are in the foreground again."""
    while True:
        try:
            change(descriptor, *rest)
            return
        except termios.error as error:
            if error.args[0] != errno.EINTR:
                raise
