"""The queue of what waits for a person."""

from pathlib import Path
from typing import Any

import pytest

from tests.core.hub.kit import Bench, Peer

ASKS = {
    "status": "WAITING", "source": "screen", "since": 50.0, "question": "Do you want to run this command?\n    rm x",
    "choices": ["1 Yes", "2 No"], "prompt": "p-abcdef", "approvable": True, "yes": 0, "no": 1, "command": "rm x",
}  # fmt: skip


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "synapse"
    folder.mkdir()
    return folder / "settings.toml"


async def waiting(bench: Bench, **fields: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await bench.person()("attention.waiting", **fields))["items"]
    return items


async def ids(bench: Bench, **fields: Any) -> list[str]:
    return [item["id"] for item in await waiting(bench, **fields)]


async def test_nothing_waits_where_everybody_works(bench: Bench) -> None:
    bob = await bench.agent("bob")
    await bob("agents.report", status="PROCESSING")
    assert await waiting(bench) == []


async def test_a_dialog_waits_with_its_choices_also_outside_any_task(bench: Bench) -> None:
    bob = await bench.agent("bob")
    await bob("agents.report", **ASKS)
    assert await waiting(bench) == [
        {
            "id": "p-abcdef", "agent": "bob", "kind": "permission", "what": ASKS["question"], "since": 50.0,
            "choices": ["1 Yes", "2 No"], "workspace": "w", "agent_id": "synapse-claude-8100", "task_id": "",
            "command": "rm x", "blocks": 0,
        }
    ]  # fmt: skip


async def test_what_is_asked_names_the_command_where_the_question_does_not(bench: Bench) -> None:
    bob = await bench.agent("bob")
    await bob("agents.report", **{**ASKS, "question": "Do you want to proceed?"})
    assert [item["what"] for item in await waiting(bench)] == ["Do you want to proceed?\nrm x"]


async def test_a_dialog_of_a_task_names_it_and_says_what_stands_still(bench: Bench) -> None:
    bob, kim = await bench.agent("bob"), bench.person()
    for text in ("one", "two"):
        await kim("messages.send", to="bob", text=text)
    message = await bob.take()
    await bob("agents.report", **ASKS)
    await bob("tasks.ask", task=message["task"], question=ASKS["question"], choices=ASKS["choices"])
    [item] = await waiting(bench)
    assert (item["task_id"], item["blocks"]) == (message["task"], 2)
    assert (await kim("history.show", task=message["task"]))["state"] == "input-required"


async def test_a_password_is_to_be_typed_and_a_dialog_that_cannot_be_read_is_there_too(bench: Bench) -> None:
    bob = await bench.agent("bob")
    await bob("agents.report", status="WAITING", source="terminal", question="Password:", prompt="p-secret")
    assert [(item["kind"], item["what"]) for item in await waiting(bench)] == [("input", "Password:")]
    await bob("agents.report", status="WAITING", source="signal")
    [item] = await waiting(bench)
    assert (item["kind"], item["id"]) == ("permission", "synapse-claude-8100")
    assert "cannot be read" in item["what"]


async def test_a_question_to_the_person_waits_until_it_is_answered(bench: Bench) -> None:
    bob, kim = await bench.agent("bob"), bench.person()
    await kim("agents.here")
    sent = await bob("messages.send", to="kim", text="Which branch?", mode="wait")
    await bob("messages.send", to="kim", text="for your information", mode="silent")
    [item] = await waiting(bench)
    assert (item["id"], item["kind"], item["agent"]) == (sent["task_id"], "question", "bob")
    assert (item["what"], item["workspace"]) == ("Which branch?", "w")
    await kim("messages.reply", to=item["id"], text="main")
    assert await waiting(bench) == []


