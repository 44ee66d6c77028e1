"""A participant in a program: `async with Agent("alice") as alice: await alice.messages.send(to="bob", text="hi")`.

The hub is the one of this machine, by its local socket; the one that `url=` or SYNAPSE_URL names, by its WebSocket; or
one in this process (`hub=`), without any socket.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

from synapse.client.aio import Link, OnFrame
from synapse.client.blocking import PASSING, identity
from synapse.client.opening import opener
from synapse.errors import BadRequest, NotFound, Refused, SynapseError, Unavailable

Reply = dict[str, Any]
Event = dict[str, Any]

WAIT = 50.0  # seconds of one waiting request; the hub answers within 60
WHOLE = 1 << 30  # an index behind that of every event of a record
HELD, ENOUGH = 1000, 100  # events that are held for a slow reader before, and again after, no more are taken in
# The verbs that take no idempotency key: known, so that asking them costs one request. Held equal by a test.
KEYLESS = frozenset({
    "agents.attach", "agents.list", "agents.manifest", "agents.report", "agents.show", "agents.signal",
    "agents.wait_gone", "agents.who", "attention.waiting", "blobs.get", "events.follow", "events.page",
    "external.list", "external.show", "history.cleaned", "history.export", "history.list", "history.search",
    "history.show", "history.stats", "history.trace", "hub.shutdown", "hub.status", "messages.inbox", "messages.next",
    "messages.show", "offers.list", "plugins.list", "prompts.wait", "push.check", "push.get", "push.list", "state.now",
    "tasks.get", "tasks.output", "tasks.page", "tasks.wait", "webhooks.deliveries", "webhooks.list",
})  # fmt: skip


class InProcess(Protocol):
    """A hub in this process (`synapse.Hub`)."""

    verbs: Mapping[str, Any]

    async def connect(
        self, hello: dict[str, Any], on_frame: OnFrame, on_lost: Callable[[Any], None]
    ) -> Link: ...  # pragma: no cover


class Agent:
    """A plain client of a hub, by a name of its own; without a name, the person who runs the program.

    Every verb is a method: `alice.SUBJECT.VERB(field=...)` for `SUBJECT.VERB`, which gives the reply as a dict. When
    the hub goes away meanwhile, the next one is asked again under the same idempotency key: a change happens once. One of
    this machine that crashed is started again (`start=False`: never), one that was ended is not. `patience` is how long, in
    seconds, the next hub is waited for.
    """

    def __init__(
        self,
        name: str = "",
        *,
        workspace: str = "",
        hub: InProcess | None = None,
        url: str = "",
        token: str = "",
        start: bool = True,
        patience: float = 30.0,
    ) -> None:
        self.name = name
        self.welcome: dict[str, Any] = {}
        self._hello = identity(name, workspace)
        self._registry: Mapping[str, Any] = {} if hub is None else hub.verbs
        self._open = hub.connect if hub is not None else opener(url, token, self._hello, start=start)
        self._patience = patience
        self._keyless = set(KEYLESS)
        self._link: Link | None = None
        self._returning: asyncio.Task[None] | None = None
        self._listening: set[Listening] = set()
        self._closed = False

    async def __aenter__(self) -> "Agent":
        self._take(await self._one(self._ignore, self._lost))
        if self.name:
            await self.change("agents.here")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave; what is on its way is not waited for. The name and its mail stay."""
        self._closed = True
        returning, self._returning = self._returning, None
        if returning is not None:
            returning.cancel()
            await asyncio.gather(returning, return_exceptions=True)
        for listening in list(self._listening):
            await listening.aclose()
        if self._link is not None:
            await _end(self._link)

    # -- verbs

    def __getattr__(self, subject: str) -> "Subject":
        if subject.startswith("_"):
            raise AttributeError(subject)
        known = {name.partition(".")[0] for name in self._registry}
        if known and subject not in known:
            raise AttributeError(f"this hub has no verbs '{subject}.*'; it has {', '.join(sorted(known))}")
        return Subject(self, subject, self._registry)

    async def do(self, verb: str, **params: Any) -> Reply:
        """The reply to any verb; one that changes something is asked under a key of its own."""
        if verb in self._keyless:
            return await self.call(verb, **params)
        try:
            return await self.change(verb, **params)
        except BadRequest as error:
            if "idempotency_key" in params or "`idempotency_key`" not in error.sentence:
                raise
        self._keyless.add(verb)  # nothing was done: it takes no key, for it changes nothing
        return await self.call(verb, **params)

    async def change(self, verb: str, **params: Any) -> Reply:
        """The reply to a verb that changes something, asked under a key that makes a retry harmless."""
        key = params.pop("idempotency_key", None) or os.urandom(12).hex()
        return await self.call(verb, idempotency_key=key, **params)

    async def call(self, verb: str, **params: Any) -> Reply:
        """The reply to a verb, asked as it is; again when the hub goes away meanwhile."""
        loop = asyncio.get_running_loop()
        end = 0.0
        while True:
            link = await self._connected()
            try:
                return await link.ask(verb, params)
            except Unavailable as error:
                if error.code not in PASSING or (end and loop.time() > end) or self._closed:
                    raise
                end = end or loop.time() + self._patience
                await asyncio.sleep(0 if error.code == "lost" else 0.05)

    # -- what is done every day

    async def send(self, to: str, text: str, **more: Any) -> Reply:
        """Send work (`mode="silent"`: a note) to a name, a list, a glob, `class:NAME`; see `messages.send`."""
        return await self.change("messages.send", to=to, text=text, **more)

    async def reply(self, text: str, to: str = "", **more: Any) -> Reply:
        """Answer a task: the only one, or that of the id `to`."""
        return await self.change("messages.reply", text=text, to=to, **more)

    async def ask(self, target: str, text: str, *, timeout: float | None = None, **more: Any) -> str:  # noqa: ASYNC109
        """Send work and wait for its answer (as `send --wait`).

        Refused("task_failed", ...) or the like when it was not done; Unavailable("time_over") after `timeout` seconds,
        and then the answer comes as a message.
        """
        if "," in target:
            raise BadRequest("one_target", "Ask one at a time: asyncio.gather() asks many.")
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        sent = await self.send(target, text, **{**more, "mode": "wait"})
        task = sent.get("task_id")
        if not task:
            raise BadRequest("one_target", f"'{target}' are many: a note was sent, and no answer comes.")
        while True:
            left = WAIT if end is None else min(WAIT, end - loop.time())
            if left <= 0:
                await self.change("tasks.stop_waiting", task=task)
                raise Unavailable("time_over", f"No answer in {timeout:g} s: it will come as a message.", task_id=task)
            if "state" in await self.call("tasks.wait", task=task, timeout=left):
                break
        entry = await self.call("history.show", task=task)
        answer = str(entry.get("answer", ""))
        if entry["state"] != "completed":
            reason = entry.get("reason", "")
            raise Refused(f"task_{entry['state']}", answer or reason or entry["state"], task_id=task, reason=reason)
        return answer

    async def inbox(self, which: str = "inbox") -> list[Reply]:
        """What lies in the box, oldest first; `sent`: what waits elsewhere; `dead`: what could not be delivered."""
        found: list[Reply] = (await self.call("messages.inbox", which=which)).get("messages", [])
        return found

    async def mail(self) -> AsyncIterator[Reply]:
        """The messages that come, one after the other, for ever; those first that lie there unread.

        Each is marked as read when it is given; a note is done with when the next one is asked for, a task when it is
        answered (`reply(text, to=message["task_id"])`).
        """
        after = 0
        while True:
            found = await self.call("messages.next", after=after, timeout=WAIT)
            for id in found.get("ids", ()):
                message = await self._read(id)
                if message is not None:
                    yield message
                    if not message.get("task_id"):
                        await self._acknowledge(id)
            after = found.get("position", after)

    async def _read(self, id: str) -> Reply | None:
        try:
            message = await self.call("messages.show", id=id)
            await self.change("messages.read", id=id)
        except (NotFound, Refused):
            return None  # somebody else of this name has taken it, or it was forgotten
        return message

    async def _acknowledge(self, id: str) -> None:
        try:
            await self.change("messages.ack", id=id)
        except (NotFound, Refused):
            pass  # it is done with already

    def listen(self, *, kinds: "tuple[str, ...] | list[str]" = (), after: int = -1, mine: bool = True) -> "Listening":
        """The events that concern me (`mine=False`: all, where that is permitted), from now on or behind a position.

        `kinds` like `tasks.*`. It goes on without a gap when the hub comes back.
        """
        listening = Listening(self, {"kinds": list(kinds), "mine": mine}, after)
        self._listening.add(listening)
        return listening

    # -- the connection

    def _ignore(self, method: str, params: dict[str, Any]) -> None:
        """What the hub says on the connection of the requests is for runners."""

    def _take(self, link: Link) -> None:
        self._link = link
        self.welcome = link.welcome
        self.name = str(link.welcome.get("name") or self.name)

    async def _one(self, on_frame: OnFrame, on_lost: Callable[[Any], None]) -> Link:
        """One attempt; Unavailable when there is no hub."""
        try:
            return await self._open(dict(self._hello), on_frame, on_lost)
        except OSError as error:
            raise Unavailable("no_hub", f"No hub answers: {error}.") from None

    async def _again(self, on_frame: OnFrame, on_lost: Callable[[Any], None]) -> Link:
        """The next hub, whenever it comes; raises what it refuses us with."""
        pause = 0.02
        while True:
            try:
                return await self._one(on_frame, on_lost)
            except Unavailable:
                await asyncio.sleep(pause)
                pause = min(1.0, pause * 1.5)

    def _lost(self, link: Any) -> None:
        """Be here again as soon as there is a hub, also when nothing is asked."""
        if not self._closed and link is self._link:
            self._return()

    def _return(self) -> "asyncio.Task[None]":
        if self._returning is None or self._returning.done():
            self._returning = asyncio.create_task(self._come_back())
            self._returning.add_done_callback(_seen)
        return self._returning

    async def _come_back(self) -> None:
        self._take(await self._again(self._ignore, self._lost))

    async def _connected(self) -> Link:
        if self._closed:
            raise Unavailable("closed", "This agent has left: use it inside its `async with`.")
        if self._link is None:
            raise Unavailable("closed", "This agent is not here yet: use it inside its `async with`.")
        if self._link.closed:
            try:
                async with asyncio.timeout(self._patience):
                    await asyncio.shield(self._return())
            except TimeoutError:
                raise Unavailable("no_hub", f"There has been no hub for {self._patience:g} s.") from None
        return self._link


