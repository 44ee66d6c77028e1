"""The bundled demo agent: its parts by themselves, then the whole of it in real terminals."""

import itertools
import os
import re
import signal
import sys
import termios
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import synapse
from synapse.runner import demo_brain as brain
from synapse.runner import demo_layout as layout
from synapse.runner.demo_brain import Confirm, Habits, Notice, Pause, Ran, Run, Say, Step
from synapse.runner.demo_draft import Draft
from synapse.runner.demo_keys import Decoder, Press, guarded
from tests.core.runner.attached import Glass, until

HEADER = "A2A: [From: ann (synapse-demo-8150)] [REPLY EXPECTED] "
REPLIES = Habits(replies=True)


# What comes in.


def keys(data: bytes) -> list[Press]:
    return Decoder().feed(data)


def test_keys_are_known_by_their_names() -> None:
    names = [press.name for press in keys(b"\r\n\x7f\x03\x04\x1b[A\x1bOB\x1b[13u\x1b\r\x1b[I\x1b[27u")]
    assert names == [
        "enter", "newline", "backspace", "ctrl-c", "ctrl-d", "up", "down", "enter", "newline", "focus-in", "esc",
    ]  # fmt: skip


def test_what_is_no_key_of_ours_and_answers_of_the_terminal_are_swallowed() -> None:
    assert keys(b"\x1b[?62;c\x1b]11;rgb:0/0/0\x1b\\\x1bP>|x\x1b\\\x1b[5~\x00a") == [Press("text", "a")]


def test_a_lone_escape_waits_and_is_the_esc_key_after_all() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\x1b") == []
    assert decoder.pending
    assert decoder.flush() == [Press("esc")]
    assert not decoder.pending


def test_a_paste_is_one_press_without_control_characters() -> None:
    assert keys(b"\x1b[200~a\r\nb\rc\x07\td\x1b[201~\r") == [Press("paste", "a\nb\nc\td"), Press("enter")]


@given(cuts=st.lists(st.integers(0, 60), max_size=8))
def test_wherever_the_reads_are_cut_the_presses_are_the_same(cuts: list[int]) -> None:
    data = "hé世\x1b[200~paste\nof ünïcode\x1b[201~\r\x1b[A\x1b]11;x\x07b\x1b[13u".encode()
    decoder, presses = Decoder(), []
    at = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(at):
        presses += decoder.feed(data[start:end])
    assert _joined(presses) == _joined(keys(data))


def _joined(presses: list[Press]) -> list[Press]:
    joined: list[Press] = []
    for press in presses:
        if joined and press.name == joined[-1].name == "text":
            joined[-1] = Press("text", joined[-1].text + press.text)
        else:
            joined.append(press)
    return joined


def test_a_strict_composer_takes_enter_among_or_right_after_text_for_a_new_line() -> None:
    assert guarded([Press("text", "a"), Press("enter")], 9)[-1] == Press("newline")
    assert guarded([Press("enter")], 0.001) == [Press("newline")]
    assert guarded([Press("enter")], 0.05) == [Press("enter")]


def test_a_draft_is_edited_and_taken() -> None:
    draft = Draft()
    for press in keys(b"one two\x17three\n4x\x7f\x1b[D\x1b[3~5\x1b[H- \x1b[F!"):
        draft.edit(press)
    assert draft.shown() == ("one three\n- 5!", 14)
    assert draft.take() == "one three\n- 5!"
    assert not draft


def test_a_large_paste_is_shown_as_a_placeholder_and_taken_whole() -> None:
    draft, pasted = Draft(), "\n".join(f"line {number}" for number in range(101))
    for press in (Press("text", "see: "), Press("paste", pasted), Press("text", " ok")):
        draft.edit(press)
    assert draft.shown()[0] == "see: [Pasted text #1 +100 lines] ok"
    assert draft.take() == f"see: {pasted} ok"
    draft.edit(Press("paste", "x" * 1001))
    draft.edit(Press("text", "y"))
    draft.edit(Press("backspace"))
    assert draft.shown()[0] == "[Pasted text #2]"
    draft.edit(Press("backspace"))
    assert not draft


# What goes out.


def width(text: str) -> int:
    return sum(map(layout.cells, text))


texts = st.text(st.sampled_from("ab  \n世界e\u0301é👍─-"), max_size=200)


