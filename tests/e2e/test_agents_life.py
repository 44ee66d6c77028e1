"""An agent from its start to its end: in a person's terminal, in the background, by name, and when it cannot start."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from synapse.runner.profile import BUILT_IN
from tests.e2e.agents_kit import House
from tests.e2e.hubs import alive, until


@pytest.fixture(scope="module")
def shared() -> Iterator[House]:
    house = House()
    yield house
    house.close()


@pytest.fixture
def house(shared: House) -> Iterator[House]:
    yield shared
    shared.leave()


# -- in a person's terminal


@pytest.mark.parametrize(
    ("command", "status"),
    [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", -signal.SIGTERM), ("kill -KILL $$", -signal.SIGKILL)],
)
def test_run_ends_as_the_program_ends(house: House, command: str, status: int) -> None:
    glass = house.glass("run", "--no-setup", "--", "sh", "-c", f"echo here; {command}")
    glass.expect("here")
    assert glass.end() == status


def test_run_passes_keys_sizes_and_ctrl_c_to_the_program(house: House) -> None:
    glass = house.glass("run", "--no-setup", "--", "bash", "--norc", columns=70, rows=20)
    glass.expect("$ ")
    glass.type("stty size\r")
    glass.expect("20 70")
    glass.resize(90, 30)
    glass.type("until stty size | grep '30'' 90'; do sleep 0.1; done\r")
    glass.expect("30 90")
    glass.type("sh -c 'echo go''es; exec sleep 30'\r")
    glass.expect("goes")
    glass.type("\x03")
    glass.type("echo st''ill here\r")
    glass.expect("still here")
    glass.type("exit 7\r")
    assert glass.end() == 7


def test_ctrl_z_gives_the_terminal_back_to_the_shell_and_fg_comes_back(house: House) -> None:
    glass = house.glass(program=["bash", "--norc", "-i"])
    glass.expect("$ ")
    glass.type(f"{house.program} run --name zed demo\r")
    glass.shows("demo - ? for help")
    glass.type("\x1a")
    glass.expect("Stopped")
    glass.type("echo in the shell; fg\r")
    glass.shows("demo - ? for help")
    glass.type("PING back\r")
    glass.shows("PONG back")
    glass.seen = b""
    glass.type("/exit 4\r")
    glass.expect("$ ")
    glass.type("echo status $?\r")
    glass.expect("status 4")
    glass.type("exit\r")
    glass.end()


def test_after_the_detach_key_it_lives_on_and_attach_restores_its_screen(house: House) -> None:
    glass = house.glass("run", "--name", "kept", "demo")
    glass.shows("demo - ? for help")
    glass.type("PING before\r")
    glass.shows("PONG before")
    glass.type("\x1c")
    glass.expect("detached; `synapse attach kept` comes back")
    assert glass.end() == 0
    assert "kept" in house.names()
    again = house.attach("kept")
    again.shows("PONG before")
    again.type("PING after\r")
    again.shows("PONG after")


def test_closing_the_terminal_ends_the_agent_unless_it_is_to_be_kept(house: House) -> None:
    for name, options in (("mortal", ()), ("lasting", ("--keep",))):
        glass = house.glass("run", "--name", name, *options, "demo")
        glass.shows("demo - ? for help")
        glass.close()
    until(lambda: "mortal" not in house.names())
    assert house.send("lasting", "PING x") == "PONG x"


def test_run_in_tmux_looks_like_the_program(house: House) -> None:
    if not shutil.which("tmux"):
        pytest.skip("not run: tmux is absent")
    socket = str(house.data / "tmux")

    def tmux(*words: str) -> str:
        done = subprocess.run(["tmux", "-S", socket, *words], env=house.env, capture_output=True, text=True, check=True)
        return done.stdout

    tmux("new-session", "-d", "-x", "100", "-y", "30", f"exec {house.program} run --name pane demo")
    try:
        until(lambda: "demo - ? for help" in tmux("capture-pane", "-p"))
        assert house.send("pane", "PING x") == "PONG x"
        assert "* PONG x" in tmux("capture-pane", "-p")
        tmux("kill-session")
    finally:
        subprocess.run(["tmux", "-S", socket, "kill-server"], capture_output=True, check=False)
    until(lambda: "pane" not in house.names())


# -- who it is


def test_a_person_is_asked_once_for_name_role_and_skills(house: House) -> None:
    glass = house.glass("run", "demo")
    glass.expect("Name: ")
    glass.type("not a name!\r")
    glass.expect("is not a name")
    glass.expect("Name: ")
    glass.type("Grace\r")
    glass.expect("Role: ")
    glass.type("writes tests\r")
    glass.expect("Skill set: ")
    glass.type("\r")
    glass.shows("demo - ? for help")
    found = house.status("grace")["agent"]
    assert (found["name"], found["role"]) == ("grace", "writes tests")


def test_enter_takes_a_generated_name_and_ends_the_questions(house: House) -> None:
    glass = house.glass("run", "--", "sh", "-c", "echo I am $SYNAPSE_AGENT_NAME")
    glass.expect("Name: ")
    glass.type("\r")
    glass.expect("I am sh-81")
    assert glass.end() == 0


def test_ctrl_c_at_the_question_starts_nothing(house: House) -> None:
    before = house.names()
    glass = house.glass("run", "demo")
    glass.expect("Name: ")
    glass.type("\x03")
    assert glass.end() == 130
    assert house.names() == before


def test_nobody_is_asked_who_said_so(house: House) -> None:
    for words, env in (
        (("run", "--no-setup"), {}),
        (("run",), {"SYNAPSE_NO_SETUP": "1"}),
        (("run", "--name", "x"), {}),
    ):
        glass = house.glass(*words, "--", "sh", "-c", "echo $SYNAPSE_AGENT_NAME", env=env)
        assert b"Name: " not in glass.expect("\n")
        assert glass.end() == 0


def test_a_role_can_come_from_a_file_and_a_name_can_change(house: House) -> None:
    (house.data / "role.md").write_text("Reviews code.\nKindly.\n")
    house.agent("first", "demo", "--answer", "reply", options=("--role", f"@{house.data}/role.md"))
    assert house.status("first")["agent"]["role"] == "Reviews code.\nKindly."
    assert house.synapse("rename", "first", "second").returncode == 0
    assert house.send("second", "PING x") == "PONG x"
    assert house.synapse("send", "first", "PING x").returncode == 1
    assert house.synapse("rename", "second", "--clear").returncode == 0
    assert "second" not in house.names()
    refused = house.synapse("start", "--role", "@/nowhere", "demo")
    assert (refused.returncode, "/nowhere cannot be read" in refused.stderr) == (2, True)


def test_send_by_name_reaches_nobody_who_is_found_otherwise(house: House) -> None:
    house.profile("solo", (BUILT_IN / "demo.toml").read_text())
    told = house.agent("", "solo", ready=False)
    house.becomes("solo", "READY")
    assert house.synapse("send", "--target", "solo", "PING x", "--wait").stdout == "PONG x\n"
    for name in ("solo", told["id"]):
        done = house.synapse("send", "--name", name, "PING x")
        assert (done.returncode, f"Nobody is called '{name}'" in done.stderr) == (1, True)
    assert house.synapse("send", "--name", told["name"], "PING x", "--wait").stdout == "PONG x\n"


def test_ten_agents_that_start_at_once_get_ten_names_and_ports(house: House) -> None:
    before = set(house.names())
    started = [house.start("start", "--json", "--", "cat") for _ in range(10)]
    told = [json.loads(process.communicate(timeout=60)[0]) for process in started]
    house.processes |= {agent["pid"] for agent in told}
    assert len({agent["name"] for agent in told}) == len({agent["port"] for agent in told}) == 10
    assert set(house.names()) == before | {agent["name"] for agent in told}
    done = house.synapse("kill", "-f", *(agent["name"] for agent in told))
    assert done.returncode == 0, done.stderr
    assert set(house.names()) == before


# -- in the background


def test_start_leaves_its_starters_pipe_alone(house: House) -> None:
    done = subprocess.run(
        f"{house.program} start --name piped demo | cat", shell=True, env=house.env, capture_output=True, timeout=20
    )
    assert b"started piped" in done.stdout
    assert house.send("piped", "PING x") == "PONG x"


def test_stop_lets_the_program_end_in_its_own_way(house: House) -> None:
    house.agent("polite")
    house.agent("busy")
    task = house.queue("busy", "HANG")
    house.task(task, "working")
    began = time.monotonic()
    done = house.synapse("stop", "polite", "busy", timeout=60)
    assert (done.returncode, done.stdout) == (0, "polite ended\nbusy ended\n")
    assert time.monotonic() - began < 25  # nobody had to be hung up on
    ended = house.task(task)
    assert (ended["state"], ended["reason"]) == ("failed", "stopped")


def test_kill_asks_first_and_force_does_not(house: House) -> None:
    told = house.agent("stubborn", "bash", "-c", "trap '' HUP TERM; echo up; while :; do sleep 0.1; done", ready=False)
    unasked = house.synapse("kill", "stubborn")
    assert (unasked.returncode, "give --yes" in unasked.stderr) == (1, True)
    glass = house.glass("kill", "stubborn")
    glass.expect("End stubborn? [y/N]")
    glass.type("n\r")
    assert glass.end() == 1
    assert alive(told["child_pid"])
    assert house.synapse("kill", "-f", "stubborn").returncode == 0
    until(lambda: not alive(told["child_pid"]) and not alive(told["pid"]))


# -- what cannot be started leaves nothing behind


def test_what_cannot_be_started_is_refused_with_the_status_of_a_shell(house: House) -> None:
    (house.data / "plain").write_text("not a program")
    house.profile("broken", 'command = ["x"]\ncolour = "red"\n')
    house.profile("typed", '[submit]\npause = "long"\n')
    house.profile("absent", 'command = ["no-such-program"]\n')
    before, running = house.names(), set(house.mine())
    for words, status, said in (
        (("no-such-program",), 127, "'no-such-program' is neither a profile nor a program on PATH."),
        (("--nosuch", "demo"), 127, "There is no option '--nosuch' here; those of a program stand behind its name."),
        (("absent",), 127, "no-such-program: command not found."),
        (("./plain",), 126, "cannot be executed: Permission denied."),
        (("broken",), 1, "unknown key 'colour'."),
        (("typed",), 1, "'pause' is 'long': it must be a float"),
    ):
        done = house.synapse("start", *words)
        assert (done.returncode, done.stdout) == (status, ""), done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        glass = house.glass("run", "--no-setup", *words, columns=200)
        glass.expect(said)
        assert glass.end() == status
    assert house.names() == before
    until(lambda: set(house.mine()) <= running)


def test_a_program_that_ends_at_once_is_not_said_to_be_started(house: House) -> None:
    before, running = house.names(), set(house.mine())
    for script, status, said in (
        (
            "echo no; echo 'not today' >&2; exit 3",
            3,
            "sh ended at once, with exit status 3. It said:\n  no\n  not today",
        ),
        ("no-such-program-here", 127, "no-such-program-here: not found"),
        ("kill -SEGV $$", 139, "sh ended at once, by signal 11. It said nothing."),
        ("echo done", 1, "sh ended at once, with exit status 0. It said:\n  done"),
    ):
        done = house.synapse("start", "--name", "brief", "sh", "-c", script)
        assert (done.returncode, done.stdout) == (status, ""), done.stderr
        assert said in done.stderr
    done = house.synapse("start", "--json", "sh", "-c", "exit 4")
    assert (done.returncode, json.loads(done.stderr)["error"]["code"]) == (4, "ended_at_once")
    assert house.names() == before  # its name is free at once
    until(lambda: set(house.mine()) <= running)


def test_a_program_that_says_nothing_is_started_as_quickly(house: House) -> None:
    told = house.agent("quiet", "sh", "-c", "exec sleep 60", ready=False)
    assert alive(told["child_pid"])


def test_a_name_that_is_taken_is_refused_and_nothing_is_started(house: House) -> None:
    house.agent("unique")
    running = set(house.mine())
    done = house.synapse("start", "--name", "unique", "demo")
    assert done.returncode == 1
    assert "unique" in done.stderr
    glass = house.glass("run", "--name", "unique", "demo", columns=200)
    glass.expect("unique")
    assert glass.end() == 1
    until(lambda: set(house.mine()) <= running)


def test_an_agent_starts_another_in_its_workspace(house: House) -> None:
    house.agent("parent")
    said = house.answer_of_command("parent", f"{house.program} start --name child demo")
    assert said.startswith("started child")
    assert house.status("child")["agent"]["workspace"] == "house"
