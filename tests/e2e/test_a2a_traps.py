"""What test clients of the protocol do to a server, over bare HTTP against the agent that is made for them."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from threading import Thread
from typing import Any

import httpx
import pytest
from a2a.types import a2a_pb2 as pb

from tests.core.a2a import schema
from tests.e2e.hubs import HubProcess

A2A_JSON = "application/a2a+json"
AGREED = {"A2A-Version": "1.0"}


class Raw:
    """Requests as they are written, to one agent; what comes back is held to the schema."""

    def __init__(self, base: str) -> None:
        self.base = base
        alone = httpx.Limits(max_keepalive_connections=0)  # no connection outlives its request
        self.http = httpx.Client(timeout=20, headers=AGREED, verify=False, limits=alone)

    def rpc(self, method: str, params: Any = None, *, path: str = "", **headers: str) -> dict[str, Any]:
        """The response to a JSON-RPC request."""
        asked = {"jsonrpc": "2.0", "id": "tck-1", "method": method, "params": {} if params is None else params}
        answer = self.http.post(self.base + path, json=asked, headers=headers)
        assert answer.headers["content-type"].partition(";")[0] == "application/json"
        told: dict[str, Any] = answer.json()
        schema.answers(method, told, "tck-1")
        return told

    def result(self, method: str, params: Any = None, **more: Any) -> dict[str, Any]:
        told = self.rpc(method, params, **more)
        assert "result" in told, told
        found: dict[str, Any] = told["result"]
        return found

    def code(self, method: str, params: Any = None, **more: Any) -> int:
        """The number of an error."""
        told = self.rpc(method, params, **more)
        return int(told["error"]["code"])

    def send(self, prefix: str, text: str = "hello", suffix: str = "0badcafe", **more: Any) -> dict[str, Any]:
        """The task or message that comes of a message of that id."""
        found = self.result("SendMessage", {"message": message(prefix, text, suffix, **more)})
        told: dict[str, Any] = found.get("task") or found["message"]
        return told

    def events(self, method: str, params: Any) -> Iterator[dict[str, Any]]:
        """The responses in a stream; the one response where it is none."""
        asked = {"jsonrpc": "2.0", "id": 4, "method": method, "params": params}
        with self.http.stream("POST", self.base, json=asked) as answer:
            if not answer.headers["content-type"].startswith("text/event-stream"):
                yield json.loads(answer.read())
                return
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    told = json.loads(line[5:])
                    schema.answers(method, told, 4)
                    yield told


def message(prefix: str, text: str = "hello", suffix: str = "0badcafe", **more: Any) -> dict[str, Any]:
    return {"messageId": f"{prefix}-{suffix}", "role": "ROLE_USER", "parts": [{"text": text}], **more}


@pytest.fixture(scope="module")
def hub() -> Iterator[HubProcess]:
    process = HubProcess()
    try:
        process.serve("--test-agent")
        yield process
    finally:
        process.close()


@pytest.fixture
def raw(hub: HubProcess) -> Iterator[Raw]:
    raw = Raw(f"http://127.0.0.1:{hub.told['port']}/agents/tck")
    yield raw
    raw.http.close()


# -- addresses and names


@pytest.mark.parametrize("path", ["", "/"])
def test_json_rpc_is_answered_at_the_url_with_and_without_a_slash(raw: Raw, path: str) -> None:
    assert raw.result("ListTasks", path=path)["tasks"] is not None
    asked = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}}
    assert raw.http.post(raw.base + path, json=asked, follow_redirects=False).status_code == 200


def test_names_of_both_spellings_are_taken_in_one_request(raw: Raw) -> None:
    task = raw.send("tck-input-required")
    params = {"message": {"messageId": "m", "task_id": task["id"], "context_id": task["contextId"], "role": "ROLE_USER",
                          "parts": [{"text": "go on"}]}, "configuration": {"history_length": 1}}  # fmt: skip
    done = raw.result("SendMessage", params)["task"]
    assert (done["id"], done["status"]["state"], len(done["history"])) == (task["id"], "TASK_STATE_COMPLETED", 1)
    found = raw.result("ListTasks", {"context_id": task["contextId"], "page_size": 1, "include_artifacts": True})
    assert ([one["id"] for one in found["tasks"]], found["pageSize"]) == ([task["id"]], 1)


def test_one_message_id_may_be_used_again_and_again(raw: Raw) -> None:
    first, second = raw.send("tck-complete-task"), raw.send("tck-complete-task")
    assert first["id"] != second["id"]
    assert [one["history"][0]["messageId"] for one in (first, second)] == ["tck-complete-task-0badcafe"] * 2
    together = raw.send("tck-artifact-text", contextId=first["contextId"])
    assert (together["contextId"], together["id"] != first["id"]) == (first["contextId"], True)


# -- the card


def test_a_conversation_is_told_in_order_though_its_messages_share_an_id(raw: Raw) -> None:
    task = raw.send("tck-input-required", "first")
    for text in ("second", "third"):
        again = raw.send("tck-input-required", text, taskId=task["id"])
        assert again["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    done = raw.send("tck-complete-task", "last", taskId=task["id"])
    assert done["status"]["state"] == "TASK_STATE_COMPLETED"
    for told in (
        raw.result("GetTask", {"id": task["id"], "historyLength": 20}),
        raw.http.get(f"{raw.base}/tasks/{task['id']}?historyLength=20").json(),
    ):
        said = [one["parts"][0]["text"] for one in told["history"] if one["role"] == "ROLE_USER"]
        assert said == ["first", "second", "third", "last"]
    assert "history" not in raw.result("GetTask", {"id": task["id"], "historyLength": 0})


def test_the_card_is_one_of_1_0_and_nothing_else(raw: Raw) -> None:
    card = raw.http.get(f"{raw.base}/.well-known/agent-card.json").json()
    schema.fits(pb.AgentCard, card)
    assert not {"url", "preferredTransport", "protocolVersion", "additionalInterfaces", "security"} & card.keys()
    assert "urn:a2a:tck:required-extension" not in json.dumps(card)
    assert not any(extension.get("required") for extension in card["capabilities"].get("extensions", []))
    assert {one["protocolBinding"] for one in card["supportedInterfaces"]} >= {"JSONRPC", "HTTP+JSON"}


def test_the_card_may_be_kept_for_a_while(raw: Raw) -> None:
    place = f"{raw.base}/.well-known/agent-card.json"
    answer = raw.http.get(place)
    assert answer.headers["content-type"].startswith("application/json")
    assert "max-age=" in answer.headers["cache-control"]
    assert answer.headers["etag"].startswith('"')
    assert parsedate_to_datetime(answer.headers["last-modified"]).year >= 2025
    again = raw.http.get(place, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert raw.http.head(place).status_code in (200, 405)


def test_the_head_of_the_card_is_told_without_it(raw: Raw) -> None:
    for name in ("agent-card.json", "agent.json"):
        url = f"{raw.base}/.well-known/{name}"
        whole, head = raw.http.get(url), raw.http.head(url)
        assert (head.status_code, head.content) == (200, b"")
        assert (head.headers["etag"], head.headers["content-length"]) == (
            whole.headers["etag"],
            str(len(whole.content)),
        )
    assert raw.http.head(raw.base + "/status").status_code == 405


def test_the_extended_card_is_told_without_credentials(raw: Raw) -> None:
    assert raw.result("GetExtendedAgentCard")["name"] == "tck"
    answer = raw.http.get(f"{raw.base}/extendedAgentCard")
    schema.fits(pb.AgentCard, answer.json())
    assert answer.status_code == 200


# -- parts and content types


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
def test_a_part_of_any_media_type_is_taken(raw: Raw, binding: str) -> None:
    told = message("tck-complete-task")
    told["parts"] = [{"raw": "AAECAw==", "mediaType": "application/x-unsupported-tck-type", "filename": "x.bin"}]
    if binding == "JSONRPC":
        task = raw.result("SendMessage", {"message": told})["task"]
    else:
        task = raw.http.post(f"{raw.base}/message:send", json={"message": told}).json()["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert task["history"][0]["parts"] == told["parts"]


@pytest.mark.parametrize(
    ("sent", "accepted", "got"),
    [
        ("application/json", "*/*", "application/json"),
        ("application/json; charset=utf-8", "*/*", "application/json"),
        (A2A_JSON, "*/*", A2A_JSON),
        ("application/json", A2A_JSON, A2A_JSON),
    ],
)
def test_an_answer_is_called_what_the_request_is(raw: Raw, sent: str, accepted: str, got: str) -> None:
    body = json.dumps({"message": message("tck-complete-task")})
    headers = {"Content-Type": sent, "Accept": accepted}
    answer = raw.http.post(f"{raw.base}/message:send", content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, got)
    schema.fits(pb.SendMessageResponse, answer.json())
    answer = raw.http.get(f"{raw.base}/tasks/t-none", headers={"Accept": accepted})
    assert (answer.status_code, A2A_JSON in answer.headers["content-type"]) == (404, accepted == A2A_JSON)


@pytest.mark.parametrize("sent", ["text/plain", "application/xml", "multipart/form-data; boundary=x", ""])
def test_a_body_of_another_kind_is_refused(raw: Raw, sent: str) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ListTasks"})
    answer = raw.http.post(raw.base, content=body, headers={"Content-Type": sent})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, -32005)
    answer = raw.http.post(f"{raw.base}/message:send", content=body, headers={"Content-Type": sent})
    schema.refuses(answer.json(), 415)
    assert answer.status_code == 415
    assert answer.json()["error"]["details"][0]["reason"] == "CONTENT_TYPE_NOT_SUPPORTED"


# -- tasks


def test_nothing_is_in_a_context_that_nobody_uses(raw: Raw) -> None:
    expected = {"tasks": [], "nextPageToken": "", "pageSize": 50, "totalSize": 0}
    assert raw.result("ListTasks", {"contextId": "nobody-uses-this"}) == expected
    assert raw.http.get(f"{raw.base}/tasks?contextId=nobody-uses-this").json() == expected


def test_artifacts_are_left_out_of_lists_unless_they_are_asked_for(raw: Raw) -> None:
    task = raw.send("tck-artifact-text")
    (listed,) = raw.result("ListTasks", {"contextId": task["contextId"]})["tasks"]
    assert "artifacts" not in listed
    (listed,) = raw.result("ListTasks", {"contextId": task["contextId"], "includeArtifacts": True})["tasks"]
    assert listed == task


EXPECTED: dict[str, tuple[str, list[dict[str, Any]] | None]] = {
    "tck-complete-task": ("COMPLETED", None),
    "tck-artifact-text": ("COMPLETED", [{"text": "Generated text content"}]),
    "tck-artifact-file": ("COMPLETED", None),
    "tck-artifact-file-url": (
        "COMPLETED",
        [{"url": "https://example.com/output.txt", "filename": "output.txt", "mediaType": "text/plain"}],
    ),
    "tck-artifact-data": ("COMPLETED", [{"data": {"key": "value", "count": 42}}]),
    "tck-input-required": ("INPUT_REQUIRED", None),
    "tck-auth-required": ("AUTH_REQUIRED", None),
    "tck-reject-task": ("REJECTED", None),
    "tck-stream-001": ("COMPLETED", [{"text": "Stream hello from TCK"}]),
    "tck-stream-002": ("COMPLETED", None),
    "tck-stream-003": ("COMPLETED", [{"text": "Stream task lifecycle"}]),
    "tck-stream-ordering-001": ("COMPLETED", [{"text": "Ordered output"}]),
    "tck-stream-artifact-chunked": ("COMPLETED", [{"text": "chunk-1 chunk-2"}]),
    "tck-transport-test-001": ("COMPLETED", None),
    "tck-ver-003": ("COMPLETED", None),
    "anything": ("COMPLETED", None),
}


@pytest.mark.parametrize("prefix", EXPECTED)
def test_the_id_of_a_message_says_what_comes_of_it(raw: Raw, prefix: str) -> None:
    state, parts = EXPECTED[prefix]
    task = raw.send(prefix)
    assert task["status"]["state"] == f"TASK_STATE_{state}"
    if parts is not None:
        assert task["artifacts"][0]["parts"] == parts
    heard = list(raw.events("SendStreamingMessage", {"message": message(prefix)}))
    assert "task" in heard[0]["result"]
    (last,) = [one["result"]["statusUpdate"] for one in heard[-1:]]
    assert last["status"]["state"] == f"TASK_STATE_{state}"
    assert {one["id"] for one in heard} == {4}
    if state.endswith("_REQUIRED"):
        raw.result("CancelTask", {"id": last["taskId"]})


def test_a_send_waits_for_the_end_unless_it_is_to_return_at_once(raw: Raw) -> None:
    task = raw.send("tck-delayed-complete")
    assert (task["status"]["state"], task["status"]["message"]["parts"]) == (
        "TASK_STATE_COMPLETED", [{"text": "Done after delay"}],
    )  # fmt: skip
    at_once = {"message": message("tck-delayed-complete"), "configuration": {"returnImmediately": True}}
    begun = raw.result("SendMessage", at_once)["task"]
    assert begun["status"]["state"] in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING")
    answer = raw.http.post(f"{raw.base}/message:send", json=at_once).json()["task"]
    assert answer["status"]["state"] in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING")
    for one in (begun, answer):
        raw.result("CancelTask", {"id": one["id"]})


def test_a_file_and_a_status_and_a_message_as_they_are_wanted(raw: Raw) -> None:
    (part,) = raw.send("tck-artifact-file")["artifacts"][0]["parts"]
    assert (part["filename"], part["mediaType"], "raw" in part or "url" in part) == ("output.txt", "text/plain", True)
    assert raw.send("tck-complete-task")["status"]["message"]["parts"][0]["text"] == "Hello from TCK"
    direct = raw.send("tck-message-response")
    assert (direct["role"], direct["parts"]) == ("ROLE_AGENT", [{"text": "Direct message response"}])
    (only,) = raw.events("SendStreamingMessage", {"message": message("tck-message-response")})
    assert only["result"]["message"]["parts"] == direct["parts"]


# -- following


def test_who_follows_a_question_stays_until_the_end_and_two_hear_the_same(raw: Raw) -> None:
    task = raw.send("tck-input-required")
    with ThreadPoolExecutor(2) as pool:
        firsts: Queue[Any] = Queue()

        def follow() -> list[Any]:
            heard = []
            for one in raw.events("SubscribeToTask", {"id": task["id"]}):
                heard.append(one["result"])
                if len(heard) == 1:
                    firsts.put(one["result"])
            return heard

        both = [pool.submit(follow) for _ in range(2)]
        for _ in both:
            assert firsts.get(timeout=10)["task"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
        raw.send("tck-go-on", taskId=task["id"])
        heard = [one.result(timeout=10) for one in both]
    assert heard[0] == heard[1]
    assert heard[0][-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


def test_what_has_ended_and_what_is_not_there_is_not_followed(raw: Raw) -> None:
    task = raw.send("tck-complete-task")
    (told,) = raw.events("SubscribeToTask", {"id": task["id"]})
    assert told["error"]["code"] == -32004
    (told,) = raw.events("SubscribeToTask", {"id": "t-none"})
    assert told["error"]["code"] == -32001
    for ask in (raw.http.get, raw.http.post):
        assert ask(f"{raw.base}/tasks/{task['id']}:subscribe").status_code == 400
        assert ask(f"{raw.base}/tasks/t-none:subscribe").status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_following_may_be_asked_for_in_two_ways(raw: Raw, method: str) -> None:
    task = raw.send("tck-input-required")
    with raw.http.stream(method, f"{raw.base}/tasks/{task['id']}:subscribe") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        first = next(line for line in lines if line.startswith("data:"))
        assert json.loads(first[5:])["task"]["id"] == task["id"]
        raw.result("CancelTask", {"id": task["id"]})
        last = [line for line in lines if line.startswith("data:")][-1]
    assert json.loads(last[5:])["statusUpdate"]["status"]["state"] == "TASK_STATE_CANCELED"


# -- versions, extensions, errors


@pytest.mark.parametrize("version", ["99.0", "2", "1", "0.2", "one", "1.0.0.0", "1.1"])
def test_a_version_that_is_not_spoken(raw: Raw, version: str) -> None:
    assert raw.code("ListTasks", **{"A2A-Version": version}) == -32009
    answer = raw.http.get(f"{raw.base}/tasks", headers={"A2A-Version": version})
    assert answer.status_code == 400
    schema.refuses(answer.json(), 400)
    assert answer.json()["error"]["details"][0]["reason"] == "VERSION_NOT_SUPPORTED"


@pytest.mark.parametrize("version", ["", "1.0", "1.0.1", "0.3", "0.3.0"])
def test_versions_that_are_spoken(raw: Raw, version: str) -> None:
    assert raw.result("ListTasks", **{"A2A-Version": version})["pageSize"] == 50


def test_extensions_that_nobody_knows_change_nothing(raw: Raw) -> None:
    headers = {"A2A-Extensions": "https://example.com/a, urn:b,,;", "X-A2A-Extensions": "c"}
    told = {"message": message("tck-svc-002-ext"), "unknownField": {"a": 1}, "configuration": {"unknown": []}}
    assert raw.result("SendMessage", told, **headers)["task"]["status"]["state"] == "TASK_STATE_COMPLETED"


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("GetTask", {"id": "t-none"}, -32001),
        ("GetTask", {}, -32602),
        ("GetTask", {"id": "t-none", "historyLength": -1}, -32602),
        ("CancelTask", {"id": "t-none"}, -32001),
        ("SendMessage", {}, -32602),
        ("SendMessage", {"message": {}}, -32602),
        ("SendMessage", {"message": {"messageId": "m", "role": "ROLE_USER", "parts": []}}, -32602),
        ("SendMessage", {"message": {"messageId": "m", "role": "ROLE_KING", "parts": [{"text": "x"}]}}, -32602),
        ("SendMessage", {"message": message("m", taskId="t-none")}, -32001),
        ("ListTasks", {"pageSize": 0}, -32602),
        ("ListTasks", {"pageSize": 101}, -32602),
        ("ListTasks", {"status": "TASK_STATE_ASLEEP"}, -32602),
        ("ListTasks", {"statusTimestampAfter": "yesterday"}, -32602),
        ("ListTasks", {"pageToken": "not a token"}, -32602),
        ("NoSuchMethod", {}, -32601),
        ("tasks/list", {}, -32601),
        ("message/send", {}, -32602),
        ("tasks/get", {"id": "t-none"}, -32001),
    ],
)
def test_errors_have_their_numbers_and_nothing_but_code_message_and_data(
    raw: Raw, method: str, params: Any, code: int
) -> None:
    assert raw.code(method, params) == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ListTasks"} x', -32700),
        (b"[]", -32600),
        (b"3", -32600),
        (b"null", -32600),
        (b'{"id":1,"method":"ListTasks"}', -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ListTasks"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"ListTasks"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ListTasks","params":[]}', -32602),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ListTasks"}]', -32600),
    ],
)
def test_what_is_no_request(raw: Raw, body: bytes, code: int) -> None:
    answer = raw.http.post(raw.base, content=body, headers={"Content-Type": "application/json"})
    schema.answers("", answer.json())
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize("id", [0, -1, 1.5, "", "é", "x" * 1000, None, 2**53])
def test_the_id_of_a_request_comes_back_as_it_was(raw: Raw, id: Any) -> None:
    asked = {"jsonrpc": "2.0", "id": id, "method": "ListTasks", "params": {}}
    told = raw.http.post(raw.base, json=asked).json()
    assert (told["id"], type(told["id"])) == (id, type(id))


def test_nothing_is_said_to_what_has_ended(raw: Raw) -> None:
    task = raw.send("tck-complete-task")
    assert raw.code("SendMessage", {"message": message("m", taskId=task["id"])}) == -32004
    (told,) = raw.events("SendStreamingMessage", {"message": message("m", taskId=task["id"])})
    assert told["error"]["code"] == -32004
    assert raw.code("CancelTask", {"id": task["id"]}) == -32002
    answer = raw.http.post(f"{raw.base}/tasks/{task['id']}:cancel")
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")


# -- push


class _Listener(BaseHTTPRequestHandler):
    heard: "Queue[tuple[dict[str, str], Any]]"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.put((dict(self.headers), json.loads(body)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass  # nothing belongs on the terminal


def test_push_of_a_task_that_has_ended_is_kept_deleted_and_deleted_again(raw: Raw) -> None:
    task = raw.send("tck-complete-task")["id"]
    config = {"taskId": task, "id": "tck-push-1", "url": "https://example.com/tck-push-webhook"}
    assert raw.result("CreateTaskPushNotificationConfig", config) == config
    named = {"task_id": task, "id": "tck-push-1"}
    assert raw.result("GetTaskPushNotificationConfig", named) == config
    assert raw.result("ListTaskPushNotificationConfigs", {"task_id": task})["configs"] == [config]
    for _ in range(2):
        assert raw.result("DeleteTaskPushNotificationConfig", named) == {}
    assert raw.code("GetTaskPushNotificationConfig", named) < 0
    assert raw.result("ListTaskPushNotificationConfigs", {"task_id": task})["configs"] == []


def test_a_server_on_this_machine_is_called_at_the_end(raw: Raw) -> None:
    heard: Queue[tuple[dict[str, str], Any]] = Queue()
    with HTTPServer(("127.0.0.1", 0), type("Listener", (_Listener,), {"heard": heard})) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            push = {
                "url": f"http://localhost:{server.server_port}/hook",
                "authentication": {"scheme": "Bearer", "credentials": "tck-secret"},
            }
            params = {
                "message": message("tck-input-required"),
                "configuration": {"taskPushNotificationConfig": push},
            }
            task = raw.result("SendMessage", params)["task"]
            raw.send("tck-go-on", taskId=task["id"])
            while True:
                headers, told = heard.get(timeout=15)
                schema.fits(pb.StreamResponse, told)
                assert headers["Authorization"] == "Bearer tck-secret"
                if told.get("statusUpdate", {}).get("status", {}).get("state") == "TASK_STATE_COMPLETED":
                    break
        finally:
            server.shutdown()
            thread.join()
