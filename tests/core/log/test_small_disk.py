"""A real disk that is full, and one that cannot be written: needs root and the right to mount."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from synapse.errors import Refused, Unavailable
from synapse.log.base import AppendFailed
from synapse.log.sqlite import SqliteLog
from tests.core.log.making import append, event, positions, record


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """One megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"not run: a small disk cannot be mounted here ({mounted.stderr.strip()})")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(log: SqliteLog, acknowledged: list[int]) -> None:
    for position in range(2, 1000):
        append(log, record(position, event(body=b'"%s"' % (b"x" * 5000))))
        acknowledged.append(position)


def test_a_full_disk_keeps_what_is_there_and_takes_more_when_there_is_room(disk: Path) -> None:
    ballast = disk / "ballast"
    with closing(SqliteLog.open(disk / "log.db")) as log:
        append(log, record(1))
        ballast.write_bytes(b"x" * 300_000)
        acknowledged: list[int] = []
        with pytest.raises(AppendFailed) as failed:
            fill(log, acknowledged)
        assert failed.value.code == "disk_full"
        assert 2 < len(acknowledged) < 500
        head = log.recover()
        assert head >= acknowledged[-1]
        assert positions(log) == list(range(1, head + 1))

        refused = 0
        while True:  # the hub does this once a second
            try:
                append(log, record(log.head() + 1, event(body=b'"%s"' % (b"x" * 5000))))
                if refused:
                    break
            except AppendFailed:
                refused += 1
                log.recover()
                ballast.unlink(missing_ok=True)
        log.probe()
        head = log.head()
    with closing(SqliteLog.open(disk / "log.db")) as log:
        assert positions(log) == list(range(1, head + 1))


def test_a_log_cannot_be_made_on_a_full_disk_and_the_sentence_says_why(disk: Path) -> None:
    (disk / "ballast").write_bytes(b"x" * ((1 << 20) - 4096))
    with pytest.raises(Unavailable, match="full") as refused:
        SqliteLog.open(disk / "log.db")
    assert refused.value.code == "disk_full"


def test_a_disk_that_cannot_be_written_is_refused_and_can_be_read(disk: Path) -> None:
    with closing(SqliteLog.open(disk / "log.db")) as log:
        append(log, record(1))
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(Refused) as refused:
        SqliteLog.open(disk / "log.db")
    assert refused.value.code == "read_only"
    with closing(SqliteLog.open(disk / "log.db", read_only=True)) as log:
        assert positions(log) == [1]
