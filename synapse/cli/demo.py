"""`demo`: the main job, for real: two agents in pseudo-terminals, a question, and the answer that comes back."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from synapse import paths
from synapse.cli.command import Command
from synapse.errors import Unavailable

QUESTION = "ask bob what 6*7 is"
WITHIN = 45  # seconds for the whole of it


def demo() -> int:
    """Run the demonstration in a folder of its own; nothing of it stays."""
    folder = tempfile.mkdtemp(prefix="synapse-demo-")
    stage = Stage(Path(folder))
    try:
        return stage.play()
    finally:
        stage.clear()


class Stage:
    """A hub and two agents with a data folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._project = folder / "project"
        self._project.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SYNAPSE_")}
        self._env = {**kept, "SYNAPSE_DATA": str(folder / "data"), "SYNAPSE_PORT": str(_free_port())}
        self._agents: list[str] = []

    def play(self) -> int:
        _say("Two demo agents start, each in a terminal of its own.")
        for name in ("alice", "bob"):
            self._run("start", "--name", name, "demo", "--answer", "reply")
        _say("A person asks alice, who has to ask bob.")
        answer = self._run("send", "alice", QUESTION, "--wait", "--timeout", str(WITHIN - 10))
        _say("What they look like now, what was asked and answered, and the last things in the log.")
        self._run("list", "--plain")
        self._run("history")
        self._run("events", "tail", "-n", "12")
        keys = self._keys()
        self._run("stop", "alice", "bob")
        for name, key in keys.items():
            _say(f"The terminal of {name}, as it was:")
            print((self._folder / "data" / "logs" / f"{key}.txt").read_text().rstrip(), end="\n\n")
        self._run("serve", "--stop")
        told = "42" in answer
        _say("The answer came back." if told else f"The answer is not the one expected: {answer!r}.")
        return 0 if told else 1

    def _keys(self) -> dict[str, str]:
        from json import loads

        listed = loads(self._quietly("list", "--json"))
        rows = listed["agents"] if isinstance(listed, dict) else listed
        return {row["name"]: row["key"] for row in rows}

    def _run(self, *words: str) -> str:
        """One command, shown as a person would type it, and what it prints."""
        shown = " ".join(word if " " not in word else f'"{word}"' for word in words)
        print(f"$ synapse {shown}", flush=True)
        output = self._quietly(*words)
        print(output.rstrip(), end="\n\n", flush=True)
        return output

    def _quietly(self, *words: str) -> str:
        done = subprocess.run(
            [*paths.program(), *words], cwd=self._project, env=self._env, capture_output=True, text=True, timeout=WITHIN
        )
        if done.returncode:
            raise Unavailable(
                "demo_failed", f"`synapse {' '.join(words)}` ended with {done.returncode}: {done.stderr.strip()}"
            )
        return done.stdout

    def clear(self) -> None:
        """End what is still there, and leave no file behind."""
        for words in (("kill", "-f", "alice", "bob"), ("serve", "--stop")):
            subprocess.run(
                [*paths.program(), *words], cwd=self._project, env=self._env, capture_output=True, timeout=WITHIN
            )
        shutil.rmtree(self._folder, ignore_errors=True)


def _say(text: str) -> None:
    print(f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() else f"-- {text}", flush=True)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


COMMANDS = (
    Command(
        "demo", demo, "Two demo agents talk: a tour of a minute that leaves nothing behind.", example="synapse demo"
    ),
)
