"""Kill the hub again and again under load, and look whether the log holds what was promised."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from tests.e2e.hubs import HubProcess, alive, until

SENDERS = str(Path(__file__).with_name("senders.py"))
CLIENTS = 16


def kill_under_load(hub: HubProcess, rounds: int, seed: int) -> dict[str, Any]:
    """`rounds` times kill -9 at a random moment, also while it starts; what the senders say at the end."""
    random = Random(seed)
    assert hub.synapse("send", "--silent", "--from", "bob", "me", "bob is here").returncode in (0, 1)
    senders = subprocess.Popen(
        [sys.executable, SENDERS, str(CLIENTS)],
        env=hub.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(rounds):
            pid = until(lambda: (hub.hubs() or [0])[0])
            time.sleep(random.uniform(0, 0.4) if random.random() < 0.3 else random.uniform(0.5, 1.5))
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # two hubs had started, and this one found the folder taken
            until(lambda pid=pid: not alive(pid))  # type: ignore[misc]
        time.sleep(1.0)
        said, complained = senders.communicate(timeout=60)
    finally:
        senders.kill()
        senders.communicate()
    assert "Traceback" not in complained, complained
    told: dict[str, Any] = json.loads(said)
    return told


def check(hub: HubProcess, told: dict[str, Any]) -> None:
    """What was acknowledged is there once; nothing is there twice; the queue holds what the log holds."""
    assert hub.synapse("who").returncode == 0
    with hub.peer() as peer:
        assert "result" in peer.hello()
        stored: list[str] = []
        after = 0
        while True:
            page = peer.ask("events.page", after=after, limit=1000)["result"]
            stored += [e["body"]["text"] for e in page["events"] if e["kind"] == "messages.sent"]
            if page["next"] == after:
                break
            after = page["next"]
        waiting = peer.ask("state.now", workspace="house")["result"]["messages"]
    notes = [text for text in stored if ":" in text]
    assert [text for text, times in Counter(notes).items() if times > 1] == []
    assert set(told["acknowledged"]) - set(notes) == set()
    assert set(notes) - set(told["acknowledged"]) - set(told["unknown"]) == set()
    assert waiting >= len(notes)
