"""What an agent elsewhere tells, understood in both versions, and kept within bounds."""

import time
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import json

from synapse.a2a import heard as module
from synapse.a2a.client import old_message
from synapse.a2a.heard import Heard, state_of, word
from synapse.errors import Refused

NEW = ("TASK_STATE_WORKING", "TASK_STATE_INPUT_REQUIRED", "TASK_STATE_AUTH_REQUIRED", "TASK_STATE_COMPLETED")
OLD = ("working", "input-required", "auth-required", "completed")


def status(state: str, *parts: Any, task: str = "r", old: bool = False) -> dict[str, Any]:
    told: dict[str, Any] = {"state": state}
    if parts:
        told["message"] = {"messageId": "m", "role": "agent" if old else "ROLE_AGENT", "parts": list(parts)}
    found = {"taskId": task, "contextId": "c", "status": told}
    return found | {"kind": "status-update", "final": False} if old else {"statusUpdate": found}


def artifact(*parts: Any, id: str = "a", append: bool = False) -> dict[str, Any]:
    return {
        "artifactUpdate": {
            "taskId": "r", "contextId": "c", "append": append, "artifact": {"artifactId": id, "parts": list(parts)},
        }
    }  # fmt: skip


@pytest.mark.parametrize("old", [False, True])
def test_states_are_the_same_in_both_versions(old: bool) -> None:
    names = OLD if old else NEW
    for name, state in zip(names, OLD, strict=True):
        heard = Heard()
        assert heard.take(status(name, {"text": "so"}, old=old))
        assert (heard.task, heard.context, heard.state, heard.question) == ("r", "c", state, "so")
        assert heard.ended == (state == "completed")
        assert heard.interrupted == (state in ("input-required", "auth-required"))


def test_pieces_of_one_text_come_together() -> None:
    heard = Heard()
    assert heard.take({"task": {"id": "r", "contextId": "c", "status": {"state": "TASK_STATE_SUBMITTED"}}})
    heard.take(artifact({"text": "one "}))
    heard.take(artifact({"text": "two"}, append=True))
    assert (heard.text, heard.fresh) == ("one two", "two")
    heard.take(artifact({"text": "other"}, id="b"))
    assert heard.text == "one two\n\nother"
    heard.take(artifact({"text": "anew"}))
    assert heard.text == "anew\n\nother"
    heard.take(status("TASK_STATE_COMPLETED", {"text": "a note"}))
    assert (heard.text, heard.note) == ("anew\n\nother", "a note")


def test_what_was_said_at_the_end_is_the_answer_where_there_is_no_artifact() -> None:
    heard = Heard()
    heard.take(status("TASK_STATE_COMPLETED", {"text": "that is all"}))
    assert (heard.text, heard.note) == ("that is all", "")
    heard = Heard()
    told = {"role": "ROLE_AGENT", "parts": [{"text": "earlier"}]}
    heard.take(
        {"task": {"id": "r", "status": {"state": "TASK_STATE_COMPLETED"}, "history": [told, {"role": "ROLE_USER"}]}}
    )
    assert heard.text == "earlier"


def test_a_message_is_an_answer_too() -> None:
    for told in (
        {"message": {"messageId": "m", "contextId": "c", "parts": [{"text": "hi"}]}},
        {"kind": "message", "messageId": "m", "contextId": "c", "parts": [{"kind": "text", "text": "hi"}]},
    ):
        heard = Heard()
        assert heard.take(told)
        assert (heard.ended, heard.direct, heard.text, heard.context) == (True, True, "hi", "c")


def test_files_of_both_versions_are_parts() -> None:
    content = b64encode(b"\x00\xff").decode()
    old = {"kind": "file", "file": {"bytes": content, "mimeType": "image/png", "name": "x.png"}}
    link = {"kind": "file", "file": {"uri": "https://example.com/x"}}
    for parts in (
        [{"raw": content, "mediaType": "image/png", "filename": "x.png"}, {"url": "https://example.com/x"}],
        [old, link],
    ):
        heard = Heard()
        heard.take(artifact({"text": "see"}, *parts, {"data": {"a": 1}}))
        assert [(one.kind, one.content, one.filename) for one in heard.others] == [
            ("raw", b"\x00\xff", "x.png"), ("url", "https://example.com/x", ""), ("data", '{"a":1}', ""),
        ]  # fmt: skip


def test_what_is_about_another_task_is_passed_over() -> None:
    heard = Heard("mine")
    assert not heard.take(status("TASK_STATE_COMPLETED", task="another"))
    assert not heard.take({"task": {"id": "another", "status": {"state": "TASK_STATE_COMPLETED"}}})
    assert heard.state == ""


def test_choices_are_found_in_whatever_form() -> None:
    for data, choices in (
        ({"choices": ["a", "b"]}, ("a", "b")),
        ({"choices": [{"number": 1, "text": "a"}, {"label": "b\n"}, {"no": "name"}, None]}, ("a", "b")),
        ({"options": [1, 2.5]}, ("1", "2.5")),
        ({"choices": "a"}, ()),
        (["a"], ()),
        (None, ()),
    ):
        heard = Heard()
        heard.take(status("TASK_STATE_INPUT_REQUIRED", {"text": "?"}, {"data": data}))
        assert heard.choices == choices


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TEXT", 10)
    heard = Heard()
    heard.take(artifact({"text": "123456"}))
    with pytest.raises(Refused) as refused:
        heard.take(artifact({"text": "123456"}, append=True))
    assert refused.value.code == "answer_too_large"


