"""What it costs to look at a program through runner and attach, measured against the same program on a bare terminal.

    python tests/load/attach.py

Prints one line per measurement with its bar; the exit status is 1 if a bar is missed.
"""

import os
import pty
import re
import select
import statistics
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.core.runner.attached import Agents

KEYS = 1000
ECHO = "import os, tty; tty.setraw(0); os.write(1, b'go')\nwhile d := os.read(0, 99): os.write(1, d)"
PROMPT = "for i in $(seq 1 6000); do echo \"line $i $(printf '%0100d' $i)\"; done; printf 'prompt> '; exec cat"


class Bare:
    """A program on a pseudo-terminal, and as little as possible around it."""

    def __init__(self, argv: list[str], columns: int = 200, rows: int = 60) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            termios.tcsetwinsize(0, (rows, columns))
            os.execvp(argv[0], argv)
        os.set_inheritable(self.fd, False)  # else the next program would keep this terminal open

    def until(self, text: bytes) -> bytes:
        seen = b""
        while text not in seen[-len(text) - 65536 :]:
            if not select.select([self.fd], [], [], 20)[0]:
                raise SystemExit(f"{text!r} did not come, only {seen[-500:]!r}")
            seen += os.read(self.fd, 65536)
        return seen

    def drain(self) -> int:
        """Read to the end: how many bytes that were."""
        count = 0
        try:
            while data := os.read(self.fd, 65536):
                count += len(data)
        except OSError:
            pass
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        return count

    def key(self) -> float:
        """One key and its echo, in milliseconds."""
        begun = time.perf_counter()
        os.write(self.fd, b"k")
        os.read(self.fd, 4096)
        return (time.perf_counter() - begun) * 1000

    def stop(self) -> None:
        os.close(self.fd)
        os.waitpid(self.pid, 0)


class Report:
    """The table that is printed."""

    def __init__(self) -> None:
        self.missed = 0

    def line(self, what: str, value: float, unit: str, bar: str = "") -> None:
        met = not bar or {"<": value <= float(bar[1:]), ">": value >= float(bar[1:])}[bar[0]]
        self.missed += not met
        verdict = f"bar {bar[0]}= {bar[1:]} {unit}: {'met' if met else 'MISSED'}" if bar else ""
        print(f"{what:58} {value:10.3f} {unit:6} {verdict}", flush=True)


def main() -> int:
    report = Report()
    with TemporaryDirectory(prefix="syn") as folder:
        agents = Agents(Path(folder))
        try:
            for measure in (latency, flood, interrupt, restore, idle):
                measure(agents, report)
        finally:
            agents.close()
    return int(report.missed > 0)


def _run(agents: Agents, *command: str) -> tuple[Bare, Path]:
    path = agents.path()
    return Bare([*agents.command("run", path), "--", *command]), path


def latency(agents: Agents, report: Report) -> None:
    echo = [sys.executable, "-c", ECHO]
    bare, (attached, _) = Bare(echo), _run(agents, *echo)
    bare.until(b"go")
    attached.until(b"go")
    pairs = [(bare.key(), attached.key()) for _ in range(KEYS)][KEYS // 10 :]
    direct, through = (sorted(times) for times in zip(*pairs, strict=True))
    for name, place in (("p50", 0.5), ("p95", 0.95)):
        at = int(len(direct) * place)
        report.line(f"key and echo, {name}, bare terminal", direct[at], "ms")
        report.line(f"key and echo, {name}, through attach", through[at], "ms")
        report.line(f"added per key, {name}", through[at] - direct[at], "ms", "<2" if name == "p50" else "")
    bare.stop()
    attached.stop()


def flood(agents: Agents, report: Report) -> None:
    speeds: dict[str, list[float]] = {"bare": [], "attach": []}
    for _ in range(3):
        for way in speeds:
            command = ["sh", "-c", "printf begin; exec seq 1 300000"]
            glass = Bare(command) if way == "bare" else _run(agents, *command)[0]
            glass.until(b"begin")
            begun = time.perf_counter()
            count = glass.drain()
            speeds[way].append(count / (time.perf_counter() - begun) / 1e6)
    report.line("flood `seq 1 300000`, bare terminal", statistics.median(speeds["bare"]), "MB/s")
    report.line("flood `seq 1 300000`, through attach", statistics.median(speeds["attach"]), "MB/s", ">5")


def interrupt(agents: Agents, report: Report) -> None:
    times = []
    for _ in range(5):
        glass, _ = _run(agents, "yes", "an endless flood of text")
        _read_for(glass, 0.7)
        begun = time.perf_counter()
        os.write(glass.fd, b"\x03")
        glass.drain()
        times.append((time.perf_counter() - begun) * 1000)
    report.line("Ctrl-C during `yes` until all is over, worst of 5", max(times), "ms", "<100")


def _read_for(glass: Bare, seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        os.read(glass.fd, 65536)


def restore(agents: Agents, report: Report) -> None:
    path = agents.serve("bash", "-c", PROMPT, size="200x60")
    times = []
    for turn in range(6):
        begun = time.perf_counter()
        glass = Bare(agents.command("attach", path))
        glass.until(b"prompt>")
        if turn:  # the first one waits for the program
            times.append((time.perf_counter() - begun) * 1000)
        os.write(glass.fd, b"\x1c")
        glass.drain()
    report.line("attach until the whole screen is there, median of 5", statistics.median(times), "ms", "<150")
    bare = [_time(lambda: subprocess.run([sys.executable, "-c", ""], check=True)) for _ in range(5)]
    report.line("  of that, the start of Python", statistics.median(bare), "ms")
    runner, _ = agents.pids(path)
    report.line("private memory of the runner, 200x60, 5,000 lines", _private(runner), "MB")


def _time(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1000


def idle(agents: Agents, report: Report) -> None:
    glass, path = _run(agents, "cat")
    os.write(glass.fd, b"ready\r")
    glass.until(b"ready\r\nready")
    _read_nothing(glass)
    runner, _ = agents.pids(path)
    before = _switches(runner), _switches(glass.pid)
    seconds = 10
    time.sleep(seconds)
    report.line("wake-ups of the idle runner", (_switches(runner) - before[0]) / seconds, "/s", "<0.5")
    report.line("wake-ups of the idle attach", (_switches(glass.pid) - before[1]) / seconds, "/s", "<0.5")
    glass.stop()


def _read_nothing(glass: Bare) -> None:
    while select.select([glass.fd], [], [], 0.3)[0]:
        os.read(glass.fd, 65536)


def _switches(pid: int) -> int:
    """On macOS there is no /proc: 0."""
    try:
        found = re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _private(pid: int) -> float:
    try:
        rolled = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return sum(int(size) for size in re.findall(r"Private_\w+:\s*(\d+) kB", rolled)) / 1000


if __name__ == "__main__":
    sys.exit(main())
