"""Whatever is sent to an agent's endpoint, it is answered in the protocol's words, and the hub goes on."""

import base64
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.a2a import schema
from tests.e2e.hubs import HubProcess, until
from tests.e2e.test_a2a_traps import Raw, message

MIB = 1 << 20
PATHS = ("", "/", "/message:send", "/message:stream", "/tasks", "/tasks/send", "/tasks/create", "/extendedAgentCard")
METHODS = [*schema.RESULTS, *schema.OLD, "tasks/list", "no.such", ""]
FIELDS = [
    "message", "messageId", "message_id", "contextId", "taskId", "task_id", "role", "parts", "metadata", "extensions",
    "referenceTaskIds", "configuration", "historyLength", "history_length", "returnImmediately", "blocking", "text",
    "acceptedOutputModes", "taskPushNotificationConfig", "pushNotificationConfig", "pushNotificationConfigId", "raw",
    "url", "data", "filename", "mediaType", "kind", "file", "bytes", "uri", "mimeType", "name", "id", "tenant", "token",
    "authentication", "schemes", "scheme", "credentials", "status", "pageSize", "pageToken", "statusTimestampAfter",
    "includeArtifacts", "priority",
]  # fmt: skip
WORDS = [
    "ROLE_USER", "user", "TASK_STATE_WORKING", "text", "file", "data", "message", "m-1", "tck-input-required", "t-none",
    "https://example.com/", "file:///etc/passwd", "javascript:alert(1)", "../../etc/passwd", "a\r\nX-Evil: 1", "\0",
    "2026-01-01T00:00:00Z", "-1", "1e309", "x" * 3000, "AAEC", "Bearer", "%s%n{0}", "9" * 5000, "\ud83d\ude00", "true",
]  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(WORDS)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=12,
)
parts = st.dictionaries(st.sampled_from(["text", "raw", "url", "data", "kind", "file", "metadata", "filename"]), values)
messages = st.fixed_dictionaries(
    {"messageId": st.just("m") | scalars, "parts": st.lists(parts | values, max_size=3) | values},
    optional={name: values for name in ("role", "contextId", "taskId", "metadata", "extensions", "referenceTaskIds")},
)
params = st.dictionaries(st.sampled_from(FIELDS), values, max_size=6) | st.fixed_dictionaries(
    {"message": messages}, optional={"configuration": values, "metadata": values}
)


@pytest.fixture(scope="module")
def hub() -> Iterator[HubProcess]:
    process = HubProcess()
    try:
        process.serve("--test-agent", "--rate", "0")
        yield process
    finally:
        process.close()


@pytest.fixture(scope="module", autouse=True)
def idle(hub: HubProcess) -> int:
    """The sockets that it has open before anybody comes."""
    return lines_of(hub)


@pytest.fixture(scope="module")
def raw(hub: HubProcess) -> Iterator[Raw]:
    raw = Raw(f"http://127.0.0.1:{hub.told['port']}/agents/tck")
    yield raw
    raw.http.close()


def alive(hub: HubProcess, raw: Raw) -> None:
    """It answers, takes changes, and has logged no bug."""
    assert raw.send("tck-complete-task")["status"]["state"] == "TASK_STATE_COMPLETED"
    assert "Traceback" not in hub.log


