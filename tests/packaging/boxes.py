"""Files made as releases are, with a program of a few lines behind the head: the head is the real one."""

import importlib.util
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SAYS = """#!/bin/sh
case ${1:-} in
--version) echo "synapse, version VERSION"; exit "${BROKEN:-0}" ;;
exit) exit "$2" ;;
wait) echo waiting; read -r line; exit 0 ;;
env) env; exit 0 ;;
esac
printf '%s|' "VERSION" "$@"
"""
LIBRARIES = ("libpython3.11.so.1.0", "libstdc++.so.6", "base_library.zip", "_json.cpython-311-x86_64-linux-gnu.so")


def script(name: str) -> Any:
    """A script of packaging/ as a module."""
    spec = importlib.util.spec_from_file_location(f"packaging_{name}", ROOT / "packaging" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def box(folder: Path, version: str = "1.0", program: str = SAYS, megabytes: int = 0) -> Path:
    """The one file of a version, with so much beside its program."""
    top = folder / f"bundle-{version}"
    (top / "_internal").mkdir(parents=True)
    (top / "synapse").write_text(program.replace("VERSION", version))
    (top / "synapse").chmod(0o755)
    (top / "_internal" / "data").write_bytes(os.urandom(megabytes << 20))
    for library in LIBRARIES:
        (top / "_internal" / library).write_text(library)
    packed = folder / f"{version}.tar.gz"
    with tarfile.open(packed, "w:gz", compresslevel=1) as archive:
        archive.add(top, f"synapse-{version}")
    file: Path = script("build").one_file(packed, folder / f"synapse-{version}.run", version)
    return file


def called(
    file: Path, *words: str, home: Path, wrap: tuple[str, ...] = (), **environ: str
) -> "subprocess.CompletedProcess[str]":
    """What it says and its exit status, with a home and nothing else but PATH in the environment."""
    env = {"PATH": os.environ["PATH"], "HOME": str(home), **environ}
    return subprocess.run([*wrap, str(file), *words], env=env, capture_output=True, text=True, timeout=50, check=False)


def kept(home: Path) -> list[str]:
    """What is in the cache, without the lock."""
    cache = home / ".cache" / "synapse"
    return sorted(path.name for path in cache.iterdir() if path.name != ".lock") if cache.exists() else []


def may_mount() -> bool:
    """May we mount, for ourselves only?"""
    done = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False) if os.getuid() == 0 else None
    return done is not None and done.returncode == 0


def bare(folder: Path) -> tuple[str, ...]:
    """In front of a command: the folder is at /mnt, of which `place` is only read, and /tmp allows no programs."""
    steps = (
        f"mount --bind {folder} /mnt", "mount --bind /mnt/place /mnt/place", "mount -o remount,bind,ro /mnt/place",
        "mount -t tmpfs -o noexec none /tmp", "cd /", 'exec "$@"',
    )  # fmt: skip
    return ("unshare", "-m", "sh", "-c", " && ".join(steps), "sh")
