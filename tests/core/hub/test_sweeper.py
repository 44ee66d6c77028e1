"""What time decides, and that it decides nothing too early."""

from typing import Any

from synapse.hub.sweeper import AWAY, CLIENT_AWAY, HEARTBEAT, MAIL_TTL, WAIT_GRACE
from tests.core.hub.kit import DAY, Bench, Peer


async def states(peer: Peer) -> list[str]:
    return [t["state"] for t in (await peer("history.list"))["tasks"]]


async def test_a_lost_runner_fails_its_task_and_what_it_left_is_ended(bench: Bench) -> None:
    bob, alice = await bench.agent("bob", pid=100), bench.client("alice")
    await bob("agents.started", child_pid=101)
    await alice("messages.send", to="bob", text="x")
    await bob.take()
    bob.hang_up()
    await bench.sweep()
    assert await states(alice) == ["working"]
    bench.processes.dead.add(100)
    await bench.sweep()
    [entry] = (await alice("history.list"))["tasks"]
    assert (entry["state"], entry["reason"]) == ("failed", "runner_lost")
    assert bench.processes.ended == [101]
    assert (await alice.refused("agents.show", target="bob")).code == "away"


async def test_a_runner_that_is_connected_is_not_lost(bench: Bench) -> None:
    await bench.agent("bob", pid=100)
    bench.processes.dead.add(100)
    await bench.sweep()
    assert "agents.left" not in bench.kinds()


async def test_a_runner_that_died_with_the_hub_is_lost_at_the_next_start(bench: Bench) -> None:
    await bench.agent("bob", pid=100)
    bench.processes.dead.add(100)
    await bench.crash()
    await bench.sweep()
    assert bench.bodies("agents.left")[0]["reason"] == "runner_lost"


async def test_a_runner_that_lives_on_without_a_hub_is_not_lost(bench: Bench) -> None:
    await bench.agent("bob", pid=100)
    await bench.crash()
    bench.clock.advance(30 * DAY)
    await bench.sweep()
    assert "agents.left" not in bench.kinds()


async def test_a_runner_of_another_machine_is_lost_after_two_minutes_away(bench: Bench) -> None:
    bob = await bench.agent("bob")
    bench.clock.advance(2 * HEARTBEAT)
    bob.hang_up()
    for passed, left in ((AWAY - 1, 0), (2, 1)):
        bench.clock.advance(passed)
        await bench.sweep()
        assert bench.kinds().count("agents.left") == left


async def test_a_client_nobody_has_spoken_as_for_seven_days_is_not_here_but_its_mail_still_waits(bench: Bench) -> None:
    ann, bob, cid = bench.client("ann"), bench.client("bob"), bench.client("cid")
    for peer in (ann, bob, cid):
        await peer("agents.here")
    bob.hang_up()
    bench.clock.advance(CLIENT_AWAY - 1)
    cid.hang_up()
    await bench.sweep()
    assert "agents.left" not in bench.kinds()
    bench.clock.advance(2)
    await bench.sweep()
    assert [body["reason"] for body in bench.bodies("agents.left")] == ["unseen"]
    assert (await ann("messages.send", to="all", text="x", mode="silent"))["to"] == ["cid"]
    await ann("messages.send", to="bob", text="for later", mode="silent")
    again = bench.client("bob")
    assert [message["text"] for message in (await again("messages.inbox"))["messages"]] == ["for later"]


async def test_a_client_is_not_unseen_because_the_hub_was_not_there(bench: Bench) -> None:
    bob = bench.client("bob")
    await bob("agents.here")
    await bench.crash()
    bench.clock.advance(30 * DAY)
    await bench.sweep()
    assert "agents.left" not in bench.kinds()


async def test_a_process_number_that_a_stranger_claims_is_not_looked_at(bench: Bench) -> None:
    remote = await bench.agent("bob")
    joined = await remote("agents.join", profile="codex", workspace="w", pid=4711)
    bench.processes.dead.add(4711)
    await bench.sweep()
    assert joined["key"]
    assert "agents.left" not in bench.kinds()


