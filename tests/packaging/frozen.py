"""A pytest plugin: the commands in tests/e2e are those of the frozen program (`make binary-e2e`)."""

import pytest

from tests.e2e import commands_kit, hubs
from tests.packaging.boxes import ROOT

PROGRAM = ROOT / "build" / "binary" / "dist" / "synapse" / "synapse"
# They put other code in front of the interpreter's, which a frozen program does not look at.
ONLY_VENV = ("test_a_hub_of_another_version_is_to_be_restarted",)

assert PROGRAM.exists(), f"{PROGRAM} is not there: make binary"
hubs.SYNAPSE[:] = commands_kit.SYNAPSE[:] = [str(PROGRAM)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name in ONLY_VENV:
            item.add_marker(pytest.mark.skip(reason="not run: it is of a venv alone"))
