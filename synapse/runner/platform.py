"""What differs between Linux and macOS, in one place."""

import asyncio
import os
import platform as machine
import selectors
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

IUTF8 = 0x4000  # the same bit on both; `termios` names it only since Python 3.13
_READ = {"x86_64": "0", "aarch64": "63", "riscv64": "63"}.get(machine.machine())  # how /proc calls it
_LOCAL_PEERCRED = 0x001  # <sys/un.h> of macOS, at level 0
GROUP, SESSION = 1, 2  # places among a process's numbers


def peer_uid(connection: socket.socket) -> int:
    """The user at the other end of a Unix socket, as the kernel knows it; OSError if it cannot tell."""
    if sys.platform == "linux":
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    else:
        _, uid = struct.unpack("=II", connection.getsockopt(0, _LOCAL_PEERCRED, 8))
    return int(uid)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop that can watch a pseudo-terminal: kqueue loses events on pty masters in older macOS."""
    if sys.platform == "linux":
        return asyncio.SelectorEventLoop()
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def session_members(session: int) -> list[int]:
    """The living processes of a session but for its leader."""
    found = _by_proc(SESSION, session) if sys.platform == "linux" else _by_ps(session)
    return [pid for pid in found if pid != session]


def reads_terminal(group: int) -> bool:
    """Does one of a process group wait for a line from its terminal? False where that cannot be told: only Linux does."""
    return sys.platform == "linux" and any(_reads(pid) for pid in _by_proc(GROUP, group))


def _reads(pid: int) -> bool:
    with suppress(OSError, ValueError, IndexError):
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            call, descriptor = file.read().split()[:2]
        place = os.readlink(f"/proc/{pid}/fd/{int(descriptor, 16)}") if call == _READ else ""
        return place.startswith(("/dev/pts/", "/dev/tty"))
    return False


def _by_proc(field: int, wanted: int) -> Iterator[int]:
    """The living processes whose group or session is that."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            state, *numbers = file.read().rpartition(b")")[2].split()[:4]
            if int(numbers[field]) == wanted and state not in b"ZX":
                yield int(name)


def _by_ps(session: int) -> Iterator[int]:
    listing = subprocess.run(["/bin/ps", "-axo", "pid=,stat="], capture_output=True, check=False).stdout
    for pid, state in (line.split()[:2] for line in listing.splitlines()):
        with suppress(OSError):
            if not state.startswith(b"Z") and os.getsid(int(pid)) == session:
                yield int(pid)


def limit_send_buffer(connection: socket.socket, size: int) -> None:
    """Keep at most about `size` bytes in the kernel for a connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
