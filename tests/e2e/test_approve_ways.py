"""Dialogs are answered in each program's own way, seen step by step on the screen, and never twice."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents_kit import SOON, House
from tests.e2e.hubs import until

MENU = Path(__file__).with_name("menu.py")
PROFILE = r"""
command = [{python}, {menu}, {way}]
[status]
settle = 0.05
ready = ['^ready>']
waiting = ['^Allow it\?']
choice = '{choice}'
[approve]
by = "{by}"
{more}
"""
ROWS = r"^(?:> |  )(\d)\. (.+?)\s*$"
WAYS = {
    "down": (ROWS, "arrows", "marker = '^> '\nno = 'never'"),
    "across": (r"\b(once|always|never)\b", "arrows", "across = true\nno = 'never'"),
    "letters": (r"(\(\w\)\w+)", "letter", "enter = true\nno = 'ever'"),
    "keys": (ROWS, "keys", "yes = 'nothing is'\naccept = ['o']\ndecline = ['x']"),
    "digits": (ROWS, "digit", "yes = 'once'"),
    "deaf": (ROWS, "digit", "no = 'never'"),
    "torn": (ROWS, "digit", "yes = 'once'"),
}


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


def ask(house: House, way: str) -> dict[str, Any]:
    """What a program asks that was started in this way."""
    choice, by, more = WAYS[way]
    words = {"python": json.dumps(sys.executable), "menu": json.dumps(str(MENU)), "way": json.dumps(way)}
    house.profile(f"menu-{way}", PROFILE.format(choice=choice, by=by, more=more, **words))
    house.agent(way, f"menu-{way}", ready=False)
    return asked(house)


def asked(house: House) -> dict[str, Any]:
    found: list[dict[str, Any]] = until(house.waiting, SOON)
    return found[0]


def answers(house: House) -> list[str]:
    """What was answered, in order."""
    path = house.data / "answers"
    return path.read_text().split() if path.exists() else []


@pytest.mark.parametrize(
    ("way", "words", "answer"),
    [
        ("down", ["approve"], "once"),
        ("down", ["approve", "always"], "always"),
        ("down", ["reject"], "never"),
        ("across", ["approve", "always"], "always"),
        ("across", ["reject"], "never"),
        ("letters", ["approve"], "once"),
        ("letters", ["approve", "always"], "always"),
        ("letters", ["reject"], "never"),
        ("digits", ["approve", "2"], "always"),
        ("digits", ["reject"], "never"),
        ("keys", ["reject"], "never"),
    ],
)  # fmt: skip
def test_each_way_makes_the_choice_that_was_meant(house: House, way: str, words: list[str], answer: str) -> None:
    item = ask(house, way)
    said = house.synapse(words[0], item["id"], *words[1:])
    assert said.returncode == 0, said.stderr
    assert answers(house) == [answer]


def test_arrows_start_where_a_person_left_the_mark(house: House) -> None:
    item = ask(house, "down")
    glass = house.attach("down")
    glass.shows("> 1. once")
    for marked in ("> 2. always", "> 3. never"):
        glass.type("\x1b[B")
        glass.shows(marked)
    assert house.synapse("approve", item["id"], "2").returncode == 0
    assert answers(house) == ["always"]


def test_where_the_mark_cannot_be_seen_nothing_is_pressed_after_a_person_has_moved_it(house: House) -> None:
    item = ask(house, "across")
    glass = house.attach("across")
    glass.shows("once   always   never")
    glass.type("\x1b[C")
    until(lambda: house.status("across")["live"]["status"] == "WAITING")
    refused = house.synapse("approve", item["id"], "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stderr)["error"]["code"] == "unable"
    assert answers(house) == []
    assert asked(house)["id"] != item["id"]


def test_another_dialog_with_the_same_question_is_another_question(house: House) -> None:
    item = ask(house, "digits")
    glass = house.attach("digits")
    glass.shows("question 0")
    time.sleep(0.6)  # it is drawn
    glass.type("n")
    glass.shows("question 1")
    until(lambda: asked(house)["id"] != item["id"], SOON)
    late = house.synapse("approve", item["id"], "--json")
    assert json.loads(late.stderr)["error"]["code"] == "no_such_prompt"
    assert answers(house) == []
    assert house.synapse("approve", asked(house)["id"]).returncode == 0
    assert answers(house) == ["once"]


def test_a_dialog_that_does_not_react_is_told_and_gets_a_new_id(house: House) -> None:
    item = ask(house, "deaf")
    refused = house.synapse("approve", item["id"], "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stderr)["error"]["code"] == "unsure"
    again = asked(house)
    assert again["id"] != item["id"]
    assert again["choices"] == item["choices"]
    late = house.synapse("approve", item["id"], "--json")
    assert json.loads(late.stderr)["error"]["code"] == "answered_already"


def test_a_dialog_that_is_painted_in_pieces_is_one_question(house: House) -> None:
    item = ask(house, "torn")
    seen = []
    for _ in range(15):
        seen += [(waits["id"], waits["choices"]) for waits in house.ask("waiting")]
        time.sleep(0.05)
    assert {id for id, _ in seen} == {item["id"]}
    assert seen[-1][1] == ["1 once", "2 always", "3 never"]
    said = house.synapse("approve", item["id"], "2")
    assert said.returncode == 0, said.stderr
    assert answers(house) == ["always"]


def test_without_a_way_in_the_profile_the_person_is_sent_to_the_terminal(house: House) -> None:
    house.profile("mute", f"command = [{json.dumps(sys.executable)}, {json.dumps(str(MENU))}, 'digits']\n[status]\n"
                  f"ready = ['^ready>']\nwaiting = ['^Allow it']\nchoice = '{ROWS}'\n")  # fmt: skip
    house.agent("mute", "mute", ready=False)
    refused = house.synapse("approve", asked(house)["id"])
    assert refused.returncode == 1
    assert "synapse attach mute" in refused.stderr


def test_each_of_several_questions_is_answered_by_its_own_id_only(house: House) -> None:
    seen = []
    item = ask(house, "digits")
    for number in range(3):
        assert house.synapse("approve", item["id"], str(number + 1)).returncode == 0
        seen.append(item["id"])
        until(lambda number=number: len(answers(house)) == number + 1)  # type: ignore[misc]
        if number < 2:
            glass = house.attach("digits")
            glass.shows("ready>")
            glass.type(" ")
            item = asked(house)
            glass.close()
    assert answers(house) == ["once", "always", "never"]
    assert len(set(seen)) == 3


def test_the_same_question_again_has_another_id_also_where_nothing_tells_what_was_between(house: House) -> None:
    choice, by, more = WAYS["digits"]
    words = {"python": json.dumps(sys.executable), "menu": json.dumps(str(MENU)), "way": '"digits"'}
    text = PROFILE.format(choice=choice, by=by, more=more, **words).replace("^ready>", "^nobody says this")
    house.profile("dumb", text)
    house.agent("dumb", "dumb", ready=False)
    first = asked(house)
    assert house.synapse("approve", first["id"]).returncode == 0
    assert house.ask("waiting") == []
    glass = house.attach("dumb")
    glass.shows("ready>")
    glass.type(" ")
    assert asked(house)["id"] != first["id"]


def test_a_rule_presses_once_what_does_not_react_and_then_leaves_it_to_the_person(house: House) -> None:
    settings = house.data / ".config" / "synapse" / "settings.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("[approvals]\nmode = 'deny-list'\n")
    choice, by, more = WAYS["deaf"]
    words = {"python": json.dumps(sys.executable), "menu": json.dumps(str(MENU)), "way": '"deaf"'}
    house.profile("deaf", PROFILE.format(choice=choice, by=by, more=f"{more}\ncommand = '^(question \\d)'", **words))
    house.agent("deaf", "deaf", ready=False)
    until(lambda: any(event["kind"] == "prompts.closed" for event in house.events()), SOON)
    [closed] = [event["body"] for event in house.events() if event["kind"] == "prompts.closed"]
    assert closed["outcome"] == "unsure"
    again = asked(house)
    assert again["command"] == "question 0"
    time.sleep(1.0)
    assert [event["kind"] for event in house.events()].count("prompts.answered") == 1
    assert asked(house)["id"] == again["id"]
