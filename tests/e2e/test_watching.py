"""Live output of real programs in real terminals, as a listener in the hub's process hears it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from synapse.server.app import Options, Server
from tests.core.server.conftest import House as Doors
from tests.core.server.conftest import Peer
from tests.e2e.agents_kit import House


class Home(House):
    """Agents as processes of their own, and their hub in the test's own loop."""

    server: Server
    doors: Doors

    async def agent_of(self, name: str, *words: str) -> dict[str, Any]:
        return await asyncio.to_thread(self.agent, name, *words)


@pytest.fixture
async def home() -> AsyncIterator[Home]:
    home = Home()
    try:
        async with Server(Options(str(home.data), port=home.port, rate=0)) as server:
            home.server = server
            home.doors = Doors(server)
            yield home
            await home.doors.close()
            await asyncio.to_thread(home.synapse, "kill", "-f", "bob")
    finally:
        await asyncio.to_thread(home.close)


class Heard:
    """What a listener has heard of a task."""

    def __init__(self, server: Server, task: str) -> None:
        self.pieces: list[tuple[str, bool]] = []
        self.text = ""
        self.stop = server.core.hub.watching.watch(task, self._hear)

    def _hear(self, text: str, append: bool) -> None:
        self.pieces.append((text, append))
        self.text = self.text + text if append else text


async def asked(doors: Doors, text: str) -> tuple[Peer, str]:
    peer = await doors.guest(**{"as": "alice", "workspace": "house"})
    reply = await peer.ask("messages.send", to="bob", text=text, mode="wait", idempotency_key=os.urandom(8).hex())
    return peer, str(reply["result"]["task_id"])


async def until(what: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not what():
            await asyncio.sleep(0.01)


async def test_a_slow_answer_is_heard_while_it_is_given_and_nothing_of_it_unwatched(home: Home) -> None:
    await home.agent_of("bob", "demo", "--delay", "0")
    hub = home.server.core.hub
    told_of: list[str] = []
    tell = hub.watching.told
    hub.watching.told = lambda task, text, append: (told_of.append(task), tell(task, text, append))[1]  # type: ignore
    peer, task = await asked(home.doors, "SLOW 4 the end.")
    heard = Heard(home.server, task)
    ended = asyncio.create_task(peer.ask("tasks.wait", task=task, timeout=30))
    await until(lambda: len(heard.pieces) > 3)
    assert not ended.done()
    late = Heard(home.server, task)
    assert late.pieces == [(heard.text, False)]
    assert (await ended)["result"]["state"] == "completed"
    answer = (await peer.ask("history.show", task=task))["result"]["answer"]
    assert answer.startswith(heard.text), (heard.pieces, answer)
    assert all(append for _, append in heard.pieces[1:]), heard.pieces
    assert late.text == heard.text
    heard.stop()
    late.stop()
    assert set(told_of) == {task}
    told_of.clear()
    peer, task = await asked(home.doors, "SLOW 0.5 unwatched.")
    assert (await peer.ask("tasks.wait", task=task, timeout=30))["result"]["state"] == "completed"
    assert told_of == []


async def test_a_shells_output_is_heard_line_by_line(home: Home) -> None:
    await home.agent_of("bob", "shell")
    peer, task = await asked(home.doors, "for i in 1 2 3 4 5; do echo line $i; sleep 0.3; done")
    heard = Heard(home.server, task)
    await until(lambda: "line 3" in heard.text)
    assert heard.text.startswith("line 1\nline 2")
    assert (await peer.ask("tasks.wait", task=task, timeout=30))["result"]["state"] == "completed"
    heard.stop()


async def test_what_looks_like_a_prompt_is_heard_while_the_program_still_works_and_its_prompt_is_not(
    home: Home,
) -> None:
    await home.agent_of("bob", "shell")
    peer, task = await asked(home.doors, f"printf 'working $'; until [ -e {home.data}/go ]; do sleep 0.1; done; echo")
    heard = Heard(home.server, task)
    await until(lambda: heard.text == "working $")
    (home.data / "go").touch()
    assert (await peer.ask("tasks.wait", task=task, timeout=30))["result"]["state"] == "completed"
    assert heard.text.rstrip("\n") == "working $"
    heard.stop()


async def test_a_watched_task_is_heard_of_again_when_its_runner_has_come_back(home: Home) -> None:
    await home.agent_of("bob", "shell")
    peer, task = await asked(home.doors, "echo first; sleep 1.5; echo second; sleep 1")
    heard = Heard(home.server, task)
    await until(lambda: heard.text == "first")
    [runner] = home.server.core.hub.sessions.runners()
    for connection in list(home.server.door._inside):
        if connection.session is runner:
            connection._transport.abort()
    await until(lambda: heard.text == "first\nsecond")
    assert heard.pieces[1][1] is False  # all of it again
    await peer.ask("tasks.wait", task=task, timeout=30)
    heard.stop()
