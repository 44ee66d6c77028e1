"""Commands while the hub dies, is replaced, or is not there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands_kit import SLOW_START, Running, Shell, gone, until


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    try:
        for name in ("alice", "bob"):
            shell.run("wait", "--from", name, "--timeout", "0")
        yield shell
    finally:
        shell.stop_hub()


def listened(listening: Running) -> list[dict[str, Any]]:
    return [json.loads(line) for line in listening.said.splitlines(keepends=True) if line.endswith("\n")]


def heard(listening: Running) -> list[str]:
    return [event["body"]["text"] for event in listened(listening) if event["kind"] == "messages.sent"]


def kept(cursor: Path, listening: Running) -> bool:
    """Is the place of what was printed last in the file? An event is printed first, so that none is ever left out."""
    last = listened(listening)[-1]
    return cursor.exists() and cursor.read_text() == f"{last['position']}.{last['index']}\n"


def test_a_wait_for_an_answer_outlives_a_hub_that_is_killed(shell: Shell) -> None:
    with shell.start("send", "bob", "ping", "--wait", "--from", "alice") as waiting:
        asked = json.loads(shell.ok("wait", "--from", "bob", "--timeout", "20", "--json"))
        old = shell.kill_hub()
        until(lambda: shell.hub_pid() not in (0, old))  # the waiting command has started the next one
        shell.ok("reply", "pong", "--to", asked["task_id"], "--from", "bob")
        assert waiting.ends() == 0
        assert waiting.said == "pong\n"
        assert waiting.complained.replace(SLOW_START, "") == ""


def test_a_wait_that_may_not_start_a_hub_fails_when_its_own_is_killed(shell: Shell) -> None:
    with shell.start("send", "bob", "ping", "--wait", "--no-start", "--from", "alice") as waiting:
        shell.ok("wait", "--from", "bob", "--timeout", "20")
        shell.kill_hub()
        assert waiting.ends() == 1
        assert "No hub is running" in waiting.complained


def test_a_wait_for_mail_outlives_a_restart(shell: Shell) -> None:
    with shell.start("wait", "--from", "bob", "--timeout", "25") as waiting:
        until(
            lambda: any(
                one["name"] == "bob" and one["presence"] == "ONLINE" for one in shell.json("who")["participants"]
            )
        )
        shell.ok("restart")
        shell.ok("send", "bob", "after the restart", "--silent", "--from", "alice")
        assert waiting.ends() == 0
        waiting.says("after the restart")


def test_listening_goes_on_through_a_restart_and_a_kill_without_a_gap_or_a_double(shell: Shell, tmp_path: Path) -> None:
    cursor = tmp_path / "cursor"
    with shell.start("listen", "--for", "bob", "--json", "--cursor", str(cursor), "--after", "0") as listening:
        shell.ok("send", "bob", "1", "--silent", "--from", "alice")
        until(lambda: heard(listening) == ["1"])
        shell.ok("restart")
        shell.ok("send", "bob", "2", "--silent", "--from", "alice")
        shell.kill_hub()
        shell.ok("send", "bob", "3", "--silent", "--from", "alice")
        until(lambda: len(heard(listening)) >= 3, lambda: listening.said + listening.complained)
        assert heard(listening) == ["1", "2", "3"]
        assert "the connection to the hub is lost" in listening.complained
        until(lambda: kept(cursor, listening))
        assert listening.interrupt() == 130
    shell.ok("send", "bob", "x" * 100_000, "--silent", "--from", "alice")
    with shell.start("listen", "--for", "bob", "--json", "--cursor", str(cursor), "--once") as again:
        assert again.ends() == 0
        assert heard(again) == ["x" * 100_000]
    addresses = [(event["position"], event["index"]) for event in listened(listening) + listened(again)]
    assert addresses == sorted(set(addresses))


def test_listening_does_not_bring_a_hub_back_that_was_stopped(shell: Shell) -> None:
    with shell.start("listen", "--for", "bob") as listening:
        until(
            lambda: any(
                one["name"] == "bob" and one["presence"] == "ONLINE" for one in shell.json("who")["participants"]
            )
        )
        shell.ok("serve", "--stop")
        until(lambda: "coming back when one answers" in listening.complained)
        assert shell.refused("status") == "no_hub"
        shell.ok("send", "bob", "hello again", "--silent", "--from", "alice")
        listening.says("alice to bob: hello again")


def test_listening_hears_nothing_that_is_between_others(shell: Shell) -> None:
    shell.run("wait", "--from", "carol", "--timeout", "0")
    with shell.start("listen", "--for", "carol", "--json", "--after", "0", "--kinds", "messages.*") as listening:
        shell.ok("send", "bob", "a secret", "--silent", "--from", "alice")
        shell.ok("broadcast", "for all", "--from", "alice")
        until(lambda: heard(listening) == ["for all"])
        assert "secret" not in listening.said


def test_following_the_log_goes_on_where_the_page_ended(shell: Shell, tmp_path: Path) -> None:
    cursor = tmp_path / "cursor"
    with shell.start("events", "tail", "-f", "--json", "-n", "1000", "--cursor", str(cursor)) as following:
        for number in range(5):
            shell.ok("send", "bob", str(number), "--silent", "--from", "alice")
            if number == 2:
                shell.ok("restart")
        until(lambda: heard(following) == ["0", "1", "2", "3", "4"], lambda: following.said)
        until(lambda: kept(cursor, following))
        following.interrupt()
    shell.ok("send", "bob", "5", "--silent", "--from", "alice")
    last = [json.loads(line) for line in shell.ok("events", "tail", "--json", "--cursor", str(cursor)).splitlines()]
    assert [event["body"].get("text") for event in last] == ["5"]
    addresses = [(event["position"], event["index"]) for event in listened(following) + last]
    assert addresses == sorted(set(addresses))
    assert addresses[0] == (1, 0)
    exported = shell.ok("events", "export").splitlines()
    assert [(e["position"], e["index"]) for e in map(json.loads, exported)] == addresses


def test_a_cursor_of_another_log_is_refused(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "cursor").write_text("123456.0\n")
    assert shell.refused("listen", "--for", "bob", "--cursor", str(tmp_path / "cursor"), status=2) == "bad_cursor"
    (tmp_path / "cursor").write_text("nonsense\n")
    assert shell.refused("listen", "--for", "bob", "--cursor", str(tmp_path / "cursor"), status=2) == "bad_cursor"
    assert shell.refused("listen", "--for", "bob", "--cursor", str(tmp_path)) == "bad_cursor"


def test_restart_replaces_the_hub_and_starts_one_where_none_is(shell: Shell) -> None:
    old = shell.hub_pid()
    new = json.loads(shell.ok("restart", "--json"))["hub"]
    assert gone(old)
    assert new["pid"] != old
    shell.ok("serve", "--stop")
    assert re.match(r"synapse \S+ on 127.0.0.1:\d+", shell.ok("restart"))


def test_serve_runs_in_the_terminal_until_ctrl_c(shell: Shell) -> None:
    assert shell.run("serve").returncode == 1  # one has this folder already
    shell.stop_hub()
    with shell.start("serve") as serving:
        until(lambda: "ready in" in serving.complained, lambda: serving.complained)
        assert shell.hub_pid() == serving.process.pid
        shell.ok("send", "bob", "hi", "--silent", "--from", "alice")
        assert serving.interrupt() in (0, 130)
        assert "Traceback" not in serving.complained


def test_an_ephemeral_hub_leaves_nothing(shell: Shell) -> None:
    with shell.start("serve", "--ephemeral", "--port", "0") as serving:
        until(lambda: "ready in" in serving.complained, lambda: serving.complained)
        found = re.search(r"data in (\S+);", serving.complained)
        assert found is not None
        folder = Path(found[1])
        assert (folder / "synapse.db").exists()
        assert serving.interrupt() in (0, 130)
    assert not folder.exists()
