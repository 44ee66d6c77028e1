"""Live output of a task: told while somebody watches, in order, to everybody the same."""

import pytest

from synapse.hub.sessions import Session
from synapse.hub.watching import MOST
from tests.core.hub.kit import Bench, Peer

Heard = list[tuple[str, bool]]


class Watcher:
    """Somebody who watches a task, and what has been heard."""

    def __init__(self, bench: Bench, task: str) -> None:
        self.heard: Heard = []
        self.stop = bench.hub.watching.watch(task, lambda text, append: self.heard.append((text, append)))

    @property
    def text(self) -> str:
        shown = ""
        for text, append in self.heard:
            shown = shown + text if append else text
        return shown


async def working(bench: Bench) -> tuple[Peer, str]:
    """An agent, and the task in its terminal."""
    bob = await bench.agent("bob")
    task = (await bench.client("alice")("messages.send", to="bob", text="a story"))["task_id"]
    await bob.take()
    return bob, task


async def test_a_runner_hears_that_its_task_is_watched_and_that_it_is_no_more(bench: Bench) -> None:
    bob, task = await working(bench)
    first, second = Watcher(bench, task), Watcher(bench, task)
    assert await bob.frame("watch") == {"task": task, "on": True}
    first.stop()
    first.stop()
    assert not bob.frames
    second.stop()
    assert await bob.frame("watch") == {"task": task, "on": False}


async def test_a_task_in_the_queue_is_watched_from_its_beginning_on(bench: Bench) -> None:
    bob, task = await working(bench)
    later = (await bench.client("alice")("messages.send", to="bob", text="another"))["task_id"]
    watcher = Watcher(bench, later)
    await bob("tasks.complete", task=task, text="done")
    assert not [frame for frame in bob.frames if frame["method"] == "watch"]
    await bob.take()
    assert await bob.frame("watch") == {"task": later, "on": True}
    await bob("tasks.output", task=later, text="Once ")
    await bob("tasks.output", task=later, text="upon a time", append=True)
    assert watcher.heard == [("Once ", False), ("upon a time", True)]


async def test_who_comes_later_is_told_all_at_once_and_then_the_same(bench: Bench) -> None:
    bob, task = await working(bench)
    first = Watcher(bench, task)
    await bob("tasks.output", task=task, text="one ")
    await bob("tasks.output", task=task, text="two ", append=True)
    second = Watcher(bench, task)
    assert second.heard == [("one two ", False)]
    await bob("tasks.output", task=task, text="three", append=True)
    first.stop()
    await bob("tasks.output", task=task, text="all anew")
    assert (first.text, second.text) == ("one two three", "all anew")


async def test_a_runner_that_comes_back_is_told_again(bench: Bench) -> None:
    bob, task = await working(bench)
    watcher = Watcher(bench, task)
    bob.hang_up()
    again = bench.peer(Session(workspace="w"))
    await again("agents.attach", key=bob.key, live={"status": "PROCESSING"})
    assert await again.frame("watch") == {"task": task, "on": True}
    await again("tasks.output", task=task, text="where was I")
    assert watcher.text == "where was I"


async def test_what_is_said_behind_a_change_is_told_behind_it(held: Bench) -> None:
    bob, task = await working(held)
    watcher = Watcher(held, task)
    order: list[str] = []
    held.hub.on_publish.append(lambda position, events: order.extend(event.kind for event in events))
    held.hub.watching.watch(task, lambda text, append: order.append(text))
    held.log.hold()  # type: ignore[attr-defined]
    asked = bob.ask("tasks.ask", task=task, question="May I?")
    told = bob.ask("tasks.output", task=task, text="May I?")
    assert watcher.heard == []
    held.log.let_go()  # type: ignore[attr-defined]
    await asked
    await told
    assert order == ["tasks.input_required", "May I?"]


async def test_nothing_is_kept_of_what_nobody_watches(bench: Bench) -> None:
    bob, task = await working(bench)
    await bob("tasks.output", task=task, text="unheard")
    assert Watcher(bench, task).heard == []
    assert bench.kinds()[-1] == "tasks.working"  # nothing of this is in the log


async def test_a_listener_that_fails_keeps_nothing_from_the_others(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bob, task = await working(bench)

    def fail(text: str, append: bool) -> None:
        raise RuntimeError("no")

    bench.hub.watching.watch(task, fail)
    watcher = Watcher(bench, task)
    await bob("tasks.output", task=task, text="heard")
    assert watcher.text == "heard"
    assert "could not be told" in caplog.text


async def test_only_the_runner_of_a_task_tells_of_it(bench: Bench) -> None:
    bob, task = await working(bench)
    eve = await bench.agent("eve")
    assert (await eve.refused("tasks.output", task=task, text="x")).code == "not_yours"
    assert (await bench.command(bob).refused("tasks.output", task=task, text="x")).code == "not_a_runner"
    assert (await bob.refused("tasks.output", task="t-0", text="x")).code == "no_such_task"
    await bob("tasks.complete", task=task, text="done")
    assert (await bob.refused("tasks.output", task=task, text="x")).code == "task_ended"


async def test_what_is_kept_of_one_task_is_bounded(bench: Bench) -> None:
    bob, task = await working(bench)
    watcher = Watcher(bench, task)
    await bob("tasks.output", task=task, text="x" * MOST)
    assert (await bob.refused("tasks.output", task=task, text="y", append=True)).code == "too_much_output"
    await bob("tasks.output", task=task, text="only the end")
    assert watcher.text == "only the end"
