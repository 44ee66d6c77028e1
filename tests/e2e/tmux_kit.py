"""A tmux server of our own, with a shell in it: what a person at a real terminal sees and types."""

import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest

PATIENCE = 20.0  # seconds
needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="not run: tmux is absent")


class Tmux:
    """One window with a shell."""

    def __init__(self, folder: Path, environ: Mapping[str, str], *, columns: int = 100, rows: int = 24) -> None:
        self._name = f"synapse-test-{uuid4().hex[:8]}"
        self.environ = {**environ, "TMUX_TMPDIR": str(folder), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        (folder / "bashrc").write_text("PS1='%> '\n")
        conf = folder / "tmux.conf"
        conf.write_text("set -g status off\nset -g escape-time 0\nset -g default-terminal tmux-256color\n")
        self.run(
            "-f", str(conf), "new-session", "-d", "-c", str(folder), "-x", str(columns), "-y", str(rows),
            f"exec bash --rcfile {folder / 'bashrc'}",
        )  # fmt: skip

    def run(self, *arguments: str) -> str:
        command = ["tmux", "-L", self._name, "-u", *arguments]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, env=self.environ, check=False)
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout.decode()

    def keys(self, *keys: str) -> None:
        """Keys by tmux's names (`Enter`, `C-c`, `Up`)."""
        self.run("send-keys", *keys)

    def type(self, text: str) -> None:
        self.run("send-keys", "-l", text)

    def screen(self, *, colours: bool = False) -> str:
        return self.run("capture-pane", "-p", *(["-e"] if colours else []))

    def shows(self, *texts: str, gone: str = "", colours: bool = False) -> str:
        """The screen, once all of these stand in it and `gone` does not."""
        end = time.monotonic() + PATIENCE
        while True:
            screen = self.screen(colours=colours)
            if all(text in screen for text in texts) and not (gone and gone in screen):
                return screen
            assert time.monotonic() < end, f"{texts} (without {gone!r}) in:\n{screen}"
            time.sleep(0.05)

    def resize(self, columns: int, rows: int) -> None:
        self.run("resize-window", "-x", str(columns), "-y", str(rows))

    def stop(self) -> None:
        self.run("kill-server")
