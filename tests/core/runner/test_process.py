"""The child on its terminal. Each test runs in a process of its own that leads a session, as the runner does."""

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from tests.core.runner.attached import PATIENCE, alive, until

PRELUDE = """
import asyncio, json, os, signal, sys, time
from synapse.runner import platform
from synapse.runner.process import Child, ExitStatus
from synapse.runner.spawn import spawn

class Seen:
    def __init__(self):
        self.output, self.stops, self.status, self._changed = b"", 0, None, asyncio.Event()
    def out(self, data):
        self.output += data
        self._changed.set()
    def stop(self):
        self.stops += 1
        self._changed.set()
    def exit(self, status):
        self.status = status
        self._changed.set()
    async def until(self, condition):
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

def start(*argv, env=None, cwd="/", columns=80, rows=24):
    child, seen = Child.spawn(argv, cwd=cwd, env=env or dict(os.environ), columns=columns, rows=rows), Seen()
    child.start(asyncio.get_running_loop(), seen.out, seen.exit, seen.stop)
    return child, seen

def python(source):
    return start(sys.executable, "-c", source)
"""


def in_own_session(body: str) -> Any:
    """Run `body` as the inside of an async function there; what it returns."""
    body = textwrap.indent(textwrap.dedent(body), "    ")
    program = f"{PRELUDE}\nasync def main():\n{body}\nprint(json.dumps(asyncio.run(main())))"
    done = subprocess.run(
        [sys.executable, "-c", program], start_new_session=True, capture_output=True, timeout=4 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return json.loads(done.stdout)


def test_the_child_is_the_foreground_group_of_the_runners_session() -> None:
    facts = in_own_session("""
        child, seen = python("import os; print(os.getpid() == os.getpgrp() == os.tcgetpgrp(0), os.getsid(0))")
        await seen.until(lambda: seen.status)
        return [seen.output.decode().split(), os.getpid()]
    """)
    assert facts[0] == ["True", str(facts[1])]


def test_it_has_exactly_the_environment_folder_and_size_it_was_given() -> None:
    output = in_own_session("""
        child, seen = start("/bin/sh", "-c", "pwd; stty size; env", env={"ONLY": "this", "PATH": os.environ["PATH"]},
                            cwd="/usr", columns=91, rows=33)
        await seen.until(lambda: seen.status)
        return seen.output.decode().split()
    """)
    assert output[:3] == ["/usr", "33", "91"]
    assert {line.split("=")[0] for line in output[3:]} <= {"ONLY", "PATH", "PWD", "OLDPWD", "SHLVL", "_"}


def test_it_inherits_no_descriptor_and_no_signal_setting() -> None:
    output = in_own_session("""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        extra = os.open("/", os.O_RDONLY)
        os.set_inheritable(extra, True)
        source = ("import os, signal; s = signal; print(s.getsignal(s.SIGINT) is s.default_int_handler, "
                  "s.getsignal(s.SIGHUP) is s.SIG_DFL, s.pthread_sigmask(s.SIG_BLOCK, []), "
                  "[n for n in range(3, 100) if os.path.exists(f'/dev/fd/{n}')])")
        child, seen = python(source)
        await seen.until(lambda: seen.status)
        return seen.output.decode().split()
    """)
    assert output == ["True", "True", "set()", "[]"]


def test_a_script_without_its_first_line_is_run_as_a_shell_does(tmp_path: Any) -> None:
    script = tmp_path / "script"
    script.write_text("echo from a script $1\n")
    script.chmod(0o755)
    output = in_own_session(f"""
        child, seen = start({str(script)!r}, "here")
        await seen.until(lambda: seen.status)
        return seen.output.decode()
    """)
    assert output == "from a script here\r\n"


@pytest.mark.parametrize(
    ("argv", "cwd", "code", "status"),
    [
        (["no-such-command"], "/", "command-not-found", 127),
        (["/etc/passwd"], "/", "not-executable", 126),
        (["/"], "/", "not-executable", 126),
        (["true"], "/no/such/folder", "no-folder", 126),
    ],
)
def test_what_cannot_be_started_is_refused_with_a_shells_status(
    argv: list[str], cwd: str, code: str, status: int
) -> None:
    refusal = in_own_session(f"""
        try:
            start(*{argv!r}, cwd={cwd!r})
        except Exception as error:
            return [error.code, error.details["status"], error.sentence]
    """)
    assert refusal[:2] == [code, status]
    assert refusal[2].endswith(".")


def test_ctrl_z_is_seen_and_the_child_goes_on_when_told() -> None:
    output = in_own_session("""
        child, seen = start("cat")
        child.write(b"one\\n")
        await seen.until(lambda: seen.output.count(b"one") == 2)
        child.write(b"\\x1a")
        await seen.until(lambda: seen.stops == 1)
        stopped = child.stopped
        child.proceed()
        child.write(b"two\\n\\x04")
        await seen.until(lambda: seen.status)
        return [stopped, child.stopped, seen.output.decode(), seen.status.code]
    """)
    assert output == [True, False, "one\r\none\r\n^Ztwo\r\ntwo\r\n", 0]


def test_what_the_child_writes_before_it_stops_comes_before_the_news() -> None:
    assert in_own_session("""
        for _ in range(10):
            child, seen = start("sh", "-c", "printf 'before'; kill -STOP $$; exec cat")
            await seen.until(lambda: seen.stops)
            if seen.output != b"before":
                return seen.output.decode()
            await child.terminate(0)
            child.close()
        return "all"
    """) == "all"  # fmt: skip


def test_exit_codes_and_signals() -> None:
    assert in_own_session("""
        ends = []
        for command in ("exit 0", "exit 3", "kill -TERM $$", "kill -KILL $$"):
            child, seen = start("sh", "-c", command)
            await seen.until(lambda: seen.status)
            ends.append([seen.status.code, seen.status.signal, seen.status.shell])
            child.close()
        return ends
    """) == [[0, None, 0], [3, None, 3], [-15, 15, 143], [-9, 9, 137]]  # fmt: skip


def test_the_end_is_reported_after_the_last_output() -> None:
    assert in_own_session("""
        for _ in range(20):
            child, seen = start("sh", "-c", "seq 1 9999")
            await seen.until(lambda: seen.status)
            if not seen.output.endswith(b"9999\\r\\n"):
                return seen.output[-100:].decode()
            child.close()
        return "whole"
    """) == "whole"  # fmt: skip


def test_a_grandchild_that_keeps_the_terminal_open_does_not_hide_the_end() -> None:
    ended, left = in_own_session("""
        child, seen = start("sh", "-c", "trap '' HUP; sleep 1000 & echo bye")
        await seen.until(lambda: seen.status)
        left = platform.session_members(os.getpid())
        await child.terminate(1)
        return [seen.output.decode(), [len(left), len(platform.session_members(os.getpid()))]]
    """)
    assert ended == "bye\r\n"
    assert left == [1, 0]


def test_terminate_ends_what_ignores_it_and_everything_in_other_groups() -> None:
    status, left, seconds = in_own_session("""
        other = "python3 -c 'import os, time; os.setpgid(0, 0); time.sleep(1000)'"
        script = f"trap '' TERM HUP; set -m; sleep 1000 & {other} & echo go; while :; do sleep 1; done"
        child, seen = start("bash", "-c", script)
        await seen.until(lambda: b"go" in seen.output)
        begun = time.monotonic()
        status = await child.terminate(0.3)
        return [status.code, platform.session_members(os.getpid()), time.monotonic() - begun]
    """)
    assert status == -9
    assert left == []
    assert 0.3 <= seconds < 5


def test_terminate_lets_a_child_say_goodbye() -> None:
    assert in_own_session("""
        child, seen = start("bash", "-c", "trap 'echo bye; exit 7' TERM; echo go; while :; do read -t 1; done")
        await seen.until(lambda: b"go" in seen.output)
        status = await child.terminate(5)
        return [status.code, b"bye" in seen.output]
    """) == [7, True]  # fmt: skip


def test_terminate_ends_a_stopped_child() -> None:
    assert in_own_session("""
        child, seen = start("cat")
        child.write(b"x\\x1a")
        await seen.until(lambda: seen.stops)
        return (await child.terminate(5)).code
    """) == -15  # fmt: skip


def test_interrupt_goes_to_what_is_in_the_foreground() -> None:
    assert in_own_session("""
        child, seen = start("bash", "-ic", "set -m; echo go; sleep 1000; echo after")
        await seen.until(lambda: b"go" in seen.output)
        while not child.status and b"after" not in seen.output:
            child.interrupt()
            await asyncio.sleep(0.05)
        return seen.status is None or seen.status.code != 0
    """)  # fmt: skip


def test_a_write_never_blocks_and_is_refused_when_too_much_waits() -> None:
    accepted = in_own_session("""
        child, seen = python("import tty, time; tty.setraw(0); print('go', flush=True); time.sleep(1000)")
        await seen.until(lambda: b"go" in seen.output)
        accepted = 0
        while child.write(b"x" * 65536):
            accepted += 65536
        refused = child.write(b"x")
        await child.terminate(1)
        return accepted if not refused else -1
    """)  # the child reads nothing: a write that blocked would never return
    assert 1 << 20 <= accepted < 2 << 20


def test_a_paste_into_a_child_that_is_blocked_on_its_output_does_not_deadlock() -> None:
    assert in_own_session("""
        child, seen = python('''if True:
            import os, sys, tty
            tty.setraw(0); print("go", flush=True)
            sys.stdout.write("x" * 500_000); sys.stdout.flush()
            got = b""
            while len(got) < 50_000: got += os.read(0, 65536)
            print(); print("got", len(got), got == bytes(range(32, 82)) * 1000)
        ''')
        await seen.until(lambda: b"go" in seen.output)
        assert child.write(bytes(range(32, 82)) * 1000)
        await seen.until(lambda: seen.status)
        return seen.output[500_000:].decode().split()
    """)[-3:] == ["got", "50000", "True"]  # fmt: skip


def test_a_paused_child_is_not_read_and_then_nothing_is_missing() -> None:
    assert in_own_session("""
        child, seen = start("seq", "1", "50000")
        child.pause()
        before = len(seen.output)
        await asyncio.sleep(0.05)
        still = len(seen.output) == before
        child.resume()
        await seen.until(lambda: seen.status)
        return [still, seen.output.split() == [b"%d" % n for n in range(1, 50001)]]
    """) == [True, True]  # fmt: skip


def test_a_flood_leaves_the_loop_to_others() -> None:
    most = in_own_session("""
        child, seen = start("yes")
        most = []
        while len(most) < 50:
            seen.output = b""
            await asyncio.sleep(0)
            if seen.output:
                most.append(len(seen.output))
        await child.terminate(1)
        return max(most)
    """)
    assert most <= 16 * 65536  # bytes between two turns of others


def test_canonical_and_echo_follow_the_child() -> None:
    assert in_own_session("""
        child, seen = start("bash", "-c", "echo 1; read -r; stty -echo; echo 2; read -r; stty raw; echo 3; cat")
        found = []
        for step in (b"1", b"2", b"3"):
            await seen.until(lambda: step in seen.output)
            found.append([child.canonical, child.echo])
            child.write(b"\\n")
        await child.terminate(1)
        child.close()
        return [*found, [child.canonical, child.echo]]
    """) == [[True, True], [True, False], [False, False], [False, False]]  # fmt: skip


def test_resize_tells_the_child() -> None:
    assert in_own_session("""
        child, seen = start("bash", "-c", "trap 'stty size' WINCH; echo go; while :; do read -t 0.1; done")
        await seen.until(lambda: b"go" in seen.output)
        child.resize(70, 20)
        await seen.until(lambda: b"20 70" in seen.output)
        return (await child.terminate(5)).code
    """) == -15  # fmt: skip


def test_hangup_ends_a_child_as_a_closed_window_does() -> None:
    assert in_own_session("""
        child, seen = start("cat")
        child.write(b"x\\x1a")
        await seen.until(lambda: seen.stops)
        child.hangup()
        await seen.until(lambda: seen.status)
        return seen.status.code
    """) == -1  # fmt: skip


def test_closing_the_terminal_does_not_end_the_runner() -> None:
    assert in_own_session("""
        child, seen = start("cat")
        child.close()
        await seen.until(lambda: seen.status)
        again, seen = start("echo", "again")
        await seen.until(lambda: seen.status)
        return seen.output.decode()
    """) == "again\r\n"  # fmt: skip


def test_kill_9_of_the_runner_hangs_up_on_the_child() -> None:
    program = f"""{PRELUDE}
async def main():
    child, seen = start("cat")
    print(child.pid, flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())"""
    with subprocess.Popen([sys.executable, "-c", program], start_new_session=True, stdout=subprocess.PIPE) as runner:
        assert runner.stdout
        child = int(runner.stdout.readline())
        runner.kill()
    until(lambda: not alive(child), "the end of the child")


def test_a_process_becomes_a_session_leader_without_a_terminal() -> None:
    program = """if True:
        import os
        from synapse.runner.spawn import become_session_leader
        become_session_leader()
        try: os.open("/dev/tty", os.O_RDWR); tty = True
        except OSError: tty = False
        print(os.getsid(0) == os.getpid(), tty)
    """
    for own_session in (False, True):
        done = subprocess.run(
            [sys.executable, "-c", program], start_new_session=own_session, capture_output=True, check=True
        )
        assert done.stdout == b"True False\n"
