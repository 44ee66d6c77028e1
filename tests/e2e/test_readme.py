"""The README's commands, run as they stand there; the demo agent plays the programs that it names."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from synapse.runner.profile import BUILT_IN
from tests.e2e.agents_kit import House

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    house.serve("--background")
    try:
        yield house
    finally:
        house.close()


def commands() -> list[list[str]]:
    lines = [line.partition("  #")[0] for line in re.findall(r"^\$ (.*)$", README, re.MULTILINE)]
    return [shlex.split(line.partition(" # ")[0]) for line in lines]


def test_the_commands_of_the_readme_do_what_it_says(house: House) -> None:
    as_demo = (BUILT_IN / "demo.toml").read_text()
    for program in ("claude", "codex"):
        house.profile(program, as_demo)
    for words in commands():
        if words[0] == "curl" and shutil.which("curl") is None:
            continue  # the HTTP page's examples are run by a test of their own
        if words[0] == "curl":
            words = [word.replace(":8876/", f":{house.port}/") for word in words[1:]]
            said = subprocess.run(["curl", *words], capture_output=True, text=True, check=True, timeout=30).stdout
            assert '"task_id":"t-' in said.replace(" ", "")
        elif words[1] == "run":
            house.glass(*words[1:], columns=100, rows=30).shows("demo - ? for help")
            house.becomes(words[3], "READY")
        else:
            done = house.synapse(*words[1:])
            assert done.returncode == 0, (words, done.stderr)
            if words[1] == "send":
                assert done.stdout == "You said: review auth.py\n"


def test_every_command_that_the_readme_names_is_there() -> None:
    from synapse.cli import GROUPS

    named = set(re.findall(r"`synapse ([a-z]+)", README))
    assert named - set(GROUPS) - {"memory"} == set()  # memory comes from its plugin
