"""Talking to agents with a client that is not ours: the official SDK of A2A, where whatever it hears is held to the schema."""

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.compat.v0_3.types import AgentCard as OldCard
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import TaskNotFoundError, UnsupportedOperationError
from google.protobuf.json_format import MessageToDict, ParseDict

from tests.core.a2a import schema
from tests.e2e.agents_kit import House

JSONRPC, REST = "JSONRPC", "HTTP+JSON"
BINDINGS = (JSONRPC, REST)
PATIENCE = 20.0  # seconds that one answer may take
_S = pb.TaskState
SUBMITTED, WORKING, COMPLETED = _S.TASK_STATE_SUBMITTED, _S.TASK_STATE_WORKING, _S.TASK_STATE_COMPLETED
INPUT_REQUIRED, CANCELED, FAILED = _S.TASK_STATE_INPUT_REQUIRED, _S.TASK_STATE_CANCELED, _S.TASK_STATE_FAILED
REJECTED = _S.TASK_STATE_REJECTED
ENDED = {COMPLETED, FAILED, CANCELED, REJECTED}
_ENDED = {_S.Name(state) for state in ENDED}
_PATHS = (  # of the HTTP+JSON binding, and what is answered there
    ("POST", r"/message:send", pb.SendMessageResponse),
    ("GET", r"/tasks", pb.ListTasksResponse),
    ("GET", r"/tasks/[^/:]+", pb.Task),
    ("POST", r"/tasks/[^/:]+:cancel", pb.Task),
    ("POST", r"/tasks/[^/]+/pushNotificationConfigs", pb.TaskPushNotificationConfig),
    ("GET", r"/tasks/[^/]+/pushNotificationConfigs", pb.ListTaskPushNotificationConfigsResponse),
    ("GET", r"/tasks/[^/]+/pushNotificationConfigs/[^/]+", pb.TaskPushNotificationConfig),
    ("GET", r"/extendedAgentCard", pb.AgentCard),
    ("GET", r"/\.well-known/agent-card\.json", pb.AgentCard),
)


@dataclass(frozen=True)
class Wish:
    """What is said to an agent for it to do something: a text, or the beginning of a message id; `answer` is what it says."""

    text: str
    answer: str = ""
    prefix: str = "m"


@dataclass(frozen=True)
class Manner:
    """An agent, and how it is brought to do what."""

    name: str
    finish: Wish  # it answers
    write: Wish  # it answers bit by bit
    ask: Wish  # it asks back
    last: Wish  # it works for long


DEMO = Manner(
    "bo",
    finish=Wish("6*7", "42"),
    write=Wish("SLOW 0.5 there it is", "let me see what there\nthere it is"),
    ask=Wish("RUN echo granted", "granted"),
    last=Wish("HANG"),
)
TEST = Manner(
    "tck",
    finish=Wish("x", "Generated text content", "tck-artifact-text"),
    write=Wish("x", "chunk-1 chunk-2", "tck-stream-artifact-chunked"),
    ask=Wish("x", prefix="tck-input-required"),
    last=Wish("x", prefix="test-resubscribe-message-id"),
)


class Strict(httpx.AsyncHTTPTransport):
    """Connections whose answers are looked at before the SDK sees them, for it is lenient."""

    def __init__(self) -> None:
        super().__init__(verify=False)  # nothing of TLS is loaded
        self.seen: dict[str, str] = {}  # tasks, and the last state of each that was told

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        assert response.status_code < 500, await response.aread()
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            assert isinstance(response.stream, httpx.AsyncByteStream)
            response.stream = _Tee(response.stream, self, request)
        else:
            body = await response.aread()
            if body and response.status_code != 304:
                self.hear(request, response.status_code, json.loads(body))
        return response

    def hear(self, request: httpx.Request, status: int, told: Any, *, stream: bool = False) -> None:
        """An answer, or an event of one."""
        held(request, status, told, stream=stream)
        result = told.get("result") or told
        if isinstance(result, dict):
            task = result.get("task") or result.get("statusUpdate") or result
            if isinstance(task.get("status"), dict):
                self.seen[task.get("taskId") or task["id"]] = task["status"]["state"]


