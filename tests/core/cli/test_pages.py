"""The command lines in the pages about agents and terminals are ones that are understood."""

import re
import shlex
from pathlib import Path

import pytest

from synapse.cli.command import find
from tests.core.cli.test_parsing import by_click

DOCS = Path(__file__).parents[3] / "docs"


def lines(page: str) -> list[str]:
    """What stands in blocks without a language."""
    blocks = re.findall(r"^```([a-z]*)\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    return [line for language, block in blocks if not language for line in block.splitlines()]


@pytest.mark.parametrize("page", ["agents.md", "terminals.md"])
def test_every_line_of_a_page_is_understood(page: str) -> None:
    found = lines(page)
    assert found
    for line in found:
        program, *words = shlex.split(line)
        command, rest = find(words)
        assert program == "synapse", line
        assert command is not None, line
        by_click(command, rest)


def test_every_word_in_code_that_looks_like_a_command_is_one() -> None:
    from synapse.cli import GROUPS

    for page in ("agents.md", "terminals.md"):
        named = re.findall(r"`synapse ([a-z]+)", (DOCS / page).read_text())
        assert set(named) - set(GROUPS) == set(), page
