"""Errors: a code for programs, a sentence for people, a status for HTTP."""

import pytest

from synapse.errors import BadRequest, NotFound, Refused, SynapseError, Unavailable


@pytest.mark.parametrize(("kind", "status"), [(BadRequest, 400), (NotFound, 404), (Refused, 409), (Unavailable, 503)])
def test_each_error_has_its_status(kind: type[SynapseError], status: int) -> None:
    error = kind("some_code", "What to do next.", holder="bob")
    assert (error.code, error.sentence, error.status) == ("some_code", "What to do next.", status)
    assert error.details == {"holder": "bob"}
    assert str(error) == "What to do next."


def test_any_other_error_that_is_shown_is_the_hubs_own_fault() -> None:
    assert SynapseError("internal_error", "A bug.").status == 500
