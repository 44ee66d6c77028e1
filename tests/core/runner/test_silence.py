"""A program that works and writes nothing."""

from synapse.runner.profile import BUILT_IN, load
from synapse.runner.silence import Silence
from tests.core.runner.stage import Stage

BUSY = ("> ", "Working (1s - esc to interrupt)")
IDLE = ("> ", "demo - ? for help")


def test_a_program_that_works_and_writes_nothing_is_noticed_until_it_writes_again() -> None:
    stage = Stage(load(BUILT_IN / "demo.toml"))
    silence = Silence(stage.clock, stage.machine, after=60.0)  # type: ignore[arg-type]
    told: list[float] = []
    silence.on_change = lambda: told.append(silence.since)
    stage.machine.on_change = lambda before: silence.look()
    stage.redraws(*IDLE)
    stage.clock.go(100)
    assert told == []
    stage.redraws(*BUSY)
    began = stage.clock.time()
    stage.clock.go(30)
    stage.redraws(*BUSY)
    silence.output()
    stage.clock.go(59)
    assert told == []
    stage.clock.go(2)
    assert told == [silence.since]
    assert began + 29 <= silence.since <= began + 32
    stage.redraws(*BUSY)
    silence.output()
    assert told[-1] == 0.0
    stage.clock.go(61)
    assert told[-1] > 0.0
    stage.redraws(*IDLE)
    assert silence.since == 0.0
    stage.clock.go(20)
    assert stage.clock.waiting == 0
