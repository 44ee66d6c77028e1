"""Who is to be called: push configurations and webhooks as verbs and as folded state."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse.event import Event, Fact
from synapse.hub.addresses import Reach
from synapse.hub.callback_facts import (
    PushConfigured,
    PushRemoved,
    PushSettled,
    WebhookAdded,
    WebhookRemoved,
    WebhookSettled,
)
from synapse.hub.callbacks import MOST_OWED, REMEMBERED, Callbacks
from synapse.hub.facts import Completed, Failed, InputRequired, LogForgotten, Renamed, Resumed, Working
from synapse.testing import Bench, Peer, check_projection
from synapse.verb import Permission

URL = "https://example.com/hook"  # nobody looks it up, nobody calls it
BELOW = frozenset({Permission.READ, Permission.WRITE})


async def asked(bench: Bench, who: Peer | None = None) -> tuple[Peer, str]:
    """Somebody who has asked bob for work, and the task."""
    await bench.client("bob")("agents.advertise", description="does it")
    kim = who or bench.person("kim")
    return kim, str((await kim("tasks.submit", to="bob", text="do it"))["task_id"])


# -- push


async def test_a_config_gets_an_id_and_is_told_whole_to_who_has_set_it(bench: Bench) -> None:
    kim, task = await asked(bench)
    set = await kim("push.set", task=task, url=URL, token="t", scheme="Bearer", credentials="c")
    assert set["id"].startswith("p-")
    assert not {"token", "credentials"} & set.keys()
    whole = {"id": set["id"], "task": task, "url": URL, "token": "t", "scheme": "Bearer", "credentials": "c"}
    assert await kim("push.get", task=task, id=set["id"]) == whole
    assert await kim("push.list", task=task) == {"configs": [whole], "next": ""}


async def test_secrets_are_told_to_nobody_else_and_stand_in_no_event(bench: Bench) -> None:
    kim, task = await asked(bench)
    await kim("push.set", task=task, url=URL, id="mine", token="t0ken", credentials="s3cret")
    await kim("webhooks.add", url=URL, secret="geheim")
    other = bench.person("pat")  # a person may look at everything
    assert (await other("push.get", task=task, id="mine")) == {"id": "mine", "task": task, "url": URL}
    told = [await who(verb) for who in (kim, other) for verb in ("webhooks.list", "webhooks.deliveries")]
    listed = json.dumps(told)
    stored = b"".join(event.body + record.reply for record in bench.truth.read(0) for event in record.events).decode()
    for secret in ("t0ken", "s3cret", "geheim"):
        assert secret not in listed
        assert secret not in stored


async def test_secrets_that_are_needed_no_more_are_dropped(bench: Bench) -> None:
    kim, task = await asked(bench)
    config = {"task": task, "url": URL, "id": "mine"}
    await kim("push.set", **config, token="first")
    await kim("push.set", **config, token="second")
    await kim("webhooks.add", url=URL, secret="first")
    again = await kim("webhooks.add", url=URL, secret="second")
    sums = [body["secrets"] for kind in ("push.configured", "webhooks.added") for body in bench.bodies(kind)]
    bench.core.spent.drop()
    await bench.until(lambda: [bench.truth.blob(sum) is None for sum in sums] == [True, False, True, False])
    assert (await kim("push.get", task=task, id="mine"))["token"] == "second"
    await kim("push.delete", task=task, id="mine")
    await kim("webhooks.remove", id=again["id"])
    await bench.restart()
    assert not [sum for sum in sums if bench.truth.blob(sum) is not None]


async def test_the_same_id_takes_the_place_of_the_one_before(bench: Bench) -> None:
    kim, task = await asked(bench)
    for url, token in ((URL, "old"), (f"{URL}/2", "")):
        await kim("push.set", task=task, url=url, id="mine", token=token)
    [config] = (await kim("push.list", task=task))["configs"]
    assert config == {"id": "mine", "task": task, "url": f"{URL}/2"}


async def test_a_repeated_change_happens_once_whatever_is_secret_in_it(bench: Bench) -> None:
    kim, task = await asked(bench)
    replies = [await kim.raw("push.set", task=task, url=URL, token="t", idempotency_key="k") for _ in range(2)]
    assert replies[0] == replies[1]
    assert len((await kim("push.list", task=task))["configs"]) == 1
    again = await kim.refused("push.set", task=task, url=URL, token="other", idempotency_key="k")
    assert again.code == "key_reused"


async def test_configs_of_an_ended_task_can_be_set_looked_at_and_deleted_twice(bench: Bench) -> None:
    kim, task = await asked(bench)
    await kim("tasks.cancel", task=task)
    set = await kim("push.set", task=task, url=URL)
    assert (await kim("push.get", task=task, id=set["id"]))["url"] == URL
    assert (await kim("push.delete", task=task, id=set["id"]))["deleted"] is True
    assert (await kim("push.delete", task=task, id=set["id"]))["deleted"] is False
    assert (await kim.refused("push.get", task=task, id=set["id"])).code == "no_such_push"
    assert not bench.hub.state.get(Callbacks).tasks_owed()


async def test_pages_of_configs_hold_each_once_in_order(bench: Bench) -> None:
    kim, task = await asked(bench)
    for number in range(7):
        await kim("push.set", task=task, url=URL, id=f"c{number}")
    await kim("push.set", task=task, url=f"{URL}/new", id="c0")
    found, token = [], ""
    while True:
        page = await kim("push.list", task=task, limit=3, token=token)
        found += [config["id"] for config in page["configs"]]
        token = page["next"]
        if not token:
            break
        await kim("push.delete", task=task, id=found[-1])  # what is gone is not missed
    assert found == [f"c{number}" for number in range(7)]
    for wrong in ({"limit": 0}, {"limit": 101}, {"token": "x"}, {"token": "-1"}, {"token": "9" * 30}):
        assert (await kim.refused("push.list", task=task, **wrong)).status == 400


async def test_somebody_elses_task_is_not_there(bench: Bench) -> None:
    _, task = await asked(bench)
    mallory = bench.client("mallory", permissions=BELOW)
    for verb, more in (
        ("push.set", {"url": URL}), ("push.get", {"id": "x"}), ("push.list", {}), ("push.delete", {"id": "x"}),
    ):  # fmt: skip
        assert (await mallory.refused(verb, task=task, **more)).code == "no_such_task"
        assert (await mallory.refused(verb, task="t-none", **more)).code == "no_such_task"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"url": "http://10.0.0.1/"}, "forbidden_address"),
        ({"url": "http://169.254.169.254/"}, "forbidden_address"),
        ({"url": "http://[::ffff:192.168.0.1]/"}, "forbidden_address"),
        ({"url": "http://127.0.0.1:8876/"}, "forbidden_address"),
        ({"url": "http://localhost:8876/"}, "forbidden_address"),
        ({"url": "http://2130706433:8876/"}, "forbidden_address"),
        ({"url": "file:///etc/passwd"}, "bad_url"),
        ({"url": "http://u:p@example.com/"}, "bad_url"),
        ({"url": ""}, "bad_url"),
        ({"url": URL, "token": "a\r\nX-Evil: 1"}, "bad_header"),
        ({"url": URL, "credentials": "a\nb"}, "bad_header"),
        ({"url": URL, "scheme": "Bearer\r\n", "credentials": "a"}, "bad_header"),
        ({"url": URL, "scheme": "a b", "credentials": "a"}, "bad_header"),
        ({"url": URL, "token": "\x00"}, "bad_header"),
        ({"url": URL, "token": "☃"}, "bad_header"),
        ({"url": URL, "token": "x" * 9000}, "too_large"),
        ({"url": URL, "id": "a\nb"}, "bad_id"),
        ({"url": URL, "id": "x" * 300}, "bad_id"),
    ],
)
async def test_what_cannot_be_called_is_refused_before_it_is_kept(
    bench: Bench, fields: dict[str, Any], code: str
) -> None:
    bench.hub.place.port = 8876
    kim, task = await asked(bench)
    assert (await kim.refused("push.set", task=task, **fields)).code == code
    assert (await kim.refused("push.check", **fields)).code == code
    if not {"scheme", "id", "token", "credentials"} & fields.keys():
        assert (await kim.refused("webhooks.add", **fields)).code == code
    assert not bench.hub.state.get(Callbacks).configs


async def test_the_ports_of_agents_are_not_called_either(bench: Bench) -> None:
    kim, task = await asked(bench)
    await bench.agent("carol")
    refused = await kim.refused("push.set", task=task, url="http://127.0.0.1:8100/")
    assert "belongs to the hub or to an agent" in refused.sentence


async def test_other_ports_of_this_machine_and_names_can_be_called(bench: Bench) -> None:
    kim, task = await asked(bench)
    for url in (
        "http://localhost:9000/",
        "http://127.0.0.1:9000/x?y",
        "http://[::1]:9000/",
        "https://nowhere.invalid/",
    ):
        await kim("push.set", task=task, url=url)
    bench.hub.place.push = Reach(loopback=False)
    assert (await kim.refused("push.set", task=task, url="http://localhost:9000/")).code == "forbidden_address"


# -- webhooks


async def test_the_same_url_again_changes_the_webhook(bench: Bench) -> None:
    kim = bench.person("kim")
    first = await kim("webhooks.add", url=URL)
    assert first["events"] == ["task.completed", "task.failed", "task.canceled", "task.input_required"]
    again = await kim("webhooks.add", url=URL, events=["task.failed"], secret="x")
    assert (again["id"], again["signed"], again["events"]) == (first["id"], True, ["task.failed"])
    [row] = (await kim("webhooks.list"))["webhooks"]
    assert (row["events"], row["signed"], row["owner"], row["waiting"]) == (["task.failed"], True, "kim", 0)


async def test_a_client_sees_and_removes_its_own_webhooks_a_person_all(bench: Bench) -> None:
    kim, alice = bench.person("kim"), bench.client("alice", permissions=BELOW)
    await kim("webhooks.add", url=URL)
    hers = await alice("webhooks.add", url=f"{URL}/alice")
    assert [row["id"] for row in (await alice("webhooks.list"))["webhooks"]] == [hers["id"]]
    assert len((await kim("webhooks.list"))["webhooks"]) == 2
    assert (await alice.refused("webhooks.remove", url=URL)).code == "no_such_webhook"
    assert (await alice.refused("webhooks.deliveries", id=URL)).code == "no_such_webhook"
    assert (await kim("webhooks.remove", url=f"{URL}/alice"))["removed"] == [hers["id"]]
    assert (await kim.refused("webhooks.remove", id=hers["id"])).code == "no_such_webhook"
    assert (await kim.refused("webhooks.remove")).code == "no_webhook"


async def test_what_a_webhook_cannot_be_is_refused(bench: Bench) -> None:
    kim = bench.person("kim")
    assert (await kim.refused("webhooks.add", url=URL, events=["task.done"])).code == "bad_event"
    assert (await kim.refused("webhooks.add", url=URL, agent="nobody")).code == "no_such_agent"
    assert (await kim.refused("webhooks.add", url=URL, secret="x" * 9000)).code == "too_large"
    for number in range(100):
        await kim("webhooks.add", url=f"{URL}/{number}")
    assert (await kim.refused("webhooks.add", url=URL)).code == "too_many"


async def test_a_renamed_agents_webhook_goes_with_it(bench: Bench) -> None:
    kim, bob = bench.person("kim"), await bench.agent("bob")
    await kim("webhooks.add", url=URL, agent="bob")
    await kim("agents.rename", target="bob", name="rob")
    task = (await kim("tasks.submit", to="rob", text="x"))["task_id"]
    await kim("tasks.cancel", task=task)
    [row] = (await kim("webhooks.list"))["webhooks"]
    assert (row["agent"], row["waiting"]) == ("rob", 1)
    [waiting] = (await kim("webhooks.deliveries"))["deliveries"]
    assert (waiting["task"], waiting["outcome"]) == (task, "waiting")
    assert bob.key


async def test_a_system_that_restarts_knows_what_it_owes(bench: Bench) -> None:
    kim, task = await asked(bench)
    await kim("webhooks.add", url=URL, secret="x")
    await kim("push.set", task=task, url=URL, id="mine")
    await kim("tasks.cancel", task=task)
    for again in (bench.restart, bench.crash):
        await again()
        callbacks = bench.hub.state.get(Callbacks)
        assert callbacks.tasks_owed() == {task}
        assert len(list(callbacks.owing(task))) == 2
        bench.check()


# -- the fold


def event(position: int, body: Fact, story: str = "t-1") -> Event:
    return Event(position, 0, float(position), body.kind, "a-1", "w", story, body)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Tasks that change, and those who want to hear of them, in any order that could ever be."""
    tasks, ids, hooks, boxes = ("t-1", "t-2"), ("p-1", "p-2"), ("w-1", "w-2"), ("w/bob", "a-2")
    events: list[Event] = []
    for position in range(1, draw(st.integers(1, 30)) + 1):
        task, id, hook, box = (draw(st.sampled_from(some)) for some in (tasks, ids, hooks, boxes))
        at = draw(st.integers(1, position))
        fact: Fact = draw(
            st.sampled_from(
                [
                    Working(task=task, box=box, requester="kim", agent="a-2"),
                    InputRequired(task=task, box=box, requester="kim"),
                    Resumed(task=task, box=box, requester="kim"),
                    Completed(task=task, box=box, requester="kim", text="x"),
                    Failed(task=task, box=box, requester="kim"),
                    PushConfigured(task=task, id=id, url=URL, owner="kim"),
                    PushConfigured(task=task, id=id, url=URL, owner="kim", owed=(at,)),
                    PushConfigured(task=task, id=id, url=URL, owner="kim", over=True),
                    PushSettled(task=task, id=id, position=at),
                    PushSettled(task=task, id=id, position=at, over=True),
                    PushRemoved(task=task, id=id),
                    WebhookAdded(id=hook, url=URL, owner="kim", events=("task.completed",), box=box),
                    WebhookAdded(id=hook, url=URL, owner="kim", events=("task.completed", "task.input_required")),
                    WebhookSettled(id=hook, task=task, position=at, event="task.completed", status=200),
                    WebhookRemoved(id=hook),
                    Renamed(key="a-2", name="rob", chosen=True, old_box="w/bob", box="w/rob"),
                    LogForgotten(stories=(task,)),
                ]
            )
        )
        events.append(event(position, fact, task))
    return events


