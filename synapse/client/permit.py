"""What a program runs before it asks a person whether a command may leave its sandbox: talking to the hub may, and so may
reading what the hub has sent: a long message, an attachment.

It answers with the decision that hooks of the event `PermissionRequest` give (Copilot's has a form of its own), or says
nothing: then the person is asked.
Like `hook.py` it is run by itself, without the rest of this package.
"""

import json
import os
import re
import shlex
import sys

_TALK = ("reply", "send", "broadcast", "inbox", "wait", "listen")
_LOOK = ("who", "list", "status", "manifest", "offers", "history", "waiting", "instructions", "memory", "help")
READERS = {"read_file": ("file_path", "absolute_path"), "Read": ("file_path",), "view": ("path",)}  # tools, their files
VERBS = (*_TALK, *_LOOK)
ELSEWHERE = re.compile(r"--(?:url|token|token-file|db)(?:=|\Z)")  # leads to another hub than the agent's own
MOST = 1 << 20  # characters of a command
_ACTIVE = frozenset(";&|<>()`$\n\r\\#*?[]{}")  # outside of quotes these do more than stand for themselves
_HEREDOC = re.compile(r"<<\s*'(\w+)'[ \t]*\Z")


def command() -> "list[str]":
    """How a program calls this; the request stands on its standard input."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "permit"]
    return [sys.executable, "-I", "-S", os.path.abspath(__file__)]


def main() -> int:
    """Answer one request; always 0."""
    try:
        asked = json.loads(sys.stdin.buffer.read(4 * MOST))
        copilot = "toolInput" in asked
        given = dict(asked["toolInput" if copilot else "tool_input"])
        tool = asked.get("toolName" if copilot else "tool_name")
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError):
        return 0
    command, letters = given.get("command"), os.environ.get("SYNAPSE_LETTERS", "")
    talks = isinstance(command, str) and permitted(command, os.environ.get("SYNAPSE_COMMAND", ""))
    if talks or reads_letter(tool, given, letters):
        allow = {"behavior": "allow"}
        decision = {"hookEventName": "PermissionRequest", "decision": allow}
        sys.stdout.write(json.dumps(allow if copilot else {"hookSpecificOutput": decision}) + "\n")
    return 0


def reads_letter(tool: object, given: "dict[str, object]", letters: str) -> bool:
    """Is it asked to read one file that lies in the agent's own folder of letters, and nothing else?"""
    if not (isinstance(tool, str) and letters and "command" not in given):
        return False
    places = [given[name] for name in READERS.get(tool, ()) if name in given]
    folder = os.path.realpath(letters)
    return bool(places) and all(
        isinstance(place, str) and os.path.isabs(place) and os.path.dirname(os.path.realpath(place)) == folder
        for place in places
    )


def permitted(text: str, own: str = "") -> bool:
    """Is it one call of `synapse` (or of `own`) that only talks and looks, at the agent's own hub, and nothing else?"""
    words = words_of(text)
    if words is None:
        return False
    for program in (["synapse"], shlex.split(own)):
        rest = words[len(program) :]
        if program and words[: len(program)] == program:
            return bool(rest) and rest[0] in VERBS and not any(ELSEWHERE.match(word) for word in rest)
    return False


def words_of(text: str) -> "list[str] | None":
    """The words of one plain command, a text for its standard input behind it; None when a shell may do more with it."""
    if len(text) > MOST:
        return None
    first, *rest = text.strip().split("\n")
    found = _HEREDOC.search(first)
    if found is None:
        return _plain(text.strip())
    if found[1] not in rest or rest.index(found[1]) < len(rest) - 1:
        return None  # there is more behind that text
    return _plain(first[: found.start()])


def _plain(text: str) -> "list[str] | None":
    quote, place = "", 0
    while place < len(text):
        here = text[place]
        if quote == '"' and here == "\\":
            place += 1  # what follows stands for itself, or the sign does
        elif (quote == '"' and here in "$`") or (not quote and here in _ACTIVE):
            return None
        elif here == quote:
            quote = ""
        elif not quote and here in "'\"":
            quote = here
        place += 1
    try:
        return shlex.split(text)
    except ValueError:
        return None


if __name__ == "__main__":
    sys.exit(main())
