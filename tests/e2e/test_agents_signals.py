"""A program that reports by itself, wrapped from a profile alone: its status, its answers, its questions, word for word."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agents_kit import House
from tests.e2e.hubs import alive, until

PROFILE = f"""
command = [{json.dumps(sys.executable)}, {json.dumps(str(Path(__file__).with_name("hooked_program.py")))}]

[start]
unless = ["--bare"]

[[start.args]]
words = ["--settings", "{{folder}}/settings.json"]

[start.files."settings.json"]
merge = ["--settings"]
text = '''{{"hooks": {{"Begin": ["{{hook}} Begin"], "Submit": ["{{hook}} Submit"], "Ask": ["{{hook}} Ask"],
  "Stop": ["{{hook}} Stop"]}}, "allow": ["{{synapse}} reply"]}}'''

[stream.record]
file = "{{record}}"
event = "kind"
time = "at"

[session]
id = "session"
file = "record"

[[signal]]
from = "hook"
event = "Begin"
begins = true

[[signal]]
from = "hook"
event = "Submit"
status = "PROCESSING"
takes = true
prompt = "prompt"

[[signal]]
from = "hook"
event = "Ask"
status = "WAITING"
question = "what"

[[signal]]
from = "record"
event = "broke"
as = "hook"
status = "READY"
failure = "text"

[[signal]]
from = "hook"
event = "Stop"
when = {{ error = "LIMIT" }}
status = "RATE_LIMITED"
question = "message"

[[signal]]
from = "hook"
event = "Stop"
status = "READY"
rests = true
failure = "message"
answer = "said"

[status]
foot = 1
settle = 0.05
silent = 1.0
busy = ['^busy']
ready = ['^rest', '^limited']
waiting = ['^May I run this\\?']
choice = '^(\\d)\\. (.+)$'
limited = ['^limited']

[approve]
by = "digit"

[answer]
first = '^\\* '

[answer.record]
lines = {{ kind = "says" }}
text = "text"
prompt = "text"

[answer.record.usage]
lines = {{ kind = "says" }}
fields = {{ input = "tokens.in", output = "tokens.out" }}

[stop]
text = "/exit"
"""


PLAIN = f"""
command = [{json.dumps(sys.executable)}, {json.dumps(str(Path(__file__).with_name("hooked_program.py")))}]

[[start.args]]
words = ["--history", "{{folder}}/history.txt"]
record = "{{folder}}/history.txt"
unless = ["--history"]

[status]
foot = 1
settle = 0.05
busy = ['^busy']
ready = ['^rest']

[answer]
first = '^\\* '
failed = '\\AError: '

[answer.record]
sections = {{ user = '^USER \\d', says = '^SAYS \\d', broke = '^BROKE \\d' }}
prefix = '^\\| '
lines = {{ kind = "says" }}
text = "text"
wait = 0.5

[answer.record.failure]
lines = {{ kind = "broke" }}
text = "text"

