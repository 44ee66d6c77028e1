"""Aider as it is, with a model of ours."""

from typing import Any

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import RealHouse, house_of, real
from tests.real.stub_llm import TEXTS

pytestmark = real("aider")
house = house_of("aider")


def waits_for(house: RealHouse, question: str) -> dict[str, Any]:
    """What stands among what waits, once that is asked."""
    found = until(lambda: [one for one in house.waiting() if question in one["what"]], 20)
    waits: dict[str, Any] = found[0]
    return waits


def test_a_long_message_is_typed_whole_for_its_model_opens_no_files(house: RealHouse) -> None:
    text = "\n".join(f"{number:4} of a long text: the quick brown fox" for number in range(500))
    scenes.delivered(house, (text,), "long")


def test_a_command_that_it_suggests_is_run_when_somebody_says_so(house: RealHouse) -> None:
    task = house.queue("bob", "RUNCMD echo a-word | tee made.txt")
    waits = waits_for(house, "Run shell command?")
    assert waits["command"] == "echo a-word | tee made.txt"
    assert waits["choices"] == ["(Y)es", "(N)o", "(D)on't ask again"]
    assert house.synapse("approve", waits["id"]).returncode == 0
    waits = waits_for(house, "Add command output to the chat?")
    assert house.synapse("reject", waits["id"]).returncode == 0
    assert scenes.ended(house, task)["state"] == "completed"
    assert (house.repo / "made.txt").read_text() == "a-word\n"


def test_a_command_that_is_rejected_is_not_run(house: RealHouse) -> None:
    task = house.queue("bob", f"RUNCMD touch {house.repo}/never.txt")
    waits = waits_for(house, "Run shell command?")
    assert house.synapse("reject", waits["id"]).returncode == 0
    assert scenes.ended(house, task)["state"] == "completed"
    assert not (house.repo / "never.txt").exists()


def test_it_replies_by_a_command_once_a_person_allows_that(house: RealHouse) -> None:
    task = house.queue("bob", "RUNCMD synapse reply 'of its own'")
    waits = waits_for(house, "Run shell command?")
    assert house.synapse("approve", waits["id"]).returncode == 0
    assert scenes.ended(house, task)["answer"] == "of its own"
    house.synapse("reject", waits_for(house, "Add command output")["id"])
    house.becomes("bob", "READY")


def test_the_persons_settings_stay_as_they_are(house: RealHouse) -> None:
    assert house.snapshot() == house.before


def test_who_has_a_history_of_their_own_keeps_it_and_is_read_from_the_screen() -> None:
    house = RealHouse("aider")
    try:
        settings = house.home / ".aider.conf.yml"
        settings.write_text(f"{settings.read_text()}llm-history-file: {house.place}/mine.txt\n")
        house.real()
        for kind in ("short", "error"):
            told = scenes.ended(house, house.queue("bob", f"TEXT {kind}"))
            assert (told["state"], told["source"]) == ("completed", "screen")
            assert told["answer"].split()[:6] == TEXTS[kind].split()[:6]
            assert "Tokens:" not in told["answer"]
            assert "A2A" not in told["answer"]
        assert "ASSISTANT Forty-two." in (house.place / "mine.txt").read_text()
    finally:
        house.close()
