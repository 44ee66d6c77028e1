"""What an agent does, judged on screens that are shown to the status machine, with a clock that is moved by hand."""

import re
from dataclasses import replace

import pytest

from synapse.runner.dialogs import Question
from synapse.runner.parts import Rule
from synapse.runner.profile import BUILT_IN, Profile, load
from synapse.runner.rules import Told
from tests.core.runner.stage import Stage

DEMO = load(BUILT_IN / "demo.toml")
PLAIN = Profile("plain")
RULE = "─" * 80
IDLE = (RULE, "> ", "demo - ? for help")
BUSY = (RULE, "> ", "Working (1s - esc to interrupt)")
DIALOG = (
    RULE,
    "Do you want to run this command?",
    "    rm x",
    "> 1. Yes",
    "  2. No",
    RULE,
    "enter to choose - esc to decline",
)
PASTED = "\n".join(DIALOG[1:])


@pytest.fixture
def demo() -> Stage:
    stage = Stage(DEMO)
    stage.redraws(*IDLE)
    assert stage.status == "READY"
    return stage


def test_the_screen_tells_ready_processing_waiting_and_done(demo: Stage) -> None:
    demo.machine.submitted()
    demo.redraws(*BUSY)
    demo.redraws(*DIALOG)
    assert demo.machine.question == Question("Do you want to run this command?\n    rm x", ("1 Yes", "2 No"))
    demo.redraws(*BUSY)
    assert demo.machine.question is None
    demo.redraws(*IDLE)
    demo.clock.go(10)
    demo.machine.stopped()
    assert demo.changes == [
        ("READY", "screen"),
        ("PROCESSING", "submit"),
        ("PROCESSING", "screen"),
        ("WAITING", "screen"),
        ("PROCESSING", "screen"),
        ("DONE", "screen"),
        ("READY", "screen"),
        ("STOPPED", "process"),
    ]


def test_where_work_may_hide_a_composer_without_an_end_above_it_counts_after_a_pause() -> None:
    stage = Stage(replace(DEMO, ended=(re.compile(r"^Worked for .*\n─+\n>.*\n.*\Z", re.M),), pauses=10.0))
    stage.redraws(*IDLE)
    assert stage.status == "READY"  # it has not worked yet
    for last, at_once in (("so far", "PROCESSING"), ("Worked for 3s", "DONE")):
        stage.machine.submitted()
        stage.redraws(*BUSY)
        stage.redraws("Worked for 2s", "> hello", last, *IDLE, seconds=1)
        assert stage.status == at_once
        stage.clock.go(9)
        assert stage.status == "DONE"


def test_ready_is_believed_at_first_only_behind_a_composer_that_takes_pastes() -> None:
    rules = (Rule("title", match=re.compile("^Ready"), status="READY"),)
    stage = Stage(replace(DEMO, rules=rules, trust=("title", "screen"), pastes=True))
    stage.writes(b"\x1b]0;Ready\x07")
    assert stage.status == "STARTING"
    stage.redraws(*IDLE)
    assert stage.status == "STARTING"
    stage.writes(b"\x1b[?2004h")
    stage.clock.go(1)
    assert (stage.status, stage.machine.source) == ("READY", "title")


def test_a_program_whose_composer_is_not_recognized_is_believed_after_a_while() -> None:
    rules = (Rule("title", match=re.compile("^Ready"), status="READY"),)
    stage = Stage(replace(DEMO, rules=rules, trust=("title", "screen"), pastes=True))
    stage.writes(b"\x1b]0;Ready\x07welcome")
    stage.clock.go(29)
    assert stage.status == "STARTING"
    stage.clock.go(2)
    assert stage.status == "READY"


def test_a_busy_sign_that_stands_too_shortly_to_settle_is_seen(demo: Stage) -> None:
    demo.machine.submitted()
    demo.redraws(*BUSY, seconds=0.001)
    demo.redraws(*IDLE, seconds=0.04)
    assert demo.status == "DONE"


def test_after_enter_a_prompt_counts_only_when_the_program_had_time_to_show_that_it_works(demo: Stage) -> None:
    demo.machine.submitted()
    demo.machine.reacted()
    demo.redraws(*IDLE, seconds=0.08)
    assert demo.status == "PROCESSING"
    demo.clock.go(0.03)
    assert demo.status == "DONE"


def test_a_prompt_counts_only_when_what_was_entered_has_been_taken(demo: Stage) -> None:
    demo.machine.submitted()
    demo.clock.go(1)
    demo.redraws(*IDLE, seconds=1)  # whatever it paints: it has had no time yet to look at its keys
    assert demo.status == "PROCESSING"
    demo.machine.reacted()
    demo.clock.go(0.08)
    assert demo.status == "PROCESSING"
    demo.clock.go(0.03)
    assert demo.status == "DONE"


