"""The operations of A2A 1.0 (§3.1), once for every binding and version: typed requests in, ProtoJSON out."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from synapse.a2a import errors, model
from synapse.a2a.errors import A2AError, invalid
from synapse.a2a.feed import Feeds, Follower, Item, first
from synapse.a2a.incoming import Incoming, answering, incoming, metadata_of
from synapse.a2a.reading import (
    STATES,
    ListIn,
    MessageIn,
    PushIn,
    PushNameIn,
    SendIn,
    TaskIn,
    enum,
    length,
    whole,
)
from synapse.errors import SynapseError
from synapse.hub.tasks import Task, context_of
from synapse.hub.views import Said, TaskView

logger = logging.getLogger(__name__)

PAGE, LARGEST_PAGE = 50, 100  # tasks of a list (A2A 1.0 §3.1.4)
TURN = 60.0  # seconds that one wait lasts before it is asked again

Ask = Callable[[str, dict[str, Any]], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `ask(verb, parameters)` asks the hub as whoever calls; `box` is where the agent's work lies; `target`
    what it is called as an addressee."""

    ask: Ask
    box: str
    target: str

    async def verb(self, verb: str, **parameters: Any) -> Any:
        """The reply of a verb; A2AError when it is refused."""
        try:
            return msgspec.json.decode(await self.ask(verb, parameters))
        except SynapseError as error:
            raise errors.of(error) from None

    async def view(self, task: str, until: int = 0) -> TaskView:
        """A task of this agent's."""
        try:
            reply = await self.ask("tasks.get", {"task": task, "agent": self.box, "until": until})
        except SynapseError as error:
            raise errors.of(error) from None
        return msgspec.json.decode(reply, type=TaskView)


