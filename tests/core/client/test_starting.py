"""Finding a hub, where the processes are in the way of seeing it; the rest is in tests/e2e/test_hub_process.py."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from synapse import paths
from synapse.client import starting
from synapse.errors import BadRequest, Refused, Unavailable
from synapse.server.lock import FolderLock
from tests.e2e.hubs import HubProcess, alive, until


@pytest.fixture
def folder() -> Iterator[Path]:
    process = HubProcess()
    yield process.data
    process.close()


def test_a_hub_that_holds_the_folder_and_does_not_open_its_door_is_not_waited_for_ever(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "PATIENCE", 0.2)
    lock = FolderLock(str(folder))
    lock.tell(pid=4711, port=8876, socket=str(folder / "nobody.sock"), version="1")
    with pytest.raises(Unavailable, match=r"process 4711.*does not open its door"):
        starting.find_or_start(str(folder), str(folder / "hub.sock"), start=True)
    lock.release()


def test_only_one_of_many_starts_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[str] = []
    there = threading.Event()

    def launch(data: str, path: str) -> str:
        launched.append(path)
        time.sleep(0.1)
        there.set()
        return path

    monkeypatch.setattr(starting, "launch", launch)
    monkeypatch.setattr(starting, "answers", lambda path: there.is_set())
    found: list[str] = []
    many = [
        threading.Thread(target=lambda: found.append(starting.find_or_start(str(folder), "/x/hub.sock", start=True)))
        for _ in range(20)
    ]
    for one in many:
        one.start()
    for one in many:
        one.join()
    assert (launched, found) == (["/x/hub.sock"], ["/x/hub.sock"] * 20)


def test_a_hub_that_cannot_start_says_why_by_its_ready_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = 'import os, sys; os.write(int(sys.argv[4]), b\'{"code":"port_taken","message":"No.","status":409}\\n\')'
    monkeypatch.setattr(paths, "program", lambda: ["/bin/sh", "-c", 'exec python3 -c "$0" "$@"', said])
    with pytest.raises(Refused, match=r"No\.") as refused:
        starting.launch(str(folder), "/x")
    assert refused.value.code == "port_taken"


def test_a_hub_that_ends_without_a_word_points_to_its_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "program", lambda: ["/bin/sh", "-c", "exit 3"])
    with pytest.raises(Unavailable, match=r"hub\.log"):
        starting.launch(str(folder), "/x")


def test_a_hub_that_has_ended_is_buried_by_who_started_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = 'import os, sys; os.write(int(sys.argv[4]), b\'{"socket":"/x"}\\n\')'
    monkeypatch.setattr(paths, "program", lambda: ["/bin/sh", "-c", 'exec python3 -c "$0" "$@"', said])
    assert starting.launch(str(folder), "/x") == "/x"
    [pid] = starting._LAUNCHED
    until(lambda: not alive(pid))
    starting._bury()
    assert starting._LAUNCHED == []
    assert not Path(f"/proc/{pid}").exists()


def test_a_hub_that_was_killed_while_it_started_is_started_once_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = (
        "import os, sys\n"
        f"made = {str(folder / 'made')!r}\n"
        "if not os.path.exists(made): open(made, 'w').close(); sys.exit(9)\n"
        'os.write(int(sys.argv[4]), b\'{"socket":"/x"}\\n\')'
    )
    monkeypatch.setattr(paths, "program", lambda: ["/bin/sh", "-c", 'exec python3 -c "$0" "$@"', said])
    assert starting.find_or_start(str(folder), "/nobody", start=True) == "/x"
    until(lambda: not alive(starting._LAUNCHED[0]))
    starting._bury()


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "８８７６", "8876 "])
def test_a_port_that_is_none_is_said(text: str) -> None:
    with pytest.raises(BadRequest, match="SYNAPSE_PORT"):
        paths.port({"SYNAPSE_PORT": text})


def test_places(monkeypatch: pytest.MonkeyPatch) -> None:
    assert paths.port({}) == 8876
    assert paths.data_folder({"SYNAPSE_DATA": "/srv/../srv/x"}) == "/srv/x"
    monkeypatch.setattr("sys.platform", "linux")
    assert paths.data_folder({"XDG_DATA_HOME": "/d"}) == "/d/synapse"
    monkeypatch.setattr("sys.platform", "darwin")
    assert paths.data_folder({}).endswith("/Library/Application Support/synapse")


def test_an_empty_folder_is_closed_and_a_full_one_left_alone(folder: Path) -> None:
    folder.chmod(0o777)
    paths.make_private(str(folder))
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "x").touch()
    folder.chmod(0o755)
    paths.make_private(str(folder))
    assert folder.stat().st_mode & 0o777 == 0o755
    folder.chmod(0o770)
    with pytest.raises(Refused, match="Others may write"):
        paths.make_private(str(folder))
    folder.chmod(0o700)


def test_a_socket_path_fits_whatever_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(folder))
    for name in ("x" * 120, "ü" * 60, "x" * 60):
        (folder / name).mkdir()
        path = paths.hub_socket(str(folder / name), 8876)
        assert len(os.fsencode(path)) <= 103
        assert path == paths.hub_socket(str(folder / name), 8876)
