"""The live table of `synapse list`, driven by keys on a screen in memory, before a real hub."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from textual.events import Key

from synapse import Hub
from synapse.cli.live import Table
from synapse.errors import Unavailable
from tests.core.cli.live_kit import Going, Runner, Seen, table


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    async with Hub(plugins=()) as hub:
        yield hub


async def three(hub: Hub) -> dict[str, Runner]:
    return {name: await Runner(hub).join(name) for name in ("ann", "bob", "cid")}


async def test_agents_come_change_and_go_in_the_table_without_being_asked_for(hub: Hub) -> None:
    async with table(hub) as seen:
        await seen.until(lambda: "No agents here" in seen.text("empty"))
        bob = await Runner(hub).join("bob", role="reviews", skill_set="python")
        await seen.until(lambda: seen.rows)
        assert seen.text("empty") == ""
        assert seen.heads == ["ID", "NAME", "TYPE", "ROLE", "STATUS", "TRANSPORT", "WORKING_DIR", "SKILL_SET"]
        row = dict(zip(seen.heads, seen.rows[0][1:], strict=True))
        assert row == {
            "ID": "synapse-demo-8150", "NAME": "bob", "TYPE": "demo", "ROLE": "reviews", "STATUS": "READY",
            "TRANSPORT": "socket", "WORKING_DIR": "/srv/shop", "SKILL_SET": "python",
        }  # fmt: skip
        await bob.report("PROCESSING", editing_file="auth.py")
        await seen.until(lambda: seen.column("STATUS") == ["PROCESSING"])
        assert seen.column("EDITING_FILE") == ["auth.py"]
        await bob.change("agents.leave", reason="stopped")
        await seen.until(lambda: not seen.rows)


async def test_nothing_is_asked_of_the_hub_while_nothing_happens(hub: Hub) -> None:
    asked: list[str] = []

    async def opener(*words: Any) -> Any:
        link = await hub.connect(*words)
        ask = link.ask

        def noted(verb: str, params: dict[str, Any]) -> "asyncio.Future[dict[str, Any]]":
            asked.append(verb)
            return ask(verb, params)

        link.ask = noted  # type: ignore[method-assign]
        return link

    bob = await Runner(hub).join("bob")
    async with table(hub, opener=opener) as seen:
        await seen.until(lambda: seen.rows)
        await asyncio.sleep(0.5)
        before = len(asked)
        await asyncio.sleep(1.5)
        assert asked[before:] == []
        for number in range(50):  # what happens together is asked for together
            await bob.report("PROCESSING" if number % 2 == 0 else "READY")
        await bob.report("PROCESSING")
        await seen.until(lambda: seen.column("STATUS") == ["PROCESSING"])
        assert len(asked) - before < 10


async def test_each_status_has_its_colour(hub: Hub) -> None:
    agents = await three(hub)
    await agents["ann"].report("PROCESSING")
    await agents["bob"].report("WAITING", question="Go on?")
    dan = await Runner(hub).join("dan")
    await dan.report("DONE")
    async with table(hub) as seen:
        await seen.until(lambda: len(seen.rows) == 4)
        assert dict(zip(seen.column("NAME"), seen.colours("STATUS"), strict=True)) == {
            "ann": "yellow", "bob": "cyan", "cid": "green", "dan": "blue",
        }  # fmt: skip


async def test_what_an_agent_is_at_is_shown_with_its_time_which_goes_on(hub: Hub) -> None:
    bob = await Runner(hub).join("bob")
    async with hub.agent("ann", workspace="house") as ann, table(hub) as seen:
        await ann.send("bob", "look at the parser")
        await bob.take()
        await bob.report("PROCESSING", preview="look at the parser")
        await seen.until(lambda: "CURRENT" in seen.heads and "parser" in seen.column("CURRENT")[0])

        def seconds() -> int:
            [found] = [re.fullmatch(r"look at the parser(?: \((\d+)s\))?", text) for text in seen.column("CURRENT")]
            assert found
            return int(found[1] or 0)

        await seen.until(seconds)
        begun = seconds()
        await seen.until(lambda: seconds() > begun)


async def test_digits_and_arrows_choose_and_enter_and_j_jump(hub: Hub) -> None:
    agents, going = await three(hub), Going()
    async with table(hub, going=going) as seen:
        await seen.until(lambda: len(seen.rows) == 3)
        assert [row[0] for row in seen.rows] == ["1", "2", "3"]
        await seen.press("3")
        assert seen.chosen == "cid"
        await seen.press("up")
        assert seen.chosen == "bob"
        await seen.press("enter")
        await seen.until(lambda: going.went == [("jump", agents["bob"].key)])
        await seen.press("1", "j")
        await seen.until(lambda: going.went[1:] == [("jump", agents["ann"].key)])
        await seen.press("9")
        assert seen.chosen == "ann"


async def test_the_choice_stays_with_its_agent_when_others_come_and_go(hub: Hub) -> None:
    agents = await three(hub)
    async with table(hub) as seen:
        await seen.until(lambda: len(seen.rows) == 3)
        await seen.press("2")
        await Runner(hub).join("aaa")
        await seen.until(lambda: len(seen.rows) == 4)
        assert seen.chosen == "bob"
        await agents["ann"].change("agents.leave", reason="stopped")
        await seen.until(lambda: len(seen.rows) == 3)
        assert seen.chosen == "bob"
        await agents["bob"].change("agents.leave", reason="stopped")
        await seen.until(lambda: len(seen.rows) == 2)
        assert seen.chosen == "cid"


@pytest.mark.parametrize(("keys", "asked"), [(("y",), "stop"), (("f",), "kill")])
async def test_k_asks_before_it_ends_an_agent(hub: Hub, keys: tuple[str, ...], asked: str) -> None:
    agents = await three(hub)
    async with table(hub) as seen:
        await seen.until(lambda: len(seen.rows) == 3)
        await seen.press("2", "K", "n")
        await seen.press("K", "escape")
        await seen.press("K", "enter")
        assert agents["bob"].commands == []
        await seen.press("K", *keys)
        await seen.until(lambda: agents["bob"].commands == [asked])
        assert agents["ann"].commands == agents["cid"].commands == []


async def test_the_filter_narrows_the_table_and_escape_shows_all_again(hub: Hub) -> None:
    await three(hub)
    await Runner(hub).join("dan", "codex", role="writes tests")
    async with table(hub) as seen:
        await seen.until(lambda: len(seen.rows) == 4)
        await seen.press("slash", *"tests", "space", *"cod")
        await seen.until(lambda: [seen.column("NAME")] == [["dan"]])
        assert "1 of 4 agents" in seen.text("top")
        await seen.press("enter", "j")  # j is a key again, no letter
        assert len(seen.rows) == 1
        await seen.press("escape")
        await seen.until(lambda: len(seen.rows) == 4)
        await seen.press("slash", "q")  # a letter, not the end
        await seen.until(lambda: not seen.rows)
        await seen.press("escape")
        await seen.press("q")
        assert seen.app.return_value == 0


def burst(seen: Seen, *keys: str) -> None:
    """Keys that all come before the first one is worked on."""
    for key in keys:
        seen.app.post_message(Key(key, {"slash": "/", "enter": "\r"}.get(key, key if len(key) == 1 else None)))


async def test_keys_that_come_at_once_act_one_after_another_on_what_is_shown_by_then(hub: Hub) -> None:
    agents, going = await three(hub), Going()
    async with table(hub, going=going) as seen:
        await seen.until(lambda: len(seen.rows) == 3)
        burst(seen, "slash", *"bpb", "left", "left", "delete", "end", "backspace", "o", *"b", "enter")
        await seen.until(lambda: seen.column("NAME") == ["bob"])
        assert going.went == []  # that Enter has ended the filter
        burst(seen, "enter")
        await seen.until(lambda: going.went == [("jump", agents["bob"].key)])
        burst(seen, "escape", "down", "down", "up", "down", "enter", "q")  # q is meant for nobody: cid is shown first
        await seen.until(lambda: going.went[1:] == [("jump", agents["cid"].key)])
        assert seen.app.return_value is None
        burst(seen, "slash", *"ann", "enter", "q")
        await seen.until(lambda: seen.app.return_value == 0)
        assert len(going.went) == 2


async def test_what_waits_for_a_person_is_shown_with_its_choices(hub: Hub) -> None:
    agents = await three(hub)
    async with table(hub) as seen:
        await seen.until(lambda: len(seen.rows) == 3)
        assert seen.text("waiting") == ""
        await agents["bob"].report("WAITING", question="Run it?\n\x1b[2Jls", choices=("Yes", "No"), since=1.0)
        await seen.until(lambda: "bob (permission, " in seen.text("waiting"))
        assert "): Run it? [2Jls [Yes / No]" in seen.text("waiting")
        for name in ("ann", "cid"):
            await agents[name].report("WAITING")
        await seen.until(lambda: "ann (permission" in seen.text("waiting"))
        await agents["bob"].report("READY")
        await seen.until(lambda: "bob" not in seen.text("waiting"))


async def test_the_hub_may_go_and_come_back(hub: Hub) -> None:
    gone = False
    links: list[Any] = []

    async def opener(*words: Any) -> Any:
        if gone:
            raise Unavailable("no_hub", "There is none.")
        links.append(await hub.connect(*words))
        return links[-1]

    await three(hub)
    async with table(hub, opener=opener) as seen:
        await seen.until(lambda: len(seen.rows) == 3)
        gone = True
        links[-1].close()
        await seen.until(lambda: "the hub is gone" in seen.text("top"))
        assert len(seen.rows) == 3
        await seen.press("K", "y")  # which nobody hears
        await Runner(hub).join("dan")
        gone = False
        await seen.until(lambda: len(seen.rows) == 4)
        assert "the hub is gone" not in seen.text("top")


async def test_only_the_chosen_columns_are_there_and_a_narrow_screen_shows_names(hub: Hub) -> None:
    await three(hub)
    async with table(hub, columns=("STATUS", "NAME"), all=True) as seen:
        await seen.until(lambda: len(seen.rows) == 3)
        assert seen.heads == ["WORKSPACE", "STATUS", "NAME"]
    async with table(hub, size=(30, 10)) as seen:
        await seen.until(lambda: len(seen.rows) == 3)
        assert seen.heads == ["NAME", "STATUS"]
        assert seen.column("NAME") == ["ann", "bob", "cid"]
        await seen.pilot.resize_terminal(120, 20)
        await seen.until(lambda: "WORKING_DIR" in seen.heads)


async def test_what_happens_while_it_is_closed_is_not_drawn_on_what_is_left_of_it(hub: Hub) -> None:
    await three(hub)
    async with table(hub) as seen:
        await seen.until(lambda: len(seen.rows) == 3)
        await seen.app.query_one(Table).remove()
        await seen.pilot.resize_terminal(100, 20)  # what fails in the table is raised at its end
        await seen.pilot.pause()
