"""Conversations: work asked for by a protocol, what its task asks back, and the whole of it read again."""

from base64 import b64encode
from typing import Any

import pytest

from synapse.hub.sessions import Session
from synapse.testing import Bench, Peer
from synapse.verb import Permission

ASKS = {
    "status": "WAITING", "source": "screen", "since": 50.0, "question": "Run this command?",
    "choices": ["1. Yes", "2. Yes, always", "3. No"], "prompt": "p-abcdef", "approvable": True, "yes": 0, "no": 2,
    "command": "rm x",
}  # fmt: skip


async def begun(bench: Bench, *, name: str = "bob", **more: Any) -> tuple[Peer, Peer, str]:
    """An agent with a terminal that works on a task of a person's."""
    bob, kim = await bench.agent(name), bench.person()
    await bob("agents.started", child_pid=1, socket="/run/bob.sock")
    task = (await kim("tasks.submit", **{"to": name, "text": "remove x", "message_id": "m-1"} | more))["task_id"]
    assert (await bob.take())["id"] == task
    return bob, kim, task


async def asked(bench: Bench, **more: Any) -> tuple[Peer, Peer, str]:
    """... and that its program asks back."""
    bob, kim, task = await begun(bench)
    await bob("agents.report", **ASKS | more)
    await bob("tasks.ask", task=task, question=ASKS["question"], choices=ASKS["choices"], command="rm x")
    return bob, kim, task


async def test_a_task_is_told_whole_with_its_messages_as_they_were_written(bench: Bench) -> None:
    bob, kim, task = await begun(bench, context="c-9", metadata='{"a":1}', references=["t-0"])
    parts = [{"kind": "url", "value": "https://x/y", "filename": "y.txt"}]
    await bob(
        "tasks.complete", task=task, text="done", source="record", parts=parts, note="Gladly.", usage={"input": 3}
    )
    told = await kim("tasks.get", task=task)
    [said] = told["history"]
    assert (told["context"], told["state"], told["agent"], told["requester"]) == ("c-9", "completed", "bob", "kim")
    assert (said["id"], said["parts"]) == ("m-1", [{"kind": "text", "value": "remove x"}])
    assert (said["metadata"], said["references"]) == ('{"a":1}', ["t-0"])
    assert told["answer"] == [{"kind": "text", "value": "done"}, *parts]
    assert told["status"]["parts"] == [{"kind": "text", "value": "Gladly."}]
    assert (told["usage"], told["source"]) == ({"input": 3}, "record")
    bench.check()


async def test_a_task_without_a_context_has_one_of_its_own(bench: Bench) -> None:
    _, kim, task = await begun(bench)
    assert (await kim("tasks.get", task=task))["context"] == "c-" + task.removeprefix("t-")


async def test_the_answer_is_kept_with_the_task_and_nobody_gets_mail(bench: Bench) -> None:
    bob, kim, task = await begun(bench)
    await bob("tasks.complete", task=task, text="done")
    assert not (await kim("messages.inbox")).get("messages")


async def test_long_texts_and_files_come_back_whole(bench: Bench) -> None:
    text = "long ø " * 20_000
    bob, kim, task = await begun(bench, text=text)
    await bob("tasks.complete", task=task, text=text + "!")
    told = await kim("tasks.get", task=task)
    assert told["history"][0]["parts"][0]["value"] == text
    assert told["answer"][0]["value"] == text + "!"


@pytest.mark.parametrize(
    ("said", "place", "approved"),
    [
        ({"text": "1"}, 0, True), ({"text": "Yes, always"}, 1, True), ({"text": "no"}, 2, False),
        ({"text": "whatever", "choice": "2"}, 1, True), ({"text": "approve"}, 0, True), ({"text": "reject"}, 2, False),
        ({"text": "3"}, 2, False),
    ],
)  # fmt: skip
async def test_a_message_answers_the_question_on_the_screen(
    bench: Bench, said: dict[str, str], place: int, approved: bool
) -> None:
    bob, kim, task = await asked(bench)
    await kim("tasks.say", task=task, message_id="m-2", **said)
    frame = await bob.frame("answer")
    assert (frame["choice"], frame["approve"]) == (place, approved)
    told = await kim("tasks.get", task=task)
    assert told["state"] == "working"
    assert [one["role"] for one in told["history"]] == ["user", "agent", "user"]
    assert [one["id"] for one in told["history"]][::2] == ["m-1", "m-2"]
    bench.check()


async def test_the_question_comes_before_its_answer(bench: Bench) -> None:
    _, kim, task = await asked(bench)
    told = await kim("tasks.get", task=task)
    assert told["state"] == "input-required"
    assert (told["status"]["choices"], told["status"]["command"]) == (ASKS["choices"], "rm x")
    await kim("tasks.say", task=task, text="1")
    assert [one["role"] for one in (await kim("tasks.get", task=task))["history"]] == ["user", "agent", "user"]


