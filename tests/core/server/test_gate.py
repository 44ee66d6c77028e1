"""Who comes in by TCP: Host and Origin, whose process it is, and tokens with their scopes."""

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError

from synapse.cli import serve
from synapse.errors import BadRequest, Refused
from synapse.server import gate, tokens
from synapse.server import owner as kernel
from synapse.server.app import Options, Server
from synapse.server.owner import Owner, asked, looked_up, tcp_owner
from synapse.server.platform import holders
from synapse.verb import Permission, Shape, Verb, change
from tests.core.server.conftest import House
from tests.core.server.test_access import agent
from tests.core.server.webs import http, post, websocket

ADMIN, WRITER, READER = "admin-secret-1", "writer-secret-2", "reader-secret-3"


# -- Host and Origin


def port(house: House) -> int:
    return house.server.core.hub.place.port


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "127.0.0.2"])
async def test_loopback_by_any_of_its_names_is_ours(house: House, name: str) -> None:
    answer = await http(house, "GET", "/health", headers={"Host": f"{name}:{port(house)}"})
    assert answer.status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.test:{port}", "localhost.evil.test:{port}", "127.0.0.1.evil.test:{port}", "127.0.0.1", "localhost:1",
        "10.0.0.1:{port}", "0.0.0.0:{port}", "user@127.0.0.1:{port}", "127.0.0.1:{port}/x", "", "127.0.0.1:port", "[::1",
        "169.254.169.254:{port}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/health", "/api/agents.list", "/ws", "/nothing", "/metrics"])
async def test_a_foreign_host_is_kept_out_everywhere(house: House, host: str, path: str) -> None:
    answer = await http(house, "GET", path, headers={"Host": host.format(port=port(house))})
    assert 400 <= answer.status < 500
    assert answer.code in ("foreign_host", "")


async def test_the_call_of_another_hub_is_kept_out(house: House) -> None:
    """Who may have that one call somewhere would speak here as its user."""
    for method, path in (("POST", "/api/agents.here"), ("POST", "/agents/bob"), ("POST", "/webhooks")):
        answer = await http(house, method, path, headers={"X-Synapse-Event-Id": "t-1-2.0"})
        assert (answer.status, answer.code) == (403, "call_of_a_hub")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.test", "http://127.0.0.1:1", "https://127.0.0.1:{port}", "null", "http://localhost", "file://", "x"],
)
async def test_a_foreign_page_is_kept_out_everywhere(house: House, origin: str) -> None:
    headers = {"Origin": origin.format(port=port(house))}
    for method, path in (("GET", "/health"), ("POST", "/api/agents.here"), ("OPTIONS", "/api/agents.here")):
        answer = await http(house, method, path, headers=headers)
        assert (answer.status, answer.code) == (403, "foreign_origin")
    with pytest.raises(WSServerHandshakeError) as refused:
        await websocket_with(house, headers)
    assert refused.value.status == 403


async def websocket_with(house: House, headers: dict[str, str], query: str = "") -> Any:
    from aiohttp import ClientSession

    async with ClientSession() as session:
        url = f"http://127.0.0.1:{port(house)}/ws{query}"
        async with session.ws_connect(url, headers=headers) as connected:
            await connected.send_str('{"id":1,"method":"hub.status"}')
            return (await connected.receive_json())["result"]


async def test_our_own_page_comes_in(house: House) -> None:
    headers = {"Origin": f"http://127.0.0.1:{port(house)}", "Sec-Fetch-Site": "same-origin"}
    assert (await post(house, "agents.here", headers=headers)).status == 200
    assert await websocket_with(house, headers)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
async def test_what_a_browser_says_comes_from_elsewhere_is_kept_out_without_an_origin_too(
    house: House, site: str
) -> None:
    answer = await http(house, "GET", "/api/agents.list", headers={"Sec-Fetch-Site": site})
    assert (answer.status, answer.code) == (403, "foreign_origin")


async def test_further_names_can_be_allowed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_ALLOWED_HOSTS", "Hub.example.org, other.example.org")
    async with Server(Options(str(folder), port=0)) as server:
        house = House(server)
        for name, status in (("hub.example.org", 200), ("other.example.org", 200), ("example.org", 403)):
            answer = await http(house, "GET", "/health", headers={"Host": f"{name}:{port(house)}"})
            assert answer.status == status


# -- whose process


def test_the_kernel_says_whose_the_other_end_is_and_which_process() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listening.getsockname())
    far, address = listening.accept()
    with listening, near, far:
        owner = tcp_owner(address, far.getsockname())
        assert owner is not None
        assert owner == Owner(os.getuid(), os.fstat(near.fileno()).st_ino)
        assert holders(owner.inode) == [os.getpid()]
        assert tcp_owner(("127.0.0.1", 1), far.getsockname()) is None
    assert holders(owner.inode) == []


