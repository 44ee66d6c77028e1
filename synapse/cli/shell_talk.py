"""The hub's side of `synapse shell`: what is said to agents, and what they say, as it comes."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from synapse.cli.table import harmless
from synapse.cli.wording import Names, text_of
from synapse.client.agent import Agent, Listening
from synapse.errors import NotFound, SynapseError

T = TypeVar("T")
Event = dict[str, Any]

KINDS = ("messages.sent", "agents.joined", "agents.renamed", "tasks.*")
ENDED = ("tasks.completed", "tasks.failed", "tasks.canceled", "tasks.rejected")
MOST_EARLY = 1000  # tasks that ended and are not known to be ours (yet)
LEAVE_WITHIN = 5.0  # seconds


class Talk:
    """A participant in a thread of its own. `say` is called there with each text that came; `pending` are open tasks."""

    def __init__(self, name: str, workspace: str, *, start: bool, say: Callable[[str], None]) -> None:
        self.pending: dict[str, str] = {}  # task -> whom it was given
        self.failed = False
        self._caller = (name, workspace, start)
        self._say = say
        self._early: dict[str, None] = {}
        self._names = Names()
        self._all_answered = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._agent: Agent
        self._listening: Listening
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> "Talk":
        self._thread.start()
        try:
            self._do(self._open())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._do(self._close(), LEAVE_WITHIN)
        except (SynapseError, TimeoutError):
            pass  # the hub is gone: the answers lie in the history
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: "Coroutine[Any, Any, T]", seconds: float | None = None) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    # -- what a person does

    def send(self, target: str, text: str) -> None:
        """Give work to a target; raises what the hub refuses with."""
        self._do(self._send(target, text))

    def check(self, target: str) -> None:
        """Is there such a target? Raises what the hub says when there is not."""
        if not any(sign in target for sign in ",*?[") and target != "all":
            self._do(self._agent.call("agents.show", target=target))

    def names(self) -> list[str]:
        """Who is here."""
        found = self._do(self._agent.call("agents.who")).get("participants") or []
        return sorted(one["name"] for one in found if one["name"] != self._agent.name)

    def wait(self) -> None:
        """Until everything is answered."""
        while self.pending:
            self._all_answered.wait(0.5)  # in pieces, so that Ctrl-C is noticed
            self._all_answered.clear()

    # -- in the thread

    async def _open(self) -> None:
        name, workspace, start = self._caller
        self._agent = Agent(name, workspace=workspace, start=start)
        await self._agent.__aenter__()
        await self._agent.change("agents.here")
        self._names = Names((await self._agent.call("agents.list", workspace="*", all=True)).get("agents") or [])
        self._listening = self._agent.listen(kinds=KINDS)
        await self._listening.__aenter__()
        self._task = self._loop.create_task(self._hear())

    async def _close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        for task in list(self.pending):
            try:
                await self._agent.change("tasks.stop_waiting", task=task)
            except SynapseError:
                pass  # it has just ended
        await self._agent.close()

    async def _send(self, target: str, text: str) -> None:
        sent = await self._agent.send(target, text, mode="wait")
        tasks = sent.get("tasks") or [sent.get("task_id")]
        for task, name in zip(tasks, sent.get("to") or (), strict=False):
            if task:
                self.pending[task] = name
                if task in self._early:
                    await self._ended(task)
        if not any(tasks):
            self._say(f"(a note to {', '.join(sent.get('to') or ()) or 'nobody'}: no answer comes)")

    async def _hear(self) -> None:
        async for event in self._listening:
            self._names.learn(event)
            body = event["body"]
            if not isinstance(body, dict) or not body:
                continue  # it was redacted
            if event["kind"] in ENDED:
                if body["task"] in self.pending:
                    await self._ended(body["task"])
                else:
                    self._early[body["task"]] = None
                    while len(self._early) > MOST_EARLY:
                        del self._early[next(iter(self._early))]
            elif event["kind"] == "tasks.input_required" and body["task"] in self.pending:
                name, choices = self.pending[body["task"]], " / ".join(body.get("choices") or ())
                asked = f"{body.get('question', '')}{f' [{choices}]' if choices else ''}"
                self._say(f"{name} asks: {harmless(asked)}   (synapse waiting, or synapse attach {name})")
            elif event["kind"] == "messages.sent" and self._names.of(event["by"]) != self._agent.name:
                await self._written(event)

    async def _written(self, event: Event) -> None:
        body = event["body"]
        try:
            long = (await self._agent.call("messages.show", id=body["id"])).get("text") if body.get("blob") else ""
        except NotFound:
            return  # it was forgotten meanwhile
        text = long or text_of(body)
        how = f"   (synapse reply --to {body['id']} ...)" if body.get("role", "task") == "task" else ""
        self._say(_said(self._names.of(body.get("sender") or event["by"]), str(text)) + how)

    async def _ended(self, task: str) -> None:
        """Tell the answer to a task of ours."""
        name = self.pending[task]
        entry = await self._agent.call("history.show", task=task)
        state, answer = str(entry["state"]), str(entry.get("answer", ""))
        if state == "completed" and entry.get("source") != "none":
            self._say(_said(name, answer))
        elif state == "completed":
            self._say(f"{name} has ended without an answer (synapse attach {name} shows its screen)")
        else:
            self.failed = True
            reason = f" ({entry['reason']})" if entry.get("reason") else ""
            self._say(f"{name} {state}{reason}{': ' if answer else ''}{harmless(answer)}")
        self.pending.pop(task, None)
        self._early.pop(task, None)
        if not self.pending:
            self._all_answered.set()


def _said(name: str, text: str) -> str:
    """`bob: yes`; a text of several lines begins below the name."""
    text = harmless(text).rstrip("\n")
    return f"{name}:\n{text}" if "\n" in text else f"{name}: {text}"
