"""The runner's private Unix socket: only this user's processes get in, and it comes back when its file is deleted."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class Door:
    """A listening socket at `path`, mode 0600 in a folder of mode 0700."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop, guest: Callable[[], asyncio.Protocol]) -> None:
        self.path = path
        self._loop = loop
        self._guest = guest
        self._server: asyncio.Server | None = None
        self._inode = (0, 0)

    async def open(self) -> None:
        """Listen; a file that a dead runner left behind is replaced."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        bound = self.path.with_name(self.path.name + "~")  # the limit is about 100 bytes
        bound.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        try:
            listening.bind(str(bound))
            bound.chmod(0o600)
            listening.listen(16)
        except OSError:
            listening.close()
            raise
        self._server = await self._loop.create_unix_server(self._guest, sock=listening)
        bound.replace(self.path)  # now, not before: whoever finds the file can connect
        self._inode = self._found()

    async def ensure(self) -> None:
        """Listen again if the file is gone (a cleaner of temporary folders took it). One `stat`, no timer."""
        if self._server and self._found() == (0, 0):
            self._server.close()
            await self.open()

    def close(self) -> None:
        """Stop listening and take the file away, if it is still ours."""
        if self._server:
            self._server.close()
            self._server = None
            if self._found() == self._inode:
                with suppress(OSError):
                    self.path.unlink()

    def _found(self) -> tuple[int, int]:
        try:
            seen = self.path.lstat()
        except OSError:
            return (0, 0)
        return (seen.st_dev, seen.st_ino)
