"""The JSON of the protocol there and back: every spelling of a request means one thing, what is told fits the schema, and
0.3 says the same as 1.0. The other side is the official SDK."""

import asyncio
import base64
import time
from typing import Any
from unittest.mock import ANY

import msgspec
import pytest
from a2a.compat.v0_3 import conversions
from a2a.compat.v0_3 import types as old
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse.a2a import model, naming, v03
from synapse.a2a.errors import TABLE, A2AError, invalid
from synapse.a2a.feed import Feeds
from synapse.a2a.handlers import Call, Handlers
from synapse.a2a.incoming import INLINE, SHOWN, file_name, incoming
from synapse.a2a.reading import ListIn, MessageIn, PushIn, SendIn, TaskIn, read, whole
from synapse.hub.views import Piece, Said, TaskView
from synapse.testing import Bench
from tests.core.a2a import schema

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
numbers = st.integers(-(2**31), 2**31) | st.floats(allow_nan=False, allow_infinity=False, width=32)
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(words, values, max_size=3)
about = st.fixed_dictionaries(
    {}, optional={"metadata": objects.filter(bool), "filename": words.filter(bool), "mediaType": words.filter(bool)}
)
contents = st.one_of(
    st.builds(lambda text: {"text": text}, words),
    st.builds(lambda content: {"raw": base64.b64encode(content).decode()}, st.binary(max_size=20)),
    st.builds(lambda rest: {"url": f"https://example.com/{rest}"}, ids),
    st.builds(lambda data: {"data": data}, values),
)
parts = st.builds(lambda content, more: content | more, contents, about)
several = st.lists(parts, min_size=1, max_size=3).filter(
    lambda found: any(one.get("text", "x").strip() for one in found)
)
messages = st.fixed_dictionaries(
    {"messageId": ids, "role": st.just("ROLE_USER"), "parts": several},
    optional={
        "contextId": ids,
        "taskId": ids,
        "metadata": objects.filter(bool),
        "extensions": st.lists(ids, min_size=1, max_size=2),
        "referenceTaskIds": st.lists(ids, min_size=1, max_size=2),
    },
)
pushes = st.fixed_dictionaries(
    {"url": ids},
    optional={
        "id": ids,
        "token": ids,
        "authentication": st.fixed_dictionaries({"scheme": ids}, optional={"credentials": ids}),
    },
)
configurations = st.fixed_dictionaries(
    {},
    optional={
        "historyLength": st.integers(0, 2**31 - 1),
        "returnImmediately": st.just(True),
        "acceptedOutputModes": st.lists(ids, min_size=1, max_size=2),
        "taskPushNotificationConfig": pushes,
    },
)
sends = st.fixed_dictionaries(
    {"message": messages}, optional={"configuration": configurations, "metadata": objects.filter(bool), "tenant": ids}
)
lists = st.fixed_dictionaries(
    {},
    optional={
        "contextId": ids,
        "status": st.sampled_from(sorted(model.WORDS)),
        "pageSize": st.integers(1, 100),
        "pageToken": ids,
        "historyLength": st.integers(0, 100),
        "includeArtifacts": st.just(True),
        "statusTimestampAfter": st.just("2026-01-31T12:00:00.250Z"),
    },
)


def spelled(draw: Any, told: Any, kind: Any) -> Any:
    """One of the ways in which ProtoJSON may spell a message: other names, enums and numbers as the other thing, more."""
    if not isinstance(told, dict):
        return told
    found: dict[str, Any] = {}
    for field in kind.DESCRIPTOR.fields:
        if field.json_name not in told:
            if draw(st.integers(0, 9)) == 0 and field.json_name != "data":
                found[field.json_name] = None
            continue
        value = told[field.json_name]
        name = field.name if draw(st.booleans()) else field.json_name
        if field.message_type is not None and field.message_type.file.package == kind.DESCRIPTOR.file.package:
            inner = field.message_type._concrete_class
            value = (
                [spelled(draw, one, inner) for one in value] if isinstance(value, list) else spelled(draw, value, inner)
            )
        elif field.enum_type is not None and draw(st.booleans()):
            value = field.enum_type.values_by_name[value].number
        elif (
            isinstance(value, int)
            and not isinstance(value, bool)
            and field.message_type is None
            and draw(st.booleans())
        ):
            value = str(value)
        elif field.json_name == "raw" and draw(st.booleans()):
            value = value.replace("+", "-").replace("/", "_").rstrip("=")
        found[name] = value
    if draw(st.booleans()):
        found["somethingNew"] = draw(values)
    return found