async def test_mail_is_kept_for_seven_days_and_its_sender_is_told(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await bob("agents.leave")
    for mode in ("notify", "silent"):
        await alice("messages.send", to="bob", text="x", mode=mode)
    bench.clock.advance(MAIL_TTL - 1)
    await bench.sweep()
    assert "messages.dead_lettered" not in bench.kinds()
    bench.clock.advance(2)
    await bench.sweep()
    told = [m["text"] for m in (await alice("messages.inbox"))["messages"]]
    assert told == ["failed (expired): Nobody took it in 7 days.", "Nobody read it in 7 days."]
    assert len((await alice("messages.inbox", which="dead"))["messages"]) == 2
    assert bench.picture() == bench.refolded()


async def test_what_was_read_goes_quietly_and_what_is_worked_on_stays(bench: Bench) -> None:
    alice, carol = bench.client("alice"), bench.client("carol")
    own = (await carol("messages.send", to="me", text="hello", mode="silent"))["id"]
    await bench.person()("messages.ack", id=own)
    note = (await alice("messages.send", to="carol", text="note", mode="silent"))["id"]
    work = (await alice("messages.send", to="carol", text="work"))["id"]
    for id in (note, work):
        await carol("messages.read", id=id)
    bench.clock.advance(MAIL_TTL + HEARTBEAT)
    await bench.sweep()
    assert [m["text"] for m in (await carol("messages.inbox"))["messages"]] == ["work"]
    assert "messages.dead_lettered" not in bench.kinds()
    await carol("messages.reply", text="done")


async def test_much_mail_expires_in_several_records(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await bob("agents.leave")
    for _ in range(500):
        alice.ask("messages.send", to="bob", text="x", mode="silent")
    await bench.settled()
    bench.clock.advance(MAIL_TTL + HEARTBEAT)
    await bench.sweep()
    assert bench.kinds().count("messages.dead_lettered") == 500
    assert max(len(record.events) for record in bench.log.read(0)) <= 400


async def test_after_a_start_nothing_expires_before_one_heartbeat(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await bob("agents.leave")
    await alice("messages.send", to="bob", text="x")
    bench.clock.advance(MAIL_TTL + 1)
    await bench.restart()
    bench.clock.advance(HEARTBEAT - 1)
    await bench.sweep()
    assert "messages.dead_lettered" not in bench.kinds()
    bench.clock.advance(1)
    await bench.sweep()
    assert "messages.dead_lettered" in bench.kinds()


async def test_after_a_jump_of_the_clock_nothing_expires_before_one_heartbeat(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await bob("agents.leave")
    await alice("messages.send", to="bob", text="x")
    bench.clock.advance(2 * HEARTBEAT)
    await bench.sweep()
    bench.clock.jump(MAIL_TTL + 1)
    await bench.sweep()
    assert "messages.dead_lettered" not in bench.kinds()
    bench.clock.advance(HEARTBEAT)
    await bench.sweep()
    assert "messages.dead_lettered" in bench.kinds()


async def test_a_clock_that_was_wrong_for_a_while_lets_nothing_expire(bench: Bench) -> None:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    await bob("agents.leave")
    await alice("messages.send", to="bob", text="x")
    bench.clock.jump(MAIL_TTL + 1)
    await alice("messages.send", to="bob", text="y")
    bench.clock.jump(-MAIL_TTL)
    await bench.sweep()
    bench.clock.advance(2 * HEARTBEAT)
    await alice("messages.send", to="bob", text="z")
    await bench.sweep()
    assert "messages.dead_lettered" not in bench.kinds()
    times = [record.at for record in bench.log.read(0)]
    assert times == sorted(times)


async def waited(bench: Bench) -> tuple[Peer, Peer, str]:
    bob, alice = await bench.agent("bob"), bench.client("alice")
    task = (await alice("messages.send", to="bob", text="x", mode="wait"))["task_id"]
    await bob.take()
    bench.clock.advance(HEARTBEAT)
    return bob, alice, str(task)


async def test_an_answer_that_nobody_waits_for_any_more_comes_as_a_message(bench: Bench) -> None:
    bob, alice, task = await waited(bench)
    alice.ask("tasks.wait", task=task)
    bench.clock.advance(DAY)
    await bench.sweep()
    assert "tasks.wait_ended" not in bench.kinds()
    alice.hang_up()
    await bench.sweep()
    bench.clock.advance(WAIT_GRACE)
    await bench.sweep()
    assert "tasks.wait_ended" not in bench.kinds()
    bench.clock.advance(1)
    await bench.sweep()
    assert "tasks.wait_ended" in bench.kinds()
    await bob("messages.reply", text="late")
    assert (await bench.client("alice")("messages.inbox"))["messages"][0]["text"] == "late"


async def test_who_asks_again_in_time_still_waits(bench: Bench) -> None:
    _, alice, task = await waited(bench)
    for _ in range(5):
        await alice("tasks.wait", task=task, timeout=0)
        bench.clock.advance(WAIT_GRACE - 1)
        await bench.sweep()
    assert "tasks.wait_ended" not in bench.kinds()


async def test_what_is_remembered_of_waits_and_absences_goes_with_them(bench: Bench) -> None:
    bob, alice, task = await waited(bench)
    await alice("tasks.wait", task=task, timeout=0)
    bob.hang_up()
    await bench.sweep()
    assert bench.hub.waited
    assert bench.hub.sessions.away_since
    await bench.person()("tasks.cancel", task=task)
    bench.processes.dead.add(0)
    bench.clock.advance(AWAY + 1)
    await bench.sweep()
    assert not bench.hub.waited
    assert bob.key not in bench.hub.sessions.away_since


async def test_an_idle_hub_writes_nothing(bench: Bench) -> None:
    await bench.agent("bob")
    head = bench.hub.head
    for _ in range(10):
        bench.clock.advance(DAY / 24)
        await bench.sweep()
    assert bench.hub.head == head


def test_the_grace_of_a_wait_is_shorter_than_a_heartbeat() -> None:
    kept: Any = WAIT_GRACE
    assert kept < HEARTBEAT
