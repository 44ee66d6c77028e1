"""A model that answers by fixed rules, in the four protocols that agent programs speak, on loopback only.

The last words of the person decide:

  PING tok          PONG tok
  SLOW seconds tok  words for so long, then DONE tok
  PAUSES seconds tok   three lines with so long before the second and the third, which is DONE tok
  LONG n            n numbered lines
  TEXT name         the text of that name in `TEXTS`, as it is
  LIMITED           the refusal of a service whose limit is reached
  REFUSED           the refusal of a request that is wrong
  RUNCMD command    a call of the program's shell tool; after its result: RESULT and its first line
  CALL tool {...}   a call of that tool with these arguments; after its result likewise
  anything else     ECHO: and the words

Started as a program, it writes one line of JSON for each request: which words came, what was answered, and when.
"""

import argparse
import asyncio
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, TextIO

from aiohttp import web

TEXTS = {
    "short": "Forty-two.",
    "lines": "\n".join(f"{number:3}: the quick brown fox jumps over the lazy dog" for number in range(1, 301)),
    "code": "Here it is:\n\n```python\ndef add(a, b):\n    if a:\n        return a\n\n    return b  # > no prompt\n```\n\n"
    "and a list:\n\n- one\n  - one and a half\n- two\n\nDone.",
    "table": "| name | size |\n|---|---:|\n| `a.py` | 12 |\n| **b** | 3 |\n\nTwo rows.",
    "unicode": "naïve café, 漢字 and かな, 한글, Ελληνικά, עברית, 👩‍💻 🎉, “quotes” – dashes… and a tab\there.",
    "error": "previous error: the build failed\n\nError: no such file\n\nDo you want to proceed?\n\n1. Yes\n2. No",
    "prompts": "› 1. Yes, proceed (y)\n\n❯ 1. Yes\n\n> \n\nesc to interrupt\n\n? for shortcuts",
}
LIMIT = {  # as each of the services puts it
    "type": "usage_limit_reached",
    "code": 429,
    "status": "RESOURCE_EXHAUSTED",
    "message": "The usage limit has been reached",
    "plan_type": "plus",
    "resets_in_seconds": 3600,
}
REFUSAL = {
    "type": "invalid_request_error",
    "code": 400,
    "message": "The stub refuses this request",
    "status": "INVALID_ARGUMENT",
}
SHELLS = ("exec_command", "shell_command", "local_shell", "shell", "Bash", "bash", "run_shell_command")
COMMANDS = ("command", "cmd", "script", "commands")
_FRAMES = (
    "system-reminder|environment_context|user_instructions|INSTRUCTIONS|current_datetime|reminder|system_notification"
)
_FRAME = re.compile(rf"<({_FRAMES}|context|session_context|additional_context)\b[^>]*>.*?</\1>", re.DOTALL)
_TITLE = re.compile(
    r"title generator|(?:generate|write) (?:a|the) .{0,20}title|(?:conversation|session) title", re.IGNORECASE
)
_OUTPUT = re.compile(r"(?:^|\n)(?:Output:|Stdout:|Total output lines: \d+)\s*\n?(.*)", re.DOTALL)

Json = dict[str, Any]
LOG = web.AppKey("log", TextIO)


class Said:
    """What the model says: pieces of text, each with the seconds before it, and at most one call of a tool."""

    def __init__(self, pieces: list[tuple[str, float]], call: tuple[str, Json] | None = None) -> None:
        self.pieces = pieces
        self.call = call

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)


# -- deciding


