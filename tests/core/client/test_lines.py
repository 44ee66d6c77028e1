"""JSON for quick commands: the same as everybody's."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse.client.lines import dumps, loads

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_what_is_written_is_read_again_by_everybody(value: Any) -> None:
    line = dumps(value)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert loads(line) == json.loads(line) == value


@given(values)
def test_what_others_have_written_is_read(value: Any) -> None:
    assert loads(json.dumps(value).encode()) == value
    assert loads(json.dumps(value, ensure_ascii=False, indent=1).encode()) == value


def test_a_byte_that_was_no_text_does_not_make_the_line_unreadable() -> None:
    assert msgspec.json.decode(dumps({"text": b"a\xffb".decode("utf-8", "surrogateescape")})) == {"text": "a?b"}


@pytest.mark.parametrize("line", [b"", b" ", b"{", b"nonsense", b'{"a"', b"\xff"])
def test_what_is_no_json_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - UnicodeDecodeError is one too
        loads(line)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_json_does_not_have_is_not_written(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps({"number": number})


def test_what_json_does_not_have_is_a_bug_of_ours() -> None:
    with pytest.raises(TypeError, match="cannot be written"):
        dumps({"when": object()})
