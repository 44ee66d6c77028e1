"""Who comes in by the local socket, as whom, and what they may do."""

import os
from collections.abc import Iterable
from typing import Any

import pytest

from synapse.errors import BadRequest, Refused
from synapse.hub.sessions import Session
from synapse.server import access
from synapse.server.access import Hello, identify
from synapse.server.platform import Peer as Caller
from synapse.verb import Permission
from tests.core.server.conftest import House, Peer

RUNNER = os.getpid()  # all peers of these tests are one process: the runner's


def family(*pids: int) -> Any:
    """A process with these ancestors."""

    def ancestors(pid: int) -> Iterable[int]:
        return (pid, *pids)

    return ancestors


async def agent(house: House, name: str = "", folder: str = "/srv/house") -> dict[str, Any]:
    """An agent that is running, at its own runner's connection."""
    runner = await house.guest(runner=True, workspace="", folder=folder)
    join = {"profile": "claude", "name": name, "folder": folder, "pid": RUNNER, "ports": [8100, 8109]}
    joined: dict[str, Any] = (await runner.ask("agents.join", **join))["result"]
    assert "result" in await runner.ask("agents.attach", key=joined["key"])
    return joined


def who(house: House, hello: Hello, *above: int, pid: int = 4711) -> Session:
    session = Session(pid=pid, uid=os.getuid())
    identify(house.server.core.hub, hello, session, ancestors=family(*above))
    return session


async def test_a_process_below_a_runner_is_its_agent_whatever_it_says(house: House) -> None:
    mine, theirs = await agent(house), None
    for hello in (Hello(workspace="elsewhere"), Hello(user="root"), Hello(agent="synapse-codex-8120")):
        theirs = who(house, hello, 4000, RUNNER, 1)
        assert (theirs.key, theirs.workspace) == (mine["key"], mine["workspace"])


@pytest.mark.parametrize("name", ["claude", "synapse-claude-8100"])
async def test_below_a_runner_one_may_name_oneself(house: House, name: str) -> None:
    mine = await agent(house, "claude")
    assert who(house, Hello(as_name=name), RUNNER).key == mine["key"]


async def test_below_a_runner_nobody_speaks_as_somebody_else(house: House) -> None:
    await agent(house, "claude")
    with pytest.raises(Refused, match="You are 'claude'") as refused:
        who(house, Hello(as_name="ada"), RUNNER)
    assert refused.value.code == "not_you"


async def test_below_a_runner_there_is_no_permission_that_is_meant_for_a_person(house: House) -> None:
    await agent(house)
    assert who(house, Hello(), RUNNER).permissions == {Permission.READ, Permission.WRITE}
    assert who(house, Hello(), 1).permissions == frozenset(Permission)


async def test_an_agent_cannot_end_the_hub_or_read_everything(house: House) -> None:
    await agent(house)
    below: Peer = await house.guest()  # this process is the runner's, so this is below it
    for verb in ("hub.shutdown", "events.page"):
        refused = await below.ask(verb)
        assert refused["error"]["data"]["code"] == "not_permitted"
    assert not house.server.stopped.is_set()


async def test_a_runner_itself_has_no_such_permission_either(house: House) -> None:
    assert who(house, Hello(runner=True)).permissions == {Permission.READ, Permission.WRITE}


async def test_a_process_that_the_kernel_cannot_name_is_no_person(house: House) -> None:
    assert Permission.PERSON not in who(house, Hello(), pid=0).permissions


async def test_where_the_family_is_not_known_the_environment_says_which_agent_it_is(house: House) -> None:
    mine = await agent(house)
    session = who(house, Hello(agent=mine["id"]), 1)
    assert session.key == mine["key"]
    assert Permission.PERSON not in session.permissions


async def test_an_agent_that_is_not_here_any_more_is_told_so(house: House) -> None:
    with pytest.raises(Refused) as refused:
        who(house, Hello(agent="synapse-claude-8100"))
    assert refused.value.code == "agent_gone"


async def test_a_name_joins_as_a_plain_client_with_its_first_change_and_is_known_from_then_on(house: House) -> None:
    first = await house.guest(**{"as": "Robot"})
    roster = await first.ask("agents.who")
    assert [one["name"] for one in roster["result"].get("participants", [])] == []
    robot = await house.client("robot")
    [row] = (await robot.ask("agents.who"))["result"]["participants"]
    assert (row["name"], row["type"], row["presence"]) == ("robot", "client", "ONLINE")
    assert (await (await house.peer()).hello(**{"as": "robot"}))["result"]["key"] == robot.connection.session.key


async def test_without_a_name_it_is_the_person(house: House) -> None:
    session = who(house, Hello(user="Ada L."))
    assert (session.user, session.wanted.type if session.wanted else "") == ("ada-l", "person")


async def test_without_a_user_it_is_the_one_whom_the_kernel_names(house: House) -> None:
    assert who(house, Hello()).user


async def test_the_folder_gives_the_workspace(house: House) -> None:
    assert who(house, Hello(folder="/home/ada/web")).workspace == "web"
    with pytest.raises(BadRequest):
        who(house, Hello(folder="web"))
    with pytest.raises(BadRequest):
        who(house, Hello(folder="/" + "x" * 5000))


async def test_another_protocol_is_refused_with_what_to_do(house: House) -> None:
    with pytest.raises(Refused, match="synapse restart"):
        who(house, Hello(protocol=2))


def test_another_user_of_the_machine_is_kept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    access.check_user(Caller(1, 1000))
    access.check_user(Caller(1, 0))
    with pytest.raises(Refused, match="another user"):
        access.check_user(Caller(1, 1001))


async def test_somebody_kept_out_is_told_and_the_connection_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synapse.server.local.peer", lambda connection: Caller(1, os.getuid() + 1))
    stranger = await house.peer()
    stranger.request("hello")
    frame = await stranger.frame()
    assert frame["error"]["data"]["code"] == "other_user"
    assert await stranger.frame() == {}
