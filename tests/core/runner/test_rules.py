"""What a program reports, understood by the rules of its profile."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse.errors import BadRequest
from synapse.runner import picking
from synapse.runner.profile import Profile, load
from synapse.runner.rules import Hearing, Told
from synapse.runner.terminal import Signal

REPORTED = """
[session]
id = "session_id"
file = "transcript_path"

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
event = "Note"
when = { kind = ["permission", "question"], agent = { absent = true }, "tool.name" = { match = "^Ba" } }
status = "WAITING"
question = "message"
choices = "options.label"

[[signal]]
from = "hook"
event = "Stop"
status = "READY"
answer = "last"
usage = { input = "usage.in", output = "usage.out" }

[[signal]]
from = "title"
match = '^! (?P<what>.+)'
status = "WAITING"
question = "what"
"""

FIELDS = [
    "session_id",
    "transcript_path",
    "prompt",
    "kind",
    "tool",
    "name",
    "message",
    "options",
    "label",
    "last",
    "usage",
    "in",
    "out",
]


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return made(tmp_path, REPORTED)


@pytest.fixture
def hearing(profile: Profile) -> Hearing:
    return Hearing(profile.heeded, profile.session)


def made(folder: Path, text: str) -> Profile:
    (folder / "told.toml").write_text(text)
    return load(folder / "told.toml")


def test_paths_lead_to_values() -> None:
    value = {"a": {"b": [{"t": "x", "v": "1"}, {"t": "y", "v": "2"}, {"t": "x", "v": "3"}]}, "n": [[1], [2]], "z": None}
    assert picking.pick(value, "a.b.v") == ["1", "2", "3"]
    assert picking.pick(value, "a.b[t=x].v") == ["1", "3"]
    assert picking.pick(value, "a.b.1.v") == ["2"]
    assert picking.pick(value, "a.c") == picking.pick(value, "z") == picking.pick("text", "a") == []
    assert picking.text(value, "a.b[t=x].v", "-") == "1-3"
    assert picking.text({"m": ["one", "two"]}, "m") == "one\ntwo"
    assert (picking.number({"n": 3}, "n"), picking.number({"n": "3"}, "n"), picking.number({"n": True}, "n")) == (
        3,
        None,
        None,
    )


def test_an_end_brings_its_answer_and_its_tokens(hearing: Hearing) -> None:
    fields: dict[str, Any] = {
        "session_id": "s",
        "transcript_path": "/t",
        "last": "fine\n```\nx\n```",
        "usage": {"in": 3, "out": 4},
    }
    told = hearing.report("hook", "Stop", fields)
    assert told == [Told("hook", "Stop", "READY", answer="fine\n```\nx\n```", usage={"input": 3, "output": 4})]
    assert (told[0].label, hearing.session, hearing.file) == ("hook Stop", "s", "/t")


def test_all_conditions_of_a_rule_must_hold(hearing: Hearing) -> None:
    fields = {
        "kind": "question",
        "tool": {"name": "Bash"},
        "message": "Well?",
        "options": [{"label": "a"}, {"label": "b"}],
    }
    assert hearing.report("hook", "Note", fields) == [
        Told("hook", "Note", "WAITING", question="Well?", choices=("a", "b"))
    ]
    for other in ({"kind": "idle"}, {"agent": "sub"}, {"tool": {"name": "Read"}}):
        assert hearing.report("hook", "Note", {**fields, **other}) == []
    assert hearing.report("hook", "Unheard", fields) == []


def test_what_a_terminal_is_told_gives_its_named_groups(hearing: Hearing) -> None:
    assert hearing.terminal(Signal("title", "! Delete it?")) == [Told("title", "", "WAITING", question="Delete it?")]
    assert hearing.terminal(Signal("title", "at rest")) == []
    assert hearing.terminal(Signal("osc7501", "state=idle:app=x")) == [Told("osc7501", "", "READY")]


def test_reports_of_other_sessions_do_not_count(hearing: Hearing) -> None:
    assert hearing.report("hook", "Begin", {"session_id": "own"})
    assert hearing.report("hook", "Stop", {"session_id": "title", "last": "A title"}) == []
    assert hearing.report("hook", "Stop", {"session_id": "own"})
    assert hearing.report("hook", "Begin", {"session_id": "cleared"})
    assert hearing.report("hook", "Stop", {"session_id": "own"}) == []
    assert hearing.session == "cleared"


def test_a_session_that_begins_while_the_agents_own_works_is_another_copys(hearing: Hearing) -> None:
    hearing.report("hook", "Begin", {"session_id": "own"})
    hearing.report("hook", "Submit", {"session_id": "own", "prompt": "run it"})
    for event in ("Begin", "Submit", "Stop"):
        assert hearing.report("hook", event, {"session_id": "copy", "prompt": "run it"}) == []
    assert hearing.session == "own"
    assert hearing.report("hook", "Stop", {"session_id": "own"})
    assert hearing.report("hook", "Begin", {"session_id": "next"})
    hearing.report("hook", "Submit", {"session_id": "next", "prompt": "interrupted: no end is told"})
    hearing.rested()
    assert hearing.report("hook", "Begin", {"session_id": "last"})
    assert hearing.session == "last"


def test_a_session_is_the_agents_own_when_it_quotes_what_was_typed(hearing: Hearing) -> None:
    hearing.typed("A2A: [From: bob] please  do\nthis now")
    assert hearing.report("hook", "Submit", {"session_id": "title", "prompt": "Write a title for it"}) == []
    assert hearing.report("hook", "Submit", {"session_id": "own", "prompt": "A2A: [From: bob] please do\nthis now"})
    assert hearing.report("hook", "Stop", {"session_id": "title"}) == []
    assert hearing.report("hook", "Submit", {"session_id": "own", "prompt": "a person's"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(["Begin", "Submit", "Note", "Stop"]), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6))
def test_whatever_is_reported_is_understood_or_passed_over(event: str, fields: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        profile = made(Path(folder), REPORTED)
    hearing = Hearing(profile.heeded, profile.session)
    hearing.typed("what was typed")
    for told in hearing.report("hook", event, fields):
        assert told.status in ("", "READY", "PROCESSING", "WAITING")
        assert isinstance(told.answer, str)
        assert all(isinstance(count, int) for count in told.usage.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[signal]]\nevent = 'x'", "'signal' needs the key 'from'"),
        ("[[signal]]\nfrom = 'hook'\ncolour = 1", "unknown key 'signal.colour'"),
        ("[[signal]]\nfrom = 'smoke'", "'smoke' is no source"),
        ("[[signal]]\nfrom = 'hook'\nstatus = 'BUSY'", "'signal.status' is 'BUSY'"),
        ("[[signal]]\nfrom = 'hook'\nwhen = { a = { like = 'x' } }", "'signal.when.a' takes"),
        ("[[signal]]\nfrom = 'title'\nmatch = '('", "'signal.match'"),
        ("[[signal]]\nfrom = 'hook'\ntakes = 'yes'", "'signal.takes' is 'yes'"),
        ("trust = ['stars']", "'stars' is no source"),
        ("[answer]\nfrom = ['dreams']", "'answer.from' names 'dreams'"),
        ("[answer.record]\nlines = {}", "'answer.record' needs the key 'text'"),
        ("[start]\nargs = 'x'", "'start.args'"),
        ("[start.files.x]\nmode = 7", "unknown key 'start.files.x.mode'"),
        ("[stream.s]\nevent = 'x'", "stream"),
    ],
)
def test_what_is_wrong_in_a_rule_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        made(tmp_path, text)
    assert said in refused.value.sentence