def head(hub: HubProcess, length: str) -> bytes:
    """How a request begins that a test writes itself."""
    lines = (
        "POST /agents/tck HTTP/1.1",
        f"Host: 127.0.0.1:{hub.told['port']}",
        "Content-Type: application/json",
        length,
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


# -- everything


@settings(max_examples=250)
@given(st.sampled_from(METHODS) | values, params | values, st.sampled_from(["", "1.0", "0.3"]))
def test_every_method_answers_whatever_it_is_given(
    hub: HubProcess, raw: Raw, method: Any, told: Any, version: str
) -> None:
    asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": told}
    headers = {"A2A-Version": version, "Content-Type": "application/json"}
    answer = raw.http.post(raw.base, content=json.dumps(asked), headers=headers)
    assert answer.status_code in (200, 413), answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        for line in answer.text.splitlines():
            if line.startswith("data:"):
                schema.answers(method, json.loads(line[5:]), 1)
    else:
        schema.answers(str(method), answer.json(), 1 if isinstance(method, str) else None)
        assert answer.json().get("error", {}).get("code") != -32603, answer.text


@settings(max_examples=150)
@given(
    st.sampled_from(["GET", "POST", "DELETE"]),
    st.sampled_from(PATHS) | st.lists(scalars, max_size=4),
    params | values,
    params,
)
def test_every_path_answers_whatever_it_is_given(
    hub: HubProcess, raw: Raw, method: str, path: Any, told: Any, query: dict[str, Any]
) -> None:
    if isinstance(path, list):
        path = "/tasks/" + "/".join(quote(str(part).encode("utf-8", "replace"), safe=":") for part in path)
    asked = {name: str(value) for name, value in query.items() if isinstance(value, str | int | float)}
    if path.endswith(("subscribe", "stream")):
        asked = {}
    answer = raw.http.request(
        method,
        raw.base + path,
        content=json.dumps(told) if method == "POST" else None,
        params={name: value.encode("utf-8", "replace") for name, value in asked.items()},
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code < 500 or answer.json()["error"]["status"] == "UNAVAILABLE", answer.text
    assert answer.headers["content-type"].partition(";")[0] in (
        "application/json", "application/problem+json", "text/event-stream", "application/a2a+json",
    )  # fmt: skip


@settings(max_examples=150)
@given(st.binary(max_size=200), st.sampled_from(PATHS))
def test_bytes_that_are_no_json(hub: HubProcess, raw: Raw, body: bytes, path: str) -> None:
    answer = raw.http.post(raw.base + path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code < 500
    answer.json()


def test_after_all_that_it_is_alive(hub: HubProcess, raw: Raw) -> None:
    alive(hub, raw)


# -- size and depth


def test_a_large_file_comes_through_and_a_larger_one_is_refused(hub: HubProcess, raw: Raw) -> None:
    content = base64.b64encode(bytes(range(256)) * (4 * 4096)).decode()
    told = message("tck-complete-task")
    told["parts"] = [{"raw": content, "filename": "large.bin"}]
    kept = raw.result("SendMessage", {"message": told})["task"]["history"][0]["parts"]
    assert kept == told["parts"]
    told["parts"] = [{"raw": "A" * (17 * MIB)}]
    for path, body in (("", {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": told}}),
                       ("/message:send", {"message": told})):  # fmt: skip
        answer = raw.http.post(raw.base + path, json=body)
        assert (answer.status_code, "16 MiB" in answer.text) == (413, True)
    alive(hub, raw)


def test_a_body_without_an_end_is_cut_off(hub: HubProcess, raw: Raw) -> None:
    with socket.create_connection(("127.0.0.1", hub.told["port"]), timeout=20) as line:
        line.sendall(head(hub, "Transfer-Encoding: chunked"))
        chunk = b"%x\r\n" % MIB + b" " * MIB + b"\r\n"
        for _ in range(17):  # one more than is taken; its end is never told
            line.sendall(chunk)
        assert line.recv(12) == b"HTTP/1.1 413"
    alive(hub, raw)


@pytest.mark.parametrize("count", [101, 100_000])
def test_too_many_parts_are_refused(raw: Raw, count: int) -> None:
    told = message("tck-complete-task")
    told["parts"] = [{"text": "x"}] * count
    assert raw.code("SendMessage", {"message": told}) in (-32602, -32600)


@pytest.mark.parametrize(
    "more",
    [
        {"messageId": "x" * 10_000},
        {"contextId": "x" * 10_000},
        {"contextId": "a\nb"},
        {"referenceTaskIds": ["x"] * 1000},
        {"extensions": ["x" * 10_000]},
        {"metadata": {"a": "x" * 100_000}},
        {"metadata": {"priority": 9}},
        {"metadata": {"priority": "high"}},
        {"taskId": "x" * 100_000},
    ],
    ids=lambda more: str(more)[:30],
)
def test_what_is_too_much_or_makes_no_sense_is_refused(raw: Raw, more: dict[str, Any]) -> None:
    assert raw.code("SendMessage", {"message": message("m") | more}) in (-32602, -32600, -32001)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":{"messageId":"m","parts":[{"data":'
        + b"[" * 5000 + b"]" * 5000 + b"}]}}}",
        b'{"jsonrpc":"2.0","id":' + b"[" * 500 + b"]" * 500 + b"}",
        b"9" * 1_000_000,
        b'"' + b"\\u0000" * 100_000 + b'"',
        b'{"jsonrpc":"2.0","id":1e400,"method":"ListTasks"}',
        b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"ListTasks"}',
        b'{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"id":2,"method":"ListTasks","method":"GetTask"}',
        b'{"jsonrpc":"2.0","id":1,"method":"\\ud800","params":{}}',
    ],
    ids=range(10),
)  # fmt: skip
def test_json_that_is_meant_to_hurt(hub: HubProcess, raw: Raw, body: bytes) -> None:
    for path in ("", "/message:send", "/tasks/send"):
        answer = raw.http.post(raw.base + path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500
        assert "error" in answer.json() or "result" in answer.json()
    alive(hub, raw)


def nested(depth: int) -> dict[str, Any]:
    """A message with data of so many levels."""
    deep: Any = "x"
    for _ in range(depth):
        deep = [deep]
    return message("tck-complete-task") | {"parts": [{"data": deep}]}


def test_data_that_is_taken_is_not_too_deep_for_those_who_read_it(raw: Raw) -> None:
    told = nested(45)
    task = raw.result("SendMessage", {"message": told})["task"]
    assert task["history"][0]["parts"] == told["parts"]
    (listed,) = raw.result("ListTasks", {"contextId": task["contextId"]})["tasks"]
    assert listed["history"] == task["history"]
    asked = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": nested(46)}}
    assert raw.http.post(raw.base, json=asked).json()["error"]["code"] == -32700


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "javascript:alert(1)", "data:text/plain,x", "//x/y", "https://a b/"]
)
def test_addresses_that_lead_to_no_web_page_are_refused(raw: Raw, url: str) -> None:
    told = message("m")
    told["parts"] = [{"url": url}]
    assert raw.code("SendMessage", {"message": told}) == -32602


@pytest.mark.parametrize(
    "path",
    [
        "/agents/../api/hub.shutdown",
        "/agents/%2e%2e/api/hub.status",
        "/agents/tck%00",
        "/agents/" + "x" * 3000,
        "/agents/%F0%9F%98%80",
        "/agents/tck/tasks/..%2f..%2fx",
    ],
)
def test_names_that_lead_elsewhere_lead_nowhere(hub: HubProcess, raw: Raw, path: str) -> None:
    base = f"http://127.0.0.1:{hub.told['port']}"
    answer = raw.http.post(base + path, json={"jsonrpc": "2.0", "id": 1, "method": "ListTasks"})
    assert answer.status_code in (400, 404, 405, 414)
    alive(hub, raw)


DIGITS = "9" * 5000  # more than Python makes a number of


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("POST", "", {"message": message("m") | {"role": DIGITS}}, {}),
        ("POST", "/message:send", {"message": message("m") | {"role": DIGITS}}, {}),
        ("GET", f"/tasks?status={DIGITS}", None, {}),
        ("GET", f"/tasks?pageSize={DIGITS}", None, {}),
        ("GET", f"/tasks?page_size={DIGITS}", None, {}),
        ("GET", f"/tasks?pageToken=k{DIGITS}", None, {}),
        ("GET", f"/tasks/t-none?historyLength={DIGITS}", None, {}),
        ("POST", "/tasks/send", {"text": "x", "priority": DIGITS}, {}),
        ("POST", f"/tasks/send?priority={DIGITS}", {"text": "x"}, {}),
        ("GET", "/tasks/t-none/subscribe", None, {"Last-Event-ID": DIGITS}),
        ("GET", "/tasks", None, {"A2A-Version": f"{DIGITS}.0"}),
    ],
    ids=range(11),
)
def test_numbers_that_are_too_long_to_be_read_are_refused(
    hub: HubProcess, raw: Raw, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    if not path:
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": body}
    answer = raw.http.request(method, raw.base + path, json=body, headers=headers)
    assert answer.status_code in (200, 400, 404), answer.text
    assert "error" in answer.json()


def test_where_somebody_left_off_may_be_any_text(raw: Raw) -> None:
    task = raw.send("tck-complete-task")
    for seen in (DIGITS, "x", "-1", "1.5"):
        answer = raw.http.get(f"{raw.base}/tasks/{task['id']}/subscribe", headers={"Last-Event-ID": seen})
        assert answer.status_code == 200
        assert "event: done" in answer.text


# -- who goes away


def lines_of(hub: HubProcess) -> int:
    """Sockets that the hub has open."""
    found = 0
    for place in Path(f"/proc/{hub.pid}/fd").iterdir():
        try:
            found += str(place.readlink()).startswith("socket:")
        except FileNotFoundError:
            pass  # closed meanwhile
    return found


def test_who_goes_away_in_the_middle_leaves_nothing_behind(hub: HubProcess, raw: Raw, idle: int) -> None:
    alive(hub, raw)
    until(lambda: lines_of(hub) == idle)
    port = hub.told["port"]
    asked = []
    for number in range(30):
        method = ("SendMessage", "SendStreamingMessage")[number % 2]
        body = json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": message("test-resubscribe-message-id")}}
        ).encode()
        line = socket.create_connection(("127.0.0.1", port), timeout=10)
        line.sendall(head(hub, f"Content-Length: {len(body)}") + (body if number % 3 else body[:-5]))
        asked.append(line)
    until(lambda: lines_of(hub) == idle + 30)
    for line in asked:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # as one that was killed
        line.close()
    until(lambda: lines_of(hub) == idle)
    found = raw.result("ListTasks", {"status": "TASK_STATE_WORKING", "pageSize": 100})["tasks"]
    for task in found:
        raw.result("CancelTask", {"id": task["id"]})
    alive(hub, raw)


