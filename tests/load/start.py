"""What a command's start costs, in a venv, frozen, and as the one file, against an interpreter that does nothing.

.venv/bin/python tests/load/start.py [--rounds 40]        (`make binary` first, for what is frozen)

Bars: client verbs <= 2.5 x `python -I -c pass` in processor time (medians, interleaved); `--help` <= 200 ms; the one
file's head <= 5 ms more than the program behind it.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.e2e.hubs import free_port
from tests.load import kit

BIN = Path(sys.executable).parent
PROGRAMS = {
    "venv": BIN / "synapse",
    "frozen": kit.ROOT / "build" / "binary" / "dist" / "synapse" / "synapse",
    "one file": kit.ROOT / "dist" / "synapse",
}
VERBS = (("send", "me", "hello", "--silent"), ("who",), ("inbox", "--limit", "1"), ("status", "--json"))
HELP = ("--help",)
TIMES, HELP_MS, HEAD_MS = 2.5, 200.0, 5.0


def once(words: list[str], environ: dict[str, str]) -> tuple[float, float]:
    """Milliseconds of the processor and of the clock for one process."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, env=environ, check=True, stdout=subprocess.DEVNULL)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000, took * 1000


class Cost:
    """Milliseconds of one line: the medians of processor and clock, and the least on the clock."""

    def __init__(self, found: list[tuple[float, float]]) -> None:
        self.cpu, self.wall = (statistics.median(each) for each in zip(*found, strict=True))
        self.least = min(wall for _, wall in found)


def measured(lines: dict[str, list[str]], environ: dict[str, str], rounds: int) -> dict[str, Cost]:
    """What each line costs, all of them in turn so that each meets the same machine."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in lines}
    for number in range(rounds + 2):
        for name, words in lines.items():
            one = once(words, environ)
            if number >= 2:
                found[name].append(one)
    return {name: Cost(each) for name, each in found.items()}


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=40)
    rounds = options.parse_args().rounds
    programs = {name: path for name, path in PROGRAMS.items() if path.exists()}
    for name in PROGRAMS.keys() - programs.keys():
        print(f"not run: {name} ({PROGRAMS[name].relative_to(kit.ROOT)} is not there; `make binary` makes it)")
    with tempfile.TemporaryDirectory() as folder:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SYNAPSE_")}
        environ |= {"SYNAPSE_DATA": f"{folder}/data", "SYNAPSE_PORT": str(free_port()), "XDG_CACHE_HOME": folder}
        lines = {"python": [str(BIN / "python"), "-I", "-c", "pass"]}
        lines |= {f"{name}: {' '.join(verb)}": [str(path), *verb] for name, path in programs.items() for verb in VERBS}
        helps = {f"{name}: --help": [str(path), *HELP] for name, path in programs.items()}
        once([str(PROGRAMS["venv"]), *VERBS[0]], environ)  # starts the hub
        try:
            found = measured(lines, environ, rounds)
            helped = measured(helps, environ, max(5, rounds // 4))
        finally:
            subprocess.run([PROGRAMS["venv"], "serve", "--stop"], env=environ, stdout=subprocess.DEVNULL, check=True)
    return shown(found, helped)


def shown(found: dict[str, Cost], helped: dict[str, Cost]) -> int:
    base = found.pop("python")
    table = kit.Table(
        f"Starts; `python -I -c pass` takes {base.cpu:.1f} ms of the processor, {base.wall:.1f} on the clock"
    )
    for name, cost in found.items():
        # The one file is a shell and then the program: its bar is what the shell adds.
        bar = None if name.startswith("one file") else TIMES
        note = f"{cost.cpu:.1f} ms, {cost.wall:.1f} on the clock"
        table.row(name, cost.cpu / base.cpu, "x python", most=bar, note=note)
    for name, cost in helped.items():
        table.row(name, cost.wall, "ms", most=HELP_MS, note=f"processor {cost.cpu:.0f} ms")
    verbs = [" ".join(verb) for verb in VERBS]
    if {f"frozen: {verbs[0]}", f"one file: {verbs[0]}"} <= found.keys():
        heads = [found[f"one file: {verb}"].least - found[f"frozen: {verb}"].least for verb in verbs]
        table.row("the one file's head, on the clock", statistics.median(heads), "ms", most=HEAD_MS)
    return 1 if table.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
