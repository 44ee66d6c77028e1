"""Whatever a peer says, it is answered, refused, or its own connection ends: the hub goes on."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synapse.hub.core import VERBS
from tests.e2e.hubs import HubProcess, LinePeer

NAMES = [verb.name for verb in VERBS if verb.name != "hub.shutdown"] + ["hello", "no.such", ""]
FIELDS = [
    "to", "text", "mode", "task", "target", "id", "ids", "after", "limit", "timeout", "workspace", "priority", "name",
    "profile", "pid", "ports", "key", "live", "kinds", "idempotency_key", "as", "folder", "agent", "protocol", "blob",
]  # fmt: skip

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**18, 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(["me", "ada", "all", "a*", "t-0", "wait", "silent", "x" * 5000]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=4),
    max_leaves=8,
)
requests = st.fixed_dictionaries(
    {"method": st.sampled_from(NAMES) | values, "params": st.dictionaries(st.sampled_from(FIELDS), values) | values},
    optional={"id": st.integers() | st.text(max_size=8) | values, "jsonrpc": st.sampled_from(["2.0", "1.0", 2, None])},
).map(lambda found: json.dumps(found).encode())
broken = st.tuples(requests, st.integers(0, 400), st.binary(max_size=4)).map(
    lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] + 1 :]
)
lines = st.lists(requests | broken | st.binary(max_size=60), max_size=8)


@pytest.fixture(scope="module")
def hub() -> Iterator[HubProcess]:
    process = HubProcess()
    process.serve("--rate", "0")
    yield process
    process.close()


def answer_to(peer: LinePeer, id: str) -> dict[str, Any] | None:
    """The answer of that id; None when the connection has ended before."""
    while line := peer.line():
        frame = json.loads(line)
        assert frame["jsonrpc"] == "2.0"
        if frame.get("id") == id:
            found: dict[str, Any] = frame
            return found
        if "error" in frame:
            assert frame["error"]["message"]
            assert frame["error"]["data"]["code"] != "internal_error", frame
    return None


@settings(max_examples=150)
@given(lines, st.booleans(), st.binary(max_size=20))
@example([b'{"method":"messages.send","id":1,"params":{"to":"me","text":"\\u0000"}}'], True, b"")
@example([b"[" * 100_000, b'{"a":' * 50_000], True, b'{"id":')
def test_the_hub_outlives_whatever_is_said(hub: HubProcess, said: list[bytes], greeted: bool, half: bytes) -> None:
    with hub.peer() as peer:
        if greeted:
            peer.hello()
        peer.send(b"".join(line.replace(b"\n", b" ") + b"\n" for line in said))
        peer.send(b'{"jsonrpc":"2.0","id":"the end","method":"hub.status"}\n' + half.replace(b"\n", b""))
        assert answer_to(peer, "the end") is not None  # nothing here is a reason to end the connection
    with hub.peer() as another:
        assert "result" in another.hello()
        assert another.ask("hub.status")["result"]["hub"]["read_only"] == ""


@settings(max_examples=60)
@given(requests, st.integers(1, 50))
def test_the_pieces_in_which_a_frame_comes_do_not_matter(hub: HubProcess, line: bytes, size: int) -> None:
    with hub.peer() as peer:
        peer.hello()
        whole = line + b'\n{"id":"the end","method":"hub.status"}\n'
        for start in range(0, len(whole), size * max(1, len(whole) // 500)):
            peer.send(whole[start : start + size * max(1, len(whole) // 500)])
        assert answer_to(peer, "the end") is not None


def test_nothing_of_all_that_was_a_bug(hub: HubProcess) -> None:
    with hub.peer() as peer:
        peer.hello()
        assert "internal_error" not in peer.ask("hub.status")["result"]["hub"]["refusals"]
