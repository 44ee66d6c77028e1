"""`synapse jump` goes to the pane in which somebody has the agent attached, or says why it cannot."""

import json
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.core.runner.attached import Glass
from tests.e2e.agents_kit import House
from tests.e2e.hubs import until

RECORDER = """#!/bin/sh
for word in "$0" "$@"; do printf '%s\\0' "$word"; done > {file}
exit {status}
"""
ELSEWHERE = {
    "zellij": (
        {"ZELLIJ_SESSION_NAME": "work", "ZELLIJ_PANE_ID": "7"},
        ["zellij", "--session", "work", "action", "focus-pane-id", "terminal_7"],
    ),
    "kitty": (
        {"KITTY_WINDOW_ID": "4", "KITTY_LISTEN_ON": "unix:/run/k {x}"},
        ["kitty", "@", "--to", "unix:/run/k {x}", "focus-window", "--match", "id:4"],
    ),
    "WezTerm": (
        {"WEZTERM_PANE": "12", "WEZTERM_UNIX_SOCKET": "/run/wez"},
        ["wezterm", "cli", "activate-pane", "--pane-id", "12"],
    ),
    "iTerm2": ({"ITERM_SESSION_ID": "w0t1p2:8A3C-11", "TERM_PROGRAM": "iTerm.app"}, ["osascript", "8A3C-11"]),
    "Terminal.app": ({"TERM_PROGRAM": "Apple_Terminal"}, ["osascript", "/dev/pts/"]),
    "Ghostty": ({"TERM_PROGRAM": "ghostty"}, ["osascript", "/dev/pts/"]),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[House]:
    house = House()
    try:
        house.agent("bob")
        yield house
    finally:
        house.close()


@pytest.fixture
def house(shared: House) -> Iterator[House]:
    yield shared
    shared.leave()
    until(lambda: "Nobody has" in shared.synapse("jump", "bob").stderr)


class Tmux:
    """A server of its own."""

    def __init__(self, house: House) -> None:
        self.socket = str(house.data / f"tmux-{uuid4().hex[:8]}")  # the server of the test before may not be gone yet
        self._house = house

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self.socket, *words], env=self._house.env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def client(self, session: str) -> Glass:
        """A person who looks at a session."""
        return self._house.glass("-S", self.socket, "attach", "-t", session, program=["tmux"], rows=30)


@pytest.fixture
def tmux(house: House) -> Iterator[Tmux]:
    if not shutil.which("tmux"):
        pytest.skip("not run: tmux is absent")
    tmux = Tmux(house)
    yield tmux
    house.leave()
    subprocess.run(["tmux", "-S", tmux.socket, "kill-server"], capture_output=True, check=False)


def seated(house: House, tmux: Tmux) -> None:
    """A session `work` whose first window is a shell in front; the second has bob, above another shell."""
    tmux("new-session", "-d", "-s", "work", "-x", "80", "-y", "30", "exec sh")
    tmux("new-window", "-d", "-t", "work:1", f"exec {house.program} attach bob")
    tmux("split-window", "-t", "work:1.0", "exec sh")
    until(lambda: "demo - ? for help" in tmux("capture-pane", "-p", "-t", "work:1.0"))
    assert tmux("display-message", "-p", "-t", "work", "#{window_index}") == "0"
    assert tmux("display-message", "-p", "-t", "work:1", "#{pane_index}") == "1"


def test_in_tmux_the_pane_and_its_window_come_to_the_front(house: House, tmux: Tmux) -> None:
    seated(house, tmux)
    glass = tmux.client("work")
    until(lambda: tmux("list-clients"))
    done = house.synapse("jump", "bob")
    assert (done.returncode, done.stdout) == (0, "bob is shown in tmux.\n"), done.stderr
    glass.shows("demo - ? for help")
    assert tmux("display-message", "-p", "-t", "work", "#{window_index}.#{pane_index}") == "1.0"


def test_from_another_session_of_tmux_the_client_goes_there(house: House, tmux: Tmux) -> None:
    seated(house, tmux)
    tmux("new-session", "-d", "-s", "play", "-x", "80", "-y", "30", "exec bash --norc")
    glass = tmux.client("play")
    glass.shows("bash-")
    glass.type(f"{house.program} jump bob\r")
    glass.shows("demo - ? for help")
    assert tmux("list-clients", "-F", "#{client_session}") == "work"


