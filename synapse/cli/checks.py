"""What `doctor` looks at in the machine. A check only looks; what can be repaired safely says how."""

import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from synapse import __version__, paths

OK, WARN, FAIL = "ok", "warn", "fail"
LITTLE, TOO_LITTLE = 1 << 30, 64 << 20  # bytes free on the disk
SETTLED = 60.0  # seconds after which a socket that nobody answers on is nobody's
# The log needs memory shared through its file, and locks that hold. Held equal to what the log refuses by a test.
NETWORK = ("nfs", "cifs", "smb", "9p", "drvfs", "afs", "ncp", "fuse.sshfs", "fuse.glusterfs", "ceph", "lustre")


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, how it is, what to do next; `repair` does that, where it can do no harm."""

    name: str
    state: str
    said: str
    next: str = ""
    repair: "Callable[[], object] | None" = None


def python() -> "Iterator[Check]":
    """The interpreter and this program."""
    said = f"synapse {__version__}, Python {sys.version.partition(' ')[0]} ({sys.executable})"
    yield Check("python", OK, said)


def packages() -> "Iterator[Check]":
    """Are the libraries there, and new enough?"""
    from importlib.metadata import PackageNotFoundError, requires, version

    try:
        wanted = [re.match(r"([\w.-]+)>=([\d.]+)$", one.replace(" ", "")) for one in requires("synapse-hub") or ()]
    except PackageNotFoundError:
        yield Check("packages", OK, "they are part of this program")
        return
    said, missing = [], []
    for name, least in (one.groups() for one in wanted if one):
        try:
            have = version(name)
        except PackageNotFoundError:
            missing.append(f"{name} is not installed")
            continue
        said.append(f"{name} {have}")
        if _numbers(have) < _numbers(least):
            missing.append(f"{name} is {have}, older than {least}")
    if missing:
        yield Check("packages", FAIL, "; ".join(missing), "Install synapse again: `pipx reinstall synapse-hub`.")
    else:
        yield Check("packages", OK, ", ".join(said))


def _numbers(version: str) -> "tuple[int, ...]":
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def folder() -> "Iterator[Check]":
    """The data folder: whose, and open to whom."""
    data = paths.data_folder()
    try:
        status = os.stat(data)
    except FileNotFoundError:
        yield Check("data folder", OK, f"{data} is not there yet; the first hub makes it")
        return
    mode = stat.S_IMODE(status.st_mode)
    usual = not os.environ.get("SYNAPSE_DATA")  # one that was chosen may hold other things: only what it must be
    repair = partial(os.chmod, data, 0o700 if usual else mode & ~0o022)
    if not stat.S_ISDIR(status.st_mode):
        yield Check("data folder", FAIL, f"{data} is no folder", "Choose another by SYNAPSE_DATA.")
    elif status.st_uid != os.getuid():
        yield Check("data folder", FAIL, f"{data} belongs to another user", "Choose another by SYNAPSE_DATA.")
    elif mode & 0o022:
        yield Check("data folder", FAIL, f"others may write in {data} ({mode:o})", f"`chmod go-w {data}`.", repair)
    elif not os.access(data, os.W_OK | os.X_OK):
        yield Check("data folder", FAIL, f"{data} cannot be written ({mode:o})", f"`chmod u+rwx {data}`.")
    elif mode & 0o055:
        yield Check(
            "data folder", WARN, f"others may look into {data} ({mode:o})", f"`chmod 700 {data}`.",
            repair if usual else None,
        )  # fmt: skip
    else:
        yield Check("data folder", OK, f"{data} (yours alone)")


def disk() -> "Iterator[Check]":
    """Is there room, on a disk of this machine?"""
    data = _there(paths.data_folder())
    kind = _filesystem(data)
    if kind.startswith(NETWORK):
        yield Check("disk", FAIL, f"{data} is on a network file system ({kind}), where a log is not safe",
                    "Choose a folder on a local disk by SYNAPSE_DATA.")  # fmt: skip
    found = os.statvfs(data)
    free = found.f_bavail * found.f_frsize
    said = f"{free / 1e9:.1f} GB free at {data}"
    if found.f_flag & os.ST_RDONLY:
        yield Check("disk", FAIL, f"{data} is on a disk that can only be read", "Choose another by SYNAPSE_DATA.")
    elif free < TOO_LITTLE:
        yield Check("disk", FAIL, said, "Make room: a hub that cannot write only reads.")
    else:
        yield Check("disk", WARN if free < LITTLE else OK, said, "Make room." if free < LITTLE else "")


def _there(path: str) -> str:
    """A path, or what of it is there."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def _filesystem(path: str) -> str:
    """The type of the file system that a folder is on; "" where the system does not say."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            lines = [line.partition(" - ") for line in file]
    except OSError:
        return ""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    kinds = [right.split(" ")[0] for left, _, right in lines if left.split(" ")[2] == wanted]
    return kinds[-1] if kinds else ""


def sockets() -> "Iterator[Check]":
    """Can there be sockets, and does somebody listen on each that is there?"""
    from synapse.client.starting import answers, holder

    data = paths.data_folder()
    if not os.path.isdir(data):
        return
    run = paths.run_folder(data)
    if not run.startswith(data):
        yield Check("sockets", OK, f"the data folder's path is too long for sockets: they are in {run}")
    yield _can_listen(run)
    held = holder(data)
    for entry in sorted(os.scandir(run), key=lambda one: one.name):
        if entry.name.endswith(".sock") and not answers(entry.path):
            old = time.time() - entry.stat().st_mtime > SETTLED
            if old and entry.path != (held or {}).get("socket"):
                yield Check(
                    "sockets", WARN, f"nobody listens on {entry.path}", f"`rm {entry.path}`.",
                    partial(_drop_socket, entry.path),
                )  # fmt: skip


def _can_listen(run: str) -> Check:
    from _socket import AF_UNIX, SOCK_STREAM, socket

    path = os.path.join(run, f"try-{os.getpid()}")
    trial = socket(AF_UNIX, SOCK_STREAM)
    try:
        trial.bind(path)
        os.unlink(path)
    except OSError as error:
        return Check("sockets", FAIL, f"no socket can be made in {run}: {error.strerror or error}",
                     "Look at its rights, and at the sandbox that this runs in.")  # fmt: skip
    finally:
        trial.close()
    return Check("sockets", OK, f"they can be made in {run}")


def _drop_socket(path: str) -> None:
    """Take a socket away, if still nobody listens there and nobody has made it anew."""
    from synapse.client.starting import answers

    if not answers(path) and time.time() - os.stat(path).st_mtime > SETTLED:
        os.unlink(path)


ALL = (python, packages, folder, disk, sockets)
