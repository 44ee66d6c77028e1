"""Builds the frozen program for systems with an older C library: `make binary-release`, as root on Debian.

In build/debian11 a Debian 11 is made (debootstrap, from the mirror that apt uses here), in it a CPython of Debian 12's
source package with its fixes, and with that the program of the last commit. Nothing in it may want more than GLIBC_2.31.
"""

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
CHECKOUT = HERE.parent
WORK = CHECKOUT / "build" / "debian11"
ROOT = WORK / "root"
OLD, NEW, SOURCE = "bullseye", "bookworm", "python3.11"
PYTHON = "/opt/python/bin/python3"
MODULES = "bz2, ctypes, curses, dbm.gnu, lzma, pyexpat, readline, sqlite3, ssl, uuid, zlib"  # left out in silence else
PACKAGES = (
    "gcc", "make", "libc6-dev", "pkg-config", "xz-utils", "binutils", "git", "ca-certificates", "procps", "zlib1g-dev",
    "libssl-dev", "libffi-dev", "libexpat1-dev", "libsqlite3-dev", "libbz2-dev", "liblzma-dev", "libreadline-dev",
    "libncurses-dev", "libgdbm-dev", "uuid-dev",
)  # fmt: skip
# Of Debian's changes those that mend something; the others lay the files out as Debian's own packages have them.
MENDS = re.compile(r"CVE-|\d{4}-3\.11-|frame_dealloc-crash|shutdown-deadlock|relfile-nullptr")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=CHECKOUT / "dist" / "release")
    options.add_argument("--optimize", action="store_true", help="let CPython train itself: half an hour more")
    given = options.parse_args()
    if os.getuid() != 0 or not shutil.which("debootstrap") or not shutil.which("dpkg-source"):
        sys.exit(
            "This needs root, and Debian's packages debootstrap and dpkg-dev: apt-get install debootstrap dpkg-dev."
        )
    WORK.mkdir(parents=True, exist_ok=True)
    root()
    interpreter(given.optimize)
    wheels()
    checkout()
    when = output("git", "-C", CHECKOUT, "log", "-1", "--format=%ct").strip()
    build = (PYTHON, "/src/packaging/build.py", "--wheels", "/wheels", "--out", "/out", "--work", "/made")
    run(*inside(f"SOURCE_DATE_EPOCH={when}", *build))
    for program in ("/made/dist/synapse/synapse", "/out/synapse"):
        run(*inside(PYTHON, "/src/packaging/selftest.py", program))
    run(sys.executable, HERE / "glibc.py", ROOT / "made/dist/synapse", "--most", "2.31")
    given.out.mkdir(parents=True, exist_ok=True)
    for file in sorted([*(ROOT / "out").iterdir(), *(ROOT / "made/wheel").iterdir()]):
        if file.suffix != ".sha256":
            publish(file, given.out)


