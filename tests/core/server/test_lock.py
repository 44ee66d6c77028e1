"""One hub per data folder, and what the lock tells."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

from synapse.client.starting import holder
from synapse.errors import Refused
from synapse.server.lock import FolderLock, Held


def test_a_second_one_is_told_who_has_the_folder(folder: Path) -> None:
    lock = FolderLock(str(folder))
    lock.tell(pid=4711, port=8876, socket="/x/hub.sock", version="1")
    with pytest.raises(Held, match="on port 8876 \\(process 4711\\)") as held:
        FolderLock(str(folder), pause=lambda seconds: None)
    assert held.value.details["socket"] == "/x/hub.sock"
    assert holder(str(folder)) == {"pid": 4711, "port": 8876, "socket": "/x/hub.sock", "version": "1"}
    lock.release()
    assert holder(str(folder)) is None
    FolderLock(str(folder)).release()


def test_a_holder_that_has_not_said_anything_yet_holds_it_all_the_same(folder: Path) -> None:
    lock = FolderLock(str(folder))
    assert holder(str(folder)) == {}
    with pytest.raises(Held, match=r"A hub has .* already"):
        FolderLock(str(folder), pause=lambda seconds: None)
    lock.release()


def test_what_a_killed_hub_has_left_is_not_taken_for_the_next_ones_word(folder: Path) -> None:
    (folder / "hub.lock").write_text('{"pid":1,"port":2,"socket":"/old"}\n')
    assert holder(str(folder)) is None
    lock = FolderLock(str(folder))
    assert holder(str(folder)) == {}
    lock.release()


def test_nonsense_in_the_file_is_nobody_s_word(folder: Path) -> None:
    lock = FolderLock(str(folder))
    (folder / "hub.lock").write_bytes(b'\xff{"port"')
    assert holder(str(folder)) == {}
    with pytest.raises(Held):
        FolderLock(str(folder), pause=lambda seconds: None)
    lock.release()


def test_a_command_that_only_looks_does_not_keep_a_hub_from_starting(folder: Path) -> None:
    (folder / "hub.lock").touch()
    looking = os.open(folder / "hub.lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    lock = FolderLock(str(folder), pause=lambda seconds: fcntl.flock(looking, fcntl.LOCK_UN))
    lock.release()
    os.close(looking)


def test_of_many_who_look_and_one_who_takes_it_the_one_gets_it(folder: Path) -> None:
    FolderLock(str(folder)).release()
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.001):
            holder(str(folder))

    lookers = [threading.Thread(target=look) for _ in range(8)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(100):
            FolderLock(str(folder)).release()
    finally:
        stop.set()
        for looker in lookers:
            looker.join()


def test_a_lock_that_cannot_be_made_is_said(folder: Path) -> None:
    (folder / "hub.lock").mkdir()
    with pytest.raises(Refused, match="cannot be used") as refused:
        FolderLock(str(folder))
    assert not isinstance(refused.value, Held)
