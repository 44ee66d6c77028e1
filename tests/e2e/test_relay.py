"""The relay file, offers and the manifest, as a person or a script uses them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands_kit import Shell, until


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.stop_hub()


def rows(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


def test_a_relay_file_is_written_by_a_hub_and_printed_from_a_cursor(shell: Shell) -> None:
    with shell.start("serve", "--relay-log", "relay.ndjson", "--relay-max-lines", "100") as hub:
        until(shell.hub_pid)
        shell.ok("inbox", "--from", "bob")
        shell.ok("advertise", "--from", "bob", "--task-class", "review")
        shell.ok("send", "class:review", "look at auth.py", "--from", "alice")
        shell.ok("send", "alice", "never mind", "--silent", "--from", "carol")
        until(lambda: "never mind" in (shell.project / "relay.ndjson").read_text())
        for_bob = rows(shell.ok("relay", "relay.ndjson", "--for", "bob"))
        assert [line["d"]["text"] for line in for_bob if line["k"] == "messages.sent"] == ["look at auth.py"]
        first = shell.ok("relay", "relay.ndjson", "--cursor", "place")
        assert "never mind" in first
        assert shell.ok("relay", "relay.ndjson", "--cursor", "place") == ""
        last = rows(first)[-1]["n"]
        assert shell.ok("relay", "relay.ndjson", "--since", str(last)) == ""
        assert rows(shell.ok("relay", "relay.ndjson", "--since", "1h", "--full"))[-1]["kind"] == "messages.sent"
        assert hub.interrupt() in (0, 130)
    assert shell.run("relay", "nowhere.ndjson").returncode == 1
    assert shell.run("relay", "synapse.toml").returncode == 1


def test_a_relay_file_that_cannot_be_written_keeps_the_hub_from_starting_with_a_sentence(shell: Shell) -> None:
    done = shell.run("serve", "--relay-log", "no/such/folder/relay")
    assert done.returncode == 1
    assert "--relay-log" in done.stderr
    assert "Traceback" not in done.stderr
    assert shell.run("serve", "--relay-log", "relay", "--relay-max-lines", "3").returncode == 1


def test_the_events_of_a_database_file_are_printed_without_a_hub(shell: Shell) -> None:
    shell.ok("inbox", "--from", "bob")
    shell.ok("advertise", "--from", "bob", "--skill", "python")
    shell.ok("backup", "copy.db")
    shell.stop_hub()
    events = rows(shell.ok("ingest", "copy.db", "--cursor", "place"))
    assert "agents.advertised" in [event["kind"] for event in events]
    assert {"position", "index", "at", "kind", "by", "workspace", "story", "body"} == set(events[0])
    assert shell.ok("ingest", "copy.db", "--cursor", "place") == ""
    assert shell.ok("ingest", "copy.db", "--memory") == ""
    absent, folder = shell.run("ingest", "nothing.db"), shell.run("ingest", str(shell.data))
    assert (absent.returncode, folder.returncode) == (1, 1)
    assert "name the file of a log" in absent.stderr
    assert "--db" not in absent.stderr
    assert f"the log in it is {shell.data / 'synapse.db'}" in folder.stderr


def test_offers_and_cards_by_commands(shell: Shell) -> None:
    made = shell.json("offers", "put", "gpu", "a100", "--capacity", "2", "--meta", "zone=b", "--from", "alice")
    [offer] = shell.json("offers")["offers"]
    assert (offer["id"], offer["agent"], offer["capacity"], offer["meta"]) == (made["id"], "alice", 2, {"zone": "b"})
    assert "a100" in shell.ok("offers", "--kind", "gpu")
    shell.ok("advertise", "--from", "alice", "--task-class", "Review", "--model", "m-1", "--description", "Reads code.")
    assert shell.json("manifest")["task_classes"] == {"review": ["alice"]}
    told = shell.ok("manifest")
    assert all(word in told for word in ("alice", "review", "m-1", "gpu/a100 x 2", "Reads code."))
    assert shell.refused("send", "class:paint", "x", "--from", "bob") == "no_such_class"
    assert shell.refused("offers", "put", "gpu", "x", "--meta", "odd", status=2) == "bad_meta"
    assert shell.refused("advertise", "--from", "alice", status=2) == "nothing"
    shell.ok("offers", "withdraw", "gpu/a100", "--from", "alice")
    assert shell.json("offers")["offers"] == []
    shell.ok("advertise", "--from", "alice", "--clear")
    assert shell.json("manifest")["agents"] == []


def test_a_relay_file_has_every_event_once_also_when_the_hub_is_killed(shell: Shell) -> None:
    path, quiet = shell.project / "relay.ndjson", ("cursors.moved", "messages.typing", "messages.returned")
    for number in range(3):
        with shell.start("serve", "--relay-log", "relay.ndjson") as hub:
            until(shell.hub_pid)
            words = ("send", "me", "--silent", "--no-start", "--from", "alice")
            senders = [shell.start(*words, f"{number}.{n}") for n in range(5)]
            if number < 2:
                until(lambda number=number: f"{number}." in path.read_text())  # type: ignore[misc]
                shell.kill_hub()
            for sender in senders:
                sender.ends()
                sender.__exit__()
            if number == 2:
                until(lambda: all(f"2.{n}" in path.read_text() for n in range(5)))
                assert hub.interrupt() in (0, 130)
    mirrored = rows(shell.ok("relay", "relay.ndjson", "--full"))
    addresses = [(line["position"], line["index"]) for line in mirrored]
    stored = rows(shell.ok("events", "export"))
    told = [(line["position"], line["index"]) for line in stored if line["kind"] not in quiet]
    assert addresses == [address for address in told if addresses[0] <= address <= addresses[-1]]
