"""What a person reads of the things that wait."""

from synapse.hub.attention import Item
from synapse.hub.notices import LONGEST, Notice, command, notices


def item(agent: str, what: str = "Which one?", kind: str = "question", workspace: str = "w") -> Item:
    return Item(id="t-1", agent=agent, kind=kind, what=what, since=1.0, workspace=workspace)


def test_a_notice_says_workspace_agent_and_reason() -> None:
    assert notices([(item("bob"), "a-1")]) == [Notice("w/bob", "asks you: Which one?", "a-1")]
    assert notices([(item("pat", workspace=""), "")])[0].title == "pat"


def test_many_are_one_notice_with_the_names() -> None:
    [one] = notices([(item(name), "a-1") for name in ("bob", "ann", "bob", "cid")])
    assert one == Notice("4 things wait for you", "w/bob, w/ann, w/cid: synapse waiting")


def test_nothing_in_a_text_is_more_than_text() -> None:
    [one] = notices([(item("bob", what="a\x1b]9;b\x07\n\u202ec\x9b2J" + "x" * 500), "a-1")])
    assert one.text.isprintable()
    assert len(one.text) == LONGEST
    assert command("/usr/bin/notify-send", Notice("-t", "<b>&"))[-3:] == ["--", "-t", "&lt;b&gt;&amp;"]