def as_read(kind: type[msgspec.Struct], told: Any) -> Any:
    """A request as it is understood; what spells the same is made the same."""
    found: Any = msgspec.to_builtins(read(kind, told))
    message = found.get("message")
    for part in message["parts"] if message else ():
        if "raw" in part:
            plain = part["raw"].replace("-", "+").replace("_", "/").rstrip("=")
            part["raw"] = base64.b64decode(plain + "=" * (-len(plain) % 4))
    if message and message.get("role") == 1:
        message["role"] = "ROLE_USER"
    if isinstance(found.get("status"), int):
        found["status"] = pb.TaskState.Name(found["status"])
    return found


@given(st.data(), sends)
def test_however_a_message_is_spelled_it_means_the_same(data: st.DataObject, told: dict[str, Any]) -> None:
    canonical = MessageToDict(ParseDict(told, pb.SendMessageRequest()))
    assert as_read(SendIn, spelled(data.draw, told, pb.SendMessageRequest)) == as_read(SendIn, told)
    assert _loosely(as_read(SendIn, canonical)) == _loosely(as_read(SendIn, told))


def _loosely(found: Any) -> Any:
    """Without the difference between 1 and 1.0, and of what protobuf cannot hold exactly."""
    if isinstance(found, dict):
        return {name: _loosely(value) for name, value in found.items()}
    if isinstance(found, list):
        return [_loosely(value) for value in found]
    return float(found) if isinstance(found, int) else found


@given(st.data(), lists)
def test_however_a_list_is_asked_for_it_means_the_same(data: st.DataObject, told: dict[str, Any]) -> None:
    assert as_read(ListIn, spelled(data.draw, told, pb.ListTasksRequest)) == as_read(ListIn, told)
    in_a_query = {name: str(value).lower() if value is True else str(value) for name, value in told.items()}
    assert as_read(ListIn, in_a_query) == as_read(ListIn, told)


@given(sends)
def test_a_message_of_an_old_client_means_what_the_new_one_says(told: dict[str, Any]) -> None:
    """The SDK makes 0.3 of a message, we make 1.0 of that: only what 0.3 has no word for is not there any more."""
    message = ParseDict(told, pb.SendMessageRequest())
    request = conversions.to_compat_send_message_request(message, request_id=1)
    params = request.params.model_dump(by_alias=True, exclude_none=True, mode="json")
    heard = as_read(SendIn, v03.METHODS["message/send"].params(params))
    said = as_read(SendIn, MessageToDict(message))
    push = (said["configuration"] or {}).get("taskPushNotificationConfig")
    assert heard["message"]["messageId"] == said["message"]["messageId"]
    for name in ("contextId", "taskId", "extensions", "referenceTaskIds", "metadata"):
        assert _loosely(heard["message"][name]) == _loosely(said["message"][name]), name
    for name in ("historyLength", "returnImmediately", "acceptedOutputModes"):
        assert heard["configuration"][name] == said["configuration"][name], name
    if push:
        old_push = heard["configuration"]["taskPushNotificationConfig"]
        assert (old_push["url"], old_push["token"], old_push["id"]) == (push["url"], push["token"], push["id"])
        if push["authentication"]:
            assert old_push["authentication"] == push["authentication"]
    assert len(heard["message"]["parts"]) == len(said["message"]["parts"])
    for new, given_part in zip(heard["message"]["parts"], said["message"]["parts"], strict=True):
        (kind,) = {"text", "raw", "url", "data"} & given_part.keys()
        if kind == "data" and not isinstance(given_part["data"], dict):
            continue  # 0.3 knows objects only: the SDK wraps what is none
        assert _loosely(new[kind]) == _loosely(given_part[kind])
        if kind in ("raw", "url"):
            assert (new["filename"], new["mediaType"]) == (given_part["filename"], given_part["mediaType"])


# -- messages through a hub


