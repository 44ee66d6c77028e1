"""The engine that fails when it is told to."""

from itertools import islice

import pytest

from synapse.errors import Unavailable
from synapse.log.base import AppendFailed
from synapse.log.faulty import Fault, FaultyLog, random_faults
from synapse.log.memory import MemoryLog
from tests.core.log.making import append, positions, record


def test_a_fault_before_stores_nothing_and_one_after_stores_it_all_the_same() -> None:
    log = FaultyLog(MemoryLog(), {"append": [Fault.BEFORE, Fault.AFTER]})
    heard: list[int] = []
    log.follow(heard.append)
    with pytest.raises(AppendFailed):
        append(log, record(1))
    assert log.recover() == 0
    with pytest.raises(AppendFailed):
        append(log, record(1))
    assert log.recover() == 1
    append(log, record(2))
    assert positions(log) == [1, 2]
    assert heard == [2]


def test_recover_and_probe_fail_by_script() -> None:
    log = FaultyLog(MemoryLog(), {"append": [Fault.BEFORE], "recover": [Fault.BEFORE], "probe": [Fault.BEFORE]})
    with pytest.raises(AppendFailed):
        append(log, record(1))
    with pytest.raises(AppendFailed):
        log.recover()
    with pytest.raises(AppendFailed):
        append(log, record(1))
    log.recover()
    with pytest.raises(AppendFailed):
        log.probe()
    with pytest.raises(AppendFailed):  # the storage does not take anything yet
        append(log, record(1))
    log.probe()
    append(log, record(1))


def test_reading_fails_at_once_or_in_the_middle() -> None:
    log = FaultyLog(MemoryLog())
    append(log, record(1), record(2))
    log.fail("read", [Fault.BEFORE, Fault.AFTER, Fault.BEFORE])
    with pytest.raises(Unavailable):
        next(log.read(0))
    reader = log.read(0)
    assert next(reader) == record(1)
    with pytest.raises(Unavailable):
        next(reader)
    with pytest.raises(Unavailable):
        log.at([1])
    assert log.at([1]) == [record(1)]


def test_a_seed_gives_the_same_faults_again() -> None:
    script = list(islice(random_faults(7, 0.5), 1000))
    assert script == list(islice(random_faults(7, 0.5), 1000))
    assert script != list(islice(random_faults(8, 0.5), 1000))
    assert 400 < sum(fault is not None for fault in script) < 600
    assert set(script) == {None, Fault.BEFORE, Fault.AFTER}


def test_an_unknown_step_is_a_bug() -> None:
    with pytest.raises(ValueError, match="no such step"):
        FaultyLog(MemoryLog(), {"commit": [Fault.BEFORE]})
