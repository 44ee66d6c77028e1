"""The agent that answers test clients: by the id of a message, at once or step by step, and only where it is wanted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from synapse.a2a import tck
from synapse.a2a.tck import ScriptedAgent, behaviour, send_off
from synapse.errors import Refused, Unavailable
from synapse.hub.agents import Agents
from synapse.log.faulty import Fault, FaultyLog
from synapse.log.memory import MemoryLog
from synapse.testing import BOUND, Bench, Peer

PARTS = {
    "tck-artifact-text": [{"kind": "text", "value": "Generated text content"}],
    "tck-artifact-file-url": [
        {"kind": "url", "value": "https://example.com/output.txt", "media_type": "text/plain", "filename": "output.txt"}
    ],
    "tck-artifact-data": [{"kind": "data", "value": '{"key":"value","count":42}'}],
    "tck-stream-001": [{"kind": "text", "value": "Stream hello from TCK"}],
    "tck-stream-003": [{"kind": "text", "value": "Stream task lifecycle"}],
    "tck-stream-ordering-001": [{"kind": "text", "value": "Ordered output"}],
    "tck-stream-artifact-text": [{"kind": "text", "value": "Streamed text content"}],
    "tck-stream-artifact-chunked": [{"kind": "text", "value": "chunk-1 chunk-2"}],
}


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = await Bench().open()
    yield bench
    await bench.close()


@pytest.fixture
async def agent(bench: Bench) -> AsyncIterator[ScriptedAgent]:
    agent = ScriptedAgent(bench.core)
    await agent.open()
    yield agent
    agent.close()


@pytest.fixture
def ada(bench: Bench, agent: ScriptedAgent) -> Peer:
    return bench.client("ada", tck.WORKSPACE)


async def ask(peer: Peer, message_id: str) -> str:
    """The task that comes of a message."""
    reply = await peer("tasks.submit", to="tck", text="x", message_id=message_id)
    return str(reply["task_id"])


async def ends(peer: Peer, task: str, *states: str) -> Any:
    """The task once it is in one of these states; by default, once it has ended."""
    wanted = states or ("completed", "failed", "canceled", "rejected")
    async with asyncio.timeout(BOUND):
        while True:
            with contextlib.suppress(Unavailable):
                view = await peer("tasks.get", task=task)
                if view["state"] in wanted:
                    return view
            await asyncio.sleep(0.005)


def told(view: Any) -> str:
    """What was said with the state."""
    return "".join(part["value"] for part in view["status"]["parts"]) if view.get("status") else ""


@pytest.mark.parametrize(
    ("id", "first"),
    [
        ("tck-artifact-file-url-1234abcd", "tck-artifact-file-url"),
        ("tck-artifact-file-1234abcd", "tck-artifact-file"),
        ("tck-stream-artifact-file-1234abcd", "tck-stream-artifact-file"),
        ("tck-stream-ordering-001-1234abcd", "tck-stream-ordering-001"),
        ("tck-stream-001-1234abcd", "tck-stream-001"),
        ("tck-infer-ctx-1234abcd", ""),
        ("", ""),
    ],
)
def test_the_longest_prefix_counts(id: str, first: str) -> None:
    assert behaviour(id) is tck.BEHAVIOURS[first]


@pytest.mark.parametrize("prefix", PARTS)
async def test_an_answer_is_what_the_id_asks_for(ada: Peer, prefix: str) -> None:
    view = await ends(ada, await ask(ada, f"{prefix}-1234abcd"))
    assert (view["state"], view["answer"]) == ("completed", PARTS[prefix])


@pytest.mark.parametrize("prefix", ["tck-artifact-file", "tck-stream-artifact-file"])
async def test_a_file_comes_with_its_content(ada: Peer, prefix: str) -> None:
    [part] = (await ends(ada, await ask(ada, f"{prefix}-1234abcd")))["answer"]
    assert (part["kind"], part["filename"], part["media_type"]) == ("raw", "output.txt", "text/plain")
    assert part["value"]


async def test_other_ends_are_told_with_the_state(ada: Peer) -> None:
    done = await ends(ada, await ask(ada, "tck-complete-task-1"))
    assert (done["state"], told(done), done.get("answer", [])) == ("completed", "Hello from TCK", [])
    refused = await ends(ada, await ask(ada, "tck-reject-task-1"))
    assert (refused["state"], told(refused)) == ("rejected", "rejected")
    assert (await ends(ada, await ask(ada, "tck-transport-test-001")))["state"] == "completed"


async def test_a_direct_answer_is_there_before_anybody_can_look(ada: Peer) -> None:
    task = await ask(ada, "tck-message-response-1")
    view = await ada("tasks.get", task=task)
    assert (view["state"], view["direct"], view["answer"][0]["value"]) == ("completed", True, "Direct message response")


async def test_the_same_id_is_no_reason_to_answer_once(ada: Peer) -> None:
    tasks = [await ask(ada, "tck-artifact-text-1") for _ in range(3)]
    assert len(set(tasks)) == 3
    assert [(await ends(ada, task))["state"] for task in tasks] == ["completed"] * 3


async def test_several_questions_stand_open_while_other_work_goes_on(ada: Peer) -> None:
    open_ = [await ask(ada, "tck-input-required-1") for _ in range(2)]
    for task in open_:
        assert (await ends(ada, task, "input-required"))["status"]["parts"]
    assert (await ends(ada, await ask(ada, "tck-complete-task-1")))["state"] == "completed"
    await ada("tasks.say", task=open_[0], text="this", message_id="m-7")
    assert (await ends(ada, open_[0]))["state"] == "completed"
    await ada("tasks.cancel", task=open_[1])
    assert (await ends(ada, open_[1]))["state"] == "canceled"


async def test_a_login_is_asked_for_by_a_task_that_goes_on_afterwards(ada: Peer) -> None:
    task = await ask(ada, "tck-auth-required-1")
    assert told(await ends(ada, task, "auth-required"))
    await ada("tasks.say", task=task, text="I have", message_id="tck-complete-task-2")
    assert told(await ends(ada, task)) == "Hello from TCK"
    given_up = await ask(ada, "tck-auth-required-1")
    await ends(ada, given_up, "auth-required")
    await ada("tasks.cancel", task=given_up)
    assert (await ends(ada, given_up))["state"] == "canceled"


async def test_what_is_said_to_a_question_may_say_what_comes_of_it(ada: Peer) -> None:
    task = await ask(ada, "tck-input-required-1")
    await ends(ada, task, "input-required")
    await ada("tasks.say", task=task, text="again", message_id="tck-input-required-2")
    await ends(ada, task, "input-required")
    await ada("tasks.say", task=task, text="and now", message_id="tck-artifact-text-2")
    assert (await ends(ada, task))["answer"] == PARTS["tck-artifact-text"]


async def test_chunks_are_told_while_it_works(bench: Bench, ada: Peer) -> None:
    task = await ask(ada, "tck-stream-artifact-chunked-1")
    heard: list[tuple[str, bool]] = []
    stop = bench.hub.watching.watch(task, lambda text, append: heard.append((text, append)))
    await ends(ada, task)
    assert heard == [("chunk-1 ", False), ("chunk-2", True)]
    stop()


async def test_what_is_called_off_stays_so(ada: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    task = await ask(ada, "test-resubscribe-message-id-1")
    await ends(ada, task, "working")
    await ada("tasks.cancel", task=task)
    early = await ask(ada, "tck-complete-task-1")
    await ada("tasks.cancel", task=early)
    assert (await ends(ada, await ask(ada, "tck-complete-task-1")))["state"] == "completed"
    for one in (task, early):
        assert (await ada("tasks.get", task=one))["state"] == "canceled"


async def test_what_comes_by_no_protocol_is_answered_too(bench: Bench, ada: Peer) -> None:
    task = (await ada("messages.send", to="tck", text="hello", mode="wait"))["task_id"]
    assert (await ends(ada, task))["answer"][0]["value"] == "Done"
    await ada("messages.send", to="tck", text="a note", mode="silent")
    await bench.until(lambda: "messages.delivered" in bench.kinds()[-1:])


async def test_it_leaves_with_its_hub_and_what_it_had_in_its_hands_fails(bench: Bench) -> None:
    agent = ScriptedAgent(bench.core)
    await agent.open()
    ada = bench.client("ada", tck.WORKSPACE)
    tasks = [await ask(ada, "tck-input-required-1") for _ in range(2)]
    for task in tasks:
        await ends(ada, task, "input-required")
    late = await ask(ada, "tck-complete-task-1")
    agent.close()
    for task in tasks:
        assert (await ends(ada, task))["state"] == "failed"
    assert (await ends(ada, late))["state"] == "rejected"
    assert bench.hub.state.get(Agents).named(tck.WORKSPACE, tck.NAME) is None


async def test_what_it_did_in_a_stay_before_is_its_own(bench: Bench) -> None:
    agent = ScriptedAgent(bench.core)
    await agent.open()
    ada = bench.client("ada", tck.WORKSPACE)
    done = await ask(ada, "tck-complete-task-1")
    box = (await ends(ada, done))["box"]
    agent.close()
    again = ScriptedAgent(bench.core)
    await again.open()
    assert (await ends(ada, await ask(ada, "tck-complete-task-2")))["box"] == box
    again.close()


async def test_after_a_crash_there_is_none_or_a_new_one(bench: Bench) -> None:
    await ScriptedAgent(bench.core).open()
    ada = bench.client("ada", tck.WORKSPACE)
    await ends(ada, await ask(ada, "tck-input-required-1"), "input-required")
    await bench.crash()
    again = ScriptedAgent(bench.core)
    await again.open()
    ada = bench.client("ada", tck.WORKSPACE)
    assert (await ends(ada, await ask(ada, "tck-complete-task-1")))["state"] == "completed"
    await bench.crash()
    send_off(bench.core)
    await bench.settled()
    assert bench.hub.state.get(Agents).named(tck.WORKSPACE, tck.NAME) is None
    send_off(bench.core)  # and nothing is noted where there is none
    assert bench.kinds().count("agents.left") == 2


async def test_a_name_that_somebody_has_is_not_taken(bench: Bench) -> None:
    await bench.client("tck", tck.WORKSPACE)("agents.here")
    with pytest.raises(Refused, match="needs the name"):
        await ScriptedAgent(bench.core).open()


@pytest.mark.parametrize("fails", [[Fault.BEFORE], [None, Fault.BEFORE], [Fault.AFTER], [None, Fault.AFTER]])
async def test_what_could_not_be_stored_is_answered_when_there_is_room_again(
    fails: list[Fault | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tck, "AGAIN", 0.01)
    log = FaultyLog(MemoryLog())
    bench = await Bench(log).open()
    agent = ScriptedAgent(bench.core)
    await agent.open()
    ada = bench.client("ada", tck.WORKSPACE)
    task = await ask(ada, "tck-complete-task-1")
    log.fail("append", fails)
    assert (await ends(ada, task))["state"] == "completed"
    agent.close()
    await bench.close()
