"""Builds the frozen program: `python packaging/build.py`; dist/ then holds the tar.gz, the one file, and their sums.

Everything is made from the wheel, in an environment that has nothing else: build/binary/.
"""

import argparse
import gzip
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import tomllib
import venv
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
PROGRAM = "synapse"
MOST_PACKED, MOST_UNPACKED = 30e6, 75e6  # bytes


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--work", type=Path, default=ROOT / "build" / "binary", help="where it is built")
    options.add_argument("--out", type=Path, default=ROOT / "dist", help="where the results go")
    options.add_argument("--wheels", type=Path, help="take every package from this folder, and none from elsewhere")
    given = options.parse_args()
    began = time.monotonic()
    if sys.platform == "linux" and not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        sys.exit(f"{sys.executable} has no shared library: take a Python that was built with --enable-shared.")
    given.work.mkdir(parents=True, exist_ok=True)
    given.out.mkdir(parents=True, exist_ok=True)
    python = environment(given.work.resolve(), given.wheels)
    bundle = freeze(python, given.work.resolve())
    check(bundle)
    version = run(bundle / PROGRAM, "--version").split()[-1]
    name = f"{PROGRAM}-{version}-{system()}"
    packed = given.out / f"{name}.tar.gz"
    pack(bundle, packed, f"{PROGRAM}-{version}")
    files = [packed]
    if sys.platform == "linux":
        files.append(one_file(packed, given.out / PROGRAM, version))
    for file in files:
        sum_of = hashlib.sha256(file.read_bytes()).hexdigest()
        file.with_name(f"{file.name}.sha256").write_text(f"{sum_of}  {file.name}\n")
    missed = report(bundle, files)
    print(f"built in {time.monotonic() - began:.0f} s")
    return missed


def system():
    """As releases name it: linux-x86_64, macos-arm64."""
    name = {"darwin": "macos"}.get(sys.platform, sys.platform)
    return f"{name}-{ {'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }"


def run(*words, **options):
    return subprocess.run(list(map(str, words)), check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def environment(work, wheels):
    """The interpreter of an environment with the wheel of this checkout, what it needs, and PyInstaller."""
    folder, stamp = work / "venv", work / "venv.stamp"
    python = folder / "bin" / "python"
    project = (ROOT / "pyproject.toml").read_text()
    wanted = f"{sys.version} {sys.prefix}\n{project}"
    tools = tomllib.loads(project)["project"]["optional-dependencies"]["binary"]
    pip = [python, "-m", "pip", "-qq", "--disable-pip-version-check"]
    only = ["--no-index", "--find-links", wheels.resolve()] if wheels else []
    made = shutil.rmtree(work / "wheel", ignore_errors=True) or work / "wheel"
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True, symlinks=True)
        run(*pip, "install", *only, "--upgrade", *tools)
    run(*pip, "wheel", *only, "--no-deps", "--wheel-dir", made, ROOT)
    [wheel] = made.glob("*.whl")
    run(*pip, "install", *only, "--force-reinstall", "--no-deps", wheel)
    if not stamp.exists() or stamp.read_text() != wanted:
        run(*pip, "install", *only, wheel)
        stamp.write_text(wanted)
    return python


def freeze(python, work):
    """The folder with the program in it, as PyInstaller makes it."""
    log = work / "pyinstaller.log"
    words = [python, "-m", "PyInstaller", "--noconfirm", "--distpath", work / "dist", "--workpath", work / "work"]
    words += [HERE / "synapse.spec"]
    env = {**os.environ, "SETUPTOOLS_USE_DISTUTILS": "stdlib"}  # else its own would be taken for the library's
    with log.open("w") as file:
        done = subprocess.run(list(map(str, words)), cwd=work, env=env, stdout=file, stderr=file)
    if done.returncode:
        sys.exit(f"PyInstaller ended with {done.returncode}: {log}\n{log.read_text()[-3000:]}")
    return work / "dist" / PROGRAM


def check(bundle):
    """Nothing of the machine that built it may be in it."""
    for path in bundle.rglob("*"):
        if path.name == "direct_url.json":
            path.unlink()  # which says where the wheel lay
        elif path.is_symlink() and not path.resolve().is_relative_to(bundle.resolve()):
            sys.exit(f"{path} leads out of the bundle")


def pack(bundle, packed, top):
    """The same bytes for the same contents: sorted, of nobody, from one time."""
    when = int(os.environ.get("SOURCE_DATE_EPOCH") or last_change())

    def plain(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = when
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    new = packed.with_name(f".{packed.name}")
    with (
        new.open("wb") as file,
        gzip.GzipFile("", "wb", 9, file, mtime=when) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        archive.add(bundle, top, recursive=False, filter=plain)
        for path in sorted(bundle.rglob("*")):
            archive.add(path, f"{top}/{path.relative_to(bundle)}", recursive=False, filter=plain)
    new.rename(packed)


def last_change():
    """When the checkout changed last; in one without its history, now."""
    if not (ROOT / ".git").exists():
        return time.time()
    return run("git", "-C", ROOT, "log", "-1", "--format=%ct")


def one_file(packed, target, version):
    """A shell script with the tar.gz behind it."""
    content = packed.read_bytes()
    sum_of = hashlib.sha256(content).hexdigest()
    head = (HERE / "head.sh").read_text()
    values = {
        "VERSION": version, "SUM": sum_of, "KEY": f"{version}-{sum_of[:12]}", "LINES": str(head.count("\n") + 1),
        "PARTS": " ".join(needed_to_start(packed)),
    }  # fmt: skip
    for key, value in values.items():
        head = head.replace(f"@{key}@", value)
    new = target.with_name(f".{target.name}")
    new.write_bytes(head.encode() + content)
    new.chmod(0o755)
    new.rename(target)
    return target


def needed_to_start(packed):
    """The program and its libraries: without one of them it ends before it can say why."""
    with tarfile.open(packed) as archive:
        files = [entry.name.partition("/")[2] for entry in archive if entry.isreg() and entry.size]
    found = [name for name in files if name == PROGRAM or re.search(r"\.zip\Z|\.so(\.[\d.]+)?\Z", name)]
    assert all(re.fullmatch(r"[\w./+-]+", name) for name in found), found  # they stand in a shell script as they are
    return found


def report(bundle, files):
    """Print the sizes; 1 when one is beyond its bar."""
    unpacked = sum(path.lstat().st_size for path in bundle.rglob("*") if not path.is_dir())
    rows = [("unpacked", unpacked, MOST_UNPACKED)] + [(file.name, file.stat().st_size, MOST_PACKED) for file in files]
    for name, size, most in rows:
        print(f"{name:44} {size / 1e6:6.1f} MB  (<= {most / 1e6:.0f} MB){'  MISSED' if size > most else ''}")
    return int(any(size > most for _, size, most in rows))


if __name__ == "__main__":
    sys.exit(main())
