"""Processes: their start, their family, and ending what a dead runner has left behind."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synapse.server.platform import MachineProcesses, ancestors, parent_of, raise_descriptor_limit, start_of
from tests.e2e.hubs import alive, until

STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.communicate()


class Later:
    """What was put off, to be done when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def __call__(self, seconds: float, call: Callable[[], None]) -> None:
        assert seconds == 5.0
        self.calls.append(call)


def test_a_process_has_one_start_for_as_long_as_it_lives(child: subprocess.Popen[bytes]) -> None:
    start = start_of(child.pid)
    assert start == start_of(child.pid) != ""
    assert start_of(child.pid) != start_of(1)
    child.kill()
    until(lambda: not start_of(child.pid))  # dead, though nobody has waited for it


def test_the_family_of_a_process_goes_up_to_the_first(child: subprocess.Popen[bytes]) -> None:
    line = list(ancestors(child.pid))
    assert line[:3] == [child.pid, os.getpid(), os.getppid()][: len(line)]
    assert parent_of(child.pid) == os.getpid()
    assert list(ancestors(0)) == []


def test_what_is_left_of_an_agent_is_ended_politely_and_then_not(child: subprocess.Popen[bytes]) -> None:
    later = Later()
    processes = MachineProcesses(later)
    processes.end(child.pid, start_of(child.pid))
    assert alive(child.pid)  # it does not listen to TERM
    [kill] = later.calls
    kill()
    until(lambda: not alive(child.pid))


def test_a_process_with_another_start_is_somebody_else_and_left_alone(child: subprocess.Popen[bytes]) -> None:
    later = Later()
    processes = MachineProcesses(later)
    assert not processes.alive(child.pid, "1")
    processes.end(child.pid, "1")
    assert later.calls == []
    assert alive(child.pid)
    assert processes.alive(child.pid, "")


def test_what_a_process_leaves_in_its_group_is_ended_too(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    leader = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]);"
         " print(p.pid, flush=True); p.wait()"],
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert leader.stdout is not None
    grandchild = int(leader.stdout.readline())
    assert leader.stdout.readline() == b"ready\n"
    later = Later()
    MachineProcesses(later).end(leader.pid, start_of(leader.pid))
    leader.wait(timeout=5)
    assert alive(grandchild)
    [kill] = later.calls
    kill()
    until(lambda: not alive(grandchild))
    leader.stdout.close()


def test_the_dead_are_left_in_peace(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait()
    later = Later()
    MachineProcesses(later).end(child.pid, "")
    assert later.calls == []


def test_the_descriptor_limit_is_raised_as_far_as_it_may() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64 if soft > 128 else soft, hard))
        assert raise_descriptor_limit(100) == 100
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (100, hard)
        assert raise_descriptor_limit(50) == 100  # never lowered
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
