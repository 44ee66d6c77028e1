"""Records line readers on real pseudo-terminals: `python -m tests.core.runner.lines` writes `tests/screens/*-lines.cast.gz`.

Beside what they write (`o`) it keeps line mode, echo and foreground (`x`), and what was entered (`m`).
"""

import gzip
import json
import os
import pty
import select
import termios
import time
from typing import Any

from tests.core.runner.casts import SCREENS

COUNTED = "with recursive n(x) as (select 1 union all select x + 1 from n limit 9000000) select count(*) from n;"
SCENES: dict[str, tuple[list[str], list[tuple[str, float]]]] = {  # what is entered, and seconds to look at it
    "bash": (
        ["bash", "--norc", "--noprofile"],
        [
            ("echo hi\r", 1.2),
            ("read -p 'Name? ' name\r", 5),
            ("Ada\r", 1.2),
            ("read -sp 'Password: ' secret; echo\r", 1.5),
            ("12345\r", 1.2),
            (r"for i in 20 40 60 80 100; do printf '\rDone: %3d%%' $i; sleep 0.8; done; echo" + "\r", 5.5),
            ("sleep 6\r", 7.5),
            ("seq 100 | less\r", 4.5),
            ("q", 1.2),
            ("cat alike.txt\r", 4.5),
        ],
    ),
    "python3": (
        ["python3", "-q"],
        [
            ("1 + 1\r", 1.2),
            ("import time; time.sleep(5)\r", 6.5),
            ("name = input('Name? ')\r", 4.5),
            ("Ada\r", 1.2),
            ("import getpass; secret = getpass.getpass()\r", 1.5),
            ("12345\r", 1.2),
            ("for i in range(5): print(f'\\rDone: {i}', end='', flush=True); time.sleep(0.8)\r", 1.0),
            ("\r", 5.5),
            ("print(open('alike.txt').read())\r", 4.5),
        ],
    ),
    "sqlite3": (
        ["sqlite3"],
        [("select 1;\r", 1.2), (COUNTED + "\r", 9), ("select\r", 4.5), ("2;\r", 1.2), (".shell sleep 5\r", 6.5)],
    ),
}


class Recorder:
    """One program; `events` are those of an asciicast."""

    def __init__(self, argv: list[str]) -> None:
        self.events: list[tuple[float, str, Any]] = []
        self._began = time.monotonic()
        self._state: dict[str, bool] = {}
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(SCREENS)
            env = {
                "PATH": os.environ["PATH"],
                "TERM": "xterm-256color",
                "PS1": "$ ",
                "LANG": "C.UTF-8",
                "HOME": "/nonexistent",
            }
            os.execvpe(argv[0], argv, env)
        termios.tcsetwinsize(self._fd, (24, 80))

    def note(self, kind: str, what: Any) -> None:
        self.events.append((round(time.monotonic() - self._began, 3), kind, what))

    def look(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            readable = select.select([self._fd], [], [], 0.005)[0]
            if readable:
                self.note("o", os.read(self._fd, 65536).decode())
            modes = termios.tcgetattr(self._fd)[3]
            own = os.tcgetpgrp(self._fd) == self._pid
            state = {"canonical": bool(modes & termios.ICANON), "echo": bool(modes & termios.ECHO), "own": own}
            if state != self._state:
                self._state = state
                self.note("x", json.dumps(state))

    def enter(self, text: str) -> None:
        self.note("m", text)
        os.write(self._fd, text.encode())

    def close(self) -> None:
        os.close(self._fd)
        os.waitpid(self._pid, 0)


def record(program: str) -> None:
    argv, steps = SCENES[program]
    recorder = Recorder(argv)
    recorder.look(2)
    for text, seconds in steps:
        recorder.enter(text)
        recorder.look(seconds)
    recorder.close()
    header = {"version": 2, "width": 80, "height": 24, "title": program}
    lines = [json.dumps(header), *(json.dumps(event, ensure_ascii=False) for event in recorder.events)]
    (SCREENS / f"{program}-lines.cast.gz").write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


if __name__ == "__main__":
    for program in SCENES:
        record(program)
