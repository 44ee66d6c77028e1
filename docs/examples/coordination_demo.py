"""Three participants and a hub in one process: what they tell, ask, wait for and hand over. Run it: nothing else is needed."""

import asyncio

from synapse import Agent, Hub
from synapse.errors import Refused


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
    """The builder's work: it cannot begin before it knows more, and asks for that (it is blocked until then)."""
    async for task in builder.mail():
        print(f"{builder.name} is blocked: {task['text']}? It asks.")
        answer = await builder.ask(task["sender"], "How long does a token live?")
        print(f"{builder.name} is unblocked: {answer}")
        verdict = await builder.ask("class:review", f"def expiry(): return 3600  # {answer}")  # handed off
        await builder.reply(f"built; the review says: {verdict}", to=task["task_id"])
        return


async def review(hub: Hub, reviewer: Agent) -> None:
    """The reviewer's work; only who was asked answers a task."""
    async for task in reviewer.mail():
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
        Hub() as hub,
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


if __name__ == "__main__":
    asyncio.run(main())