def test_names_are_one_line_of_what_is_printed() -> None:
    assert word("a\x1b[31m\u202eb\r\nc\x00") == "a [31m b c"
    assert word(7) == ""
    assert state_of("TASK_STATE_UNSPECIFIED") == state_of(None) == state_of("unknown") == ""


def test_a_message_of_1_0_is_written_as_0_3_has_it() -> None:
    told = old_message({
        "messageId": "m", "role": "ROLE_USER", "contextId": "c",
        "parts": [{"text": "t"}, {"raw": "AA==", "filename": "f"}, {"url": "u", "mediaType": "m/t"}, {"data": [1]}],
    })  # fmt: skip
    assert told == {
        "kind": "message", "messageId": "m", "role": "user", "contextId": "c",
        "parts": [
            {"kind": "text", "text": "t"},
            {"kind": "file", "file": {"bytes": "AA==", "name": "f"}},
            {"kind": "file", "file": {"uri": "u", "mimeType": "m/t"}},
            {"kind": "data", "data": {"value": [1]}},
        ],
    }  # fmt: skip


WORDS = ("task", "message", "statusUpdate", "artifactUpdate", "kind", "id", "taskId", "contextId", "status", "state", "parts",
         "artifact", "artifacts", "artifactId", "append", "text", "raw", "url", "data", "file", "bytes", "uri", "history",
         "role", "choices")  # fmt: skip
VALUES = st.sampled_from([*NEW, *OLD, "task", "status-update", "artifact-update", "message", "r", "", "AAE"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | VALUES | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=25,
)


@given(st.lists(JSON, max_size=6))
def test_whatever_is_told_is_taken_or_passed_over(told: list[Any]) -> None:
    heard = Heard()
    ended = False
    for one in told:
        taken = heard.take(one)
        assert not (ended and taken and not heard.state)
        ended = ended or heard.ended
        assert isinstance(heard.text, str)
        assert isinstance(heard.question + heard.note, str)
        assert all(isinstance(choice, str) and choice for choice in heard.choices)
        assert all(piece.kind != "text" for piece in heard.others)


@pytest.mark.parametrize("levels", [1, module.DEEPEST, module.DEEPEST + 1, 49, 5000])
@pytest.mark.parametrize("sort", ["lists", "objects"])
def test_data_that_nests_too_deep_to_be_told_on_comes_as_a_file(levels: int, sort: str) -> None:
    data: Any = []
    for _ in range(levels - 1):
        data = [data] if sort == "lists" else {"a": data}
    heard = Heard()
    assert heard.take(artifact({"data": data}, {"text": "so"}))
    heard.take(status("TASK_STATE_COMPLETED"))
    assert heard.text == "so"
    others = [(one.kind, one.filename) for one in heard.others]
    if levels <= module.DEEPEST:
        assert others == [("data", "")]
    elif others:  # what is deeper than anybody reads is as if it were not there
        assert others == [("raw", "data.json")]
        assert json.decode(heard.others[0].content) == data


def test_a_question_with_data_that_nests_deep_is_still_asked() -> None:
    data: Any = {"choices": ["a", "b"]}
    for _ in range(60):
        data = {"more": data}
    heard = Heard()
    assert heard.take(status("TASK_STATE_INPUT_REQUIRED", {"text": "which?"}, {"data": data}))
    assert (heard.question, heard.choices) == ("which?", ())


_ARTIFACTS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.booleans(),
        st.lists(st.sampled_from(["text", "raw", "data"]), max_size=3),
        st.integers(0, 9),
    ),
    max_size=20,
)


@given(_ARTIFACTS)
@example([("a", False, ["text"], 3), ("b", False, ["text"], 0), ("b", True, ["text"], 3)])
def test_what_is_counted_and_told_as_new_is_what_is_there(updates: list[tuple[str, bool, list[str], int]]) -> None:
    heard, text = Heard(), ""
    heard.take({"task": {"id": "r", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}})
    for id, append, kinds, size in updates:
        contents = {"text": "x" * size, "raw": b64encode(bytes(size)).decode(), "data": [size]}
        heard.take(artifact(*({kind: contents[kind]} for kind in kinds), id=id, append=append))
        if heard.grew:
            assert heard.text == text + heard.fresh
        text = heard.text
    told = [piece for parts in heard.artifacts.values() for piece in parts]
    assert heard._texts == sum(len(piece.content) for piece in told if piece.kind != "raw")
    assert heard._files == sum(len(piece.content) for piece in told if piece.kind == "raw")


def test_an_answer_in_very_many_pieces_takes_no_longer_for_each() -> None:
    def seconds(count: int) -> float:
        heard, began = Heard(), time.process_time()
        heard.take(artifact({"text": "begin"}))
        for _ in range(count):
            heard.take(artifact({"text": "word "}, append=True))
        assert len(heard.text) == 5 + 5 * count
        return time.process_time() - began

    seconds(1000)
    assert seconds(20_000) < 8 * max(seconds(5000), 0.02)
