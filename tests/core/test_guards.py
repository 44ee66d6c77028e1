"""The guards of `tests/conftest.py` guard: a test run of its own, in which each test leaves something behind."""

import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parents[1] / "conftest.py"
LEAKY = """
import asyncio, socket, subprocess, threading, time, warnings
import pytest

kept = []

async def test_is_clean():
    await asyncio.to_thread(time.sleep, 0.01)

async def test_blocks():
    time.sleep(3)

def test_thread():
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()

def test_child():
    kept.append(subprocess.Popen(["sleep", "30"]))

def test_socket():
    kept.append(socket.socket())

def test_warning():
    warnings.warn("old", DeprecationWarning)

@pytest.fixture(scope="module")
def shared():
    process = subprocess.Popen(["sleep", "30"])
    yield process
    process.kill()
    process.wait()

def test_shares(shared):
    pass

def test_end():
    kept[0].kill()
    kept[0].wait()
"""


def test_whatever_is_left_behind_fails_the_test_that_left_it(tmp_path: Path) -> None:
    text = CONFTEST.read_text()
    for given, wanted in (("PATIENCE = 2.0", "PATIENCE = 0.1"), ("LONGEST = 0.2", "LONGEST = 2.0")):
        assert given in text
        text = text.replace(given, wanted)  # less than it blocks by a second, for which it may wait for a processor
    (tmp_path / "conftest.py").write_text(text)
    (tmp_path / "test_leaky.py").write_text(LEAKY)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    said = [
        line.split(" - ")[0].split("::")[1] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))
    ]
    assert sorted(said) == ["test_blocks", "test_child", "test_socket", "test_thread", "test_warning"], done.stdout
