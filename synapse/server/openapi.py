"""The OpenAPI 3.1 page, made from the declarations of the verbs."""

import re

import msgspec
import msgspec._json_schema
from msgspec import json

from synapse import __version__
from synapse.hookspecs import Route
from synapse.server import problem
from synapse.server.api import POSITION, READING
from synapse.server.parameters import WHO, fields
from synapse.verb import Change, Permission, Shape, Verb

Json = dict[str, object]
_PATTERN = re.compile(r":[^{}]*}")  # what a name in a path may be, in aiohttp's words
_REF = "#/components/schemas/{name}"
_ABOUT = """Every verb of the hub: what changes something by POST, what reads also by GET.

Who speaks is told by `from` and where by `workspace`: in the body, in the query, or as the headers Synapse-From and
Synapse-Workspace. A change may carry an `idempotency_key` (or the header Idempotency-Key): asked again under it, it
happens once. Each answer tells by Synapse-Position which state of the log it was computed from.
"""
_PROBLEM: Json = {
    "type": "object",
    "description": "A refusal (RFC 9457). `code` is stable and for programs, `detail` is a sentence for people.",
    "required": ["type", "title", "status", "detail", "code", "request_id", "details"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "details": {"type": "object"},
    },
    "examples": [
        {
            "type": "urn:synapse:problem:no_such_agent",
            "title": "No such agent",
            "status": 404,
            "detail": "There is no 'codex' in 'web'. Nobody is here yet. `synapse run` starts an agent.",
            "code": "no_such_agent",
            "request_id": "5f0c1a2b",
            "details": {},
        }
    ],
}
_EXAMPLES: dict[str, Json] = {
    "messages.send": {"to": "codex", "text": "review auth.py", "from": "ci", "idempotency_key": "build-4711"},
    "messages.reply": {"text": "done", "from": "ci"},
    "agents.list": {"all": True},
    "agents.spawn": {"profile": "claude", "name": "tester", "cwd": "/home/ada/shop", "task": "test the parser"},
    "agents.spawn_team": {"agents": ["claude", "codex:tester:writes tests"], "cwd": "/home/ada/shop"},
}
_HELP = {"from": "Who speaks: a plain client of that name joins on first use.", "workspace": "Where it speaks."}


def document(verbs: list[Verb], routes: list[Route] = [], server: str = "/") -> bytes:  # noqa: B006 - only read
    """The page as JSON."""
    types = [each for verb in verbs for each in (verb.request, verb.reply)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_name = {verb.name: verb for verb in verbs}
    shapes = {verb.name: (schemas[2 * place], schemas[2 * place + 1]) for place, verb in enumerate(verbs)}
    paths: dict[str, Json] = {f"/api/{verb.name}": _path(verb, *shapes[verb.name]) for verb in verbs}
    for route in routes:
        verb = by_name.get(route.verb)
        if verb is not None:
            paths.setdefault(_PATTERN.sub("}", route.path), {})[route.method.lower()] = _routed(
                verb, route, *shapes[verb.name]
            )
    return json.encode(
        {
            "openapi": "3.1.0",
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "info": {"title": "synapse", "version": __version__, "description": _ABOUT},
            "servers": [{"url": server}],
            "security": [{}, {"bearer": []}, {"key": []}],
            "tags": [{"name": name} for name in sorted({verb.name.partition(".")[0] for verb in verbs})],
            "paths": paths,
            "components": {
                "schemas": {**components, "Problem": _PROBLEM},
                "parameters": {name: _who(name) for name in WHO},
                "responses": {"Problem": _refusal()},
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                },
            },
        }
    )


def _path(verb: Verb, request: Json, reply: Json) -> Json:
    path: Json = {"post": _operation(verb, "post", request, reply)}
    if verb.shape in READING:
        path["get"] = _operation(verb, "get", request, reply)
    return path


