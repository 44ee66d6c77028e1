"""From a request's body, query and path to the parameters of a verb."""

import asyncio
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
from aiohttp import hdrs, web
from msgspec import Raw, Struct, inspect, json

from synapse.errors import BadRequest, SynapseError
from synapse.server.access import Hello
from synapse.server.frames import MAX_DEPTH, deeper, fault
from synapse.verb import Change, Verb

WHO = {"from": "Synapse-From", "workspace": "Synapse-Workspace"}  # who speaks, and where, on every verb: their headers
SLOWEST = 60.0  # seconds in which a body has come
_UTF_8 = ("utf-8", "utf8")
_LISTS = (inspect.ListType, inspect.SetType, inspect.FrozenSetType, inspect.VarTupleType, inspect.TupleType)
_JSON = (inspect.StructType, inspect.DictType)
_KEY = re.compile(r"[\x21-\x7e]{1,200}\Z")


async def body_of(request: web.Request) -> dict[str, Raw]:
    """The JSON object in the body; a page's form or text is not taken, for a browser sends those to anybody."""
    if request.content_type != "application/json":
        given = f", not {request.content_type[:60]!r}" if hdrs.CONTENT_TYPE in request.headers else ""
        raise _wrong_type(f"The body is JSON: send Content-Type: application/json{given}.")
    if (request.charset or "utf-8").lower() not in _UTF_8:
        raise _wrong_type(
            f"The body is JSON in UTF-8: send Content-Type: application/json without charset={str(request.charset)[:40]}."
        )
    if hdrs.CONTENT_ENCODING in request.headers:
        raise BadRequest("bad_encoding", "The body is sent as it is, without a Content-Encoding.")
    try:
        async with asyncio.timeout(SLOWEST):
            content = await request.read()
    except TimeoutError:
        slow = SynapseError("too_slow", f"The body has not come within {SLOWEST:g} seconds: send it at once.")
        slow.status = 408
        raise slow from None
    return parsed(content)


def _wrong_type(sentence: str) -> SynapseError:
    error = SynapseError("wrong_content_type", sentence)
    error.status = 415
    return error


def parsed(body: bytes) -> dict[str, Raw]:
    """The members of a JSON object, of one that is there twice the last, as at every door; BadRequest when it is none, or
    nests too deep."""
    if not body.strip():
        raise BadRequest("bad_json", "The body is empty: send a JSON object, {} at least.")
    if deeper(body):
        raise BadRequest("too_deep", f"The request nests deeper than {MAX_DEPTH} levels.")
    try:
        found = json.decode(body, type=dict[str, Raw])
    except msgspec.ValidationError:
        raise BadRequest("bad_request", "The body is a JSON object with the verb's parameters.") from None
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("bad_json", f"The body is not JSON: {fault(error, body)}.") from None
    return found


def hello_of(request: web.Request, verb: Verb | None, body: dict[str, Raw], query: dict[str, list[str]]) -> Hello:
    """Who speaks and where: from the body, else the query, else a header; taken out of body and query.

    A verb that has a parameter of that name keeps it; then the header says it.
    """
    said = {}
    for name, header in WHO.items():
        mine = verb is None or name not in verb.request.__struct_fields__
        if mine and name in body:
            said[name] = _text(name, body.pop(name))
            query.pop(name, None)
        elif mine and name in query:
            said[name] = _one(name, query.pop(name))
        else:
            said[name] = request.headers.get(header, "")
    return Hello(as_name=said["from"], workspace=said["workspace"])


def _text(name: str, raw: Raw) -> str:
    try:
        return json.decode(raw, type=str)
    except (msgspec.ValidationError, UnicodeDecodeError):
        raise BadRequest("bad_request", f"'{name}' is a text, in UTF-8.") from None


def query_of(request: web.Request) -> dict[str, list[str]]:
    """The query's values by name."""
    found: dict[str, list[str]] = {}
    for name, value in request.query.items():
        found.setdefault(name, []).append(value)
    return found


def request_of(verb: Verb, request: web.Request, body: dict[str, Raw], texts: dict[str, list[str]]) -> Struct:
    """The verb's request from typed members of a body and texts from query and path."""
    twice = body.keys() & texts.keys()
    if twice:
        raise BadRequest("bad_request", f"{min(twice)!r} is in the body and in the path or query: say it once.")
    members: dict[str, Any] = {**body, **{name: _typed(verb, name, values) for name, values in texts.items()}}
    key = request.headers.get("Idempotency-Key", "")
    if key and issubclass(verb.request, Change) and not members.keys() & {"idempotency_key", "idem_key"}:
        if not _KEY.match(key):
            raise BadRequest("bad_key", "Idempotency-Key is up to 200 visible ASCII characters.")
        members["idempotency_key"] = key
    return verb.parse(json.encode(members))


def _typed(verb: Verb, name: str, values: list[str]) -> Any:
    """A text of a query as the verb's parameter wants it."""
    field = fields(verb.request).get(name)
    if field is None:
        return _one(name, values)  # the verb says that it knows none of that name
    if isinstance(field.type, _LISTS):
        return values
    text = _one(name, values)
    if isinstance(field.type, _JSON):
        return _raw(name, text)
    try:
        python = _python(verb.request)[name]
        return msgspec.convert(text, python, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest("bad_request", f"{verb.name}: {error} - at `{name}`.") from None


def _raw(name: str, text: str) -> Raw:
    content = text.encode("utf-8", "replace")
    if deeper(content):
        raise BadRequest("too_deep", f"'{name}' nests deeper than {MAX_DEPTH} levels.")
    try:
        json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest("bad_json", f"'{name}' is not JSON: {fault(error, content)}.") from None
    return Raw(content)


def _one(name: str, values: Iterable[str]) -> str:
    first, *more = values
    if more:
        raise BadRequest("bad_request", f"{name[:80]!r} is there twice: say it once.")
    return first


@cache
def fields(request: type[Struct]) -> dict[str, inspect.Field]:
    """The fields of a request, by the name they have in JSON."""
    described = inspect.type_info(request)
    assert isinstance(described, inspect.StructType)
    return {field.encode_name: field for field in described.fields}


@cache
def _python(request: type[Struct]) -> dict[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(request)}
