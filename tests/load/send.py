"""What `synapse send` costs: CPU and wall against an interpreter that does nothing, interleaved on this machine.

Bar: median CPU (user + system, of the whole process) <= 2.5 x `python -I -c pass`.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = int(os.environ.get("RUNS", "60"))
BAR = 2.5
BIN = Path(sys.executable).parent


def cost(words: list[str], environ: dict[str, str]) -> tuple[float, float]:
    """CPU and wall seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(words, env=environ, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> int:
    with tempfile.TemporaryDirectory() as data:
        environ = {**os.environ, "SYNAPSE_DATA": data, "SYNAPSE_PORT": "18876"}
        for name in ("SYNAPSE_AGENT_ID", "SYNAPSE_SOCKET", "SYNAPSE_URL"):
            environ.pop(name, None)
        synapse = str(BIN / "synapse")
        commands = {
            "python -I -c pass": [str(BIN / "python"), "-I", "-c", "pass"],
            "synapse send": [synapse, "send", "me", "hello", "--silent"],
            "synapse who": [synapse, "who"],
            "synapse inbox --limit 1": [synapse, "inbox", "--limit", "1"],
        }
        subprocess.run(commands["synapse send"], env=environ, check=True, stdout=subprocess.DEVNULL)  # starts the hub
        try:
            costs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
            for run in range(RUNS + 3):
                for name, words in commands.items():
                    one = cost(words, environ)
                    if run >= 3:
                        costs[name].append(one)
        finally:
            subprocess.run([synapse, "serve", "--stop"], env=environ, check=True, stdout=subprocess.DEVNULL)
    base = statistics.median(cpu for cpu, _ in costs["python -I -c pass"])
    print(f"{'':26}{'CPU ms':>8}{'x':>7}{'wall ms':>9}   medians of {RUNS}, interleaved")
    for name, found in costs.items():
        cpu, wall = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{name:26}{cpu * 1000:8.2f}{cpu / base:7.2f}{wall * 1000:9.2f}")
    ratio = statistics.median(cpu for cpu, _ in costs["synapse send"]) / base
    print(f"synapse send / python -I -c pass: {ratio:.2f} (bar {BAR})")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
