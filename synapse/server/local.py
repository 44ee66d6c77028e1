"""The local door: a Unix socket that speaks JSON-RPC, one frame a line. Commands and runners come in here."""

import asyncio
import logging
import os
import socket
import stat

from synapse.errors import BadRequest, Refused, SynapseError
from synapse.hub.core import Core
from synapse.server import access
from synapse.server.connection import Connection, Door, Seats
from synapse.server.frames import MAX_FRAME, refusal
from synapse.server.platform import ancestors, peer

logger = logging.getLogger(__name__)

LOOK_AGAIN = 60.0  # seconds between two looks whether the socket is still there


class LineConnection(Connection):
    """One peer of the local socket: a request is a line, and so is a frame."""

    _looked = 0  # so much of the rest holds no end of a line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.begin(transport)
        try:
            them = peer(transport.get_extra_info("socket"))
            self.session.pid, self.session.uid = them.pid, them.uid
            access.check_user(them)
            self._door.enter(self)
        except SynapseError as error:
            self.close(refusal(b"null", error))
        except OSError:
            transport.abort()  # it has gone already

    def _identify(self, hello: access.Hello) -> None:
        if not (hello.workspace or hello.folder or hello.runner):
            hello.workspace = access.usual_workspace(self._core.hub, hello.as_name)
        access.identify(self._core.hub, hello, self.session, ancestors=ancestors)

    def push(self, frame: bytes) -> None:
        self._send(frame if frame.endswith(b"\n") else frame + b"\n")

    def _read(self) -> None:
        rest, begin = self._rest, 0
        while self._room:
            end = rest.find(b"\n", max(begin, self._looked))
            if end < 0:
                self._looked = len(rest)
                break
            line = bytes(rest[begin:end])
            begin = end + 1
            if len(line) > MAX_FRAME:
                self._too_long()
                return
            if line and not line.isspace():
                self._request(line)
        else:
            self._hold()
        if begin:
            del rest[:begin]
            self._looked = max(0, self._looked - begin)
        if self._looked > MAX_FRAME:
            self._too_long()

    def _too_long(self) -> None:
        """Where the next frame begins cannot be known: the only mistake that ends a connection."""
        self._rest.clear()
        error = BadRequest("too_large", f"A frame is one line of at most {MAX_FRAME} bytes: long texts go as blobs.")
        self.close(refusal(b"null", error))


class LocalDoor(Door[LineConnection]):
    """Listens on the socket, and knows who is in."""

    def __init__(self, core: Core, path: str, seats: Seats) -> None:
        super().__init__(core, seats)
        self.path = path
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Listen; a socket that a dead hub has left is replaced (the caller holds the data folder's lock)."""
        if os.path.lexists(self.path):
            if not stat.S_ISSOCK(os.lstat(self.path).st_mode):
                raise Refused("in_the_way", f"{self.path} is in the way and is not a socket: move it.")
            os.unlink(self.path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            listening.bind(self.path)
        except OSError as error:
            listening.close()
            raise Refused("no_socket", f"{self.path} cannot be made: {error.strerror}.") from None
        finally:
            os.umask(mask)
        self._inode = os.lstat(self.path).st_ino
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: LineConnection(self), sock=listening, backlog=1024)
        self._timer = loop.call_later(LOOK_AGAIN, self._look)

    def _look(self) -> None:
        """A cleaner of temporary folders may have taken the socket away: then make it again."""
        try:
            there = os.lstat(self.path).st_ino == self._inode
        except OSError:
            there = False
        if there:
            self._timer = asyncio.get_running_loop().call_later(LOOK_AGAIN, self._look)
        else:
            self._task = asyncio.get_running_loop().create_task(self._open_again())

    async def _open_again(self) -> None:
        logger.warning("%s was taken away: making it again", self.path)
        self._stop_listening()
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            await self.open()
        except (OSError, SynapseError) as error:
            logger.error("%s", error)
            self._timer = asyncio.get_running_loop().call_later(LOOK_AGAIN, self._look)

    def _stop_listening(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()

    def stop(self, *, restart: bool) -> None:
        """Let nobody in any more, and tell everybody inside whether another hub will come at once."""
        self._stop_listening()
        if os.path.lexists(self.path):
            os.unlink(self.path)
        self.farewell(restart=restart)

    async def close(self) -> None:
        """Let everybody go."""
        self._stop_listening()
        await self.dismiss()
