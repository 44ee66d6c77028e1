"""Frames: whatever way the bytes are cut, the same comes out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse.runner import frames
from synapse.runner.frames import Frames, Hello


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=50)), max_size=8), st.integers(1, 20))
def test_frames_survive_any_cut(sent: list[tuple[int, bytes]], size: int) -> None:
    stream = b"".join(frames.frame(kind, payload) for kind, payload in sent)
    reader = Frames()
    got: list[tuple[int, bytes]] = []
    for start in range(0, len(stream), size):
        got += reader.feed(stream[start : start + size])
    assert got == sent


@given(
    st.builds(
        Hello,
        st.integers(0, 65535),
        st.integers(0, 65535),
        st.booleans(),
        st.booleans(),
        st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"])),
        st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"])),
        st.integers(0, 65535),
    )
)
def test_a_hello_comes_back_as_it_was(hello: Hello) -> None:
    ((kind, payload),) = Frames().feed(hello.encode())
    assert kind == frames.HELLO
    assert Hello.decode(payload) == hello


def test_an_absurd_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a frame of"):
        list(Frames().feed(b"HTTP/1.1 200 OK\r\n"))


@given(st.integers(-64, 255), st.text(st.characters(exclude_categories=["Cs"])))
def test_an_end_comes_back_as_it_was(status: int, reason: str) -> None:
    assert frames.decode_end(frames.encode_end(status, reason)) == (status, reason)