def test_who_has_gone_at_once_is_nobody_and_not_root() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listening.getsockname())
    far, address = listening.accept()
    near.sendall(b"POST /api/hub.shutdown HTTP/1.1")
    near.close()
    with listening, far:
        assert tcp_owner(address, far.getsockname()) is None


def test_it_says_so_over_ipv6_and_where_one_is_within_the_other() -> None:
    listening = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    for target in ("::1", "127.0.0.1"):
        near = socket.create_connection((target, listening.getsockname()[1]))
        far, address = listening.accept()
        with near, far:
            ours, theirs = (_bare(far.getsockname()), _bare(address))
            assert tcp_owner(theirs, ours) == Owner(os.getuid(), os.fstat(near.fileno()).st_ino)
    listening.close()


def test_asked_and_looked_up_are_the_same_and_an_answer_about_somebody_else_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listening.getsockname())
    far, address = listening.accept()
    with listening, near, far:
        ours = far.getsockname()
        assert asked(address, ours) == looked_up(address, ours) == Owner(os.getuid(), os.fstat(near.fileno()).st_ino)
        assert asked(ours, ("127.0.0.1", 1)) is None  # who only listens there is nobody's other end
        monkeypatch.setattr(kernel, "asked", lambda local, remote: None)  # a kernel that answers no questions
        assert tcp_owner(address, ours) == looked_up(address, ours)


def _bare(address: Any) -> tuple[str, int]:
    return address[0], address[1]


async def test_another_user_of_the_machine_is_kept_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "tcp_owner", lambda theirs, ours: Owner(os.getuid() + 1, 0))
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    answer = await post(house, "agents.here")
    assert (answer.status, answer.code) == (403, "other_user")
    assert (await http(house, "GET", "/health")).status == 200


async def test_who_cannot_be_told_needs_a_token(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "tcp_owner", lambda theirs, ours: None)
    answer = await post(house, "agents.here")
    assert (answer.status, answer.code) == (401, "token_needed")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_what_a_proxy_passes_on_needs_a_token(house: House) -> None:
    answer = await post(house, "agents.here", headers={"X-Forwarded-For": "203.0.113.9"})
    assert answer.code == "token_needed"


async def test_a_process_below_a_runner_is_its_agent_over_tcp_too(house: House) -> None:
    mine = await agent(house, "claude")  # this process is its runner's
    assert (await post(house, "agents.here", **{"from": "ada"})).code == "not_you"
    assert (await post(house, "hub.shutdown")).status == 403
    assert (await http(house, "GET", "/api/events.page")).code == "not_permitted"
    seen = await post(house, "messages.send", to="me", text="x")
    assert seen.code == "no_such_agent" or seen.status == 200
    web = await websocket(house)
    hello = await web.ask("hello")
    assert hello["result"]["key"] == mine["key"]
    assert (await web.ask("events.follow"))["error"]["data"]["code"] == "not_permitted"
    await web.close()


