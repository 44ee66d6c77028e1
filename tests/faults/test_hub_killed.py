"""kill -9 of the hub under load, fifty times. `make faults`."""

import time

import pytest

from tests.e2e.hubs import HubProcess
from tests.e2e.kills import check, kill_under_load

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


def test_what_was_acknowledged_survives_fifty_kills():
    hub = HubProcess()
    seed = int(time.time())
    print(f"seed {seed}")
    try:
        told = kill_under_load(hub, 50, seed)
        check(hub, told)
        print(f"{len(told['acknowledged'])} acknowledged, {len(told['unknown'])} unknown: {set(told['refused'])}")
    finally:
        hub.close()