@given(histories())
def test_the_laws_of_a_projection(history: list[Event]) -> None:
    check_projection(Callbacks, history)


@given(histories())
def test_what_is_counted_agrees_with_what_is_owed(history: list[Event]) -> None:
    callbacks = Callbacks()
    for each in history:
        callbacks.apply(each)
        assert callbacks.configured == sum(map(len, callbacks.configs.values()))
        for hook in callbacks.hooks.values():
            assert hook.owing == sum(map(len, hook.owed.values()))
            assert all(hook.owed.values())
        for task in callbacks.tasks_owed():
            assert list(callbacks.owing(task))
        for config in (one for of_task in callbacks.configs.values() for one in of_task.values()):
            assert config.owed == sorted(set(config.owed))


def test_of_more_than_a_webhook_can_be_owed_the_oldest_are_given_up() -> None:
    callbacks = Callbacks()
    callbacks.apply(event(1, WebhookAdded(id="w-1", url=URL, owner="kim", events=("task.completed",)), "w-1"))
    for number in range(2, MOST_OWED + 12):
        callbacks.apply(event(number, Completed(task=f"t-{number}", box="b", requester="kim"), f"t-{number}"))
    hook = callbacks.hooks["w-1"]
    assert (hook.owing, len(hook.owed), hook.given_up) == (MOST_OWED, MOST_OWED, 10)
    assert "t-2" not in hook.owed
    assert f"t-{MOST_OWED + 11}" in hook.owed


