"""Blobs: content that is too long for an event, stored before the event that names it, by its sha256."""

import asyncio
from base64 import b64encode
from collections.abc import Callable

from synapse.errors import BadRequest, NotFound
from synapse.hub.loop import Call, Hub
from synapse.hub.reading import content_of
from synapse.log.base import Log
from synapse.verb import Change, Reply, Request, Verb, change, query

PIECE = 512 * 1024  # bytes of one blob


async def store(hub: Hub, content: bytes) -> str:
    """Store content for an event that is still to come; its sum. Retention leaves it alone meanwhile."""
    hub.storing += 1
    try:
        sum = await asyncio.wrap_future(hub.writer.run(lambda log: log.put_blob(content)))
    finally:
        hub.storing -= 1
    hub.fresh_blobs[sum] = hub.clock.monotonic()
    return sum


class PutRequest(Change, kw_only=True):
    """`content` is base64, at most 512 kB: more goes in several blobs. `blob` is the hub's own."""

    content: bytes = b""
    blob: str = ""


class PutReply(Reply, kw_only=True):
    blob: str


@change("blobs.put", spill="content", spill_over=0)
def put(call: Call, request: PutRequest) -> PutReply:
    """Store a piece of content; the reply names it for the change that will refer to it."""
    if not request.blob:
        raise BadRequest("no_content", "There is no content to store.")
    return PutReply(blob=request.blob)


class GetRequest(Request, kw_only=True):
    blob: str


class GetReply(Reply, kw_only=True):
    """`content` is base64."""

    content: str


@query("blobs.get")
def get(call: Call, request: GetRequest) -> Callable[[Log], GetReply]:
    """The content of a blob."""
    if len(request.blob) != 64 or not all(digit in "0123456789abcdef" for digit in request.blob):
        raise BadRequest("bad_blob", "A blob is named by its sha256: 64 hex digits.")

    def fetch(log: Log) -> GetReply:
        content = content_of(log, request.blob)
        if content is None:
            raise NotFound("no_such_blob", "That blob is not stored here (any more).")
        return GetReply(content=b64encode(content).decode())

    return fetch


VERBS: tuple[Verb, ...] = (put, get)
