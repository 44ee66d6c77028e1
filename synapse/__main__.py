"""The `synapse` command: the quick way for quick commands, click for everything else."""

import os
import sys


def main() -> None:
    """Run one command and leave with its exit status."""
    words = sys.argv[1:]
    status = _quick(words)
    if status is None:
        from synapse.cli.full import run

        status = run(words)
    try:
        sys.stdout.flush()
    except OSError:
        os._exit(1)  # whoever read us is gone: nothing to say to nobody
    sys.exit(status)


def _quick(words: "list[str]") -> "int | None":
    """The exit status of a quick command; None when click should look at the words."""
    from synapse.cli import GROUPS

    group = GROUPS.get(words[0]) if words else None
    if group is None:
        return None
    from synapse.cli.command import Unusual, parse

    module = __import__(f"synapse.cli.{group}", fromlist=["COMMANDS"])
    command = next(command for command in module.COMMANDS if command.name == words[0])
    if not command.quick:
        return None
    try:
        values = parse(command, words[1:])
    except Unusual:
        return None
    from synapse.cli.errors import guarded

    return guarded(command.run, values)


if __name__ == "__main__":
    main()
