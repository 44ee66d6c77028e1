"""The answer on the screen: what came since the task began, without echo, frame, spinner and prompt."""

from synapse.runner.profile import Profile


def from_screen(profile: Profile, text: str, typed: str, prompt: str = "") -> str:
    """The answer in the text since the task was typed; "" when there is none.

    With patterns, the lines behind the newest mark of an answer; without, everything behind the echo.
    """
    if profile.answer_first is not None:
        return _marked(profile, _after_echo(text, typed).split("\n"))
    lines = [line.rstrip() for line in _after_echo(text, typed).split("\n")]
    lines = [line for line in lines if not any(pattern.search(line) for pattern in profile.drop)]
    if lines and prompt and lines[-1].strip() == prompt.strip():
        lines.pop()
    return "\n".join(lines).strip("\n")


def _after_echo(text: str, typed: str) -> str:
    """The text behind the echo of what was typed, wherever the terminal has wrapped it."""
    wanted = "".join(typed.split())
    if not wanted:
        return text
    places = [place for place, character in enumerate(text) if not character.isspace()]
    dense = "".join(text[place] for place in places)
    found = dense.find(wanted)
    if found < 0:
        wanted = wanted[:60]  # a long text is shown cut
        found = dense.find(wanted)
        if found < 0:
            return text
    end = places[found + len(wanted) - 1] + 1
    line_end = text.find("\n", end)
    return text[line_end + 1 :] if line_end >= 0 else ""


def _marked(profile: Profile, lines: list[str]) -> str:
    assert profile.answer_first is not None
    answer: list[str] = []
    inside = False
    for line in lines:
        first = profile.answer_first.search(line)
        if first:
            answer.append(line[first.end() :].rstrip())
            inside = True
        elif any(pattern.search(line) for pattern in profile.drop):
            inside = False
        elif inside:
            rest = profile.answer_rest.search(line) if profile.answer_rest else None
            answer.append((line[rest.end() :] if rest else line).rstrip())
    return "\n".join(answer).strip("\n")