async def test_what_blocks_more_comes_first_and_then_what_is_older(bench: Bench) -> None:
    kim = bench.person()
    await kim("agents.here")
    agents = {name: await bench.agent(name) for name in ("ann", "bob", "cid")}
    for since, (name, agent) in zip((30.0, 20.0, 40.0), agents.items(), strict=True):
        await agent("agents.report", **{**ASKS, "since": since, "prompt": f"p-{name}"})
    assert await ids(bench) == ["p-bob", "p-ann", "p-cid"]
    await kim("messages.send", to="cid", text="work")
    asked = await agents["ann"]("messages.send", to="cid", text="more work", mode="wait")
    assert asked["task_id"]
    await kim("messages.send", to="ann", text="waits for ann, who waits for cid")
    assert await ids(bench) == ["p-cid", "p-ann", "p-bob"]
    assert [item["blocks"] for item in await waiting(bench)] == [3, 1, 0]


async def test_only_one_workspace_where_that_is_asked(bench: Bench) -> None:
    for name, workspace in (("bob", "w"), ("far", "x")):
        await (await bench.agent(name, workspace=workspace))("agents.report", **{**ASKS, "prompt": f"p-{name}"})
    assert sorted(await ids(bench)) == ["p-bob", "p-far"]
    assert await ids(bench, workspace="x") == ["p-far"]
    assert await ids(bench, workspace="") == ["p-bob"]


async def test_a_rate_limit_waits(bench: Bench) -> None:
    bob = await bench.agent("bob")
    await bob("agents.report", status="RATE_LIMITED", question="Usage limit reached, resets at 5pm")
    [item] = await waiting(bench)
    assert (item["kind"], item["what"]) == ("rate_limit", "Usage limit reached, resets at 5pm")


async def test_work_that_does_not_go_on_waits_once_it_is_old(bench: Bench, settings: Path) -> None:
    settings.write_text("[attention]\nstalled_after = 10\n")
    bob, kim = await bench.agent("bob"), bench.person()
    await kim("messages.send", to="bob", text="work")
    message = await bob.take()
    now = bench.clock.now()
    await bob("agents.report", status="PROCESSING", preview="work", quiet_since=now - 5)
    assert await waiting(bench) == []
    bench.clock.advance(6)
    [item] = await waiting(bench)
    assert (item["id"], item["kind"]) == (message["task"], "stalled")
    assert item["what"] == "It has written nothing while it works on: work"
    await bob("agents.report", status="PROCESSING", preview="work")
    assert await waiting(bench) == []


async def test_mail_behind_somebodys_draft_and_for_somebody_who_is_not_there_waits(
    bench: Bench, settings: Path
) -> None:
    settings.write_text("[attention]\nstalled_after = 10\n")
    bob, eve, kim = await bench.agent("bob"), await bench.agent("eve"), bench.person()
    await kim("messages.send", to="bob", text="held")
    await bob("agents.report", status="READY", holding="1")
    await eve("agents.leave")
    absent = await kim("messages.send", to="eve", text="later")
    assert await waiting(bench) == []
    bench.clock.advance(11)
    found = {item["agent"]: item for item in await waiting(bench)}
    assert "half-written line" in found["bob"]["what"]
    assert (found["eve"]["id"], found["eve"]["what"]) == (absent["task_id"], "Nobody called 'eve' is here to take it.")


async def test_a_task_whose_runner_is_away_waits(bench: Bench, settings: Path) -> None:
    settings.write_text("[attention]\nstalled_after = 10\n")
    bob, kim = await bench.agent("bob", pid=4711), bench.person()
    await kim("messages.send", to="bob", text="work")
    message = await bob.take()
    bob.hang_up()
    assert await waiting(bench) == []
    bench.clock.advance(11)
    assert [(item["id"], item["what"]) for item in await waiting(bench)] == [
        (message["task"], "Its runner is not connected.")
    ]


async def test_settings_that_are_wrong_keep_nothing_from_being_shown(bench: Bench, settings: Path) -> None:
    settings.write_text("[attention]\nstalled_after = 'soon'\n")
    bob: Peer = await bench.agent("bob")
    await bob("agents.report", **ASKS)
    await bob("agents.report", **ASKS, holding="1")
    assert "p-abcdef" in await ids(bench)
