"""The way of a hook's report: a real process, a real socket; nothing said, nothing failed, in a few milliseconds."""

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from synapse.client import hook
from synapse.runner.hooks import Hooks

Reports = list[tuple[str, dict[str, Any]]]


@pytest.fixture
async def reports(tmp_path: Path) -> AsyncIterator[Reports]:
    heard: Reports = []
    hooks = Hooks(tmp_path / "h.hook", lambda event, fields: heard.append((event, fields)))
    await hooks.open()
    yield heard
    hooks.close()


async def run(folder: Path, *words: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *hook.command(), *words, env={hook.ENVIRONMENT: str(folder / "h.hook")},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complained = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, said, complained


async def test_what_stands_on_standard_input_is_reported(tmp_path: Path, reports: Reports) -> None:
    fields = {"session_id": "s", "last": "ü" * 300_000}
    assert await run(tmp_path, "Stop", stdin=json.dumps(fields).encode()) == (0, b"", b"")
    assert reports == [("Stop", fields)]


async def test_a_report_may_be_the_next_word(tmp_path: Path, reports: Reports) -> None:
    assert await run(tmp_path, "turn", '{"type": "done"}') == (0, b"", b"")
    assert reports == [("turn", {"type": "done"})]


async def test_what_is_no_json_is_an_event_without_fields(tmp_path: Path, reports: Reports) -> None:
    for content in (b"", b"nonsense", b"[1]", b"\xff{", b"[" * 100_000):
        assert await run(tmp_path, "Odd", stdin=content) == (0, b"", b"")
    assert reports == [("Odd", {})] * 5


def test_it_has_been_heard_before_the_program_goes_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as runner:
        runner.bind(str(tmp_path / "h.hook"))
        runner.listen()
        patient = "from synapse.client import hook; hook.PATIENCE = 60; hook.tell(['Stop', '{}'])"
        environ = {**os.environ, hook.ENVIRONMENT: str(tmp_path / "h.hook")}
        with subprocess.Popen([sys.executable, "-c", patient], env=environ) as process:
            connection = runner.accept()[0]
            with connection, connection.makefile("rb") as report:
                assert report.read() == b"Stop\n{}"
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.3)
            assert process.wait(10) == 0


async def test_a_runner_that_does_not_listen_is_waited_for_a_short_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(tmp_path / "h.hook"))
        busy.listen()
        assert await asyncio.wait_for(run(tmp_path, "Stop", stdin=b"{}"), 10) == (0, b"", b"")


async def test_without_a_runner_nothing_is_said_and_nothing_fails(tmp_path: Path) -> None:
    assert await run(tmp_path, "Stop", stdin=b"{}") == (0, b"", b"")
    assert await run(tmp_path) == (0, b"", b"")


async def test_who_leaves_standard_input_open_is_not_waited_for(tmp_path: Path, reports: Reports) -> None:
    process = await asyncio.create_subprocess_exec(
        *hook.command(), "Stop", env={hook.ENVIRONMENT: str(tmp_path / "h.hook")}, stdin=asyncio.subprocess.PIPE
    )
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert reports == [("Stop", {})]


def test_a_hook_costs_little_more_than_the_interpreter() -> None:
    def cost(*words: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], input=b"{}", env={**os.environ, hook.ENVIRONMENT: "/none"}, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    bare = min(cost("-I", "-c", "pass") for _ in range(10))
    assert min(cost(*hook.command()[1:], "Stop") for _ in range(10)) < 2.5 * bare
