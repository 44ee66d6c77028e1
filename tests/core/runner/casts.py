"""Recordings of the real programs (asciicast v2), played to the status machine; `python -m tests.core.runner.casts`
writes down anew what it said (`tests/screens/*.status`): look at the difference before you keep it."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from synapse.runner.profile import BUILT_IN, Profile, load
from synapse.runner.status import Question
from tests.core.runner.stage import Stage

SCREENS = Path(__file__).parents[2] / "screens"
PROGRAMS = ("aider", "claude", "codex", "copilot", "gemini", "opencode", "qwen")
READERS = ("bash", "python3", "sqlite3")  # line readers of which nothing is known
NAMES = sorted(path.name.partition(".")[0] for path in SCREENS.glob("*.cast*"))


@dataclass(frozen=True)
class Cast:
    """One recording: output (`o`), marks (`m`: what was done then) and the terminal's modes (`x`), in seconds."""

    name: str
    columns: int
    rows: int
    events: tuple[tuple[float, str, str], ...]

    @property
    def program(self) -> str:
        return self.name.partition("-")[0]


@dataclass(frozen=True)
class Moment:
    """The status from a time on."""

    at: float
    status: str
    source: str
    question: Question | None
    screen: tuple[str, ...] = field(default=(), compare=False)  # its lines then

    def __str__(self) -> str:
        told = [f"{self.at:8.1f} {self.status:12} {self.source}"]
        if self.question is not None:
            told += [f"           | {line}".rstrip() for line in self.question.text.split("\n")]
            told += [f"           - {choice}" for choice in self.question.choices]
        return "\n".join(told)


@dataclass
class Replay:
    """What was said of a recording; `marks` are times from its beginning."""

    stage: Stage
    moments: list[Moment] = field(default_factory=list)
    marks: list[tuple[float, str]] = field(default_factory=list)

    @property
    def statuses(self) -> list[str]:
        """Each once, in a row."""
        told = [moment.status for moment in self.moments]
        return [status for place, status in enumerate(told) if place == 0 or told[place - 1] != status]

    @property
    def questions(self) -> list[Question]:
        return list(dict.fromkeys(moment.question for moment in self.moments if moment.question is not None))

    def between(self, begin: float, end: float) -> set[str]:
        """The statuses that it had between two times."""
        before = [moment.status for moment in self.moments if moment.at <= begin][-1:]
        return {*before, *(moment.status for moment in self.moments if begin < moment.at < end)}


@lru_cache
def profile(program: str) -> Profile:
    return load(BUILT_IN / f"{program}.toml")


def mute(profile: Profile) -> Profile:
    """The same program without a word of its own: only its screen is left."""
    return replace(profile, rules=(), signals=(), trust=())


@lru_cache
def cast(name: str) -> Cast:
    path = next(SCREENS.glob(f"{name}.cast*"))
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    header, *events = map(json.loads, text.splitlines())
    return Cast(name, header["width"], header["height"], tuple((at, kind, data) for at, kind, data in events))


def play(
    cast: Cast,
    profile: Profile,
    *,
    above: str = "",
    rows: int = 0,
    speak: Callable[[str], str] = str,
    delivered: bool = False,
    rest: float = 5.0,
) -> Replay:
    """Let a recording happen; `above` stands in the terminal before, `speak` puts other words into what is written,
    `delivered`: what was sent is known to have been sent."""
    stage = Stage(profile, cast.columns, rows or cast.rows)
    stage.terminal.write(above.replace("\n", "\r\n").encode())
    while not stage.terminal.advance(1.0):
        pass
    replay = Replay(stage)
    began = stage.clock.time()
    told = stage.machine.on_change

    def changed(before: str) -> None:
        told(before)
        machine = stage.machine
        screen = tuple(stage.terminal.lines())
        moment = Moment(stage.clock.time() - began, machine.status, machine.source, machine.question, screen)
        if not replay.moments or replace(moment, at=replay.moments[-1].at) != replay.moments[-1]:
            replay.moments.append(moment)

    stage.machine.on_change = changed
    for at, kind, data in cast.events:
        stage.clock.go(max(0.0, began + at - stage.clock.time()))
        if kind == "o":
            stage.writes(speak(data).encode())
        elif kind == "x":
            stage.program.terminal(**json.loads(data))
        elif kind == "m":
            replay.marks.append((at, data))
            if delivered and data == "sent":
                stage.machine.submitted()
            elif not profile.patterns and data.endswith("\r") and stage.machine.idle:
                stage.machine.submitted()  # as the agent does when a person presses Enter
    stage.clock.go(rest)
    return replay


def told(name: str) -> str:
    """What is said of a recording over time: with all that is in its bytes, and by its screen alone."""
    one = cast(name)
    ways = {way: play(one, known(profile(one.program))) for way, known in (("all", Profile.unaided), ("screen", mute))}
    texts = {way: "\n".join(map(str, replay.moments)) for way, replay in ways.items()}
    alone = "    as above" if texts["screen"] == texts["all"] else texts["screen"]
    return f"{name}, {one.columns}x{one.rows}\n{texts['all']}\n    by its screen alone\n{alone}\n"


def write() -> None:
    """Each program's file: what is told of its recordings."""
    for program in (*PROGRAMS, *READERS):
        names = [name for name in NAMES if name.partition("-")[0] == program]
        (SCREENS / f"{program}.status").write_text("\n".join(map(told, names)))


if __name__ == "__main__":
    write()
