"""`logs`: what the hub and the runners have written about themselves."""

import os
import time

from synapse import paths
from synapse.cli.command import FROM, WORKSPACE, Argument, Command, Option
from synapse.cli.table import write_text
from synapse.client.blocking import Client
from synapse.errors import BadRequest, NotFound, SynapseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_PIECE = 65536
_GLANCE = 0.25  # seconds between two looks at a file that is followed


def logs(
    target: str,
    *,
    lines: int,
    follow: bool,
    screen: bool,
    sender: "str | None",
    workspace: "str | None",
) -> int:
    """Print the end of a log file; with --follow what is added to it, until Ctrl-C."""
    if lines < 0:
        raise BadRequest("bad_number", "-n: 0 or more.")
    data = paths.data_folder()
    if target == "hub":
        if screen:
            raise BadRequest("no_screen", "The hub has no terminal: --screen is for agents.")
        files = [paths.log_file(data), *(f"{paths.log_file(data)}.{number}" for number in range(1, 10))]
        missing = "The hub has written no log here yet: one that was started in a terminal writes there."
    else:
        files = [_of_agent(data, target, "txt" if screen else "log", sender or "", workspace or "")]
        missing = f"'{target}' has written nothing yet."
    if not os.path.exists(files[0]):
        raise NotFound("no_logs", f"{missing} ({files[0]})")
    end = _print_end(files, lines)
    if follow:
        _follow(files[0], end)
    return 0


def _of_agent(data: str, target: str, ending: str, sender: str, workspace: str) -> str:
    """An agent's file: asked of the hub, else found by the names in the log."""
    folder = os.path.join(data, "logs")
    try:
        with Client(sender, workspace, start=False, url="") as client:
            row = client.call("agents.show", target=target)["agent"]
        assert isinstance(row, dict)
        return os.path.join(folder, f"{row['key']}.{ending}")
    except SynapseError as error:
        if error.code == "ambiguous":
            raise
        refusal = error
    from synapse.cli.offline import keys_of

    for key in keys_of(target):
        file = os.path.join(folder, f"{key}.{ending}")
        if os.path.exists(file):
            return file
    if refusal.code == "no_hub":
        raise NotFound("no_such_agent", f"There is no log of '{target}' in {folder}.")
    raise refusal


def _print_end(files: "list[str]", lines: int) -> int:
    """Print the last lines of a file and the older ones behind it; the size of the newest that was seen."""
    found: list[bytes] = []
    size = 0
    for number, file in enumerate(files):
        if len(found) >= lines and number > 0:
            break
        try:
            with open(file, "rb") as log:
                log.seek(0, os.SEEK_END)
                end = log.tell()
                content = _last(log, end, lines - len(found))
        except FileNotFoundError:
            break
        size = end if number == 0 else size
        found = content + found
    if found:
        write_text(b"".join(found).decode("utf-8", "replace"))
    return size


def _last(log: "BinaryIO", end: int, lines: int) -> "list[bytes]":
    content, at = b"", end
    while at > 0 and content.count(b"\n") <= lines:
        step = min(_PIECE, at)
        at -= step
        log.seek(at)
        content = log.read(step) + content
    return content.splitlines(keepends=True)[-lines:] if lines else []


def _follow(file: str, at: int) -> None:
    """Print what is added, also when the file is turned over."""
    rest = b""
    number = os.stat(file).st_ino
    while True:
        try:
            with open(file, "rb") as log:
                now = os.fstat(log.fileno())
                if now.st_ino != number or now.st_size < at:
                    number, at, rest = now.st_ino, 0, b""
                log.seek(at)
                content = log.read()
        except FileNotFoundError:
            content = b""  # it is being turned over
        at += len(content)
        whole, feed, rest = (rest + content).rpartition(b"\n")
        if feed:
            write_text((whole + feed).decode("utf-8", "replace"))
        time.sleep(_GLANCE)


COMMANDS = (
    Command(
        "logs", logs, "What the hub, or an agent's runner, has written about itself.",
        Argument("target", help="`hub`, or an agent's name, id or profile."),
        Option("--lines", "-n", kind=int, default=50, help="How many of the last lines."),
        Option("--follow", "-f", flag=True, help="Go on with what is added, until Ctrl-C."),
        Option("--screen", flag=True, help="The text of the agent's terminal when it ended."), FROM, WORKSPACE,
        example="synapse logs hub -n 100", quick=True,
    ),
)  # fmt: skip