def decide(asked: str, tools: Json, result: str | None, schema: Json | None, system: str = "") -> Said:
    """The answer to the person's last words, or to a tool's result."""
    if schema is not None:
        return Said([(json.dumps(fill(schema)), 0)])
    if result is not None:
        return Said([("RESULT " + first_line(result), 0.05)])
    if not tools and _TITLE.search(system + asked):
        return Said([("Stub title", 0)])
    if found := re.findall(r"\bPING (\S+)", asked):
        return Said([("PONG ", 0.05), (found[-1], 0.05)])
    if found := re.findall(r"\bSLOW ([\d.]+) (\S+)", asked):
        seconds, token = found[-1]
        count = max(1, int(float(seconds) / 0.25))
        words = [(f"word{one}" + (" " if one % 12 else "\n"), 0.25) for one in range(1, count + 1)]
        return Said([*words, (f"\n\nDONE {token}", 0.05)])

    if found := re.findall(r"\bPAUSES ([\d.]+) (\S+)", asked):
        seconds, token = found[-1]
        return Said([("It begins.\n\n", 0.05), ("It goes on.\n\n", float(seconds)), (f"DONE {token}", float(seconds))])
    if found := re.findall(r"\bLONG (\d+)", asked):
        return Said([(f"line {one} of {found[-1]}\n\n", 0.01) for one in range(1, int(found[-1]) + 1)])
    if found := re.findall(r"\bTEXT (\w+)", asked):
        text = TEXTS[found[-1]]
        return Said([(text[place : place + 200], 0.005) for place in range(0, len(text), 200)])
    if found := re.findall(r"\bRUNCMD (.+)", asked):
        command = found[-1].strip()
        if call := shell_call(tools, command):
            return Said([("I will run that.", 0.05)], call)
        return Said([(f"I will run that.\n\n```bash\n{command}\n```\n" if not tools else "NOTOOL", 0.05)])
    if found := re.findall(r"\bCALL (\w+) (\{.*\})", asked):
        return Said([("I will call that.", 0.05)], (found[-1][0], json.loads(found[-1][1])))
    return Said([("ECHO: " + asked[:6000], 0.05)])


def fill(schema: Any, depth: int = 0) -> Any:
    """A small value that a JSON schema allows."""
    if not isinstance(schema, dict) or depth > 6:
        return ""
    if schema.get("enum"):
        return "user" if "user" in schema["enum"] else schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    for one_of in ("anyOf", "oneOf"):
        if schema.get(one_of):
            return fill(schema[one_of][0], depth + 1)
    kind = schema.get("type", "string")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "string")
    properties = schema.get("properties") or {}
    values: Json = {"array": [], "boolean": False, "number": 1, "integer": schema.get("minimum", 1)}
    if kind.lower() == "object":
        return {name: fill(properties.get(name, {}), depth + 1) for name in schema.get("required") or list(properties)}
    return values.get(kind.lower(), "stub")


def shell_call(tools: Json, command: str) -> tuple[str, Json] | None:
    """The tool that runs commands, with its arguments."""
    name = next((one for one in SHELLS if one in tools), "")
    name = name or next((one for one in tools if re.search(r"shell|bash|exec_?command|terminal", one, re.I)), "")
    if not name:
        return None
    schema = tools[name] or {}
    properties = schema.get("properties") or {}
    key = next((one for one in COMMANDS if one in properties), "command")
    listed = (properties.get(key) or {}).get("type") == "array"
    given: Json = {key: ["bash", "-lc", command] if listed else command}
    escalated = "touch " in command or "ESCALATED" in command
    if "sandbox_permissions" in properties and escalated:  # it asks a person only about what is to leave the sandbox
        given |= {"sandbox_permissions": "require_escalated", "justification": "May I run this?"}
    for wanted in schema.get("required") or []:
        given.setdefault(wanted, "run it" if wanted == "description" else fill(properties.get(wanted, {})))
    return name, given


def first_line(result: str) -> str:
    """The first line of what a command printed, without what programs put around it."""
    found = _OUTPUT.search(result)
    lines = (found[1] if found and found[1].strip() else result).splitlines()
    return next((line.strip() for line in lines if line.strip()), "(no output)")


def clean(text: str) -> str:
    return _FRAME.sub("", text).strip()