def test_an_end_that_still_shows_work_counts_when_the_program_begins_something_else() -> None:
    stage = Stage(replace(DEMO, rules=(Rule("hook", status="READY"),), trust=("hook", "screen")))
    stage.redraws(*IDLE)
    stage.machine.submitted()
    stage.machine.told(Told("hook", "Submit", status="PROCESSING", takes=True, prompt="one"))
    stage.redraws(*BUSY)
    stage.machine.told(Told("hook", "Stop", status="READY", rests=True))
    assert stage.status == "PROCESSING"
    stage.machine.told(Told("hook", "Submit", status="PROCESSING", takes=True, prompt="two"))
    assert [status for status, _ in stage.changes][-2:] == ["DONE", "PROCESSING"]


def test_what_is_heard_behind_the_end_changes_nothing(demo: Stage) -> None:
    demo.machine.submitted()
    demo.machine.stopped()
    demo.redraws(*IDLE, seconds=1)
    demo.machine.told(Told("hook", "Stop", status="READY"))
    assert demo.status == "STOPPED"


def test_a_program_that_never_reacts_to_enter_is_not_waited_for_for_ever(demo: Stage) -> None:
    demo.machine.submitted()
    demo.clock.go(3.1)
    assert demo.status == "DONE"
    demo.machine.submitted()
    demo.machine.unsubmitted()
    demo.clock.go(0.1)
    assert demo.status == "DONE"


@pytest.mark.parametrize("frame", [IDLE, BUSY], ids=["idle", "busy"])
def test_a_dialog_in_the_transcript_or_in_the_composer_is_none(demo: Stage, frame: tuple[str, ...]) -> None:
    demo.redraws(PASTED, *frame)
    demo.redraws(RULE, f"> {PASTED}", frame[-1])
    assert "WAITING" not in {status for status, _ in demo.changes}


def test_signs_of_work_above_the_last_line_are_none(demo: Stage) -> None:
    demo.redraws("Working (3s - esc to interrupt)", *IDLE)
    assert demo.status == "READY"


def test_a_question_without_its_choices_is_not_yet_one(demo: Stage) -> None:
    demo.redraws(*DIALOG[:3])
    assert demo.status == "READY"
    demo.redraws(*DIALOG)
    assert demo.status == "WAITING"


def test_a_half_drawn_screen_is_not_judged(demo: Stage) -> None:
    demo.shows("\x1b[?2026h")
    demo.redraws(*DIALOG)
    assert demo.status == "READY"
    demo.shows("\x1b[?2026l", 0.5)
    assert demo.status == "WAITING"


def test_a_programs_own_signals_beat_its_screen(demo: Stage) -> None:
    demo.shows("\x1b]7501;state=working:app=demo\x1b\\", 0.5)
    assert (demo.status, demo.machine.source) == ("PROCESSING", "osc7501")
    demo.redraws(*DIALOG)
    assert demo.status == "PROCESSING"
    demo.shows("\x1b]7501;state=blocked:app=demo:kind=permission\x1b\\", 0.5)
    assert demo.machine.question == Question("Do you want to run this command?\n    rm x", ("1 Yes", "2 No"))
    demo.shows("\x1b]7501;state=done:app=demo\x1b\\")
    assert (demo.status, demo.machine.source) == ("DONE", "osc7501")
    demo.shows("\x1b]7501;state=nonsense\x1b\\\x1b]7501;\x1b\\")
    assert demo.status == "DONE"


def test_a_dialog_whose_picture_comes_after_its_signal_gets_its_question(demo: Stage) -> None:
    demo.shows("\x1b]7501;state=blocked:app=demo\x1b\\")
    assert (demo.status, demo.machine.question) == ("WAITING", None)
    demo.redraws(*DIALOG)
    assert demo.machine.question is not None


# -- whose word counts


HOOKED = replace(
    DEMO,
    rules=(
        Rule("hook", "Submit", status="PROCESSING", takes=True, prompt="prompt"),
        Rule("hook", "Ask", status="WAITING", question="what"),
        Rule("hook", "Stop", status="READY"),
        Rule("hook", "Limit", status="RATE_LIMITED"),
        Rule("title", match=re.compile("^busy"), status="PROCESSING"),
        Rule("title", match=re.compile("^rest"), status="READY"),
    ),
    limited=(re.compile(r"^Limit reached.*", re.MULTILINE),),
)


@pytest.fixture
def hooked() -> Stage:
    stage = Stage(HOOKED)
    stage.redraws(*IDLE)
    assert (stage.status, stage.machine.source) == ("READY", "screen")
    return stage


