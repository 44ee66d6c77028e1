"""Finding the hub of a data folder, and starting one when none answers."""

import fcntl
import os
import select
import subprocess
import time
from _socket import AF_UNIX, SOCK_STREAM, socket

from synapse import paths
from synapse.client.lines import loads
from synapse.errors import Refused, SynapseError, Unavailable, from_status

PATIENCE = 10.0  # seconds for a hub that is there to open its doors, or to end
LONGEST_START = 300.0  # seconds for a hub that reads a long log
SAY_SO = 2.0  # seconds after which a person is told what is waited for
LOOK_AGAIN = 0.02
_LAUNCHED: "list[int]" = []  # processes that are ours to bury; the one thing here that is remembered


def answers(path: str) -> bool:
    """Does anybody listen there?"""
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(path)
    except (OSError, ValueError):
        return False
    finally:
        connection.close()
    return True


def holder(data: str) -> "dict[str, object] | None":
    """What the hub that holds this data folder says of itself: pid, port, socket; None when nobody holds it.

    Nothing of that is known yet ({}) when it is only just starting.
    """
    try:
        file = os.open(paths.lock_file(data), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _object(os.read(file, 4096)) or {}
    finally:
        os.close(file)
    return None


def find_or_start(data: str, path: str, *, start: bool) -> str:
    """The socket of a hub that answers: the wanted one, the one that holds the folder, or a new one.

    Inside an agent a hub that is on its way back is waited for (5 s); where starting is not wanted, one that is only
    just starting.
    """
    patience = PATIENCE if start else 5.0
    end = time.monotonic() + patience
    died = 0
    while True:
        held = holder(data)
        found = path if answers(path) else _elsewhere(held, path)
        if found:
            return found
        if held is None and start:
            try:
                found = _start_alone(data, path)
            except Unavailable as error:
                died += 1
                if error.code != "hub_not_started" or died > 1:
                    raise  # once may be a kill at the wrong moment
            if found:
                return found
            end = time.monotonic() + patience  # somebody else is at it
        elif time.monotonic() >= end or (held is None and not os.environ.get("SYNAPSE_AGENT_ID")):
            raise _none(data, held)
        time.sleep(LOOK_AGAIN)


def _elsewhere(held: "dict[str, object] | None", path: str) -> str:
    """The socket of the hub that holds the folder, where that is another one and answers."""
    there = str(held.get("socket", "")) if held else ""
    if not held or there in ("", path) or not answers(there):
        return ""
    os.write(2, f"synapse: the hub of this data folder is on port {held.get('port')}: using that one.\n".encode())
    return there


def _start_alone(data: str, path: str) -> str:
    """Of many commands that find no hub, one starts it; "" for the others, who wait for theirs."""
    paths.make_private(data)
    file = _open(os.path.join(data, "hub.starting"), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return launch(data, path) if holder(data) is None and not answers(path) else ""
    except BlockingIOError:
        return ""
    finally:
        os.close(file)


def _none(data: str, held: "dict[str, object] | None") -> Unavailable:
    if held is None:
        return Unavailable("no_hub", "No hub is running here: `synapse serve` starts one.")
    who = f" (process {held['pid']})" if "pid" in held else ""
    return Unavailable("no_hub", f"The hub of {data}{who} does not open its door: see {paths.log_file(data)}.")


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(
            "no_permission",
            f"{path} cannot be written ({error.strerror}): check the rights of its folder, or choose another by "
            "SYNAPSE_DATA.",
        ) from None


def launch(data: str, path: str) -> str:
    """Start a hub in the background and give its socket once its doors are open; raises what it says when it cannot."""
    paths.make_private(data)
    _bury()
    errors = _open(paths.log_file(data), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ready, told = os.pipe()
    try:
        process = subprocess.Popen(
            [*paths.program(), "serve", "--background", "--ready-fd", str(told)],
            pass_fds=(told,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "SYNAPSE_DATA": data},
        )
    finally:
        os.close(told)
        os.close(errors)
    try:
        line = read_line(ready, SAY_SO)
        if not line and process.poll() is None:
            os.write(2, b"synapse: the hub is starting (it reads its log) ...\n")
            line = read_line(ready, LONGEST_START)
    finally:
        os.close(ready)
    said = _object(line)
    if said is not None and "socket" in said:
        process.returncode = 0  # it lives on
        _LAUNCHED.append(process.pid)
        return str(said["socket"])
    _end(process)
    return _not_started(data, path, said)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """See a hub off that has not opened its doors."""
    try:
        process.wait(5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _bury() -> None:
    """Let those go that were started here and have ended since: a runner lives longer than its hub."""
    for pid in _LAUNCHED[:]:
        try:
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                continue
        except ChildProcessError:
            pass  # somebody else has done so
        _LAUNCHED.remove(pid)


def read_line(ready: int, seconds: float = PATIENCE, lifeline: "tuple[int, ...]" = ()) -> bytes:
    """The first line that somebody writes into a pipe; what there is of it when the time is over.

    Or when there is something at the `lifeline`, a descriptor that is only ever closed.
    """
    line, end = b"", time.monotonic() + seconds
    while b"\n" not in line:
        if ready not in select.select([ready, *lifeline], [], [], max(0.0, end - time.monotonic()))[0]:
            break
        part = os.read(ready, 65536)
        if not part:
            break
        line += part
    return line


def _not_started(data: str, path: str, said: "dict[str, object] | None") -> str:
    if said is None:
        raise Unavailable("hub_not_started", f"The hub did not start: see {paths.log_file(data)}.")
    if said.get("code") == "held":
        return find_or_start(data, path, start=False)
    raise _error(said)


def _object(line: bytes) -> "dict[str, object] | None":
    try:
        found = loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _error(said: "dict[str, object]") -> SynapseError:
    status = said.get("status")
    code, sentence = str(said.get("code", "hub_not_started")), str(said.get("message", ""))
    return from_status(status if isinstance(status, int) else 503, code, sentence, {})
