"""Interpreters at their prompts: what is sent is their input, and what they print is the answer."""

import shutil
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.agents_kit import House

ASKED = {
    "python3": {
        "1+1": "2",
        "def f():\n    return 42\n\nf()": "42",
        "print('a\\n\\nb')": "a\n\nb",
        "1/0": "Traceback (most recent call last):\n"
        '  File "<stdin>", line 1, in <module>\nZeroDivisionError: division by zero',
    },
    "bash": {
        "echo hi": "hi",
        "for i in 1 2; do\necho $i\ndone": "1\n2",
        "seq 1 100": "\n".join(map(str, range(1, 101))),
    },
    "sqlite3": {"select 1+1;": "2", "create table t(a);\ninsert into t values(1),(2);\nselect * from t;": "1\n2"},
    "node": {"1+1": "2", "[1, 2].map(x => x * 2)": "[ 2, 4 ]"},
}


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


@pytest.mark.parametrize("program", ASKED)
def test_what_an_interpreter_prints_is_the_answer(house: House, program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"not run: {program} is not installed")
    house.agent(program, program)
    for text, answer in ASKED[program].items():
        assert house.send(program, text) == answer, text
    assert house.synapse("stop", program).returncode == 0
    assert program not in house.names()


def test_a_prompt_that_a_command_changes_is_no_answer(house: House) -> None:
    house.agent("changed", "bash")
    for text, answer in {
        "PS1='new> '; echo a": "a",
        "PS1='(venv) % '": "MISSING_REPLY",
        "echo '100%'": "100%",
        "printf 'no end'": "no end",
        "true": "MISSING_REPLY",
    }.items():
        assert house.task(house.queue("changed", text))["answer"] == answer, text


@pytest.mark.skipif(sys.platform != "linux", reason="not run: only Linux tells that a program reads its terminal")
def test_what_a_command_asks_for_is_waited_for_and_work_is_not(house: House) -> None:
    house.agent("asked", "bash")
    task = house.queue("asked", "printf 'working '; sleep 1; read -p 'name? ' x; sleep 1; echo \"hi $x\"")
    house.becomes("asked", "PROCESSING")
    live = house.becomes("asked", "WAITING")
    assert (live["source"], live["question"]) == ("terminal", "working name?")
    [item] = house.ask("waiting")
    assert (item["kind"], item["what"]) == ("input", "working name?")
    assert house.task(task, "input-required")["state"] == "input-required"
    glass = house.attach("asked")
    glass.shows("name?")
    glass.type("Bob\r")
    assert house.becomes("asked", "PROCESSING")["source"] == "terminal"
    assert house.task(task)["answer"].endswith("hi Bob")
    glass.close()


def test_a_program_without_a_profile_gets_the_header_and_its_output_is_the_answer(house: House) -> None:
    house.agent("cat", "cat")
    assert house.send("cat", "hello").endswith("hello")