def test_a_hooks_word_beats_the_screen(hooked: Stage) -> None:
    hooked.machine.submitted()
    hooked.redraws(*IDLE, seconds=1)
    assert hooked.status == "PROCESSING", "it has not said that it took it"
    hooked.hooks("Submit", prompt="do it")
    hooked.redraws(*IDLE, seconds=2.5)
    assert (hooked.status, hooked.machine.source) == ("PROCESSING", "hook Submit")
    assert hooked.machine.taken("do it", 0.0)
    assert not hooked.machine.taken("something else", 0.0)
    hooked.redraws(*BUSY)
    hooked.hooks("Stop")
    assert (hooked.status, hooked.machine.source) == ("DONE", "hook Stop")
    hooked.clock.go(2)
    assert hooked.status == "DONE", "the picture of its work stands for a while"


def test_a_screen_that_contradicts_for_long_counts(hooked: Stage) -> None:
    hooked.machine.submitted()
    hooked.hooks("Submit")
    hooked.redraws(*BUSY, seconds=1)
    hooked.redraws(*IDLE, seconds=2.9)
    assert hooked.status == "PROCESSING"
    hooked.clock.go(0.3)
    assert (hooked.status, hooked.machine.source) == ("DONE", "screen")
    hooked.clock.go(60)
    assert hooked.status == "READY", "the old word does not come back"


def test_a_source_that_stays_silent_hands_over_and_is_named_until_it_speaks(hooked: Stage) -> None:
    hooked.machine.submitted()
    hooked.redraws(*BUSY)
    hooked.redraws(*IDLE, seconds=4)
    assert (hooked.status, hooked.machine.silent) == ("PROCESSING", ())
    hooked.clock.go(1)
    assert (hooked.status, hooked.machine.source, hooked.machine.silent) == ("DONE", "screen", ("hook",))
    hooked.machine.submitted()
    hooked.redraws(*BUSY)
    hooked.redraws(*IDLE, seconds=0.5)
    assert hooked.status == "DONE", "nobody waits for it again"
    hooked.hooks("Submit")
    assert (hooked.status, hooked.machine.silent) == ("PROCESSING", ())


def test_an_end_before_the_beginning_is_that_of_something_earlier(hooked: Stage) -> None:
    hooked.machine.submitted()
    hooked.hooks("Stop")
    assert hooked.status == "PROCESSING"
    hooked.hooks("Submit")
    hooked.hooks("Stop")
    assert hooked.status == "DONE"


def test_after_an_interrupt_the_screen_counts_at_once(hooked: Stage) -> None:
    hooked.machine.submitted()
    hooked.hooks("Submit")
    hooked.redraws(*BUSY)
    hooked.machine.interrupted()
    hooked.redraws(*IDLE)
    assert (hooked.status, hooked.machine.source) == ("DONE", "screen")


def test_a_dialog_is_told_by_a_hook_read_from_the_screen_and_over_when_it_has_gone(hooked: Stage) -> None:
    hooked.machine.submitted()
    hooked.hooks("Submit")
    hooked.redraws(*BUSY)
    hooked.hooks("Ask", what="May I?")
    assert (hooked.status, hooked.machine.question) == ("WAITING", Question("May I?"))
    hooked.redraws(*BUSY, seconds=1)
    assert hooked.status == "WAITING", "its picture has not come yet"
    hooked.redraws(*DIALOG)
    assert hooked.machine.question == Question("Do you want to run this command?\n    rm x", ("1 Yes", "2 No"))
    assert hooked.machine.source == "hook Ask"
    hooked.redraws(*BUSY, seconds=0.1)
    assert (hooked.status, hooked.machine.source) == ("PROCESSING", "screen")
    hooked.hooks("Stop")
    assert hooked.status == "DONE"


def test_a_dialog_that_no_hook_tells_of_counts_after_a_second(hooked: Stage) -> None:
    hooked.machine.submitted()
    hooked.hooks("Submit")
    hooked.redraws(*DIALOG, seconds=0.5)
    assert hooked.status == "PROCESSING"
    hooked.clock.go(1)
    assert (hooked.status, hooked.machine.source) == ("WAITING", "screen")


def test_a_lesser_signal_counts_when_the_better_one_never_speaks_or_is_contradicted_for_long(hooked: Stage) -> None:
    hooked.shows("\x1b]2;busy 1\x07", 0.5)
    assert (hooked.status, hooked.machine.source) == ("PROCESSING", "title")
    hooked.shows("\x1b]2;rest\x07", 0.5)
    assert hooked.status == "DONE"
    hooked.hooks("Submit")
    hooked.clock.go(0.01)
    hooked.shows("\x1b]2;rest 2\x07", 2)
    assert (hooked.status, hooked.machine.source) == ("PROCESSING", "hook Submit")
    hooked.clock.go(2)
    assert (hooked.status, hooked.machine.source) == ("DONE", "title")


