"""A settings file in the person's editor: a copy is edited, and takes the file's place when nothing is wrong in it."""

import os
import shlex
import subprocess
import sys
import tempfile

from synapse.cli.errors import say
from synapse.errors import BadRequest, Refused, Unavailable

# Editors that can only be used in a terminal.
_IN_TERMINALS = frozenset({
    "ed", "emacs-nox", "helix", "hx", "jed", "joe", "kak", "mcedit", "micro", "mg", "nano", "ne", "neovim", "nvi",
    "nvim", "pico", "vi", "view", "vim", "vim.basic", "vim.tiny",
})  # fmt: skip


def edited(path: str, scope: str) -> bool:
    """Let a person edit a file; has it changed? BadRequest names the copy that is kept when something is wrong in it."""
    from synapse.cli.init import template
    from synapse.settings import writing
    from synapse.settings.reading import Wrong, content

    editor = _editor()
    before: str | None = None
    if os.path.lexists(path):
        try:
            before = content(path)
        except Wrong as error:
            raise BadRequest("bad_settings", f"{error}.") from None
    start = template(scope) if before is None else before
    descriptor, copy = tempfile.mkstemp(prefix="synapse-settings-", suffix=".toml")
    with open(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(start)
    while True:
        _edit(editor, copy, start)
        problems, text = _wrong(copy, scope)
        if not problems:
            break
        say("".join(f"synapse: {one}\n" for one in problems).encode("utf-8", "replace"))
        if not _again():
            raise BadRequest("bad_settings", f"Nothing is changed: what you wrote is in {copy}.")
    if text == start:
        os.unlink(copy)
        return False
    try:
        writing.replace(path, text, before)
    except Refused as error:
        raise Refused(error.code, f"{error.sentence} What you wrote is in {copy}.") from None
    os.unlink(copy)
    return True


def _editor() -> "list[str]":
    """The person's editor with its options; Refused where one that needs a terminal would have none."""
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        words = shlex.split(named) or ["vi"]
    except ValueError as error:
        raise Unavailable("no_editor", f"The editor {named!r} cannot be run ({error}): set EDITOR.") from None
    if os.path.basename(words[0]) in _IN_TERMINALS and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused(
            "no_terminal",
            f"There is no terminal here for the editor {words[0]}: `synapse config set KEY VALUE` needs none.",
        )
    return words


def _edit(editor: "list[str]", copy: str, start: str) -> None:
    try:
        status = subprocess.run([*editor, copy], check=False).returncode
    except OSError as error:
        os.unlink(copy)
        raise Unavailable("no_editor", f"The editor {editor[0]!r} cannot be run ({error}): set EDITOR.") from None
    if status:
        with open(copy, encoding="utf-8", errors="replace", newline="") as file:
            untouched = file.read() == start
        if untouched:
            os.unlink(copy)
        kept = "" if untouched else f" What you wrote is in {copy}."
        raise Refused("editor_failed", f"The editor ended with status {status}: nothing is changed.{kept}")


def _wrong(copy: str, scope: str) -> "tuple[list[str], str]":
    """What is wrong in the copy (of a project's file, also what it may not say), and its text."""
    from synapse.settings.reading import Wrong, check_text, content

    try:
        text = content(copy)
    except Wrong as error:
        return [f"{error}."], ""
    return check_text(copy, text, scope), text


def _again() -> bool:
    if not sys.stdin.isatty():
        return False
    say(b"Edit it again? [Y/n] ")
    answer = sys.stdin.readline()
    return answer.endswith("\n") and answer.strip().lower() in ("", "y", "yes")
