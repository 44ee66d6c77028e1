"""A hub as a process, for whoever wants one: `hub_process`."""

from collections.abc import Iterator

import pytest

from tests.e2e.hubs import HubProcess


@pytest.fixture
def hub_process() -> Iterator[HubProcess]:
    """A data folder and a port of its own; whatever hub runs there is ended afterwards."""
    process = HubProcess()
    yield process
    process.close()
