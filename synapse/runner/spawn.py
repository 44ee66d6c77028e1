"""Start a program on a pseudo-terminal of its own, as a shell would: job control works and its death is seen.

A child of `forkpty` leads its session, so its process group is orphaned and the kernel discards Ctrl-Z. Here the
*runner* leads the session and the child is its foreground group.
"""

import errno
import fcntl
import os
import resource
import shutil
import signal
import struct
import termios
from collections.abc import Mapping, Sequence
from typing import NoReturn

from synapse.errors import BadRequest
from synapse.runner.platform import IUTF8


def become_session_leader() -> None:
    """Put this process at the head of a session without a terminal; a process that already leads one forks for it."""
    if os.getsid(0) == os.getpid() and not _has_terminal():
        return
    if os.getpgid(0) == os.getpid() and os.fork():
        os._exit(0)
    os.setsid()


def spawn(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], columns: int, rows: int) -> tuple[int, int]:
    """Run `argv` in the folder `cwd` with exactly `env`, on a terminal of that size: (pid, master descriptor).

    The caller must lead its session and have no second thread yet; from here on it ignores SIGHUP, which the kernel
    sends to it when its own master closes. Raises BadRequest with the shell's exit status in `details["status"]` when
    the program cannot be started (127 not there, 126 not executable).
    """
    assert os.getsid(0) == os.getpid(), "only a session leader can own a terminal: become_session_leader() comes first"
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    master, slave = os.openpty()
    failed, report = os.pipe()
    _prepare(slave, columns, rows)
    pid = os.fork()
    if pid == 0:
        _become(slave, report, argv, cwd, env)
    os.close(slave)  # else the end of the child's output would never be seen
    os.close(report)
    with os.fdopen(failed, "rb") as pipe:
        trouble = pipe.read()  # ends at exec, by CLOEXEC
    if trouble:
        os.waitpid(pid, 0)
        os.close(master)
        raise _refusal(argv[0], cwd, *trouble.decode().split())
    os.set_blocking(master, False)
    return pid, master


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _prepare(slave: int, columns: int, rows: int) -> None:
    modes = termios.tcgetattr(slave)
    modes[0] |= IUTF8  # so that erasing a character in a line reader erases all its bytes
    termios.tcsetattr(slave, termios.TCSANOW, modes)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def _become(slave: int, report: int, argv: Sequence[str], cwd: str, env: Mapping[str, str]) -> NoReturn:
    stage = "terminal"
    try:
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # taking the foreground from behind would stop us
        os.setpgid(0, 0)
        os.tcsetpgrp(slave, os.getpid())
        for descriptor in (0, 1, 2):
            os.dup2(slave, descriptor)
        _close_all_but(report)
        _default_signals()
        stage = "folder"
        os.chdir(cwd)
        stage = "program"
        _execute(list(argv), dict(env))
    except OSError as error:
        os.write(report, f"{stage} {error.errno}".encode())
    finally:
        os._exit(126)


def _close_all_but(report: int) -> None:
    most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 20)
    os.closerange(3, report)
    os.closerange(report + 1, most if most > 0 else 1 << 16)


def _default_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _execute(argv: list[str], env: dict[str, str]) -> NoReturn:
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606
    except OSError as error:
        script = shutil.which(argv[0], path=env.get("PATH"))
        if error.errno != errno.ENOEXEC or script is None:
            raise
        os.execve("/bin/sh", ["sh", script, *argv[1:]], env)  # noqa: S606 - as shells do with a script without "#!"


def _refusal(program: str, cwd: str, stage: str, number: str) -> BadRequest:
    reason = os.strerror(int(number))
    if stage == "folder":
        return BadRequest("no-folder", f"The folder {cwd} cannot be entered: {reason}.", status=126)
    if stage == "terminal":
        return BadRequest("no-terminal", f"The terminal for {program} could not be set up: {reason}.", status=126)
    if int(number) in (errno.ENOENT, errno.ENOTDIR):
        return BadRequest("command-not-found", f"{program}: command not found.", status=127)
    return BadRequest("not-executable", f"{program} cannot be executed: {reason}.", status=126)
