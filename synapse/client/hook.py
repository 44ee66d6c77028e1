"""What a program's hook runs: hands the event to the program's own runner, says nothing, and never fails.

It delays the program, so that it is run by itself, without the rest of this package: only the interpreter's own parts.
It ends when the runner has heard the event: what the program does then, on its screen or in its files, is seen later.
"""

import os
import sys
from _socket import AF_UNIX, SHUT_WR, SOCK_STREAM, socket

ENVIRONMENT = "SYNAPSE_HOOK"  # where the runner listens
MOST = 8 << 20  # bytes of a report; a longer one is told without its content
PATIENCE = 1.0  # seconds for each step


def command() -> "list[str]":
    """How a program calls this; the event's name follows, and the report as the next word where it is not on stdin."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "hook"]
    return [sys.executable, "-I", "-S", os.path.abspath(__file__)]


def tell(words: "list[str]") -> int:
    """Report an event; always 0."""
    path = os.environ.get(ENVIRONMENT)
    try:
        content = words[1].encode("utf-8", "surrogateescape") if words[1:] else _stdin()
        if path:
            _send(path, words[0] if words else "", content)
    except (OSError, ValueError):
        pass  # the runner has gone: that is no trouble of the program's
    return 0


def _send(path: str, event: str, content: bytes) -> None:
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.settimeout(PATIENCE)
        connection.connect(path)
        name = event.replace("\n", " ").encode("utf-8", "surrogateescape")
        connection.sendall(name + b"\n" + (content if len(content) <= MOST else b""))
        connection.shutdown(SHUT_WR)
        connection.recv(1)  # it is closed behind what was heard
    finally:
        connection.close()


def _stdin() -> bytes:
    """What stands on standard input, unless that is a person's terminal; whoever leaves it open is not waited for."""
    from select import poll

    if os.isatty(0):
        return b""
    waiting = poll()
    waiting.register(0)
    parts: list[bytes] = []
    size = 0
    while size <= MOST and waiting.poll(PATIENCE * 1000):
        part = os.read(0, 262144)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


if __name__ == "__main__":
    sys.exit(tell(sys.argv[1:]))
