"""An agent of the official SDK, as a program: `python sdk_agent.py PORT KIND [--quiet] [--token WORD] [--log FILE]`.

KIND is jsonrpc, rest or old (JSON-RPC 0.3). What it does is the first word that it is told. Each message that it gets is a
line of FILE: the id, the task, the context, the parts.
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import uvicorn
from a2a.helpers.proto_helpers import new_task_from_user_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Message, Part, Role
from google.protobuf.json_format import MessageToDict, ParseDict
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse


def text(content: str) -> Part:
    return Part(text=content)


def data(content: Any) -> Part:
    part = Part()
    ParseDict({"data": content, "mediaType": "application/json"}, part)
    return part


class Executor(AgentExecutor):
    """Does what the first word says; after a question, whatever it is told is the answer."""

    def __init__(self, log: Path | None) -> None:
        self._log = log
        self._asked: dict[str, str] = {}  # task -> the word that led to a question
        self._heard: dict[str, int] = {}  # context -> messages

    async def execute(self, context: RequestContext, queue: EventQueue) -> None:
        message = context.message
        assert message is not None
        assert context.task_id
        assert context.context_id
        said = context.get_user_input()
        self._heard[context.context_id] = self._heard.get(context.context_id, 0) + 1
        self._note(message, context)
        word, _, rest = said.partition(" ")
        if word == "hello":
            await queue.enqueue_event(
                Message(
                    message_id="m-1",
                    role=Role.ROLE_AGENT,
                    parts=[text("hello yourself")],
                    context_id=context.context_id,
                )
            )
            return
        if context.current_task is None:
            await queue.enqueue_event(new_task_from_user_message(message))
        updater = TaskUpdater(queue, context.task_id, context.context_id)

        def reply(content: str, *more: Part) -> Message:
            return updater.new_agent_message([text(content), *more])

        await updater.start_work()
        asked = self._asked.pop(context.task_id, "")
        if asked == "ask-twice":
            self._asked[context.task_id] = "ask"
            await updater.requires_input(reply(f"You said {said}. Sure?"))
        elif asked:
            await updater.add_artifact([text(f"you chose {said}")])
            await updater.complete()
        elif word in ("ask", "ask-twice"):
            self._asked[context.task_id] = word
            await updater.requires_input(reply("Which one?", data({"choices": ["red", {"text": "blue"}]})))
        elif word == "login":
            await updater.requires_auth(reply("Log in at https://example.com first."))
            if rest:
                await asyncio.sleep(float(rest))
                await updater.add_artifact([text("you are in")])
                await updater.complete()
            self._asked[context.task_id] = word
        elif word == "fail":
            await updater.failed(reply(rest))
        elif word == "reject":
            await updater.reject(reply("That is not for me."))
        elif word == "give-up":
            await updater.cancel(reply("I changed my mind."))
        elif word == "slow":
            await asyncio.sleep(float(rest))
            await updater.add_artifact([text(f"slept {rest}")])
            await updater.complete()
        elif word == "chunks":
            await updater.add_artifact([text("one ")], artifact_id="a", append=False)
            await asyncio.sleep(float(rest or 0))
            await updater.add_artifact([text("two ")], artifact_id="a", append=True)
            await updater.add_artifact([text("three")], artifact_id="a", append=True, last_chunk=True)
            await updater.complete(reply("counted"))
        elif word == "file":
            file = Part(raw=b"\x00\x01\x02", filename="three.bin", media_type="application/octet-stream")
            await updater.add_artifact(
                [text("see the file"), file, Part(url="https://example.com/x.txt"), data({"a": 1})]
            )
            await updater.complete()
        elif word == "parts":
            told = [MessageToDict(part) for part in message.parts]
            await updater.add_artifact([text(json.dumps(told))])
            await updater.complete()
        elif word == "count":
            await updater.add_artifact([text(f"message {self._heard[context.context_id]}")])
            await updater.complete()
        else:
            await updater.complete(reply(f"You said: {said}"))

    async def cancel(self, context: RequestContext, queue: EventQueue) -> None:
        assert context.task_id
        assert context.context_id
        if self._log is not None:
            with self._log.open("a") as file:
                file.write(json.dumps({"canceled": context.task_id}) + "\n")
        await TaskUpdater(queue, context.task_id, context.context_id).cancel()

    def _note(self, message: Message, context: RequestContext) -> None:
        if self._log is not None:
            told = MessageToDict(message)
            with self._log.open("a") as file:
                file.write(json.dumps({"task": context.task_id, **told}) + "\n")


class Guarded:
    """Only who shows the token comes in, except to the card."""

    def __init__(self, app: Any, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and self._token and "well-known" not in scope["path"]:
            given = dict(scope["headers"]).get(b"authorization", b"").decode()
            if given != f"Bearer {self._token}":
                await PlainTextResponse("who are you?", 401)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def card(port: int, kind: str, *, streaming: bool) -> AgentCard:
    binding = "HTTP+JSON" if kind == "rest" else "JSONRPC"
    interface = AgentInterface(
        url=f"http://127.0.0.1:{port}/a2a", protocol_binding=binding, protocol_version="0.3" if kind == "old" else "1.0"
    )
    skill = AgentSkill(id="words", name="Words", description="Does what the first word says.", tags=["test"])
    return AgentCard(
        name="Foreign Agent",
        description="An agent of the SDK.",
        version="7",
        supported_interfaces=[interface],
        capabilities=AgentCapabilities(streaming=streaming),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[skill],
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("kind", choices=("jsonrpc", "rest", "old"))
    parser.add_argument("--quiet", action="store_true", help="no streaming")
    parser.add_argument("--token", default="")
    parser.add_argument("--log", type=Path, default=None)
    given = parser.parse_args()
    its_card = card(given.port, given.kind, streaming=not given.quiet)
    handler = DefaultRequestHandler(
        agent_executor=Executor(given.log), task_store=InMemoryTaskStore(), agent_card=its_card
    )
    routes: list[Any] = [*create_agent_card_routes(its_card)]
    if given.kind == "rest":
        routes += create_rest_routes(handler, path_prefix="/a2a")
    else:
        routes += create_jsonrpc_routes(handler, "/a2a", enable_v0_3_compat=given.kind == "old")
    app = Starlette(routes=routes, middleware=[Middleware(Guarded, token=given.token)])
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
