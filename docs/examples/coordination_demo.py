"""Three participants and a hub in one process: what they tell, ask, claim, wait for and hand over. Just run it.

Who may write which files is a plugin of this program's own: a fact, what follows from it, two verbs.
"""

import asyncio
import sys
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from synapse import Agent, Call, Change, Event, Fact, Hub, Reply, change, hookimpl, plugins
from synapse.errors import Refused


class Held(Fact, frozen=True):
    """Files are somebody's, or nobody's again."""

    kind: ClassVar[str] = "claims.held"
    holder: str = ""


class Holders:
    """Who holds what, by folder or file."""

    name = "claims"
    version = 1
    kinds = frozenset({Held.kind})

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.by_path: dict[str, str] = {}

    def apply(self, event: Event) -> None:
        path = event.story.removeprefix("claim:")
        if event.body.holder:
            self.by_path[path] = event.body.holder
        else:
            self.by_path.pop(path, None)

    def dump(self) -> bytes:
        return msgspec.json.encode(self.by_path)

    def load(self, state: bytes) -> None:
        self.by_path = msgspec.json.decode(state, type=dict[str, str])


class ClaimRequest(Change, kw_only=True):
    path: str


@change("claims.take")
def take(call: Call, request: ClaimRequest) -> Reply:
    """Claim a file or a folder; refused while somebody else holds what lies in it or around it."""
    for path, holder in call.state(Holders).by_path.items():
        within, around = f"{request.path}/".startswith(f"{path}/"), f"{path}/".startswith(f"{request.path}/")
        if holder != call.name and (within or around):
            raise Refused("held", f"{holder} holds {path}.")
    call.emit(Held(holder=call.name), f"claim:{request.path}")
    return Reply()


@change("claims.release")
def release(call: Call, request: ClaimRequest) -> Reply:
    """Give back what one holds."""
    if call.state(Holders).by_path.get(request.path) != call.name:
        raise Refused("not_yours", f"{request.path} is not yours.")
    call.emit(Held(), f"claim:{request.path}")
    return Reply()


@hookimpl
def synapse_facts() -> Iterable[type[Fact]]:
    return (Held,)


@hookimpl
def synapse_projections() -> Iterable[Any]:
    return (Holders(),)


@hookimpl
def synapse_verbs() -> Iterable[Any]:
    return (take, release)


async def declare(builder: Agent, reviewer: Agent) -> None:
    """Everybody says what they can; work is then sent to a class instead of a name."""
    await builder.agents.advertise(description="Writes code.", skills=["python"], task_classes=["build"])
    await reviewer.agents.advertise(description="Reads code.", skills=["python"], task_classes=["review"])
    manifest = await builder.agents.manifest()
    print("declared:", ", ".join(f"{name} by {who[0]}" for name, who in manifest["task_classes"].items()))


async def remember(hub: Hub, builder: Agent, reviewer: Agent) -> None:
    """What everybody should know goes into the shared memory, where that plugin is installed."""
    if "memory.save" not in hub.verbs:
        print("remembered: nothing, for there is no shared memory")
        return
    await builder.memory.save(key="auth-design", text="Tokens live for an hour.")
    found = await reviewer.memory.search(query="tokens")
    print("remembered:", "auth-design" if "auth-design" in str(found) else "lost")


async def build(builder: Agent) -> None:
    """The builder's work: it claims the files, cannot begin before it knows more, and asks (it is blocked until then)."""
    async for task in builder.mail():
        await builder.claims.take(path="src/auth")
        print(f"{builder.name} is blocked: {task['text']}? It asks.")
        answer = await builder.ask(task["sender"], "How long does a token live?")
        print(f"{builder.name} is unblocked: {answer}")
        verdict = await builder.ask("class:review", f"def expiry(): return 3600  # {answer}")  # handed off
        await builder.claims.release(path="src/auth")
        await builder.reply(f"built; the review says: {verdict}", to=task["task_id"])
        return


async def review(hub: Hub, reviewer: Agent) -> None:
    """The reviewer's work. It may not write what the builder holds; only who was asked answers a task."""
    async for task in reviewer.mail():
        try:
            await reviewer.claims.take(path="src/auth/tokens.py")
        except Refused as refusal:
            print(f"refused: {refusal.code}: {refusal}")
        async with Agent("intruder", hub=hub) as intruder:
            try:
                await intruder.reply("looks bad", to=task["task_id"])
            except Refused as refusal:
                print("refused:", refusal.code)
        await reviewer.reply("fine", to=task["task_id"])
        return


async def answer(lead: Agent) -> None:
    """The lead knows what the builder does not."""
    async for task in lead.mail():
        await lead.reply("an hour", to=task["task_id"])
        return


async def main() -> None:
    async with (
        Hub(plugins=[*plugins.load(), plugins.of("claims", sys.modules[__name__])]) as hub,
        hub.agent("lead") as lead,
        hub.agent("builder") as builder,
        hub.agent("reviewer") as reviewer,
    ):
        await declare(builder, reviewer)
        await remember(hub, builder, reviewer)
        async with asyncio.TaskGroup() as group:
            group.create_task(build(builder))
            group.create_task(review(hub, reviewer))
            group.create_task(answer(lead))
            print("handed back:", await lead.ask("class:build", "expiry of tokens"))
        await reviewer.claims.take(path="src/auth/tokens.py")
        print("the reviewer holds: src/auth/tokens.py")


if __name__ == "__main__":
    asyncio.run(main())
