"""Where things lie: the data folder and what is in it. Quick commands import this: nothing heavy here."""

import os
import sys

from synapse.errors import BadRequest, Refused

DEFAULT_PORT = 8876
_LONGEST_SOCKET_PATH = 103  # macOS; Linux takes 107


def data_folder(environ: "os._Environ[str] | dict[str, str]" = os.environ) -> str:
    """The folder with everything in it: SYNAPSE_DATA, else the system's usual place for a user's data."""
    chosen = environ.get("SYNAPSE_DATA")
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen))
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support/synapse")
    base = environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.path.join(base, "synapse")


def port(environ: "os._Environ[str] | dict[str, str]" = os.environ) -> int:
    """The hub's port: SYNAPSE_PORT, else 8876."""
    text = environ.get("SYNAPSE_PORT", "")
    if not text:
        return DEFAULT_PORT
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise BadRequest("bad_port", f"SYNAPSE_PORT is {text[:40]!r}: set it to a number from 1 to 65535.")
    return int(text)


def run_folder(data: str) -> str:
    """The private folder for sockets (made when it is not there): in the data folder, or a short one of this user's."""
    folder = os.path.join(data, "run")
    if not _fits(folder):
        from hashlib import sha256

        name = f"synapse-{os.getuid()}-{sha256(data.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
        folder = os.path.join(os.environ.get("TMPDIR") or "/tmp", name)  # noqa: S108 - its owner and mode are checked
        if not _fits(folder):
            folder = os.path.join("/tmp", name)  # noqa: S108
    else:
        make_private(data)  # before what is in it: a folder on the way is made with looser rights
    make_private(folder)
    return folder


def _fits(folder: str) -> bool:
    return len(os.fsencode(os.path.join(folder, "hub-65535.sock"))) <= _LONGEST_SOCKET_PATH


def make_private(folder: str) -> None:
    """Make a folder that nobody else may write in; Refused when it belongs to somebody else or is open to others.

    A folder that is made here, or is empty, is closed to everybody else; one with something in it is left as it is.
    """
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        status = os.stat(folder)
    except OSError as error:
        raise Refused(
            "no_folder", f"{folder} cannot be made: {error.strerror}. Choose another by SYNAPSE_DATA."
        ) from None
    if status.st_uid != os.getuid():
        raise Refused("not_your_folder", f"{folder} belongs to another user: choose another by SYNAPSE_DATA.")
    if status.st_mode & 0o022 and not _close(folder):
        raise Refused(
            "open_folder", f"Others may write in {folder}: `chmod go-w` it, or choose another by SYNAPSE_DATA."
        )


def _close(folder: str) -> bool:
    try:
        if os.listdir(folder):
            return False
        os.chmod(folder, 0o700)
    except OSError:
        return False
    return True


def plugin_site(data: str) -> str:
    """Where the plugins that were installed by `plugins install` lie, for this Python."""
    return os.path.join(data, "plugins", sys.implementation.cache_tag or "python", "current", "site")


def hub_socket(data: str, port: int) -> str:
    """The local door of the hub on that port."""
    return os.path.join(run_folder(data), f"hub-{port}.sock")


def letters_folder(data: str, agent: str = "") -> str:
    """Where long messages and attachments lie for the agent that is to read them, by its key; of all of them the folder."""
    return os.path.join(data, "letters", agent) if agent else os.path.join(data, "letters")


def remove_old(folder: str, before: float) -> int:
    """Take away the files of a folder that were last written before that time; how many. None is there without a folder."""
    count = 0
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return 0
    with entries:
        for entry in entries:
            try:
                if not entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < before:
                    os.unlink(entry.path)
                    count += 1
            except FileNotFoundError:  # another process was quicker
                pass
    return count


def lock_file(data: str) -> str:
    return os.path.join(data, "hub.lock")


def log_file(data: str) -> str:
    return os.path.join(data, "hub.log")


def program() -> "list[str]":
    """How to start this program again."""
    if getattr(sys, "frozen", False):
        return [sys.executable]
    return [sys.executable, "-P", "-m", "synapse"]  # else what lies in the current folder would be imported first


def project(start: str) -> str:
    """The folder of the project that `start` lies in: its main worktree's, so that worktrees stay together; else `start`."""
    folder = start
    while True:
        git = os.path.join(folder, ".git")
        if os.path.isdir(git):
            return folder
        if os.path.isfile(git):
            return _main_worktree(git) or folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return start
        folder = parent


def _main_worktree(pointer: str) -> str:
    """What a worktree's `.git` file leads to: `gitdir: DIR`, whose `commondir` names the main one's `.git`."""
    try:
        with open(pointer, encoding="utf-8") as file:
            git = os.path.join(os.path.dirname(pointer), file.read().removeprefix("gitdir:").strip())
        with open(os.path.join(git, "commondir"), encoding="utf-8") as file:
            common = os.path.realpath(os.path.join(git, file.read().strip()))
    except (OSError, UnicodeDecodeError):
        return ""
    return os.path.dirname(common) if os.path.basename(common) == ".git" else common