[stop]
text = "/exit"
"""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    house = House()
    house.profile("hooked", PROFILE)
    house.profile("plain", PLAIN)
    yield house
    house.close()


@pytest.fixture
def name(house: House, request: pytest.FixtureRequest) -> Iterator[str]:
    name = request.node.name.removeprefix("test_")[:20].strip("_").replace("_", "-")
    house.agent(name, "hooked")
    yield name
    house.synapse("stop", name)


def test_an_answer_is_what_the_program_reports_and_its_tokens_are_counted(house: House, name: str) -> None:
    task = house.queue(name, "LONG 300")
    ended = house.task(task)
    assert ended["answer"] == "\n".join(f"line {number} ✓ 漢字" for number in range(300)) + "\n```\n  code\n```"
    assert (ended["source"], ended["usage"]) == ("signal", {"input": 5, "output": 7})
    assert house.synapse("history", "show", task).stdout.endswith("\n--- tokens: input 5, output 7 ---\n")
    live = house.status(name)["live"]
    assert (live["source"], live["session"]) == ("hook Stop", "5e55-10n")
    assert "silent" not in live


def test_without_a_word_of_its_own_its_record_says_it_even_when_that_is_late(house: House, name: str) -> None:
    for message in ("FILED two  spaces", "LATE three   spaces"):
        ended = house.task(house.queue(name, message))
        assert (ended["answer"], ended["source"]) == (f"ECHO {message.partition(' ')[2]}", "record")
        assert ended["usage"] == {"input": 5, "output": 7}


def test_a_history_for_people_has_its_answers_word_for_word(house: House) -> None:
    house.agent("writer", "plain")
    ended = house.task(house.queue("writer", "LONG 300"))
    assert ended["answer"] == "\n".join(f"line {number} ✓ 漢字" for number in range(300)) + "\n```\n  code\n```"
    assert ended["source"] == "record"
    assert house.send("writer", "ECHO SAYS 5") == "ECHO SAYS 5"
    house.agent("other", "plain", "--history", str(house.data / "mine.txt"))
    assert house.send("other", "ECHO a") == "(not what it said)"
    assert "ECHO a" in (house.data / "mine.txt").read_text()


def test_a_failure_that_its_history_or_its_screen_tells_fails_the_task(house: House) -> None:
    house.agent("breaker", "plain")
    for word, reason in {"BREAK here": "It broke at here.", "CRASH": "Error: it is gone"}.items():
        ended = house.task(house.queue("breaker", word))
        assert (ended["state"], ended["reason"], ended["answer"]) == ("failed", "agent", reason)
        assert house.send("breaker", "ECHO Error: none") == "ECHO Error: none"


def test_what_a_helper_of_it_reports_is_no_answer(house: House, name: str) -> None:
    assert house.send(name, "SUB real") == "ECHO real"


def test_what_a_copy_of_it_reports_that_it_runs_itself_is_no_answer(house: House, name: str) -> None:
    assert house.send(name, "COPY real") == "ECHO real"
    assert house.status(name)["live"]["session"] == "5e55-10n"


def test_an_end_after_which_it_still_works_is_none(house: House, name: str) -> None:
    assert house.send(name, "GOON at last") == "ECHO at last"
    assert house.status(name)["live"]["source"] == "hook Stop"


def test_what_an_interrupted_program_puts_back_into_its_composer_is_a_draft(house: House, name: str) -> None:
    glass = house.attach(name)
    glass.shows("rest")
    glass.type("HOLD this for me")
    glass.shows("> HOLD this for me")
    glass.type("\r")
    house.becomes(name, "PROCESSING")
    glass.type("\x1b")
    assert house.becomes(name, "READY")["source"] == "screen"
    task = house.queue(name, "ECHO clean")
    glass.shows("1 message waiting")
    glass.type("\x15")
    assert house.task(task)["answer"] == "ECHO clean"
    glass.close()


def test_a_question_is_told_with_the_choices_on_its_screen(house: House, name: str) -> None:
    task = house.queue(name, "RUN echo hi")
    waiting = house.task(task, "input-required")
    live = house.becomes(name, "WAITING")
    assert waiting["state"] == "input-required"
    until(lambda: house.status(name)["live"].get("choices") == ["1 Yes", "2 No"])
    assert live["source"] == "hook Ask"
    glass = house.attach(name)
    glass.shows("1. Yes")
    glass.type("1")
    assert house.task(task)["answer"] == "hi"
    glass.close()


def test_a_key_that_answers_a_question_before_it_is_told_is_no_draft(house: House, name: str) -> None:
    glass = house.attach(name)
    glass.shows("rest")
    task = house.queue(name, "DIALOG Sure?")
    glass.shows("1. Yes")
    glass.type("1")  # its screen is ahead of what it says of itself
    assert house.task(task)["answer"] == "ECHO Sure?"
    assert house.send(name, "ECHO the next") == "ECHO the next"
    glass.close()


def test_it_may_reply_without_a_dialog(house: House, name: str) -> None:
    assert house.send(name, f"RUN {house.program} reply 'by the command'") == "by the command"


def test_a_program_that_falls_silent_is_looked_at_and_doctor_says_so(house: House, name: str) -> None:
    assert house.send(name, "ECHO a") == "ECHO a"
    assert house.task(house.queue(name, "MUTE b"))["state"] == "completed"
    house.task(house.queue(name, "ECHO c"))
    live = house.status(name)["live"]
    assert (live["source"], live["silent"]) == ("screen", ["hook"])
    assert "silent: hook" in house.synapse("status", name).stdout
    assert f"{name} does not report by hook" in house.synapse("doctor").stdout


def test_a_limit_fails_the_task_and_holds_the_next(house: House, name: str) -> None:
    ended = house.task(house.queue(name, "LIMIT today"))
    assert (ended["state"], ended["reason"], ended["answer"]) == ("failed", "rate_limited", "It is the end of today.")
    assert house.becomes(name, "RATE_LIMITED")["question"] == "It is the end of today."
    held = house.queue(name, "ECHO later")
    time.sleep(0.5)
    assert house.ask("history", "show", held)["state"] == "submitted"


def test_a_failure_that_it_reports_fails_the_task(house: House, name: str) -> None:
    ended = house.task(house.queue(name, "FAIL a try"))
    assert (ended["state"], ended["reason"], ended["answer"]) == ("failed", "agent", "It is the end of a try.")


def test_a_failure_that_only_its_record_tells_fails_the_task_at_once(house: House, name: str) -> None:
    for word in ("here", "there"):
        ended = house.task(house.queue(name, f"BREAK {word}"))
        assert (ended["state"], ended["reason"], ended["answer"]) == ("failed", "agent", f"It broke at {word}.")
        assert house.status(name)["live"]["source"] == "record broke"
    assert house.send(name, "ECHO behind it") == "ECHO behind it"


def test_an_enter_that_is_swallowed_is_pressed_once_more(house: House, name: str) -> None:
    assert house.send(name, "SWALLOW the next") == "ECHO the next"
    assert house.send(name, "ECHO after all") == "ECHO after all"
    record = (house.data / "record.jsonl").read_text().splitlines()
    assert len([line for line in record if '"user"' in line and "after all" in line]) == 1


def test_settings_of_the_person_are_kept(house: House) -> None:
    mine = house.data / "mine.json"
    mine.write_text(json.dumps({"hooks": {"Stop": [f"touch {house.data}/mine.ran"]}}))
    house.agent("settled", "hooked", "--settings", str(mine))
    assert house.send("settled", "ECHO a") == "ECHO a"
    assert (house.data / "mine.ran").exists()
    assert json.loads(mine.read_text()).keys() == {"hooks"}
    assert house.status("settled")["live"]["source"] == "hook Stop"


def test_a_program_that_is_started_bare_gets_nothing(house: House) -> None:
    house.agent("bare", "hooked", "--bare")
    start = time.monotonic()
    assert house.send("bare", "ECHO a") == "(not what it said)"
    assert time.monotonic() - start < 5
    assert "silent" not in house.status("bare")["live"]


def test_the_private_folder_goes_with_the_agent(house: House) -> None:
    agents = house.data / "run" / "agents"
    told = house.agent("leaving", "hooked")
    folder = agents / house.status("leaving")["agent"]["key"]
    assert (folder / "settings.json").exists()
    house.synapse("stop", "leaving")
    until(lambda: not folder.exists())
    assert told["pid"]


def test_what_a_killed_agent_has_started_does_not_outlive_it(house: House) -> None:
    number = house.data / "number"
    stubborn = "trap '' TERM HUP INT; exec sleep 600"
    house.agent("parent", "bash", "-c", f"({stubborn}) & echo $! > {number}; echo up; exec cat", ready=False)
    child = int(until(lambda: number.exists() and number.read_text()))
    assert alive(child)
    assert house.synapse("kill", "-f", "parent").returncode == 0
    until(lambda: not alive(child))
