"""HTTP: every verb by its name, reading ones by GET too; how the hub is; and a refusal has one form."""

import asyncio
import json
import re
from io import BytesIO
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from prometheus_client.parser import text_string_to_metric_families

from synapse import plugins
from synapse.hookspecs import Route
from synapse.plugins import Plugin
from synapse.server.app import Options, Server
from tests.core.server.conftest import House
from tests.core.server.webs import http, post


async def test_a_hub_that_is_alive_says_so(house: House) -> None:
    answer = await http(house, "GET", "/health")
    assert (answer.status, answer.body["status"]) == (200, "ok")


async def test_a_hub_that_takes_changes_is_ready(house: House) -> None:
    answer = await http(house, "GET", "/ready")
    assert (answer.status, answer.body) == (200, {"status": "ok", "reason": ""})


async def test_a_hub_that_cannot_store_is_alive_and_not_ready(house: House) -> None:
    house.server.core.hub.read_only = "The disk is full."
    answer = await http(house, "GET", "/ready")
    assert (answer.status, answer.body["reason"]) == (503, "The disk is full.")
    assert (await http(house, "GET", "/health")).status == 200


async def test_a_message_is_sent_and_its_reply_names_message_task_and_position(house: House) -> None:
    await post(house, "agents.here", **{"from": "bob"})
    sent = await post(house, "messages.send", **{"from": "ann", "to": "bob", "text": "hello", "priority": 4})
    assert sent.status == 200
    assert sent.body["id"] == sent.body["task_id"]
    assert sent.headers["Synapse-Position"] == str(sent.body["position"])
    note = await post(house, "messages.send", **{"from": "ann", "to": "bob", "text": "fyi", "mode": "silent"})
    assert (note.body["task_id"], bool(note.body["id"])) == ("", True)
    inbox = await http(house, "GET", "/api/messages.inbox?from=bob&limit=1")
    assert [one["text"] for one in inbox.body["messages"]] == ["fyi"]


@pytest.mark.parametrize("where", ["body", "query", "header"])
async def test_who_speaks_and_where_is_told_in_the_body_the_query_or_a_header(house: House, where: str) -> None:
    said = {"from": "ann", "workspace": "barn"}
    if where == "body":
        await post(house, "agents.here", **said)
    elif where == "query":
        await http(house, "POST", "/api/agents.here?from=ann&workspace=barn", json={})
    else:
        await post(house, "agents.here", headers={"Synapse-From": "ann", "Synapse-Workspace": "barn"})
    rows = (await http(house, "GET", "/api/agents.list?all=true&workspace=*")).body["agents"]
    assert [(row["name"], row["workspace"], row["agent_type"]) for row in rows] == [("ann", "barn", "client")]


async def test_without_a_name_it_is_the_person_as_on_the_command_line(house: House) -> None:
    await post(house, "agents.here")
    [row] = (await http(house, "GET", "/api/agents.list?all=1")).body["agents"]
    assert row["agent_type"] == "person"


async def test_a_retry_under_one_key_happens_once_and_gets_the_same_bytes(house: House) -> None:
    await post(house, "agents.here", **{"from": "bob"})
    words: dict[str, Any] = {"from": "ann", "to": "bob", "text": "once"}
    first = await post(house, "messages.send", **words, idempotency_key="k-1")
    again = await post(house, "messages.send", **words, headers={"Idempotency-Key": "k-1"})
    assert (again.status, again.content) == (200, first.content)
    other = await post(house, "messages.send", **{**words, "text": "twice"}, idempotency_key="k-1")
    assert (other.status, other.code) == (409, "key_reused")
    missing = await post(house, "messages.send", headers={"Idempotency-Key": "with blanks"}, **words)
    assert missing.code == "bad_key"


async def test_a_refusal_is_a_problem_with_code_sentence_and_the_requests_id(house: House) -> None:
    refused = await post(house, "messages.send", headers={"X-Request-Id": "mine-7"}, to="nobody", text="x")
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["X-Request-Id"] == "mine-7"
    body = refused.body
    assert (refused.status, body["status"], body["code"], body["request_id"]) == (404, 404, "no_such_agent", "mine-7")
    assert body["type"] == "urn:synapse:problem:no_such_agent"
    assert body["title"]
    assert body["detail"].startswith("There is no 'nobody'")
    own = await post(house, "messages.send", headers={"X-Request-Id": "no good!"}, to="nobody", text="x")
    assert re.fullmatch("[0-9a-f]{16}", own.headers["X-Request-Id"])