@given(text=texts, columns=st.integers(10, 300), rows=st.integers(4, 60), queued=st.lists(texts, max_size=6))
def test_a_frame_fits_its_terminal_with_the_cursor_in_it(text: str, columns: int, rows: int, queued: list[str]) -> None:
    stream = layout.Stream()
    stream.feed(text, columns)
    tail = stream.tail(columns)
    for cursor in (0, len(text) // 2, len(text)):
        frame = layout.composer((text, cursor), layout.IDLE, columns=columns, rows=rows, tail=tail, queued=queued)
        _fits(frame, columns, rows)
    _fits(layout.dialog(text, 1, columns=columns, rows=rows), columns, rows)
    assert all(width(row) <= columns for row in layout.echo(text, columns))


def _fits(frame: layout.Frame, columns: int, rows: int) -> None:
    assert len(frame.rows) <= rows
    assert all(width(row) <= columns for row in frame.rows)
    assert 0 <= frame.row < len(frame.rows)
    assert 0 <= frame.column < columns


@given(text=texts, columns=st.integers(6, 80), piece=st.integers(1, 30))
def test_an_answer_is_laid_out_the_same_in_whatever_pieces_it_comes(text: str, columns: int, piece: int) -> None:
    text = unicodedata.normalize("NFC", text)
    whole, stream = layout.Stream(), layout.Stream()
    pieces = [text[at : at + piece] for at in range(0, len(text), piece)]
    rows = [row for part in pieces for row in stream.feed(part, columns)] + stream.finish(columns)
    assert rows == whole.feed(text, columns) + whole.finish(columns)


def test_an_answer_is_wrapped_at_spaces_and_keeps_its_indentation() -> None:
    stream = layout.Stream()
    assert stream.feed("one two three\n    code", 10) == ["* one two", "  three"]
    assert stream.tail(10) == ["      code"]
    assert stream.finish(10) == ["      code"]


def test_the_echo_shows_three_rows() -> None:
    assert layout.echo("1\n2\n3\n4", 80) == ["> 1", "  2", "  3", "  ..."]


def test_escapes_are_not_printed() -> None:
    assert layout.plain("\x1b[31mred\x1b[0m\x1b]0;t\x07\r\nx\ty\x07") == "red\nx   y"


# What is thought.


def steps(text: str, *results: Ran | bool, habits: Habits = REPLIES) -> list[Step]:
    """The steps of a turn but its pauses; what is to be run or confirmed gets the next of the results."""
    turn, came, taken, send = brain.turn(text, habits), iter(results), list[Step](), None
    while True:
        try:
            step = turn.send(send)
        except StopIteration:
            return taken
        send = next(came) if isinstance(step, Run | Confirm) else None
        if not isinstance(step, Pause):
            taken.append(step)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("what 6*7 is", "42"),
        ("6 + 7?", "13"),
        ("3-8.", "-5"),
        ("on 2024-01 it is v1.2+3", "2023"),
        ("see v1.2+3.4", "You said: see v1.2+3.4"),
        ("PING 1", "PONG 1"),
        ("PING", "PONG"),
        ("ECHO a\n  b  6*7", "a\n  b  6*7"),
        ("FAIL no luck", "error: no luck"),
        ("LONG 3", "line 1\nline 2\nline 3"),
        ("SLOW x", "You said: SLOW x"),
        ("ask bob", "You said: ask bob"),
        ("hello", "You said: hello"),
        ("A2A: hello", "noted"),
        ("A2A: [From: ann (1)] EXIT 3", "noted"),
        (f"{HEADER}what 6*7 is", "42"),
    ],
)
def test_a_text_is_answered_by_rule(text: str, answer: str) -> None:
    assert steps(text, habits=Habits()) == [Say(answer)]


def test_slow_streams_words_and_comes_to_its_end() -> None:
    said = "".join(step.text for step in steps("SLOW 1 the end") if isinstance(step, Say))
    assert said.endswith(" say about this\nthe end")
    assert said.startswith("let me see")


def test_nothing_is_answered_with_nothing_not_even_a_reply() -> None:
    assert steps(f"{HEADER}NOTHING") == []


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("what 6*7 is", Run(["synapse", "reply", "42"])),
        ("3-8", Run(["synapse", "reply", "--stdin"], "-5")),
        ("ECHO a\nb", Run(["synapse", "reply", "--stdin"], "a\nb")),
        ("FAIL no luck", Run(["synapse", "reply", "--fail=no luck"])),
    ],
)
def test_where_a_reply_is_expected_it_is_also_given_by_the_command(text: str, run: Run) -> None:
    assert steps(HEADER + text, Ran(0, "", ""))[-1] == run


