"""The history as a person at a shell uses it: listed, searched, counted, written out, traced, and forgotten."""

import csv
import io
import json
import os
import pty
import re
import shlex
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands_kit import BOUND, SYNAPSE, Shell
from tests.e2e.hubs import HubProcess, until


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """bob has answered some tasks of pat's. To be looked at: who changes it has one `of_its_own`."""
    yield from answered(tmp_path_factory.mktemp("history"))


@pytest.fixture
def of_its_own(tmp_path: Path) -> Iterator[Shell]:
    yield from answered(tmp_path)


def answered(place: Path) -> Iterator[Shell]:
    shell = Shell(place)
    try:
        shell.run("wait", "--from", "bob", "--timeout", "0")
        for text, answer in TASKS:
            ask(shell, text, answer)
        yield shell
    finally:
        shell.stop_hub()


TASKS = (
    ("review auth.py for the token format", "opaque tokens, 32 bytes"),
    ('describe the "café", naïvely', "日本語 works, and so do 'quotes', commas\nand lines"),
    ("count the lines", "42"),
)


def ask(shell: Shell, text: str, answer: str, *words: str) -> str:
    """A task that bob has answered; the answer is read."""
    task = str(json.loads(shell.ok("send", "bob", text, "--json"))["task_id"])
    shell.ok("reply", answer, "--to", task, "--from", "bob", *words)
    for one in shell.json("inbox")["messages"]:
        shell.ok("inbox", "ack", one["id"])
    return task


def ids(shell: Shell) -> list[str]:
    return [str(task["task_id"]) for task in shell.json("history")["tasks"]]


def test_the_newest_tasks_are_listed_as_a_table_as_json_and_as_csv(shell: Shell) -> None:
    said = shell.ok("history")
    assert all(text.split()[0] in said for text, _ in TASKS)
    assert [task["text"] for task in shell.json("history", "list", "--limit", "2")["tasks"]] == [
        TASKS[1][0],
        TASKS[2][0],
    ]
    rows = list(csv.DictReader(io.StringIO(shell.ok("history", "list", "--format", "csv", "--agent", "bob"))))
    assert [(row["text"], row["answer"]) for row in rows] == list(TASKS)
    assert {row["state"] for row in rows} == {"completed"}
    assert rows[0]["asked"].endswith("Z")
    assert shell.refused("history", "--agent", "nobody") == "no_such_agent"
    assert shell.refused("history", "--limit", "0", status=2) == "bad_limit"
    assert shell.refused("history", "show", "t-none") == "no_such_task"


