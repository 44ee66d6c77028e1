"""Kinds live for ever: every log that a released version has written replays.

A file in `tests/logs/` is what a version wrote: a first line with the state that it meant, then one record a line.
"""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from synapse.clock import ManualClock
from synapse.event import Kinds
from synapse.hub.agents import Agents
from synapse.hub.core import Core
from synapse.hub.facts import CORE
from synapse.hub.mailbox import Mailbox
from synapse.hub.tasks import Tasks
from synapse.log.base import Entry, Record, StoredEvent
from synapse.log.memory import MemoryLog

LOGS = sorted((Path(__file__).parents[1] / "logs").glob("*.jsonl"))


class Processes:
    """Every process of the old machine is still there: nobody is lost."""

    def alive(self, pid: int, start: str) -> bool:
        return True

    def end(self, pid: int, start: str) -> None:
        raise AssertionError("nothing is to be ended")


def read(path: Path) -> tuple[dict[str, Any], MemoryLog]:
    lines = path.read_text().splitlines()
    log = MemoryLog()
    for line in lines[1:]:
        told = json.loads(line)
        events = tuple(
            StoredEvent(kind, by, place, story, json.dumps(body).encode())
            for kind, by, place, story, body in told["events"]
        )
        record = Record(
            b64decode(told["id"]),
            told["position"],
            told["position"] - 1,
            told["epoch"],
            told["at"],
            told["sender"],
            told["key"],
            b64decode(told["hash"]),
            b64decode(told["reply"]),
            events,
        )
        log.append([Entry(record=record)])
    return json.loads(lines[0]), log


def summary(core: Core) -> dict[str, Any]:
    """The state in a few words that every version can say."""
    state = core.hub.state
    agents, tasks, mailbox = state.get(Agents), state.get(Tasks), state.get(Mailbox)
    return {
        "agents": sorted([a.workspace, a.name, a.type, a.id, a.port] for a in agents),
        "live": sorted([t.id, t.state, t.mode] for t in tasks.live.values()),
        "finished": sorted([id, done.state] for id, done in tasks.finished.items()),
        "mail": sorted([m.id, m.box, m.state, m.priority] for m in mailbox),
    }


def test_there_is_an_old_log() -> None:
    assert LOGS


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
async def test_an_old_log_replays_to_the_state_that_it_meant(path: Path) -> None:
    meant, log = read(path)
    core = Core(log, ManualClock(meant.pop("at")), Processes())
    await core.recovery.load()
    try:
        assert core.hub.state.broken == {}
        assert summary(core) == meant
    finally:
        core.hub.resume()
        await core.close()


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_every_body_of_an_old_log_is_still_read(path: Path) -> None:
    _, log = read(path)
    kinds = Kinds(*CORE)
    for record in log.read(0):
        for event in record.events:
            assert kinds.decode(event.kind, event.body).kind == event.kind
