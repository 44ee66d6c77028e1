"""What differs between systems: who is at the other end of a socket, and what processes there are."""

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Peer(NamedTuple):
    """The process at the other end of a local socket, as the kernel knows it."""

    pid: int
    uid: int


def peer(connection: socket.socket) -> Peer:
    """SO_PEERCRED on Linux; LOCAL_PEERCRED and LOCAL_PEERPID on macOS."""
    if sys.platform == "linux":
        pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return Peer(pid, uid)
    credentials = connection.getsockopt(0, 0x001, 76)  # LOCAL_PEERCRED: struct xucred
    uid = struct.unpack_from("2I", credentials)[1]
    pid = struct.unpack("i", connection.getsockopt(0, 0x002, 4))[0]  # LOCAL_PEERPID
    return Peer(pid, uid)


def start_of(pid: int) -> str:
    """When a process started, in the system's own words, so that a later one with its number is told apart; "" if gone."""
    if sys.platform == "linux":
        fields = _stat(pid)
        return "" if not fields or fields[0] == "Z" else fields[19]
    return _ps(pid, "lstart=")


def parent_of(pid: int) -> int:
    """The process that started this one; 0 when it is not known."""
    if sys.platform == "linux":
        fields = _stat(pid)
        return int(fields[1]) if fields else 0
    text = _ps(pid, "ppid=")
    return int(text) if text.isdigit() else 0


def ancestors(pid: int) -> Iterator[int]:
    """The process itself, its parent, and so on; bounded."""
    for _ in range(64):
        if pid <= 1:
            return
        yield pid
        pid = parent_of(pid)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name: state, ppid ... starttime is the 20th."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(") ")[2].split()
    except OSError:
        return []


def _ps(pid: int, column: str) -> str:
    done = subprocess.run(["ps", "-o", column, "-p", str(pid)], capture_output=True, text=True, check=False, timeout=5)
    return done.stdout.strip()


class MachineProcesses:
    """What the sweeper does about processes: is it alive, and ending what a dead runner has left behind."""

    def __init__(self, later: Callable[[float, Callable[[], None]], object]) -> None:
        self._later = later

    def alive(self, pid: int, start: str) -> bool:
        return bool(start_of(pid)) and (not start or start_of(pid) == start)

    def end(self, pid: int, start: str) -> None:
        """TERM to its group now, KILL five seconds later, each only if it is still the same process."""
        self._signal(pid, start, signal.SIGTERM)
        self._signal(pid, start, signal.SIGCONT)
        self._later(5.0, lambda: self._signal(pid, start, signal.SIGKILL))

    def _signal(self, pid: int, start: str, number: int) -> None:
        if not self.alive(pid, start):
            return
        try:
            os.killpg(pid, number)
        except OSError:
            try:
                os.kill(pid, number)
            except OSError:
                pass  # it ended between the look and the signal