def test_words_are_found_in_what_was_asked_and_answered(shell: Shell) -> None:
    first, second, third = ids(shell)[:3]
    assert first in shell.ok("history", "search", "token")
    assert "[token]" in shell.ok("history", "search", "TOKEN")
    assert [t["task_id"] for t in shell.json("history", "search", "cafe", "42")["tasks"]] == [third, second]
    assert [t["task_id"] for t in shell.json("history", "search", "cafe", "日本語", "--logic", "and")["tasks"]] == [
        second
    ]
    assert [t["task_id"] for t in shell.json("history", "search", "token format", "zzz")["tasks"]] == [first]
    done = shell.run("history", "search", "cafe", "42", "--logic", "AND")
    assert (done.returncode, done.stdout, "Nothing holds 'cafe 42'" in done.stderr) == (1, "", True)
    done = shell.run("history", "search", "zzz", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (1, {"tasks": [], "many": False})
    assert shell.refused("history", "search", "'--", status=2) == "bad_query"
    assert shell.refused("history", "search", "x", SYNAPSE_HISTORY_ENABLED="false") == "history_off"
    rows = list(csv.DictReader(io.StringIO(shell.ok("history", "search", "lines", "--format", "csv"))))
    assert third in {row["task_id"] for row in rows}


def test_figures_say_how_it_went(of_its_own: Shell) -> None:
    shell = of_its_own
    failed = ask(shell, "fail at this", "no way", "--fail", "it is not possible")
    reply = shell.json("history", "stats", "--days", "1")
    [of_bob] = reply["agents"]
    assert (of_bob["agent"], of_bob["states"]["failed"], of_bob["success"]) == ("bob", 1, 0.75)
    assert reply["total"]["tasks"] == 4
    assert "75%" in shell.ok("history", "stats", "--agent", "bob")
    [row] = csv.DictReader(io.StringIO(shell.ok("history", "stats", "--format", "csv")))
    assert (row["agent"], row["failed"], row["completed"]) == ("bob", "1", "3")
    assert shell.refused("history", "stats", "--days", "-1", status=2) == "bad_days"
    assert failed in ids(shell)


def test_all_tasks_are_written_out_whole(of_its_own: Shell) -> None:
    shell = of_its_own
    long = ask(shell, "say much", "much " * 20_000)
    tasks = json.loads(shell.ok("history", "export"))["tasks"]
    assert [task["task_id"] for task in tasks] == ids(shell)
    assert (tasks[-1]["task_id"], len(tasks[-1]["answer"])) == (long, 100_000)
    lines = [json.loads(line) for line in shell.ok("history", "export", "--format", "ndjson").splitlines()]
    assert lines == tasks
    rows = list(csv.DictReader(io.StringIO(shell.ok("history", "export", "--format", "csv"))))
    assert [(row["text"], row["answer"]) for row in rows] == [(task["text"], task["answer"]) for task in tasks]
    assert json.loads(shell.ok("history", "export", "--agent", "pat")) == {"tasks": []}


def test_a_trace_shows_what_happened_in_order(shell: Shell) -> None:
    first = ids(shell)[0]
    said = shell.ok("trace", first)
    assert said.index("tasks.submitted") < said.index("tasks.completed") < said.index("messages.acknowledged")
    assert TASKS[0][1] in said
    assert next(event["kind"] for event in shell.json("trace", first)["events"]) == "tasks.submitted"
    assert shell.refused("trace", "t-none") == "no_such_task"
    assert "Missing argument 'TASK'" in shell.run("trace").stderr


def test_forgetting_asks_before_and_says_what_was_freed(of_its_own: Shell) -> None:
    shell = of_its_own
    assert shell.refused("history", "cleanup", status=2) == "no_bound"
    assert shell.refused("history", "cleanup", "--days", "-1", status=2) == "bad_bound"
    assert shell.refused("history", "cleanup", "--days", "0") == "not_asked"
    assert shell.json("history", "cleanup", "--days", "30", "--dry-run")["tasks"] == 0
    ask(shell, "say much", "much " * 20_000)
    before = ids(shell)
    assert "would be forgotten: 4 tasks" in shell.ok("history", "cleanup", "--days", "0", "--dry-run")
    assert ids(shell) == before
    assert at_a_terminal(shell, "history", "cleanup", "--days", "0", types=b"n\n")[0] == 1
    assert ids(shell) == before
    status, said = at_a_terminal(shell, "history", "cleanup", "--max-size", "0.05", types=b"y\n")
    assert (status, "Forget 4 tasks" in said, "forgotten: 4 tasks" in said) == (0, True, True)
    assert ids(shell) == []
    ask(shell, *TASKS[0])
    report = shell.json("history", "cleanup", "--days", "0", "--force")
    assert (report["tasks"], report["left"]) == (1, 0)
    assert shell.run("history", "search", "token").returncode == 1
    assert b"opaque tokens" not in (shell.data / "synapse.db").read_bytes()


def test_the_commands_of_the_page_do_what_it_says(of_its_own: Shell) -> None:
    shell = of_its_own
    before = ids(shell)
    page = (Path(__file__).parents[2] / "docs" / "history.md").read_text()
    lines = [line.partition("  #")[0] for line in re.findall(r"^(synapse .*)$", page, re.MULTILINE)]
    assert len(lines) >= 10
    for line in lines:
        words = shlex.split(line.partition(">")[0].replace("t-01M7XQCXHHAGM20MQW5N3H0VJV", before[0]))[1:]
        if "cleanup" in words and not {"--force", "--dry-run"} & set(words):
            words.append("--force")
        if "codex" not in words:  # there is none here
            shell.ok(*words, XDG_CONFIG_HOME=str(shell.data / "config"))
    assert ids(shell) == before


def test_the_longest_texts_are_written_out_too(of_its_own: Shell) -> None:
    shell = of_its_own
    text = "long " * 180_000
    task = json.loads(shell.ok("send", "bob", "--stdin", "--json", stdin=text))["task_id"]
    shell.ok("reply", "--stdin", "--to", task, "--from", "bob", stdin=text)
    last = json.loads(shell.ok("history", "export"))["tasks"][-1]
    assert (last["task_id"], last["text"].strip(), last["answer"].strip()) == (task, text.strip(), text.strip())


def at_a_terminal(shell: Shell, *words: str, types: bytes) -> tuple[int, str]:
    """A command in a terminal, answered; its status and what it said."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [*SYNAPSE, *words], stdin=theirs, stdout=theirs, stderr=theirs, cwd=shell.project, env=shell.environ
        )
        os.close(theirs)
        os.write(ours, types)
        said = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            said += piece
        return process.wait(BOUND), said.decode()
    finally:
        os.close(ours)


def test_after_a_kill_and_without_its_file_the_history_is_the_same(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path)
    try:
        hub.serve("--background")
        with hub.peer() as bob, hub.peer() as pat:
            bob.hello(**{"as": "bob"})
            bob.ask("agents.here")
            pat.hello(**{"as": "pat"})
            tasks = []
            for number in range(300):
                sent = pat.ask("messages.send", to="bob", text=f"number {number}", mode="wait")
                tasks.append(sent["result"]["task_id"])
                if number % 3:
                    bob.ask("messages.reply", to=tasks[-1], text=f"answer {number}")
        hub.kill()
        seen = []
        for without in (False, True):
            if without:
                hub.synapse("serve", "--stop")
                until(lambda: not hub.hubs())
                for path in hub.data.glob("cache.db*"):
                    path.unlink()
            hub.serve("--background")
            with hub.peer() as pat:
                pat.hello(**{"as": "pat"})
                found, token = [], ""
                while True:
                    page = pat.ask("tasks.page", limit=100, token=token)["result"]
                    found += page["tasks"]
                    token = page["next"]
                    if not token:
                        break
                hits = pat.ask("history.search", query="299", limit=10)["result"]["tasks"]
                assert [hit["task_id"] for hit in hits] == [tasks[299]]
            seen.append(found)
        assert seen[0] == seen[1]
        assert {task["id"] for task in seen[0]} == set(tasks)
        assert [task["state"] for task in seen[0]].count("submitted") == 100
    finally:
        hub.close()


def test_a_kill_in_the_middle_of_forgetting_leaves_nothing_half_forgotten(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path)
    try:
        hub.serve("--background", "--rate", "0")
        with hub.peer() as bob, hub.peer() as pat:
            bob.hello(**{"as": "bob"})
            bob.ask("agents.here")
            pat.hello(**{"as": "pat"})
            for number in range(600):
                sent = pat.ask("messages.send", to="bob", text=f"number {number}", mode="wait")
                bob.ask("messages.reply", to=sent["result"]["task_id"], text=f"answer {number}")
            assert "work" in pat.ask("history.cleanup", days=0)["result"]
            until(lambda: forgotten(hub))
            hub.kill()
        told = forgotten(hub)
        assert 0 < len(told) <= 600
        hub.serve("--background")
        until(lambda: not told & stories(hub))
        assert len(stories(hub)) == 600 - len(told)
        done = hub.synapse("history", "cleanup", "--days", "0", "--force", "--json")
        assert json.loads(done.stdout)["left"] == 0, done.stderr
        assert stories(hub) == set()
        hub.synapse("serve", "--stop")
        until(lambda: not hub.hubs())
        assert b"number 5" not in (hub.data / "synapse.db").read_bytes()
    finally:
        hub.close()


def rows(hub: HubProcess, sql: str) -> list[Any]:
    """What lies in the log's file."""
    connection = sqlite3.connect(hub.data / "synapse.db")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def forgotten(hub: HubProcess) -> set[str]:
    """The tasks of which the log says that they are forgotten."""
    bodies = [json.loads(body) for (body,) in rows(hub, "SELECT body FROM events WHERE kind = 'log.forgotten'")]
    return {story for body in bodies for story in body["stories"]}


def stories(hub: HubProcess) -> set[str]:
    """The tasks that the log holds."""
    return {story for (story,) in rows(hub, "SELECT DISTINCT story FROM events WHERE story LIKE 't-%'")}


def test_forgetting_takes_the_files_beside_the_log_too(of_its_own: Shell) -> None:
    shell = of_its_own
    task = ask(shell, *TASKS[0])
    for name in (f"letters/{task}.txt", "logs/a-GONE.txt"):
        (shell.data / name).parent.mkdir(mode=0o700, exist_ok=True)
        (shell.data / name).write_text("opaque tokens")
    assert "1 terminal of agents" in shell.ok("history", "cleanup", "--days", "0", "--dry-run")
    report = shell.json("history", "cleanup", "--days", "0", "--force")
    assert (report["letters"], report["screens"]) == (1, 1)
    assert not (shell.data / "letters" / f"{task}.txt").exists()
    assert not (shell.data / "logs" / "a-GONE.txt").exists()
