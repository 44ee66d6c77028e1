"""The answer on the screen: what came since the task began, without echo, frame, spinner and prompt."""

from synapse.runner.delivery import Turn
from synapse.runner.profile import Profile
from synapse.runner.terminal import Terminal

ENOUGH = 60  # characters of an echo that is shown cut


def from_screen(profile: Profile, terminal: Terminal, turn: Turn) -> str:
    """The answer to what was typed in this turn; "" when there is none."""
    text = terminal.text_since(turn.mark)
    earlier = None if terminal.modes.alternate else _dense(turn.above)[0].count(_squeezed(turn.typed))
    return answer(profile, text, turn.typed, prompt=turn.line, earlier=earlier)


def answer(profile: Profile, text: str, typed: str, *, prompt: str = "", earlier: int | None = 0) -> str:
    """The answer in a text: with patterns, the lines from its mark on; without, everything between echo and prompt.

    `earlier` is how many echoes of the same words stand before this one's; None when this is surely the last.
    """
    found, rest = after_echo(text, typed, earlier)
    lines = [line.rstrip() for line in rest.split("\n")]
    if profile.answer_first is not None:
        return _marked(profile, lines, seen=found)
    lines = [line for line in lines if not _dropped(profile, line)]
    if lines and prompt and lines[-1].strip() == prompt.strip():
        lines.pop()
    return "\n".join(lines).strip("\n")


def after_echo(text: str, typed: str, earlier: int | None = 0) -> tuple[bool, str]:
    """Whether the echo of what was typed is there, wherever the terminal has wrapped it; and the lines behind it."""
    dense, places = _dense(text)
    whole = _squeezed(typed)
    for wanted in (whole, whole[:ENOUGH]):
        found = _find(dense, wanted, earlier) if wanted else -1
        if found >= 0:
            line_end = text.find("\n", places[found + len(wanted) - 1])
            return True, text[line_end + 1 :] if line_end >= 0 else ""
    return False, text


def _dense(text: str) -> tuple[str, list[int]]:
    """A text without its spaces, and where each character stood."""
    places = [place for place, character in enumerate(text) if not character.isspace()]
    return "".join(text[place] for place in places), places


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _find(text: str, wanted: str, earlier: int | None) -> int:
    if earlier is None:
        return text.rfind(wanted)
    found = text.find(wanted)
    for _ in range(earlier):
        found = text.find(wanted, found + 1)
    return found


def _marked(profile: Profile, lines: list[str], *, seen: bool) -> str:
    """The lines of the answer without what marks them; one whose beginning has left the screen goes on from its top."""
    assert profile.answer_first is not None
    answer: list[str] = []
    inside = not seen and not any(profile.answer_first.search(line) for line in lines)
    for line in lines:
        if first := profile.answer_first.search(line):
            answer.append(line[first.end() :])
            inside = True
        elif not inside:
            continue
        elif _dropped(profile, line):
            inside = False
        elif not line or profile.answer_rest is None:
            answer.append(line)
        elif rest := profile.answer_rest.search(line):
            answer.append(line[rest.end() :])
        else:
            inside = False
    return "\n".join(answer).strip("\n")


def _dropped(profile: Profile, line: str) -> bool:
    return any(pattern.search(line) for pattern in profile.drop)
