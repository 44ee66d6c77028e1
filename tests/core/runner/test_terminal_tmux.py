"""The model beside a terminal that others wrote: tmux shows the same text, with the cursor in the same place."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from synapse.runner.terminal import Terminal
from tests.core.runner import terminal_kit as kit

COLUMNS, ROWS = 60, 15
WITHIN = 20.0  # seconds
pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="not run: tmux is absent")


class Tmux:
    """A server of our own. A case is shown, then a question asked: its answer says that all of it was taken in."""

    def __init__(self, folder: Path) -> None:
        self._name = f"synapse-test-{uuid4().hex[:8]}"
        self._folder = folder
        (folder / "tmux.conf").write_text("set -g status off\nset -g remain-on-exit on\nset -g history-limit 2000\n")
        self.run("-f", str(folder / "tmux.conf"), "new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), "cat")

    def run(self, *arguments: str) -> str:
        command = ["tmux", "-L", self._name, "-u", *arguments]
        return subprocess.run(command, capture_output=True, check=True, timeout=WITHIN).stdout.decode()

    def show(self, output: bytes, columns: int = COLUMNS, rows: int = ROWS) -> None:
        case = self._folder / "case"
        case.write_bytes(output)
        ours = f"tmux -L {self._name}"
        script = (
            f"stty raw -echo; {ours} clear-history; cat {case}; printf '\\033[5n'; dd bs=1 count=4 >/dev/null 2>&1;"
            f" {ours} wait-for -S shown; exec cat"
        )
        self.run("resize-window", "-x", str(columns), "-y", str(rows))
        self.run("respawn-pane", "-k", script)
        self.run("wait-for", "shown")

    def lines(self, *since: str) -> list[str]:
        return [line.rstrip(" ") for line in self.run("capture-pane", "-p", *since).split("\n")[:-1]]

    def cursor(self) -> tuple[int, int]:
        row, column, width = map(
            int, self.run("display-message", "-p", "#{cursor_y} #{cursor_x} #{pane_width}").split()
        )
        return row, min(column, width - 1)

    def stop(self) -> None:
        self.run("kill-server")


@pytest.fixture(scope="module")
def tmux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tmux]:
    server = Tmux(tmp_path_factory.mktemp("tmux"))
    yield server
    server.stop()


FILLED = "".join(f"\x1b[{row + 1};1H{chr(65 + row) * COLUMNS}" for row in range(ROWS)) + "\x1b[6;11H"
# Left out, because tmux 3.3 goes its own way: CHT, HPR, VPR, DECSTR (none there), the column after IL and DL, halves of
# wide characters, invalid UTF-8, lines deleted outside the region, REP beyond the line.
CASES = {
    "lines": "".join(f"{n}\r\n" for n in range(100)),
    "long lines wrap": "word " * 100 + "\r\nnext\r\n" + "x" * COLUMNS + "\r\nafter a full line",
    "tabs": "a\tb\tc\r\n\x1b[3g\x1b[20G\x1bHx\r\ty\x1b[20G\x1b[g\r\tz",
    "tabs back": "\t\ta\x1b[Zb\x1b[2Zc",
    "carriage return": "hello\rJ\nx\by",
    "places": "\x1b[5;10Hhere\x1b[3dthere\x1b[7Gseven\x1b[2Eline\x1b[Fup\x1b[4`four",
    "places out of bounds": "\x1b[999;999Hx\x1b[0;0Hy\x1b[99Ca\x1b[99Db\x1b[99Bc\x1b[99Ad",
    "erase right": FILLED + "\x1b[K",
    "erase left": FILLED + "\x1b[1K",
    "erase line": FILLED + "\x1b[2K",
    "erase below": FILLED + "\x1b[J",
    "erase above": FILLED + "\x1b[1J",
    "erase all": FILLED + "\x1b[2Jx",
    "erase some": FILLED + "\x1b[7X",
    "erase with background": FILLED + "\x1b[44m\x1b[K\x1b[2;1H\x1b[2K\x1b[0mx",
    "insert characters": FILLED + "\x1b[5@new",
    "delete characters": FILLED + "\x1b[5P",
    "insert lines": FILLED + "\x1b[3L\rnew",
    "delete lines": FILLED + "\x1b[3M\rnew",
    "insert lines in a region": FILLED + "\x1b[4;9r\x1b[6;1H\x1b[2L\r",
    "scroll up": FILLED + "\x1b[3Sx",
    "scroll down": FILLED + "\x1b[3Tx",
    "scroll a region": FILLED + "\x1b[4;9r\x1b[9;1H\nnew\x1b[4;1H\x1bMback\x1b[2Sx",
    "scroll a region at the top": FILLED + "\x1b[1;9r\x1b[9;1H\n\n\nnew",
    "line feeds below a region": FILLED + "\x1b[4;9r\x1b[15;1H\n\n\nx",
    "moves stop at the region": FILLED + "\x1b[4;9r\x1b[5;5H\x1b[99Aa\x1b[99Bb",
    "moves out of the region": FILLED + "\x1b[4;9r\x1b[2;5H\x1b[99Aa\x1b[12;5H\x1b[99Bb",
    "region reset": FILLED + "\x1b[4;9r\x1b[r\x1b[15;1H\n\nx",
    "region of one line": FILLED + "\x1b[4;4r!",
    "region upside down": FILLED + "\x1b[9;4r!",
    "origin": FILLED + "\x1b[4;9r\x1b[?6h\x1b[1;1Ha\x1b[99;1Hb\x1b[3;3Hc\x1b[?6ld",
    "index": FILLED + "\x1b[15;5H\x1bDx\x1b[1;5H\x1bMy\x1bEz",
    "save and restore": "ab\x1b7\x1b[5;5Hx\x1b8c\x1b[s\x1b[9;9Hy\x1b[ud",
    "restore what was never saved": "\x1b[5;5H\x1b8x",
    "insert mode": "hello\x1b[3G\x1b[4hXY\x1b[4lZ",
    "no wrap": "\x1b[?7l" + "0123456789" * 8 + "\r\nx\x1b[?7h",
    "wrap waits": "x" * COLUMNS + "\x1b[KA\x1b[1;60HB\r\nC",
    "repeat": "ab\x1b[5b\r\n-\x1b[30b",
    "wide": "漢字かな" * 10 + "|\r\n한국어 🙂!",
    "wide over the edge": "x" * (COLUMNS - 1) + "漢y",
    "wide cut right": "漢字漢字\x1b[3Gx",
    "combining": "e\u0301a\u0300\u0301x",
    "alternate screen": "main\r\nscreen\x1b[?1049halternate\x1b[3;3Hx\x1b[?1049lback",
    "alternate screen stays": "main\x1b[?1049h\x1b[Hin front\x1b[?1049h twice",
    "alternate screen scrolls": "main\x1b[?1049h" + "".join(f"{n}\r\n" for n in range(50)),
    "decaln": "x\x1b#8\x1b[3;3H ",
    "strings are not shown": "a\x1bPq#0;2;0;0;0\x1b\\b\x1b_Gf=1;AAAA\x1b\\c\x1b^pm\x1b\\d\x1bXsos\x1b\\e\x1b]0;t\ag",
    "private colours": "a\x1b[>4;2mb\x1b[?4mc\x1b[=1;1ud\x1b[<ue\x1b[>1uf",
    "colons": "a\x1b[4:3mb\x1b[38:2::1:2:3mc\x1b[58:5:1md\x1b[58;2;1;2;3me",
    "control in a sequence": "abc\x1b[2\bDx\x1b[1\r1Cy",
    "sequence broken off": "a\x1b[3\x1b[5Gb\x1b[1\x18c\x1b[2\x1ad",
    "string broken off": "a\x1b]0;title\x18b",
    "full reset": FILLED + "\x1b[4;9r\x1bcx",
    "unknown sequences": "a\x1b[5;5zb\x1b[3~c\x1b[1 Ad\x1b#3e\x1b%Gf\x1b*Bg",
    "c1 in utf-8": "a\u009b5Cb\u0085c\u0090dd\u009ce",
}


@pytest.mark.parametrize("name", CASES)
def test_tmux_shows_the_same(tmux: Tmux, name: str) -> None:
    output = CASES[name].encode()
    tmux.show(output)
    terminal = kit.shown(output, COLUMNS, ROWS)
    assert terminal.lines() == tmux.lines()
    assert terminal.cursor == tmux.cursor()


@pytest.mark.parametrize("name", kit.recordings())
def test_tmux_shows_the_same_recording(tmux: Tmux, name: str) -> None:
    made = kit.recording(name)
    terminal = Terminal(made.columns, made.rows)
    tmux.show(terminal.write(made.output), made.columns, made.rows)  # without the queries, which tmux would answer
    assert terminal.advance(60)
    assert terminal.lines() == tmux.lines()
    assert terminal.cursor == tmux.cursor()


def test_tmux_keeps_the_same_history(tmux: Tmux) -> None:
    output = b"".join(b"line %d\r\n" % number for number in range(500))
    tmux.show(output)
    terminal = kit.shown(output, COLUMNS, ROWS)
    assert terminal.history() + terminal.lines() == tmux.lines("-S", "-")
