"""Interpreters at their prompts: what is sent is their input, and what they print is the answer."""

import shutil
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.agents_kit import House, gate
from tests.e2e.hubs import until

ASKED = {
    "python3": {
        "1+1": "2",
        "def f():\n    return 42\n\nf()": "42",
        "print('a\\n\\nb')": "a\n\nb",
        "for i in range(2): print(i)": "0\n1",
        "print('no end', end='')\nprint('then')\nimport time; time.sleep(1)\nprint(2)": "no end\nthen\n2",
        "\n".join(f"v{number} = {number} * 2  # {'x' * 60}" for number in range(60)) + "\nv59": "118",
        f"len('{'a' * 4800}')": "4800",
        "'é漢🎉'": "'é漢🎉'",
        "1/0": "Traceback (most recent call last):\n"
        '  File "<stdin>", line 1, in <module>\nZeroDivisionError: division by zero',
    },
    "bash": {
        "echo hi": "hi",
        "for i in 1 2; do\necho $i\ndone": "1\n2",
        "seq 1 100": "\n".join(map(str, range(1, 101))),
        "cat <<'E'\n" + "\n".join(map(str, range(100))) + "\nE": "\n".join(map(str, range(100))),
        f"echo {'a' * 4800} | wc -c": "4801",
        "echo 'é漢🎉'\nprintf 'no end'": "é漢🎉\nno end",
    },
    "dash": {"echo hi": "hi", "for i in 1 2; do\necho $i\ndone": "1\n2"},
    "sqlite3": {
        "select 1+1;": "2",
        "create table t(a);\ninsert into t values(1),(2);\nselect * from t;": "1\n2",
        "\n".join(f"insert into t values({number});" for number in range(60)) + "\nselect count(*) from t;": "62",
        "select 'é漢🎉';\nselect 2;": "é漢🎉\n2",
        f"select length('{'a' * 4800}');": "4800",
    },
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
    go, on = house.data / "go", house.data / "on"
    task = house.queue("asked", f"printf 'working '; {gate(go)}; read -p 'name? ' x; {gate(on)}; echo \"hi $x\"")
    house.becomes("asked", "PROCESSING")
    go.touch()
    live = house.becomes("asked", "WAITING")
    assert (live["source"], live["question"]) == ("terminal", "working name?")
    [item] = house.ask("waiting")
    assert (item["kind"], item["what"]) == ("input", "working name?")
    assert house.task(task, "input-required")["state"] == "input-required"
    glass = house.attach("asked")
    glass.shows("name?")
    glass.type("Bob\r")
    assert house.becomes("asked", "PROCESSING")["source"] == "terminal"
    on.touch()
    assert house.task(task)["answer"].endswith("hi Bob")
    glass.close()


def test_what_an_interpreter_asks_for_is_waited_for_and_nothing_else_is_typed_there(house: House) -> None:
    house.agent("asking", "python3")
    asks = house.queue("asking", "name = input('Name? '); print('hi', name)")
    live = house.becomes("asking", "WAITING")
    assert (live["source"], live["question"]) == ("terminal", "Name?")
    assert house.task(asks, "input-required")["state"] == "input-required"
    behind = house.queue("asking", "1+1")
    glass = house.attach("asking")
    glass.shows("Name?")
    glass.type("Bob\r")
    assert house.task(asks)["answer"] == "Name? Bob\nhi Bob"
    assert house.task(behind)["answer"] == "2"
    glass.close()


@pytest.mark.parametrize(
    ("program", "begun", "asked", "whole", "answer"),
    [
        ("python3", "x = (1,", "...", "78", "78"),
        ("bash", "echo 'begun", ">", "echo 7", "7"),
        ("sqlite3", "select 1,", "...>", "select 7;", "7"),
    ],
)
def test_what_is_left_open_waits_for_its_rest_and_an_interrupt_ends_it(
    house: House, program: str, begun: str, asked: str, whole: str, answer: str
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"not run: {program} is not installed")
    house.agent(f"open-{program}", program)
    task = house.queue(f"open-{program}", begun)
    assert house.becomes(f"open-{program}", "WAITING")["question"] == asked
    done = house.synapse("interrupt", f"open-{program}", whole, "--wait")
    assert (done.returncode, done.stdout) == (0, f"{answer}\n"), done.stderr
    assert house.task(task)["state"] == "canceled"


@pytest.mark.parametrize(
    ("program", "work", "answer"),
    [
        ("python3", "import time; time.sleep(60)", "2"),
        ("sqlite3", "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n;", "2"),
    ],
)
def test_an_interpreter_is_interrupted_in_its_own_way(house: House, program: str, work: str, answer: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"not run: {program} is not installed")
    house.agent(f"busy-{program}", program)
    task = house.queue(f"busy-{program}", work)
    house.becomes(f"busy-{program}", "PROCESSING")
    next_ = {"python3": "1+1", "sqlite3": "select 2;"}[program]
    done = house.synapse("interrupt", f"busy-{program}", next_, "--wait")
    assert (done.returncode, done.stdout) == (0, f"{answer}\n"), done.stderr
    assert house.task(task)["state"] == "canceled"


@pytest.mark.parametrize("program", ["python3", "bash"])
def test_a_persons_draft_holds_a_message_back_until_it_is_gone(house: House, program: str) -> None:
    house.agent(f"held-{program}", program, *(["--norc"] if program == "bash" else []))
    glass = house.attach(f"held-{program}", columns=40)
    glass.shows(">>>" if program == "python3" else "$")
    for draft in ("1234", "1" * 60):
        glass.type(draft)
        glass.shows(draft[-4:])
        task = house.queue(f"held-{program}", "1+1" if program == "python3" else "echo 2")
        until(lambda: house.status(f"held-{program}")["live"].get("holding"))
        glass.type(b"\x7f" * len(draft))
        assert house.task(task)["answer"] == "2"
    glass.close()


def test_a_program_without_a_profile_gets_the_header_and_its_output_is_the_answer(house: House) -> None:
    house.agent("cat", "cat")
    assert house.send("cat", "hello").endswith("hello")