def test_a_session_of_tmux_that_nobody_looks_at_is_said_with_the_next_step(house: House, tmux: Tmux) -> None:
    seated(house, tmux)
    done = house.synapse("jump", "bob")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"`tmux -S {tmux.socket} attach -t work` shows it" in done.stderr
    assert "`synapse attach bob` shows it here too" in done.stderr


def test_a_pane_that_was_moved_to_another_session_is_still_found(house: House, tmux: Tmux) -> None:
    seated(house, tmux)
    tmux("new-session", "-d", "-s", "play", "-x", "80", "-y", "30", "exec sh")
    tmux("move-window", "-d", "-s", "work:1", "-t", "play:5")
    tmux.client("play")
    until(lambda: tmux("list-clients"))
    assert house.synapse("jump", "bob").returncode == 0
    assert tmux("display-message", "-p", "-t", "play", "#{window_index}.#{pane_index}") == "5.0"


@pytest.mark.parametrize("name", ELSEWHERE)
def test_other_terminals_are_told_by_their_own_command(house: House, name: str) -> None:
    environ, wanted = ELSEWHERE[name]
    record, path = recorder(house, wanted[0])
    glass = house.glass("attach", "bob", env=environ)
    glass.shows("demo - ? for help")
    told = json.loads(house.synapse("jump", "bob", "--json", env={"PATH": path}).stdout)
    assert told["terminal"] == name
    words = record.read_text().split("\0")[:-1]
    words[0] = Path(words[0]).name
    if wanted[0] == "osascript":
        assert words[:3] == ["osascript", "-e", "on run argv"]
        assert words[-1].startswith(wanted[1])
        assert not any(wanted[1] in word for word in words[:-1])
    else:
        assert words == wanted


def recorder(house: House, program: str, status: int = 0) -> tuple[Path, str]:
    """A program of that name that writes down how it was called; the file, and the PATH with it in front."""
    folder = house.data / f"bin-{program}-{status}"
    folder.mkdir(exist_ok=True)
    record = folder / "called"
    record.unlink(missing_ok=True)
    script = folder / program
    script.write_text(RECORDER.format(file=shlex.quote(str(record)), status=status))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return record, f"{folder}:{house.env['PATH']}"


def test_what_a_terminal_answers_is_passed_on_when_it_refuses(house: House) -> None:
    _, path = recorder(house, "wezterm", 3)
    glass = house.glass("attach", "bob", env=ELSEWHERE["WezTerm"][0])
    glass.shows("demo - ? for help")
    done = house.synapse("jump", "bob", env={"PATH": path})
    assert done.returncode == 1
    assert "`wezterm` did not do it: exit status 3" in done.stderr


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"TERM": "xterm-old"}, "its terminal (xterm-old) cannot be told from outside to show it (/dev/pts/"),
        ({"TERM_PROGRAM": "vscode"}, "its terminal (vscode) cannot be told"),
        ({"KITTY_WINDOW_ID": "1"}, "kitty has not said how to reach it: KITTY_LISTEN_ON was not set"),
        (ELSEWHERE["zellij"][0], "there is no `zellij` on PATH"),
    ],
)
def test_a_terminal_that_cannot_is_said_with_the_next_step(house: House, environ: dict[str, str], why: str) -> None:
    glass = house.glass("attach", "bob", env=environ)
    glass.shows("demo - ? for help")
    done = house.synapse("jump", "bob", "--json")
    error = json.loads(done.stderr)["error"]
    assert (done.returncode, error["code"]) == (1, "cannot_focus")
    assert why in error["message"]
    assert error["message"].endswith("`synapse attach bob` shows it here too.")


def test_of_several_viewers_the_one_where_somebody_typed_last_counts(house: House) -> None:
    record, path = recorder(house, "wezterm")
    for pane in ("1", "2"):
        glass = house.glass("attach", "bob", env={**ELSEWHERE["WezTerm"][0], "WEZTERM_PANE": pane})
        glass.shows("demo - ? for help")
        glass.type("x")
        glass.shows("> x")
        glass.type("\x15")
    told = json.loads(house.synapse("jump", "bob", "--json", env={"PATH": path}).stdout)
    assert told["place"]["WEZTERM_PANE"] == "2"
    assert "2" in record.read_text().split("\0")


def test_nobody_has_it_attached_or_it_is_not_here(house: House) -> None:
    done = house.synapse("jump", "bob")
    assert (done.returncode, done.stderr) == (
        1, "synapse: Nobody has 'bob' attached: `synapse attach bob` shows it here.\n"
    )  # fmt: skip
    assert "There is no 'nobody'" in house.synapse("jump", "nobody").stderr
    assert house.synapse("jump").returncode == 2