def test_a_limit_is_told_and_tried_again_after_a_while(hooked: Stage) -> None:
    hooked.machine.submitted()
    hooked.hooks("Submit")
    hooked.hooks("Limit")
    assert (hooked.status, hooked.machine.source) == ("RATE_LIMITED", "hook Limit")
    hooked.redraws(*IDLE, seconds=10)
    assert hooked.status == "RATE_LIMITED"
    hooked.clock.go(891)
    assert (hooked.status, hooked.machine.source) == ("READY", "screen")
    stage = Stage(replace(HOOKED, rules=(), foot=5))
    stage.redraws("Limit reached: come back at 5 pm", *IDLE)
    assert (stage.status, stage.machine.question) == ("RATE_LIMITED", Question("Limit reached: come back at 5 pm"))
    stage.clock.go(899)
    assert stage.status == "RATE_LIMITED"
    stage.clock.go(2)
    assert stage.status == "READY"


def test_no_timer_is_left_when_nothing_happens(demo: Stage) -> None:
    demo.machine.submitted()
    demo.redraws(*BUSY)
    demo.redraws(*IDLE)
    demo.clock.go(11)
    assert demo.clock.waiting == 0


# -- a program of which nothing is known


def test_an_unknown_program_is_ready_when_it_is_still_behind_its_prompt() -> None:
    stage = Stage(PLAIN)
    stage.shows("$ ", 0.6)
    assert (stage.status, stage.machine.source) == ("READY", "stillness")
    stage.machine.submitted()
    stage.shows("ls\nfile\n$ ", 0.4)
    assert stage.status == "PROCESSING"
    stage.clock.go(0.2)
    assert stage.status == "DONE"


def test_it_works_while_another_group_or_another_line_mode_is_at_the_terminal() -> None:
    stage = Stage(PLAIN)
    stage.shows("$ ", 0.6)
    stage.machine.submitted()
    stage.program.foreground = 99
    stage.shows("sleep 9\n", 9)
    assert stage.status == "PROCESSING"
    stage.program.foreground = 77
    stage.program.canonical = True
    stage.shows("half way\n", 9)
    assert stage.status == "PROCESSING"
    stage.program.canonical = False
    stage.shows("$ ", 0.6)
    assert stage.status == "DONE"


def test_a_line_editor_that_comes_late_is_the_prompt_and_not_what_stood_there_before() -> None:
    stage = Stage(PLAIN)
    stage.program.canonical = True
    stage.shows("reading its files\n", 4)
    stage.program.canonical = False
    stage.shows("$ ", 0.6)
    stage.machine.submitted()
    stage.program.canonical = True
    stage.shows("make\n", 9)
    assert stage.status == "PROCESSING"


def test_an_unknown_prompt_counts_after_three_seconds() -> None:
    stage = Stage(PLAIN)
    stage.shows("$ ", 0.6)
    stage.machine.submitted()
    stage.shows("cat <<x\n-> ", 2.5)
    assert stage.status == "PROCESSING"
    stage.clock.go(1)
    assert stage.status == "DONE"


def test_a_program_that_writes_nothing_at_all_is_ready_after_three_seconds() -> None:
    stage = Stage(PLAIN)
    stage.program.canonical = True
    stage.clock.go(2.5)
    assert stage.status == "STARTING"
    stage.clock.go(1)
    assert stage.status == "READY"


def test_a_line_that_is_not_echoed_waits_for_a_person() -> None:
    stage = Stage(PLAIN)
    stage.shows("$ ", 0.6)
    stage.program.canonical, stage.program.echo = True, False
    stage.shows("sudo x\nPassword: ", 0.6)
    assert (stage.status, stage.machine.source) == ("WAITING", "terminal")
    assert stage.machine.question == Question("Password:")


def test_a_program_that_is_stopped_is_at_work_until_it_goes_on_and_its_screen_is_looked_at_again(demo: Stage) -> None:
    demo.program.stopped = True
    demo.machine.suspended()
    demo.clock.go(10)
    assert (demo.status, demo.machine.verify()) == ("PROCESSING", False)
    demo.program.stopped = False
    demo.machine.resumed()
    demo.clock.go(10)
    assert demo.machine.verify()


def test_at_the_last_moment_another_group_at_the_terminal_is_seen() -> None:
    stage = Stage(PLAIN)
    stage.shows("$ ", 5)
    assert stage.machine.verify()
    stage.program.foreground = 99
    assert not stage.machine.verify()
    assert stage.status == "PROCESSING"
