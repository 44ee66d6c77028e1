"""Calls out of the hub: where they go, where they never go, and how much they take."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from synapse.a2a.outgoing import Limits, Outgoing
from synapse.errors import BadRequest, Refused, SynapseError, Unavailable
from synapse.hub.addresses import Reach, header, literal, parse


class Names(AbstractResolver):
    """A resolver of names that a test gives out."""

    def __init__(self, **names: list[str]) -> None:
        self.names = names
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        found = self.names[host.partition(".")[0]]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
async def far() -> AsyncIterator[TestServer]:
    """A server that tells what it was asked, leads elsewhere, is slow, or says too much."""
    app = web.Application()

    async def tell(request: web.Request) -> web.Response:
        return web.json_response(
            {"method": request.method, "headers": dict(request.headers), "body": await request.text()},
            headers={"Set-Cookie": "a=b"},
        )

    async def lead(request: web.Request) -> web.Response:
        return web.Response(status=int(request.query.get("status", "307")), headers={"Location": request.query["to"]})

    async def circle(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/circle"})

    async def large(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if "zip" in request.query:
            response.headers["Content-Encoding"] = "gzip"
        await response.prepare(request)
        bomb = gzip.compress(bytes(5_000_000))
        for _ in range(1 if "zip" in request.query else 100):
            await response.write(bomb if "zip" in request.query else b"x" * 100_000)
        return response

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(float(request.query.get("for", "20")))
        return web.Response()

    app.router.add_route("*", "/", tell)
    app.router.add_route("*", "/lead", lead)
    app.router.add_get("/circle", circle)
    app.router.add_get("/large", large)
    app.router.add_get("/slow", slow)
    server = TestServer(app, host="127.0.0.1", handler_cancellation=True)
    await server.start_server()
    yield server
    await server.close()


class Caller:
    """An outgoing client whose reach and names a test can change."""

    def __init__(self) -> None:
        self.reach = Reach()
        self.names = Names()
        self.client = Outgoing(lambda: self.reach, self.names)

    async def get(self, url: object, **more: Any) -> Any:
        return await self.client.fetch("GET", str(url), **more)

    async def refused(self, url: object, **more: Any) -> SynapseError:
        with pytest.raises(SynapseError) as told:
            await self.get(url, **more)
        return told.value


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    caller = Caller()
    yield caller
    await caller.client.close()


async def test_a_request_takes_its_headers_and_brings_the_whole_answer(far: TestServer, caller: Caller) -> None:
    answer = await caller.client.fetch(
        "POST", str(far.make_url("/")), headers={"Authorization": "Bearer x", "Content-Type": "a/b"}, body=b"hello"
    )
    assert answer.status == 200
    assert b'"body": "hello"' in answer.body
    assert b"Bearer x" in answer.body


async def test_no_cookie_comes_back_and_no_proxy_is_asked(
    far: TestServer, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    await caller.get(far.make_url("/"))
    assert b"Cookie" not in (await caller.get(far.make_url("/"))).body


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "[::]",
        "[::ffff:10.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a00:1::1]",
        "[fe80::1]",
        "[fc00::1]",
        "[ff02::1]",
        "167772161",  # 10.0.0.1
        "0xa.1",
        "012.0.0.1",
        "10.1",
        "0x0a000001",
        "１０.0.0.1",
    ],
)
async def test_addresses_around_us_are_refused_in_every_spelling(caller: Caller, host: str) -> None:
    error = await caller.refused(f"http://{host}/")
    assert (type(error), error.code) == (Refused, "forbidden_address")


async def test_a_name_that_means_a_private_address_is_refused(caller: Caller) -> None:
    caller.names.names = {"inside": ["10.0.0.1", "::ffff:192.168.0.1"], "meta": ["169.254.169.254"]}
    for name in ("inside", "meta"):
        error = await caller.refused(f"http://{name}.example.com/secret?token=x")
        assert error.code == "forbidden_address"
        assert "token" not in error.sentence
    assert caller.names.asked == ["inside.example.com", "meta.example.com"]


async def test_a_name_is_asked_for_each_time_and_judged_each_time(far: TestServer, caller: Caller) -> None:
    """DNS rebinding: what was public at first is called where it leads now, or not at all."""
    caller.names.names = {"turns": ["127.0.0.1"]}
    url = f"http://turns.example.com:{far.port}/"
    assert (await caller.get(url, headers={"Connection": "close"})).status == 200
    caller.names.names = {"turns": ["10.0.0.1"]}
    assert (await caller.refused(url)).code == "forbidden_address"


async def test_only_the_addresses_that_may_be_called_are(far: TestServer, caller: Caller) -> None:
    caller.names.names = {"both": ["10.0.0.1", "127.0.0.1"]}
    assert (await caller.get(f"http://both.example.com:{far.port}/")).status == 200


async def test_this_machine_may_be_kept_out_too(far: TestServer, caller: Caller) -> None:
    caller.reach = Reach(loopback=False, lifted_by="webhooks.allow_private")
    error = await caller.refused(far.make_url("/"))
    assert error.code == "forbidden_address"
    assert "synapse config set webhooks.allow_private true" in error.sentence


async def test_the_hubs_own_ports_are_never_called_on_this_machine(far: TestServer, caller: Caller) -> None:
    assert far.port
    caller.reach = Reach(private=True, own={far.port})
    caller.names.names = {"me": ["127.0.0.1"], "self": ["::ffff:127.0.0.1"]}
    for host in ("127.0.0.1", "127.1.2.3", "localhost", "me.example.com", "self.example.com", "[::1]", "2130706433"):
        error = await caller.refused(f"http://{host}:{far.port}/")
        assert error.code == "forbidden_address"
        assert "belongs to the hub" in error.sentence


async def test_a_redirect_is_an_answer_unless_it_is_to_be_followed(far: TestServer, caller: Caller) -> None:
    url = far.make_url("/lead").with_query(to="/")
    assert (await caller.get(url)).status == 307
    assert (await caller.get(url, redirects=True)).status == 200


async def test_a_redirect_to_a_private_address_is_refused(caller: Caller, far: TestServer) -> None:
    for to in ("http://169.254.169.254/latest/meta-data", "http://10.0.0.1/", "//[::ffff:10.0.0.1]/"):
        error = await caller.refused(far.make_url("/lead").with_query(to=to), redirects=True)
        assert error.code == "forbidden_address"
    for to in ("file:///etc/passwd", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/"):
        error = await caller.refused(far.make_url("/lead").with_query(to=to), redirects=True)
        assert error.code == "bad_redirect"


async def test_credentials_do_not_go_along_to_another_origin(far: TestServer, caller: Caller) -> None:
    caller.names.names = {"other": ["127.0.0.1"]}
    headers = {"Authorization": "Bearer secret", "X-API-Key": "secret", "Accept": "text/x-mine"}
    away = far.make_url("/lead").with_query(to=f"http://other.example.com:{far.port}/")
    body = (await caller.get(away, headers=headers, redirects=True)).body
    assert b"secret" not in body
    assert b"text/x-mine" in body
    near = far.make_url("/lead").with_query(to="/")
    assert (await caller.get(near, headers=headers, redirects=True)).body.count(b"secret") == 2


async def test_redirects_in_a_circle_end(far: TestServer, caller: Caller) -> None:
    error = await caller.refused(far.make_url("/circle"), redirects=True)
    assert error.code == "too_many_redirects"


async def test_an_answer_that_is_too_large_is_refused(far: TestServer, caller: Caller) -> None:
    for query in ("", "?zip"):
        error = await caller.refused(f"{far.make_url('/large')}{query}", largest=1_000_000)
        assert error.code == "answer_too_large"


async def test_who_does_not_answer_is_given_up(far: TestServer, caller: Caller) -> None:
    error = await caller.refused(far.make_url("/slow"), limits=Limits(total=0.2))
    assert (type(error), error.code) == (Unavailable, "timeout")
    error = await caller.refused(far.make_url("/slow"), limits=Limits(pause=0.2))
    assert error.code == "timeout"


async def test_nobody_there(caller: Caller) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = await caller.refused(f"http://127.0.0.1:{free.getsockname()[1]}/")
    assert (type(error), error.code) == (Unavailable, "unreachable")


async def test_a_header_with_a_line_break_is_refused(far: TestServer, caller: Caller) -> None:
    error = await caller.refused(far.make_url("/"), headers={"Authorization": "Bearer x\r\nX-Evil: 1"})
    assert (type(error), error.code) == (BadRequest, "bad_header")


@pytest.mark.parametrize(
    "url",
    ["", "h", "//h/", "ftp://h/", "file:///etc/passwd", "http://", "http://u:p@h/", "http://u@h/", "http://h:99999/",
     "http://h:0/", "http://h\r\nX: 1/", "http://h /", "http://h\\@x/",
     "javascript:1", "http://[::1/", "http://h/" + "x" * 3000],
)  # fmt: skip
def test_what_is_no_url_to_call_is_refused(url: str) -> None:
    with pytest.raises(BadRequest) as told:
        parse(url)
    assert told.value.code == "bad_url"


@given(st.text(max_size=40))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    for url in (text, f"http://{text}", f"http://127.0.0.1/{text}"):
        try:
            found = parse(url)
        except BadRequest:
            continue
        assert found.scheme in ("http", "https")
        assert found.raw_host
        assert found.raw_user is None


@given(st.text(max_size=40))
def test_what_may_stand_in_a_header_holds_no_line_break(text: str) -> None:
    try:
        value = header("token", text)
    except BadRequest:
        return
    assert not set(value) & {"\r", "\n", "\0"}
    value.encode("latin-1")


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_spelling(address: Any) -> None:
    number = int(address)
    spellings = (
        str(address),
        str(number),
        hex(number),
        f"::ffff:{address}",
        f"64:ff9b::{number >> 16:x}:{number & 65535:x}",
    )
    judged = {Reach(loopback=False).refusal(found, 80) for found in map(literal, spellings) if found is not None}
    assert len(judged) == 1
