"""Events: what is written is read again, whatever kind it is."""

from typing import ClassVar

import pytest
from msgspec import Raw

from synapse.event import Event, Fact, Kinds, encode
from synapse.hub.facts import CORE, Sent


class Happened(Fact, frozen=True):
    kind: ClassVar[str] = "things.happened"
    what: str
    how: str = ""


def test_a_body_is_read_as_it_was_written() -> None:
    body = Happened(what="ä", how="so")
    assert Kinds(Happened).decode("things.happened", encode(body)) == body


def test_defaults_are_not_stored_and_unknown_fields_are_skipped() -> None:
    assert encode(Happened(what="x")) == b'{"what":"x"}'
    assert Kinds(Happened).decode("things.happened", b'{"what":"x","later":1}') == Happened(what="x")


def test_an_unknown_kind_keeps_its_bytes() -> None:
    raw = Kinds().decode("others.happened", b'{"a":1}')
    assert isinstance(raw, Raw)
    assert encode(raw) == b'{"a":1}'


def test_a_kind_is_declared_once_and_never_without_a_name() -> None:
    with pytest.raises(ValueError, match=r"things\.happened"):
        Kinds(Happened, Happened)
    with pytest.raises(ValueError, match="missing"):
        Kinds(Fact)
    assert set(Kinds(*CORE)) == set(CORE)


def test_an_event_is_addressed_by_position_and_index() -> None:
    assert Event(7, 2, 0.0, "k", "a", "w", "s", None).address == "7.2"


def test_a_message_concerns_its_addressees_and_its_author() -> None:
    assert Sent(id="m", to=("w/a", "w/b"), sender="w/c").parties == ("w/a", "w/b", "w/c")
