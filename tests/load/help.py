"""How long the help takes, with every plugin that is installed.

.venv/bin/python tests/load/help.py [--rounds 21]
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.load import kit

SYNAPSE = Path(sys.executable).with_name("synapse")
LINES = {"synapse --help": 200.0, "synapse memory --help": 200.0, "synapse who --help": 200.0}


def once(words: list[str]) -> tuple[float, float]:
    """Milliseconds on the clock and of the processor."""
    before, began = os.times(), time.perf_counter()
    subprocess.run([SYNAPSE, *words], stdout=subprocess.DEVNULL, check=True)
    took, after = time.perf_counter() - began, os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return took * 1000, spent * 1000


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=21)
    rounds = options.parse_args().rounds
    table = kit.Table("The help, with all plugins")
    for line, most in LINES.items():
        found = [once(line.split()[1:]) for _ in range(rounds)]
        took, spent = (statistics.median(each) for each in zip(*found, strict=True))
        table.row(f"{line}, median", took, "ms", most=most, note=f"(processor {spent:.0f} ms)")
    return 1 if table.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
