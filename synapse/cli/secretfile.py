"""Files that hold a secret in one line: the words of a command can be seen by others."""

import os

from synapse.errors import BadRequest


def secret_in(path: str, longest: int) -> str:
    """The one line of a file of at most so many bytes; `-` is standard input."""
    try:
        with open(0 if path == "-" else os.path.expanduser(path), "rb", closefd=path != "-") as opened:
            content = opened.read(longest + 1)
    except OSError as error:
        raise BadRequest("bad_file", f"{path} cannot be read: {error.strerror}.") from None
    try:
        lines = content.decode().strip().splitlines()
    except UnicodeDecodeError:
        lines = []
    if len(lines) != 1 or len(content) > longest:
        raise BadRequest("bad_file", f"{path} does not hold one line with a secret.")
    return lines[0].strip()
