"""A house for one real agent program: a stub of its model, a home folder and a project of its own, a hub."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from synapse.runner.profile import BUILT_IN
from tests.core.runner.attached import Glass
from tests.e2e.agents_kit import House
from tests.e2e.hubs import ROOT, SYNAPSE, free_port, until
from tests.real.programs import PLACE, PROGRAMS, Program

REMINDER = "\n\n# *SEARCH/REPLACE block* Rules:"  # what aider says to its model behind a person's words
BIN = Path(sys.executable).parent  # where `synapse` is
COUNT = int(os.environ.get("SYNAPSE_REAL_COUNT", "0"))  # texts in the long runs; 0: those are left out


def real(name: str) -> list[pytest.MarkDecorator]:
    """The marks of the tests of one program: they run where it is, and elsewhere say that they were not run."""
    missing = PROGRAMS[name].missing
    return [pytest.mark.real, pytest.mark.timeout(300), pytest.mark.skipif(bool(missing), reason=missing)]


class Stub:
    """The model, as a process of its own on a port of its own; it writes down what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.toolless = False  # does the program give its model no tools?
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._log = folder / "stub.jsonl"
        self._log.touch()
        words = [sys.executable, "-m", "tests.real.stub_llm", "--port", str(self.port), "--log", str(self._log)]
        self._process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL)
        until(self._answers)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.base, timeout=1):
                return True
        except OSError:
            return False

    def notes(self, what: str = "asked") -> list[dict[str, Any]]:
        """What it wrote down: `asked`, `answered`, `hung up`, `other`."""
        lines = self._log.read_text().splitlines(keepends=True)
        found = (json.loads(line) for line in lines if line.endswith("\n"))
        return [note for note in found if note["what"] == what]

    def asked(self, token: str) -> list[str]:
        """The words of each request of the conversation itself whose last words hold the token."""
        notes = (note for note in self.notes() if (self.toolless or not note["hidden"]) and note["result"] is None)
        return [note["asked"].partition(REMINDER)[0] for note in notes if token in note["asked"]]

    def answered(self, token: str) -> float:
        """When the answer with that token had gone out."""
        return float(next(note["at"] for note in reversed(self.notes("answered")) if token in note["answer"]))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


class RealHouse(House):
    """Agents of one real program; its home folder and its project lie beside the data folder, outside of /tmp if
    `SYNAPSE_REAL_TMP` says where (some programs treat what lies below the temporary folder in another way; where their data
    folder lies says `TMPDIR`, which they do not see)."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.program_of = PROGRAMS[name]
        self.before: dict[str, bytes] = {}
        self.place = Path(tempfile.mkdtemp(prefix="real-", dir=os.environ.get("SYNAPSE_REAL_TMP")))
        self.repo, self.home = self.place / "repo", self.place / "home"
        for folder in (self.repo, self.home):
            folder.mkdir()
        subprocess.run(["git", "init", "-q", str(self.repo)], check=True)
        self.stub = Stub(self.place)
        self.stub.toolless = name == "aider"
        self.env.pop("TMPDIR", None)
        self._furnish(self.program_of)

    def _furnish(self, program: Program) -> None:
        def filled(text: str) -> str:
            return text.replace("@BASE@", self.stub.base).replace("@REPO@", str(self.repo))

        for name, text in program.files.items():
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(filled(text))
        self.env |= {name: filled(text) for name, text in program.env.items()}
        places = [program.path.parent, Path(PLACE, "bin"), BIN, *self.env["PATH"].split(":")]
        self.env |= {
            "PATH": ":".join(map(str, places)),
            "HOME": str(self.home),
            "COLORTERM": "truecolor",
            "DO_NOT_TRACK": "1",
            "NO_UPDATE_NOTIFIER": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        (self.home / ".bash_profile").write_text(f"export PATH={shlex.quote(self.env['PATH'])}\n")  # of login shells

    def snapshot(self) -> dict[str, bytes]:
        """The person's settings as the program finds them: to see that they stay as they are."""
        return {name: (self.home / name).read_bytes() for name in self.program_of.files}

    def real(self, name: str = "bob", *more: str, options: Sequence[str] = (), ready: bool = True) -> dict[str, Any]:
        """An agent of the program, in its project, in the background; `more` are words for the program."""
        words = ["start", "--json", "--name", name, *options, self.program_of.name, *more]
        done = self.synapse(*words, cwd=self.repo, timeout=60)
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        self.processes |= {told["pid"], told["child_pid"]}
        if ready:
            self.becomes(name, "READY", seconds=self.program_of.ready)
        return told

    def seat(self, *words: str, name: str = "bob", columns: int = 120, rows: int = 40, ready: bool = True) -> Glass:
        """A person who runs the program in a terminal of that size; `words` are for the program."""
        settings = {"PWD": str(self.repo), "TERM": "xterm-256color"}
        program = ["env", "-C", str(self.repo), *SYNAPSE]
        glass = self.glass("run", "--name", name, self.program_of.name, *words, columns=columns, rows=rows, env=settings,
                           program=program)  # fmt: skip
        if ready:
            until(lambda: name in self.names(), 30)
            self.becomes(name, "READY", seconds=self.program_of.ready)
        return glass

    def by_screen(self) -> None:
        """The person has a profile of their own for the program, by which only its screen tells what it does."""
        tables = tomlkit.parse((BUILT_IN / f"{self.program_of.name}.toml").read_text())
        for told in ("trust", "start", "stream", "session", "signal"):
            tables.pop(told, None)
        tables["answer"].remove("record")
        mine = self.home / ".config" / "synapse" / "profiles" / f"{self.program_of.name}.toml"
        mine.parent.mkdir(parents=True)
        mine.write_text(f"signals = []\n{tomlkit.dumps(tables)}")

    @property
    def glasses(self) -> list[Glass]:
        """The terminals that people sit at."""
        return self._glasses

    def within(self, what: Callable[[], Any], seconds: float) -> float:
        """How long it took until it was true."""
        began = time.monotonic()
        until(what, seconds)
        return time.monotonic() - began

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.stub.close()
            shutil.rmtree(self.place, ignore_errors=True)


@contextmanager
def lived_in(name: str) -> Iterator[RealHouse]:
    """A house with one agent of the program, a person before it, and what it loads at first loaded."""
    house = RealHouse(name)
    house.before = house.snapshot()
    try:
        house.seat()
        house.send("bob", "PING first", timeout=150)
        yield house
    finally:
        house.close()


def house_of(name: str) -> Any:
    """A fixture `house` for the tests of one program in a module."""

    @pytest.fixture(scope="module", name="house")
    def made() -> Iterator[RealHouse]:
        with lived_in(name) as house:
            yield house

    return made
