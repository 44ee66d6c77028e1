"""What `make binary` has built, and the wheel: each does its work from where it was put. `make binary-test` runs this."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from synapse import __version__
from tests.e2e.hubs import free_port
from tests.packaging.boxes import ROOT, bare, called, kept, may_mount

pytestmark = [pytest.mark.bundle, pytest.mark.timeout(240)]
SELFTEST = ROOT / "packaging" / "selftest.py"
DIST = ROOT / "dist"
PACKED = next(DIST.glob(f"synapse-{__version__}-*.tar.gz"), DIST / "not-built")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("opt")
    subprocess.run(["tar", "-xf", PACKED, "-C", folder], check=True, timeout=60)
    return folder / f"synapse-{__version__}"


def selftest(program: Path, *more: str) -> str:
    """What the self-test says, all of it well."""
    words = [sys.executable, str(SELFTEST), str(program), *more]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_bundle_passes_the_self_test(unpacked: Path) -> None:
    assert "not run" not in selftest(unpacked / "synapse")


def test_the_one_file_passes_the_self_test(tmp_path: Path) -> None:
    shutil.copy(DIST / "synapse", tmp_path)
    assert "not run" not in selftest(tmp_path / "synapse")


def test_the_sums_are_those_of_the_files() -> None:
    for file in (PACKED, DIST / "synapse"):
        sum_of = hashlib.sha256(file.read_bytes()).hexdigest()
        assert (DIST / f"{file.name}.sha256").read_text() == f"{sum_of}  {file.name}\n"


def test_the_bundle_says_nothing_of_the_machine_that_built_it(unpacked: Path) -> None:
    needle = str(ROOT).encode()
    assert len(needle) > 4
    found = [path for path in unpacked.rglob("*") if path.is_file() and needle in path.read_bytes()]
    assert found == []


def test_the_one_file_works_ten_times_at_once_when_it_is_new(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    words = [str(DIST / "synapse"), "--version"]
    started = [subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True) for _ in range(10)]
    said = [process.communicate(timeout=100)[0] for process in started]
    assert said == [f"synapse, version {__version__}\n"] * 10
    assert len(kept(tmp_path)) == 1


def test_the_one_file_works_from_a_folder_that_is_only_read_and_with_a_tmp_without_programs(tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip("not run: nothing may be mounted here")
    for name in ("place", "home"):
        (tmp_path / name).mkdir()
    shutil.copy(DIST / "synapse", tmp_path / "place")
    done = called(Path("/mnt/place/synapse"), "demo", home=Path("/mnt/home"), wrap=bare(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The answer came back" in done.stdout


def test_agents_live_on_when_the_version_that_started_them_is_taken_away(unpacked: Path, tmp_path: Path) -> None:
    """Nothing is read from its folder any more: neither by the hub, nor by the runner, nor by the demo."""
    old = shutil.copytree(unpacked, tmp_path / "old", symlinks=True) / "synapse"
    new = unpacked / "synapse"
    port = str(free_port())

    def ok(program: Path, *words: str) -> str:
        done = called(program, *words, home=tmp_path, SYNAPSE_PORT=port)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    ok(old, "start", "--name", "alice", "demo")
    try:
        ok(old, "send", "alice", "what is 6*7", "--wait")
        shutil.rmtree(tmp_path / "old")
        assert "30" in ok(new, "send", "alice", "what is 5*6", "--wait", "--timeout", "30")
        ok(new, "memory", "save", "key", "a text")
        assert "a text" in ok(new, "memory", "show", "key")
        ok(new, "restart")
        assert "63" in ok(new, "send", "alice", "what is 7*9", "--wait", "--timeout", "30")
        ok(new, "stop", "alice")
    finally:
        called(new, "kill", "-f", "alice", home=tmp_path, SYNAPSE_PORT=port)
        called(new, "serve", "--stop", home=tmp_path, SYNAPSE_PORT=port)
    logs = "".join(path.read_text() for path in (tmp_path / ".local/share/synapse").rglob("*.log"))
    assert "Traceback" not in logs, logs


def test_pip_comes_with_it(unpacked: Path) -> None:
    assert (unpacked / "_internal" / "pip" / "__main__.py").exists()


def test_authorities_of_tls_are_found_where_this_system_has_them(unpacked: Path, tmp_path: Path) -> None:
    if not may_mount() or not Path("/etc/ssl/certs/ca-certificates.crt").exists() or not Path("/usr/lib/ssl").exists():
        pytest.skip("not run: nothing may be mounted here, or there are no authorities")
    elsewhere = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /usr/lib/ssl && exec "$@"', "sh")
    done = called(unpacked / "synapse", "_inside", "certificates", home=tmp_path, wrap=elsewhere)
    assert json.loads(done.stdout)["loaded"] > 10, done.stdout + done.stderr


def test_a_closed_output_and_a_full_one_are_no_bugs(unpacked: Path) -> None:
    program = str(unpacked / "synapse")
    for line in (f"{program} --version >&-", f"{program} --help | true"):
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(
        ["sh", "-c", f"{program} --version >/dev/full"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_the_wheel_works_in_an_empty_environment(tmp_path: Path) -> None:
    [wheel] = (ROOT / "build" / "binary" / "wheel").glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "-qq", "--disable-pip-version-check", "install", str(wheel)]
    subprocess.run(pip, check=True, timeout=200, cwd=tmp_path)
    selftest(tmp_path / "venv" / "bin" / "synapse", "--python", str(python))
