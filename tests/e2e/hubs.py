"""Hubs as processes of their own, each with a data folder and a port, ended by their process numbers."""

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SYNAPSE = [sys.executable, "-P", "-m", "synapse"]
PATIENCE = 20.0


_FIRST, _COUNT = 10_000, 10_000  # ports below those that the kernel gives to whoever asks for any
_ports = (_FIRST + (os.getpid() * 100 + place) % _COUNT for place in itertools.count())


def free_port() -> int:
    """A port that nobody has, and that no other test is given soon."""
    for port in itertools.islice(_ports, _COUNT):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def until(what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `what` gives as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.01)
    return found


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(") ")[2][0] not in "ZX"


class HubProcess:
    """A data folder, a port, an environment, and whatever hub runs there."""

    def __init__(self, folder: Path | None = None) -> None:
        self._made = folder is None
        self.data = folder or Path(tempfile.mkdtemp(prefix="syn-"))
        self.port = free_port()
        keep = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
        self.env = {name: os.environ[name] for name in keep if name in os.environ}
        self.env |= {
            "SYNAPSE_DATA": str(self.data),
            "SYNAPSE_PORT": str(self.port),
            "USER": "ada",
            "SYNAPSE_WORKSPACE": "house",
            "SYNAPSE_HUB_AGENT_PORTS": "false",  # the agents of many hubs are here at once
            "PYTHONPATH": str(ROOT),
        }
        self.served: list[subprocess.Popen[str]] = []

    # -- commands

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """A command on its way."""
        environ = self.env | options.pop("env", {})
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(
            [*SYNAPSE, *words], env=environ, text=True, cwd=options.pop("cwd", self.data), **options
        )

    def synapse(self, *words: str, timeout: float = PATIENCE, **options: Any) -> "subprocess.CompletedProcess[str]":
        """A command that has ended."""
        process = self.start(*words, **options)
        try:
            said, complained = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return subprocess.CompletedProcess(words, process.returncode, said, complained)

    # -- the hub

    def serve(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """A hub in the foreground, whose doors are open."""
        ready, told = os.pipe()
        process = self.start("serve", "--ready-fd", str(told), *words, pass_fds=(told,), **options)
        self.served.append(process)
        os.close(told)
        with os.fdopen(ready) as file:
            line = file.readline()
        assert line, process.communicate(timeout=5)
        said = json.loads(line)
        assert "socket" in said, said
        return process

    @property
    def told(self) -> dict[str, Any]:
        """What the hub that holds the folder says of itself; {} when there is none."""
        try:
            told: dict[str, Any] = json.loads((self.data / "hub.lock").read_text())
        except (OSError, ValueError):
            return {}
        return told if alive(told["pid"]) else {}

    @property
    def pid(self) -> int:
        return int(self.told.get("pid", 0))

    @property
    def log(self) -> str:
        path = self.data / "hub.log"
        return path.read_text() if path.exists() else ""

    def hubs(self) -> list[int]:
        """All living hubs of this data folder, by their environment."""
        mine = f"SYNAPSE_DATA={self.data}\0".encode()
        found = []
        for place in Path("/proc").iterdir():
            if place.name.isdigit():
                try:
                    words = (place / "cmdline").read_bytes().split(b"\0")
                    if b"serve" in words and mine in (place / "environ").read_bytes() and alive(int(place.name)):
                        found.append(int(place.name))
                except OSError:
                    pass  # it has ended, or is somebody else's
        return found

    def kill(self) -> None:
        """End the hub as a crash does."""
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGKILL)
            until(lambda: not alive(pid))

    def peer(self) -> "LinePeer":
        return LinePeer(self.told["socket"])

    def call(self, verb: str, **params: Any) -> dict[str, Any]:
        """What the hub answers to a verb, or the next hub when it goes meanwhile. What is looked at until it is as it
        should be is asked for in this way: commands, one after another, would take the processor from what they wait for.
        """

        def answered() -> dict[str, Any] | None:
            try:
                with self.peer() as peer:
                    peer.hello(workspace=self.env["SYNAPSE_WORKSPACE"])
                    return peer.ask(verb, **params)
            except (OSError, KeyError, ValueError):
                if not self.pid:
                    self.synapse("who")  # as whoever comes first starts one
                return None

        reply = until(answered)
        assert "result" in reply, (verb, params, reply)
        found: dict[str, Any] = reply["result"]
        return found

    def close(self) -> None:
        for pid in self.hubs():
            os.kill(pid, signal.SIGTERM)
        try:
            until(lambda: not self.hubs(), 5.0)
        except AssertionError:
            for pid in self.hubs():
                os.kill(pid, signal.SIGKILL)
        for process in self.served:
            process.communicate(timeout=10)
        if self._made:
            shutil.rmtree(self.data, ignore_errors=True)


class LinePeer:
    """The other end of a local socket, a line at a time."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> "LinePeer":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def line(self) -> bytes:
        """The next frame as it came; b"" at the end."""
        try:
            return self.file.readline()
        except ConnectionError:
            return b""

    def frame(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.line())
        return found

    def hello(self, **params: Any) -> dict[str, Any]:
        return self.ask("hello", id="hello", **{"user": "ada", "workspace": "house", **params})

    def ask(self, method: str, *, id: Any = 1, **params: Any) -> dict[str, Any]:
        """The answer to one request; notifications before it are passed over."""
        self.send(request(method, id=id, **params))
        while True:
            frame = self.frame()
            if frame.get("id") == id:
                return frame


def request(method: str, *, id: Any = 1, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode() + b"\n"