def test_two_hundred_who_do_not_read_do_not_hold_up_one_who_does(hub: HubProcess, raw: Raw, idle: int) -> None:
    task = raw.send("tck-input-required")
    body = json.dumps({"jsonrpc": "2.0", "id": 4, "method": "SubscribeToTask", "params": {"id": task["id"]}}).encode()
    with ExitStack() as stack:
        for _ in range(200):
            line = socket.socket()
            stack.enter_context(line)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            line.connect(("127.0.0.1", hub.told["port"]))
            line.sendall(head(hub, f"Content-Length: {len(body)}") + body)
        with raw.http.stream("POST", raw.base, content=body, headers={"Content-Type": "application/json"}) as answer:
            lines = answer.iter_lines()
            next(line for line in lines if line.startswith("data:"))
            for number in range(8):
                began = time.monotonic()
                with httpx.Client(timeout=20, headers={"A2A-Version": "1.0"}, verify=False) as other:
                    again = message("tck-input-required", "y" * 4000, taskId=task["id"])
                    asked = {"jsonrpc": "2.0", "id": number, "method": "SendMessage", "params": {"message": again}}
                    schema.answers("SendMessage", other.post(raw.base, json=asked).json(), number)
                for wanted in ("TASK_STATE_WORKING", "TASK_STATE_INPUT_REQUIRED"):
                    told = json.loads(next(line for line in lines if line.startswith("data:"))[5:])
                    assert told["result"]["statusUpdate"]["status"]["state"] == wanted
                assert time.monotonic() - began < 5
            raw.result("CancelTask", {"id": task["id"]})
            told = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
            assert told[-1]["result"]["statusUpdate"]["status"]["state"] == "TASK_STATE_CANCELED"
    until(lambda: lines_of(hub) == idle)
    alive(hub, raw)
