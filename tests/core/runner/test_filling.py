"""Placeholders: values in their places, other braces as they are."""

from synapse.runner.filling import fill, where

VALUES = {"folder": '/a "b"', "session": "0123456789", "hook_list": '"a", "b"'}


def test_a_name_in_braces_is_its_value_and_other_braces_stay() -> None:
    assert fill("{folder}/x {other} {} {folder", VALUES) == '/a "b"/x {other} {} {folder'


def test_the_first_characters_of_a_value_can_be_had() -> None:
    assert fill("{session:4}-{session:99}-{other:4}", VALUES) == "0123-0123456789-{other:4}"


def test_within_quotes_a_value_is_written_as_json_but_a_list_stays_one() -> None:
    assert fill("{folder:4} {hook_list}", VALUES, quoted=True) == '/a \\" "a", "b"'


def test_the_first_place_that_is_set_counts() -> None:
    places = "$TOOL_HOME/x/y|$OTHER|/usual/$TOOL_HOME"
    assert where(places, {"TOOL_HOME": "/mine", "OTHER": "/other"}) == "/mine/x/y"
    assert where(places, {"TOOL_HOME": "", "OTHER": "/other"}) == "/other"
    assert where(places, {}) == "/usual/$TOOL_HOME"
    assert where("$OTHER", {}) == ""