@pytest.mark.parametrize(
    ("reported", "command"),
    [({}, "rm x"), ({"command": ""}, ""), ({"question": "Something else?"}, ""), ({"status": "READY"}, "")],
)
async def test_what_a_question_on_the_screen_is_about_is_taken_from_the_status(
    bench: Bench, reported: dict[str, str], command: str
) -> None:
    bob, kim, task = await begun(bench)
    await bob("agents.report", **ASKS | reported)
    await bob("tasks.ask", task=task, question=ASKS["question"], choices=ASKS["choices"])
    assert (await kim("tasks.get", task=task))["status"].get("command", "") == command


async def test_what_is_no_choice_is_refused_with_the_choices_and_nothing_changes(bench: Bench) -> None:
    _, kim, task = await asked(bench)
    refused = await kim.refused("tasks.say", task=task, text="perhaps")
    assert refused.code == "no_such_choice"
    assert "Yes, always" in refused.sentence
    assert (await kim("tasks.get", task=task))["state"] == "input-required"


async def test_an_answer_of_which_nothing_came_leaves_the_question_standing(bench: Bench) -> None:
    bob, kim, task = await asked(bench)
    await kim("tasks.say", task=task, text="1")
    await bob("prompts.report", id="p-abcdef", outcome="unsure")
    told = await kim("tasks.get", task=task)
    assert (told["state"], told["status"]["choices"]) == ("input-required", ASKS["choices"])


async def test_an_agent_does_not_answer_anothers_question(bench: Bench) -> None:
    _, _, task = await asked(bench)
    carol = await bench.agent("carol")
    assert (await carol.refused("tasks.say", task=task, text="1")).code == "no_such_task"
    bob, dave = await bench.agent("erin"), await bench.agent("dave")
    own = (await dave("tasks.submit", to="erin", text="x"))["task_id"]
    await bob("agents.started", child_pid=1, socket="/run/erin.sock")
    await bob("messages.typing", id=own)
    await bob("messages.delivered", id=own)
    await bob("agents.report", **ASKS | {"prompt": "p-000001"})
    await bob("tasks.ask", task=own, question="?", choices=ASKS["choices"])
    assert (await dave.refused("tasks.say", task=own, text="1")).code == "not_permitted"


async def test_a_task_that_asks_nothing_takes_no_message(bench: Bench) -> None:
    bob, kim, task = await begun(bench)
    assert (await kim.refused("tasks.say", task=task, text="more")).code == "task_busy"
    await bob("tasks.complete", task=task, text="done")
    assert (await kim.refused("tasks.say", task=task, text="more")).code == "task_ended"
    assert (await kim.refused("tasks.say", task="t-none", text="more")).code == "no_such_task"


async def test_a_message_in_another_context_is_refused(bench: Bench) -> None:
    _, kim, task = await asked(bench)
    assert (await kim.refused("tasks.say", task=task, text="1", context="c-other")).code == "bad_context"


async def test_who_has_no_terminal_hears_of_the_answer_as_a_message(bench: Bench) -> None:
    ann, kim = bench.client("ann"), bench.person()
    await ann("agents.here")
    task = (await kim("tasks.submit", to="ann", text="which colour?"))["task_id"]
    await ann("messages.read", id=task)
    await ann("tasks.ask", task=task, question="light or dark?", auth=True)
    assert (await kim("tasks.get", task=task))["state"] == "auth-required"
    await kim("tasks.say", task=task, text="dark")
    notes = [one for one in (await ann("messages.inbox"))["messages"] if one["text"] == "dark"]
    assert [one["role"] for one in notes] == ["note"]
    assert (await kim("tasks.get", task=task))["state"] == "working"
    await ann("tasks.reject", task=task, reason="No paint.")
    told = await kim("tasks.get", task=task)
    assert (told["state"], told["status"]["parts"][0]["value"]) == ("rejected", "No paint.")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"message_id": "x" * 300}, "bad_id"), ({"context": "a\nb"}, "bad_id"), ({"metadata": "x" * 70_000}, "too_large"),
        ({"parts": [{"kind": "video"}]}, "bad_part"), ({"parts": [{"kind": "raw", "blobs": ["../x"]}]}, "bad_blob"),
        ({"parts": [{"kind": "text"}] * 101}, "too_many"), ({"mode": "silent"}, "bad_mode"), ({"text": " "}, "no_text"),
        ({"to": "all"}, "no_such_agent"), ({"references": ["r"] * 101}, "too_large"),
    ],
)  # fmt: skip
async def test_what_cannot_be_kept_is_refused(bench: Bench, wrong: dict[str, Any], code: str) -> None:
    await bench.agent("bob")
    assert (await bench.person().refused("tasks.submit", **{"to": "bob", "text": "x"} | wrong)).code == code


