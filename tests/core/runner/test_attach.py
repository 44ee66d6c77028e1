"""`run` and `attach` on real pseudo-terminals: what goes through, and how it ends."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from tests.core.runner.attached import Agents, Glass, alive, until

PYTHON = sys.executable
RAW = "import os, sys, tty; tty.setraw(0); "


def shell(agents: Agents) -> Glass:
    """A bash to start things from, as a person does."""
    glass = agents.glass(["env", "PS1=shell> ", "bash", "--norc", "--noprofile"])
    glass.expect("shell> ")
    return glass


# What goes through.


def test_the_child_has_the_size_of_the_terminal_from_its_start(agents: Agents) -> None:
    agents.run("stty", "size", columns=91, rows=33).expect("33 91\r\n")


def test_colours_and_every_byte_come_through_as_the_child_wrote_them(agents: Agents) -> None:
    text = "\x1b[38;2;1;2;3mgrün \x1b[1;4mfett\x1b[0m\x1b]0;title\x07\x1b[?25l\x1b[?25h 漢字 🙂\r\n"
    agents.run(PYTHON, "-c", f"print({text!r}, end='', flush=True)").expect(text.replace("\r\n", "\r\r\n"))


def test_keys_reach_the_child_as_they_were_typed(agents: Agents) -> None:
    glass = agents.run(PYTHON, "-c", RAW + "print('go', flush=True); print(ascii(os.read(0, 99)), flush=True)")
    glass.expect("go")
    glass.type(b"\x1b[1;5A")
    glass.expect(r"b'\x1b[1;5A'")


def test_escape_alone_is_not_kept_back(agents: Agents) -> None:
    glass = agents.run(PYTHON, "-c", RAW + "print('go', flush=True); print(ascii(os.read(0, 99)), flush=True)")
    glass.expect("go")
    glass.type(b"\x1b")
    glass.expect(r"b'\x1b'")


def test_ctrl_c_reaches_the_child_and_not_the_runner(agents: Agents) -> None:
    glass = agents.run("bash", "-c", "trap 'echo caught; exit 5' INT; echo go; while :; do read -t 1; done")
    glass.expect("go")
    glass.type("\x03")
    glass.expect("caught")
    assert glass.end() == 5


def test_a_large_paste_into_a_child_that_is_blocked_on_its_output_arrives_whole(agents: Agents) -> None:
    program = RAW + (
        "print('go', flush=True); sys.stdout.write('x' * 300_000); sys.stdout.flush(); n = 0\n"
        "while n < 5000: n += len(os.read(0, 4096))\n"
        "print('got', n, flush=True)"
    )
    glass = agents.run(PYTHON, "-c", program)
    glass.expect("go")
    glass.type(b"p" * 5000)
    glass.expect("got 5000")


def test_a_resize_reaches_the_child(agents: Agents) -> None:
    glass = agents.run("bash", "-c", "trap 'stty size' WINCH; echo go; while :; do read -t 0.1; done")
    glass.expect("go")
    glass.resize(70, 20)
    glass.expect("20 70")


def test_the_last_of_many_resizes_always_arrives(agents: Agents) -> None:
    glass = agents.run("bash", "-c", "trap 'stty size' WINCH; echo go; while :; do read -t 0.1; done")
    glass.expect("go")
    for columns in range(100, 141):
        glass.resize(columns, 30)
    glass.expect("30 140")


# How it ends.


@pytest.mark.parametrize(
    ("command", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", -15), ("kill -KILL $$", -9)]
)
def test_the_exit_status_is_the_childs(agents: Agents, command: str, status: int) -> None:
    assert agents.run("sh", "-c", command).end() == status


def test_a_command_that_is_not_there_is_127(agents: Agents) -> None:
    glass = agents.run("no-such-command")
    glass.expect("command not found")
    assert glass.end() == 127


def test_a_file_that_cannot_be_executed_is_126(agents: Agents) -> None:
    glass = agents.run("/etc/passwd")
    glass.expect("cannot be executed")
    assert glass.end() == 126


def test_the_last_words_of_a_child_are_all_shown(agents: Agents) -> None:
    glass = agents.run("sh", "-c", "seq 1 20000; echo the end")
    glass.expect("\n20000\r\nthe end\r\n")
    assert glass.end() == 0


def test_without_a_terminal_there_is_a_clear_refusal(agents: Agents) -> None:
    path = agents.serve("cat")
    done = subprocess.run(agents.command("attach", path), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert b"needs a terminal" in done.stderr
    assert done.returncode == 2


def test_without_a_runner_there_is_a_clear_refusal(agents: Agents) -> None:
    glass = agents.attach(agents.path())
    glass.expect("No runner answers")
    assert glass.end() == 2


# The terminal afterwards.

MODES_ON = r"\x1b[?1049h\x1b[?2004h\x1b[?1004h\x1b[?1002h\x1b[?25l"


@pytest.mark.parametrize("how", ["child", "detach", "kill -9 runner", "TERM", "HUP"])
def test_modes_seen_on_are_undone_however_it_ends(agents: Agents, how: str) -> None:
    path = agents.path()
    glass = agents.run(
        "bash", "-c", rf"printf '{MODES_ON}'; read -t 0.2; printf ready; read -rsn1; kill -9 $$", path=path
    )
    glass.expect("ready")
    runner, _ = agents.pids(path)
    glass.type("\x1b[I")  # the terminal's own report: it must not count as a key
    end = {
        "child": lambda: glass.type("x"),
        "detach": lambda: glass.type("\x1c"),
        "kill -9 runner": lambda: os.kill(runner, signal.SIGKILL),
        "TERM": lambda: os.kill(glass.pid, signal.SIGTERM),
        "HUP": lambda: os.kill(glass.pid, signal.SIGHUP),
    }
    end[how]()
    status = glass.end()
    assert status == {"child": -9, "detach": 0, "kill -9 runner": 1, "TERM": -15, "HUP": -1}[how]
    for undone in (b"\x1b[?1049l", b"\x1b[?2004l", b"\x1b[?1004l", b"\x1b[?1002l", b"\x1b[?25h"):
        assert undone in glass.seen, undone


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_modes_set_a_moment_before_a_signal_are_undone(agents: Agents, number: int) -> None:
    glass = agents.run("bash", "-c", r"read -rsn1; printf 'x\x1b['; read -t 0.005; printf '?1049hready'; cat")
    glass.type("x")
    glass.expect("ready")
    os.kill(glass.pid, number)
    assert glass.end() == -number
    assert b"\x1b[?1049l" in glass.seen


def test_a_signal_ends_a_viewer_whose_runner_does_not_answer(agents: Agents) -> None:
    path = agents.path()
    glass = agents.run("bash", "-c", rf"printf '{MODES_ON}'; read -t 0.5; printf ready; cat", path=path)
    glass.expect("ready")
    runner, _ = agents.pids(path)
    os.kill(runner, signal.SIGSTOP)
    try:
        os.kill(glass.pid, signal.SIGTERM)
        assert glass.end() == -signal.SIGTERM
    finally:
        os.kill(runner, signal.SIGCONT)
    assert b"\x1b[?1049l" in glass.seen


def test_a_plain_program_leaves_nothing_to_undo(agents: Agents) -> None:
    glass = agents.run("echo", "plain")
    glass.expect("plain\r\n")
    glass.end()
    assert glass.seen == b"\x1b[0m\x1b(B\x1b)B\x0f"  # colours and character sets, no more


def test_the_line_settings_are_as_before(agents: Agents) -> None:
    glass = shell(agents)
    glass.type("stty -a > /tmp/$$.before; " + " ".join(agents.command("run", agents.path())) + " -- true\r")
    glass.expect("shell> ")
    glass.type("stty -a | diff - /tmp/$$.before && echo sa''me; rm /tmp/$$.before\r")
    glass.expect("same")


# Detach and attach again.


def test_a_detached_agent_lives_on_and_its_whole_screen_is_shown_again(agents: Agents) -> None:
    path = agents.path()
    glass = agents.run("bash", "-c", "for i in $(seq 1 20); do echo line $i; done; printf 'prompt> '; cat", path=path)
    glass.shows("prompt>")
    before = glass.lines()
    glass.type("\x1c")
    glass.expect("[detached]")
    assert glass.end() == 0
    again = agents.attach(path)
    again.shows("prompt>")
    assert again.lines() == before
    again.type("typed\r")
    again.expect("typed\r\ntyped")


def test_attach_shows_an_alternate_screen_with_its_modes(agents: Agents) -> None:
    path = agents.serve("bash", "-c", r"printf '\x1b[?1049h\x1b[?2004h\x1b[5;10HHERE'; cat")
    glass = agents.attach(path)
    glass.shows("HERE")
    assert glass.lines()[4] == " " * 9 + "HERE"
    assert b"\x1b[?1049h" in glass.seen
    assert b"\x1b[?2004h" in glass.seen


def test_the_detach_key_can_be_another(agents: Agents) -> None:
    path = agents.serve("sh", "-c", "stty -isig; echo go; exec cat -v")
    glass = agents.attach(path, "--key", "ctrl-]")
    glass.shows("go")
    glass.type("a\x1cb\r")
    glass.expect("a^\\b\r\n")
    glass.type("\x1d")
    glass.expect("[detached]")
    assert glass.end() == 0


def test_run_ends_the_agent_with_its_terminal(agents: Agents) -> None:
    path = agents.path()
    glass = agents.run("cat", path=path)
    _, child = agents.pids(path)
    glass.type("x\r")
    glass.expect("x\r\nx")
    glass.process.close(force=False)  # the window is closed
    until(lambda: not alive(child), "the end of the child")


def test_a_second_viewer_that_goes_ends_nothing(agents: Agents) -> None:
    path = agents.serve("cat")
    first, second = agents.attach(path), agents.attach(path)
    second.type("x\r")
    second.expect("x\r\nx")
    os.kill(second.pid, signal.SIGKILL)
    second.end()
    first.type("y\r")
    first.expect("y\r\ny")


def test_kill_9_of_the_runner_hangs_up_on_the_child(agents: Agents) -> None:
    path = agents.serve("cat")
    runner, child = agents.pids(path)
    os.kill(runner, signal.SIGKILL)
    until(lambda: not alive(child), "the end of the child")


# Ctrl-Z.


def test_ctrl_z_stops_the_child_and_gives_the_shell_its_terminal_back(agents: Agents) -> None:
    path = agents.path()
    glass = shell(agents)
    glass.type(" ".join(agents.command("run", path)) + " -- cat\r")
    _, child = agents.pids(path)
    glass.type("one\r")
    glass.expect("one\r\none\r\n")
    glass.type("\x1a")
    glass.expect("Stopped")
    glass.expect("shell> ")
    assert b"T" in subprocess.run(["ps", "-o", "stat=", "-p", str(child)], capture_output=True, check=True).stdout
    glass.type("echo $((40 + 2)); fg\r")
    glass.expect("42\r\n")
    glass.type("two\r")
    glass.expect("two\r\ntwo\r\n")
    glass.type("\x04")
    glass.expect("shell> ")


def test_a_program_inside_the_childs_shell_stops_within_it(agents: Agents) -> None:
    glass = agents.run("env", "PS1=inner> ", "bash", "--norc", "--noprofile")
    glass.expect("inner> ")
    glass.type("cat\r")
    glass.expect("cat\r\n")
    glass.type("line\r")
    glass.expect("line\r\nline")
    glass.type("\x1a")
    glass.expect("Stopped")
    glass.expect("inner> ")
    glass.type("fg\r")
    glass.expect("fg\r\n")
    glass.expect("cat\r\n")
    glass.type("again\r")
    glass.expect("again\r\nagain")


def test_a_stopped_child_that_nobody_looks_at_goes_on_at_once(agents: Agents) -> None:
    path = agents.serve("bash", "-c", "kill -STOP $$; echo went on; cat")
    agents.attach(path).shows("went on")


def test_a_stop_that_no_shell_looks_after_goes_on_at_once(agents: Agents) -> None:
    glass = agents.run("bash", "-c", "echo go; read -r; kill -STOP $$; echo went on; cat")
    glass.expect("go")
    glass.type("\r")
    glass.shows("went on")


# Several viewers.

ECHO_SIZE = """trap 'stty size' WINCH; stty size
while :; do  # a trap waits for the end of `read`, which may come in the middle of a line: what it has is kept
    if read -rt 0.1 part; then echo "got $line$part"; line=; else line+=$part; fi
