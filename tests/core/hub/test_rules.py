"""Permissions that the person's own settings approve by themselves."""

from pathlib import Path
from typing import Any

import pytest

from tests.core.hub.kit import Bench, Peer

ASKS = {
    "status": "WAITING", "source": "screen", "question": "Do you want to run this command?", "choices": ["1 Yes", "2 No"],
    "approvable": True, "yes": 0, "no": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own settings; the current folder is a project."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "synapse").mkdir()
    (tmp_path / "project" / ".synapse").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "synapse" / "settings.toml"


async def asks(agent: Peer, command: str, id: str = "p-abcdef", **more: Any) -> None:
    await agent("agents.report", **{**ASKS, "prompt": id, "command": command, **more})


async def judged(bench: Bench) -> list[str]:
    """The rules by which something was approved, once everything is judged."""
    await bench.until(lambda: not bench.core.rules._judging)
    await bench.settled()
    return [body["rule"] for body in bench.bodies("prompts.answered")]


async def test_a_rule_approves_and_the_event_says_which(bench: Bench, settings: Path) -> None:
    settings.write_text("[approvals]\nmode = 'allow-list'\nallow = ['git status.*', 'ls']\n")
    bob = await bench.agent("bob")
    await asks(bob, "git status --short; ls")
    assert await bob.frame("answer") == {
        "id": "p-abcdef",
        "choice": 0,
        "approve": True,
        "command": "git status --short; ls",
    }
    assert await judged(bench) == ["approvals.allow: 'git status.*', 'ls'"]
    [event] = [event for event in bench.events() if event.kind == "prompts.answered"]
    assert (event.by, event.workspace, event.body.name) == ("hub", "w", "approvals.allow")
    late = await bench.person().refused("prompts.answer", id="p-abcdef")
    assert late.sentence.startswith("approvals.allow answered that already")
    bench.check()


async def test_by_default_nothing_is_approved(bench: Bench) -> None:
    bob = await bench.agent("bob")
    await asks(bob, "ls")
    assert await judged(bench) == []
    assert len((await bench.person()("attention.waiting"))["items"]) == 1


@pytest.mark.parametrize(
    "text",
    [
        "[approvals]\nmode = 'ask'\nallow = ['.*']\n",
        "[approvals]\nmode = 'allow-list'\nallow = ['ls (']\n",
        "[approvals]\nmode = 'allow-list'\nallow = '.*'\n",
        "[approvals]\nmode = 'deny-list'\ndeny = ['ls (']\n",
        "[approvals]\nmode = 'deny-list'\nno_such_key = 1\n",
        "[approvals]\nmode = 'everything'\n",
        "[approvals\n",
    ],
)
async def test_where_anything_is_wrong_the_person_is_asked(bench: Bench, settings: Path, text: str) -> None:
    settings.write_text(text)
    bob = await bench.agent("bob")
    await asks(bob, "ls")
    assert await judged(bench) == []


async def test_a_projects_file_sets_no_rules(bench: Bench) -> None:
    for name in ("settings.toml", "settings.local.toml"):
        (Path.cwd() / ".synapse" / name).write_text("[approvals]\nmode = 'deny-list'\n")
    bob = await bench.agent("bob")
    await asks(bob, "ls")
    assert await judged(bench) == []


async def test_what_is_dangerous_cannot_be_read_or_has_no_certain_yes_waits(bench: Bench, settings: Path) -> None:
    settings.write_text("[approvals]\nmode = 'deny-list'\n")
    bob = await bench.agent("bob")
    await asks(bob, "rm -rf /", "p-1")
    await asks(bob, "", "p-2")
    await asks(bob, "ls", "p-3", yes=-1)
    await asks(bob, "ls", "p-4", approvable=False)
    assert await judged(bench) == []
    await asks(bob, "ls", "p-5")
    assert await judged(bench) == ["approvals.mode: deny-list"]


async def test_each_question_is_judged_once_and_by_the_rules_of_that_moment(bench: Bench, settings: Path) -> None:
    bob = await bench.agent("bob")
    await asks(bob, "ls", "p-1")
    assert await judged(bench) == []
    settings.write_text("[approvals]\nmode = 'deny-list'\n")
    await asks(bob, "ls", "p-1")
    assert await judged(bench) == []
    await asks(bob, "ls", "p-2")
    assert await judged(bench) == ["approvals.mode: deny-list"]
    await bob("agents.report", status="PROCESSING")
    await asks(bob, "ls", "p-2")
    assert len(await judged(bench)) == 1


async def test_what_still_asks_after_a_rule_has_answered_is_for_a_person(bench: Bench, settings: Path) -> None:
    settings.write_text("[approvals]\nmode = 'deny-list'\n")
    bob = await bench.agent("bob")
    await asks(bob, "ls", "p-1")
    await bob.frame("answer")
    await bob("prompts.report", id="p-1", outcome="unsure", reason="it still stands")
    for id in ("p-2", "p-3"):
        await asks(bob, "ls", id)
        assert len(await judged(bench)) == 1
    await bob("agents.report", status="PROCESSING")
    await asks(bob, "ls", "p-4")
    assert len(await judged(bench)) == 2


async def test_a_question_that_has_gone_meanwhile_is_not_approved(bench: Bench, settings: Path) -> None:
    settings.write_text("[approvals]\nmode = 'deny-list'\n")
    bob = await bench.agent("bob")
    await asks(bob, "ls", "p-1")
    bob.session.live = type(bob.session.live)(status="READY")
    assert await judged(bench) == []