class _Tee(httpx.AsyncByteStream):
    """Events that are held to the schema as they pass."""

    def __init__(self, source: httpx.AsyncByteStream, strict: Strict, request: httpx.Request) -> None:
        self._source = source
        self._strict = strict
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        rest = b""
        async for chunk in self._source:
            *events, rest = (rest + chunk).split(b"\n\n")
            for event in events:
                for line in event.split(b"\n"):
                    if line.startswith(b"data:"):
                        self._strict.hear(self._request, 200, json.loads(line[5:]), stream=True)
            yield chunk
        assert not rest

    async def aclose(self) -> None:
        await self._source.aclose()


def held(request: httpx.Request, status: int, told: Any, *, stream: bool = False) -> None:
    """An answer as the protocol has it."""
    path = re.sub(r"^(/agents/[^/]+)?(/acme)?", "", request.url.path)
    if request.method == "POST" and path in ("", "/"):
        asked = json.loads(request.content)
        schema.answers(asked["method"], told, asked.get("id"))
    elif path.endswith("/agent.json") or request.url.params.get("version") == "0.3":
        assert told.pop("extensions")  # ours, as they were told before cards had a place for them
        schema.fits_old(OldCard, told)
    elif status >= 400 or "error" in told:
        schema.refuses(told, status if not stream else told["error"]["code"])
    elif stream:
        schema.fits(pb.StreamResponse, told)
    elif request.method == "DELETE":
        assert told == {}
    else:
        (kind,) = [kind for method, form, kind in _PATHS if method == request.method and re.fullmatch(form, path)]
        schema.fits(kind, told)