def publish(file, folder):
    """A file with its sum; the one file under the name of its version and system, like its tar.gz."""
    name = file.name
    if name == "synapse":
        name = next((ROOT / "out").glob("*.tar.gz")).name.removesuffix(".tar.gz")
    shutil.copy2(file, folder / name)
    (folder / f"{name}.sha256").write_text(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {name}\n")
    print(folder / name)


def run(*words, **options):
    return subprocess.run(list(map(str, words)), check=True, **options)


def output(*words):
    return run(*words, stdout=subprocess.PIPE, text=True).stdout


def quietly(log, *words, **options):
    """A long command, its words in a file."""
    with (WORK / log).open("w") as file:
        done = subprocess.run(list(map(str, words)), stdout=file, stderr=subprocess.STDOUT, check=False, **options)
    if done.returncode:
        sys.exit(f"{words[0]} ended with {done.returncode}: {WORK / log}\n{(WORK / log).read_text()[-3000:]}")


def inside(*words):
    """A command in the root, with a /proc and terminals of its own."""
    steps = (
        f"mount -t proc proc {ROOT}/proc", f"mount -t devpts -o newinstance,ptmxmode=0666 devpts {ROOT}/dev/pts",
        f"ln -sf pts/ptmx {ROOT}/dev/ptmx", f"mount -t tmpfs tmpfs {ROOT}/dev/shm", 'exec "$@"',
    )  # fmt: skip
    clean = ("chroot", ROOT, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8")
    own = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", " && ".join(steps), "sh")
    return (*own, *clean, *words)


def mirror():
    """Where apt gets Debian's own packages from."""
    lines = output("apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN) $(COMPONENT)", "Created-By: Packages")
    for line in lines.splitlines():
        site, *rest = line.split()
        if rest == ["Debian", "main"] and "security" not in site:
            return site
    sys.exit("apt knows no mirror of Debian here.")


def root():
    """A Debian 11 with what CPython is built from."""
    if (WORK / "root.made").exists():
        return
    shutil.rmtree(ROOT, ignore_errors=True)
    words = ("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", OLD, ROOT, mirror())
    quietly("debootstrap.log", *words)
    (WORK / "root.made").touch()
    print(f"a {OLD} in {ROOT}")


def interpreter(optimize):
    """CPython in the root, from Debian 12's source package."""
    if (WORK / "python.made").exists():
        return
    folder = source()
    names = (folder / "debian/patches/series").read_text().split()
    for name in filter(MENDS.match, names):
        run("patch", "-d", folder, "-p1", "-s", "-f", "-i", folder / "debian/patches" / name)
    target = ROOT / "python"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, symlinks=True)
    more = " --enable-optimizations" if optimize else ""
    steps = (
        "cd /python", f"./configure -q --prefix=/opt/python --enable-shared --with-system-expat{more}",
        "sed -i 's/^MODULE_PYEXPAT_CFLAGS=/&-DPy_BUILD_CORE_MODULE /' Makefile",  # a fix of Debian's needs that
        f"make -s -j{os.cpu_count()} LDFLAGS=-Wl,-rpath,/opt/python/lib", "make -s install", f"{PYTHON} -c 'import {MODULES}'",
    )  # fmt: skip
    print("CPython is built ...", flush=True)
    quietly("python.log", *inside("sh", "-c", " && ".join(steps)))
    shutil.rmtree(target)
    (WORK / "python.made").touch()


def source():
    """The unpacked source package, without its patches."""
    folder = WORK / "source"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "lists" / "partial").mkdir(parents=True)
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (folder / "sources").write_text(f"deb-src [signed-by={keys}] {mirror()} {NEW} main\n")
    own = {
        "Dir::Etc::sourcelist": folder / "sources", "Dir::Etc::sourceparts": "-", "Dir::State::lists": folder / "lists",
        "APT::Sandbox::User": "root",
    }  # fmt: skip
    apt = ("apt-get", *(word for name, value in own.items() for word in ("-o", f"{name}={value}")))
    quietly("source.log", *apt, "update")
    quietly("source.log", *apt, "source", "--download-only", SOURCE, cwd=folder)
    [dsc] = folder.glob("*.dsc")
    quietly("source.log", "dpkg-source", "--skip-patches", "-x", dsc, folder / "tree")
    print(f"{dsc.stem}: its sum is checked")
    return folder / "tree"


def wheels():
    """Everything that the program is made of, for the root's C library, and nothing built there."""
    folder = ROOT / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    machine = platform.machine()
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(31, 4, -1)] + [f"manylinux2014_{machine}"]
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    wanted = (
        project["project"]["dependencies"] + project["project"]["optional-dependencies"]["binary"]
        + project["build-system"]["requires"]
    )  # fmt: skip
    words = [sys.executable, "-m", "pip", "-qq", "download", "--only-binary", ":all:", "--dest", folder]
    words += [word for tag in tags for word in ("--platform", tag)]
    words += ["--implementation", "cp", "--python-version", "3.11"]
    run(*words, *(word for abi in ("cp311", "abi3", "none") for word in ("--abi", abi)), *wanted)


def checkout():
    """The last commit, without its history."""
    folder = ROOT / "src"
    for name in ("src", "out", "made"):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    folder.mkdir()
    packed = run("git", "-C", CHECKOUT, "archive", "HEAD", stdout=subprocess.PIPE).stdout
    run("tar", "-x", "-C", folder, input=packed)


if __name__ == "__main__":
    sys.exit(main())
