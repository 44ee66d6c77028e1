"""Agents elsewhere as participants: what the hub decides about them, without a network."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec import structs

from synapse.errors import BadRequest, NotFound, Refused, Unavailable
from synapse.event import Event
from synapse.hub import external_work, reports, work
from synapse.hub.agents import Agents
from synapse.hub.external import FoundCard
from synapse.hub.external_facts import Interface, RemoteCard, RemoteSkill
from synapse.hub.external_state import External
from synapse.hub.facts import LogForgotten
from synapse.hub.mailbox import Mailbox
from synapse.hub.sessions import Session
from synapse.hub.tasks import Tasks
from synapse.testing import check_projection
from synapse.verb import Permission
from tests.core.hub.kit import Bench, Peer

CARD = RemoteCard(
    name="Far Away",
    url="https://far.example/.well-known/agent-card.json",
    interface=Interface(url="https://far.example/a2a", binding="JSONRPC", version="1.0"),
    description="does things far away",
    streaming=True,
    skills=(RemoteSkill(id="s", name="Things"),),
)


def network(bench: Bench, card: RemoteCard = CARD, secret: str = "") -> None:
    """Whoever is looked for shows this card."""

    async def find(session: Session, request: Any) -> FoundCard:
        return FoundCard(card=card, secret=secret, headers=("X-API-Key",) if secret else ())

    prepare: Callable[[Session, Any], Awaitable[FoundCard]] = find
    bench.hub.preparations |= {f"external.{verb}": prepare for verb in ("add", "discover", "refresh")}


async def added(bench: Bench, alias: str = "far") -> Peer:
    """Who speaks to a new agent elsewhere, in its name."""
    network(bench)
    row = await bench.person()("external.add", url=f"https://{alias}.example", alias=alias)
    return speaker(bench, row["key"])


def speaker(bench: Bench, key: str) -> Peer:
    session = Session(key=key, workspace="w", system=True, permissions=frozenset({Permission.READ, Permission.WRITE}))
    bench.hub.sessions.add(session)
    return bench.peer(session)


async def note(bench: Bench, peer: Peer, verb: Any, **fields: Any) -> None:
    """What has no face, asked in the agent's name."""
    await bench.hub.do(peer.session, verb, verb.request(**fields))


async def test_one_is_added_with_the_name_on_its_card_or_another(bench: Bench) -> None:
    network(bench)
    kim = bench.person()
    row = await kim("external.add", url="https://far.example")
    assert (row["alias"], row["endpoint"], row["status"]) == ("far-away", "https://far.example/a2a", "READY")
    assert [one["alias"] for one in (await kim("external.list"))["agents"]] == ["far-away"]
    second = await kim("external.add", url="https://other.example")
    assert second["alias"] == "far-away-2"
    agent = bench.hub.state.get(Agents).get(row["key"])
    assert agent is not None
    assert (agent.type, agent.role, agent.wrapped, agent.takes_work) == (
        "external",
        "does things far away",
        False,
        True,
    )
    assert (await kim("external.show", alias="far-away"))["skills"][0]["name"] == "Things"
    with pytest.raises(Refused) as twice:
        await kim("external.add", url="https://far.example", alias="again")
    assert twice.value.code == "already_there"
    with pytest.raises(Refused) as taken:
        await kim("external.add", url="https://third.example", alias="far-away")
    assert taken.value.code == "name_taken"


async def test_a_name_on_a_card_that_is_none_becomes_one(bench: Bench) -> None:
    kim = bench.person()
    for number, (name, alias) in enumerate(
        (
            ("日本", "external"),
            ("ALL", "external-2"),
            ("synapse-claude-8100", "external-synapse-claude-8100"),
            ("a" * 100, "a" * 64),
        )
    ):
        network(bench, structs.replace(CARD, name=name))
        row = await kim("external.add", url=f"https://{number}.example")
        assert row["alias"] == alias


async def test_without_a_network_nothing_is_found(bench: Bench) -> None:
    with pytest.raises(Unavailable) as none:
        await bench.person()("external.add", url="https://far.example")
    assert none.value.code == "no_network"


async def test_what_is_found_out_is_asked_once_for_one_key(bench: Bench) -> None:
    asked = []

    async def find(session: Session, request: Any) -> FoundCard:
        asked.append(request.url)
        return FoundCard(card=structs.replace(CARD, version=str(len(asked))))

    bench.hub.preparations["external.add"] = find
    kim = bench.person()
    one = await kim("external.add", url="https://far.example", idempotency_key="k")
    assert await kim("external.add", url="https://far.example", idempotency_key="k") == one
    assert asked == ["https://far.example"]


