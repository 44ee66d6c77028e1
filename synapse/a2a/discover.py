"""Finding an agent elsewhere: its card is fetched, judged, cleaned, and the interface chosen by which we speak to it.

A card is what a stranger says. Where it sends us must lie at the origin that the person named; its texts lose everything
that is not printed; what is of a wrong type is as if it were not there.
"""

import re
from collections.abc import Mapping
from typing import Any

from yarl import URL

from synapse.a2a.errors import A2AError
from synapse.a2a.heard import word
from synapse.a2a.outgoing import Answer, Limits, Outgoing
from synapse.a2a.wire import parsed
from synapse.errors import BadRequest, NotFound, Refused, SynapseError, Unavailable
from synapse.hub.addresses import literal, parse
from synapse.hub.external_facts import Interface, RemoteCard, RemoteSkill

LARGEST = 1 << 20  # bytes of a card
MOST_SKILLS = 50
LIMITS = Limits(connect=5.0, pause=8.0, total=10.0)
PATHS = ("/.well-known/agent-card.json", "/.well-known/agent.json")
_BINDINGS = {"JSONRPC": "JSONRPC", "HTTP+JSON": "HTTP+JSON", "REST": "HTTP+JSON"}
_BEST = (("JSONRPC", "1.0"), ("HTTP+JSON", "1.0"), ("JSONRPC", "0.3"))
_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})(?:\.\d{1,3})?\Z")


async def fetch_card(client: Outgoing, url: str, headers: Mapping[str, str], origin: str = "") -> RemoteCard:
    """The card of the agent at a URL (its own, its base, or that of the card), cleaned, with the interface we use.

    `origin` is where its interface may lie beside the URL's own. NotFound when there is none, Refused when it is no use.
    """
    typed = parse(url)
    if typed.query_string and not typed.path.endswith(".json"):
        raise BadRequest(
            "bad_url", "Leave out what stands behind the '?': a secret there would be in the log; --header is for it."
        )
    allowed = [typed] + ([parse(origin)] if origin else [])
    sent = {"Accept": "application/json, application/a2a+json", "A2A-Version": "1.0", **headers}
    for place in places(typed):
        answer = await client.fetch("GET", place, headers=sent, limits=LIMITS, largest=LARGEST, redirects=True)
        if answer.status == 200:
            return card_of(_json(answer), place, allowed)
        if answer.status not in (404, 405, 410):
            raise _unusable(place, answer.status)
    raise NotFound(
        "no_card", f"{_shown(typed)} has no agent card ({', '.join(PATHS)}): is it the URL of an A2A agent?", url=url
    )


def places(typed: URL) -> list[str]:
    """Where a card may lie, in the order in which it is looked for."""
    plain = typed.with_query(None).with_fragment(None)
    if plain.path.endswith(".json"):
        return [str(typed)]
    base = str(plain).rstrip("/")
    found = [base + path for path in PATHS]
    if plain.path.strip("/"):
        found.append(str(plain.origin()) + PATHS[0])
    return found


def _unusable(place: str, status: int) -> SynapseError:
    if status in (401, 403):
        return Refused(
            "credentials_needed",
            f"{place} wants to know who calls (HTTP {status}): give --token-file FILE, or --header 'NAME: @FILE'.",
        )
    if status in (429, 502, 503, 504):
        return Unavailable("unreachable", f"{place} answers with HTTP {status}: try again later.")
    return Refused("no_card", f"{place} answers with HTTP {status}, not with an agent card.")


def _json(answer: Answer) -> Any:
    try:
        return parsed(answer.body)
    except A2AError:
        raise Refused("bad_card", f"What {_shown(URL(answer.url))} answers with is no JSON that can be read.") from None


def card_of(told: Any, place: str, allowed: list[URL]) -> RemoteCard:
    """What we keep of a card; Refused says what is wrong with it."""
    if not isinstance(told, dict):
        raise Refused("bad_card", f"{place} is no agent card: a card is a JSON object.")
    name = word(told.get("name"), 100)
    if not name:
        raise Refused("bad_card", f"{place} is no agent card: it says no name.")
    capabilities = told.get("capabilities")
    skills = told.get("skills")
    found = (_skill(one) for one in (skills if isinstance(skills, list) else ())[:MOST_SKILLS])
    return RemoteCard(
        name=name,
        url=place,
        interface=_choose(_interfaces(told), place, allowed),
        description=word(told.get("description"), 1000),
        version=word(told.get("version"), 40),
        streaming=isinstance(capabilities, dict) and capabilities.get("streaming") is True,
        skills=tuple(skill for skill in found if skill is not None),
        security=_security(told),
    )