@settings(max_examples=60)
@given(messages)
def test_what_was_written_is_kept_as_it_was_written(told: dict[str, Any]) -> None:
    told.pop("taskId", None)
    asyncio.run(_kept(told))


async def _kept(told: dict[str, Any]) -> None:
    bench = await Bench().open()
    try:
        kim = bench.person()
        await bench.agent("bob")

        async def ask(verb: str, parameters: dict[str, Any]) -> bytes:
            return await kim.ask(verb, **_texts(parameters))

        request = {"message": told, "configuration": {"returnImmediately": True}}
        handlers, call = Handlers(Feeds(bench.core)), Call(ask, "w/bob", "bob")
        metadata = told.get("metadata") or {}
        if "priority" in metadata:
            return
        task = (await handlers.send(call, read(SendIn, request)))["task"]
        assert task == await handlers.get(call, TaskIn(id=task["id"]))
        schema.fits(pb.Task, task)
        (kept,) = task["history"]
        assert kept == told | {"contextId": task["contextId"], "taskId": task["id"], "messageId": told["messageId"]}
        assert task["contextId"] == told.get("contextId", task["contextId"])
    finally:
        await bench.close()


def _texts(found: Any) -> Any:
    """Bytes as base64, as JSON has them."""
    if isinstance(found, bytes):
        return base64.b64encode(found).decode()
    if isinstance(found, dict):
        return {name: _texts(value) for name, value in found.items()}
    return [_texts(value) for value in found] if isinstance(found, list) else found


@given(several)
def test_an_agent_reads_text_as_it_is_and_the_rest_as_words_or_files(told: list[dict[str, Any]]) -> None:
    message = read(MessageIn, {"messageId": "m", "parts": told})
    found = incoming(message)
    for part in told:
        if part.get("text", "").strip():
            assert part["text"] in found.text
        if "url" in part:
            assert part["url"] in found.text
    assert len(found.attachments) == sum("raw" in part for part in told)
    assert [held.content for _, held in found.attachments] == [
        base64.b64decode(part["raw"]) for part in told if "raw" in part
    ]
    for name, _ in found.attachments:
        assert name
        assert not {"/", "\\", "\0", "\n"} & set(name)
        assert name not in (".", "..")
    assert found.text.strip()


@pytest.mark.parametrize(
    ("given_name", "media_type", "name"),
    [
        ("../../etc/passwd", "", "passwd"),
        ("..\\..\\boot.ini", "", "boot.ini"),
        ("..", "", "file-1"),
        ("/", "", "file-1"),
        ("a\nb\0c.txt", "", "c.txt"),
        (".bashrc", "", "bashrc"),
        ("  ", "text/html; charset=utf-8", "file-1.html"),
        ("", "application/pdf", "file-1.pdf"),
        ("x" * 300 + ".py", "", "x" * 97 + ".py"),
        ("~root", "", "~root"),
        ("C:", "", "C:"),
    ],
)
def test_a_file_is_called_by_the_last_part_of_its_name(given_name: str, media_type: str, name: str) -> None:
    assert file_name(given_name, media_type, 0) == name


@pytest.mark.parametrize("size", [SHOWN - 100, SHOWN + 100, INLINE + 100])
def test_long_data_comes_as_a_file_and_short_as_text(size: int) -> None:
    found = incoming(read(MessageIn, {"messageId": "m", "parts": [{"data": {"a": "x" * size}, "filename": "a.json"}]}))
    assert ("x" * size in found.text) is (size < SHOWN)
    assert [name for name, _ in found.attachments] == ([] if size < SHOWN else ["a.json"])
    (part,) = found.parts
    assert ("value" in part[0]) is (size < INLINE)


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({}, "message.parts[0]"),
        ({"text": "x", "url": "https://x"}, "message.parts[0]"),
        ({"raw": "not base64!"}, "message.parts[0].raw"),
        ({"raw": "a"}, "message.parts[0].raw"),
        ({"url": "file:///etc/passwd"}, "message.parts[0].url"),
        ({"url": "javascript:alert(1)"}, "message.parts[0].url"),
        ({"url": "https://x/\r\nX-Evil: 1"}, "message.parts[0].url"),
        ({"url": "/relative"}, "message.parts[0].url"),
        ({"url": "https://" + "a" * 5000}, "message.parts[0].url"),
    ],
)
def test_a_part_that_makes_no_sense_is_named(part: dict[str, Any], field: str) -> None:
    with pytest.raises(A2AError) as caught:
        incoming(read(MessageIn, {"messageId": "m", "parts": [part]}))
    assert caught.value.reason == "INVALID_PARAMS"
    assert caught.value.violations[0][0] == field