def test_of_ended_tasks_the_newest_configurations_are_kept() -> None:
    callbacks = Callbacks()
    for number in range(1, REMEMBERED + 11):
        callbacks.apply(event(number, PushConfigured(task=f"t-{number}", id="p", url=URL, owner="kim", over=True)))
    assert callbacks.configured == REMEMBERED
    assert "t-10" not in callbacks.configs
    assert "t-11" in callbacks.configs


async def test_what_somebody_wants_to_hear_of_moves_with_its_name_and_nobody_else_is_told_the_secrets(
    bench: Bench,
) -> None:
    await bench.agent("bob")
    alice = await bench.agent("alice")
    task = (await alice("tasks.submit", to="bob", text="x"))["task_id"]
    await alice("push.set", task=task, url=URL, id="mine", token="t0ken")
    hook = (await alice("webhooks.add", url=URL, secret="geheim"))["id"]
    await alice("agents.rename", name="alina")
    assert (await alice("push.get", task=task, id="mine"))["token"] == "t0ken"
    assert [one["id"] for one in (await alice("webhooks.list"))["webhooks"]] == [hook]
    other = await bench.agent("alice")
    assert (await other.refused("push.get", task=task, id="mine")).code == "no_such_task"
    assert not (await other("webhooks.list"))["webhooks"]
    assert (await other.refused("webhooks.remove", id=hook)).code == "no_such_webhook"
    admin = bench.person()
    assert "token" not in await admin("push.get", task=task, id="mine")
    bench.check()
