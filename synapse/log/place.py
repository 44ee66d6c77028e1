"""Where a log may lie: on a local disk, in a folder that can be written."""

import os
import sys
from pathlib import Path

from synapse.errors import NotFound, Refused

# The write-ahead log needs memory shared through the file and locks that hold; these have neither.
_NETWORK = ("nfs", "cifs", "smb", "9p", "drvfs", "afs", "ncp", "fuse.sshfs", "fuse.glusterfs", "ceph", "lustre")
_MOUNTS = Path("/proc/self/mountinfo")


def check(path: Path, *, read_only: bool) -> None:
    """Refuse, with a sentence, a place that cannot hold a log."""
    folder = path.parent
    if not folder.is_dir():
        raise NotFound("no_folder", f"There is no folder {folder}: make it, or choose another with --data.")
    if read_only:
        if not path.is_file():
            raise NotFound(
                "no_log", f"There is no log at {path}: start the hub once, or choose its folder with --data."
            )
        return
    kind = filesystem(path, _mounts())
    if kind.startswith(_NETWORK):
        raise Refused(
            "network_filesystem",
            f"{folder} is on a network file system or a Windows drive ({kind}), where a log is not safe:"
            " choose a folder on a local disk with --data.",
            filesystem=kind,
        )
    if not os.access(folder, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise Refused(
            "read_only", f"{path} cannot be written: change the rights of its folder, or use another (--data)."
        )


def filesystem(path: Path, mounts: str) -> str:
    """The type of the file system that holds a path, by the lines of /proc/self/mountinfo; "" where they do not say.

    Of the mount points above the path the longest counts, and of two equal ones the later, which hides the other.
    """
    resolved = path.resolve()
    best, kind = -1, ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].encode().decode("unicode_escape")  # a space is \040
        if len(point) >= best and resolved.is_relative_to(point):
            best, kind = len(point), right.split(" ")[0]
    return kind


def _mounts() -> str:
    return _MOUNTS.read_text("utf-8", "replace") if sys.platform == "linux" and _MOUNTS.exists() else ""
