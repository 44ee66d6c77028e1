"""A program at the hub of this machine: one that crashed is started again, one that was ended is not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.hubs import HubProcess, alive, until

PROGRAM = """
import asyncio, sys
from synapse import Agent
from synapse.errors import SynapseError

async def main():
    async with Agent("alice", patience=float(sys.argv[1]), start=sys.argv[2] == "start") as alice:
        print("here", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                await alice.send("alice", line, mode="silent")
                print(len(await alice.inbox()), flush=True)
            except SynapseError as error:
                print(error.code, flush=True)

asyncio.run(main())
"""
Program = subprocess.Popen[str]


def say(program: Program, line: str = "hello") -> str:
    assert program.stdin is not None
    program.stdin.write(line + "\n")
    program.stdin.flush()
    return heard(program)


def heard(program: Program) -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


@pytest.fixture
def programs(hub_process: HubProcess) -> Iterator[list[Program]]:
    running: list[Program] = []
    yield running
    for program in running:
        program.kill()
        program.communicate()


def begin(hub: HubProcess, programs: list[Program], patience: float, start: str = "start") -> Program:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(patience), start],
        env=hub.env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    programs.append(program)
    return program


def test_a_hub_that_crashed_is_started_again_also_when_nothing_is_asked(
    hub_process: HubProcess, programs: list[Program]
) -> None:
    program = begin(hub_process, programs, 30.0)
    assert heard(program) == "here"
    assert say(program) == "1"
    for number in ("2", "3"):
        crashed = hub_process.pid
        os.kill(crashed, signal.SIGKILL)
        until(lambda crashed=crashed: hub_process.pid not in (0, crashed))  # type: ignore[misc]
        assert say(program) == number
    assert len(hub_process.hubs()) == 1


def test_a_hub_that_was_ended_is_not_started_again_and_the_next_one_is_found(
    hub_process: HubProcess, programs: list[Program]
) -> None:
    program = begin(hub_process, programs, 1.0)
    assert heard(program) == "here"
    ended = hub_process.pid
    os.kill(ended, signal.SIGTERM)
    until(lambda: not alive(ended))
    assert say(program) == "no_hub"
    assert hub_process.hubs() == []
    hub_process.serve()
    assert until(lambda: say(program) != "no_hub")
    hub_process.kill()  # from the new one on the old word does not count
    until(lambda: hub_process.pid)


def test_who_starts_no_hub_waits_for_one(hub_process: HubProcess, programs: list[Program]) -> None:
    hub_process.serve()
    program = begin(hub_process, programs, 1.0, "never")
    assert heard(program) == "here"
    hub_process.kill()
    assert say(program) == "no_hub"
    assert hub_process.hubs() == []
