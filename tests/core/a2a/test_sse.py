"""Server-sent events, however they are cut on their way."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse.a2a.sse import events
from synapse.errors import Refused

STREAM = (
    b": hi\n\ndata: one\n\nevent: x\r\nid: 7\r\ndata: two\r\ndata:  three\r\n\r\n"
    b"data:four\r\rdatas: no\n\ndata\n\ndata: cut"
)
SAID = [b"one", b"two\n three", b"four", b""]


class Response:
    """An answer whose body comes in given pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.content = self

    async def iter_any(self) -> Any:
        for piece in self._pieces:
            yield piece


async def read(*pieces: bytes, largest: int = 1000) -> list[bytes]:
    response: Any = Response(*pieces)
    return [data async for data in events(response, largest)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
async def test_events_are_the_same_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(places)]
    assert await read(*filter(None, pieces)) == SAID


async def test_an_event_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(Refused) as refused:
        await read(*[b"data: " + b"x" * 100 + b"\n"] * 20)
    assert refused.value.code == "answer_too_large"
    with pytest.raises(Refused):
        await read(*[b"x" * 100] * 20)