def _interfaces(told: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """URL, binding, version and tenant of each interface that a card names, of 1.0 and of 0.3, as they are written."""
    found: list[tuple[Any, Any, Any, Any]] = []
    listed = told.get("supportedInterfaces")
    for one in listed[:20] if isinstance(listed, list) else ():
        if isinstance(one, dict):
            version = one.get("protocolVersion") or "1.0"
            found.append((one.get("url"), one.get("protocolBinding"), version, one.get("tenant") or ""))
    old = told.get("protocolVersion") or "0.3"
    if isinstance(told.get("url"), str):
        found.append((told["url"], told.get("preferredTransport") or "JSONRPC", old, ""))
    more = told.get("additionalInterfaces")
    others = [one for one in more[:20] if isinstance(one, dict)] if isinstance(more, list) else []
    found += [(one.get("url"), one.get("transport"), old, "") for one in others]
    return [one for one in found if all(isinstance(each, str) for each in one)]


def _choose(interfaces: list[tuple[str, str, str, str]], place: str, allowed: list[URL]) -> Interface:
    """The best interface that we speak and may call; Refused says why there is none."""
    usable: list[Interface] = []
    foreign = wrong = ""
    for url, binding, version, tenant in interfaces:
        known, spoken = _BINDINGS.get(binding.upper(), ""), _spoken(version)
        if (known, spoken) not in _BEST:
            continue
        try:
            lies = parse(url)
        except BadRequest as error:
            wrong = wrong or error.sentence
            continue
        if not any(_may_lie(lies, origin) for origin in allowed):
            foreign = foreign or str(lies.origin())
            continue
        usable.append(Interface(url=str(lies), binding=known, version=spoken, tenant=word(tenant, 200)))
    if usable:
        return min(usable, key=lambda one: _BEST.index((one.binding, one.version)))
    if foreign:
        raise Refused(
            "foreign_interface",
            f"The card at {place} sends us to {foreign[:200]}, which is not where you said. If that is right, add it with "
            f"--origin {foreign[:200]}.",
            origin=foreign,
        )
    if wrong:
        raise Refused("bad_card", f"The card at {place} names a URL that is none. {wrong}")
    spoken_there = ", ".join(dict.fromkeys(f"{word(b, 20)} {word(v, 10)}" for _, b, v, _ in interfaces)) or "nothing"
    raise Refused(
        "no_interface",
        f"The card at {place} offers {spoken_there[:300]}; spoken here are JSONRPC 1.0 and 0.3, and HTTP+JSON 1.0.",
    )


def _spoken(version: str) -> str:
    """The version as we speak it: 1.x as 1.0, everything before 1.0 as 0.3."""
    found = _VERSION.match(version)
    if found is None:
        return ""
    return {"1": "1.0", "0": "0.3"}.get(found[1], "")


def _may_lie(url: URL, origin: URL) -> bool:
    """Is it at that origin, or the same machine's by TLS? This machine has several names."""
    if (url.scheme, url.raw_host, url.port) == (origin.scheme, origin.raw_host, origin.port):
        return True
    if url.scheme == "https" and origin.scheme == "http" and url.raw_host == origin.raw_host:
        return (origin.port, url.port) == (80, 443)
    here = [literal(one.raw_host or "") for one in (url, origin)]
    loopback = all(address is not None and address.is_loopback for address in here)
    return loopback and (url.scheme, url.port) == (origin.scheme, origin.port)


def _skill(told: Any) -> RemoteSkill | None:
    if not isinstance(told, dict) or not word(told.get("name")):
        return None
    tags = told.get("tags")
    return RemoteSkill(
        id=word(told.get("id"), 100),
        name=word(told.get("name"), 100),
        description=word(told.get("description"), 300),
        tags=tuple(filter(None, (word(tag, 50) for tag in (tags if isinstance(tags, list) else ())[:20]))),
    )


def _security(told: dict[str, Any]) -> tuple[str, ...]:
    """How it wants to know who calls, in a few words each; empty when it asks for nothing."""
    schemes = told.get("securitySchemes")
    wanted = told.get("securityRequirements") or told.get("security")
    if not isinstance(schemes, dict) or not wanted:
        return ()
    return tuple(filter(None, (_scheme(name, scheme) for name, scheme in list(schemes.items())[:10])))


def _scheme(name: str, scheme: Any) -> str:
    if not isinstance(scheme, dict):
        return ""
    key = scheme.get("apiKeySecurityScheme") or (scheme if scheme.get("type") == "apiKey" else None)
    http = scheme.get("httpAuthSecurityScheme") or (scheme if scheme.get("type") == "http" else None)
    if isinstance(key, dict):
        where = word(key.get("location") or key.get("in"), 20) or "header"
        return f"API key in the {where} {word(key.get('name'), 60)}".strip()[:120]
    if isinstance(http, dict):
        return f"HTTP {word(http.get('scheme'), 20) or 'authentication'}"
    return word(name, 60)


def _shown(url: URL) -> str:
    return str(url.with_query(None))[:200]