BODIES: list[tuple[bytes, int, str]] = [
    (b"", 400, "bad_json"),
    (b"nonsense", 400, "bad_json"),
    (b"\xff\xfe", 400, "bad_json"),
    (b"[]", 400, "bad_request"),
    (b"null", 400, "bad_request"),
    (b'{"to":"x"} {"to":"y"}', 400, "bad_json"),
    (b'{"to":"x","text":"\xff"}', 400, "bad_json"),
    (b'{"to":"x","text":"y","from":"\xff"}', 400, "bad_request"),
    (b'{"to":"x","text":tru}', 400, "bad_json"),
    (b'{"to":"x","text":"y","priority":NaN}', 400, "bad_json"),
    (b'{"to":"x","text":"y","priority":Infinity}', 400, "bad_json"),
    (b'{"to":"x","text":"y","priority":1e999}', 400, "bad_request"),
    (b'{"to":"x","text":"y","priority":"3"}', 400, "bad_request"),
    (b'{"to":7,"text":"y"}', 400, "bad_request"),
    (b'{"to":"x","text":"y","nope":1}', 400, "bad_request"),
    (b'{"text":"y"}', 400, "bad_request"),
    (b'{"to":"x","text":"y","from":7}', 400, "bad_request"),
    (b'{"to":"x","text":"y","from":"no name!"}', 400, "bad_name"),
    (b'{"to":"x","text":"y","from":"hub"}', 400, "reserved_name"),
    (b'{"to":' + b"[" * 70 + b"]" * 70 + b"}", 400, "too_deep"),
    (b'{"to":"x","text":"' + b"y" * (1 << 20) + b'"}', 413, "too_large"),
]


@pytest.mark.parametrize(("body", "status", "code"), BODIES)
async def test_a_body_that_is_wrong_is_refused_and_changes_nothing(
    house: House, body: bytes, status: int, code: str
) -> None:
    head = house.server.core.hub.head
    headers = {"Content-Type": "application/json"}
    answer = await http(house, "POST", "/api/messages.send", data=BytesIO(body), headers=headers)
    assert (answer.status, answer.code) == (status, code)
    assert house.server.core.hub.head == head


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "application/json; charset=utf-16",
    ],
)
async def test_a_body_that_is_not_json_by_its_type_is_not_looked_at(house: House, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    skip = () if kind else ("Content-Type",)
    answer = await http(house, "POST", "/api/agents.here", data=b"{}", headers=headers, skip_auto_headers=skip)
    assert (answer.status, answer.code) == (415, "wrong_content_type")


async def test_what_is_wrong_with_a_body_is_said_as_it_is(house: House) -> None:
    charset = {"Content-Type": "application/json; charset=utf-16"}
    answer = await http(house, "POST", "/api/agents.here", data=b"{}", headers=charset)
    assert answer.body["detail"].endswith("without charset=utf-16.")
    text = await http(house, "POST", "/api/agents.here", data=b"{}", headers={"Content-Type": "text/plain"})
    assert text.body["detail"].endswith("Content-Type: application/json, not 'text/plain'.")
    for charset in ({"Content-Type": f"application/json; charset={name}"} for name in ("UTF-8", "utf8")):
        assert (await http(house, "POST", "/api/agents.here", data=b"{}", headers=charset)).status == 200
    half = b'{"to":"x","text":"\\ud83d"}'
    lone = await http(house, "POST", "/api/messages.send", data=half, headers={"Content-Type": "application/json"})
    assert "half a surrogate pair" in lone.body["detail"]
    marked = await http(
        house, "POST", "/api/agents.here", data=b"\xef\xbb\xbf{}", headers={"Content-Type": "application/json"}
    )
    assert "byte order mark" in marked.body["detail"]
    misspelt = await post(house, "messages.send", to="x", txt="y")
    assert "unknown field `txt`. Did you mean `text`?" in misspelt.body["detail"]
    empty = await post(house, "messages.send", to="x", text=" ")
    assert (empty.code, "--" in empty.body["detail"]) == ("no_text", False)


async def test_a_compressed_body_is_not_unpacked(house: House) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await http(house, "POST", "/api/agents.here", data=b"{}", headers=headers)
    assert answer.status == 400


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "no_such_path"),
        ("GET", "/api/no.such", 404, "unknown_verb"),
        ("GET", "/api/hub.start", 404, "unknown_verb"),
        ("GET", "/api/messages.send?to=x&text=y", 405, "wrong_method"),
        ("DELETE", "/api/messages.send", 405, "wrong_method"),
        ("OPTIONS", "/api/messages.send", 405, "wrong_method"),
        ("GET", "/api/agents.list?all=perhaps", 400, "bad_request"),
        ("GET", "/api/agents.list?nope=1", 400, "bad_request"),
        ("GET", "/api/agents.list?all=true&all=false", 400, "bad_request"),
        ("GET", "/api/history.list?limit=many", 400, "bad_request"),
        ("GET", "/ws", 426, "upgrade_required"),
    ],
)
async def test_a_request_that_cannot_be_says_why(house: House, method: str, path: str, status: int, code: str) -> None:
    answer = await http(house, method, path)
    assert (answer.status, answer.code) == (status, code)


async def test_what_the_websocket_does_not_take_is_refused_and_what_it_wants_is_told(house: House) -> None:
    for query in ("?From=bob", "?from=bob&nope=1"):
        wrong = await http(house, "GET", f"/ws{query}")
        assert (wrong.status, wrong.code, "takes `from` and `workspace`" in wrong.body["detail"]) == (
            400,
            "bad_request",
            True,
        )
    plain = await http(house, "GET", "/ws?from=bob")
    assert (plain.status, plain.headers["Upgrade"], plain.headers["Sec-WebSocket-Version"]) == (426, "websocket", "13")


