"""Power cuts, quickly: the long run is in tests/faults."""

from pathlib import Path

import pytest

from synapse.log import schema
from synapse.log.base import Entry, Log, Snapshot
from synapse.log.powercut import everything, nothing, prefix, scattered
from synapse.log.trial import Step, trial
from tests.core.log.making import append, event, record

BLOB = b"content" * 5000


def appending(first: int, last: int, size: int = 100) -> Step:
    """One batch."""

    def step(log: Log) -> None:
        body = b'"%s"' % (b"x" * size)
        append(log, *(record(at, event(story=f"t-{at % 5}", body=body), key=f"k{at}") for at in range(first, last + 1)))

    return step


def snapshot(log: Log) -> None:
    log.append([Entry(snapshots=(Snapshot("tasks", 1, log.head(), b"s" * 6000),))])


STEPS: list[Step] = [
    appending(1, 1),
    appending(2, 6),
    appending(7, 12, 5000),
    snapshot,
    lambda log: log.put_blob(BLOB),
    appending(13, 13),
    lambda log: log.redact(3),
    appending(14, 30, 3000),
    lambda log: log.forget(["t-2"]),
    lambda log: log.recover(),
    appending(31, 31),
    lambda log: log.probe(),
    appending(32, 60, 2000),
    appending(61, 61),
]
WAYS = [nothing, everything, prefix(1), prefix(2), scattered(1), scattered(2)]


@pytest.fixture(autouse=True)
def checkpoints_come_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "WRITING", {**schema.WRITING, "wal_autocheckpoint": 20})


def test_after_a_power_cut_at_any_sync_every_acknowledged_record_is_there_once_and_whole(tmp_path: Path) -> None:
    cuts, lost = trial(tmp_path, STEPS, WAYS, blobs=[BLOB])
    assert lost == []
    assert cuts > 300


@pytest.mark.parametrize("synchronous", [0, 1])
def test_the_trial_notices_a_log_that_does_not_sync(
    synchronous: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "WRITING", {**schema.WRITING, "synchronous": synchronous})
    _, lost = trial(tmp_path, STEPS, WAYS, blobs=[BLOB])
    assert any("acknowledged, way 0" in loss for loss in lost)
