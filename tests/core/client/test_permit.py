"""Talking to the hub may leave a sandbox without a person's consent; nothing else may, however it is written."""

import json
import subprocess
import sys
from pathlib import Path

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


def test_a_file_among_the_letters_may_be_read_and_no_other(tmp_path: Path) -> None:
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "t-1.txt").write_text("x")
    (letters / "out").symlink_to("/etc/passwd")
    (tmp_path / "in").symlink_to(letters / "t-1.txt")
    data = str(letters)
    for tool, key in (
        ("read_file", "file_path"),
        ("read_file", "absolute_path"),
        ("Read", "file_path"),
        ("view", "path"),
    ):
        assert permit.reads_letter(tool, {key: f"{letters}/t-1.txt", "limit": 9}, data)
    for place in ("/etc/passwd", f"{letters}/out", f"{letters}/../x", f"{letters}", "letters/t-1.txt", "", 7, None):
        assert not permit.reads_letter("read_file", {"file_path": place}, data), place
    good = f"{letters}/t-1.txt"
    assert not permit.reads_letter("read_file", {"file_path": good, "absolute_path": "/etc/passwd"}, data)
    assert not permit.reads_letter("read_file", {"path": good}, data)
    assert not permit.reads_letter("write_file", {"file_path": good}, data)
    assert not permit.reads_letter("read_file", {"file_path": good, "command": "x"}, data)
    assert not permit.reads_letter(["read_file"], {"file_path": good}, data)
    assert not permit.reads_letter("read_file", {"file_path": good}, "")
    asked = json.dumps({"tool_name": "read_file", "tool_input": {"file_path": str(tmp_path / "in")}})
    done = subprocess.run(
        permit.command(),
        input=asked,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        env={"SYNAPSE_LETTERS": data},
    )
    assert '"allow"' in done.stdout
