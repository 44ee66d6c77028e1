"""The long runs of every program at narrow, usual and wide screens, beside a busy process, from its cold start on: they run
where `SYNAPSE_REAL_COUNT` says how many texts, `-k NAME` for one program."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.hubs import until
from tests.real import scenes
from tests.real.kit import COUNT, RealHouse, real
from tests.real.programs import PROGRAMS

COLD_STARTS = 5

pytestmark = [
    pytest.mark.skipif(not COUNT, reason="not run: SYNAPSE_REAL_COUNT says how many texts"),
    pytest.mark.timeout(2400),
]


@pytest.fixture
def busy() -> Iterator[None]:
    """Another process that takes a processor."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"], stdin=subprocess.DEVNULL)
    yield
    process.kill()
    process.wait()


@pytest.mark.parametrize("columns", [60, 120, 200])
@pytest.mark.parametrize("name", [pytest.param(name, marks=real(name)[::2]) for name in PROGRAMS])
def test_hundreds_of_texts_arrive(name: str, columns: int, busy: None) -> None:
    house, kinds = RealHouse(name), (*scenes.LOOK_ALIKES, *scenes.LARGE)
    house.env["SYNAPSE_LONG_MESSAGE_THRESHOLD"] = "6000"
    try:
        house.seat(columns=columns, ready=False)
        until(lambda: "bob" in house.names(), 30)
        texts = tuple(kinds[number % len(kinds)] for number in range(COUNT))
        cold = house.queue("bob", f"{texts[0]}\nPING cold")
        assert scenes.ended(house, cold, 150)["answer"] == "PONG cold"
        assert len(house.stub.asked("PING cold")) == 1
        scenes.delivered(house, texts, f"w{columns}")
        scenes.burst(house, f"w{columns}", 10)
    finally:
        house.close()


@pytest.mark.parametrize("name", [pytest.param(name, marks=real(name)[::2]) for name in PROGRAMS])
def test_what_comes_while_it_still_starts_arrives_beside_a_busy_process(name: str, busy: None) -> None:
    for start in range(COLD_STARTS):
        house = RealHouse(name)
        try:
            house.seat(columns=(60, 120, 200)[start % 3], ready=False)
            until(lambda: "bob" in house.names(), 30)  # noqa: B023 (it is asked at once)
            texts = [scenes.LOOK_ALIKES[(3 * start + number) % len(scenes.LOOK_ALIKES)] for number in range(3)]
            tasks = [house.queue("bob", f"{text}\nPING cold{number}") for number, text in enumerate(texts)]
            for number, task in enumerate(tasks):
                told = scenes.ended(house, task, 150)
                assert (told["state"], told["answer"]) == ("completed", f"PONG cold{number}"), (start, told)
                (asked,) = house.stub.asked(f"PING cold{number}")
                wanted = scenes.plain(f"{texts[number]}\nPING cold{number}").strip()
                assert scenes.same(asked.partition("[REPLY EXPECTED] ")[2].strip(), wanted), asked
        finally:
            house.close()