def _routed(verb: Verb, route: Route, request: Json, reply: Json) -> Json:
    operation = _operation(verb, route.method.lower(), request, reply)
    named = [part.split("}")[0].split(":")[0] for part in route.path.split("{")[1:]]
    rest: list[Json] = [p for p in operation["parameters"] if p.get("name") not in named]  # type: ignore[attr-defined]
    within: list[Json] = [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in named]
    slug = "".join(sign if sign.isalnum() else "_" for sign in route.path)
    return {**operation, "operationId": f"{route.method.lower()}{slug}", "parameters": within + rest}


def _operation(verb: Verb, method: str, request: Json, reply: Json) -> Json:
    operation: Json = {
        "operationId": f"{method}.{verb.name}" if method != "post" else verb.name,
        "summary": verb.summary,
        "description": _sentences(verb),
        "tags": [verb.name.partition(".")[0]],
        "x-permission": verb.permission.value,
        "x-shape": verb.shape.value,
        "parameters": [],
        "responses": {"200": _reply(verb, reply), "default": {"$ref": "#/components/responses/Problem"}},
    }
    if verb.permission is Permission.PERSON:
        operation["security"] = [{"bearer": []}, {"key": []}]
    own = verb.request.__struct_fields__
    parameters: list[Json] = [{"$ref": f"#/components/parameters/{name}"} for name in WHO if name not in own]
    if method == "get":
        parameters += _query(verb)
    else:
        body: Json = {"schema": _with_who(verb, request)}
        if verb.name in _EXAMPLES:
            body["example"] = _EXAMPLES[verb.name]
        operation["requestBody"] = {"required": True, "content": {"application/json": body}}
    if method != "get" and issubclass(verb.request, Change):
        parameters.append(_header("Idempotency-Key", "Asked again under this key, the change happens once."))
    operation["parameters"] = parameters
    return operation


def _sentences(verb: Verb) -> str:
    said = (verb.request.__doc__ or "").strip()
    more = "" if said.startswith((verb.request.__name__, "Nothing", "The request of")) else f"\n\n{said}"
    waits = (
        " It waits for at most `timeout` seconds (60) and then answers `pending`." if verb.shape is Shape.WAIT else ""
    )
    return f"{verb.summary}{waits} Needs the permission `{verb.permission.value}`.{more}"


def _with_who(verb: Verb, request: Json) -> Json:
    """The request's schema, which the hub checks closely, beside the two members that every body may have."""
    more = {name: {"type": "string", "description": said} for name, said in _HELP.items()}
    return {"type": "object", "allOf": [request], "properties": more} if more else request


def _query(verb: Verb) -> list[Json]:
    properties = _properties(verb)
    return [
        {
            "name": name,
            "in": "query",
            "required": field.required,
            "schema": properties.get(name, {}),
            **({"explode": True} if properties.get(name, {}).get("type") == "array" else {}),
        }
        for name, field in fields(verb.request).items()
    ]


def _properties(verb: Verb) -> dict[str, Json]:
    schema, components = msgspec.json.schema_components([verb.request], ref_template=_REF)
    name = str(schema[0]["$ref"]).rpartition("/")[2]
    found: dict[str, Json] = components[name]["properties"]
    return found


def _reply(verb: Verb, reply: Json) -> Json:
    content: Json = {"application/json": {"schema": reply}}
    position: Json = {"schema": {"type": "integer"}, "description": "The position of the log it was computed at."}
    return {"description": "The answer.", "headers": {POSITION: position}, "content": content}


def _refusal() -> Json:
    content: Json = {problem.CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    id: Json = {"schema": {"type": "string"}, "description": "The id of the request, as in the hub's log."}
    return {"description": "A refusal.", "headers": {"X-Request-Id": id}, "content": content}


def _who(name: str) -> Json:
    return {"name": name, "in": "query", "description": _HELP[name], "schema": {"type": "string"}}


def _header(name: str, said: str) -> Json:
    return {"name": name, "in": "header", "description": said, "schema": {"type": "string", "maxLength": 200}}
