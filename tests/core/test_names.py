"""Names: what is one, what is near one, and which is free."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse.errors import BadRequest
from synapse.names import LENGTH, RESERVED, check_name, fit, unused


@pytest.mark.parametrize("name", ["a", "0", "web-1", "my.app_2", "x" * LENGTH])
def test_a_name_is_itself(name: str) -> None:
    assert check_name(name) == name


def test_a_name_has_one_case() -> None:
    assert check_name("Claude-A") == "claude-a"


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "a\n", "ä", "ſ", "\u212a", "x" * (LENGTH + 1), "a\0"])
def test_other_texts_are_none(name: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        check_name(name)
    assert refusal.value.code == "bad_name"


@pytest.mark.parametrize("name", [*sorted(RESERVED), "ALL"])
def test_reserved_names_are_told_apart(name: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        check_name(name)
    assert refusal.value.code == "reserved_name"


@given(st.text(max_size=100))
def test_whatever_is_fitted_is_a_name(text: str) -> None:
    assert check_name(fit(text, "project"))


def test_fitting_keeps_what_it_can() -> None:
    assert fit("My Project (2)", "x") == "my-project-2"
    assert fit("日本", "project") == "project"
    assert fit("all", "x") == "x"


@given(st.sampled_from(["a", "x" * LENGTH]), st.integers(0, 12))
def test_an_unused_name_is_a_free_name(name: str, count: int) -> None:
    taken: set[str] = set()
    for _ in range(count):
        taken.add(unused(name, taken))
    assert len(taken) == count
    assert all(check_name(one) for one in taken)
