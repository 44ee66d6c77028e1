"""A log tried against every power cut, on the VFS of `powercut`."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from synapse.errors import SynapseError
from synapse.log.base import Log
from synapse.log.memory import MemoryLog
from synapse.log.powercut import Choice, PowerCut
from synapse.log.sqlite import SqliteLog

_names = count()
State = tuple[Any, ...]
Step = Callable[[Log], object]


def trial(
    folder: Path, steps: Sequence[Step], choices: Sequence[Choice], blobs: Sequence[bytes] = ()
) -> tuple[int, list[str]]:
    """Run the steps on a log in `folder` and cut the power at every sync and after every step, in every way.

    After each cut the log must be what it was after the last acknowledged step, or after the one in progress, whole.
    `blobs` are contents that the steps may put. Gives how many cuts were tried, and a line for every one after which
    the log is something else.
    """
    live, dead = folder / "live", folder / "dead"
    live.mkdir()
    disk = PowerCut(f"power-cut-{next(_names)}")
    model = MemoryLog()
    images: list[tuple[str, dict[str, bytes]]] = []
    cuts = 0
    lost: list[str] = []
    sums = [sha256(blob).hexdigest() for blob in blobs]

    def cut(when: str) -> None:
        images.extend((f"{when}, way {number}", disk.survivors(choice)) for number, choice in enumerate(choices))

    def judge(*allowed: State) -> None:
        nonlocal cuts
        cuts += len(images)
        for when, image in images:
            found = _reopened(dead, image, sums)
            if found not in allowed:
                lost.append(f"{when}: found {found[:2]}, expected {' or '.join(str(state[:2]) for state in allowed)}")
        images.clear()

    disk.watch = lambda: cut(f"sync {disk.syncs}")
    log = SqliteLog.open(live / "log.db", vfs=disk.name)
    try:
        judge(state(model, sums))
        for number, step in enumerate(steps):
            before = state(model, sums)
            step(log)
            step(model)
            judge(before, state(model, sums))
            cut(f"step {number} acknowledged")
            judge(state(model, sums))
    finally:
        log.close()
    cut("closed")
    judge(state(model, sums))
    disk.unregister()
    return cuts, lost


def state(log: Log, sums: Sequence[str] = ()) -> State:
    """All that a log holds; of blobs those that it is asked for."""
    records = tuple(log.read(0))
    return (log.head(), len(records), records, log.snapshots(), log.keys(0, 10**6), [log.blob(sum) for sum in sums])


def _reopened(folder: Path, files: dict[str, bytes], sums: Sequence[str]) -> State:
    """What a plain log finds in these files."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        log = SqliteLog.open(folder / "log.db")
    except SynapseError as error:
        return (error.code, error.sentence)
    try:
        return state(log, sums)
    finally:
        log.close()
