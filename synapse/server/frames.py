"""JSON-RPC 2.0 frames as the local socket and the WebSocket speak them."""

import re
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, json

from synapse.errors import BadRequest, SynapseError

MAX_FRAME = 1 << 20  # bytes
MAX_DEPTH = 64
LONGEST_ID = 200  # bytes of JSON
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, SERVER_ERROR = -32700, -32600, -32601, -32602, -32000
_CODES = {
    "bad_json": PARSE_ERROR,
    "bad_frame": INVALID_REQUEST,
    "too_large": INVALID_REQUEST,
    "unknown_verb": METHOD_NOT_FOUND,
    "bad_request": INVALID_PARAMS,
}


class Frame(Struct):
    """One request; without an id it is a notification and gets no answer."""

    method: str
    params: Raw = Raw(b"{}")
    id: int | str | UnsetType | None = UNSET
    jsonrpc: Literal["2.0"] = "2.0"


_decoder = json.Decoder(Frame)


def parse(line: bytes) -> Frame:
    """The request in one line, or BadRequest; a line that is too deep, too strange or not JSON is one refusal, no more."""
    if deeper(line):
        raise BadRequest("too_deep", f"The request nests deeper than {MAX_DEPTH} levels.")
    try:
        return _decoder.decode(line)
    except msgspec.ValidationError as error:
        if line.lstrip().startswith(b"["):
            raise BadRequest("bad_frame", "Batches are not taken: send one request a line.") from None
        raise BadRequest("bad_frame", f"This is not a JSON-RPC 2.0 request: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("bad_json", f"This is not JSON: {fault(error, line)}.") from None


_LONE = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")


def fault(error: Exception, text: bytes) -> str:
    """Why it is no JSON; the decoder takes half a surrogate pair at the end of a string for a text that was cut off."""
    if text.startswith(b"\xef\xbb\xbf"):
        return "it begins with a byte order mark: leave that out"
    return "half a surrogate pair (\\ud800 to \\udbff with no other behind it)" if _LONE.search(text) else str(error)


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


def id_of(frame: Frame) -> bytes:
    """The request's id as JSON; empty for a notification. BadRequest when it is too long to be sent back."""
    if frame.id is UNSET:
        return b""
    id = json.encode(frame.id)
    if len(id) > LONGEST_ID:
        raise BadRequest("bad_frame", f"An id is at most {LONGEST_ID} bytes long.")
    return id


def id_in(line: bytes) -> bytes:
    """The id of a request that is wrong otherwise; `null` where it cannot be known, as JSON-RPC has it."""
    try:
        found = json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b"null"
    id = found.get("id") if isinstance(found, dict) else None
    known = json.encode(id) if isinstance(id, int | str) and not isinstance(id, bool) else b"null"
    return known if len(known) <= LONGEST_ID else b"null"


def result(id: bytes, position: int, reply: bytes) -> bytes:
    """The frame of an answer; `id` and `reply` are JSON already. The position beside it says what it was computed from."""
    return b'{"jsonrpc":"2.0","id":%b,"position":%d,"result":%b}\n' % (id, position, reply)


def refusal(id: bytes, error: SynapseError) -> bytes:
    """The frame of a refusal: a JSON-RPC code, the sentence, and in `data` our code, HTTP's status and the details."""
    data: dict[str, Any] = {**error.details, "code": error.code, "status": error.status}
    body = {"code": _CODES.get(error.code, SERVER_ERROR), "message": error.sentence, "data": data}
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}\n' % (id, json.encode(body))


def notification(method: str, **params: object) -> bytes:
    """The frame of something that the hub says by itself."""
    return json.encode({"jsonrpc": "2.0", "method": method, "params": params}) + b"\n"
