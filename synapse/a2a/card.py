"""Agent cards: what an agent is, where it is reached, and what it can do (A2A 1.0 §4.4, §8)."""

from dataclasses import dataclass
from typing import Any

from msgspec import json

from synapse import __version__, ids
from synapse.a2a import v03
from synapse.hub.agents import Agent, Agents
from synapse.hub.loop import Hub
from synapse.hub.offers import Card, Offers

CONTEXT = "urn:synapse:extension:context:1"  # the extension by which an agent finds its peers
MODES = ["text/plain", "application/json", "application/octet-stream"]
MAX_AGE = 30  # seconds that a card may be kept


@dataclass(frozen=True, slots=True)
class Place:
    """Where an agent is reached: `base` is its URL as it was asked for, without a slash at its end; `hub` that of the hub."""

    base: str
    hub: str
    secured: bool = False  # a token is needed


def card(hub: Hub, agent: Agent, place: Place) -> dict[str, Any]:
    """The public card, of 1.0 alone: strict clients take nothing else."""
    advertised = hub.state.get(Offers).card(agent.key)
    interface = {"url": place.base, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    found: dict[str, Any] = {
        "name": agent.name,
        "description": advertised.description or agent.role or _described(agent),
        "supportedInterfaces": [
            interface,
            interface | {"protocolBinding": "HTTP+JSON"},
            interface | {"protocolVersion": "0.3"},
        ],
        "version": __version__,
        "capabilities": {
            "streaming": True,
            "pushNotifications": True,
            "extendedAgentCard": True,
            "extensions": [_context(hub, agent, place)],
        },
        "defaultInputModes": MODES,
        "defaultOutputModes": ["text/plain", "application/json"],
        "skills": _skills(agent, advertised),
    }
    if place.secured:
        found["securitySchemes"] = {
            "key": {"apiKeySecurityScheme": {"name": "X-API-Key", "location": "header"}},
            "bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer"}},
        }
        found["securityRequirements"] = [{"schemes": {"key": {"list": []}}}, {"schemes": {"bearer": {"list": []}}}]
    return found


def old_card(hub: Hub, agent: Agent, place: Place) -> dict[str, Any]:
    """What older clients find at `agent.json`: the fields of 0.3, and the context as it was told before 1.0."""
    found = v03.card(card(hub, agent, place))
    found["extensions"] = {
        "x-synapse-context": context(hub, agent, place),
        "synapse": {
            "agent_id": agent.id,
            "pty_wrapped": bool(agent.socket),
            "priority_interrupt": True,
            "at_agent_syntax": True,
        },
    }
    return found


def context(hub: Hub, agent: Agent, place: Place) -> dict[str, Any]:
    """Who the agent is, how to write to others, and who they are (feature A6)."""
    others = [
        {
            "id": one.id,
            "name": one.name,
            "type": one.type,
            "endpoint": f"{place.hub}/agents/{one.name if _unique(hub, one) else one.id}",
            "status": _status(hub, one),
        }
        for one in hub.state.get(Agents)
        if one.key != agent.key and one.workspace == agent.workspace and one.wrapped
    ]
    return {
        "identity": {"id": agent.id, "name": agent.name, "workspace": agent.workspace, "role": agent.role},
        "routing_rules": {
            "self_patterns": [agent.name, agent.id, f"@{agent.name}"],
            "forward_command": "synapse send {target} {text}",
        },
        "available_agents": others,
    }


def signed(card: dict[str, Any]) -> tuple[bytes, str]:
    """The card's bytes and their ETag."""
    body = json.encode(card)
    return body, f'"{ids.fingerprint(body).hex()[:32]}"'


def _context(hub: Hub, agent: Agent, place: Place) -> dict[str, Any]:
    return {
        "uri": CONTEXT,
        "description": "Who this agent is, how to write to its peers, and where they are.",
        "params": context(hub, agent, place),
    }


def _described(agent: Agent) -> str:
    return f"{agent.type}, working in {agent.workspace}" if agent.workspace else agent.type


def _status(hub: Hub, agent: Agent) -> str:
    runner = hub.sessions.runner(agent.key)
    return runner.live.status if runner is not None else "AWAY"


def _unique(hub: Hub, agent: Agent) -> bool:
    return sum(one.name == agent.name for one in hub.state.get(Agents)) == 1


def _skills(agent: Agent, advertised: Card) -> list[dict[str, Any]]:
    skills = [
        _skill("chat", "Chat", f"Takes work in words, and answers in words ({agent.type}).", [agent.type]),
        _skill(
            "interrupt", "Interrupt", "A message with metadata.priority 5 interrupts what it does first.", ["control"]
        ),
    ]
    if agent.skill_set:
        skills.append(_skill(agent.skill_set, agent.skill_set, f"The skill set '{agent.skill_set}'.", ["skill-set"]))
    words = dict.fromkeys((*advertised.skills, *advertised.task_classes))
    return skills + [_skill(word, word, f"Says that it can do: {word}.", ["advertised"]) for word in words]


def _skill(id: str, name: str, description: str, tags: list[str]) -> dict[str, Any]:
    return {"id": id, "name": name, "description": description, "tags": tags}
