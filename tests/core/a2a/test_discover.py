"""Which interface of a card is used, and which card is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse.a2a.discover import card_of, places
from synapse.errors import Refused
from synapse.hub.addresses import parse
from synapse.hub.external_facts import Interface

HERE = "https://far.example/agent"


def interface(binding: str, version: str, url: str = f"{HERE}/a2a", **more: str) -> dict[str, str]:
    return {"url": url, "protocolBinding": binding, "protocolVersion": version, **more}


def chosen(*interfaces: Any, typed: str = HERE, origin: str = "", **more: Any) -> Interface:
    told = {"name": "n", "supportedInterfaces": list(interfaces), **more}
    allowed = [parse(typed), *([parse(origin)] if origin else [])]
    return card_of(told, f"{typed}/card", allowed).interface


def refused(*interfaces: Any, **more: Any) -> str:
    with pytest.raises(Refused) as refusal:
        chosen(*interfaces, **more)
    return refusal.value.code


def test_the_best_of_what_it_speaks_is_used() -> None:
    json, rest, old = interface("JSONRPC", "1.0"), interface("HTTP+JSON", "1.0"), interface("JSONRPC", "0.3.0")
    grpc = interface("GRPC", "1.0")
    for offered, binding, version in (
        ((grpc, old, rest, json), "JSONRPC", "1.0"),
        ((grpc, old, rest), "HTTP+JSON", "1.0"),
        ((grpc, old), "JSONRPC", "0.3"),
        ((interface("jsonrpc", "1.0.1"),), "JSONRPC", "1.0"),
        ((interface("JSONRPC", "1.2"),), "JSONRPC", "1.0"),
    ):
        found = chosen(*offered)
        assert (found.binding, found.version) == (binding, version)
    assert chosen(interface("JSONRPC", "1.0", tenant="t-1")).tenant == "t-1"
    assert refused(grpc) == refused() == refused(interface("JSONRPC", "2.0")) == "no_interface"
    assert refused(interface("HTTP+JSON", "0.3")) == "no_interface"


def test_a_card_of_0_3_is_understood() -> None:
    found = chosen(url=f"{HERE}/rpc", preferredTransport="JSONRPC", protocolVersion="0.3.0")
    assert found == Interface(url=f"{HERE}/rpc", binding="JSONRPC", version="0.3")
    assert chosen(url=f"{HERE}/rpc").version == "0.3"  # 0.2 said less
    more = [{"url": f"{HERE}/grpc", "transport": "GRPC"}, {"url": f"{HERE}/json", "transport": "JSONRPC"}]
    found = chosen(url=f"{HERE}/grpc", preferredTransport="GRPC", protocolVersion="0.3.0", additionalInterfaces=more)
    assert found.url == f"{HERE}/json"
    merged = chosen(interface("JSONRPC", "1.0"), url=f"{HERE}/rpc", protocolVersion="0.3.0")
    assert merged.version == "1.0"


@pytest.mark.parametrize(
    ("typed", "named", "allowed"),
    [
        ("https://far.example", "https://far.example/x", True),
        ("https://far.example", "https://far.example:443/x", True),
        ("https://far.example", "https://far.example:8443/x", False),
        ("https://far.example", "http://far.example/x", False),
        ("http://far.example", "https://far.example/x", True),
        ("http://far.example:8080", "https://far.example/x", False),
        ("https://far.example", "https://api.far.example/x", False),
        ("http://localhost:9000", "http://127.0.0.1:9000/x", True),
        ("http://localhost:9000", "http://[::1]:9000/x", True),
        ("http://localhost:9000", "http://127.0.0.1:9001/x", False),
        ("http://far.example:9000", "http://127.0.0.1:9000/x", False),
        ("https://far.example", "https://far.example@evil.example/x", False),
        ("https://far.example", "https://evil.example/x#https://far.example", False),
    ],
)
def test_an_interface_lies_where_the_person_said(typed: str, named: str, allowed: bool) -> None:
    if allowed:
        assert chosen(interface("JSONRPC", "1.0", named), typed=typed).url
    else:
        assert refused(interface("JSONRPC", "1.0", named), typed=typed) in ("foreign_interface", "bad_card")
        if "@" not in named:
            origin = str(parse(named).origin())
            assert chosen(interface("JSONRPC", "1.0", named), typed=typed, origin=origin).url


def test_a_card_is_looked_for_where_cards_lie() -> None:
    assert places(parse("https://far.example")) == [
        "https://far.example/.well-known/agent-card.json",
        "https://far.example/.well-known/agent.json",
    ]
    assert places(parse("https://far.example/a/b/")) == [
        "https://far.example/a/b/.well-known/agent-card.json",
        "https://far.example/a/b/.well-known/agent.json",
        "https://far.example/.well-known/agent-card.json",
    ]
    assert places(parse("https://far.example/my-card.json")) == ["https://far.example/my-card.json"]


def test_how_it_wants_to_know_who_calls_is_told() -> None:
    schemes = {
        "key": {"apiKeySecurityScheme": {"name": "X-API-Key", "location": "header"}},
        "bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer"}},
        "old": {"type": "apiKey", "in": "query", "name": "k"},
        "login": {"oauth2SecurityScheme": {"flows": {}}},
        "odd": 7,
    }
    told = {
        "name": "n", "supportedInterfaces": [interface("JSONRPC", "1.0")], "securitySchemes": schemes,
        "securityRequirements": [{"schemes": {"key": {"list": []}}}],
    }  # fmt: skip
    card = card_of(told, HERE, [parse(HERE)])
    assert card.security == ("API key in the header X-API-Key", "HTTP Bearer", "API key in the query k", "login")
    assert card_of(told | {"securityRequirements": []}, HERE, [parse(HERE)]).security == ()


NAMES = ("name", "url", "supportedInterfaces", "protocolBinding", "protocolVersion", "skills", "tags", "capabilities",
         "streaming", "securitySchemes", "security", "additionalInterfaces", "transport", "description", "id")  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["JSONRPC", "1.0", "0.3", HERE, "GRPC"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=25,
)


@given(JSON)
def test_whatever_a_card_says_it_is_refused_or_cleaned(told: Any) -> None:
    if isinstance(told, dict):
        told = {"name": "n", "url": HERE} | told
    try:
        card = card_of(told, HERE, [parse(HERE)])
    except Refused:
        return
    texts = [card.name, card.description, card.version, *(skill.name for skill in card.skills)]
    assert all(text.isprintable() for text in texts)
    assert parse(card.interface.url).origin() == parse(HERE).origin()
