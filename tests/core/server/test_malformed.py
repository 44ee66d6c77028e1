"""What is no HTTP is refused in the form of every refusal, counted, and told in one line of the log."""

import asyncio
import json
import logging
from email.parser import BytesHeaderParser
from typing import Any

import pytest
from aiohttp import ClientConnectionResetError
from aiohttp.http_writer import StreamWriter

from synapse.clock import ManualClock
from synapse.server import parameters
from synapse.server.http import _HEADERS
from synapse.server.seldom import EVERY, Seldom
from tests.core.server.conftest import House
from tests.core.server.webs import http, url

HOST = "Host: {host}\r\n"
POST = "POST /api/agents.here HTTP/1.1\r\n" + HOST + "Content-Type: application/json\r\n"
UPGRADE = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"
BAD = {
    "two names": ("GET /health HTTP/1.1\r\n" + HOST + HOST + "\r\n", "Duplicate 'Host' header found"),
    "no name": ("GET /health HTTP/1.1\r\n\r\n", "Missing 'Host' header"),
    "bytes": ("\x00\xff\x16\x03nonsense\r\n\r\n", "Invalid method"),
    "tls": ("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + "x" * 100, "without TLS: use http://"),
    "http 2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "not HTTP/2"),
    "http 9": ("GET /health HTTP/9.1\r\n" + HOST + "\r\n", "Invalid HTTP version"),
    "length of letters": (POST + "Content-Length: abc\r\n\r\n{{}}", "Content-Length"),
    "length below zero": (POST + "Content-Length: -1\r\n\r\n{{}}", "Content-Length"),
    "two lengths": (POST + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}", "Content-Length"),
    "length and chunks": (POST + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding"),
    "chunk": (POST + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n", "chunk size"),
    "a long header": ("GET /health HTTP/1.1\r\n" + HOST + "X: " + "y" * 70_000 + "\r\n\r\n", "at most 8190 bytes"),
    "a long path": ("GET /" + "y" * 70_000 + " HTTP/1.1\r\n" + HOST + "\r\n", "at most 8190 bytes"),
    "many headers": ("GET /health HTTP/1.1\r\n" + HOST + "X: y\r\n" * 300 + "\r\n", "Too many headers"),
    "no url": ("GET http://[::1/ HTTP/1.1\r\n" + HOST + "\r\n", "no URL"),
    "nul": ("GET /health HTTP/1.1\r\n" + HOST + "X: a\x00b\r\n\r\n", "Invalid header value"),
}  # fmt: skip


async def said(house: House, content: str, most: int = 9) -> list[tuple[int, Any, Any]]:
    """The answers to some bytes, at most so many, until the connection ends: status, headers, body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.core.hub.place.port)
    writer.write(content.format(host=url(house)[7:]).encode("latin-1"))
    answers: list[tuple[int, Any, Any]] = []
    async with asyncio.timeout(10):
        while len(answers) < most and (status := await reader.readline()):
            head = await reader.readuntil(b"\r\n\r\n")
            headers = BytesHeaderParser().parsebytes(head)
            body = await reader.readexactly(int(headers["Content-Length"]))
            answers.append((int(status.split()[1]), headers, json.loads(body)))
    writer.close()
    return answers


@pytest.mark.parametrize("case", BAD)
async def test_what_is_no_http_is_refused_as_everything_else_is(
    house: House, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    content, sentence = BAD[case]
    with caplog.at_level(logging.INFO):
        [(status, headers, body)] = await said(house, content)
    assert (status, body["status"], body["code"]) == (400, 400, "bad_http")
    assert headers["Content-Type"] == "application/problem+json"
    assert {name: headers[name] for name in _HEADERS} == _HEADERS
    assert headers["X-Request-Id"] == body["request_id"] != ""
    assert sentence in body["detail"]
    assert "\n" not in body["detail"]
    assert house.server.core.hub.refusals == {"bad_http": 1}
    [line] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.exc_info is None
    assert line.getMessage() == f"a request from 127.0.0.1 was refused: {body['detail']}"


async def test_of_much_that_is_no_http_the_log_has_one_line_and_the_count_is_in_status(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        await said(house, "nonsense\r\n\r\n")
    assert len(caplog.records) == 1
    assert (await http(house, "POST", "/api/hub.status", json={})).body["hub"]["refusals"] == {"bad_http": 5}


async def test_what_comes_behind_a_refused_handshake_and_is_no_http_is_refused_too(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = await said(house, "GET /ws HTTP/1.1\r\n" + HOST + UPGRADE + "NONSENSE")
    assert [first[2]["code"], second[2]["code"]] == ["bad_handshake", "bad_http"]
    assert [record.exc_info for record in caplog.records] == [None]


async def test_what_is_expected_and_not_understood_is_refused_in_the_same_form(house: House) -> None:
    again = "GET /health HTTP/1.1\r\nConnection: close\r\n" + HOST + "\r\n"
    first, second = await said(house, POST + "Expect: 200-magic\r\nContent-Length: 2\r\n\r\n{{}}" + again)
    assert (first[0], first[2]["code"], second[0]) == (417, "bad_expect", 200)
    assert first[1]["X-Request-Id"] == first[2]["request_id"]


async def test_who_asks_whether_to_go_on_and_has_gone_is_nobodys_bug(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = StreamWriter.write

    async def gone(self: StreamWriter, chunk: bytes) -> None:
        if b"100 Continue" in chunk:
            raise ClientConnectionResetError("Cannot write to closing transport")
        await written(self, chunk)

    monkeypatch.setattr(StreamWriter, "write", gone)
    assert await said(house, POST + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{{}}") == []
    assert (await http(house, "GET", "/health")).status == 200
    assert caplog.records == []


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parameters, "SLOWEST", 0.05)
    [(status, headers, body)] = await said(house, POST + "Content-Length: 20\r\n\r\n{{}}", most=1)
    assert (status, body["code"], headers["Connection"]) == (408, "too_slow", "close")


async def test_a_compressed_body_is_refused_and_what_is_wrong_in_it_is_nobodys_bug(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    end = "Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde"
    [(status, _, body)] = await said(house, POST + end)
    assert (status, body["code"], caplog.records) == (400, "bad_encoding", [])


def test_lines_that_anybody_can_cause_are_seldom_and_say_how_many_they_stand_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    seldom = Seldom(clock, logging.getLogger("x"))
    for _ in range(4):
        seldom.warning("again")
    clock.advance(EVERY)
    seldom.warning("again")
    clock.advance(EVERY)
    seldom.warning("again")
    assert caplog.messages == ["again", "again (3 more since the last such line)", "again"]