async def test_only_what_is_in_ones_hands_is_rejected(bench: Bench) -> None:
    bob, kim, task = await begun(bench)
    assert (await kim.refused("tasks.reject", task=task)).code == "not_yours"
    assert (await bob("tasks.reject", task=task))["state"] == "rejected"


async def test_a_reader_alone_submits_nothing(bench: Bench) -> None:
    await bench.agent("bob")
    peer = bench.client("ann", permissions=frozenset({Permission.READ}))
    assert (await peer.refused("tasks.submit", to="bob", text="x")).code == "not_permitted"


async def stored(peer: Peer, content: bytes, name: str) -> dict[str, Any]:
    """A file to go along."""
    blob = (await peer("blobs.put", content=b64encode(content).decode()))["blob"]
    return {"name": name, "size": len(content), "blobs": [blob]}


async def test_what_comes_with_an_answer_reaches_the_agent_within_the_task_before_any_other(bench: Bench) -> None:
    bob, kim, task = await asked(bench)
    await kim("messages.send", to="bob", text="something else", priority=4)
    file = await stored(kim, b"colours", "c.txt")
    await kim("tasks.say", task=task, text="1 and c.txt", choice="1", along="in these", attachments=[file])
    assert (await bob.frame("answer"))["choice"] == 0
    frame = await bob.frame("deliver")
    assert (frame["task"], frame["text"], frame["attachments"]) == (task, "in these", [file])
    assert frame["reply_expected"]
    await bob("prompts.report", id="p-abcdef", outcome="done")
    assert (await bob("tasks.complete", task=task, text="It is gone."))["state"] == "working"
    await bob("messages.typing", id=frame["id"])
    await bob("messages.delivered", id=frame["id"])
    assert (await bob("tasks.complete", task=task, text="Painted."))["state"] == "completed"
    told = await kim("tasks.get", task=task)
    assert [one["role"] for one in told["history"]] == ["user", "agent", "user", "agent"]
    assert told["history"][0]["parts"][0]["value"] == "remove x"
    assert told["history"][2]["parts"][1]["filename"] == "c.txt"
    assert told["history"][3]["parts"][0]["value"] == "It is gone."
    assert told["answer"][0]["value"] == "Painted."
    assert (await bob.frame("deliver"))["text"] == "something else"
    bench.check()


async def test_it_reaches_the_agent_also_when_that_has_answered_by_itself_or_the_hub_begins_anew(bench: Bench) -> None:
    bob, kim, task = await asked(bench)
    file = await stored(kim, b"x", "x.bin")
    await kim("tasks.say", task=task, text="1", attachments=[file])
    assert (await bob("messages.reply", text="done", to=task))["state"] == "working"
    await bench.restart()
    key, bob, kim = bob.key, bench.peer(Session(workspace="w", user="kim")), bench.person()
    await bob("agents.attach", key=key, live={"status": "READY"})
    frame = await bob.frame("deliver")
    assert (frame["task"], frame["text"]) == (task, "This came with the answer to what you asked.")
    await bob("messages.typing", id=frame["id"])
    await bob("messages.delivered", id=frame["id"])
    assert (await bob("messages.reply", text="seen", to=task))["state"] == "completed"
    assert (await kim("tasks.get", task=task))["answer"][0]["value"] == "seen"
    bench.check()


async def test_of_a_task_that_ends_otherwise_it_goes_along_into_nothing(bench: Bench) -> None:
    bob, kim, task = await asked(bench)
    await kim("tasks.say", task=task, text="1", attachments=[await stored(kim, b"x", "x.bin")])
    await kim("tasks.cancel", task=task)
    assert not (await bob("messages.inbox")).get("messages")
    bench.check()


async def test_files_reach_who_has_no_terminal_with_the_note(bench: Bench) -> None:
    ann, kim = bench.client("ann"), bench.person()
    await ann("agents.here")
    task = (await kim("tasks.submit", to="ann", text="which colour?"))["task_id"]
    await ann("messages.read", id=task)
    await ann("tasks.ask", task=task, question="light or dark?")
    await kim("tasks.say", task=task, text="as here", attachments=[await stored(kim, b"dark", "d.txt")])
    [note] = [one for one in (await ann("messages.inbox"))["messages"] if one["text"] == "as here"]
    assert note["role"] == "note"


async def test_what_comes_along_is_bounded(bench: Bench) -> None:
    _, kim, task = await asked(bench)
    assert (await kim.refused("tasks.say", task=task, text="1", along="x" * 70_000)).code == "too_large"
    wrong = {"name": "x", "size": 1, "blobs": ["../x"]}
    assert (await kim.refused("tasks.say", task=task, text="1", attachments=[wrong])).code == "bad_blob"