class Handlers:
    """What all agents' endpoints are made of."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds

    # -- sending

    async def send(self, call: Call, request: SendIn) -> dict[str, Any]:
        """SendMessage: waits until the task has ended or asks back, unless it is to return at once (§3.1.1)."""
        history = length(request.configuration.history_length, "configuration.historyLength")
        id, found, message = await self._submit(call, request)
        if not request.configuration.return_immediately:
            await self._rest(call, id)
        elif not message.task_id and (fresh := self._feeds.fresh(id)) is not None:
            return {"task": model.task(_begun(fresh, found.said(message, fresh.since)), history=history)}
        return model.sent(await call.view(id), history)

    async def stream(self, call: Call, request: SendIn) -> AsyncIterator[Item | None]:
        """SendStreamingMessage: the task, then what happens, until it has ended or asks back (§3.1.2)."""
        id = await self.submit(call, request)
        view = await call.view(id)
        return self._stream(call, view, model.RESTING)

    async def submit(self, call: Call, request: SendIn) -> str:
        """Hand the message over; the id of its task."""
        return (await self._submit(call, request))[0]

    async def _submit(self, call: Call, request: SendIn) -> tuple[str, Incoming, MessageIn]:
        message = request.message
        if message is None:
            raise invalid("message", "it is missing.")
        found, choice, along = incoming(message), "", ""
        if message.task_id:
            await self._check_open(call, message.task_id, message.context_id)
            choice, along = answering(found)
        parameters = {
            **await self._stored(call, found),
            "message_id": message.message_id,
            "context": message.context_id,
            "metadata": metadata_of(message),
            "extensions": message.extensions,
            "references": message.reference_task_ids,
        }
        push = request.configuration.task_push_notification_config
        if message.task_id:
            if push is not None:
                await self.set_push(call, msgspec.structs.replace(push, task_id=message.task_id))
            reply = await call.verb("tasks.say", task=message.task_id, choice=choice, along=along, **parameters)
        else:
            if push is not None:
                await call.verb("push.check", **_pushing(push))
            priority = _priority(message.metadata)
            reply = await call.verb("tasks.submit", to=call.target, priority=priority, **parameters)
            if push is not None:
                push = msgspec.structs.replace(push, task_id=reply["task_id"])
                await self._set_push(call, push, since=reply["position"])
        return str(reply["task_id"]), found, message

    @staticmethod
    async def _check_open(call: Call, task: str, context: str) -> None:
        """A message may only go to a task that has not ended, in its own context (§3.4.3)."""
        view = await call.view(task)
        if context and context != view.context:
            raise invalid("message.contextId", f"task {task} belongs to the context {view.context}.")
        if view.state in model.ENDED:
            raise A2AError(
                "UNSUPPORTED_OPERATION", f"Task {task} is {view.state}: send a message without taskId in its context."
            )

    @staticmethod
    async def _stored(call: Call, found: Incoming) -> dict[str, Any]:
        """Store what is too long for an event, before the change that names it."""
        for held in found.contents:
            for piece in held.pieces():
                reply = await call.verb("blobs.put", content=piece)
                held.blobs.append(reply["blob"])
        return found.stored()

    @staticmethod
    async def _rest(call: Call, id: str) -> None:
        """Wait until the task has ended or asks back."""
        while True:
            reply = await call.verb("tasks.wait", task=id, any_change=True, timeout=TURN)
            if not reply.get("pending"):
                return

    # -- streams

    async def _stream(self, call: Call, view: TaskView, until: frozenset[str]) -> AsyncIterator[Item | None]:
        follower = self._feeds.follow(view.id, view.context)
        try:
            view = await call.view(view.id, follower.after)
            yield Item(first(view, follower.said), view.position, view.state)
            if view.state not in until:
                async for item in self._followed(follower, until):
                    yield item
        finally:
            follower.leave()

    @staticmethod
    async def _followed(follower: Follower, until: frozenset[str]) -> AsyncIterator[Item | None]:
        async for item in follower.items(until):
            yield item
        if follower.lost:
            logger.info("a reader of a stream was too slow, and is let go")

    async def subscribe(self, call: Call, request: TaskIn) -> AsyncIterator[Item | None]:
        """SubscribeToTask: the task, then what happens until it has ended (§3.1.6)."""
        view = await call.view(_id(request.id))
        if view.state in model.ENDED:
            raise A2AError("UNSUPPORTED_OPERATION", f"Task {view.id} is {view.state}: nothing happens to it any more.")
        return self._stream(call, view, model.ENDED)

    # -- tasks

    async def get(self, call: Call, request: TaskIn) -> dict[str, Any]:
        """GetTask (§3.1.3)."""
        history = length(request.history_length)
        return model.task(await call.view(_id(request.id)), history=history)

    async def page(self, call: Call, request: ListIn) -> tuple[dict[str, Any], list[TaskView]]:
        """A page of tasks, newest status first, and what `tasks.page` says of it."""
        size = PAGE if request.page_size is None else request.page_size
        if not 1 <= size <= LARGEST_PAGE:
            raise invalid("pageSize", f"from 1 to {LARGEST_PAGE}.")
        state = enum(STATES, request.status, "status")
        found = await call.verb(
            "tasks.page",
            agent=call.box,
            context=request.context_id,
            state=model.WORDS.get(state, ""),
            since=whole(request.status_timestamp_after, "statusTimestampAfter"),
            limit=size,
            token=request.page_token,
        )
        views = await asyncio.gather(*(self._still(call, one["id"]) for one in found.get("tasks", ())))
        return {"size": size, **found}, [view for view in views if view is not None]

    async def list(self, call: Call, request: ListIn) -> dict[str, Any]:
        """ListTasks (§3.1.4)."""
        history = length(request.history_length)
        found, views = await self.page(call, request)
        return {
            "tasks": [model.task(view, history=history, artifacts=request.include_artifacts) for view in views],
            "nextPageToken": found.get("next", ""),
            "pageSize": found["size"],
            "totalSize": found.get("total", 0),
        }

    @staticmethod
    async def _still(call: Call, task: str) -> TaskView | None:
        """A task of a list; None when it was forgotten meanwhile."""
        try:
            return await call.view(task)
        except A2AError as error:
            if error.reason != "TASK_NOT_FOUND":
                raise
            return None

    async def cancel(self, call: Call, request: TaskIn) -> dict[str, Any]:
        """CancelTask: it is called off, and its agent interrupted (§3.1.5)."""
        view = await call.view(_id(request.id))
        if view.state not in model.ENDED:
            try:
                await call.verb("tasks.cancel", task=view.id)
                return model.task(await call.view(view.id))
            except A2AError as error:
                if error.code != "task_ended":
                    raise
                view = await call.view(view.id)
        raise A2AError("TASK_NOT_CANCELABLE", f"Task {view.id} is {view.state} already.")

    # -- push configurations

    async def set_push(self, call: Call, request: PushIn) -> dict[str, Any]:
        """CreateTaskPushNotificationConfig (§3.1.7)."""
        await call.view(_id(request.task_id, "taskId"))
        return await self._set_push(call, request)

    @staticmethod
    async def _set_push(call: Call, request: PushIn, since: int = 0) -> dict[str, Any]:
        """`since`: what has happened to the task behind that position is told too."""
        asked = _pushing(request)
        found = await call.verb("push.set", task=request.task_id, version=request.dialect, since=since, **asked)
        return _push(asked | found, request.task_id)

    async def get_push(self, call: Call, request: PushNameIn) -> dict[str, Any]:
        """GetTaskPushNotificationConfig (§3.1.8)."""
        await call.view(_id(request.task_id, "taskId"))
        found = await call.verb("push.get", task=request.task_id, id=_id(request.id))
        return _push(found, request.task_id)

    async def list_push(self, call: Call, request: PushNameIn) -> dict[str, Any]:
        """ListTaskPushNotificationConfigs (§3.1.9)."""
        await call.view(_id(request.task_id, "taskId"))
        size = PAGE if not request.page_size else request.page_size
        if not 1 <= size <= LARGEST_PAGE:
            raise invalid("pageSize", f"from 1 to {LARGEST_PAGE}.")
        found = await call.verb("push.list", task=request.task_id, limit=size, token=request.page_token)
        configs = [_push(one, request.task_id) for one in found.get("configs", ())]
        return {"configs": configs, "nextPageToken": found.get("next", "")}

    async def delete_push(self, call: Call, request: PushNameIn) -> dict[str, Any]:
        """DeleteTaskPushNotificationConfig; twice is once (§3.1.10)."""
        await call.view(_id(request.task_id, "taskId"))
        await call.verb("push.delete", task=request.task_id, id=_id(request.id))
        return {}


def _id(given: str, field: str = "id") -> str:
    if not given:
        raise invalid(field, "it is missing.")
    return given


def _begun(task: Task, said: Said) -> TaskView:
    """A task that is only its message yet; what reading it would give."""
    return TaskView(
        id=task.id, context=context_of(task.id, task.context), box=task.box, agent="", requester="", state=task.state,
        at=task.since, status_at=task.since, position=task.position, history=[said],
    )  # fmt: skip


def _priority(metadata: dict[str, Any] | None) -> int:
    """How urgent a message is: `metadata.priority`, 1 to 5, where 5 interrupts."""
    priority = (metadata or {}).get("priority", 3)
    if isinstance(priority, float) and priority.is_integer():
        priority = int(priority)
    if not isinstance(priority, int) or isinstance(priority, bool) or not 1 <= priority <= 5:
        raise invalid("message.metadata.priority", "from 1 (low) to 5 (interrupts first).")
    return priority


def _pushing(push: PushIn) -> dict[str, str]:
    """What the hub takes of a configuration."""
    if not push.url:
        raise invalid("url", "it is missing.")
    authentication = push.authentication
    return {
        "id": push.id,
        "url": push.url,
        "token": push.token,
        "scheme": authentication.scheme if authentication else "",
        "credentials": authentication.credentials if authentication else "",
    }


def _push(found: dict[str, Any], task: str) -> dict[str, Any]:
    """A `TaskPushNotificationConfig`."""
    told: dict[str, Any] = {"id": found["id"], "taskId": task, "url": found["url"]}
    if found.get("token"):
        told["token"] = found["token"]
    if found.get("scheme"):
        told["authentication"] = {"scheme": found["scheme"]}
        if found.get("credentials"):
            told["authentication"]["credentials"] = found["credentials"]
    return told