@pytest.mark.parametrize(
    ("kind", "told", "field"),
    [
        (SendIn, {"message": []}, "message"),
        (SendIn, {"message": {"parts": "x"}}, "message.parts"),
        (SendIn, {"message": {"parts": [3]}}, "message.parts[0]"),
        (SendIn, {"message": {"messageId": {}}}, "message.messageId"),
        (SendIn, {"configuration": {"historyLength": "x"}}, "configuration.historyLength"),
        (TaskIn, {"id": 7}, "id"),
        (ListIn, {"pageSize": [1]}, "pageSize"),
        (ListIn, {"includeArtifacts": "perhaps"}, "includeArtifacts"),
        (PushIn, {"authentication": {"scheme": []}}, "authentication.scheme"),
        (TaskIn, [], ""),
        (TaskIn, None, ""),
    ],
)
def test_a_field_of_a_wrong_type_is_named(kind: Any, told: Any, field: str) -> None:
    with pytest.raises(A2AError) as caught:
        read(kind, told)
    assert caught.value.reason == "INVALID_PARAMS"
    assert caught.value.violations[0][0] == field if field else True


@pytest.mark.parametrize("wrong", ["yesterday", "2026-13-01T00:00:00Z", "12", "2026-01-01T00:00:00+99:00"])
def test_a_time_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(A2AError):
        whole(wrong, "statusTimestampAfter")


# -- what is told

pieces = st.one_of(
    st.builds(lambda text: Piece(kind="text", value=text), words),
    st.builds(
        lambda raw: Piece(kind="raw", value=base64.b64encode(raw).decode(), filename="a.b"), st.binary(max_size=9)
    ),
    st.builds(lambda rest: Piece(kind="url", value=f"https://x/{rest}", media_type="text/plain"), ids),
    st.builds(lambda data: Piece(kind="data", value=msgspec.json.encode(data).decode(), metadata='{"a": 1}'), values),
)
said = st.builds(
    Said,
    id=ids,
    role=st.sampled_from(["user", "agent"]),
    at=st.floats(0, 4e9),
    parts=st.lists(pieces, min_size=1, max_size=3),
    metadata=st.sampled_from(["", '{"a":[1,null]}']),
    extensions=st.lists(ids, max_size=2).map(tuple),
    references=st.lists(ids, max_size=2).map(tuple),
    choices=st.lists(words, max_size=3).map(tuple),
    command=words,
)
views = st.builds(
    TaskView,
    id=ids,
    context=ids,
    box=st.just("w/bob"),
    agent=ids,
    requester=ids,
    state=st.sampled_from(sorted(model.STATES)),
    at=st.floats(0, 4e9),
    status_at=st.floats(0, 4e9),
    position=st.integers(1, 2**60),
    status=st.none() | said,
    history=st.lists(said, max_size=4),
    answer=st.lists(pieces, max_size=3),
    direct=st.booleans(),
)


@given(views, st.none() | st.integers(0, 6), st.booleans())
def test_a_task_fits_the_schema_with_as_much_as_is_wanted(view: TaskView, history: int | None, artifacts: bool) -> None:
    told = model.task(view, history=history, artifacts=artifacts)
    schema.fits(pb.Task, told)
    wanted = len(view.history) if history is None else min(history, len(view.history))
    assert [one["messageId"] for one in told.get("history", [])] == [one.id for one in view.history[-wanted:] if wanted]
    assert ("artifacts" in told) is (artifacts and bool(view.answer))
    schema.fits(pb.SendMessageResponse, {"task": told})
    if view.answer:
        schema.fits(pb.SendMessageResponse, model.sent(view))


