"""Server-sent events as they come from an agent elsewhere (WHATWG HTML §9.2.6), bounded in size."""

from collections.abc import AsyncIterator

from aiohttp import ClientResponse

from synapse.errors import Refused

LARGEST_EVENT = 64 << 20  # bytes: what we have sent may come back in it


async def events(response: ClientResponse, largest: int = LARGEST_EVENT) -> AsyncIterator[bytes]:
    """The data of each event, in order; ends with the stream. Refused for an event over `largest` bytes."""
    rest, size = bytearray(), 0
    data: list[bytes] = []
    pieces = response.content.iter_any()
    while True:
        piece = await anext(pieces, b"")
        if not piece:
            return  # an event that was not ended is none
        rest += piece
        lines: list[bytearray] = []
        if b"\n" in piece or b"\r" in rest:
            *lines, rest = _lines(rest)
        for line in lines:
            if not line:
                if data:
                    yield b"\n".join(data)
                data, size = [], 0
            elif line.startswith(b"data"):
                name, _, value = bytes(line).partition(b":")
                if name == b"data":
                    data.append(value.removeprefix(b" "))
                    size += len(value) + 1
        if size + len(rest) > largest:
            raise Refused("answer_too_large", f"One event of its stream is larger than {largest} bytes.")


def _lines(text: bytearray) -> list[bytearray]:
    """The lines of a text, of which the last is not ended; a line ends with CRLF, LF or CR."""
    if b"\r" not in text:
        return text.split(b"\n")
    held = b"\r" if text.endswith(b"\r") else b""  # its LF may still come
    lines = text.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    lines[-1] += held
    return lines
