"""A program's file of events, followed as it grows."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
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


async def test_what_happened_before_the_agent_was_there_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LOOK_AGAIN", 0.01)
    told: list[str] = []
    values: dict[str, str] = {}
    follower = streams.Follower(
        "record", Stream(file="{record}", time="at"), values, lambda source, event, fields: told.append(event)
    )

    def line(kind: str, at: str) -> str:
        return json.dumps({"type": kind, "at": at}) + "\n"

    async def come(*wanted: str) -> None:
        for _ in range(300):
            if told == [*wanted]:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(told)

    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    old = line("old", "2001-02-03T04:05:06.789Z")
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(old + line("a", now) + line("b", "no time"))
    values["record"] = str(first)
    await come("a", "b")
    second.write_text(old * 10_000 + line("c", now))
    values["record"] = str(second)
    await come("a", "b", "c")
    with second.open("a") as file:
        file.write(line("d", now))
    follower.wake()
    await come("a", "b", "c", "d")
    follower.close()
