"""Which C library does a bundle need? `python packaging/glibc.py FOLDER [--most 2.31]` looks at every ELF file in it."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

VERSION = re.compile(r"\sGLIBC_(\S+)$", re.MULTILINE)
PACKED = (2, 36)  # the first that understands packed relocations, which a file asks for by GLIBC_ABI_DT_RELR


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--most", type=numbers, default=(2, 31), help="the newest that may be asked for")
    given = options.parse_args()
    needs = {path: needed(path) for path in sorted(given.folder.rglob("*")) if is_elf(path)}
    if not needs:
        sys.exit(f"there is no ELF file in {given.folder}")
    newest = max(needs.values())
    print(f"{len(needs)} ELF files; the newest version asked for is GLIBC_{shown(newest)} (<= {shown(given.most)})")
    for path, version in needs.items():
        if version > given.most:
            print(f"  {path.relative_to(given.folder)}: GLIBC_{shown(version)}")
    return int(newest > given.most)


def is_elf(path):
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def needed(path):
    """The newest version of the C library that its loader will ask for."""
    said = subprocess.run(["objdump", "-p", str(path)], stdout=subprocess.PIPE, check=True, text=True).stdout
    wanted = VERSION.findall(said.partition("Version References:")[2])
    return max((numbers(one) if one[0].isdigit() else PACKED for one in wanted), default=(0,))


def numbers(version):
    return tuple(map(int, version.split(".")))


def shown(version):
    return ".".join(map(str, version))


if __name__ == "__main__":
    sys.exit(main())
