"""Gemini CLI as it is, with a model of ours."""

from tests.real.kit import RealHouse, house_of, real

pytestmark = real("gemini")
house = house_of("gemini")


def test_nothing_of_ours_is_in_the_persons_settings(house: RealHouse) -> None:
    assert house.snapshot() == house.before
    assert not (house.repo / ".gemini").exists()
    assert not (house.home / ".gemini" / "policies").exists()
