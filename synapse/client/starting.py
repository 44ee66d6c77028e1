"""Finding the hub of a data folder, and starting one when none answers."""

import os
import select
import subprocess
import time
from _socket import AF_UNIX, SOCK_STREAM, socket

from synapse import paths
from synapse.client.lines import loads
from synapse.errors import SynapseError, Unavailable, from_status

PATIENCE = 10.0  # seconds for a hub to open its doors


def answers(path: str) -> bool:
    """Does anybody listen there?"""
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        return False
    finally:
        connection.close()
    return True


def holder(data: str) -> "dict[str, object] | None":
    """What the hub that holds this data folder says of itself: pid, port, socket; None when nobody holds it."""
    import fcntl

    try:
        file = os.open(paths.lock_file(data), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = os.read(file, 4096)
        try:
            found = loads(text)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None
    finally:
        os.close(file)
    return None


def find_or_start(data: str, path: str, *, start: bool) -> str:
    """The socket of a hub that answers: the wanted one, the one that holds the folder, or a new one.

    Inside an agent, and where starting is not wanted, a hub that is on its way back is waited for (5 s) instead.
    """
    if not start:
        return _wait_for(data, path, 5.0 if os.environ.get("SYNAPSE_AGENT_ID") else 0.0)
    held = holder(data)
    if held is not None:
        return _wait_for(data, path, PATIENCE)
    return launch(data, path)


def _wait_for(data: str, path: str, seconds: float) -> str:
    end = time.monotonic() + seconds
    while True:
        if answers(path):
            return path
        held = holder(data)
        if held is not None and held.get("socket") != path and answers(str(held.get("socket", ""))):
            return _follow(held)
        if time.monotonic() >= end:
            raise Unavailable("no_hub", "No hub is running here: `synapse serve` starts one.")
        time.sleep(0.02)


def _follow(held: "dict[str, object]") -> str:
    os.write(2, f"synapse: the hub of this data folder is on port {held.get('port')}: using that one.\n".encode())
    return str(held["socket"])


def launch(data: str, path: str) -> str:
    """Start a hub in the background and give its socket once its doors are open; raises what it says when it cannot."""
    paths.make_private(data)
    ready, told = os.pipe()
    said = os.open(paths.log_file(data), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            [*paths.program(), "serve", "--background", "--ready-fd", str(told)],
            pass_fds=(told,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "SYNAPSE_DATA": data},
        )
    finally:
        os.close(told)
        os.close(said)
    try:
        line = read_line(ready)
    finally:
        os.close(ready)
    process.returncode = 0 if process.poll() is None else process.returncode  # it lives on: nobody waits for it
    return _started(data, path, line)


def read_line(ready: int, seconds: float = PATIENCE) -> bytes:
    """The first line that somebody writes into a pipe; what there is of it when the time is over."""
    line, end = b"", time.monotonic() + seconds
    while b"\n" not in line:
        if not select.select([ready], [], [], max(0.0, end - time.monotonic()))[0]:
            break
        part = os.read(ready, 65536)
        if not part:
            break
        line += part
    return line


def _started(data: str, path: str, line: bytes) -> str:
    try:
        said = loads(line)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise Unavailable("hub_not_started", f"The hub did not start: see {paths.log_file(data)}.")
    if "socket" in said:
        return str(said["socket"])
    if said.get("code") == "held":
        return _wait_for(data, path, PATIENCE)
    raise _error(said)


def _error(said: "dict[str, object]") -> SynapseError:
    return from_status(503, str(said.get("code", "hub_not_started")), str(said.get("message", "")), {})