class Talk:
    """An agent that is spoken to over one binding."""

    def __init__(self, base: str, manner: Manner, http: httpx.AsyncClient, card: pb.AgentCard, binding: str) -> None:
        self.base = base
        self.manner = manner
        self.http = http
        self.card = card
        self.binding = binding
        self.context = f"c-{uuid4().hex}"
        self.streaming = self._client(streaming=True)
        self.client = self._client(streaming=False)

    def _client(self, *, streaming: bool) -> Client:
        config = ClientConfig(
            streaming=streaming,
            httpx_client=self.http,
            supported_protocol_bindings=[self.binding],
            use_client_preference=True,
        )
        return ClientFactory(config).create(self.card)

    # -- what is said

    def request(
        self,
        said: "Wish | str | Iterable[pb.Part]",
        *,
        task: str = "",
        context: str | None = None,
        at_once: bool = False,
        history: int | None = None,
        push: pb.TaskPushNotificationConfig | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> pb.SendMessageRequest:
        """A message to the agent, in this conversation unless another is named."""
        wish = said if isinstance(said, Wish) else Wish(said if isinstance(said, str) else "")
        parts = [pb.Part(text=wish.text)] if isinstance(said, Wish | str) else list(said)
        request = pb.SendMessageRequest(
            message=pb.Message(
                message_id=f"{wish.prefix}-{uuid4().hex[:8]}",
                role=pb.Role.ROLE_USER,
                parts=parts,
                task_id=task,
                context_id=context if context is not None else "" if task else self.context,
            ),
            configuration=pb.SendMessageConfiguration(return_immediately=at_once),
        )
        if metadata:
            ParseDict(metadata, request.message.metadata)
        if history is not None:
            request.configuration.history_length = history
        if push is not None:
            request.configuration.task_push_notification_config.CopyFrom(push)
        return request

    async def heard(self, said: "Wish | str | Iterable[pb.Part]", **more: Any) -> pb.StreamResponse:
        """What comes of a message, task or message."""
        (one,) = [one async for one in self.client.send_message(self.request(said, **more))]
        return one

    async def send(self, said: "Wish | str | Iterable[pb.Part]", **more: Any) -> pb.Task:
        """The task that comes of a message."""
        one = await self.heard(said, **more)
        assert one.HasField("task")
        return one.task

    def stream(self, said: "Wish | str | Iterable[pb.Part]", **more: Any) -> AsyncIterator[pb.StreamResponse]:
        """What comes of a message, as it comes."""
        return self.streaming.send_message(self.request(said, **more))

    def follow(self, task: str) -> AsyncIterator[pb.StreamResponse]:
        """What comes of a task."""
        return self.streaming.subscribe(pb.SubscribeToTaskRequest(id=task))

    async def get(self, task: str, history: int | None = None) -> pb.Task:
        request = pb.GetTaskRequest(id=task)
        if history is not None:
            request.history_length = history
        return await self.client.get_task(request)

    async def cancel(self, task: str) -> pb.Task:
        return await self.client.cancel_task(pb.CancelTaskRequest(id=task))

    async def state(self, task: str) -> int:
        """The state of a task; that of one that has ended where there is none."""
        try:
            return (await self.get(task)).status.state
        except TaskNotFoundError:
            return CANCELED

    async def until(self, task: str, *wished: int) -> pb.Task:
        """The task once it is in one of these states (by default: once it has ended)."""
        wanted = set(wished) or ENDED
        found = await self.get(task)
        if found.status.state not in wanted:
            with suppress(UnsupportedOperationError):  # it has just ended: there is nothing to follow any more
                async for one in self.follow(task):
                    if wanted & set(states([one])):
                        break
            found = await self.get(task)
        assert found.status.state in wanted
        return found


@asynccontextmanager
async def talk(base: str, manner: Manner, binding: str) -> AsyncIterator[Talk]:
    """The SDK's clients of one agent."""
    strict = Strict()
    async with httpx.AsyncClient(transport=strict, timeout=PATIENCE, headers={"A2A-Version": "1.0"}) as http:
        talk = Talk(base, manner, http, await A2ACardResolver(http, base).get_agent_card(), binding)
        yield talk
        for task, state in strict.seen.items():
            if state not in _ENDED and await talk.state(task) not in ENDED:
                await talk.cancel(task)


@contextmanager
def furnished() -> Iterator[House]:
    """A hub with the agent for tests, and a program in a terminal."""
    house = House()
    try:
        house.serve("--test-agent")
        house.agent(DEMO.name)
        yield house
    finally:
        house.close()


def base_of(house: House, name: str) -> str:
    return f"http://127.0.0.1:{house.told['port']}/agents/{name}"


# -- reading what was said


def words(parts: Iterable[pb.Part]) -> str:
    """The text of some parts."""
    return "".join(part.text for part in parts if part.HasField("text"))


def data(parts: Iterable[pb.Part]) -> list[Any]:
    """The data in some parts."""
    return [MessageToDict(part.data) for part in parts if part.HasField("data")]


def answer(task: pb.Task) -> str:
    """What the agent answered."""
    return "".join(words(artifact.parts) for artifact in task.artifacts)


def attached(task: pb.Task, said: str) -> Path:
    """The one file that the agent was told of behind a text, which it repeats; a screen has broken its lines."""
    found = " ".join(answer(task).split())
    assert found.startswith(f"{said} (attached: /")
    return Path(found.removeprefix(f"{said} (attached: ").removesuffix(")"))


def put_together(heard: Iterable[pb.StreamResponse]) -> str:
    """The answer as a client has it that follows the chunks of a stream."""
    texts: dict[str, str] = {}
    for one in heard:
        if one.HasField("task"):
            texts = {artifact.artifact_id: words(artifact.parts) for artifact in one.task.artifacts}
        if one.HasField("artifact_update"):
            update = one.artifact_update
            before = texts[update.artifact.artifact_id] if update.append else ""
            texts[update.artifact.artifact_id] = before + words(update.artifact.parts)
    return "".join(texts.values())


def states(heard: Iterable[pb.StreamResponse]) -> list[int]:
    """The states that a stream has told."""
    found: list[int] = []
    for one in heard:
        if one.HasField("task"):
            found.append(one.task.status.state)
        if one.HasField("status_update"):
            found.append(one.status_update.status.state)
    return found
