"""The `synapse` command: the quick way for quick commands, click for everything else."""

import os
import sys


def main() -> None:
    """Run one command and leave with its exit status."""
    _open_streams()
    try:
        status = _run(sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    sys.exit(_flushed(status))


def early() -> None:
    """Run a quick command and leave at once; come back for every other one.

    A frozen program does so before the rest of its start, which takes longer than such a command.
    """
    from synapse.cli import GROUPS

    words = sys.argv[1:]
    if not words or words[0] not in GROUPS:
        return
    _open_streams()
    try:
        status = _quick(words)
    except KeyboardInterrupt:
        status = 130
    if status is not None:
        status = _flushed(status)
        os._exit(status)


def _open_streams() -> None:
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if stream is None:
            os.open(
                os.devnull, os.O_RDWR
            )  # it was closed: else the next thing we open, a hub's socket, would take its place


def _flushed(status: int) -> int:
    """The exit status, once what was printed is out."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os._exit(status or 1)  # whoever read us is gone: nothing to say to nobody
    return status


def _run(words: "list[str]") -> int:
    words = _meant(words)
    status = _quick(words)
    if status is None:
        from synapse.cli.full import run

        status = run(words)
    return status


def _meant(words: "list[str]") -> "list[str]":
    """`synapse claude` is short for `synapse run claude`, for every profile that is no command's name."""
    from synapse.cli import GROUPS

    if not words or words[0] in GROUPS or words[0].startswith("-") or words[0] == "help":
        return words
    from synapse.runner.profile import exists

    return ["run", *words] if exists(words[0]) or _contributed(words[0]) else words


def _contributed(name: str) -> bool:
    """Is it a plugin's profile, and no plugin's command?"""
    from synapse.cli import contributed

    return not contributed.commands(name) and contributed.profile(name)


def _quick(words: "list[str]") -> "int | None":
    """The exit status of a quick command; None when click should look at the words."""
    from synapse.cli.command import Unusual, find, parse

    command, rest = find(words)
    if command is None or not command.quick:
        return None
    try:
        values = parse(command, rest)
    except Unusual:
        return None
    from synapse.cli.errors import guarded

    return guarded(command.run, values)


if __name__ == "__main__":
    main()
