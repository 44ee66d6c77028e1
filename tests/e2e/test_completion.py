"""Completion in a real bash: commands of the core and of plugins, their options, and who is here."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.core.test_plugins_installed import TOY, install
from tests.e2e.commands_kit import BOUND, Shell
from tests.e2e.hubs import ROOT

PROMPT = "ready> "
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")


class Bash:
    """An interactive bash without anybody's own settings, in a folder with a hub of its own."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.shell = Shell(folder)
        environ = {
            **self.shell.environ,
            "PATH": f"{Path(sys.executable).parent}:{self.shell.environ['PATH']}",
            "PS1": PROMPT,
            "TERM": "dumb",
            "INPUTRC": "/dev/null",
            "HISTFILE": "",
            "XDG_CONFIG_HOME": str(folder / "config"),
            **more,
        }
        self.process = pexpect.spawn("bash", ["--norc", "--noprofile", "-i"], env=environ, cwd=str(self.shell.project),
                                     encoding="utf-8", timeout=BOUND, dimensions=(24, 200))  # fmt: skip
        self.process.expect_exact(PROMPT)
        self.type("bind 'set show-all-if-ambiguous on'; bind 'set enable-bracketed-paste off'\n")
        self.process.expect_exact(PROMPT)
        self.type('eval "$(_SYNAPSE_COMPLETE=bash_source synapse)"; echo sourced$((1))\n')
        self.process.expect_exact("sourced1")
        self.process.expect_exact(PROMPT)

    def type(self, text: str) -> None:
        self.process.send(text)

    def completes(self, line: str, *wanted: str) -> None:
        """A line with Tab behind it shows all of these, in whatever order; then the line is given up."""
        self.type(f"{line}\t")
        if len(wanted) == 1:
            self.process.expect_exact(f"{line.rpartition(' ')[0]} {wanted[0]} ")
        left = list(wanted) if len(wanted) > 1 else []
        while left:
            left.pop(self.process.expect([rf"{one}\s" for one in left]))
        self.type("\x03")
        self.process.expect_exact(PROMPT)

    def close(self) -> None:
        self.process.close(force=True)
        self.shell.stop_hub()


@pytest.fixture
def bash(tmp_path: Path) -> Iterator[Bash]:
    found = Bash(tmp_path)
    yield found
    found.close()


def test_commands_of_the_core_and_of_plugins_are_completed(bash: Bash) -> None:
    bash.completes("synapse broadc", "broadcast")
    bash.completes("synapse mem", "memory")
    bash.completes("synapse memory s", "save", "search", "show", "stats")
    bash.completes("synapse memory save --sup", "--supersedes")
    bash.completes("synapse config s", "set", "show")


def test_who_is_here_is_completed(bash: Bash) -> None:
    assert bash.shell.run("wait", "--from", "barbara", "--timeout", "0.1").returncode == 124
    bash.completes("synapse send barb", "barbara")


def test_what_a_plugin_adds_to_a_command_of_the_core_is_completed(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    install(site, "pad", TOY)
    bash = Bash(tmp_path, PYTHONPATH=f"{site}:{os.environ.get('PYTHONPATH', '')}:{ROOT}")
    try:
        bash.completes("synapse send bob hello --pa", "--pad")
        bash.completes("synapse pa", "pad")
    finally:
        bash.close()