@pytest.mark.parametrize("verb", ["events.follow", "agents.attach", "agents.report"])
async def test_what_is_about_a_connection_is_refused_where_there_is_none(house: House, verb: str) -> None:
    assert (await post(house, verb)).code == "needs_connection"


async def test_the_query_gives_lists_and_numbers_their_types(house: House) -> None:
    page = await http(house, "GET", "/api/events.page?last=5&kinds=hub.*&kinds=agents.joined")
    assert [event["kind"] for event in page.body["events"]] == ["hub.started"]


async def test_a_wait_over_http_ends_with_what_it_waited_for_and_with_its_caller(house: House) -> None:
    await post(house, "agents.here", **{"from": "bob"})
    waiting = asyncio.create_task(http(house, "GET", "/api/messages.next?from=bob&timeout=20"))
    hub, box = house.server.core.hub, "default/bob"
    async with asyncio.timeout(10):
        while not hub.waits.waiting_for(box):
            await asyncio.sleep(0.005)
    sent = await post(house, "messages.send", **{"from": "ann", "to": "bob", "text": "wake"})
    assert (await waiting).body["ids"] == [sent.body["id"]]
    after = sent.body["position"]
    leaving = asyncio.create_task(http(house, "GET", f"/api/messages.next?from=bob&after={after}&timeout=20"))
    async with asyncio.timeout(10):
        while not hub.waits.waiting_for(box):
            await asyncio.sleep(0.005)
        leaving.cancel()
        while hub.waits.waiting_for(box):
            await asyncio.sleep(0.005)
    bounded = await http(house, "GET", f"/api/messages.next?from=bob&after={after}&timeout=0.01")
    assert bounded.body == {"pending": True}


async def test_no_answer_lets_another_page_in(house: House) -> None:
    for path in ("/health", "/nothing", "/api/agents.list"):
        answer = await http(house, "GET", path)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_plugins_paths_lead_to_its_verbs(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    routes = (
        Route("GET", "/desk/{target}", "agents.show"),
        Route("POST", "/desk/{to}/notes", "messages.send"),
        Route("GET", "/desk/{to}/shout", "messages.send"),  # any page could make a browser GET it
        Route("POST", "/api/steal", "messages.send"),
    )
    monkeypatch.setattr(plugins, "load", lambda disabled: [Plugin("desk", routes=routes)])
    async with Server(Options(str(folder), port=0, rate=0)) as server:
        house = House(server)
        await post(house, "agents.here", **{"from": "bob"})
        shown = await http(house, "GET", "/desk/bob")
        assert shown.body["agent"]["name"] == "bob"
        note = await http(house, "POST", "/desk/bob/notes", json={"text": "hi", "from": "ann"})
        assert note.body["to"] == ["bob"]
        twice = await http(house, "POST", "/desk/bob/notes", json={"text": "hi", "to": "ann"})
        assert twice.code == "bad_request"
        for method, path in (("GET", "/desk/bob/shout?text=x"), ("POST", "/api/steal")):
            assert (await http(house, method, path, json={} if method == "POST" else None)).status == 404, path
        page = (await http(house, "GET", "/api/openapi.json")).body
        assert page["paths"]["/desk/{target}"]["get"]["parameters"][0]["in"] == "path"


async def test_the_openapi_page_is_valid_and_has_every_verb(house: House) -> None:
    page = json.loads((await http(house, "GET", "/api/openapi.json")).content)
    await asyncio.to_thread(OpenAPIV31SpecValidator(page).validate)
    verbs = {verb.name for verb in house.server.core.verbs if not verb.internal and not verb.lasting}
    assert {path.removeprefix("/api/") for path in page["paths"] if path.startswith("/api/")} == verbs
    send = page["paths"]["/api/messages.send"]["post"]
    assert send["summary"].startswith("Send a message")
    assert send["x-permission"] == "write"
    assert "get" not in page["paths"]["/api/messages.send"]
    assert page["components"]["schemas"]["Problem"]["required"]
    assert page["paths"]["/api/messages.send"]["post"]["requestBody"]["content"]["application/json"]["example"]["to"]


async def test_prometheus_reads_how_the_hub_is(house: House) -> None:
    await post(house, "agents.here", **{"from": "bob"})
    await post(house, "messages.send", **{"from": "ann", "to": "bob", "text": "x"})
    await post(house, "messages.send", **{"from": "ann", "to": "nobody", "text": "x"})
    answer = await http(house, "GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    lines = answer.content.decode().splitlines()
    assert 'synapse_queue_depth{name="bob"} 1.0' in lines
    assert 'synapse_refusals_total{code="no_such_agent"} 1.0' in lines
    assert 'synapse_connections{door="websocket"} 0.0' in lines
    assert any(line.startswith('synapse_commit_seconds_bucket{le="+Inf"}') for line in lines)
    names = {family.name for family in text_string_to_metric_families(answer.content.decode())}
    assert {"synapse_up", "synapse_agents", "synapse_commit_seconds", "synapse_records"} <= names
