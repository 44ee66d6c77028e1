"""A quick command loads only what it needs: a process start is most of what it costs."""

import subprocess
import sys

import pytest

SLOW = {
    "aiohttp", "apsw", "asyncio", "click", "collections", "contextlib", "dataclasses", "enum", "functools", "inspect",
    "json", "logging", "msgspec", "pathlib", "re", "rich", "rich_click", "select", "shutil", "socket", "subprocess",
    "tempfile", "textual", "threading", "typing", "unicodedata",
}  # fmt: skip
SCRIPT = """
import sys
before = set(sys.modules)
sys.argv = ["synapse", *sys.argv[1:]]
from synapse.__main__ import main
try:
    main()
except SystemExit:
    pass
print("\\n" + " ".join(set(sys.modules) - before))
"""
LINES = [
    ["send", "bob", "hello"],
    ["send", "bob", "hello", "--wait", "--timeout", "5"],
    ["reply", "done"],
    ["broadcast", "hello"],
    ["interrupt", "bob", "stop"],
    ["inbox"],
    ["inbox", "read", "m-1"],
    ["wait"],
    ["who"],
    ["waiting"],
    ["list", "--json"],
    ["status"],
    ["history"],
    ["listen"],
    ["events", "tail"],
]


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_a_quick_command_loads_nothing_slow(
    words: list[str], tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no hub: a socket that nobody listens on is all that is asked, so nothing is started either."""
    monkeypatch.setenv("SYNAPSE_DATA", str(tmp_path))
    # In place of the socket: what answers as a hub would, in this process, so that no child is needed.
    script = (
        "import synapse.client.blocking as blocking\n"
        "def ask(self, verb, params):\n"
        "    self.welcome = {'key': 'k', 'head': 9}\n"
        "    if verb == 'events.follow': raise KeyboardInterrupt\n"
        "    return {'ids': ['m-1'], 'id': 'm-1', 'state': 'completed', 'to': ['bob'], 'sender': 'bob', 'at': 1.0,\n"
        "        'text': 't', 'role': 'note', 'task_id': 't-1', 'agent': 'bob', 'next': 9, 'answer': 'yes',\n"
        "        'requester': 'x', 'head': 9, 'hub': {'version': '', 'pid': 1, 'port': 1, 'data': '', 'started_at': 1.0,\n"
        "        'head': 1, 'agents': 1, 'connections': 1, 'tasks': 1, 'queued': 1, 'read_only': '', 'broken': {},\n"
        "        'refusals': {}}} if verb not in ('agents.list', 'agents.who', 'history.list', 'messages.inbox') else {}\n"
        "blocking.Client._ask = ask\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("from synapse", script + "from synapse", 1), *words],
        capture_output=True, text=True, timeout=30, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    loaded = set(done.stdout.rpartition("\n")[2].split() or done.stdout.splitlines()[-1].split())
    assert "synapse.client.blocking" in loaded
    assert {name for name in loaded if name.partition(".")[0] in SLOW} == set()