@given(views)
def test_a_task_told_in_0_3_is_the_same_task(view: TaskView) -> None:
    told = model.task(view)
    before = v03.task(told)
    schema.fits_old(old.Task, before)
    core = conversions.to_core_task(old.Task.model_validate(before))
    assert (core.id, core.context_id) == (view.id, view.context)
    assert pb.TaskState.Name(core.status.state) == model.STATES[view.state]
    assert [one.message_id for one in core.history] == [one.id for one in view.history]
    expected = ParseDict(told, pb.Task())
    for ours, theirs in zip(expected.artifacts, core.artifacts, strict=True):
        assert [_bare(part) for part in ours.parts] == [_bare(part) for part in theirs.parts]


def _bare(part: Any) -> Any:
    """A part's content as both versions have it: text and raw as they are, data as objects, URLs."""
    kind = part.WhichOneof("content")
    if kind == "data":
        found = MessageToDict(part.data)
        return found if isinstance(found, dict) else {"value": found}
    return getattr(part, kind)


@given(words | st.text(st.sampled_from("`~ab.py\n /"), max_size=60))
def test_whatever_stands_in_an_answer_its_text_is_told_first_and_as_it_is(text: str) -> None:
    artifact = model.artifact([Piece(kind="text", value=text)])
    schema.fits(pb.Artifact, artifact)
    assert artifact["parts"][0] == {"text": text}
    assert len(artifact["parts"]) <= 2


def test_code_and_files_in_an_answer_come_as_data_too() -> None:
    text = "See `src/main.py:12` and `notes.md`, not `this one`:\n```python\nprint(`x.py`)\n```\nand\n~~~\nplain\n~~~\n"
    (_, found) = model.artifact([Piece(kind="text", value=text)])["parts"]
    assert found["data"] == {
        "codeBlocks": [{"language": "python", "code": "print(`x.py`)\n"}, {"language": "", "code": "plain\n"}],
        "files": ["src/main.py", "notes.md"],
    }


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("````md\n```\nin\n```\n````\n", [("md", "```\nin\n```\n")]),
        ("```a\none\n`````  \n", [("a", "one\n")]),
        ("```a `b`\nno fence\n", []),
        ("~~~a `b`\na fence\n~~~", [("a", "a fence\n")]),
        ("```py title=x\nto the end\n", [("py", "to the end\n")]),
        ("```\n```\n", [("", "")]),
        ("text ```a\nno fence\n```", []),
        ("```\n```", [("", "")]),
    ],
)
def test_a_fenced_block_ends_with_a_fence_of_its_kind(text: str, blocks: list[tuple[str, str]]) -> None:
    found = naming.named_in(text).get("codeBlocks", [])
    assert [(each["language"], each["code"]) for each in found] == blocks


@pytest.mark.parametrize(
    "text",
    [
        "```\u6f22" + "-" * 300_000,
        "~" * 300_000,
        *(each * 50_000 for each in ("```a\n", "````\n```\n", "`a/", "`a.", "a.")),
    ],
)
def test_no_answer_holds_the_hub_up(text: str) -> None:
    began = time.thread_time()
    assert model.artifact([Piece(kind="text", value=text)])["parts"][0] == {"text": text}
    assert time.thread_time() - began < 0.5  # what grows with the square of the length takes minutes


@pytest.mark.parametrize("reason", sorted(TABLE))
def test_errors_have_one_form_in_each_binding(reason: str) -> None:
    error = A2AError(reason, "It is so.", (("a.b", "wrong"),), code="our_code")
    schema.answers("GetTask", {"jsonrpc": "2.0", "id": 1, "error": error.jsonrpc()})
    schema.refuses(error.rest(), error.status)
    assert error.jsonrpc()["data"] == error.rest()["error"]["details"]
    [info, *_] = A2AError(reason, "It is so.").details()
    assert info == {"@type": ANY, "reason": reason, "domain": "a2a-protocol.org", "metadata": {"code": reason.lower()}}
    assert invalid("a", "b").details()[0]["metadata"] == {"code": "invalid_params"}


@pytest.mark.parametrize("at", [1_795_276_570.8279998, 1_795_276_570.123, 1_795_276_570.9999998, 1_795_276_570.0])
def test_a_time_that_is_told_is_not_later_than_what_it_tells_of(at: float) -> None:
    assert at - 0.0011 < whole(model.timestamp(at), "time") <= at
