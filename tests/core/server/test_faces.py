"""Every verb through every face that exists, which all say the same."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec import inspect

from synapse import plugins
from synapse.hub.core import VERBS
from synapse.server.api import READING
from synapse.server.parameters import fields
from synapse.verb import Change, Permission, Verb, Wait
from tests.core.server.conftest import House
from tests.core.server.webs import http, websocket

ALL: tuple[Verb, ...] = (*VERBS, *(verb for plugin in plugins.load() if plugin.works for verb in plugin.verbs))
FACED = [verb for verb in ALL if not verb.internal]
WORDS = {
    "to": "sink", "target": "sink", "text": "hello", "id": "m-0", "task": "t-0", "name": "some-name", "profile": "no-such",
    "action": "stop", "blob": "0" * 64, "content": "aGVsbG8=", "query": "hello", "key": "some-key",
}  # fmt: skip
Outcome = tuple[str, Any]


def sample(verb: Verb) -> dict[str, Any]:
    """The parameters that must be there, and no waiting."""
    found = {field.encode_name: value(field) for field in fields(verb.request).values() if field.required}
    if issubclass(verb.request, Wait):
        found["timeout"] = 0
    return found


def value(field: inspect.Field) -> Any:
    kinds: dict[type, Any] = {inspect.IntType: 1, inspect.FloatType: 1.0, inspect.BoolType: True}
    if type(field.type) in kinds:
        return kinds[type(field.type)]
    return [] if isinstance(field.type, inspect.ListType | inspect.VarTupleType) else WORDS.get(field.encode_name, "x")


def shape(what: Any) -> Any:
    """What an answer looks like, without what changes from one to the next."""
    if isinstance(what, dict):
        return {name: shape(item) for name, item in what.items()}
    if isinstance(what, list):
        return [shape(what[0])] if what else []
    return type(what).__name__


def outcome(frame: dict[str, Any], name: str) -> Outcome:
    if "error" in frame:
        told = frame["error"]
        return told["data"]["code"], told["message"].replace(name, "ME")
    return "", shape(frame["result"])


def of_http(answer: Any, name: str) -> Outcome:
    if answer.code:
        return answer.code, answer.body["detail"].replace(name, "ME")
    return "", shape(answer.body)


@pytest.mark.parametrize("verb", FACED, ids=lambda verb: verb.name)
async def test_a_verb_answers_alike_through_every_face(house: House, verb: Verb) -> None:
    house.server.core.hub.place.stop = lambda restart: None  # the hub goes on
    sink = await house.guest(**{"as": "sink"})
    await sink.ask("agents.here")
    params = sample(verb)
    outcomes = {"local": await by_local(house, verb, params), "websocket": await by_websocket(house, verb, params)}
    if verb.lasting:
        answer = await http(house, "POST", f"/api/{verb.name}", json=params)
        assert answer.code == "needs_connection"
    else:
        outcomes["post"] = await by_post(house, verb, params)
        if verb.shape in READING:
            outcomes["get"] = await by_get(house, verb, params)
        else:
            assert (await http(house, "GET", f"/api/{verb.name}")).code == "wrong_method"
    if verb.permission is Permission.PERSON:
        assert {outcomes.pop(face)[0] for face in ("websocket", "post")} == {"not_permitted"}  # without a token
    assert len({json.dumps(each) for each in outcomes.values()}) == 1, outcomes
    code, _ = outcomes["local"]
    assert code not in ("bad_request", "bad_json", "internal_error", "unknown_verb"), outcomes


async def by_local(house: House, verb: Verb, params: dict[str, Any]) -> Outcome:
    peer = await house.guest(**{"as": "face-one"})
    await peer.ask("agents.here")
    peer.send(framed(verb, params) + b"\n")
    frame = await peer.frame()
    while frame.get("id") != 7:
        frame = await peer.frame()
    return outcome(frame, "face-one")


def framed(verb: Verb, params: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": verb.name, "params": params}).encode()


async def by_websocket(house: House, verb: Verb, params: dict[str, Any]) -> Outcome:
    socket = await websocket(house, "?from=face-two&workspace=house")
    await socket.ask("agents.here")
    await socket.socket.send_str(framed(verb, params).decode())
    frame = await socket.frame()
    while frame.get("id") != 7:
        frame = await socket.frame()
    await socket.close()
    return outcome(frame, "face-two")


async def by_post(house: House, verb: Verb, params: dict[str, Any]) -> Outcome:
    headers = {"Synapse-From": "face-three", "Synapse-Workspace": "house"}
    await http(house, "POST", "/api/agents.here", json={}, headers=headers)
    return of_http(await http(house, "POST", f"/api/{verb.name}", json=params, headers=headers), "face-three")


async def by_get(house: House, verb: Verb, params: dict[str, Any]) -> Outcome:
    headers = {"Synapse-From": "face-four", "Synapse-Workspace": "house"}
    await http(house, "POST", "/api/agents.here", json={}, headers=headers)
    query = urlencode(
        {name: json.dumps(one) if isinstance(one, bool) else one for name, one in params.items()}, doseq=True
    )
    return of_http(await http(house, "GET", f"/api/{verb.name}?{query}", headers=headers), "face-four")


async def test_of_a_name_that_is_there_twice_the_last_counts_at_every_face(house: House) -> None:
    """To refuse it would cost every message four times its parsing."""
    sink = await house.guest(**{"as": "sink"})
    await sink.ask("agents.here")
    twice = b'{"to":"nobody","to":"sink","text":"a","text":"%b","mode":"silent"}'
    peer, socket = await house.guest(**{"as": "one"}), await websocket(house, "?from=two&workspace=house")
    frame = b'{"jsonrpc":"2.0","id":7,"id":8,"method":"hub.status","method":"messages.send","params":%b}'
    peer.send(frame % (twice % b"local") + b"\n")
    await socket.socket.send_str((frame % (twice % b"websocket")).decode())
    for told in (await peer.frame(), await socket.frame()):
        assert (told["id"], told["result"]["to"]) == (8, ["sink"])
    headers = {"Content-Type": "application/json", "Synapse-From": "three", "Synapse-Workspace": "house"}
    answer = await http(house, "POST", "/api/messages.send", data=twice % b"http", headers=headers)
    assert answer.body["to"] == ["sink"]
    found = (await sink.ask("messages.inbox"))["result"]["messages"]
    assert sorted(message["text"] for message in found) == ["http", "local", "websocket"]
    await socket.close()


def test_the_verbs_of_plugins_are_among_them() -> None:
    assert {verb.owner for verb in FACED} >= {plugin.name for plugin in plugins.load() if plugin.verbs}
    assert any(issubclass(verb.request, Change) for verb in FACED)