def test_a_reply_that_fails_is_told() -> None:
    assert steps(f"{HEADER}PING", Ran(3, "", "no hub\n"))[-1] == Notice("reply failed (status 3): no hub")


def test_another_agent_is_asked_and_its_answer_told_as_it_came() -> None:
    assert steps("ask bob what 6*7 is", Ran(0, "42\n\n", "")) == [
        Notice('running: synapse send bob "what 6*7 is" --wait'),
        Run(["synapse", "send", "bob", "what 6*7 is", "--wait"]),
        Say("bob says: 42\n"),
    ]
    assert steps("ask bob x", Ran(1, "", "synapse: no bob\n"))[-1] == Say(
        "asking bob failed (status 1): synapse: no bob"
    )
    assert steps("ask-notify bob x", Ran(0, "queued\n", ""))[1:] == [
        Run(["synapse", "send", "bob", "x"]),
        Say("asked bob"),
    ]


def test_a_command_runs_only_when_it_may() -> None:
    assert steps("RUN rm x", False) == [Confirm("rm x"), Say("declined")]
    assert steps("RUN ls", True, Ran(2, "gone\n", ""))[1:] == [
        Run(["sh", "-c", "ls"], together=True),
        Say("gone\nexit status 2"),
    ]


# The whole of it.


class Demo(Glass):
    """A demo in a terminal that is resized as real ones are."""

    def resize(self, columns: int, rows: int) -> None:
        self.lines()
        self._screen.resize(rows, columns)
        super().resize(columns, rows)

    def shows_lines(self, *wanted: str) -> None:
        """Wait until these lines stand below each other; what took a second or two is as good as done at once."""

        def shown() -> str:
            return re.sub(r"^done in [0-2]s$", "done in 0s", "\n".join(self.lines()), flags=re.MULTILINE)

        until(lambda: "\n".join(wanted) in shown(), f"{wanted} in {self.lines()}")

    def works(self) -> int:
        """For how many seconds it says that it works, once it does."""
        found = until(lambda: re.search(r"Working \((\d+)s - esc to interrupt\)", "\n".join(self.lines())))
        return int(found[1])

    def idle(self) -> None:
        self.shows_lines(">", layout.IDLE)

    def paste(self, text: str) -> None:
        self.type(f"\x1b[200~{text}\x1b[201~")

    def enter_until(self, text: str) -> None:
        """Press Enter, again after a while when it was taken for a part of the text, until this is on the screen."""

        def entered() -> bool:
            self.type("\r")
            return any(text in line for line in self.lines())

        until(entered, text)


