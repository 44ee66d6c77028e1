"""Guards around every test: a blocked loop, and threads, child processes, sockets and files that it leaves behind, fail it.

What a fixture of a wider scope than one test opens is its own; everything else must be gone when the test is over.
"""

import asyncio
import gc
import inspect
import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

LONGEST = 0.2  # seconds that one callback may hold a loop
PATIENCE = 2.0  # seconds in which what is on its way out must be out
_OPEN = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")

settings.register_profile(
    "synapse", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("synapse")

for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):  # a job in the background inherits these
    if signal.getsignal(_number) is signal.SIG_IGN:  # as ignored, and its children would: Ctrl-C must mean something
        signal.signal(_number, signal.default_int_handler if _number is signal.SIGINT else signal.SIG_DFL)

_kept: dict[str, set[Any]] = {"threads": set(), "children": set(), "files": set()}
_before: dict[str, set[Any]] = {}
_blocked: list[str] = []


def _threads() -> set[Any]:
    return {thread for thread in threading.enumerate() if thread.is_alive()}


def _children() -> set[Any]:
    """Process numbers of our children; zombies count, for somebody should have waited for them."""
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(map(int, task.read_text().split()))
        except OSError:
            pass  # the thread has ended
    return found


def _files() -> set[Any]:
    """Open descriptors with what they point to, as `12 socket:[4711]`."""
    found = set()
    for number in os.listdir(_OPEN):
        try:
            found.add(f"{number} {os.readlink(_OPEN / number)}")
        except OSError:
            pass  # the one that listed the folder
    return found


_LOOKS: dict[str, Callable[[], set[Any]]] = {"threads": _threads, "children": _children, "files": _files}


def _left() -> list[str]:
    """What is there that was not there before the test."""
    found = []
    for what, look in _LOOKS.items():
        extra = look() - _before[what] - _kept[what]
        if extra:
            found.append(f"{what}: {', '.join(sorted(map(str, extra)))}")
    return found


@pytest.fixture(scope="module", autouse=True)
def _small_heap() -> None:
    """The collector passes over what is there already, as in a hub that serves: 5,000 tests and what they loaded
    take it 0.2 s to walk through, in the middle of somebody's callback."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    _before.update({what: look() for what, look in _LOOKS.items()})
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    if fixturedef.scope == "function":
        return (yield)
    before = {what: look() for what, look in _LOOKS.items()}
    result = yield
    for what, look in _LOOKS.items():
        _kept[what] |= look() - before[what]
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    result = yield
    if not _before:
        return result
    give_up = time.monotonic() + PATIENCE
    left = _left()
    if left:
        gc.collect()  # what is only waiting for the collector is closed, and warns of itself
        left = _left()
    while left and time.monotonic() < give_up:
        time.sleep(0.01)
        left = _left()
    if left:
        pytest.fail("left behind: " + "; ".join(left), pytrace=False)
    return result


# -- a loop that refuses to be blocked


def _waited_for_a_processor() -> float:
    """Seconds that this process was ready to run and another program ran instead: that is not our fault.

    Of all its threads: while the one that holds the interpreter waits, the loop's waits for that one.
    """
    waited = 0
    for task in Path("/proc/self/task").glob("*/schedstat"):
        try:
            waited += int(task.read_text().split()[1])
        except (OSError, IndexError, ValueError):
            pass  # the thread has ended
    return waited / 1e9


def _watched(run: Callable[[Any], None]) -> Callable[[Any], None]:
    def watched(handle: Any) -> None:
        began = time.perf_counter()
        run(handle)
        if time.perf_counter() - began > LONGEST:
            _blocked.append(f"{time.perf_counter() - began:.2f} s in {handle!r}")

    return watched


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    if not inspect.iscoroutinefunction(inspect.unwrap(pyfuncitem.obj)):
        return (yield)
    handle: Any = asyncio.Handle
    original = handle._run
    began = _waited_for_a_processor()
    _blocked.clear()
    handle._run = _watched(original)
    try:
        result = yield
    finally:
        handle._run = original
    if _blocked and _waited_for_a_processor() - began < LONGEST / 2:
        pytest.fail("the loop was blocked: " + "; ".join(_blocked), pytrace=False)
    return result
