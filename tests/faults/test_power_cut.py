"""Power cuts, at length: random work, every sync, many ways in which a disk may keep or lose what was not synced."""

import random
from pathlib import Path

import pytest

from synapse.log import schema
from synapse.log.base import Entry, Log, Snapshot
from synapse.log.powercut import everything, nothing, prefix, scattered
from synapse.log.trial import Step, trial
from tests.core.log.making import append, event, record

pytestmark = pytest.mark.faults

BLOBS = [b"%d" % number * 20_000 for number in range(4)]


def random_step(draw: random.Random) -> Step:
    """One thing that a hub does; the same on the log and on its model."""
    size, count, seed = draw.choice([10, 300, 300, 3000, 40_000]), draw.choice([1, 1, 2, 16]), draw.random()

    def appending(log: Log) -> None:
        head = log.head()
        body = b'"%s"' % (b"x" * size)
        append(
            log,
            *(
                record(at, *[event(story=f"t-{at % 11}", body=body)] * (1 + at % 3), key=f"k{at}")
                for at in range(head + 1, head + 1 + count)
            ),
        )

    def snapshot(log: Log) -> None:
        log.append([Entry(snapshots=(Snapshot(f"p{count}", 1, log.head(), b"s" * size),))])

    steps: list[Step] = [
        lambda log: log.redact(int(seed * log.head())),
        lambda log: log.forget([f"t-{int(seed * 11)}"]),
        lambda log: log.put_blob(BLOBS[int(seed * 4)]),
        lambda log: log.recover(),
        lambda log: log.probe(),
        snapshot,
    ]
    return appending if draw.random() < 0.7 else draw.choice(steps)


@pytest.mark.parametrize("seed", range(6))
def test_no_power_cut_loses_or_halves_what_was_acknowledged(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)
    monkeypatch.setattr(schema, "WRITING", {**schema.WRITING, "wal_autocheckpoint": draw.choice([5, 20, 100, 1000])})
    ways = [
        nothing,
        everything,
        *(prefix(seed * 100 + n) for n in range(4)),
        *(scattered(seed * 100 + n) for n in range(6)),
    ]
    cuts, lost = trial(tmp_path, [random_step(draw) for _ in range(60)], ways, blobs=BLOBS)
    print(f"seed {seed}: {cuts} power cuts")
    assert lost == []
    assert cuts > 1000
