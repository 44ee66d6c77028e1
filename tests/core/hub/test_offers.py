"""Offers and capability cards, who is routed to by a class, and the laws of what is folded from them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from synapse.event import Event, Fact
from synapse.hub.facts import Advertised, Left, OfferMade, OfferWithdrawn
from synapse.hub.offers import LONGEST, MOST_OFFERS, Offers
from synapse.projection import fold
from tests.core.hub.kit import Bench, Peer


async def offered(peer: Peer, **how: Any) -> list[Any]:
    rows: list[Any] = (await peer("offers.list", **how)).get("offers") or []
    return rows


# -- offers


async def test_an_offer_is_seen_by_everybody_in_the_workspace(bench: Bench) -> None:
    alice, far = bench.client("alice"), bench.client("far", "other")
    made = await alice("offers.put", kind="gpu", name="a100", capacity=2, meta={"zone": "b"}, ttl=60)
    [row] = await offered(bench.client("bob"))
    assert (row["agent"], row["kind"], row["name"], row["capacity"]) == ("alice", "gpu", "a100", 2)
    assert row["id"] == made["id"]
    assert row["meta"] == {"zone": "b"}
    assert row["expires_at"] == made["expires_at"] == bench.clock.now() + 60
    assert await offered(far) == []
    assert len(await offered(far, workspace="*")) == 1
    assert await offered(alice, kind="browser") == []


async def test_offering_the_same_again_says_how_it_is_now(bench: Bench) -> None:
    alice = bench.client("alice")
    first = await alice("offers.put", kind="gpu", name="a100", capacity=2)
    again = await alice("offers.put", kind="gpu", name="a100", capacity=1)
    assert first["id"] == again["id"]
    [row] = await offered(alice)
    assert row["capacity"] == 1


async def test_a_retry_under_the_same_key_offers_once(bench: Bench) -> None:
    alice = bench.client("alice")
    first, again = [await alice.raw("offers.put", kind="a", name="b", idempotency_key="k") for _ in range(2)]
    assert first == again
    assert bench.kinds().count("offers.made") == 1


async def test_only_who_made_an_offer_takes_it_back(bench: Bench) -> None:
    alice, bob = bench.client("alice"), bench.client("bob")
    made = await alice("offers.put", kind="gpu", name="a100")
    assert (await bob.refused("offers.withdraw", id=made["id"])).code == "not_yours"
    assert (await bob.refused("offers.withdraw", kind="gpu", name="a100")).code == "no_such_offer"
    await alice("offers.withdraw", kind="gpu", name="a100")
    assert await offered(alice) == []
    assert (await alice.refused("offers.withdraw", id=made["id"])).code == "no_such_offer"


async def test_an_offer_ends_when_its_time_is_over_by_the_sweeper_alone(bench: Bench) -> None:
    alice = bench.client("alice")
    await alice("offers.put", kind="gpu", name="a100", ttl=90)
    bench.clock.advance(100)
    [row] = await offered(alice)
    assert row["overdue"]
    await bench.sweep()
    assert await offered(alice) == []
    assert bench.bodies("offers.withdrawn")[-1]["reason"] == "expired"


async def test_nothing_that_is_offered_expires_right_after_a_start(bench: Bench) -> None:
    alice = bench.client("alice")
    await alice("offers.put", kind="gpu", name="a100", ttl=5)
    bench.clock.advance(10)
    await bench.restart()
    await bench.sweep()
    assert len(await offered(bench.client("alice"))) == 1
    bench.clock.advance(61)
    await bench.sweep()
    assert await offered(bench.client("alice")) == []


async def test_offers_and_the_card_end_with_their_agent(bench: Bench) -> None:
    runner = await bench.agent("bob")
    await runner("offers.put", kind="gpu", name="a100")
    await runner("agents.advertise", task_classes=["review"])
    await runner("agents.leave")
    assert await offered(bench.client("alice"), workspace="*") == []
    assert (await bench.client("alice").refused("messages.send", to="class:review", text="x")).code == "no_such_class"


async def test_what_is_wrong_with_an_offer_is_said(bench: Bench) -> None:
    alice = bench.client("alice")
    for code, fields in (
        ("bad_word", {"kind": " "}),
        ("bad_word", {"name": "x" * 81}),
        ("bad_word", {"name": "a\x1b[2J"}),
        ("bad_ttl", {"ttl": 0}),
        ("bad_ttl", {"ttl": LONGEST + 1}),
        ("bad_capacity", {"capacity": -1}),
        ("too_large", {"meta": {"a": "x" * 5000}}),
    ):
        assert (await alice.refused("offers.put", **{"kind": "gpu", "name": "a", **fields})).code == code
    for number in range(MOST_OFFERS):
        await alice("offers.put", kind="gpu", name=str(number))
    assert (await alice.refused("offers.put", kind="gpu", name="one more")).code == "too_many_offers"
    await alice("offers.put", kind="gpu", name="7", capacity=3)


# -- cards and routing


async def taker(bench: Bench, name: str, *classes: str) -> Peer:
    runner = await bench.agent(name)
    await runner("agents.advertise", task_classes=list(classes))
    return runner


async def test_a_card_is_shown_with_its_agent_and_in_the_manifest(bench: Bench) -> None:
    runner = await bench.agent("bob")
    await runner("agents.advertise", description="Reads.", skills=["python"], task_classes=["Review"], model="m-1")
    await runner("offers.put", kind="gpu", name="a100")
    alice = bench.client("alice")
    shown = await alice("agents.show", target="bob")
    assert shown["card"] == {
        "description": "Reads.", "skills": ["python"], "task_classes": ["review"], "model": "m-1",
    }  # fmt: skip
    assert [offer["name"] for offer in shown["offers"]] == ["a100"]
    found = await alice("agents.manifest")
    assert [one["name"] for one in found["agents"]] == ["bob"]
    assert found["task_classes"] == {"review": ["bob"]}


async def test_the_same_card_again_is_no_event_and_an_empty_one_takes_it_down(bench: Bench) -> None:
    runner = await taker(bench, "bob", "review")
    await runner("agents.advertise", task_classes=["review"])
    assert bench.kinds().count("agents.advertised") == 1
    await runner("agents.advertise")
    shown = await runner("agents.show", target="bob")
    assert "card" not in shown or shown["card"] is None


async def test_a_task_for_a_class_goes_to_the_idle_then_to_the_shortest_queue(bench: Bench) -> None:
    alice = bench.client("alice")
    await taker(bench, "zoe", "review")
    bob = await taker(bench, "bob", "review", "build")
    await taker(bench, "eve", "build")
    sent = [(await alice("messages.send", to="class:review", text="look"))["to"] for _ in range(4)]
    assert sent == [["bob"], ["zoe"], ["bob"], ["zoe"]]
    await bob("agents.report", status="PROCESSING")
    assert (await alice("messages.send", to="class:build", text="make"))["to"] == ["eve"]


async def test_who_is_not_here_comes_last_and_who_asks_is_never_meant(bench: Bench) -> None:
    away = await taker(bench, "ann", "review")
    await taker(bench, "bob", "review")
    away.hang_up()
    alice = bench.client("alice")
    await alice("agents.advertise", task_classes=["review"])
    for _ in range(3):
        assert (await alice("messages.send", to="class:review", text="look"))["to"] == ["bob"]


async def test_a_class_that_nobody_takes_is_refused_with_those_that_there_are(bench: Bench) -> None:
    await taker(bench, "bob", "review", "build")
    alice = bench.client("alice")
    refusal = await alice.refused("messages.send", to="class:paint", text="x")
    assert refusal.code == "no_such_class"
    assert "build, review" in refusal.sentence
    assert (await alice.refused("messages.send", to="class:", text="x")).code == "no_class"
    assert (await bench.client("x", "other").refused("messages.send", to="class:review", text="x")).details == {
        "choices": []
    }


async def test_a_task_class_is_part_of_a_target(bench: Bench) -> None:
    alice = bench.client("alice")
    for wrong in ("a,b", "a b", "a*", "a/b", ""):
        assert (await alice.refused("agents.advertise", task_classes=[wrong])).code in ("bad_class", "bad_word")
    assert (await alice.refused("agents.advertise", skills=[str(n) for n in range(40)])).code == "too_many"
    assert (await alice.refused("agents.advertise", description="x" * 3000)).code == "too_large"


# -- laws


async def test_the_state_is_the_fold_of_the_log_also_after_a_restart(bench: Bench) -> None:
    runner = await taker(bench, "bob", "review")
    await runner("offers.put", kind="gpu", name="a100")
    await runner("offers.put", kind="gpu", name="h100")
    await runner("offers.withdraw", kind="gpu", name="a100")
    await bench.settled()
    before = bench.picture()["offers"]
    assert before == bench.refolded()["offers"]
    await bench.restart()
    assert bench.picture()["offers"] == before


KEYS = st.sampled_from(["a-1", "a-2"])
IDS = st.sampled_from(["o-1", "o-2", "o-3"])
WORDS = st.sampled_from(["x", "y"])
FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.builds(OfferMade, id=IDS, key=KEYS, sort=WORDS, name=WORDS, expires=st.floats(0, 9)),
    st.builds(OfferWithdrawn, id=IDS, key=KEYS),
    st.builds(Advertised, key=KEYS, task_classes=st.lists(WORDS, unique=True).map(tuple)),
    st.builds(Left, key=KEYS),
)


def history(facts: list[Fact]) -> list[Event]:
    return [Event(n, 0, float(n), f.kind, "a-1", "w", getattr(f, "key", ""), f) for n, f in enumerate(facts, 1)]


def folded(events: list[Event]) -> Offers:
    offers = Offers()
    fold([offers], events)
    return offers


@given(st.lists(FACTS, max_size=30), st.integers(0, 30))
def test_a_dump_that_is_loaded_goes_on_like_the_fold(facts: list[Fact], cut: int) -> None:
    events = history(facts)
    loaded = Offers()
    loaded.load(folded(events[:cut]).dump())
    assert vars(loaded) == vars(folded(events[:cut]))
    fold([loaded], events[cut:])
    assert vars(loaded) == vars(folded(events))
    loaded.reset()
    assert vars(loaded) == vars(Offers())


@given(st.lists(FACTS, max_size=30))
def test_the_index_of_classes_agrees_with_the_cards(facts: list[Fact]) -> None:
    offers = folded(history(facts))
    for word in ("x", "y"):
        assert set(offers.taking(word)) == {key for key in ("a-1", "a-2") if word in offers.card(key).task_classes}


@given(st.lists(FACTS, max_size=30))
def test_forgetting_a_stay_that_is_over_changes_nothing_that_is_alive(facts: list[Fact]) -> None:
    events = history([*facts, Left(key="a-1")])
    assert vars(folded(events)) == vars(folded([event for event in events if event.story != "a-1"]))
