"""Notices for terminals."""

from synapse.runner.notice import notice


def test_each_way_has_its_sequence() -> None:
    told = {"title": "w/bob", "text": "asks you: a;b"}
    assert notice({**told, "way": "osc9"}) == b"\x1b]9;w/bob asks you: a;b\x07"
    assert notice({**told, "title": "w;x", "way": "osc777"}) == b"\x1b]777;notify;w,x;asks you: a;b\x07"


def test_a_text_cannot_end_the_sequence() -> None:
    assert notice({"title": "\x1b[2J", "text": "a\x07b\x1b\\c\n" + "x" * 999, "way": "osc9"}).count(b"\x1b") == 1
    assert notice({}) == b"\x1b]9; \x07"
