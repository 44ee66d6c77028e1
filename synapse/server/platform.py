"""What differs between systems: who is at the other end of a socket, and what processes there are."""

import ctypes
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Peer(NamedTuple):
    """The process at the other end of a local socket, as the kernel knows it; `pid` is 0 when it cannot be named."""

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


def holders(inode: int) -> list[int]:
    """The processes of this user that have a socket open; looks at every process: not for the loop."""
    wanted = f"socket:[{inode}]"
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and wanted in _open_files(pid)]


def _open_files(pid: str) -> Iterator[str]:
    """What the descriptors of a process lead to; nothing of one that has ended or is somebody else's."""
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for number in numbers:
        try:
            yield os.readlink(f"/proc/{pid}/fd/{number}")
        except OSError:
            continue  # closed meanwhile


def start_of(pid: int) -> str:
    """When a process started, in the system's own words, so that a later one with its number is told apart; "" if gone.

    The runner reports what the same look gave there (`runner/who.py`).
    """
    if sys.platform == "linux":
        fields = _stat(pid)
        return fields[19] if fields else ""
    return _started(pid)


def parent_of(pid: int) -> int:
    """The process that started this one; 0 when it is not known."""
    if sys.platform == "linux":
        fields = _stat(pid)
        return int(fields[1]) if fields else 0
    return _bsd_parent(pid)


def ancestors(pid: int) -> Iterator[int]:
    """The process itself, its parent, and so on; bounded."""
    for _ in range(64):
        if pid <= 1:
            return
        yield pid
        pid = parent_of(pid)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name: state, ppid ... starttime is the 20th; none of a dead process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(") ")[2].split()
    except OSError:
        return []
    return fields if fields and fields[0] not in "ZX" else []


def _started(pid: int) -> str:
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=5).stdout.strip()


_BSD_INFO, _BSD_SIZE = 3, 136  # PROC_PIDTBSDINFO, sizeof(struct proc_bsdinfo); pbi_ppid is its fifth word


def _bsd_parent(pid: int) -> int:
    """By libproc: a `ps` for each ancestor of each command would hold up the loop."""
    content = ctypes.create_string_buffer(_BSD_SIZE)
    found = ctypes.CDLL(None).proc_pidinfo(pid, _BSD_INFO, ctypes.c_uint64(0), content, _BSD_SIZE)
    return int(struct.unpack_from("=5I", content.raw)[4]) if found == _BSD_SIZE else 0


def raise_descriptor_limit(wanted: int) -> int:
    """Allow this process that many open files, or as many as the system lets it; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        except (OSError, ValueError):
            return soft  # macOS has a limit of its own below the hard one
        return target
    return soft


class MachineProcesses:
    """What the sweeper does about processes: is it alive, and ending what a dead runner has left behind."""

    def __init__(self, later: Callable[[float, Callable[[], None]], object]) -> None:
        self._later = later

    def alive(self, pid: int, start: str) -> bool:
        found = start_of(pid)
        return bool(found) and start in ("", found)

    def end(self, pid: int, start: str) -> None:
        """TERM to its group now, KILL five seconds later, if it is that very process."""
        if self.alive(pid, start):
            _signal(pid, signal.SIGTERM)
            _signal(pid, signal.SIGCONT)
            self._later(5.0, lambda: self._kill(pid, start))

    def _kill(self, pid: int, start: str) -> None:
        """The process itself, or what is left of its group: while that is there, nobody else gets its number."""
        if self.alive(pid, start) or not start_of(pid):
            _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except OSError:
        try:
            os.kill(pid, number)
        except OSError:
            pass  # it ended between the look and the signal
