"""How fast the terminal model is, and how much memory it keeps. Run: python tests/load/terminal.py

Every flood is fed in pieces of 4 kB, as a pseudo-terminal gives them, through both ways: the viewers' cut and the model.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from synapse.runner.terminal import Terminal  # noqa: E402

PIECE = 4096
ENOUGH = 2_000_000
PLAIN_BAR, RECORDED_BAR = 5.0, 0.8  # MB/s


def seq(last: int) -> bytes:
    return b"".join(b"%d\r\n" % number for number in range(1, last + 1))


def text_lines(count: int) -> bytes:
    line = b"The quick brown fox jumps over the lazy dog, and then it does so again, as foxes do all the day: %05d"
    return b"".join(line % number + b"\r\n" for number in range(count))


def recording(path: Path) -> tuple[int, int, bytes]:
    header, *events = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return header["width"], header["height"], "".join(e[2] for e in events if e[1] == "o").encode()


def measure(columns: int, rows: int, data: bytes) -> tuple[float, float]:
    """MB/s of both ways together, and of the cut alone."""
    data *= max(1, ENOUGH // len(data))
    pieces = [data[i : i + PIECE] for i in range(0, len(data), PIECE)]
    terminal = Terminal(columns, rows)
    start = time.perf_counter()
    for piece in pieces:
        terminal.write(piece)
        while not terminal.advance():
            pass
    both = time.perf_counter() - start
    terminal = Terminal(columns, rows)
    start = time.perf_counter()
    for piece in pieces:
        terminal.write(piece)
    return len(data) / both / 1e6, len(data) / (time.perf_counter() - start) / 1e6


MEMORY = """
import sys
def private():
    with open('/proc/self/smaps_rollup') as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith('Private'))
bare = private()
from synapse.runner.terminal import Terminal
imported = private()
terminal = Terminal(200, 60)
styled = len(sys.argv) > 1
for number in range(6000):
    line = b'%05d ' % number + b'x' * 190
    if styled:
        line = b'\\x1b[1m' + line[:40] + b'\\x1b[0;38;5;208m' + line[40:] + b'\\x1b[0m'
    terminal.write(line + b'\\r\\n')
    terminal.advance(1)
assert len(terminal.history()) == 5000
print(bare, imported, private())
"""


def memory(*arguments: str) -> list[int]:
    command = [sys.executable, "-c", MEMORY, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def main() -> int:
    failed = False
    print(f"{'flood':28} {'MB/s':>7} {'cut only':>9} {'bar':>6}")
    floods = {"seq 1 300000": (120, 40, seq(300_000)), "100 columns of text": (120, 40, text_lines(20_000))}
    floods |= {path.stem: recording(path) for path in sorted((ROOT / "tests/screens").glob("*.cast"))}
    for name, (columns, rows, data) in floods.items():
        bar = RECORDED_BAR if "-" in name else PLAIN_BAR
        both, cut = measure(columns, rows, data)
        failed |= both < bar
        print(f"{name:28} {both:7.2f} {cut:9.1f} {bar:6.1f}{'' if both >= bar else '  MISSED'}")
    print(f"\n{'private memory, kB':28} {'bare':>7} {'imports':>9} {'model':>7}   (200x60, 5,000 lines)")
    for name, arguments in (("plain", []), ("three styles a line", ["styled"])):
        bare, imported, full = memory(*arguments)
        print(f"{name:28} {bare:7} {imported - bare:9} {full - imported:7}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
