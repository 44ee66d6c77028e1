"""Runners on real pseudo-terminals, for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.core.runner.attached import Agents


@pytest.fixture
def agents() -> Iterator[Agents]:
    with TemporaryDirectory(prefix="syn") as folder:  # short: a socket's path holds about 100 bytes
        agents = Agents(Path(folder))
        try:
            yield agents
        finally:
            agents.close()
