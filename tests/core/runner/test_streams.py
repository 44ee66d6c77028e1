"""A program's file of events, followed as it grows."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from synapse.runner import streams
from synapse.runner.parts import Stream


async def test_events_come_in_order_and_a_program_that_sleeps_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "AWAKE", 0.05)
    monkeypatch.setattr(streams, "LOOK_AGAIN", 0.01)
    file, told, came = tmp_path / "events.jsonl", [], asyncio.Event()

    def on_event(source: str, event: str, fields: Mapping[str, Any]) -> None:
        told.append((source, event))
        came.set()

    looks = 0
    more = streams._more

    def counted(path: str, place: int) -> tuple[int, bytes]:
        nonlocal looks
        looks += 1
        return more(path, place)

    monkeypatch.setattr(streams, "_more", counted)
    follower = streams.Follower("events", Stream(file=str(file), event="type"), {}, on_event)
    file.write_text(json.dumps({"type": "a"}) + "\nnot json\n" + json.dumps({"type": "b"}) + "\n")
    await asyncio.wait_for(came.wait(), 5)
    assert told == [("events", "a"), ("events", "b")]
    await asyncio.sleep(0.2)
    before = looks
    await asyncio.sleep(0.1)
    assert looks == before
    came.clear()
    with file.open("a") as opened:
        opened.write(json.dumps({"type": "c"}) + "\n")
    follower.wake()
    await asyncio.wait_for(came.wait(), 5)
    assert told[-1] == ("events", "c")
    follower.close()
