"""One hub per data folder: a lock that a crash releases."""

import fcntl
import os

from msgspec import json

from synapse import paths
from synapse.errors import Refused


class Held(Refused):
    """Another hub holds the folder; `details` has its pid, port and socket where it has told them."""


class FolderLock:
    """Holds `hub.lock` in a data folder; its content says who holds it."""

    def __init__(self, data: str) -> None:
        paths.make_private(data)
        self._path = paths.lock_file(data)
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Refused("no_permission", f"{self._path} cannot be opened: {error.strerror}.") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise self._held() from None

    def _held(self) -> Held:
        text = os.read(self._file, 4096)
        os.close(self._file)
        try:
            holder = json.decode(text)
        except ValueError:
            holder = {}
        where = f" on port {holder['port']} (process {holder['pid']})" if "port" in holder else ""
        return Held("held", f"A hub{where} has this data folder already: `synapse serve --stop` ends it.", **holder)

    def tell(self, **holder: object) -> None:
        """Write who holds the lock."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.encode(holder) + b"\n", 0)

    def release(self) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)