done"""


def test_the_terminal_has_the_size_of_whoever_typed_last(agents: Agents) -> None:
    path = agents.serve("bash", "-c", ECHO_SIZE)
    large = agents.attach(path, columns=100, rows=30)
    large.shows("30 100")
    small = agents.attach(path, columns=60, rows=15)
    small.shows("30 100")  # it only looks, cropped
    small.type("s\r")
    large.shows("15 60")
    large.type("l\r")
    large.expect("30 100")
    small.shows("got l")


def test_who_only_watches_neither_types_nor_resizes(agents: Agents) -> None:
    path = agents.serve("bash", "-c", ECHO_SIZE)
    person = agents.attach(path, columns=100, rows=30)
    person.shows("30 100")
    watcher = agents.attach(path, "--watch", columns=50, rows=10)
    watcher.type("nothing\r")
    watcher.resize(40, 10)
    person.type("something\r")
    person.shows("got something")
    watcher.shows("got something")
    assert not any("nothing" in line or "10 " in line for line in person.lines())
    watcher.type("\x1c")
    watcher.expect("[detached]")


def test_a_viewer_that_stands_still_slows_nobody_and_catches_up(agents: Agents) -> None:
    path = agents.serve("bash", "-c", "read -r; seq 1 100000; echo done; cat")
    stuck, other = agents.attach(path), agents.attach(path)
    stuck.shows("")
    os.kill(stuck.pid, signal.SIGSTOP)
    other.type("\r")
    other.shows("done")
    os.kill(stuck.pid, signal.SIGCONT)
    stuck.shows("done")
    assert stuck.lines() == other.lines()


# Floods.


FEW = 1_000_000  # bytes: a flood is more in a second


def test_ctrl_c_stops_an_endless_flood_at_once(agents: Agents) -> None:
    glass = agents.run("yes")
    glass.expect("y\r\n" * 100_000)
    glass._take()
    glass.seen = b""
    glass.type("\x03")
    assert glass.end() == -signal.SIGINT
    assert len(glass.seen) < FEW  # 0.1 s is measured under load/, on a quiet machine


# In another terminal emulator.


def test_tmux_shows_what_the_program_drew(agents: Agents) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("not run: tmux is absent")
    path = agents.path()
    tmux = ["tmux", "-f", "/dev/null", "-S", str(path.with_suffix(".tmux"))]
    script = path.with_suffix(".sh")
    draw = r"printf '\033[?1049h\033[2J\033[3;5Hmiddle\033[7;1H\033[31mred\033[0m'; read -rsn1; printf '\033[?1049l'"
    script.write_text(draw)
    command = " ".join([*agents.command("run", path), "--", "bash", str(script)])
    subprocess.run([*tmux, "new-session", "-d", "-x", "80", "-y", "24", "sh"], check=True)
    try:
        subprocess.run([*tmux, "send-keys", "echo before; " + command + "; echo after", "Enter"], check=True)
        show = [*tmux, "capture-pane", "-p", "-e"]

        def screen() -> str:
            return subprocess.run(show, capture_output=True, check=True, text=True).stdout

        until(lambda: "    middle" in screen() and "red" in screen(), "the program's screen in tmux")
        lines = screen().splitlines()
        assert lines[2] == "    middle"
        assert "\x1b[31mred" in lines[6]
        subprocess.run([*tmux, "send-keys", "x"], check=True)
        until(lambda: "\nafter" in screen(), "the shell's screen in tmux")
        assert "before" in screen()
        assert "middle" not in screen()
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