class Subject:
    """The verbs about one subject: `alice.messages` has `send`, `reply`, `inbox` ..."""

    def __init__(self, agent: Agent, subject: str, registry: Mapping[str, Any]) -> None:
        self._agent = agent
        self._subject = subject
        self._registry = registry

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Reply]]:
        if name.startswith("_"):
            raise AttributeError(name)
        verb = f"{self._subject}.{name}"
        if self._registry and verb not in self._registry:
            raise AttributeError(f"there is no verb {verb}; there is {', '.join(dir(self))}")

        async def method(**params: Any) -> Reply:
            return await self._agent.do(verb, **params)

        method.__name__ = method.__qualname__ = verb
        method.__doc__ = getattr(self._registry.get(verb), "summary", None)
        return method

    def __dir__(self) -> list[str]:
        return sorted(name.partition(".")[2] for name in self._registry if name.partition(".")[0] == self._subject)


class Listening:
    """Events as they happen: `async for event in alice.listen()`.

    `async with alice.listen() as events` has begun to listen before its first line, and ends it after the last one.
    """

    def __init__(self, agent: Agent, ask: dict[str, Any], after: int) -> None:
        self._agent = agent
        self._ask = ask
        self._at = None if after < 0 else (after, WHOLE)
        self._link: Link | None = None
        self._events: deque[Event] = deque()
        self._came = asyncio.Event()
        self._paused = False
        self._closed = False

    @property
    def after(self) -> int:
        """The position behind which another one would have to begin to miss nothing; -1 before it has begun."""
        if self._at is None:
            return -1
        return self._at[0] if self._at[1] == WHOLE else self._at[0] - 1

    async def __aenter__(self) -> "Listening":
        await self._begin()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __aiter__(self) -> "Listening":
        return self

    async def __anext__(self) -> Event:
        while True:
            while self._events:
                event = self._events.popleft()
                self._maybe_resume()
                address = (int(event["position"]), int(event["index"]))
                if self._at is None or address > self._at:
                    self._at = address
                    return event
            if self._closed:
                raise StopAsyncIteration
            if self._link is None or self._link.closed:
                await self._begin()
            self._came.clear()
            if not self._events and not self._closed and not self._link_is_lost():
                await self._came.wait()

    async def aclose(self) -> None:
        """Listen no longer."""
        self._closed = True
        self._agent._listening.discard(self)
        self._came.set()
        if self._link is not None:
            await _end(self._link)

    def _link_is_lost(self) -> bool:
        return self._link is None or self._link.closed

    async def _begin(self) -> None:
        """Follow on a connection of its own, from where we are."""
        while self._link_is_lost() and not self._closed:
            first = self._link is None
            opening = self._agent._one if first else self._agent._again
            link = self._link = await opening(self._frame, self._gone)
            position, index = self._at or (-1, WHOLE)
            after = position if index == WHOLE else max(0, position - 1)
            try:
                reply = await link.ask("events.follow", {**self._ask, "after": after})
            except Unavailable as error:
                if error.code not in PASSING:
                    raise
                await _end(link)
                continue
            if self._at is None:
                self._at = (int(reply["after"]), WHOLE)

    def _frame(self, method: str, params: dict[str, Any]) -> None:
        if method != "event":
            return
        self._events.append(params)
        self._came.set()
        if len(self._events) >= HELD and not self._paused and self._link is not None:
            self._paused = True
            self._link.pause()

    def _maybe_resume(self) -> None:
        if self._paused and len(self._events) <= ENOUGH:
            self._paused = False
            if not self._link_is_lost():
                assert self._link is not None
                self._link.resume()

    def _gone(self, link: Any) -> None:
        self._paused = False
        self._came.set()


async def _end(link: Link) -> None:
    """Close it, and wait until nothing of it is left, where there is something to wait for."""
    link.close()
    waiting = getattr(link, "wait_closed", None)
    if waiting is not None:
        await waiting()
    else:
        await asyncio.sleep(0)


def _seen(task: "asyncio.Task[None]") -> None:
    """What went wrong is told to whoever asks next."""
    if not task.cancelled() and isinstance(task.exception(), SynapseError):
        return
