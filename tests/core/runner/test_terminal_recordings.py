"""Recordings of the real agent programs: what stands on the screen, and that nothing they send is lost or asked twice."""

import json
import re

import pytest

from synapse.runner.terminal import Terminal
from tests.core.runner import terminal_kit as kit


@pytest.mark.parametrize("name", kit.recordings())
def test_a_recording_looks_the_same_fed_byte_by_byte(name: str) -> None:
    made = kit.recording(name)
    output = made.output[:60_000]
    bytewise, slow_view = kit.in_pieces([output[i : i + 1] for i in range(len(output))], made.columns, made.rows)
    at_once, view = kit.in_pieces([output], made.columns, made.rows)
    assert kit.picture(at_once) == kit.picture(bytewise)
    assert kit.past(at_once) == kit.past(bytewise)
    assert view == slow_view
    assert at_once.replies() == bytewise.replies()


@pytest.mark.parametrize("name", kit.recordings())
def test_viewers_of_a_recording_are_asked_nothing(name: str) -> None:
    made = kit.recording(name)
    terminal = Terminal(made.columns, made.rows)
    seen = kit.shown(terminal.write(made.output), made.columns, made.rows)
    assert terminal.advance(60)
    assert terminal.replies()
    assert seen.replies() == b""
    assert kit.picture(seen) == kit.picture(terminal)


@pytest.mark.parametrize("name", kit.recordings())
def test_a_viewer_may_join_a_recording_at_any_time(name: str) -> None:
    made = kit.recording(name)
    third = len(made.output) // 3
    terminal = Terminal(made.columns, made.rows)
    terminal.write(made.output[:third])
    joined = kit.shown(terminal.repaint(), made.columns, made.rows)
    joined.write(terminal.write(made.output[third:]))
    assert joined.advance(60)
    assert terminal.advance(60)
    assert kit.picture(joined) == kit.picture(terminal)


ENDS = {
    "aider-ping": [r"^PONG tok4711$", r"^>$"],
    "aider-runcmd": [r"^Add command output to the chat\? \(Y\)es/\(N\)o/\(D\)on't ask again \[Yes\]: n$", r"^diff>$"],
    "claude-ping": [r"^● PONG tok4711$", r"^  \? for shortcuts", r"^✻ Brewed for 0s$"],
    "claude-slow": [r"^  DONE tokS$", r"^✻ Cogitated for 6s$"],
    "codex-ping": [r"^• PONG tok4711$", r"^› Ask Codex to do anything$", r"Worked for <1s"],
    "copilot-ping": [r"^ ● PONG tok4711$", r"Interactive · Manual Approval · / commands"],
    "gemini-ping": [r"^✦ PONG tok4711$", r"^ >   Type your message"],
    "opencode-slow": [r"^     DONE tokS$", r"▣  Build · Stub Model · 31\.7s$"],
    "qwen-slow": [r"^    DONE tokS$", r"^>   Type your message"],
}


@pytest.mark.parametrize("name", ENDS)
def test_a_recording_ends_with_what_the_program_had_on_screen(name: str) -> None:
    made = kit.recording(name)
    text = "\n".join(kit.shown(made.output, made.columns, made.rows).lines())
    for expected in ENDS[name]:
        assert re.search(expected, text, re.MULTILINE), expected


DIALOGS = {
    "aider": r"Run shell command\? \(Y\)es/\(N\)o/\(D\)on't ask again \[Yes\]:",
    "claude": r"Do you want to proceed\?\n ❯ 1\. Yes\n[\s\S]*Esc to cancel · Tab to amend",
    "codex": r"Would you like to run the following command\?[\s\S]*› 1\. Yes, proceed \(y\)[\s\S]*Press enter to confirm",
    "copilot": r"Do you want to run this command\?[\s\S]*❯ 1\. Yes[\s\S]*↑/↓ to navigate · enter to select · esc to cancel",
    "gemini": r"Allow execution of \[Shell\]\?[\s\S]*● 1\. Allow once",
    "opencode": r"△ Permission required[\s\S]*Allow once   Allow always   Reject",
    "qwen": r"Allow execution of: 'touch'\?[\s\S]*› 1\. Yes, allow once",
}


@pytest.mark.parametrize("name", DIALOGS)
def test_the_permission_dialog_is_seen_when_it_stands_there(name: str) -> None:
    header, *events = map(json.loads, (kit.SCREENS / f"{name}-runcmd.cast").read_text(encoding="utf-8").splitlines())
    terminal = Terminal(header["width"], header["height"])
    seen = 0
    for _, kind, data in events:
        if kind == "o":
            terminal.write(data.encode())
            assert terminal.advance(60)
            seen += not terminal.synchronized and bool(re.search(DIALOGS[name], "\n".join(terminal.lines())))
    assert seen


def test_codex_says_what_it_does() -> None:
    made = kit.recording("codex-runcmd")
    signals = kit.shown(made.output, made.columns, made.rows).signals()
    states = [signal.value for signal in signals if signal.name == "osc7501"]
    assert states[:4] == ["state=working:app=codex", "state=idle:app=codex", "state=working:app=codex",
                          "state=blocked:app=codex:kind=permission"]  # fmt: skip
    assert any("Action Required" in signal.value for signal in signals if signal.name == "title")


def test_the_modes_that_programs_leave_on_are_known() -> None:
    made = kit.recording("opencode-ping")
    modes = kit.shown(made.output, made.columns, made.rows).modes
    assert modes.alternate
    assert modes.bracketed_paste
    assert modes.focus
    assert modes.mouse == (1000, 1002, 1003, 1006)
    assert modes.kitty == (5,)
