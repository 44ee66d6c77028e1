"""The way to a hub of another machine: its WebSocket, with the same frames as the local socket."""

import asyncio
from collections.abc import Callable
from typing import Any

from synapse.client.aio import MAX_LINE, OnFrame, Replies, lost
from synapse.client.place import address
from synapse.errors import SynapseError, Unavailable, from_status

BEAT = 20.0  # seconds between two looks whether the hub is still there
PATIENCE = 10.0  # seconds for the handshake
_SENTENCES = {
    401: "a token is needed, or the one given is not known: SYNAPSE_TOKEN, or SYNAPSE_TOKEN_FILE",
    403: "it does not answer to that name, or not from here",
    404: "there is no /ws: is that a hub of synapse?",
}


class Socket:
    """One WebSocket, already greeted: make it with `connect`. `on_lost` is called once, when it has ended."""

    def __init__(self, session: Any, socket: Any, on_frame: OnFrame, on_lost: "Callable[[Socket], None]") -> None:
        self.welcome: dict[str, Any] = {}
        self._session = session
        self._socket = socket
        self._on_lost = on_lost
        self._replies = Replies(on_frame)
        self._out: asyncio.Queue[str] = asyncio.Queue()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._closed = False
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]

    @property
    def closed(self) -> bool:
        return self._closed

    def ask(self, verb: str, params: dict[str, Any]) -> "asyncio.Future[dict[str, Any]]":
        """The future reply to a verb; it raises what the hub answers with, Unavailable("lost") when the hub goes."""
        if self._closed:
            reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            reply.set_exception(lost())
            return reply
        line, reply = self._replies.request(verb, params)
        self._out.put_nowait(line.decode())
        return reply

    def pause(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def close(self) -> None:
        """End it; `wait_closed` waits until it has ended."""
        self._end()

    async def wait_closed(self) -> None:
        """Until nothing of it is left."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self) -> None:
        from aiohttp import WSMsgType

        try:
            async for message in self._socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    content = message.data
                    self._replies.take(content.encode() if isinstance(content, str) else content)
                    await self._flowing.wait()
        finally:
            self._end()
            await self._socket.close()
            await self._session.close()

    async def _write(self) -> None:
        try:
            while True:
                await self._socket.send_str(await self._out.get())
        except (OSError, RuntimeError):
            self._end()  # it has ended meanwhile

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._flowing.set()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self._replies.lose()
        self._on_lost(self)


async def connect(
    url: str, token: str, hello: dict[str, Any], on_frame: OnFrame, on_lost: Callable[[Socket], None]
) -> Socket:
    """Open the WebSocket of the hub at a URL and say hello.

    Unavailable when nobody answers there; what the hub answers with when it does not let us in.
    """
    import aiohttp

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    session = aiohttp.ClientSession()
    try:
        async with asyncio.timeout(PATIENCE):
            socket = await session.ws_connect(address(url), headers=headers, heartbeat=BEAT, max_msg_size=MAX_LINE)
    except BaseException as error:
        await session.close()
        raise _told(url, error) from None
    link = Socket(session, socket, on_frame, on_lost)
    try:
        link.welcome = await link.ask("hello", hello)
    except BaseException:
        link.close()
        await link.wait_closed()
        raise
    return link


def _told(url: str, error: BaseException) -> BaseException:
    from aiohttp import ClientError, WSServerHandshakeError

    if isinstance(error, WSServerHandshakeError):
        why = _SENTENCES.get(error.status, error.message)
        found: SynapseError = from_status(error.status, "not_let_in", f"The hub at {url} refuses: {why}.", {})
        return found
    if isinstance(error, (ClientError, OSError, TimeoutError)):
        return Unavailable("no_hub", f"No hub answers at {url}: {str(error) or type(error).__name__}.")
    return error
