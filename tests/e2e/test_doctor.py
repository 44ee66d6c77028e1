"""`doctor`: what it finds, what it repairs, and that it starts nothing."""

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands_kit import Shell


class House(Shell):
    """A shell whose user has a config folder of his own; and what the doctor says there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environ["XDG_CONFIG_HOME"] = str(folder / "config")
        self.config = folder / "config" / "synapse"

    def doctor(self, *words: str, **environ: str) -> dict[str, list[tuple[str, str]]]:
        """The states and sentences of each check."""
        done = self.run("doctor", "--json", *words, **environ)
        assert "Traceback" not in done.stderr
        self.last: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == int(self.last["failed"] > 0)
        found: dict[str, list[tuple[str, str]]] = {}
        for check in self.last["checks"]:
            found.setdefault(check["name"], []).append((check["state"], check["said"]))
        return found


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = House(tmp_path)
    yield found
    found.stop_hub()


def test_where_nothing_is_yet_nothing_is_made_and_nothing_is_wrong(house: House) -> None:
    found = house.doctor()
    assert house.last["failed"] == 0
    assert {name for name, _ in found.items()} >= {
        "python",
        "packages",
        "data folder",
        "disk",
        "hub",
        "log",
        "settings",
    }
    assert "the first command that needs one starts it" in found["hub"][0][1]
    assert not house.data.exists()
    assert not house.config.exists()


def test_a_hub_that_runs_is_well_and_its_log_is_readable(house: House) -> None:
    house.ok("send", "me", "--silent", "hello")
    found = house.doctor()
    assert found["hub"][0][0] == found["log"][0][0] == "ok"
    assert house.last["failed"] == 0
    assert f"process {house.hub_pid()}" in found["hub"][0][1]
    plain = house.ok("doctor")
    assert plain.splitlines()[-1].endswith(" warnings.")
    assert all(line.startswith(("ok ", "warn ", "      ")) for line in plain.splitlines()[:-2])


def test_a_hub_of_another_version_is_to_be_restarted(house: House, tmp_path: Path) -> None:
    house.ok("who")
    other = tmp_path / "sitecustomize.py"
    other.write_text("import synapse\nsynapse.__version__ = '9.9.9'\n")
    found = house.doctor(PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}:{Path(__file__).parents[2]}")
    assert found["hub"][0][0] == "warn"
    assert "this program is 9.9.9" in found["hub"][0][1]
    assert "`synapse restart`." in [check["next"] for check in house.last["checks"]]


def test_what_a_killed_hub_leaves_is_found_and_repaired(house: House) -> None:
    house.ok("who")
    house.kill_hub()
    left = list((house.data / "run").glob("hub-*.sock"))
    assert left
    assert all("nobody listens" not in said for _, said in house.doctor()["sockets"])  # too fresh to judge
    for path in left:
        os.utime(path, (time.time() - 3600,) * 2)
    assert ("warn", f"nobody listens on {left[0]}") in house.doctor()["sockets"]
    found = house.doctor("--fix")
    assert house.last["repaired"] == [[f"nobody listens on {left[0]}", "repaired"]]
    assert not left[0].exists()
    assert [state for state, _ in found["sockets"]] == ["ok"]


def test_the_socket_of_a_hub_that_listens_is_left_alone_however_old(house: House) -> None:
    house.ok("who")
    (path,) = (house.data / "run").glob("hub-*.sock")
    os.utime(path, (1, 1))
    house.doctor("--fix")
    assert house.last["repaired"] == []
    house.ok("who")


def test_a_hub_that_holds_the_folder_and_opens_no_door_is_named(house: House) -> None:
    house.data.mkdir(mode=0o700)
    with open(house.data / "hub.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(json.dumps({"pid": 4711, "port": 1, "socket": str(house.data / "run" / "hub-1.sock")}))
        lock.flush()
        assert house.doctor()["hub"] == [("fail", f"process 4711 holds {house.data} and opens no door")]
    assert house.doctor()["hub"][0][0] == "ok"


def test_rights_that_are_too_wide_are_narrowed(house: House, tmp_path: Path) -> None:
    house.ok("config", "set", "a2a.flow", "oneway")
    house.ok("who")
    own = house.config / "settings.toml"
    own.chmod(0o666)
    own.parent.chmod(0o777)
    house.data.chmod(0o777)
    found = house.doctor()
    assert found["data folder"][0][0] == "fail"
    assert sum(state == "fail" for state, _ in found["settings"]) == 2
    house.doctor("--fix")
    assert house.last["failed"] == 0
    assert [path.stat().st_mode & 0o777 for path in (own, own.parent, house.data)] == [0o600, 0o700, 0o755]


@pytest.mark.parametrize(
    "content", [b"not a log at all, but long enough to be looked at" * 100, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_a_file_that_is_no_log_is_a_failure(house: House, content: bytes) -> None:
    house.data.mkdir(mode=0o700)
    (house.data / "synapse.db").write_bytes(content)
    assert house.doctor()["log"][0][0] == "fail"


def test_settings_and_profiles_that_are_wrong_are_named(house: House) -> None:
    (house.config / "profiles").mkdir(parents=True)
    (house.config / "settings.toml").write_text("[hub]\nprot = 1\n")
    (house.config / "profiles" / "mine.toml").write_text("comand = ['x']\n")
    (house.config / "profiles" / "Mine.toml").write_text("command = ['x']\n")
    (house.config / "profiles" / "good.toml").write_text("command = ['x']\n")
    found = house.doctor()
    assert "did you mean 'hub.port'?" in found["settings"][0][1]
    assert sorted("unknown key" in said for _, said in found["profiles"]) == [False, True]
    assert {state for state, _ in found["profiles"]} == {"fail"}


def test_what_is_wrong_in_settings_is_told_with_the_way_to_mend_it(house: House) -> None:
    (house.project / ".git").mkdir()
    own, shared = house.config / "settings.toml", house.project / ".synapse" / "settings.toml"
    for path in (own, shared):
        path.parent.mkdir(parents=True)
        path.write_text("[a2a]\nflow = [\n")
    house.doctor()
    nexts = {
        check["said"].partition(",")[0]: check["next"] for check in house.last["checks"] if check["name"] == "settings"
    }
    assert (
        nexts[str(own)] == f"Mend line 2 of {own}: `synapse config edit` opens a copy, and takes it when it is right."
    )
    assert f"line 2 of {shared}: `synapse config edit --scope project` opens" in nexts[str(shared)]
    own.write_text("[hub]\nprot = 1\n")
    shared.write_text("[a2a]\nflow = 5\n")
    house.doctor(SYNAPSE_A2A_FLOW="x")
    nexts = {
        check["said"].partition(" ")[0]: check["next"] for check in house.last["checks"] if check["name"] == "settings"
    }
    assert nexts[f"{own},"] == "`synapse config edit`, or `synapse config unset hub.prot`."
    assert (
        nexts[f"{shared},"]
        == "`synapse config edit --scope project`, or `synapse config unset a2a.flow --scope project`."
    )
    assert nexts["SYNAPSE_A2A_FLOW"] == "Unset that variable, or give it another value."


def test_a_port_that_somebody_else_has_is_told(house: House) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        state, said = house.doctor(SYNAPSE_PORT=str(other.getsockname()[1]))["hub"][0]
    assert (state, "cannot be had" in said) == ("warn", True)


def test_errors_in_the_logs_and_variables_in_vain_are_told(house: House) -> None:
    (house.data / "logs").mkdir(parents=True)
    house.data.chmod(0o700)
    log = house.data / "logs" / "a-1.log"
    log.write_text("2026-01-31 12:00:00,123 ERROR it broke\n" * 3)
    found = house.doctor(SYNAPSE_UDS_DIR="/tmp/x", SYNAPSE_A2A_FLWO="oneway")
    assert found["logs"][0][1].startswith(f"3 errors in {log}")
    assert [said.partition(":")[0] for _, said in found["variables"]] == [
        "SYNAPSE_UDS_DIR",
        "SYNAPSE_A2A_FLWO sets nothing",
    ]
    os.utime(log, (1, 1))
    assert house.doctor()["logs"][0][0] == "ok"


def test_another_program_of_that_name_on_path_is_told(house: House, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "synapse"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho other 7.7\n")
    program.chmod(0o755)
    assert "another version (7.7" in house.doctor(PATH=f"{program.parent}:{os.environ['PATH']}")["on PATH"][0][1]
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m synapse "$@"\n')
    assert house.doctor(PATH=f"{program.parent}:{os.environ['PATH']}")["on PATH"] == [("ok", str(program))]
    assert house.doctor(PATH="/nowhere")["on PATH"][0][0] == "warn"


def test_a_data_folder_whose_path_is_too_long_for_sockets_has_them_elsewhere(house: House, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir(mode=0o700)
    found = house.doctor(SYNAPSE_DATA=str(long))
    assert "too long for sockets" in found["sockets"][0][1]
    os.rmdir(found["sockets"][0][1].rpartition(" ")[2])


def test_a_data_folder_that_is_a_file_is_a_failure(house: House) -> None:
    house.data.write_text("")
    assert house.doctor()["data folder"] == [("fail", f"{house.data} is no folder")]
