"""JSON-RPC 2.0 frames as the local socket and the WebSocket speak them."""

import re
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, json

from synapse.errors import BadRequest, SynapseError

MAX_FRAME = 1 << 20  # bytes
MAX_DEPTH = 64
PARSE_ERROR, INVALID_REQUEST, SERVER_ERROR = -32700, -32600, -32000


class Frame(Struct):
    """One request; without an id it is a notification and gets no answer."""

    method: str
    params: Raw = Raw(b"{}")
    id: int | str | UnsetType | None = UNSET
    jsonrpc: str = "2.0"


_decoder = json.Decoder(Frame)


def parse(line: bytes) -> Frame:
    """The request in one line, or BadRequest; a line that is too deep, too strange or not JSON is one refusal, no more."""
    try:
        frame = _decoder.decode(line)
        if frame.params and deeper(bytes(frame.params)):
            raise BadRequest("too_deep", f"The request nests deeper than {MAX_DEPTH} levels.")
        return frame
    except msgspec.ValidationError as error:
        raise BadRequest("bad_frame", f"This is not a JSON-RPC request: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("bad_json", f"This is not JSON: {error}.") from None


_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{\]}]', re.DOTALL)


def deeper(text: bytes, limit: int = MAX_DEPTH) -> bool:
    """Does the JSON nest deeper than the limit? Brackets inside strings do not count."""
    if text.count(b"[") + text.count(b"{") <= limit:
        return False
    depth = 0
    for found in _STRUCTURE.finditer(text):
        first = text[found.start()]
        if first in b"[{":
            depth += 1
            if depth > limit:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def result(id: bytes, position: int, reply: bytes) -> bytes:
    """The frame of an answer; `id` and `reply` are JSON already. The position beside it says what it was computed from."""
    return b'{"jsonrpc":"2.0","id":%b,"position":%d,"result":%b}\n' % (id, position, reply)


def refusal(id: bytes, error: SynapseError) -> bytes:
    """The frame of a refusal: a JSON-RPC code, the sentence, and in `data` our code, HTTP's status and the details."""
    code = {"bad_json": PARSE_ERROR, "bad_frame": INVALID_REQUEST}.get(error.code, SERVER_ERROR)
    data: dict[str, Any] = {**error.details, "code": error.code, "status": error.status}
    body = {"code": code, "message": error.sentence, "data": data}
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}\n' % (id, json.encode(body))
