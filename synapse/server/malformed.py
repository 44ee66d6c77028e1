"""What is no HTTP, and bodies that break off: refused in the form of all refusals, and told in one line of the log."""

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, InvalidURLError, LineTooLong

from synapse.errors import BadRequest, SynapseError
from synapse.server import problem
from synapse.server.seldom import Seldom

logger = logging.getLogger(__name__)
WRONG = (HttpProcessingError, web.RequestPayloadError)  # what aiohttp's parser raises: the peer's mistakes, not ours
MOST_SAID = 100  # characters of what the parser says


class HttpProtocol(web.RequestHandler):
    """aiohttp's connection; what its parser does not understand is refused by `refuse`, whoever sends it."""

    __slots__ = ("_refuse", "_seldom")

    def __init__(
        self, server: web.Server, refuse: Callable[[SynapseError], web.Response], seldom: Seldom, idle: float
    ) -> None:
        loop = asyncio.get_running_loop()
        # A body that says it is compressed is refused, not unpacked.
        super().__init__(server, loop=loop, access_log=None, keepalive_timeout=idle, auto_decompress=False)  # type: ignore[arg-type]
        self._refuse = refuse
        self._seldom = seldom

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no request, after which the connection ends."""
        if isinstance(exc, ConnectionError):
            raise exc  # it has gone before it was answered
        self.log_exception("a request from %s failed", request.remote, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        internal = SynapseError("internal_error", "That failed: a bug. `synapse logs hub` has it.")
        response = self._refuse(refusal_of(exc) if isinstance(exc, WRONG) else internal)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; what aiohttp refused before anybody was asked is told in our words."""
        if isinstance(resp, web.HTTPException):
            resp = self._refuse(problem.of_http(resp))
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: object, **more: object) -> None:
        """A traceback for what is a bug; of a peer's mistakes one line, now and then."""
        error = more.get("exc_info")
        if isinstance(error, WRONG):
            self._seldom.warning(f"a request from {_name(self.peername)} was refused: {refusal_of(error).sentence}")
        else:
            logger.error(*args, **more)  # type: ignore[arg-type]


def refusal_of(error: BaseException) -> BadRequest:
    """What the parser has found, in our words: without the bytes that it shows."""
    if isinstance(error, LineTooLong):
        return BadRequest(
            "bad_http", "A line of a request's head is at most 8190 bytes: send long content in the body."
        )
    if isinstance(error, InvalidURLError):
        return BadRequest("bad_http", "The request asks for something that is no URL.")
    head = str(getattr(error, "message", "") or error).strip().partition("\n\n")[0]  # then come the bytes themselves
    said = " ".join(head.split()).rstrip(":.")
    if "HTTPS" in said:
        return BadRequest("bad_http", "This hub speaks HTTP without TLS: use http://.")
    if "PRI" in said:
        return BadRequest("bad_http", "This hub speaks HTTP/1.1, not HTTP/2.")
    return BadRequest("bad_http", f"This is not HTTP/1.1: {said[:MOST_SAID]}.")


def _name(peername: object) -> str:
    return str(peername[0])[:60] if isinstance(peername, tuple) and peername else "somebody"
