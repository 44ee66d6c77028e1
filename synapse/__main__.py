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
    """Run a command and leave, or come back for what needs the whole of a frozen program's start.

    That takes longer than most commands; the hub, runners, and what plugins add may need it.
    """
    from synapse.cli import GROUPS

    words = sys.argv[1:]
    first = words[0] if words else ""
    if first in ("serve", "hub", "_runner") or not (first in GROUPS or first in ("--help", "--version")):
        return
    _open_streams()
    try:
        status = _quick(words)
    except KeyboardInterrupt:
        status = 130
    if status is None:
        main()
    else:
        os._exit(_flushed(status))  # nothing is left to be taken down


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
    return _whole(words) if status is None else status


def _whole(words: "list[str]") -> int:
    import gc

    gc.disable()  # what is imported stays: looking through it again and again is a tenth of the time of a help page
    from synapse.cli.full import run

    if "--help" not in words:
        gc.enable()
    return run(words)


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
    from synapse.cli.errors import guarded

    if words == ["--version"]:
        return guarded(_version, {})
    from synapse.cli.command import Unusual, find, parse

    command, rest = find(words)
    if command is None or not command.quick:
        return None
    try:
        values = parse(command, rest)
    except Unusual:
        return None
    return guarded(command.run, values)


def _version() -> None:
    from synapse import __version__
    from synapse.cli.table import write

    write(f"synapse, version {__version__}\n")


if __name__ == "__main__":
    main()