def text_of(content: Any) -> str:
    """The text in a message's content, whatever its form."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, dict):
        found = content.get("text") or content.get("output") or content.get("content")
        return text_of(found) if found is not None else json.dumps(content)
    parts = (part for part in content if isinstance(part, str) or "text" in part or part.get("type") == "tool_result")
    return "\n".join(text_of(part) for part in parts)


# -- the protocols


def new(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(6)}"


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    return response


def note(request: web.Request, **fields: Any) -> None:
    if file := request.app.get(LOG):
        file.write(json.dumps({"at": time.time(), "path": request.path, **fields}) + "\n")
        file.flush()


def begin(
    request: web.Request, asked: str, tools: Json, result: str | None, schema: Json | None = None, system: str = ""
) -> Said:
    if "LIMITED" in asked and not result:
        note(request, what="limited", asked=asked)
        raise web.HTTPTooManyRequests(text=json.dumps({"error": LIMIT}), content_type="application/json")
    if "REFUSED" in asked and not result:
        note(request, what="refused", asked=asked)
        raise web.HTTPBadRequest(text=json.dumps({"error": REFUSAL}), content_type="application/json")
    said = decide(clean(asked), tools, result, schema, system)
    note(request, what="asked", asked=asked, result=result, tools=sorted(tools), hidden=schema is not None or not tools,
         answer=said.text, call=said.call)  # fmt: skip
    return said


def pause(pieces: list[tuple[str, float]]) -> float:
    return sum(seconds for _, seconds in pieces)


async def chat(request: web.Request) -> web.StreamResponse:
    """OpenAI Chat Completions."""
    body = await request.json()
    tools = {tool["function"]["name"]: tool["function"].get("parameters") for tool in body.get("tools") or []}
    messages = body.get("messages") or []
    people = [text_of(one.get("content")) for one in messages if one.get("role") == "user"]
    people = [text for text in people if clean(text)]
    result = text_of(messages[-1].get("content")) if messages and messages[-1].get("role") == "tool" else None
    form = body.get("response_format") or {}
    schema = (form.get("json_schema") or {}).get("schema") if form.get("type") == "json_schema" else None
    system = "\n".join(text_of(one.get("content")) for one in messages if one.get("role") in ("system", "developer"))
    said = begin(request, people[-1] if people else "", tools, result, schema, system[:3000])
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    base = {"id": new("chatcmpl"), "created": int(time.time()), "model": body.get("model", "stub")}
    calls = []
    if said.call:
        function = {"name": said.call[0], "arguments": json.dumps(said.call[1])}
        calls = [{"index": 0, "id": new("call"), "type": "function", "function": function}]
    finish = "tool_calls" if calls else "stop"
    if not body.get("stream"):
        await asyncio.sleep(pause(said.pieces))
        message = {"role": "assistant", "content": said.text, **({"tool_calls": calls} if calls else {})}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return web.json_response({**base, "object": "chat.completion", "choices": [choice], "usage": usage})
    response = await stream(request)

    async def send(delta: Json, finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {**base, "object": "chat.completion.chunk", "choices": [choice]}
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    await send({"role": "assistant", "content": ""})
    for text, seconds in said.pieces:
        await asyncio.sleep(seconds)
        await send({"content": text})
    if calls:
        await send({"tool_calls": calls})
    await send({}, finish)
    last = {**base, "object": "chat.completion.chunk", "choices": [], "usage": usage}
    await response.write(b"data: " + json.dumps(last).encode() + b"\n\ndata: [DONE]\n\n")
    note(request, what="answered", answer=said.text)
    return response


async def responses(request: web.Request) -> web.StreamResponse:
    """OpenAI Responses."""
    body = await request.json()
    tools = {tool.get("name") or tool.get("type"): tool.get("parameters") or {} for tool in body.get("tools") or []}
    items = body.get("input") or []
    items = [{"role": "user", "content": items}] if isinstance(items, str) else items
    people = [text_of(item.get("content")) for item in items if item.get("role") == "user"]
    result = None
    if items and str(items[-1].get("type", "")).endswith("_output"):
        result = text_of(items[-1].get("output"))
    form = (body.get("text") or {}).get("format") or {}
    schema = form.get("schema") if form.get("type") == "json_schema" else None
    said = begin(request, people[-1] if people else "", tools, result, schema, str(body.get("instructions"))[:3000])
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    usage_more = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    base = {
        "id": new("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "model": body.get("model"),
        "tools": [],
    }
    part = {"type": "output_text", "text": said.text, "annotations": []}
    message = {"type": "message", "id": new("msg"), "role": "assistant", "status": "completed", "content": [part]}
    output: list[Json] = [message] if said.text else []
    if said.call:
        call = {"call_id": new("call"), "name": said.call[0], "arguments": json.dumps(said.call[1])}
        output.append({"type": "function_call", "id": new("fc"), "status": "completed", **call})
    whole = {**base, "status": "completed", "output": output, "usage": usage | usage_more}
    if not body.get("stream"):
        await asyncio.sleep(pause(said.pieces))
        return web.json_response(whole)
    response = await stream(request)
    number = 0

    async def send(kind: str, **fields: Any) -> None:
        nonlocal number
        event = json.dumps({"type": f"response.{kind}", "sequence_number": number, **fields})
        number += 1
        await response.write(f"event: response.{kind}\ndata: {event}\n\n".encode())

    await send("created", response={**base, "status": "in_progress", "output": []})
    for place, item in enumerate(output):
        await send("output_item.added", output_index=place, item={**item, "status": "in_progress", "content": []})
        if item is message:
            where = {"item_id": message["id"], "output_index": place, "content_index": 0}
            await send("content_part.added", **where, part={**part, "text": ""})
            for text, seconds in said.pieces:
                await asyncio.sleep(seconds)
                await send("output_text.delta", **where, delta=text)
            await send("output_text.done", **where, text=said.text)
        await send("output_item.done", output_index=place, item=item)
    await send("completed", response=whole)
    note(request, what="answered", answer=said.text)
    return response


async def messages(request: web.Request) -> web.StreamResponse:
    """Anthropic Messages."""
    body = await request.json()
    tools = {tool["name"]: tool.get("input_schema") or {} for tool in body.get("tools") or [] if "name" in tool}
    people = [one for one in body.get("messages") or [] if one.get("role") == "user"]
    parts = [_parts(one.get("content")) for one in people]
    results = [one for one in parts[-1] if one.get("type") == "tool_result"] if parts else []
    result = text_of(results[-1].get("content")) if results else None
    texts = [one.get("text", "") for each in parts for one in each if one.get("type") == "text"]
    texts = [text for text in texts if clean(text)]
    form = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    schema = form.get("schema") if form.get("type") == "json_schema" else None
    asked = texts[-1] if texts else ""
    said = begin(request, asked, tools, result, schema, text_of(body.get("system"))[:3000])
    usage = {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    base = {"id": new("msg"), "type": "message", "role": "assistant", "model": body.get("model", "stub")}
    content: list[Json] = [{"type": "text", "text": said.text}]
    if said.call:
        content.append({"type": "tool_use", "id": new("toolu"), "name": said.call[0], "input": said.call[1]})
    stop = {"stop_reason": "tool_use" if said.call else "end_turn", "stop_sequence": None}
    if not body.get("stream"):
        await asyncio.sleep(pause(said.pieces))
        return web.json_response({**base, "content": content, **stop, "usage": usage})
    response = await stream(request)

    async def send(kind: str, **fields: Any) -> None:
        await response.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode())

    begun = {**base, "content": [], "stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1}}
    await send("message_start", message=begun)
    for place, block in enumerate(content):
        if block["type"] == "text":
            await send("content_block_start", index=place, content_block={"type": "text", "text": ""})
            for text, seconds in said.pieces:
                await asyncio.sleep(seconds)
                await send("content_block_delta", index=place, delta={"type": "text_delta", "text": text})
        else:
            await send("content_block_start", index=place, content_block={**block, "input": {}})
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            await send("content_block_delta", index=place, delta=delta)
        await send("content_block_stop", index=place)
    await send("message_delta", delta=stop, usage=usage)
    await send("message_stop")
    note(request, what="answered", answer=said.text)
    return response


def _parts(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


async def gemini(request: web.Request) -> web.StreamResponse:
    """Gemini `generateContent`, plain and streamed."""
    model, verb = request.match_info["model"], request.match_info["verb"]
    body = await request.json()
    if verb == "countTokens":
        return web.json_response({"totalTokens": 42})
    declared = (one for tool in body.get("tools") or [] for one in tool.get("functionDeclarations") or [])
    tools = {one["name"]: one.get("parametersJsonSchema") or one.get("parameters") or {} for one in declared}
    people = [one.get("parts") or [] for one in body.get("contents") or [] if one.get("role", "user") == "user"]
    texts = [part["text"] for parts in people for part in parts if clean(str(part.get("text") or ""))]
    results = [part["functionResponse"] for part in (people[-1] if people else []) if "functionResponse" in part]
    result = text_of(results[-1].get("response") or {}) if results else None
    form = body.get("generationConfig") or {}
    schema = form.get("responseJsonSchema") or form.get("responseSchema")
    said = begin(request, texts[-1] if texts else "", tools, result, schema)
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}

    def chunk(parts: list[Json], finish: str = "") -> Json:
        candidate = {
            "content": {"role": "model", "parts": parts},
            "index": 0,
            **({"finishReason": finish} if finish else {}),
        }
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": new("stub")}

    call = [{"functionCall": {"name": said.call[0], "args": said.call[1]}}] if said.call else []
    parts: list[tuple[Json, float]] = [
        *((({"text": text}), seconds) for text, seconds in said.pieces),
        *((one, 0.0) for one in call),
    ]
    if verb == "generateContent":
        await asyncio.sleep(pause(said.pieces))
        return web.json_response(chunk([part for part, _ in parts], "STOP"))
    response = await stream(request)
    for place, (part, seconds) in enumerate(parts, 1):
        await asyncio.sleep(seconds)
        said_so = json.dumps(chunk([part], "STOP" if place == len(parts) else ""))
        await response.write(f"data: {said_so}\r\n\r\n".encode())
    note(request, what="answered", answer=said.text)
    return response


async def models(request: web.Request) -> web.Response:
    names = ("stub-model", "gpt-5", "claude-sonnet-4-5")
    found = [{"id": name, "object": "model", "created": 1, "owned_by": "stub", "type": "model"} for name in names]
    return web.json_response({"object": "list", "data": found, "models": [], "has_more": False})


async def counted(request: web.Request) -> web.Response:
    return web.json_response({"input_tokens": 42})


async def other(request: web.Request) -> web.Response:
    note(request, what="other", method=request.method, content=(await request.read())[:300].decode("utf-8", "replace"))
    if request.method in ("GET", "HEAD") and request.path in ("/", "/health"):
        return web.Response(text="ok")
    return web.json_response({"error": {"message": "stub: no such endpoint", "type": "not_found_error"}}, status=404)


@web.middleware
async def gone(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except (ConnectionResetError, asyncio.CancelledError):
        note(request, what="hung up")  # an interrupted program closes the stream
        raise


def application(file: TextIO | None = None) -> web.Application:
    made = web.Application(client_max_size=64 << 20, middlewares=[gone])
    if file:
        made[LOG] = file
    made.router.add_post(r"/{before:.*}chat/completions", chat)
    made.router.add_post(r"/{before:.*}responses", responses)
    made.router.add_post(r"/{before:.*}messages/count_tokens", counted)
    made.router.add_post(r"/{before:.*}messages", messages)
    made.router.add_post(r"/{before:.*}models/{model}:{verb}", gemini)
    made.router.add_get(r"/{before:.*}models", models)
    made.router.add_route("*", "/{rest:.*}", other)
    return made


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8901)
    parser.add_argument("--log", type=argparse.FileType("a"))
    given = parser.parse_args()
    web.run_app(
        application(given.log), host="127.0.0.1", port=given.port, print=lambda *words: None, handler_cancellation=True
    )


if __name__ == "__main__":
    main()
