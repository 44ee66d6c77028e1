"""Codex as it is, with a model of ours."""

import json

from tests.real import scenes
from tests.real.kit import RealHouse, house_of, real

pytestmark = real("codex")
house = house_of("codex")


def test_within_the_sandbox_it_is_told_to_leave_it(house: RealHouse) -> None:
    assert "Ask to run this outside of the sandbox" in house.send("bob", "RUNCMD synapse inbox")


def test_a_limit_that_it_runs_into_fails_the_task(house: RealHouse) -> None:
    told = scenes.ended(house, house.queue("bob", "LIMITED now"))
    assert (told["state"], told["answer"]) == ("failed", "exceeded retry limit, last status: 429 Too Many Requests")
    assert house.send("bob", "PING behind it") == "PONG behind"


def test_it_does_not_look_ready_while_a_long_answer_comes_in(house: RealHouse) -> None:
    assert house.send("bob", "SLOW 8 streamed").endswith("DONE streamed")


def test_a_pause_in_its_answer_is_no_end_though_its_hooks_are_silent() -> None:
    house = RealHouse("codex")
    try:
        house.real("bob", "-c", "features.hooks=false")
        for token in ("first", "second"):
            assert house.send("bob", f"PAUSES 3 {token}").endswith(f"DONE {token}")
        live = house.status("bob")["live"]
        assert (live["source"], live["silent"]) == ("osc7501", ["hook"])
    finally:
        house.close()


def test_a_pause_in_its_answer_is_no_end_though_it_is_known_by_its_screen_alone() -> None:
    house = RealHouse("codex")
    try:
        house.by_screen()
        house.real("bob", "-c", "tui.terminal_title=[]")  # else its spinner keeps its screen from settling
        for token in ("first", "second"):
            assert house.send("bob", f"PAUSES 3 {token}").endswith(f"DONE {token}")
            assert house.status("bob")["live"]["source"] == "screen"
    finally:
        house.close()


def test_nothing_of_ours_is_in_the_persons_settings(house: RealHouse) -> None:
    (settings,) = house.snapshot().values()
    own = settings.replace(b"screen_reader_detection_done = true\n", b"")  # it notes that by itself
    assert [own] == [*house.before.values()]
    assert not (house.repo / ".codex").exists()


def test_bare_uses_are_left_alone() -> None:
    house = RealHouse("codex")
    try:
        glass = house.seat("exec", "--skip-git-repo-check", "PING bare", ready=False)
        glass.expect("PONG bare")
        asked = json.dumps(house.stub.notes())
        assert "bare" in asked
    finally:
        house.close()
