"""The one file: it unpacks what is behind it once, and after that only starts it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.e2e.hubs import until
from tests.packaging.boxes import LIBRARIES, ROOT, SAYS, bare, box, called, kept, may_mount

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="not run: the one file is for Linux")


def test_it_starts_the_program_with_its_words_and_ends_with_its_status(tmp_path: Path) -> None:
    file = box(tmp_path)
    words = ("send", "a b", "", "*", "$HOME", "-n", "ü\n")
    for _ in range(2):
        assert called(file, *words, home=tmp_path).stdout == "|".join(("1.0", *words, ""))
        assert called(file, "exit", "7", home=tmp_path).returncode == 7
    [folder] = kept(tmp_path)
    assert folder.startswith("1.0-")


def test_after_the_first_call_it_starts_no_other_program(tmp_path: Path) -> None:
    file = box(tmp_path)
    called(file, home=tmp_path)
    assert called(file, "hello", home=tmp_path, PATH="/nowhere").stdout == "1.0|hello|"


def test_its_environment_is_the_caller_s(tmp_path: Path) -> None:
    file = box(tmp_path)
    wanted = {f"HOME={tmp_path}", f"PATH={os.environ['PATH']}", "OWN=x y", "XDG_CACHE_HOME=relative"}
    for _ in range(2):
        said = called(file, "env", home=tmp_path, OWN="x y", XDG_CACHE_HOME="relative").stdout.splitlines()
        found = {line for line in said if not line.startswith(("PWD=", "OLDPWD=", "SHLVL=", "_="))}
        assert found == wanted
    assert kept(tmp_path)  # a relative folder counts as none


@pytest.mark.parametrize("lock", [True, False], ids=["flock", "no flock"])
def test_ten_first_starts_at_once_all_work_and_leave_one_folder(tmp_path: Path, lock: bool) -> None:
    file = box(tmp_path, megabytes=4)
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for tool in Path(folder).glob("*"):
            if (lock or tool.name != "flock") and not (tools / tool.name).is_symlink():
                (tools / tool.name).symlink_to(tool)
    env = {"PATH": str(tools), "HOME": str(tmp_path)}
    started = [subprocess.Popen([file, str(n)], env=env, stdout=subprocess.PIPE, text=True) for n in range(10)]
    assert [process.communicate(timeout=50)[0] for process in started] == [f"1.0|{n}|" for n in range(10)]
    assert len(kept(tmp_path)) == 1


def unpacking(file: Path, home: Path) -> "subprocess.Popen[bytes]":
    """A first start that has begun to unpack, and does not come to the end of it."""
    tools = home / "tools"
    tools.mkdir()
    (tools / "tar").write_text(f'#!/bin/sh\n{shutil.which("tar")} "$@"\nexec sleep 60\n')
    (tools / "tar").chmod(0o755)
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(home)}
    process = subprocess.Popen([file, "x"], env=env, stdout=subprocess.PIPE, start_new_session=True)
    until(lambda: list((home / ".cache" / "synapse").glob(".new.*/synapse-1.0/synapse")))
    return process


def test_what_a_killed_first_start_leaves_is_taken_away_by_the_next(tmp_path: Path) -> None:
    file = box(tmp_path, megabytes=1)
    process = unpacking(file, tmp_path)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)
    assert not [name for name in kept(tmp_path) if name.startswith("1.0")]
    assert called(file, "x", home=tmp_path).stdout == "1.0|x|"
    assert len(kept(tmp_path)) == 1


def test_one_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    file = box(tmp_path, megabytes=1)
    process = unpacking(file, tmp_path)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert kept(tmp_path) == []


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    file = box(tmp_path, megabytes=1)
    content = bytearray(file.read_bytes())
    content[-1000] ^= 1
    file.write_bytes(content)
    done = called(file, home=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is damaged" in done.stderr
    assert "Download it again" in done.stderr
    file.write_bytes(content[:-5000])
    assert "is damaged" in called(file, home=tmp_path).stderr
    assert kept(tmp_path) == []


def cached(home: Path) -> Path:
    [name] = kept(home)
    return home / ".cache" / "synapse" / name


@pytest.mark.parametrize("part", ["synapse", *(f"_internal/{name}" for name in LIBRARIES)])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "no program"])
def test_what_is_damaged_in_the_cache_is_unpacked_again(tmp_path: Path, part: str, damage: str) -> None:
    file = box(tmp_path)
    called(file, home=tmp_path)
    found = cached(tmp_path) / part
    before = found.read_bytes()
    if damage == "gone":
        found.unlink()
    elif damage == "no program":
        (cached(tmp_path) / "synapse").chmod(0o600)
    else:
        os.utime(cached(tmp_path) / ".whole", (time.time() - 60,) * 2)  # as if it had lain there for a while
        os.truncate(found, 5 if damage == "cut" else 0)
    done = called(file, "x", home=tmp_path)
    assert (done.stdout, done.stderr) == ("1.0|x|", "")
    assert (cached(tmp_path) / part).read_bytes() == before
    assert called(file, "x", home=tmp_path, PATH="/nowhere").stdout == "1.0|x|"


def test_ten_at_once_mend_a_damaged_cache(tmp_path: Path) -> None:
    file = box(tmp_path, megabytes=4)
    called(file, home=tmp_path)
    (cached(tmp_path) / "synapse").unlink()
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    started = [subprocess.Popen([file, str(n)], env=env, stdout=subprocess.PIPE, text=True) for n in range(10)]
    assert [process.communicate(timeout=50)[0] for process in started] == [f"1.0|{n}|" for n in range(10)]
    assert len(kept(tmp_path)) == 1


def test_a_file_where_the_program_should_lie_makes_way(tmp_path: Path) -> None:
    file = box(tmp_path)
    called(file, home=tmp_path)
    found = cached(tmp_path)
    shutil.rmtree(found)
    found.write_text("")
    assert called(file, "x", home=tmp_path).stdout == "1.0|x|"
    assert len(kept(tmp_path)) == 1


def test_an_empty_path_is_enough_also_for_the_first_call(tmp_path: Path) -> None:
    file = box(tmp_path)
    for _ in range(2):
        done = called(file, "x", home=tmp_path, PATH="")
        assert (done.stdout, done.stderr) == ("1.0|x|", "")


def test_what_tar_and_gzip_read_from_the_environment_does_not_count(tmp_path: Path) -> None:
    done = called(box(tmp_path), "x", home=tmp_path, TAR_OPTIONS="--verbose", GZIP="--nonsense", POSIXLY_CORRECT="1")
    assert (done.stdout, done.stderr) == ("1.0|x|", "")


def test_a_cache_that_cannot_be_one_is_said_with_what_to_do(tmp_path: Path) -> None:
    file = box(tmp_path)
    (tmp_path / ".cache").mkdir()
    place = tmp_path / ".cache" / "synapse"
    for what in ("a file", "a link to nowhere"):
        place.unlink(missing_ok=True)
        place.write_text("") if what == "a file" else place.symlink_to(tmp_path / "nowhere")
        done = called(file, home=tmp_path)
        assert (done.returncode, done.stderr) == (
            1, f"synapse: {place} cannot be written: name another folder by XDG_CACHE_HOME (an absolute path).\n",
        )  # fmt: skip


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip("not run: nothing may be mounted here")
    file, home = box(tmp_path, megabytes=8), tmp_path / "home"
    home.mkdir()
    for options in ("size=4m", "nr_inodes=9"):
        steps = f'mount -t tmpfs -o {options} none {home} && "$@"; status=$?; ls -A {home}/.cache/synapse; exit $status'
        done = called(file, home=home, wrap=("unshare", "-m", "sh", "-c", steps, "sh"))
        assert (done.returncode, done.stdout) == (1, ".lock\n"), done.stderr
        assert re.fullmatch(r"synapse: .*(No space left|Wrote only).*: is the disk full\?\n", done.stderr), done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="not run: only root may become another user")
def test_a_user_without_a_home_or_in_another_s_is_told_what_to_do(tmp_path: Path) -> None:
    file = box(tmp_path)
    place = file.rename(Path(tempfile.mkdtemp(dir="/var/tmp")) / "synapse")
    try:
        place.parent.chmod(0o755)
        nameless = ("setpriv", "--reuid", "54321", "--clear-groups", "env", "-u", "HOME", "-C", "/var/tmp")
        done = called(place, home=tmp_path, wrap=nameless)
        assert (done.returncode, done.stderr) == (
            1, "synapse: you have no home folder: set HOME, or name another folder by XDG_CACHE_HOME "
            "(an absolute path).\n",
        )  # fmt: skip
        (tmp_path / ".cache" / "synapse").mkdir(parents=True)
        os.chown(tmp_path / ".cache" / "synapse", 54321, 54321)
        done = called(place, home=tmp_path)
        assert (done.returncode, "belongs to another user" in done.stderr) == (1, True)
    finally:
        shutil.rmtree(place.parent)


def test_a_program_that_does_not_run_here_is_not_kept(tmp_path: Path) -> None:
    done = called(box(tmp_path), home=tmp_path, BROKEN="1")
    assert done.returncode == 1
    assert "it cannot run in" in done.stderr
    assert kept(tmp_path) == []


def test_an_older_version_goes_unless_somebody_runs_it(tmp_path: Path) -> None:
    # A program of its own is known by its file, not by the shell that a script runs in.
    shell = Path("/bin/sh").resolve()
    old, older, new = (box(tmp_path, version, SAYS) for version in ("1.0", "0.9", "1.1"))
    for file in (old, older):
        called(file, home=tmp_path)
    called(old, home=tmp_path)
    assert len(kept(tmp_path)) == 2 - 1  # 0.9, unpacked later, took 1.0 away, which came back
    [folder] = kept(tmp_path)
    program = tmp_path / ".cache" / "synapse" / folder / "_internal" / "sh"
    shutil.copy(shell, program)
    running = subprocess.Popen([program, "-c", "read line"], stdin=subprocess.PIPE)
    try:
        assert called(new, "x", home=tmp_path).stdout == "1.1|x|"
        assert kept(tmp_path) == sorted([folder, next(name for name in kept(tmp_path) if name.startswith("1.1-"))])
    finally:
        running.communicate(b"\n", timeout=10)
    assert called(older, "x", home=tmp_path).stdout == "0.9|x|"
    assert [name.partition("-")[0] for name in kept(tmp_path)] == ["0.9"]


def test_a_cache_that_cannot_be_written_is_said_with_what_to_do(tmp_path: Path) -> None:
    file = box(tmp_path)
    (tmp_path / "file").write_text("")
    done = called(file, home=tmp_path, XDG_CACHE_HOME=f"{tmp_path}/file")
    assert done.returncode == 1
    assert done.stderr == (
        f"synapse: {tmp_path}/file/synapse cannot be written: name another folder by XDG_CACHE_HOME (an absolute path).\n"
    )


def test_without_home_the_user_s_own_is_found(tmp_path: Path) -> None:
    file = box(tmp_path)
    env = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path / ".cache")}
    done = subprocess.run([file, "x"], env=env, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "1.0|x|"
    assert len(kept(tmp_path)) == 1
    head = file.read_bytes().partition(b"case ${XDG")[0].decode()
    said = subprocess.run(
        ["sh", "-c", f'{head}\nprintf %s "$home"'], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True,
        timeout=30, check=True,
    ).stdout  # fmt: skip
    assert said == os.path.expanduser(f"~{subprocess.check_output(['id', '-un'], text=True).strip()}")


def test_it_works_from_a_folder_that_is_only_read_and_where_tmp_allows_no_programs(tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip("not run: nothing may be mounted here")
    for name in ("place", "home"):
        (tmp_path / name).mkdir()
    shutil.copy(box(tmp_path), tmp_path / "place" / "synapse")
    done = called(Path("/mnt/place/synapse"), "x", home=Path("/mnt/home"), wrap=bare(tmp_path))
    assert done.stdout == "1.0|x|", done.stderr


def test_a_cache_that_allows_no_programs_is_said_with_what_to_do(tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip("not run: nothing may be mounted here")
    file, cache = box(tmp_path), tmp_path / "cache"
    cache.mkdir()
    wrap = ("unshare", "-m", "sh", "-c", f'mount -t tmpfs -o noexec none {cache} && exec "$@"', "sh")
    done = called(file, "x", home=tmp_path, wrap=wrap, XDG_CACHE_HOME=str(cache))
    assert done.returncode == 1
    assert "no programs may be run" in done.stderr
    assert "XDG_CACHE_HOME" in done.stderr


def test_the_head_costs_a_few_milliseconds(tmp_path: Path) -> None:
    file = box(tmp_path)
    called(file, home=tmp_path)
    program = next((tmp_path / ".cache" / "synapse").glob("1.0-*")) / "synapse"

    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def cost(of: Path) -> float:
        """Processor time of one call, in seconds."""
        pid = os.posix_spawn(of, [str(of)], env, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
        _, status, used = os.wait4(pid, 0)
        assert status == 0
        return used.ru_utime + used.ru_stime

    costs = [(cost(file), cost(program)) for _ in range(15)]
    assert min(with_head for with_head, _ in costs) - min(without for _, without in costs) < 0.005


def test_the_head_is_plain_sh() -> None:
    head = ROOT / "packaging" / "head.sh"
    for shell in ("dash", "bash --posix", "busybox sh"):
        if shutil.which(shell.split()[0]):
            subprocess.run([*shell.split(), "-n", str(head)], check=True, timeout=10)
