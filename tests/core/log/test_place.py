"""Where a log may lie."""

import sys
from pathlib import Path

import pytest

from synapse.errors import NotFound, Refused
from synapse.log import place
from synapse.log.sqlite import SqliteLog

MOUNTS = """\
21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 21 0:40 / /home/me/far rw,relatime shared:1 - nfs4 server:/export rw
31 21 0:41 / /mnt/c rw,noatime - 9p drvfs rw,aname=drvfs
32 21 0:42 / /mnt/with\\040space rw - cifs //server/share rw
33 30 0:43 / /home/me/far/near rw - tmpfs tmpfs rw
34 21 0:44 / /mnt/twice rw - nfs4 server:/export rw
35 21 0:45 / /mnt/twice rw - xfs /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/log.db", "ext4"),
        ("/home/me/far/log.db", "nfs4"),
        ("/home/me/farther/log.db", "ext4"),
        ("/home/me/far/near/log.db", "tmpfs"),
        ("/mnt/c/Users/log.db", "9p"),
        ("/mnt/with space/log.db", "cifs"),
        ("/mnt/twice/log.db", "xfs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert place.filesystem(Path(path), MOUNTS) == kind


def test_nothing_is_known_where_there_is_no_list_of_mounts() -> None:
    assert place.filesystem(Path("/home/me/log.db"), "") == ""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "drvfs", "fuse.sshfs"])
def test_a_network_file_system_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mounts").write_text(f"21 1 0:1 / {tmp_path} rw - {kind} far rw\n")
    monkeypatch.setattr(place, "_MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(Refused, match=kind) as refused:
        SqliteLog.open(tmp_path / "log.db")
    assert refused.value.code == "network_filesystem"
    assert not (tmp_path / "log.db").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there") as missing:
        SqliteLog.open(tmp_path / "there" / "log.db")
    assert missing.value.code == "no_folder"


def test_a_log_that_is_not_there_is_not_made_for_a_reader(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as missing:
        SqliteLog.open(tmp_path / "log.db", read_only=True)
    assert missing.value.code == "no_log"
    assert list(tmp_path.iterdir()) == []
