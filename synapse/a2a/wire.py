"""What both bindings have in common on HTTP: bodies, versions, and streams of server-sent events."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from aiohttp import hdrs, web
from msgspec import json

from synapse.a2a.errors import A2AError
from synapse.a2a.feed import Item

MOST = 16 << 20  # bytes of one request: files come within it
DEEPEST = 50  # levels: protobuf's JSON counts each level of data twice, and ends at 100
VERSIONS = ("1.0", "0.3")
MEDIA_TYPE = "application/a2a+json"
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.\d+)?\Z")


async def body_of(request: web.Request, *media_types: str) -> Any:
    """The JSON that was sent; A2AError when it is none, too long, too deep, or called something else."""
    if request.content_type not in media_types or (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise A2AError(
            "CONTENT_TYPE_NOT_SUPPORTED", f"Send Content-Type: {media_types[0]}, not {request.content_type[:60]!r}."
        )
    return parsed(await _bytes(request))


async def _bytes(request: web.Request) -> bytes:
    found = bytearray()
    async for piece in request.content.iter_chunked(1 << 16):
        found += piece
        if len(found) > MOST:
            raise A2AError("TOO_LARGE", f"A request is at most {MOST >> 20} MiB.")
    return bytes(found)


def parsed(body: bytes) -> Any:
    """JSON of bounded depth."""
    if deeper(body):
        raise A2AError("PARSE_ERROR", f"The request nests deeper than {DEEPEST} levels.")
    try:
        return json.decode(body)
    except (ValueError, RecursionError) as error:
        raise A2AError("PARSE_ERROR", f"That is not JSON: {error}.") from None


def deeper(body: bytes, levels: int = DEEPEST) -> bool:
    """Does it nest deeper than that?"""
    if body.count(b"[") + body.count(b"{") <= levels:
        return False
    depth = deepest = 0
    inside = escaped = False
    for byte in body:
        if inside:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                inside = False
        elif byte == 0x22:
            inside = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest > levels


def version_of(request: web.Request) -> str:
    """The version that was asked for, "" when none was (0.3 knew no header); A2AError for one that is not spoken."""
    given = request.headers.get("A2A-Version", "") or request.query.get("A2A-Version", "")
    given = given.strip()
    if not given:
        return ""
    found = _VERSION.match(given)
    version = f"{found[1]}.{found[2]}" if found else ""
    if version not in VERSIONS:
        raise A2AError(
            "VERSION_NOT_SUPPORTED", f"Version {given[:20]!r} is not spoken here: {', '.join(VERSIONS)} are."
        )
    return version


def respond(content: Any, *, status: int = 200, media_type: str = "application/json") -> web.Response:
    return web.Response(body=json.encode(content), status=status, content_type=media_type)


def wants_a2a(request: web.Request) -> bool:
    """Does the client use the protocol's own media type?"""
    return request.content_type == MEDIA_TYPE or MEDIA_TYPE in request.headers.get(hdrs.ACCEPT, "")


def speaks(request: web.Request) -> bool:
    """Does the client say that it speaks the protocol?"""
    return "A2A-Version" in request.headers or "A2A-Version" in request.query or wants_a2a(request)


async def stream(
    request: web.Request,
    items: AsyncIterator[Item | None],
    frame: Callable[[Item], bytes],
    sorry: Callable[[A2AError], bytes],
) -> web.StreamResponse:
    """Answer with server-sent events, one per item; what fails before the first one is raised, later it is told."""

    async def told() -> AsyncIterator[bytes]:
        begun = False
        try:
            async with aclosing(items) as source:  # type: ignore[type-var]
                async for item in source:
                    yield _event(item, frame)
                    begun = True
        except A2AError as error:
            if not begun:
                raise
            yield b"data: " + sorry(error) + b"\n\n"

    return await write(request, told())


async def write(request: web.Request, events: AsyncIterator[bytes]) -> web.StreamResponse:
    """Answer with server-sent events; what fails before the first one is raised."""
    async with aclosing(events) as source:  # type: ignore[type-var]
        first = await anext(source, b"")
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/event-stream", "X-Accel-Buffering": "no"})
        await response.prepare(request)
        await response.write(first)
        async for event in source:
            await response.write(event)
        await response.write_eof()
        return response


def _event(item: Item | None, frame: Callable[[Item], bytes]) -> bytes:
    if item is None:
        return b": still here\n\n"
    name = b"id: %d\n" % item.number if item.number else b""
    return b"%bdata: %b\n\n" % (name, frame(item))
