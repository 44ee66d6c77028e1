"""Verbs are declared once, and read their requests strictly."""

import pytest

from synapse.errors import BadRequest, NotFound
from synapse.hub.core import VERBS
from synapse.hub.joining import Nothing
from synapse.verb import (
    Change,
    Pending,
    Permission,
    Reply,
    Request,
    Shape,
    Verb,
    Verbs,
    Wait,
    change,
    query,
    read,
    wait,
)


class Ask(Change, kw_only=True):
    what: str
    often: int = 1


@change("things.ask")
def ask(call: object, request: Ask) -> Nothing:
    """Ask for a thing.

    More of what nobody needs in a summary.
    """
    return Nothing()


def test_a_declaration_says_all_that_a_face_needs() -> None:
    assert (ask.name, ask.shape, ask.permission) == ("things.ask", Shape.CHANGE, Permission.WRITE)
    assert (ask.request, ask.reply, ask.summary) == (Ask, Nothing, "Ask for a thing.")


def test_a_verb_without_a_sentence_is_refused() -> None:
    with pytest.raises(ValueError, match=r"things\.bare"):

        @read("things.bare")
        def bare(call: object, request: Request) -> Nothing:
            return Nothing()


@pytest.mark.parametrize(
    ("params", "says"),
    [
        (b"[]", "array"),
        (b"{}", "what"),
        (b'{"what":1}', "what"),
        (b'{"what":"x","often":"1"}', "often"),
        (b'{"what":"x","often":1.5}', "often"),
        (b'{"what":"x","oftn":1}', "oftn"),
        (b"null", "null"),
    ],
)
def test_a_request_of_the_wrong_shape_is_refused_and_says_where(params: bytes, says: str) -> None:
    with pytest.raises(BadRequest, match=says) as refusal:
        ask.parse(params)
    assert refusal.value.code == "bad_request"


NOT_JSON = (
    b"", b"{", b'{"what":NaN}', b'{"what":"\xff"}', b'{"what":"x","often":1e999}', b'{"what":"\\ud800"}', b"{'what'}",
    b'{"what":' + b"[" * 100_000,
)  # fmt: skip


@pytest.mark.parametrize("params", NOT_JSON, ids=range(len(NOT_JSON)))
def test_what_is_not_json_is_one_refusal(params: bytes) -> None:
    with pytest.raises(BadRequest):
        ask.parse(params)


def test_idem_key_is_a_synonym() -> None:
    for name in ("idempotency_key", "idem_key"):
        request = ask.parse(b'{"what":"x","%s":"k"}' % name.encode())
        assert isinstance(request, Ask)
        assert "k" in (request.idempotency_key, request.idem_key)


def test_an_unknown_verb_names_the_nearest_and_an_internal_one_is_unknown() -> None:
    verbs = Verbs(*VERBS)
    with pytest.raises(NotFound, match=r"messages\.send"):
        verbs.get("message.send")
    with pytest.raises(NotFound):
        verbs.get("agents.admit")
    with pytest.raises(NotFound) as refused:
        verbs.get("agents.admits")
    assert "agents.admit " not in refused.value.sentence
    assert verbs.get("messages.send").name == "messages.send"


def test_a_name_is_declared_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        Verbs(ask, ask)


def test_pending_says_so() -> None:
    import msgspec

    assert msgspec.json.encode(Pending()) == b'{"pending":true}'


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_each_verb_of_the_core_is_whole(verb: Verb) -> None:
    area, _, word = verb.name.partition(".")
    assert area.isidentifier()
    assert word.isidentifier()
    assert verb.summary.endswith(".")
    kind = {Shape.CHANGE: Change, Shape.WAIT: Wait}.get(verb.shape)
    assert kind is None or issubclass(verb.request, kind)
    assert (verb.watches is not None) == (verb.shape is Shape.WAIT)
    assert not verb.spill or {verb.spill, "blob"} <= set(verb.request.__struct_fields__)


def test_queries_and_waits_know_their_replies() -> None:
    from collections.abc import Callable

    @query("things.list")
    def listing(call: object, request: Request) -> Callable[[object], Reply]:
        """List things."""
        return lambda log: Reply()

    @wait("things.next", watches=lambda call, request: ())
    def next_thing(call: object, request: Wait) -> Reply | None:
        """Wait for a thing."""
        return None

    assert listing.reply is Reply
    assert next_thing.reply == Reply | None
