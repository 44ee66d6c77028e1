"""The answer on the screen: what came since the task began, without echo, frame, spinner and prompt."""

import re

from synapse.client.lines import dumps
from synapse.runner.letters import Turn
from synapse.runner.profile import Profile
from synapse.runner.terminal import Mark, Terminal

_SCROLLBAR = re.compile(r"^([^┃]*)\s┃$")
_SIGN = re.compile(r"(?:[$#>❯»›➜]|(?<!\d)(?<!\d )%)$")
_WORD = re.compile(r"\S+")
LONGEST = 600_000  # bytes of an answer as JSON: more does not fit into one frame to the hub
ENOUGH = 60  # characters of an echo that is shown cut
ALIKE = 3  # characters that two prompts of one program begin with alike
FRAME = 8  # rows above a composer's cursor at which the echo of a message may begin


def from_screen(profile: Profile, terminal: Terminal, turn: Turn, over: bool = True) -> str:
    """The answer to what was typed in this turn; "" when there is none. Only where it is `over` a prompt may end it."""
    prompt = turn.line if over else ""
    if profile.multiline == "type" and not profile.patterns and "\n" in turn.typed:
        text = _printed(terminal, turn)
        if text is not None:
            return bounded(_bare(profile, text.split("\n"), prompt))
    above = None if terminal.modes.alternate else turn.above
    return bounded(answer(profile, terminal.text_since(turn.mark), turn.typed, prompt=prompt, above=above))


def _printed(terminal: Terminal, turn: Turn) -> str | None:
    """What a line reader has written between the lines that were entered, and behind them; None when nobody knows."""
    here, last = terminal.mark(), turn.entered
    if last is None or terminal.modes.alternate or last.cleared != here.cleared or last.line > here.line:
        return None
    parts, prompt = list[str](), turn.line.rstrip()
    for entered, next_, before in turn.between:
        rest = len(terminal.text_since(next_).split("\n"))
        parts += terminal.text_since(Mark(entered.line + 1, entered.cleared)).split("\n")[:-rest]
        if (line := before.rstrip()) != prompt and line.endswith(prompt):
            parts.append(line.removesuffix(prompt))  # an output without a line end
    if last.line < here.line:
        parts += terminal.text_since(Mark(last.line + 1, last.cleared)).split("\n")
    return "\n".join(parts)


def before(profile: Profile, terminal: Terminal) -> tuple[Mark, str]:
    """Where the echo and the answer to what is typed now will stand, and what stands there already."""
    mark = terminal.mark()
    if profile.patterns:
        mark = Mark(max(0, mark.line - FRAME), mark.cleared)
    return mark, terminal.text_since(mark)


def answer(profile: Profile, text: str, typed: str, *, prompt: str = "", above: str | None = "") -> str:
    """The answer in a text: with patterns, the lines from its mark on; without, everything between echo and prompt.

    `above` is what stood at the text's beginning before; None when that has moved, and the last echo is this one's.
    """
    rest = _behind_echo(profile, text, typed, above)
    lines = [_SCROLLBAR.sub(r"\1", line).rstrip() for line in (text if rest is None else rest).split("\n")]
    if profile.answer_first is not None:
        return _marked(profile, lines, seen=rest is not None)
    return _bare(profile, lines, prompt)


def _bare(profile: Profile, lines: list[str], prompt: str) -> str:
    """The lines without those of the frame, and without the prompt at their end."""
    lines = [line.rstrip() for line in lines if not _dropped(profile, line)]
    if lines and prompt.strip():
        lines[-1] = _without_prompt(lines[-1], prompt.strip())
    return "\n".join(lines).strip("\n")


def _without_prompt(line: str, prompt: str) -> str:
    """The last line without the prompt that stands there again, as it was, with another folder in it, or another one."""
    if line.endswith(prompt):
        return line[: -len(prompt)]  # an output without a line end stands before it
    if prompt.endswith(line):
        return ""  # there an output without a line end stood before it
    if line.endswith(prompt[-1]) and len(prompt) > ALIKE and line.startswith(prompt[:ALIKE]):
        return ""
    return "" if _SIGN.search(line) and _SIGN.search(prompt) else line  # another one, as prompts end


def bounded(text: str, longest: int = LONGEST) -> str:
    """The text; of a very long one as many of the last lines as can be told, and that there were more."""
    if len(dumps(text)) <= longest:
        return text
    lines, room = text.split("\n"), longest
    first = len(lines)
    while first and (room := room - len(dumps(lines[first - 1]))) > 0:
        first -= 1
    return "\n".join([f"[the first {first} of {len(lines)} lines are left out]", *lines[first:]])


def _behind_echo(profile: Profile, text: str, typed: str, above: str | None) -> str | None:
    """The lines behind the echo, which may have the program's own mark before each line."""
    mark = profile.continued
    if mark is None:
        return after_echo(text, typed, above)
    lines = text.split("\n")
    bare = "\n".join(mark.sub("", line, count=1) for line in lines)
    if above is not None:
        above = "\n".join(mark.sub("", line, count=1) for line in above.split("\n"))
    typed = typed.replace("\t", "^I") if "^I" in bare else typed
    rest = after_echo(bare, typed, above)
    if rest is None:  # of a long one only the end is shown
        rest = after_echo(bare, typed[-ENOUGH:], above)
    return "\n".join(lines[-1 - rest.count("\n") :]) if rest else rest


def after_echo(text: str, typed: str, above: str | None = "") -> str | None:
    """The lines behind the echo of what was typed, wherever the terminal has wrapped it; None without an echo."""
    for wanted in (_dense(typed), _dense(typed.partition("\n")[0])[:ENOUGH]):  # it may be shown cut
        place = _end_of(wanted, text, above) if wanted else -1
        if place >= 0:
            line_end = text.find("\n", place)
            return text[line_end + 1 :] if line_end >= 0 else ""
    return None


def _end_of(wanted: str, text: str, above: str | None) -> int:
    """Where the last character of an echo stands; -1 without one."""
    found = _find(_dense(text), wanted, None if above is None else _dense(above).count(wanted))
    left = found + len(wanted)
    for word in _WORD.finditer(text) if found >= 0 else ():
        if left <= word.end() - word.start():
            return word.start() + left - 1
        left -= word.end() - word.start()
    return -1


def _dense(text: str) -> str:
    """A text without its spaces."""
    return "".join(text.split())


def _find(text: str, wanted: str, earlier: int | None) -> int:
    """Where it stands behind so many earlier ones; the last one when nobody knows how many."""
    if earlier is None:
        return text.rfind(wanted)
    found = text.find(wanted)
    for _ in range(earlier):
        found = text.find(wanted, found + 1)
    return found


def _marked(profile: Profile, lines: list[str], *, seen: bool) -> str:
    """The last marked lines without their marks; an answer whose beginning has left the screen goes on from its top."""
    assert profile.answer_first is not None
    answer: list[str] = []
    inside = not seen and not any(profile.answer_first.search(line) for line in lines)
    for line in lines:
        rest = profile.answer_rest.search(line) if profile.answer_rest else None
        if _dropped(profile, line):
            inside = False
        elif inside and (rest or not line):
            answer.append(line[rest.end() :] if rest else line)
        elif first := profile.answer_first.search(line):
            answer, inside = [line[first.end() :]], True
        else:
            inside = False
    return "\n".join(answer).strip("\n")


def _dropped(profile: Profile, line: str) -> bool:
    return any(pattern.search(line) for pattern in profile.drop)