async def test_what_cannot_be_found_out_is_refused(bench: Bench) -> None:
    async def fail(session: Session, request: Any) -> FoundCard:
        raise BadRequest("bad_url", "That is no URL.")

    bench.hub.preparations["external.add"] = fail
    with pytest.raises(BadRequest):
        await bench.person()("external.add", url="nonsense")
    bench.hub.preparations["external.add"] = None  # type: ignore[assignment]
    with pytest.raises(Exception, match="a bug"):
        await bench.person()("external.add", url="nonsense")


async def test_agents_and_clients_do_not_add_any(bench: Bench) -> None:
    network(bench)
    claude = await bench.agent("claude-1")
    claude.session.permissions = frozenset({Permission.READ, Permission.WRITE})
    for verb, fields in (
        ("external.add", {"url": "https://far.example"}),
        ("external.discover", {"url": "https://far.example"}),
        ("external.remove", {"alias": "x"}),
        ("external.refresh", {"alias": "x"}),
    ):
        with pytest.raises(Refused) as refused:
            await claude(verb, **fields)
        assert refused.value.code == "not_permitted"


async def test_a_task_goes_there_and_comes_back(bench: Bench) -> None:
    far, kim = await added(bench), bench.person()
    sent = await kim("messages.send", to="far", text="go", mode="notify")
    task = sent["task_id"]
    await note(bench, far, external_work.begin, id=task)
    with pytest.raises(Refused):
        await note(bench, far, external_work.begin, id=task)
    await note(bench, far, external_work.link, id=task, remote_task="r-1", remote_context="rc")
    external = bench.hub.state.get(External)
    assert bench.hub.state.get(Tasks).live[task].state == "working"
    assert external.links[task].remote_task == "r-1"
    assert external.remote_context(far.key, "c-" + task.removeprefix("t-")) == "rc"
    await note(bench, far, work.ask, task=task, question="Which?", choices=("a", "b"))
    [item] = (await kim("attention.waiting"))["items"]
    assert (item["id"], item["kind"], item["choices"]) == (task, "elsewhere", ["a", "b"])
    said = await kim("tasks.say", task=task, text="a")
    assert external.links[task].owed == [said["position"]]
    await note(bench, far, external_work.answering, task=task, position=said["position"])
    assert external.links[task].owed == []
    await note(bench, far, work.complete, task=task, text="done")
    assert task not in external.links
    assert bench.hub.state.get(Tasks).finished[task].state == "completed"
    await bench.restart()
    bench.check()


async def test_several_tasks_are_there_at_once_but_one_is_sent_at_a_time(bench: Bench) -> None:
    far, kim = await added(bench), bench.person()
    one, two = [(await kim("messages.send", to="far", text="go"))["task_id"] for _ in range(2)]
    await note(bench, far, external_work.begin, id=one)
    with pytest.raises(Refused) as busy:
        await note(bench, far, external_work.begin, id=two)
    assert busy.value.code == "busy"
    await note(bench, far, external_work.link, id=one)
    await note(bench, far, external_work.begin, id=two)
    await note(bench, far, external_work.link, id=two)
    assert {link.task for link in bench.hub.state.get(External).of(far.key)} == {one, two}
    await note(bench, far, work.complete, task=one, text="one")
    await note(bench, far, work.complete, task=two, text="two")
    bench.check()


async def test_what_is_called_off_here_is_owed_there(bench: Bench) -> None:
    far, kim = await added(bench), bench.person()
    external = bench.hub.state.get(External)
    tasks = []
    for name in ("r-1", "r-2"):
        tasks.append((await kim("messages.send", to="far", text="go"))["task_id"])
        await note(bench, far, external_work.begin, id=tasks[-1])
        await note(bench, far, external_work.link, id=tasks[-1], remote_task=name)
    await kim("tasks.cancel", task=tasks[0])
    await note(bench, far, work.cancel, task=tasks[1], reason="it did so itself")
    assert [link.remote_task for link in external.calling_off.values()] == ["r-1"]
    await bench.crash()
    far = speaker(bench, far.key)
    assert list(bench.hub.state.get(External).calling_off) == [tasks[0]]
    await note(bench, far, external_work.release, task=tasks[0])
    assert bench.hub.state.get(External).calling_off == {}
    bench.check()


