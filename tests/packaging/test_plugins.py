"""A stranger's plugin in the frozen program: the guide's example as a wheel, put in, asked through every door, taken out."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from aiohttp import ClientSession

from tests.e2e import hubs
from tests.e2e.hubs import HubProcess
from tests.packaging.boxes import ROOT

pytestmark = [pytest.mark.bundle, pytest.mark.timeout(240)]
PROGRAM = ROOT / "build" / "binary" / "dist" / "synapse" / "synapse"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubProcess]:
    """A data folder whose commands are the frozen program, which finds no Python's modules and no index."""
    monkeypatch.setattr(hubs, "SYNAPSE", [str(PROGRAM)])
    made = HubProcess()
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        made.env.pop(name, None)
    made.env |= {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_CACHE_DIR": "1", "HOME": str(made.data)}
    try:
        yield made
    finally:
        made.close()


def ok(home: HubProcess, *words: str, status: int = 0) -> str:
    done = home.synapse(*words, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), (words, done.stdout, done.stderr)
    return done.stdout + done.stderr


def by_http(home: HubProcess) -> object:
    body = json.dumps({"name": "bugs", "amount": 1, "workspace": "house"}).encode()
    ask = Request(f"http://127.0.0.1:{home.port}/api/tally.count", body, {"Content-Type": "application/json"})
    with urlopen(ask, timeout=10) as answer:
        return json.loads(answer.read())["count"]


async def by_websocket(home: HubProcess) -> object:
    request = {"jsonrpc": "2.0", "id": 1, "method": "tally.count", "params": {"name": "bugs"}}
    async with (
        ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{home.port}/ws?from=ada&workspace=house") as socket,
    ):
        await socket.send_json(request)
        while True:
            frame = await socket.receive_json(timeout=10)
            if frame.get("id") == 1:
                return frame["result"]["count"]


def test_everything_that_synapse_needs_is_in_it(home: HubProcess) -> None:
    """Without an index, pip finds it whole: so a plugin may need each of its libraries."""
    assert "part of synapse itself" in ok(home, "plugins", "install", "synapse-hub", status=1)


def test_the_guide_s_example_is_put_in_asked_through_every_door_and_taken_out(home: HubProcess, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    example = str(ROOT / "docs" / "plugin-example")
    subprocess.run([*build, "--wheel-dir", str(tmp_path), example], check=True, capture_output=True, timeout=90)
    [wheel] = tmp_path.glob("*.whl")
    ok(home, "plugins", "install", str(wheel))
    assert ok(home, "tally", "bugs", "--amount", "2") == "bugs: 2\n"
    assert by_http(home) == 3
    with home.peer() as peer:
        peer.hello()
        assert peer.ask("tally.count", id=2, name="bugs")["result"]["count"] == 4
    assert asyncio.run(by_websocket(home)) == 5
    ok(home, "plugins", "sync")
    assert ok(home, "tally", "bugs") == "bugs: 6\n"
    ok(home, "plugins", "remove", "tally")
    ok(home, "restart")
    ok(home, "tally", "bugs", status=2)
    with home.peer() as peer:
        peer.hello()
        assert "error" in peer.ask("tally.count", id=3, name="bugs")
    plugins = json.loads(ok(home, "plugins", "list", "--json"))["plugins"]
    assert "tally" not in [one["name"] for one in plugins]
    assert "Traceback" not in home.log
