"""The commands as two people at two shells use them: one hub for all, started by the first command."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.commands_kit import Shell, until
from tests.e2e.hubs import free_port

TASK = re.compile(r"t-[0-9A-Z]{26}")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """alice and bob are known; nobody else."""
    shell = Shell(tmp_path_factory.mktemp("commands"))
    try:
        for name in ("alice", "bob"):
            shell.run("wait", "--from", name, "--timeout", "0")
        yield shell
    finally:
        shell.stop_hub()


def send(shell: Shell, *words: str, **more: str) -> str:
    """Send, and give the task's or the message's id."""
    sent = json.loads(shell.ok("send", "--json", *words, **more))
    return str(sent.get("task_id") or sent["id"])


def clear(shell: Shell, name: str) -> None:
    """Have nothing in a box."""
    for one in shell.json("inbox", "--from", name)["messages"]:
        if one["role"] == "task":
            shell.ok("reply", "--from", name, "--to", one["task_id"], "cleared")
        else:
            shell.ok("inbox", "ack", one["id"], "--from", name)


def test_a_message_is_sent_listed_read_and_answered_and_the_answer_comes_back(shell: Shell) -> None:
    clear(shell, "alice")
    task = send(shell, "bob", "what is 6 x 7?", "--from", "alice")
    assert task in shell.ok("inbox", "--from", "bob")
    [entry] = [one for one in shell.json("inbox", "--from", "bob")["messages"] if one["id"] == task]
    assert (entry["sender"], entry["to"], entry["state"], entry["text"]) == ("alice", "bob", "queued", "what is 6 x 7?")
    read = shell.ok("inbox", "read", task, "--from", "bob")
    assert "what is 6 x 7?" in read
    assert f"synapse reply --to {task}" in read
    assert shell.json("inbox", "read", task, "--from", "bob")["state"] == "read"
    assert "completed" in shell.ok("reply", "42", "--to", task, "--from", "bob")
    answer = shell.json("wait", "--from", "alice", "--timeout", "10")
    assert (answer["role"], answer["text"], answer["sender"]) == ("answer", "42", "bob")
    shell.ok("inbox", "ack", answer["id"], "--from", "alice")
    assert shell.json("inbox", "--from", "alice") == {"messages": []}


def test_the_target_may_be_an_option_and_a_name_means_nothing_else(shell: Shell) -> None:
    for words in (["--target", "bob", "by option"], ["by option", "--target=bob"], ["--name", "bob", "by option"]):
        sent = send(shell, *words, "--silent", "--from", "alice")
        assert shell.json("inbox", "read", sent, "--from", "bob")["text"] == "by option"
    sent = send(shell, "--target", "bob", "--stdin", "--silent", "--from", "alice", stdin="piped")
    assert shell.json("inbox", "read", sent, "--from", "bob")["text"] == "piped"
    assert "bob and --target alice: say once" in shell.run("send", "bob", "x", "--target", "alice").stderr.replace(
        "'", ""
    )
    assert shell.refused("send", "--name", "nobody", "hello", "--from", "alice") == "no_such_agent"
    clear(shell, "bob")


def test_send_wait_prints_the_answer_and_nothing_else(shell: Shell) -> None:
    clear(shell, "bob")
    with shell.start("send", "bob", "ping", "--wait", "--from", "alice") as waiting:
        asked = shell.json("wait", "--from", "bob", "--timeout", "20")
        shell.ok("reply", "pong", "--to", asked["task_id"], "--from", "bob")
        assert waiting.ends() == 0
        assert (waiting.said, waiting.complained) == ("pong\n", "")


def test_send_wait_fails_when_the_task_fails(shell: Shell) -> None:
    clear(shell, "bob")
    with shell.start("send", "bob", "ping", "--wait", "--from", "alice") as waiting:
        asked = shell.json("wait", "--from", "bob", "--timeout", "20")
        shell.ok("reply", "--fail", "no time", "--to", asked["task_id"], "--from", "bob")
        assert waiting.ends() == 1
        assert waiting.said == ""
        assert "no time" in waiting.complained


def test_send_wait_to_two_prints_both_answers_with_their_names(shell: Shell) -> None:
    shell.run("wait", "--from", "carol", "--timeout", "0")
    clear(shell, "bob")
    clear(shell, "carol")
    with shell.start("send", "bob,carol", "ping", "--wait", "--from", "alice") as waiting:
        for name in ("carol", "bob"):
            asked = shell.json("wait", "--from", name, "--timeout", "20")
            shell.ok("reply", f"I am {name}", "--to", asked["task_id"], "--from", name)
        assert waiting.ends() == 0
        assert waiting.said == "bob:\nI am bob\ncarol:\nI am carol\n"


def test_a_wait_that_is_over_says_so_with_124_and_the_answer_comes_as_a_message(shell: Shell) -> None:
    clear(shell, "alice")
    done = shell.run("send", "bob", "slow", "--wait", "--timeout", "0.2", "--from", "alice")
    assert done.returncode == 124
    assert "it will come as a message" in done.stderr
    task = TASK.findall(done.stderr)[0]
    assert shell.run("wait", task, "--timeout", "0.2", "--from", "alice").returncode == 124
    shell.ok("reply", "late", "--to", task, "--from", "bob")
    assert shell.json("wait", "--from", "alice", "--timeout", "10")["text"] == "late"
    assert shell.ok("wait", task, "--from", "alice") == "late\n"
    assert shell.run("wait", "--from", "alice", "--timeout", "0.1").returncode == 124


def test_ctrl_c_during_a_wait_gives_130_and_says_how_to_wait_again(shell: Shell) -> None:
    clear(shell, "bob")
    with shell.start("send", "bob", "never", "--wait", "--from", "alice") as waiting:
        asked = shell.json("wait", "--from", "bob", "--timeout", "20")
        until(lambda: shell.json("status")["hub"]["connections"] >= 2)
        assert waiting.interrupt() == 130
        assert f"synapse wait {asked['task_id']}" in waiting.complained
        assert "Traceback" not in waiting.complained
    shell.ok("reply", "x", "--to", asked["task_id"], "--from", "bob")


def test_wait_gives_the_oldest_unread_message_and_each_only_once(shell: Shell) -> None:
    clear(shell, "bob")
    first, second = (send(shell, "bob", text, "--silent", "--from", "alice") for text in ("one", "two"))
    assert [shell.json("wait", "--from", "bob", "--timeout", "5")["id"] for _ in range(2)] == [first, second]
    assert shell.run("wait", "--from", "bob", "--timeout", "0").returncode == 124


def test_a_participant_who_has_done_nothing_yet_is_there_once_it_waits(shell: Shell) -> None:
    with shell.start("wait", "--from", "dora", "--timeout", "20") as waiting:
        until(lambda: shell.run("send", "dora", "welcome", "--silent", "--from", "alice").returncode == 0)
        assert waiting.ends() == 0
        waiting.says("From alice to dora", "welcome")


def test_sent_and_dead_list_what_waits_elsewhere(shell: Shell) -> None:
    clear(shell, "bob")
    note = send(shell, "bob", "a note", "--silent", "--from", "alice")
    sent = shell.json("inbox", "--sent", "--from", "alice")["messages"]
    assert [(one["id"], one["to"]) for one in sent if one["id"] == note] == [(note, "bob")]
    assert "bob" in shell.ok("inbox", "--sent", "--from", "alice")
    assert shell.json("inbox", "--dead", "--from", "alice") == {"messages": []}
    assert shell.refused("inbox", "--sent", "--dead", status=2) == "two_lists"
    assert shell.refused("inbox", "--limit", "0", status=2) == "bad_limit"


def test_a_task_is_not_put_away_without_an_answer(shell: Shell) -> None:
    task = send(shell, "bob", "work", "--from", "alice")
    assert shell.refused("inbox", "ack", task, "--from", "bob") == "unanswered"
    shell.ok("reply", "done", "--to", task, "--from", "bob")
    assert shell.refused("inbox", "ack", task, "--from", "bob") == "no_such_message"


def test_what_is_not_there_is_refused_with_what_is(shell: Shell) -> None:
    shell.run("wait", "--from", "alice", "--timeout", "0")  # she is here now, whatever was before
    assert shell.refused("send", "zoe", "hi") == "no_such_agent"
    assert "alice" in shell.run("send", "zoe", "hi").stderr
    assert shell.refused("inbox", "read", "m-0") == "no_such_message"
    assert shell.refused("inbox", "ack", "m-0") == "no_such_message"
    assert shell.refused("wait", "t-0") == "no_such_task"
    assert shell.refused("history", "show", "t-0") == "no_such_task"
    assert shell.refused("status", "zoe") == "no_such_agent"
    assert shell.refused("reply", "x", "--from", "zoe2") == "no_task"


def test_a_name_that_is_only_in_another_workspace_is_refused_with_its_full_name(shell: Shell) -> None:
    shell.run("wait", "--from", "erin", "--workspace", "garden", "--timeout", "0")
    assert shell.refused("send", "erin", "hi", "--from", "alice") == "elsewhere"
    assert "garden/erin" in shell.run("send", "erin", "hi", "--from", "alice").stderr
    shell.ok("send", "garden/erin", "hi", "--silent", "--from", "alice")
    assert "erin" not in shell.ok("who")
    assert "garden" in shell.ok("who", "--all")


@pytest.mark.parametrize("name", ["all", "hub", "me", "person", "", "-x", "Ä", "a b", "x" * 65])
def test_from_takes_no_name_that_is_reserved_or_is_none(shell: Shell, name: str) -> None:
    if not name:
        shell.ok("who", f"--from={name}")  # as if it had not been given
    else:
        assert shell.refused("who", f"--from={name}", status=2) in ("reserved_name", "bad_name")


def test_who_shows_everybody_and_list_only_agents_unless_it_is_told(shell: Shell) -> None:
    shell.ok("who", "--from", "alice")
    who = {one["name"]: one for one in shell.json("who")["participants"]}
    assert (who["alice"]["type"], who["alice"]["workspace"], who["alice"]["presence"]) == ("client", "shop", "AWAY")
    assert shell.json("list") == []
    assert "No agents" in shell.ok("list")
    [alice] = [one for one in shell.json("list", "--all") if one["name"] == "alice"]
    fields = {
        "agent_id", "agent_type", "name", "role", "skill_set", "port", "status", "pid", "working_dir", "endpoint",
        "transport", "current_task_preview", "task_received_at", "editing_file",
    }  # fmt: skip
    assert fields <= set(alice)
    assert "alice" in shell.ok("list", "--all", "--plain")


def test_status_shows_the_hub_and_a_participant(shell: Shell) -> None:
    hub = shell.json("status")["hub"]
    assert (hub["port"], hub["pid"] > 0) == (int(shell.environ["SYNAPSE_PORT"]), True)
    assert f"port {hub['port']}" in shell.ok("status")
    alice = shell.json("status", "alice")
    assert alice["agent"]["name"] == "alice"
    assert isinstance(alice["recent"], list)
    assert "shop/alice" in shell.ok("status", "alice")
    shell.ok("send", "me", "a note to myself", "--silent")
    assert "pat" in shell.ok("status", "me")


def test_a_plain_client_stays_until_it_leaves(shell: Shell) -> None:
    assert shell.run("wait", "--timeout", "0.1", "--from", "passer-by").returncode == 124
    assert "passer-by" in shell.ok("list", "--all")
    assert shell.ok("leave", "passer-by") == "passer-by is not here any more\n"
    assert "passer-by" not in shell.ok("list", "--all")
    gone = shell.run("leave", "passer-by")
    assert (gone.returncode, "passer-by" in gone.stderr) == (1, True)
    me = shell.run("leave", "pat")
    assert (me.returncode, "no plain client" in me.stderr) == (1, True)


def test_state_and_history_show_tasks_with_names(shell: Shell) -> None:
    task = send(shell, "bob", "write it down\nplease", "--from", "alice")
    assert task in shell.ok("state")
    assert any(one["task_id"] == task for one in shell.json("state")["tasks"])
    shell.ok("reply", "written", "--to", task, "--from", "bob")
    [entry] = [one for one in shell.json("history", "--agent", "bob")["tasks"] if one["task_id"] == task]
    assert (entry["requester"], entry["agent"], entry["state"], entry["answer"]) == (
        "alice",
        "bob",
        "completed",
        "written",
    )
    assert re.search(rf"{task}.*alice.*bob.*completed.*write it down please.*written", shell.ok("history", "list"))
    shown = shell.ok("history", "show", task)
    assert "write it down\nplease\n" in shown
    assert "bob answered" in shown
    assert shell.json("history", "show", task)["answer"] == "written"
    assert len(shell.json("history", "list", "--limit", "1")["tasks"]) == 1


def test_the_state_is_shown_as_it_was(shell: Shell) -> None:
    before = shell.json("status")["hub"]["head"]
    task = send(shell, "bob", "later gone", "--from", "alice")
    between = shell.json("status")["hub"]["head"]
    shell.ok("reply", "gone", "--to", task, "--from", "bob")
    alive = {at: {one["task_id"] for one in shell.json("state", "--at", str(at))["tasks"]} for at in (before, between)}
    assert alive[between] - alive[before] == {task}
    now = shell.json("state", "--all")
    then = shell.json("state", "--at", str(now["position"]))
    assert {one["task_id"] for one in then["tasks"]} == {one["task_id"] for one in now["tasks"]}
    assert {one["key"]: one["queued"] for one in then["agents"]} == {one["key"]: one["queued"] for one in now["agents"]}
    assert then["messages"] >= now["messages"]
    assert shell.json("state", "--at", "1h")["agents"] == []
    assert "alice" in shell.ok("state", "--at", str(between))
    assert shell.refused("state", "--at", "999999", status=2) == "bad_position"
    assert shell.refused("state", "--at", "tomorrow", status=2) == "bad_time"


def test_a_conversation_within_a_conversation_ends(shell: Shell) -> None:
    task = send(shell, "bob", "depth 1", "--from", "alice")
    tasks, asked, others = [task], "bob", "alice"
    for depth in range(2, 9):
        shell.ok("inbox", "read", tasks[-1], "--from", asked)
        asked, others = others, asked
        tasks.append(send(shell, asked, f"depth {depth}", "--from", others))
    shell.ok("inbox", "read", tasks[-1], "--from", asked)
    assert shell.refused("send", others, "depth 9", "--from", asked) == "too_deep"
    for name in ("alice", "bob"):
        clear(shell, name)


def test_inside_an_agent_that_is_gone_nothing_is_said_in_its_name(shell: Shell) -> None:
    assert shell.refused("who", SYNAPSE_AGENT_ID="synapse-claude-8100") == "agent_gone"


def test_the_shell_completes_commands_options_and_names(shell: Shell) -> None:
    def completed(line: str, at: int) -> str:
        done = shell.run(_SYNAPSE_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(at))
        return done.stdout

    assert completed("synapse se", 1).split() == ["plain,send", "plain,serve"]
    assert completed("synapse inbox r", 2).split() == ["plain,read"]
    assert "plain,--wait" in completed("synapse send --w", 2)
    assert "plain,alice" in completed("synapse send al", 2)
    assert "_synapse_completion" in shell.run(_SYNAPSE_COMPLETE="bash_source").stdout


def test_the_log_is_told_queried_and_exported(shell: Shell, tmp_path: Path) -> None:
    task = send(shell, "bob", "for the log", "--from", "alice")
    tail = shell.ok("events", "-n", "5")
    assert re.search(rf"alice +messages.sent +task to bob: for the log \({task}\)", tail)
    events = [json.loads(line) for line in shell.ok("events", "tail", "--json", "--kinds", "tasks.*").splitlines()]
    assert {event["kind"].partition(".")[0] for event in events} == {"tasks"}
    [one] = [event for event in events if event["story"] == task]
    told = shell.ok("events", "query", "--task", task)
    assert [line.split()[0] for line in told.splitlines()] == [str(one["position"])] * 2
    assert shell.ok("events", "query", "--agent", "alice", "--since", "1h", "--kinds", "messages.sent").count(task) == 1
    assert shell.ok("events", "query", "--until", "1h") == ""
    cursor = tmp_path / "cursor"
    shell.ok("events", "export", str(tmp_path / "all.ndjson"), "--cursor", str(cursor))
    exported = [json.loads(line) for line in (tmp_path / "all.ndjson").read_text().splitlines()]
    assert one in exported
    assert [(e["position"], e["index"]) for e in exported] == sorted({(e["position"], e["index"]) for e in exported})
    assert shell.ok("events", "export", "--cursor", str(cursor)) == ""
    shell.ok("reply", "x", "--to", task, "--from", "bob")
    more = [json.loads(line)["kind"] for line in shell.ok("events", "export", "--cursor", str(cursor)).splitlines()]
    assert more == ["tasks.completed", "messages.sent"]
    behind = shell.ok("events", "--after", f"{exported[-1]['position']}.{exported[-1]['index']}", "--json").splitlines()
    assert [json.loads(line)["kind"] for line in behind] == more


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["events", "query", "--since", "soon"], "bad_time"),
        (["events", "query", "--limit", "0"], "bad_limit"),
        (["events", "tail", "-n", "-1"], "bad_number"),
        (["events", "tail", "--after", "x"], "bad_cursor"),
        (["listen", "--for", "a", "--from", "b"], "two_names"),
        (["send", "bob", "a", "--stdin"], "two_texts"),
        (["send", "bob", "a", "--wait", "--silent"], "two_modes"),
        (["send", "bob", "a", "--timeout", "3"], "no_wait"),
        (["send", "bob", ""], "no_text"),
        (["send", "bob", "  "], "no_text"),
        (["send", "bob"], "no_text"),
        (["send", "bob", "a", "-p", "9"], "bad_priority"),
        (["send", "bob", "--message-file", "/nonexistent"], "bad_file"),
        (["send", "bob", "--message-file", "/dev"], "bad_file"),
        (["send", "bob", "a", "--target", "alice"], "two_targets"),
        (["send", "bob", "a", "--name", "alice"], "two_targets"),
        (["send", "a", "--stdin", "--target", "alice"], "two_targets"),
        (["send", "a", "--target", "bob", "--name", "bob"], "two_targets"),
        (["send", "--target", "bob"], "no_text"),
        (["send", "a", "--name", "bob,alice"], "bad_name"),
        (["send", "a", "--name", "all"], "reserved_name"),
        (["send", "bob", "a", "--wait", "--timeout", "nan"], "bad_timeout"),
        (["wait", "--timeout", "-1"], "bad_timeout"),
        (["send"], "usage"),
        (["send", "bob", "a", "b"], "usage"),
        (["send", "bob", "a", "--priority", "high"], "usage"),
        (["sned", "bob", "a"], "usage"),
        (["inbox", "raed"], "usage"),
        (["history", "--limit", "0"], "bad_limit"),
        (["serve", "--port", "70000"], "bad_port"),
    ],
)
def test_wrong_words_are_refused_with_2(shell: Shell, words: list[str], code: str) -> None:
    words = [*words] if words[0] != "serve" else words
    if words[0] == "serve":
        assert shell.run(*words).returncode == 2
    else:
        assert shell.refused(*words, status=2) == code


def test_a_wrong_word_is_told_with_the_nearest_right_one(shell: Shell) -> None:
    assert "Did you mean send?" in shell.run("sned", "bob", "a").stderr
    assert "Did you mean read?" in shell.run("inbox", "raed").stderr
    assert "--wait" in shell.run("send", "bob", "a", "--wiat").stderr


@pytest.mark.parametrize("words", [[], ["help"], ["--help"], ["-h"]])
def test_the_help_lists_all_commands(shell: Shell, words: list[str]) -> None:
    shown = shell.ok(*words)
    assert all(re.search(rf"\b{name}\b", shown) for name in ("send", "listen", "who", "serve", "run", "backup"))
    assert "_runner" not in shown


def test_the_help_of_one_command_is_had_in_three_ways(shell: Shell) -> None:
    assert shell.ok("help", "inbox", "read") == shell.ok("inbox", "read", "--help") == shell.ok("inbox", "read", "-h")


def test_a_text_that_begins_with_a_dash_goes_behind_two(shell: Shell) -> None:
    id = send(shell, "bob", "--silent", "--from", "alice", "--", "-v is wrong")
    assert shell.json("inbox", "read", id, "--from", "bob")["text"] == "-v is wrong"
    assert shell.run("send", "bob", "-v is wrong").returncode == 2


@pytest.mark.parametrize("words", [["-"], ["--stdin"]])
def test_a_text_comes_from_standard_input(shell: Shell, words: list[str]) -> None:
    sent = json.loads(shell.ok("send", "bob", *words, "--silent", "--json", "--from", "alice", stdin="a\nb – ü\n"))
    assert shell.json("inbox", "read", sent["id"], "--from", "bob")["text"] == "a\nb – ü\n"


def test_a_text_that_is_none_is_refused(shell: Shell, tmp_path: Path) -> None:
    assert shell.refused("send", "bob", "-", status=2, stdin=b"\xff\xfe") == "not_text"
    assert shell.refused("send", "bob", "-", status=2, stdin=b"a\0b") == "not_text"
    assert shell.refused("send", "bob", "caf\udce9", status=2) == "not_text"
    assert shell.refused("send", "bo\udce9b", "hi", status=2) == "not_text"
    (tmp_path / "latin").write_bytes(b"\xe9")
    assert shell.refused("send", "bob", "--message-file", str(tmp_path / "latin"), status=2) == "not_text"


@pytest.mark.parametrize("sign", ["x", "ü", "日", "😀", "\n"])
def test_a_long_text_arrives_whole_and_one_that_is_too_long_is_refused(shell: Shell, tmp_path: Path, sign: str) -> None:
    file = tmp_path / "long"
    each = len(json.dumps(sign, ensure_ascii=False).encode()) - 2
    file.write_text(sign * (1_000_000 // each) + ".")
    id = send(shell, "bob", "--message-file", str(file), "--silent", "--from", "alice")
    assert shell.json("inbox", "read", id, "--from", "bob")["text"] == file.read_text()
    file.write_text(sign * (1_100_000 // each))
    assert shell.refused("send", "bob", "--message-file", str(file), status=2) == "too_large"


def test_a_reader_that_goes_away_is_no_traceback(shell: Shell, tmp_path: Path) -> None:
    import subprocess
    import sys

    for words in (["events", "-n", "100"], ["list", "--help"], ["events", "export"]):
        line = " ".join([sys.executable, "-m", "synapse", *words])
        for how in (f"{line} | head -c 1", f"{line} >&-", f"{line} > /dev/full"):
            done = subprocess.run(
                ["sh", "-c", how], cwd=shell.project, env=shell.environ, capture_output=True, text=True, timeout=30,
                check=False,
            )  # fmt: skip
            assert "Traceback" not in done.stderr, (how, done.stderr)
            assert "Exception" not in done.stderr, (how, done.stderr)


def test_a_folder_that_is_gone_is_named_as_the_reason(shell: Shell, tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "gone").mkdir()
    line = f"cd {tmp_path}/gone && rmdir {tmp_path}/gone && {sys.executable} -P -m synapse who"
    done = subprocess.run(
        ["sh", "-c", line], env=shell.environ, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "synapse: The folder that you are in is not there any more: go to another.\n"


def test_output_that_is_closed_does_not_go_to_the_hub(shell: Shell) -> None:
    import subprocess
    import sys

    line = " ".join([sys.executable, "-m", "synapse", "send", "bob", "unheard", "--silent", "--from", "alice"])
    for how in (f"{line} >&-", f"{line} <&- >&- 2>&-"):
        before = shell.json("status")["hub"]["refusals"]
        assert (
            subprocess.run(["sh", "-c", how], cwd=shell.project, env=shell.environ, timeout=30, check=False).returncode
            == 0
        )
        assert shell.json("status")["hub"]["refusals"] == before
    no_input = line.replace("unheard", "- <&-")
    done = subprocess.run(["sh", "-c", no_input], cwd=shell.project, env=shell.environ, timeout=30, check=False)
    assert done.returncode == 2


def test_the_version_and_the_help_start_nothing(tmp_path: Path) -> None:
    other = Shell(tmp_path / "other")
    for words in (["--version"], ["--help"], ["send", "--help"], ["status"], ["logs", "hub"], ["serve", "--stop"]):
        other.run(*words)
    assert not (other.data / "synapse.db").exists()
    assert other.refused("status") == "no_hub"
    assert other.refused("send", "me", "x", "--no-start") == "no_hub"
    assert other.refused("events", "query") == "no_log"
    assert other.refused("backup", str(tmp_path / "b")) == "no_log"
    assert "no hub" in other.run("serve", "--stop").stderr.lower()
    assert other.run("serve", "--stop").returncode == 1


def test_a_backup_is_a_log_that_can_be_read(shell: Shell, tmp_path: Path) -> None:
    done = shell.json("backup", str(tmp_path / "copy.db"))
    assert done["position"] == shell.json("status")["hub"]["head"]
    assert shell.ok("events", "query", "--db", str(tmp_path / "copy.db")).count("\n") > 1
    shell.ok("backup", str(tmp_path / "copy.db"))
    (tmp_path / "mine.txt").write_text("mine")
    assert shell.refused("backup", str(tmp_path / "mine.txt")) == "backup_target"
    assert shell.refused("backup", str(tmp_path)) == "backup_target"
    assert shell.refused("backup", str(tmp_path / "none" / "copy.db")) == "no_folder"


def test_the_hubs_log_is_shown_from_its_end(shell: Shell) -> None:
    assert "synapse 0" in shell.ok("logs", "hub", "-n", "1000")
    assert shell.ok("logs", "hub", "-n", "0") == ""
    assert shell.run("logs", "zoe").returncode == 1
    logs = shell.data / "logs"
    logs.mkdir(exist_ok=True)
    key = next(one["key"] for one in shell.json("list", "--all") if one["name"] == "alice")
    (logs / f"{key}.log").write_text("".join(f"line {number}\n" for number in range(100)))
    assert shell.ok("logs", "alice", "-n", "2") == "line 98\nline 99\n"
    with shell.start("logs", "alice", "-n", "1", "-f") as following:
        following.says("line 99\n")
        (logs / f"{key}.log").rename(logs / "old")
        (logs / f"{key}.log").write_text("a new file\n")
        following.says("a new file\n")
        assert following.interrupt() == 130


def test_another_port_than_the_hubs_is_not_stopped(shell: Shell) -> None:
    assert shell.run("serve", "--stop", "--port", str(free_port())).returncode == 1
    assert shell.hub_pid()