async def test_one_that_is_removed_leaves_nothing_behind(bench: Bench) -> None:
    far, kim = await added(bench), bench.person()
    at_work, typing, queued = [(await kim("messages.send", to="far", text="go"))["task_id"] for _ in range(3)]
    await note(bench, far, external_work.begin, id=at_work)
    await note(bench, far, external_work.link, id=at_work, remote_task="r-1", remote_context="rc")
    await note(bench, far, external_work.begin, id=typing)
    await kim("external.remove", alias="far")
    finished = bench.hub.state.get(Tasks).finished
    assert [finished[id].state for id in (at_work, typing, queued)] == ["failed", "failed", "rejected"]
    external = bench.hub.state.get(External)
    assert (external.registered, external.links, external.remote_context(far.key, "c")) == ({}, {}, "")
    assert len([m for m in bench.hub.state.get(Mailbox) if m.box == "w/far"]) == 0
    with pytest.raises(NotFound):
        await kim("messages.send", to="far", text="still there?")
    with pytest.raises(NotFound):
        await kim("external.remove", alias="far")
    again = await added(bench)
    assert again.key != far.key
    bench.check()


async def test_notes_to_many_stay_here(bench: Bench) -> None:
    await added(bench)
    await bench.agent("near")
    kim = bench.person()
    assert (await kim("messages.send", to="all", text="frozen", mode="silent"))["to"] == ["near"]
    assert (await kim("messages.send", to="*", text="frozen", mode="silent"))["to"] == ["near"]
    assert (await kim("messages.send", to="far", text="frozen", mode="silent"))["to"] == ["far"]


async def test_it_is_called_otherwise_with_all_its_mail(bench: Bench) -> None:
    far, kim = await added(bench), bench.person()
    task = (await kim("messages.send", to="far", text="go"))["task_id"]
    await kim("agents.rename", target="far", name="away")
    await note(bench, far, external_work.begin, id=task)
    await note(bench, far, external_work.link, id=task, remote_task="r")
    await note(bench, far, work.complete, task=task, text="done")
    assert (await kim("external.show", alias="away"))["queued"] == 0
    with pytest.raises(Refused):
        await kim("agents.rename", target="away", clear=True)
    with pytest.raises(Refused) as elsewhere:
        await kim("agents.signal", target="away", action="kill")
    assert elsewhere.value.code == "elsewhere"


async def test_what_was_being_sent_when_nobody_knows_is_told(bench: Bench) -> None:
    far, kim = await added(bench), bench.person()
    task = (await kim("messages.send", to="far", text="go"))["task_id"]
    await note(bench, far, external_work.begin, id=task)
    await bench.crash()
    far = speaker(bench, far.key)
    await note(bench, far, reports.unknown, id=task, reason="the hub ended while it was sent")
    assert bench.hub.state.get(Tasks).finished[task].state == "failed"


async def test_the_state_is_the_fold_of_the_log_at_every_point(bench: Bench) -> None:
    far, kim = await added(bench), bench.person()
    for number in range(3):
        task = (await kim("messages.send", to="far", text="go"))["task_id"]
        await note(bench, far, external_work.begin, id=task)
        await note(bench, far, external_work.link, id=task, remote_task=f"r-{number}", remote_context="rc")
        await note(bench, far, work.ask, task=task, question="?")
        said = await kim("tasks.say", task=task, text="so")
        if number:
            await note(bench, far, external_work.answering, task=task, position=said["position"])
        if number == 2:
            await kim("tasks.cancel", task=task)
    network(bench, secret="0" * 32)
    await kim("external.refresh", alias="far")
    assert bench.hub.state.get(External).registered[far.key].headers == ("X-API-Key",)
    submitted = await kim("tasks.submit", to="far", text="more", context="c-named")
    await note(bench, far, external_work.begin, id=submitted["task_id"])
    await note(bench, far, external_work.link, id=submitted["task_id"], remote_task="r-9", remote_context="rn")
    assert bench.hub.state.get(External).remote_context(far.key, "c-named") == "rn"
    check_projection(External, bench.events())
    await kim("external.remove", alias="far")
    check_projection(External, bench.events())
    bench.check()


async def test_no_program_is_taken_for_one(bench: Bench) -> None:
    runner = bench.peer(Session(workspace="w", user="kim"))
    refusal = await runner.refused("agents.join", profile="external", workspace="w")
    assert refusal.code == "reserved_name"


async def test_a_conversation_is_forgotten_with_the_task_that_began_it(bench: Bench) -> None:
    far, kim = await added(bench), bench.person()
    task = (await kim("messages.send", to="far", text="go"))["task_id"]
    await note(bench, far, external_work.begin, id=task)
    await note(bench, far, external_work.link, id=task, remote_task="r", remote_context="rc")
    await note(bench, far, work.complete, task=task, text="done")
    external = External()
    for event in bench.events():
        if event.kind in External.kinds:
            external.apply(event)
    context = "c-" + task.removeprefix("t-")
    assert external.remote_context(far.key, context) == "rc"
    assert external.remote_context("a-another", context) == ""
    fact = LogForgotten(stories=(task,))
    external.apply(Event(bench.hub.head + 1, 0, 0.0, fact.kind, "hub", "", "log", fact))
    assert external.remote_context(far.key, context) == ""
