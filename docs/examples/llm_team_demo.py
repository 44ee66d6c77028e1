"""A planner that asks a team of workers. Here they answer by rules; put the call of a model into `think`."""

import asyncio
from collections.abc import Callable

from synapse import Agent, Hub

Rule = Callable[[str], str]


def count(text: str) -> str:
    return f"{len(text.split())} words"


def shout(text: str) -> str:
    return text.upper()


async def think(rule: Rule, prompt: str) -> str:
    """What a worker makes of a prompt. With a model: `return (await client.messages.create(...)).content[0].text`."""
    return rule(prompt)


async def work(worker: Agent, rule: Rule) -> None:
    """Take tasks for ever; what goes wrong is the answer of that one task."""
    async for message in worker.mail():
        try:
            await worker.reply(await think(rule, message["text"]), to=message["task_id"])
        except ValueError as error:
            await worker.messages.reply(to=message["task_id"], fail=str(error))


async def main() -> None:
    async with (
        Hub() as hub,
        hub.agent("planner") as planner,
        hub.agent("counter") as counter,
        hub.agent("shouter") as shouter,
    ):
        await counter.agents.advertise(task_classes=["count"], model="rules")
        await shouter.agents.advertise(task_classes=["shout"], model="rules")
        team = [asyncio.create_task(work(counter, count)), asyncio.create_task(work(shouter, shout))]
        asked = [("class:count", "many hands make light work"), ("class:shout", "ship it")]
        answers = await asyncio.gather(*(planner.ask(target, prompt) for target, prompt in asked))
        for (target, prompt), answer in zip(asked, answers, strict=True):
            print(f"{target}: {prompt} -> {answer}")
        for task in team:
            task.cancel()
        await asyncio.gather(*team, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
