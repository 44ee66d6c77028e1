"""Talking to the hub may leave a sandbox without a person's consent; nothing else may, however it is written."""

import json
import subprocess
import sys

import pytest

from synapse.client import permit

PLAIN = (
    "synapse reply done",
    "synapse reply 'it is $5; really & truly'",
    'synapse reply "two\nlines, a \\"quote\\" and a \\$"',
    "synapse send bob 'look' --wait",
    "synapse inbox read m-1",
    "synapse status bob --json",
    "synapse memory search x",
    "synapse reply --stdin <<'END'\n# $HOME `x`; rm -rf /\nEND",
    "  synapse who\n",
    "/opt/py -m synapse reply x",
)
OTHERS = (
    "",
    "synapse",
    "touch x",
    "synapse stop bob",
    "synapse approve p-1",
    "synapse start -- sh -c 'touch x'",
    "synapse run codex",
    "synapse config set a b",
    "synapse reply x; touch y",
    "synapse reply x && touch y",
    "synapse reply x | sh",
    "synapse reply x > ~/.profile",
    "synapse reply x\ntouch y",
    "synapse reply `touch y`",
    "synapse reply $(touch y)",
    'synapse reply "$(touch y)"',
    'synapse reply "`touch y`"',
    "synapse reply 'x' $HOME",
    "synapse reply *",
    "synapse reply {a,--url=x}",
    "synapse send bob x --url http://192.0.2.1",
    "synapse send bob x --url=http://192.0.2.1",
    "synapse send bob x --token-file t",
    "synapse --url x send bob y",
    "SYNAPSE_URL=x synapse send bob y",
    "env synapse reply x",
    "./synapse reply x",
    "synapse reply 'x",
    "synapse reply <<END\n$(touch y)\nEND",
    "synapse reply --stdin <<'END'\nx\nEND\ntouch y",
    "synapse reply --stdin <<'END'\nx\nEND\ntouch y\nEND",
    "synapse reply --stdin <<'END' | sh\nx\nEND",
    "python3 -c 'synapse reply x'",
)


@pytest.mark.parametrize("text", PLAIN)
def test_one_call_that_talks_or_looks_is_permitted(text: str) -> None:
    assert permit.permitted(text, "/opt/py -m synapse")


@pytest.mark.parametrize("text", OTHERS)
def test_whatever_else_a_shell_would_do_is_not(text: str) -> None:
    assert not permit.permitted(text, "/opt/py -m synapse")


@pytest.mark.parametrize(
    "program", [permit.command(), [sys.executable, "-m", "synapse", "permit"]], ids=["alone", "cli"]
)
def test_as_a_program_it_decides_by_what_it_reads_and_else_says_nothing(program: list[str]) -> None:
    def says(content: str) -> str:
        done = subprocess.run(program, input=content, capture_output=True, text=True, timeout=20, check=True)
        assert done.stderr == ""
        return done.stdout

    def asked(command: object) -> str:
        return json.dumps({"tool_name": "Bash", "tool_input": {"command": command}})

    decision = json.loads(says(asked("synapse reply x")))["hookSpecificOutput"]
    assert decision == {"hookEventName": "PermissionRequest", "decision": {"behavior": "allow"}}
    assert json.loads(says('{"toolInput": {"command": "synapse reply x"}}')) == {"behavior": "allow"}
    for content in (asked("touch x"), asked(["synapse", "reply"]), asked(7), "{}", "[]", "", "{", "[" * 100_000):
        assert says(content) == ""
