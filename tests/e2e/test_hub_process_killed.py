"""kill -9 of the hub under load: what was acknowledged is there once, and everybody goes on with the next hub."""

import time

import pytest

from tests.e2e.hubs import HubProcess
from tests.e2e.kills import CLIENTS, check, kill_under_load


@pytest.mark.timeout(120)
def test_what_was_acknowledged_survives_five_kills(hub_process: HubProcess) -> None:
    told = kill_under_load(hub_process, 5, seed=int(time.time()))
    check(hub_process, told)
    senders = {text.partition(":")[0] for text in told["acknowledged"]}
    assert len(senders) == CLIENTS
    assert len(told["acknowledged"]) > 200