Start = Callable[..., Demo]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setenv("PYTHONPATH", str(Path(synapse.__file__).parents[1]))
    demos: list[Demo] = []

    def start(*options: str, columns: int = 80, rows: int = 24) -> Demo:
        demos.append(Demo([sys.executable, "-m", "synapse.runner.demo", *options], columns, rows))
        demos[-1].idle()
        return demos[-1]

    yield start
    for demo in demos:
        demo.close()


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the `synapse` command, and the file in which it notes how it was called."""
    note, script = tmp_path / "called", tmp_path / "stand-in"
    script.write_text(
        f'printf "%s|" "$@" >> {note}\n'
        'case "$*" in *stdin*) tr "\\n" "/";; esac >> ' + f"{note}\n"
        'case "$2" in slow) trap "echo stopped >> ' + f'{note}; exit 1" TERM; sleep 60 & wait;; '
        'nobody) echo "no nobody here" >&2; exit 1;; bob) echo 42; echo and more;; esac\n'
    )
    monkeypatch.setenv("SYNAPSE_COMMAND", f"sh '{script}'")
    return note


def test_what_is_typed_is_answered_and_the_composer_stays_below(start: Start) -> None:
    demo = start()
    demo.type("what 6*8")
    demo.type("\x7f7 is")
    demo.shows("> what 6*7 is")
    demo.type("\r")
    demo.shows_lines("> what 6*7 is", "* 42", "done in 0s", "", "─" * 80, ">", layout.IDLE)


def test_a_paste_then_enter_is_one_message_of_several_lines(start: Start) -> None:
    demo = start("--strict-enter")
    demo.paste("ECHO one\ntwo\nthree\nfour")
    demo.shows_lines("> ECHO one", "  two", "  three", "  four", layout.IDLE)
    demo.enter_until("done in")
    demo.shows_lines("> ECHO one", "  two", "  three", "  ...", "* one", "  two", "  three", "  four", "done in 0s")


def test_strict_enter_keeps_a_text_that_comes_with_its_enter(start: Start) -> None:
    demo = start("--strict-enter")
    demo.type("PING 1\r")
    demo.shows_lines("> PING 1", "", layout.IDLE)
    demo.enter_until("* PONG 1")


def test_by_default_text_and_enter_in_one_write_are_sent(start: Start) -> None:
    demo = start()
    demo.type("PING 1\rPING 2\r")
    demo.shows_lines("* PONG 1", "done in 0s", "", "> PING 2", "* PONG 2", "done in 0s")


def test_a_large_paste_is_sent_whole(start: Start, called: Path) -> None:
    demo = start("--answer", "reply")
    lines = [f"{number} " + "x" * 45 for number in range(101)]
    demo.paste(f"{HEADER}ECHO " + "\n".join(lines))
    demo.shows("> [Pasted text #1 +100 lines]")
    demo.type("\r")
    demo.shows("done in")
    assert called.read_text() == "reply|--stdin|" + "/".join(lines)


def test_what_comes_while_busy_is_queued_and_taken_in_order(start: Start) -> None:
    demo = start()
    demo.type("HANG\r")
    begun = demo.works()
    assert begun <= 2
    for number in range(5):
        demo.type(f"PING {number}\r")
    demo.shows_lines("queued: PING 0", "queued: PING 1", "queued: PING 2", "queued: 2 more", "─" * 80)
    until(lambda: demo.works() > begun)
    demo.type("\x1b")
    demo.shows_lines("> HANG", "Interrupted", "", "> PING 0", "* PONG 0")
    demo.shows_lines("* PONG 4", "done in 0s")
    demo.idle()


def test_esc_ends_an_answer_in_the_middle(start: Start) -> None:
    demo = start()
    demo.type("SLOW 30 never\r")
    demo.shows("* let me see")
    demo.type("\x1b")
    demo.shows("Interrupted")
    demo.idle()
    demo.type("PING\r")
    demo.shows_lines("> PING", "* PONG")


def test_a_dialog_takes_the_composers_place_until_it_is_answered(start: Start) -> None:
    demo = start()
    for answer, result in (("\r", "* hi"), ("1", "* hi"), ("2", "* declined"), ("\x1b[B\r", "* declined")):
        demo.type("RUN echo hi\r")
        demo.shows_lines(layout.QUESTION, "    echo hi", "> 1. Yes", "  2. No", "─" * 80, layout.CHOOSING)
        assert not [line for line in demo.lines() if line.startswith("Working") or line == layout.IDLE]
        demo.type(answer)
        demo.shows_lines(result, "done in 0s", "", "─" * 80, ">", layout.IDLE)
        demo.type("\x0c")
        until(lambda: demo.lines()[0].startswith("─"))
    demo.type("RUN echo hi\r")
    demo.shows(layout.QUESTION)
    demo.type("\x1b")
    demo.shows("* declined")


@pytest.mark.parametrize(
    ("typed", "status"),
    [
        ("/exit\r", 0), ("/exit 7\r", 7), ("\x04", 0), ("EXIT 5\r", 5), ("CRASH\r", -9), ("\x03\x03", 0),
        ("x\x03\x03", 0), ("HANG\r\x03\x03\x03", 0),
    ],
)  # fmt: skip
def test_it_ends_with_its_status(start: Start, typed: str, status: int) -> None:
    demo = start()
    demo.type(typed)
    assert demo.end() == status


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_ends_it_with_the_terminal_as_it_was(start: Start, number: int, status: int) -> None:
    demo = start("--alt")
    demo.type("HANG\r")
    demo.shows("Working")
    assert not termios.tcgetattr(demo.process.child_fd)[3] & termios.ICANON
    os.kill(demo.pid, number)
    demo.expect("\x1b[?1004l\x1b[?2004l\x1b[?1049l")
    until(lambda: termios.tcgetattr(demo.process.child_fd)[3] & termios.ICANON, "the canonical mode")
    assert demo.end() == status


def test_it_stops_like_any_program_and_comes_back(start: Start) -> None:
    shell = Demo(["bash", "--norc", "--noprofile", "-i"])
    try:
        shell.type(f"PS1='$ '; {sys.executable} -m synapse.runner.demo\r")
        shell.idle()
        shell.type("PING\x1a")
        shell.expect("Stopped")
        shell.expect("$ ")
        shell.type("fg\r")
        shell.expect("\x1b[?2004h\x1b[?1004h")
        shell.shows("> PING")
        shell.type("\r")
        shell.shows("* PONG")
        shell.type("\x04")
        shell.expect("$ ")
        shell.type("exit $?\r")
        assert shell.end() == 0
    finally:
        shell.close()


def test_a_command_at_work_does_not_outlive_it(start: Start, called: Path) -> None:
    demo = start()
    demo.type("ask slow x\r")
    until(lambda: called.exists() and "slow" in called.read_text())
    demo.type("/exit\r")
    assert demo.end() == 0
    assert called.read_text().endswith("stopped\n")


RESIZED_WHILE_IT_DRAWS = """
import fcntl, struct, termios
from synapse.runner import demo_terminal as demo
terminal = demo.Terminal(False)
terminal.enter()
before, write = terminal.size(), demo.write
def resized(text):
    write(text)
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("4H", 20, 50, 0, 0))
demo.write = resized
terminal.paint([], demo.Frame(["a"], 0, 0))
demo.write = write
after = terminal.size()
terminal.leave()
print("from", before, "to", after)
"""


def test_a_terminal_that_is_resized_while_it_is_drawn_on_is_not_taken_for_the_old_one() -> None:
    glass = Glass([sys.executable, "-c", RESIZED_WHILE_IT_DRAWS])
    try:
        glass.expect("from (80, 24) to (50, 20)")
    finally:
        glass.close()


@pytest.mark.parametrize("columns", [20, 200])
def test_it_follows_the_size_of_its_terminal(start: Start, columns: int) -> None:
    demo = start()
    demo.type("PING and thirty more characters, please")
    demo.shows("please")
    demo.resize(columns, 24)
    demo.shows_lines("─" * columns)
    assert sum("─" in line for line in demo.lines()) == 1
    demo.type("\r")
    demo.shows("done in")
    answer = {20: ["* PONG and thirty", "  more characters,", "  please"]}
    demo.shows_lines(*answer.get(columns, ["* PONG and thirty more characters, please"]), "done in 0s")
    demo.resize(80, 24)
    demo.shows_lines("─" * 80, ">", layout.IDLE)


def test_wide_characters_are_counted_in_cells(start: Start) -> None:
    demo = start(columns=24)
    demo.type("ECHO 世界世界世界世界世界 né")
    demo.shows("né")
    demo.type("\r")
    demo.shows("done in")
    # The terminal model leaves the second cell of a wide character empty.
    assert "* 世界世界世界世界世界" in demo.lines()
    assert "  né" in demo.lines()


def test_another_agent_is_asked_by_the_command(start: Start, called: Path) -> None:
    demo = start()
    demo.type("ask bob what 6*7 is\r")
    demo.shows_lines('running: synapse send bob "what 6*7 is" --wait', "* bob says: 42", "  and more", "done in 0s")
    assert called.read_text() == "send|bob|what 6*7 is|--wait|"
    demo.type("ask nobody x\r")
    demo.shows("* asking nobody failed (status 1): no nobody here")


def test_a_command_that_is_not_there_is_told(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_COMMAND", "/nowhere/synapse")
    demo = start()
    demo.type("ask bob x\r")
    demo.shows("* asking bob failed (status 127): /nowhere/synapse: No such file or directory")


def test_esc_ends_the_asking(start: Start, called: Path) -> None:
    demo = start()
    demo.type("ask slow x\r")
    until(lambda: called.exists() and "slow" in called.read_text())
    demo.type("\x1b")
    demo.shows("Interrupted")
    assert called.read_text().endswith("stopped\n")


def test_its_states_are_told_to_the_terminal_when_asked_for(start: Start) -> None:
    demo = start("--signals")
    demo.expect("\x1b]7501;state=idle:app=demo\x1b\\")
    demo.type("RUN echo hi\r")
    for state in ("working:app=demo", "blocked:app=demo:kind=permission"):
        demo.expect(f"\x1b]7501;state={state}\x1b\\")
    demo.type("\r")
    for state in ("working", "done"):
        demo.expect(f"\x1b]7501;state={state}:app=demo\x1b\\")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts wake-ups by /proc")
def test_at_rest_it_does_not_wake_up_at_all(start: Start) -> None:
    demo = start()
    demo.type("PING\r")
    demo.shows("done in")
    demo.idle()
    before = until(lambda: _asleep(demo.pid) and _wake_ups(demo.pid))
    time.sleep(2)  # what is measured is that nothing happens
    assert _wake_ups(demo.pid) == before


def _asleep(pid: int) -> bool:
    return " S " in Path(f"/proc/{pid}/stat").read_text()


def _wake_ups(pid: int) -> Any:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in status if line.startswith("voluntary_ctxt_switches"))
