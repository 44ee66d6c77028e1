"""One hub per data folder: a lock that a crash releases."""

import fcntl
import logging
import os
import time
from collections.abc import Callable

from msgspec import DecodeError, json

from synapse import paths
from synapse.errors import Refused

logger = logging.getLogger(__name__)
_TRIES, _PAUSE = 10, 0.02  # a command that looks whether the lock is held has it for a moment
_LENGTH = 512  # the content is always that long, so that it is read whole


class Held(Refused):
    """Another hub holds the folder; `details` has its pid, port and socket where it has told them."""


class FolderLock:
    """Holds `hub.lock` in a data folder (or another file); its content says who holds it."""

    def __init__(self, data: str, pause: Callable[[float], None] = time.sleep, *, path: str = "") -> None:
        if not path:
            paths.make_private(data)
        self._path = path or paths.lock_file(data)
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(self._path, error) from None
        try:
            self._take(pause)
            self._write(b"")  # what a hub that was killed has left is not ours
        except BaseException:
            os.close(self._file)
            raise

    def _take(self, pause: Callable[[float], None]) -> None:
        for attempt in range(_TRIES):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if attempt + 1 < _TRIES:
                    pause(_PAUSE)
            except OSError as error:
                raise _unusable(self._path, error) from None
        raise self._held()

    def _held(self) -> Held:
        try:
            holder = json.decode(os.pread(self._file, _LENGTH, 0), type=dict[str, str | int])
        except DecodeError:
            holder = {}  # it is only just starting, or stopping
        where = f" on port {holder['port']} (process {holder.get('pid')})" if "port" in holder else ""
        folder = os.path.dirname(self._path)
        return Held("held", f"A hub{where} has {folder} already: `synapse serve --stop` ends it.", **holder)

    def tell(self, **holder: str | int) -> None:
        """Write who holds the lock."""
        self._write(json.encode(holder))

    def release(self) -> None:
        self._write(b"")
        os.close(self._file)

    def _write(self, content: bytes) -> None:
        try:
            os.pwrite(self._file, content.ljust(_LENGTH - 1) + b"\n", 0)
        except OSError as error:  # the disk is full: a hub that can only be read is better than none
            logger.warning("%s cannot be written: %s", self._path, error)


def _unusable(path: str, error: OSError) -> Refused:
    return Refused(
        "no_permission",
        f"{path} cannot be used ({error.strerror}): check the rights of its folder, or choose another by SYNAPSE_DATA.",
    )