async def test_while_there_are_agents_a_process_that_is_not_found_is_no_person(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await agent(house, "claude")
    monkeypatch.setattr(gate, "holders", lambda inode: [])
    assert (await post(house, "agents.here", **{"from": "ada"})).status == 200
    assert (await http(house, "GET", "/api/events.page")).status == 403


# -- tokens


@pytest.fixture
async def guarded(folder: Path) -> AsyncIterator[House]:
    """A hub with three tokens, in which this user needs one too."""
    file = folder / "tokens"
    file.write_text(f"# ours\n{ADMIN}\n\nread+write:{WRITER}\nread:{READER}\n")
    file.chmod(0o600)
    known = tokens.gather(file=str(file), environ={"SYNAPSE_ALLOW_LOCALHOST": "false"})
    original, tokens.gather = tokens.gather, lambda *given: known
    try:
        async with Server(Options(str(folder / "data"), port=0, rate=0)) as server:
            house = House(server)
            yield house
            await house.close()
    finally:
        tokens.gather = original


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def test_without_a_token_nobody_comes_in_where_one_is_needed(guarded: House) -> None:
    assert (await post(guarded, "agents.here")).code == "token_needed"
    with pytest.raises(WSServerHandshakeError) as refused:
        await websocket_with(guarded, {})
    assert refused.value.status == 401
    assert (await http(guarded, "GET", "/metrics")).status == 401
    assert (await http(guarded, "GET", "/api/openapi.json")).status == 401
    assert (await http(guarded, "GET", "/health")).status == 200


@pytest.mark.parametrize("secret", ["wrong", ADMIN[:-1], ADMIN + "x", ADMIN.upper(), "\xff\xfe"])
async def test_a_wrong_token_is_refused_also_where_none_is_needed(house: House, guarded: House, secret: str) -> None:
    for place in (house, guarded):
        answer = await post(place, "agents.here", headers={"X-API-Key": secret})
        assert (answer.status, answer.code) == (401, "unknown_token")


async def test_a_token_may_do_what_its_scopes_say(guarded: House) -> None:
    async def status(secret: str, method: str, path: str) -> int:
        more: dict[str, Any] = {"json": {}} if method == "POST" else {}
        return (await http(guarded, method, path, headers=bearer(secret), **more)).status

    assert [await status(each, "GET", "/api/agents.list") for each in (ADMIN, WRITER, READER)] == [200, 200, 200]
    assert [await status(each, "POST", "/api/agents.here") for each in (ADMIN, WRITER, READER)] == [200, 200, 403]
    assert [await status(each, "GET", "/api/events.page") for each in (ADMIN, WRITER, READER)] == [200, 403, 403]
    result = await websocket_with(guarded, {"X-API-Key": READER})
    assert result["hub"]["pid"] == os.getpid()


async def test_a_token_without_admin_speaks_for_plain_clients_only(guarded: House) -> None:
    await post(guarded, "agents.here", headers=bearer(ADMIN))  # the person
    [person] = (await http(guarded, "GET", "/api/agents.list?all=true", headers=bearer(ADMIN))).body["agents"]
    assert person["agent_type"] == "person"
    nameless = await post(guarded, "agents.here", headers=bearer(WRITER))
    assert nameless.status == 200
    rows = (await http(guarded, "GET", "/api/agents.list?all=true", headers=bearer(ADMIN))).body["agents"]
    assert sorted((row["agent_type"], row["name"]) for row in rows)[0] == ("client", "api")


async def test_a_token_without_admin_speaks_for_no_agent_either(
    guarded: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = await agent(guarded)
    monkeypatch.setattr(gate, "ancestors", lambda pid: ())  # this process is no agent's
    for who in (joined["id"], joined["key"]):
        mere, full = [await websocket(guarded, headers={"X-API-Key": secret}) for secret in (WRITER, ADMIN)]
        refused = await mere.ask("hello", agent=who)
        assert refused["error"]["data"]["code"] == "not_you"
        assert (await full.ask("hello", agent=who))["result"]["key"] == joined["key"]
        await mere.close()
        await full.close()


async def test_what_is_for_a_person_needs_a_token_over_http(house: House, guarded: House) -> None:
    from synapse.verb import Change, Reply

    class Nothing(Reply, kw_only=True, omit_defaults=False):
        ok: bool = True

    def approve(call: Any, request: Change) -> Nothing:
        """Decide for a person."""
        return Nothing()

    approve.__annotations__ = {"request": Change, "return": Nothing}
    verb: Verb = change("toy.approve", Permission.PERSON)(approve)
    assert verb.shape is Shape.CHANGE
    for place in (house, guarded):
        place.server.core.verbs.add(verb)
    refused = await post(house, "toy.approve")
    assert (refused.status, refused.code) == (403, "not_permitted")
    assert "token" in refused.body["detail"]
    assert (await post(guarded, "toy.approve", headers=bearer(ADMIN))).status == 200
    assert (await post(guarded, "toy.approve", headers=bearer(WRITER))).status == 403
    for secret, code in ((ADMIN, "no_such_prompt"), (WRITER, "not_permitted")):
        answer = await http(guarded, "POST", "/api/prompts.answer", json={"id": "p-abcdef"}, headers=bearer(secret))
        assert answer.code == code


def test_tokens_come_from_options_a_file_and_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("read:from-the-file\n")
    file.chmod(0o600)
    environ = {"SYNAPSE_API_KEYS": " key-number-1, read:key-number-2 ,", "SYNAPSE_ADMIN_KEY": "key-of-the-admin"}
    known = tokens.gather("from-the-option", str(file), environ)
    assert known.scopes("from-the-option") == frozenset(Permission)
    assert known.scopes("from-the-file") == frozenset({Permission.READ})
    assert known.scopes("key-number-1") == frozenset({Permission.READ, Permission.WRITE})
    assert known.scopes("key-number-2") == frozenset({Permission.READ})
    assert known.scopes("key-of-the-admin") == frozenset(Permission)
    assert known.scopes("") is None
    assert known.local
    off = tokens.gather(environ={**environ, "SYNAPSE_AUTH_ENABLED": "false", "SYNAPSE_ALLOW_LOCALHOST": "0"})
    assert not off
    assert not off.local
    with pytest.raises(Refused, match="no key"):
        tokens.gather(environ={"SYNAPSE_AUTH_ENABLED": "true"})
    with pytest.raises(BadRequest):
        tokens.gather(environ={"SYNAPSE_AUTH_ENABLED": "perhaps"})
    for wrong in ("short", "with blanks in", "read:short", "\xe4" * 10):
        with pytest.raises(BadRequest):
            tokens.gather(wrong, environ={})


def test_an_empty_token_is_none_and_is_told(tmp_path: Path) -> None:
    for wrong in ("", "  ", "read:", "read+write: "):
        with pytest.raises(BadRequest, match="The token is empty"):
            tokens.gather((wrong,), environ={})
    for wrong in (",", " , "):
        with pytest.raises(BadRequest, match="SYNAPSE_API_KEYS holds no token"):
            tokens.gather(environ={"SYNAPSE_API_KEYS": wrong})
    with pytest.raises(BadRequest, match="The token is empty"):
        tokens.gather(environ={"SYNAPSE_API_KEYS": "long-enough-key,read:"})
    for unset in ({"SYNAPSE_API_KEYS": "", "SYNAPSE_ADMIN_KEY": " "}, {"SYNAPSE_API_KEYS": " "}):
        assert not tokens.gather(environ=unset)
    file = tmp_path / "tokens"
    file.write_text("read:\n")
    file.chmod(0o600)
    with pytest.raises(BadRequest, match="The token is empty"):
        tokens.gather(file=str(file), environ={})


@pytest.mark.parametrize("headers", [{"X-API-Key": ""}, {"X-API-Key": " "}, {"Authorization": "Bearer "}, bearer("  ")])
async def test_an_empty_token_lets_nobody_in(guarded: House, headers: dict[str, str]) -> None:
    for verb in ("agents.here", "hub.status"):
        assert (await post(guarded, verb, headers=headers)).code == "token_needed"
    assert (await http(guarded, "GET", "/metrics?token=", headers=headers)).code == "token_needed"
    with pytest.raises(WSServerHandshakeError) as refused:
        await websocket_with(guarded, headers)
    assert refused.value.status == 401


def test_a_token_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("a-long-secret\n")
    file.chmod(0o640)
    with pytest.raises(Refused, match="chmod 600"):
        tokens.gather(file=str(file), environ={})
    file.chmod(0o600)
    file.write_text("# nothing\n")
    with pytest.raises(Refused, match="no token"):
        tokens.gather(file=str(file), environ={})
    with pytest.raises(Refused, match="cannot be read"):
        tokens.gather(file=str(tmp_path / "absent"), environ={})


# -- metrics


async def test_metrics_have_a_token_of_their_own_and_can_be_left_out(folder: Path) -> None:
    options = Options(str(folder / "a"), port=0, metrics_token="scrape-me-please")
    async with Server(options) as server:
        house = House(server)
        proxied = {"X-Forwarded-For": "203.0.113.9"}
        assert (await http(house, "GET", "/metrics", headers=proxied)).status == 401
        assert (await http(house, "GET", "/metrics?token=scrape-me-please", headers=proxied)).status == 200
        assert (await http(house, "GET", "/metrics", headers={**proxied, **bearer("scrape-me-please")})).status == 200
        assert (await http(house, "GET", "/metrics?token=wrong", headers=proxied)).status == 401
        assert (await http(house, "GET", "/api/agents.list?token=scrape-me-please", headers=proxied)).status == 401
    async with Server(Options(str(folder / "b"), port=0, metrics=False)) as server:
        assert (await http(House(server), "GET", "/metrics")).status == 404


def test_an_unknown_scope_is_no_part_of_a_secret() -> None:
    for wrong in ("raed:typo-scope-secret", "read+wirte:typo-scope-secret", "read,write:typo-scope-secret"):
        with pytest.raises(BadRequest, match="scopes are read, write") as refused:
            tokens.gather((wrong,), environ={})
        assert refused.value.code == "unknown_scope"
        assert "typo-scope" not in refused.value.sentence
    with_colon = tokens.gather(("read+write+person+admin:raed:a-colon-secret", "h0rse:battery"), environ={})
    assert with_colon.scopes("raed:a-colon-secret") == with_colon.scopes("h0rse:battery") == frozenset(Permission)


def test_every_token_option_counts() -> None:
    assert next(option for option in serve._SERVE if "--token" in option.names).many
    known = tokens.gather(("first-secret", "read:second-secret"), environ={})
    assert known.scopes("first-secret") == frozenset(Permission)
    assert known.scopes("second-secret") == frozenset({Permission.READ})
