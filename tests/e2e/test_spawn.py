"""`spawn` and `team start`: agents in panes of real tmux, in other terminals by their own command, else in the background."""

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest

from tests.core.runner.attached import Glass
from tests.e2e.agents_kit import House
from tests.e2e.hubs import alive, until

RECORDER = """#!/bin/sh
for word in "$0" "$@"; do printf '%s\\0' "$word"; done > {file}
exit {status}
"""
NOWHERE = {"TERM": "xterm"}


class Desk:
    """A house with a tmux server; `person` is a shell in its first pane."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.socket = str(house.data / f"tmux-{uuid4().hex[:8]}")  # the server of the test before may not be gone yet
        self.person = ""

    def open(self, columns: int = 160, rows: int = 50) -> None:
        size = ("-x", str(columns), "-y", str(rows))
        self("new-session", "-d", "-s", "desk", *size, "exec bash --norc")
        self.person = self("display-message", "-p", "-t", "desk", "#{pane_id}")
        self.shows(self.person, "bash-")

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self.socket, *words], env=self.house.env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def types(self, words: str) -> None:
        """The person enters a line."""
        self("send-keys", "-t", self.person, "-l", words)
        self("send-keys", "-t", self.person, "Enter")

    def synapse(self, *words: str) -> None:
        self.types(f"{self.house.program} {shlex.join(words)}")

    def panes(self) -> list[str]:
        return self("list-panes", "-s", "-t", "desk", "-F", "#{pane_id}").split()

    def looks(self, pane: str) -> str:
        return self("capture-pane", "-p", "-t", pane)

    def shows(self, pane: str, text: str) -> None:
        until(lambda: text in self.looks(pane))

    def new(self) -> list[str]:
        return [pane for pane in self.panes() if pane != self.person]


@pytest.fixture(scope="module")
def shared() -> Iterator[House]:
    house = House()
    try:
        house.serve("--background")
        yield house
    finally:
        house.close()


@pytest.fixture
def house(shared: House) -> Iterator[House]:
    for file in (shared.data / ".config" / "synapse" / "agents").glob("*.toml"):
        file.unlink()
    yield shared
    shared.leave()
    names = shared.names()
    if names:
        shared.synapse("kill", "-f", *names)


@pytest.fixture
def desk(house: House) -> Iterator[Desk]:
    if not shutil.which("tmux"):
        pytest.skip("not run: tmux is absent")
    desk = Desk(house)
    desk.open()
    yield desk
    subprocess.run(["tmux", "-S", desk.socket, "kill-server"], capture_output=True, check=False)


def spawned(house: House, *words: str, **env: str) -> dict[str, object]:
    """An agent spawned where there is no pane to be had."""
    done = house.synapse("spawn", "--json", *words, env={**NOWHERE, **env})
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout.splitlines()[0])
    house.processes |= {int(str(told["pid"])), int(str(told["child_pid"]))}
    return told


# -- in tmux


def test_in_tmux_it_gets_a_pane_beside_and_the_person_stays_where_they_are(desk: Desk, house: House) -> None:
    desk.synapse("spawn", "demo", "--name", "beside", "--role", "helps")
    desk.shows(desk.person, "started beside (synapse-demo-")
    desk.shows(desk.person, "in a tmux pane")
    [pane] = desk.new()
    desk.shows(pane, "demo - ? for help")
    house.becomes("beside", "READY")
    assert house.status("beside")["agent"]["role"] == "helps"
    assert house.send("beside", "PING x") == "PONG x"
    desk.shows(pane, "PONG x")
    assert desk("display-message", "-p", "-t", "desk", "#{pane_id}") == desk.person
    width, height = desk("display-message", "-p", "-t", pane, "#{pane_width} #{pane_height}").split()
    assert (int(width) < 100, int(height) > 40) == (True, True)
    desk("send-keys", "-t", pane, "-l", "/exit")
    desk("send-keys", "-t", pane, "Enter")
    until(lambda: desk.new() == [] and "beside" not in house.names())


def test_a_program_that_ends_at_once_in_its_pane_is_not_said_to_be_started(desk: Desk, house: House) -> None:
    desk.synapse("spawn", "--name", "flash", "--", "sh", "-c", "echo no such model; exit 3")
    desk.shows(desk.person, "flash ended at once: `synapse logs --screen flash`")
    until(lambda: desk.new() == [])
    assert "no such model" in house.synapse("logs", "--screen", "flash").stdout
    assert "started flash" not in desk.looks(desk.person)


def test_its_pane_is_its_terminal_closed_ends_it_and_detached_keeps_it(desk: Desk, house: House) -> None:
    desk.synapse("spawn", "demo", "--name", "closed")
    until(desk.new)
    desk.shows(desk.new()[0], "demo - ? for help")
    desk("kill-pane", "-t", desk.new()[0])
    until(lambda: "closed" not in house.names())
    desk.synapse("spawn", "demo", "--name", "left")
    until(desk.new)
    desk.shows(desk.new()[0], "demo - ? for help")
    desk("send-keys", "-t", desk.new()[0], "C-\\")
    until(lambda: desk.new() == [])
    assert house.send("left", "PING x") == "PONG x"


def test_jump_finds_a_spawned_pane(desk: Desk, house: House) -> None:
    desk.synapse("spawn", "demo", "--name", "found")
    until(desk.new)
    desk.shows(desk.new()[0], "demo - ? for help")
    glass = house.glass("-S", desk.socket, "attach", "-t", "desk", program=["tmux"], columns=160, rows=50)
    until(lambda: desk("list-clients"))
    assert house.synapse("jump", "found").returncode == 0
    assert desk("display-message", "-p", "-t", "desk", "#{pane_id}") == desk.new()[0]
    glass.close()


def test_without_room_beside_it_goes_below_or_into_a_window_of_its_own(house: House, desk: Desk) -> None:
    for count in range(1, 5):  # 160x50: beside, below, and then there is no room for it
        desk.synapse("spawn", "--", "sleep", "300")
        until(lambda: len(desk.new()) == count)  # noqa: B023 - it is called here
    sizes = desk("list-panes", "-s", "-t", "desk", "-F", "#{window_index}: #{pane_width}x#{pane_height}").splitlines()
    assert sorted(sizes) == ["0: 79x50", "0: 80x24", "0: 80x25", "1: 160x50", "2: 160x50"]
    until(lambda: len(house.names()) == 4)


def test_an_agent_spawns_beside_the_pane_in_which_it_is_seen(desk: Desk, house: House) -> None:
    desk.synapse("run", "--name", "boss", "demo")
    desk.shows(desk.person, "demo - ? for help")
    task = house.queue("boss", f"RUN {house.program} spawn demo --name minion")
    house.task(task, "input-required")
    desk("send-keys", "-t", desk.person, "1")
    assert "in a tmux pane" in str(house.task(task)["answer"])
    [pane] = desk.new()
    desk.shows(pane, "demo - ? for help")
    assert house.status("minion")["agent"]["workspace"] == "house"


def test_an_agent_that_nobody_sees_spawns_in_the_background(desk: Desk, house: House) -> None:
    desk.synapse("start", "--name", "hidden", "demo")
    until(lambda: "hidden" in house.names())
    house.becomes("hidden", "READY")
    said = house.answer_of_command("hidden", f"{house.program} spawn demo --name quiet")
    assert "in the background" in said
    assert desk.new() == []


# -- elsewhere


def test_without_a_terminal_that_has_panes_it_is_in_the_background(house: House) -> None:
    done = house.synapse("spawn", "demo", "--name", "plain", env=NOWHERE)
    assert done.returncode == 0
    assert done.stdout.endswith("in the background: `synapse attach plain` shows it\n")
    assert house.send("plain", "PING x") == "PONG x"


OPENED = {
    "zellij": (
        {"ZELLIJ_SESSION_NAME": "work", "ZELLIJ_PANE_ID": "7"},
        ["zellij", "--session", "work", "action", "new-pane", "--close-on-exit", "--name", "NAME", "--cwd", "CWD", "--"],
    ),
    "kitty": (
        {"KITTY_WINDOW_ID": "4", "KITTY_LISTEN_ON": "unix:/k"},
        ["kitty", "@", "--to", "unix:/k", "launch", "--type=window", "--keep-focus", "--match", "window_id:4",
         "--title", "NAME", "--cwd", "CWD"],
    ),
    "WezTerm": (
        {"WEZTERM_PANE": "12", "WEZTERM_UNIX_SOCKET": "/w"},
        ["wezterm", "cli", "split-pane", "--pane-id", "12", "--cwd", "CWD", "--"],
    ),
    "iTerm2": ({"ITERM_SESSION_ID": "w0t1p2:8A3C-11"}, ["osascript", "8A3C-11", "LINE"]),
    "Terminal.app": ({"TERM_PROGRAM": "Apple_Terminal"}, ["osascript", "LINE"]),
    "Ghostty": ({"TERM_PROGRAM": "ghostty"}, ["osascript", "TTY", "LINE", "CWD"]),
}  # fmt: skip


@pytest.mark.parametrize("name", OPENED)
def test_other_terminals_open_a_pane_by_their_own_command(house: House, name: str) -> None:
    environ, wanted = OPENED[name]
    record, path = recorder(house, wanted[0])
    agent = f"in-{name.lower()}"
    glass = in_terminal(house, {**environ, "PATH": path}, "spawn", "demo", "--name", agent)
    glass.expect(f"in a {name} pane")
    words = record.read_text().split("\0")[:-1]
    pane = [*shlex.split(house.program), "_pane", "--socket", house.status(agent)["socket"]]
    pane += ["--detach-key", "ctrl-\\", "--name", agent]
    if wanted[0] == "osascript":
        assert words[1:3] == ["-e", "on run argv"]
        words = [word for before, word in pairwise(words) if "-e" not in (before, word)]
        filled = {"LINE": shlex.join(pane), "CWD": str(house.data)}
        for each, given in zip(wanted[1:], words, strict=True):
            assert given == filled.get(each, each) or (each == "TTY" and given.startswith("/dev/pts/"))
    else:
        filled = {"NAME": agent, "CWD": str(house.data)}
        assert [Path(words[0]).name, *words[1:]] == [filled.get(word, word) for word in wanted] + pane
        assert subprocess.run([*pane, "--help"], env=house.env, capture_output=True, check=False).returncode == 0
    assert house.send(agent, "PING x") == "PONG x"


def in_terminal(house: House, environ: dict[str, str], *words: str) -> Glass:
    """A command in a terminal of a kind."""
    return house.glass(*words, columns=250, env=environ)


def recorder(house: House, program: str, status: int = 0) -> tuple[Path, str]:
    """A program of that name that writes down how it was called; the file, and the PATH with it in front."""
    folder = house.data / f"bin-{program}-{status}"
    folder.mkdir(exist_ok=True)
    record = folder / "called"
    record.unlink(missing_ok=True)
    script = folder / program
    script.write_text(RECORDER.format(file=shlex.quote(str(record)), status=status))
    script.chmod(0o700)
    return record, f"{folder}:{house.env['PATH']}"


def test_a_pane_that_does_not_open_leaves_the_agent_in_the_background_and_says_why(house: House) -> None:
    _, path = recorder(house, "wezterm", 3)
    glass = in_terminal(house, {**OPENED["WezTerm"][0], "PATH": path}, "spawn", "demo", "--name", "alone")
    glass.expect("no pane: `wezterm` did not do it: exit status 3.")
    glass.expect("in the background: `synapse attach alone` shows it")
    assert glass.end() == 0
    assert house.send("alone", "PING x") == "PONG x"


def test_it_can_be_killed_before_its_pane_is_there(house: House) -> None:
    _, path = recorder(house, "wezterm")
    done = house.synapse("spawn", "demo", "--name", "hasty", env={**OPENED["WezTerm"][0], "PATH": path})
    assert done.stdout.endswith("in a WezTerm pane\n")
    assert house.synapse("kill", "-f", "hasty", timeout=10).stdout == "hasty ended\n"


# -- what it is and does


def test_a_first_task_is_given_and_its_answer_printed_alone(house: House) -> None:
    done = house.synapse("spawn", "demo", "--name", "worker", "--task", "PING hello", "--wait", env=NOWHERE)
    assert (done.returncode, done.stdout) == (0, "PONG hello\n")
    assert "started worker" in done.stderr
    queued = house.synapse("spawn", "demo", "--task", "PING later", env=NOWHERE)
    assert queued.stdout.startswith("started demo-")
    until(lambda: any(task["answer"] == "PONG later" for task in answers(house)))


def answers(house: House) -> list[dict[str, object]]:
    return [house.ask("history", "show", task["task_id"]) for task in house.ask("history")["tasks"]]


def test_waiting_without_a_task_is_until_it_is_ready_or_the_time_is_over(house: House) -> None:
    assert house.synapse("spawn", "demo", "--name", "r", "--wait", env=NOWHERE).returncode == 0
    assert house.status("r")["live"]["status"] in ("READY", "DONE")
    busy = "while :; do echo x; sleep 0.05; done"
    late = house.synapse("spawn", "--name", "b", "--wait", "--timeout", "0.5", "--", "sh", "-c", busy, env=NOWHERE)
    assert (late.returncode, "after 0.5 s" in late.stderr) == (124, True)


def test_a_saved_agent_is_spawned_by_its_id_and_words_go_to_the_program(house: House) -> None:
    house.synapse("agents", "add", "saved-one", "--profile", "sh -c", "--role", "kept")
    told = spawned(house, "saved-one", "--", "echo $SYNAPSE_AGENT_NAME; exec cat")
    assert told["name"] == "saved-one"
    assert house.status("saved-one")["agent"]["role"] == "kept"
    house.synapse("agents", "add", "demo", "--profile", "cat", "--name", "mine")
    assert str(spawned(house, "demo", "--name", "profile")["id"]).startswith("synapse-demo-")
    assert spawned(house, "-A", "demo")["name"] == "mine"


def test_it_may_have_a_worktree(house: House) -> None:
    project = house.data / "project"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["init", "-q", str(project)], ["-C", str(project), "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run([*git, *words], check=True, env=house.env)
    done = house.synapse("spawn", "cat", "--json", "--name", "treed", "-w", env=NOWHERE, cwd=project)
    assert done.returncode == 0, done.stderr
    folder = project / ".synapse" / "worktrees" / "treed"
    assert house.status("treed")["agent"]["working_dir"] == str(folder)
    house.synapse("stop", "treed")
    until(lambda: not folder.exists())


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("spawn",), "no_program"),
        (("spawn", "demo", "--timeout", "1"), "no_wait"),
        (("spawn", "demo", "--wait", "--timeout", "-1"), "bad_timeout"),
        (("spawn", "demo", "--task", " "), "no_text"),
        (("spawn", "demo", "--name", "n n"), "bad_name"),
        (("spawn", "no-such-program"), "no_such_program"),
        (("spawn", "demo", "--model", "x"), "usage"),
        (("team",), "usage"),
        (("team", "start"), "usage"),
        (("team", "start", "demo"), "no_terminal"),
        (("team", "start", "--all-new", "demo:a", "demo:A"), "twice"),
        (("team", "start", "--all-new", "demo::::8150", "demo::::8150"), "twice"),
        (("team", "start", "--all-new", "demo:a:b:c:d"), "bad_member"),
        (("team", "start", "--all-new", "demo:a:b:c:8150:e"), "bad_member"),
        (("team", "start", "--all-new", 'demo:a:"b'), "bad_member"),
        (("team", "start", "--all-new", ":a"), "bad_member"),
        (("team", "start", "--all-new", "demo:n n"), "bad_name"),
        (("team", "start", "--all-new", "demo", "no-such-program:x"), "no_such_program"),
    ],
)
def test_what_is_wrong_is_said_and_nobody_is_started(house: House, words: tuple[str, ...], code: str) -> None:
    done = house.synapse(*words, *(["--json"] if words != ("team",) else []), env=NOWHERE)
    assert done.returncode != 0
    if words == ("team",):
        assert "synapse team start" in done.stderr
    else:
        assert json.loads(done.stderr.splitlines()[-1])["error"]["code"] == code
    assert house.names() == []


# -- teams


def test_a_team_takes_this_terminal_and_a_pane_for_each_other(desk: Desk, house: House) -> None:
    desk.types(f'{house.program} team start demo:first demo:Tester:"writes tests":developer demo:\'third:"a: b"\'')
    desk.shows(desk.person, "demo - ? for help")
    until(lambda: len(desk.new()) == 2 and len(house.names()) == 3)
    for pane in desk.new():
        desk.shows(pane, "demo - ? for help")
    agent = house.status("tester")["agent"]
    assert (agent["role"], agent["skill_set"]) == ("writes tests", "developer")
    assert house.status("third")["agent"]["role"] == "a: b"
    desk("send-keys", "-t", desk.person, "-l", "/exit")
    desk("send-keys", "-t", desk.person, "Enter")
    desk.shows(desk.person, "bash-")
    until(lambda: house.names() == ["tester", "third"])


def test_all_new_leaves_this_terminal_to_the_person(desk: Desk, house: House) -> None:
    desk.synapse("team", "start", "--all-new", "demo:one", "demo:two::::".rstrip(":"))
    desk.shows(desk.person, "started two")
    until(lambda: len(desk.new()) == 2)
    assert house.names() == ["one", "two"]


def test_a_team_in_the_background(house: House) -> None:
    done = house.synapse("team", "start", "--headless", "demo:x1", "cat:x2:::8177", "--json", env=NOWHERE)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(agent["name"], agent["terminal"]) for agent in told] == [("x1", ""), ("x2", "")]
    assert told[1]["port"] == 8177


def test_a_team_of_which_one_cannot_start_is_not_started(house: House) -> None:
    house.agent("taken")
    done = house.synapse("team", "start", "--headless", "demo:t1", "demo:taken", env=NOWHERE)
    assert (done.returncode, "'taken' is here already" in done.stderr) == (1, True)
    house.agent("ported", options=("--port", "8190"))
    late = house.synapse("team", "start", "--headless", "demo:t1", "demo:t2:::8190", env=NOWHERE)
    assert (late.returncode, "Port 8190 belongs to" in late.stderr) == (1, True)
    until(lambda: house.names() == ["ported", "taken"])


def test_a_spawned_agents_processes_end_with_it(house: House) -> None:
    told = spawned(house, "demo", "--name", "brief")
    house.synapse("kill", "-f", "brief")
    until(lambda: not alive(int(str(told["pid"]))) and not alive(int(str(told["child_pid"]))))
