"""What the demo does with a message: a text becomes steps, and the one who carries them out sends back what came of them.

for the step      it is sent
Run               Ran
Confirm           whether the person said yes
everything else   None
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any, Final, NamedTuple, TypeVar

INLINE: Final = 1000  # characters of a text that is given as an argument; longer ones by standard input
WORDS: Final = [
    "let",
    "me",
    "see",
    "what",
    "there",
    "is",
    "to",
    "say",
    "about",
    "this",
    "and",
    "how",
    "to",
    "put",
    "it",
]
WORD_EVERY: Final = 0.1  # seconds between the words of SLOW
PIECE: Final = 20  # lines of LONG at a time
HELP: Final = """\
6*7, 6+7, 6-7       works it out
PING x              PONG x
ECHO text           repeats it word for word
SLOW seconds x      thinks aloud, then says x
LONG n              n numbered lines
ask NAME QUESTION   asks another agent and tells its answer
ask-notify NAME Q   asks and does not wait
RUN command         asks for permission, then runs it
FAIL reason         fails
NOTHING             says nothing
HANG                works until interrupted
EXIT n, CRASH       ends with this status, by SIGKILL
/exit, /exit n      leaves"""

_HEADER: Final = re.compile(r"A2A:(?: \[From: (?P<sender>[^\]]*)\])?(?P<expected> \[REPLY EXPECTED\])?(?: |\n|\Z)")
_SUM: Final = re.compile(r"(?<![\w.])(-?\d{1,18}) ?([*+-]) ?(-?\d{1,18})(?!\w|\.\d)")


class Pause(NamedTuple):
    """Think for so many seconds."""

    seconds: float


class Say(NamedTuple):
    """Another piece of the answer."""

    text: str


class Notice(NamedTuple):
    """A line that is no part of the answer."""

    text: str


class Run(NamedTuple):
    """Run a program, `text` on its standard input."""

    argv: list[str]
    text: str | None = None
    together: bool = False  # standard error goes where standard output goes


class Confirm(NamedTuple):
    """Ask the person whether this command may run."""

    command: str


class Exit(NamedTuple):
    """End the demo with this status."""

    status: int


class Crash(NamedTuple):
    """End the demo as a bug would: without a word and without cleaning up."""


class Ran(NamedTuple):
    """What came of a `Run`."""

    status: int
    output: str
    errors: str


Step = Pause | Say | Notice | Run | Confirm | Exit | Crash
_T = TypeVar("_T")
Steps = Generator[Step, Any, _T]


class Habits(NamedTuple):
    """How this demo behaves."""

    delay: float = 0.05  # seconds of thinking per turn
    replies: bool = False  # answers with `synapse reply` too
    program: tuple[str, ...] = ("synapse",)


class Message(NamedTuple):
    """A text without its header line, and what that said."""

    text: str
    header: bool = False
    sender: str = ""
    expected: bool = False  # a reply


def read(text: str) -> Message:
    """Take the header off a text (FEATURES R8)."""
    match = _HEADER.match(text)
    if match is None:
        return Message(text)
    return Message(text[match.end() :].strip(), True, match["sender"] or "", match["expected"] is not None)


def turn(text: str, habits: Habits) -> Steps[None]:
    """Everything that one message leads to."""
    message = read(text)
    yield Pause(habits.delay)
    if message.header and not message.expected:
        yield Say("noted")
        return
    reply = habits.replies and message.expected
    word, _, rest = message.text.partition(" ")
    if word == "FAIL":
        yield Say(f"error: {rest}")
        if reply:
            yield from _reply(habits, [f"--fail={rest}"])
        return
    answer = yield from _answer(message.text, habits)
    if reply and answer:
        short = len(answer) <= INLINE and "\n" not in answer and not answer.startswith("-")
        yield from _reply(habits, [answer]) if short else _reply(habits, ["--stdin"], answer)


def _reply(habits: Habits, words: list[str], text: str | None = None) -> Steps[None]:
    ran: Ran = yield Run([*habits.program, "reply", *words], text)
    if ran.status:
        yield Notice(f"reply failed (status {ran.status}): {ran.errors.strip() or ran.output.strip()}")


def _answer(text: str, habits: Habits) -> Steps[str]:
    """Say it on the screen; the answer proper is what is returned."""
    word, *more = text.split(maxsplit=1) or [""]
    rest = more[0] if more else ""
    match word:
        case "ask" | "ask-notify" if len(rest.split(maxsplit=1)) == 2:
            return (yield from _ask(*rest.split(maxsplit=1), wait=word == "ask", habits=habits))
        case "RUN" if rest:
            return (yield from _run(rest))
        case "SLOW" if (asked := _number(rest)) is not None:
            return (yield from _slow(asked, rest.partition(" ")[2]))
        case "LONG" if (asked := _number(rest)) is not None:
            return (yield from _long(int(asked)))
        case "EXIT":
            yield Exit(int(_number(rest) or 0))
        case "CRASH":
            yield Crash()
        case "HANG":
            yield Pause(float("inf"))
        case "NOTHING":
            pass
        case _:
            return (yield from _say(_short(word, rest, text)))
    return ""


def _short(word: str, rest: str, text: str) -> str:
    if word == "PING":
        return f"PONG {rest}".rstrip()
    if word == "ECHO":
        return rest
    if match := _SUM.search(text):
        left, right = int(match[1]), int(match[3])
        return str({"*": left * right, "+": left + right, "-": left - right}[match[2]])
    return f"You said: {text}"


def _say(text: str) -> Steps[str]:
    yield Say(text)
    return text


def _ask(name: str, question: str, *, wait: bool, habits: Habits) -> Steps[str]:
    yield Notice(f'running: synapse send {name} "{question}"{" --wait" if wait else ""}')
    long = len(question) > INLINE or "\n" in question or question.startswith("-")
    argv = [*habits.program, "send", name, "--stdin" if long else question, *(["--wait"] if wait else [])]
    ran: Ran = yield Run(argv, question if long else None)
    if ran.status:
        why = ran.errors.strip() or ran.output.strip() or "it said nothing"
        return (yield from _say(f"asking {name} failed (status {ran.status}): {why}"))
    return (yield from _say(f"{name} says: {ran.output.removesuffix(chr(10))}" if wait else f"asked {name}"))


def _run(command: str) -> Steps[str]:
    if not (yield Confirm(command)):
        return (yield from _say("declined"))
    ran: Ran = yield Run(["sh", "-c", command], together=True)
    output = ran.output.rstrip("\n") or "(no output)"
    return (yield from _say(f"{output}\nexit status {ran.status}" if ran.status else output))


def _slow(seconds: float, end: str) -> Steps[str]:
    count = max(1, round(seconds / WORD_EVERY))
    for number in range(count):
        yield Pause(seconds / count)
        yield Say(("" if number == 0 else " ") + WORDS[number % len(WORDS)])
    yield Say(f"\n{end}")
    return end


def _long(count: int) -> Steps[str]:
    lines = [f"line {number}" for number in range(1, count + 1)]
    for first in range(0, count, PIECE):
        yield Say(("\n" if first else "") + "\n".join(lines[first : first + PIECE]))
        yield Pause(0)
    return "\n".join(lines)


def _number(text: str) -> float | None:
    try:
        number = float(text.split(maxsplit=1)[0])
    except (IndexError, ValueError):
        return None
    return number if 0 <= number < 1e6 else None
