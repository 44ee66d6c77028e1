"""Events in a person's words."""

from typing import Any

import pytest

from synapse.cli.wording import Names, line, message, told
from synapse.hub.facts import CORE


def event(kind: str, **body: Any) -> dict[str, object]:
    return {
        "position": 7,
        "index": 0,
        "at": 1.0,
        "kind": kind,
        "by": "a-1",
        "workspace": "w",
        "story": "s",
        "body": body,
    }


NAMES = Names([{"key": "a-1", "name": "alice"}, {"key": "a-2", "name": "bob"}])


@pytest.mark.parametrize("fact", CORE, ids=lambda fact: str(fact.kind))
def test_every_kind_has_words_whatever_fields_are_left_out(fact: Any) -> None:
    """What has a default may be missing in a stored event; what has none is always there."""
    fields = dict(zip(fact.__struct_fields__[::-1], fact.__struct_defaults__[::-1], strict=False))
    body = {name: ("a-2",) if name == "to" else "a-2" for name in fact.__struct_fields__ if name not in fields}
    shown = line(event(fact.kind, **body), NAMES)
    assert "alice" in shown
    assert shown.endswith("\n")
    assert shown.count("\n") == 1
    assert "{" not in shown or fact.kind in ("cursors.moved", "log.forgotten", "log.redacted")


@pytest.mark.parametrize(
    "kind", ["messages.sent", "tasks.failed", "agents.joined", "agents.left", "hub.started", "a.b"]
)
def test_a_blanked_event_is_still_told(kind: str) -> None:
    assert told(event(kind), NAMES) == ""


def test_a_message_is_told_with_names_and_its_text_before_its_id() -> None:
    sent = event(
        "messages.sent", id="m-1", to=["a-2", "w/carol"], sender="w/alice", role="note", text="one\ntwo\x1b[2J"
    )
    assert line(sent, NAMES).rstrip().endswith("note to bob, carol: one two[2J (m-1)")
    assert message(sent, NAMES).endswith(" alice to bob, carol: one\n    two[2J\n")


def test_a_name_is_learned_from_the_event_that_gives_it() -> None:
    names = Names()
    assert names.of("a-01M7XRNT1639TSNFRAC8H5PCVQ") == "a-…PCVQ"
    names.learn(event("agents.joined", key="a-01M7XRNT1639TSNFRAC8H5PCVQ", name="dora", type="client"))
    assert names.of("a-01M7XRNT1639TSNFRAC8H5PCVQ") == "dora"
    assert (names.of("w/carol"), names.of("hub"), names.of("")) == ("carol", "hub", "")
