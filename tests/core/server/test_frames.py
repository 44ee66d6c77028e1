"""Frames: whatever comes in is a request or a refusal, with its id wherever that can be known."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse.errors import BadRequest, NotFound
from synapse.server.frames import MAX_DEPTH, deeper, id_in, id_of, notification, parse, refusal, result


def test_a_request_is_read_with_its_parameters_unread() -> None:
    frame = parse(b'{"jsonrpc":"2.0","id":7,"method":"agents.who","params":{"workspace":"*"}}\r')
    assert (frame.method, bytes(frame.params), id_of(frame)) == ("agents.who", b'{"workspace":"*"}', b"7")


@pytest.mark.parametrize("id", [0, -1, 2**63, 10**30, "", "x", "é", None])
def test_an_id_of_any_allowed_kind_comes_back_as_it_was(id: Any) -> None:
    assert json.loads(id_of(parse(json.dumps({"id": id, "method": "x"}).encode()))) == id


def test_without_an_id_it_is_a_notification() -> None:
    assert id_of(parse(b'{"method":"x"}')) == b""


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"GET / HTTP/1.1\r", "bad_json"),
        (b"\xff\xfe\x00", "bad_json"),
        (b'{"id":1,"method":"x"', "bad_json"),
        (b'{"id":1,"method":"x","params":NaN}', "bad_json"),
        (b'{"id":1,"method":"x","params":Infinity}', "bad_json"),
        (b'{"id":"\\ud800","method":"x"}', "bad_json"),
        (b'{"method":"x"} {}', "bad_json"),
        (b'{"id":1}', "bad_frame"),
        (b'{"id":1.5,"method":"x"}', "bad_frame"),
        (b'{"id":true,"method":"x"}', "bad_frame"),
        (b'{"id":[1],"method":"x"}', "bad_frame"),
        (b'{"id":1,"method":5}', "bad_frame"),
        (b'{"id":1,"method":"x","jsonrpc":"1.0"}', "bad_frame"),
        (b'"x"', "bad_frame"),
        (b"7", "bad_frame"),
        (b"null", "bad_frame"),
        (b'[{"id":1,"method":"x"}]', "bad_frame"),
        (b'{"id":1,"method":"x","params":' + b"[" * 65 + b"]" * 65 + b"}", "too_deep"),
        (b'{"id":1,"method":"x","params":' + b"[" * 500_000 + b"}", "too_deep"),
    ],
)
def test_what_is_no_request_is_refused_with_a_code(line: bytes, code: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(line)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("text", "half"),
    [
        (b'"\\ud800"', True),
        (b'"\\uD83D\\n"', True),
        (b'"\\\\\\ud800"', True),
        (b'"\\ud83d\\ude00', False),
        (b'"\\\\ud800', False),
    ],
)
def test_half_a_surrogate_pair_is_told_from_a_text_that_was_cut_off(text: bytes, half: bool) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(b'{"id":1,"method":"x","params":{"text":%b}}' % text)
    assert ("half a surrogate pair" in refused.value.sentence) is half


def test_a_batch_is_refused_by_name() -> None:
    with pytest.raises(BadRequest, match="one request a line"):
        parse(b' [{"jsonrpc":"2.0","id":1,"method":"x"}]')


def test_an_id_too_long_to_be_sent_back_is_refused() -> None:
    with pytest.raises(BadRequest):
        id_of(parse(json.dumps({"id": "x" * 1000, "method": "x"}).encode()))


@pytest.mark.parametrize(
    ("line", "id"),
    [
        (b'{"id":7,"method":5}', b"7"),
        (b'{"id":"seven"}', b'"seven"'),
        (b'{"id":1.5,"method":"x"}', b"null"),
        (b'{"id":true,"method":"x"}', b"null"),
        (b"[1]", b"null"),
        (b"nonsense", b"null"),
        (b'{"id":"' + b"x" * 1000 + b'"}', b"null"),
    ],
)
def test_a_refusal_names_the_request_where_it_can(line: bytes, id: bytes) -> None:
    assert id_in(line) == id


def test_brackets_inside_strings_do_not_count_as_depth() -> None:
    assert not deeper(json.dumps({"a": "[" * 1000, "b": '"]{' * 200}).encode())


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(
    st.recursive(
        st.none() | st.text() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    ),
    st.integers(0, 6),
)
def test_the_depth_is_that_of_the_value(value: Any, limit: int) -> None:
    text = json.dumps(value).encode()
    assert deeper(text, limit) == (depth(value) > limit)


def test_the_deepest_that_is_allowed_is_allowed() -> None:
    inner = MAX_DEPTH - 1
    parse(b'{"id":1,"method":"x","params":' + b'{"a":' * inner + b"1" + b"}" * inner + b"}")


@given(st.binary() | st.text().map(str.encode))
def test_any_line_is_a_request_or_a_refusal(line: bytes) -> None:
    try:
        id_of(parse(line))
    except BadRequest:
        json.loads(id_in(line))


@given(st.text(), st.integers() | st.text(max_size=20))
def test_answers_and_refusals_are_one_line_of_json(text: str, id: int | str) -> None:
    reply = json.dumps({"text": text}).encode()
    for frame in (
        result(json.dumps(id).encode(), 5, reply),
        refusal(json.dumps(id).encode(), NotFound("nothing", "No.", hint=3)),
        notification("stopping", restart=True),
    ):
        assert frame.endswith(b"\n")
        assert frame.count(b"\n") == 1
        assert json.loads(frame)["jsonrpc"] == "2.0"
    told = json.loads(refusal(json.dumps(id).encode(), NotFound("unknown_verb", "No.", hint=3)))
    assert told["id"] == id
    assert told["error"] == {
        "code": -32601,
        "message": "No.",
        "data": {"hint": 3, "code": "unknown_verb", "status": 404},
    }
