"""Cards: what an agent is, in the words of both versions."""

import pytest
from a2a.client.card_resolver import parse_agent_card
from a2a.compat.v0_3 import types as old
from a2a.types import a2a_pb2 as pb
from msgspec import json

from synapse.a2a import card as cards
from synapse.a2a import v03
from synapse.a2a.card import Place
from synapse.hub.agents import Agents
from synapse.testing import Bench
from tests.core.a2a import schema


@pytest.mark.parametrize("secured", [False, True])
async def test_a_card_fits_the_schema_of_its_version_and_both_say_the_same(secured: bool) -> None:
    bench = await Bench().open()
    try:
        bob = await bench.agent("bob")
        await bench.agent("ann")
        await bob("agents.advertise", description="Knows `much`.", skills=["review", "naïve"], task_classes=["tests"])
        agent = bench.hub.state.get(Agents).get(bob.key)
        assert agent is not None
        place = Place("http://127.0.0.1:1/agents/bob", "http://127.0.0.1:1", secured)
        told = cards.card(bench.hub, agent, place)
        schema.fits(pb.AgentCard, told)
        assert told["description"] == "Knows `much`."
        assert {"review", "naïve", "tests"} <= {skill["id"] for skill in told["skills"]}
        (extension,) = told["capabilities"]["extensions"]
        assert [one["name"] for one in extension["params"]["available_agents"]] == ["ann"]
        assert ("securityRequirements" in told) is secured

        before = v03.card(told)
        schema.fits_old(old.AgentCard, before)
        read = parse_agent_card(json.decode(json.encode(before)))
        assert (read.name, read.description) == (told["name"], told["description"])
        assert [one.url for one in read.supported_interfaces] == [place.base] * len(read.supported_interfaces)
        assert [skill.id for skill in read.skills] == [skill["id"] for skill in told["skills"]]
        assert len(read.security_requirements) == (2 if secured else 0)

        body, tag = cards.signed(told)
        assert json.decode(body) == told
        assert cards.signed(cards.card(bench.hub, agent, place)) == (body, tag)
        await bob("agents.advertise", description="Knows more.")
        assert cards.signed(cards.card(bench.hub, agent, place))[1] != tag
    finally:
        await bench.close()
