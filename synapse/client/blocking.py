"""The tiny client for commands: one line of JSON-RPC up, one line down, on the hub's local socket."""

import os
from _socket import AF_UNIX, SOCK_STREAM, socket

from synapse import __version__, paths
from synapse.client.lines import dumps, loads
from synapse.errors import Unavailable, from_status

PROTOCOL = 1


def identity(as_name: str = "", workspace: str = "") -> "dict[str, object]":
    """The first line's parameters: who is calling, from where. The hub finds out the rest from the kernel."""
    environ = os.environ
    hello: dict[str, object] = {
        "protocol": PROTOCOL,
        "version": __version__,
        "pid": os.getpid(),
        "as": as_name,
        "agent": environ.get("SYNAPSE_AGENT_ID", ""),
        "user": environ.get("USER") or environ.get("LOGNAME") or "",
        "workspace": workspace or environ.get("SYNAPSE_WORKSPACE", ""),
    }
    if not hello["workspace"]:
        hello["folder"] = paths.project(os.getcwd())
    return hello


class Client:
    """One connection to the hub of this data folder and port.

    `call` is for verbs that change nothing; `change` adds an idempotency key and, when the hub dies meanwhile, asks
    the next one again under it, so that the change happens once. `start` says whether a hub may be started.
    """

    def __init__(self, as_name: str = "", workspace: str = "", *, start: bool = True) -> None:
        self._hello = identity(as_name, workspace)
        self._start = start and not os.environ.get("SYNAPSE_AGENT_ID")
        self._data = paths.data_folder()
        self._path = os.environ.get("SYNAPSE_SOCKET") or paths.hub_socket(self._data, paths.port())
        self._socket: socket | None = None
        self._buffer = b""
        self._ids = 0
        self.welcome: dict[str, object] = {}

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def call(self, verb: str, **params: object) -> "dict[str, object]":
        """The reply to a verb; raises the error that the hub answered with, or Unavailable when there is no hub."""
        try:
            return self._ask(verb, params)
        except _Lost:
            return self._ask(verb, params)

    def change(self, verb: str, **params: object) -> "dict[str, object]":
        """The reply to a verb that changes something, asked under a key that makes a retry harmless."""
        return self.call(verb, idempotency_key=params.pop("idempotency_key", None) or os.urandom(12).hex(), **params)

    def notifications(self) -> "object":
        """The frames that the hub sends by itself, one after the other, until the connection ends."""
        while True:
            try:
                frame = self._line()
            except _Lost:
                return
            if isinstance(frame, dict) and "method" in frame:
                yield frame

    def _ask(self, verb: str, params: "dict[str, object]") -> "dict[str, object]":
        first = b""
        if self._socket is None:
            self._connect()
            first = dumps({"jsonrpc": "2.0", "id": 0, "method": "hello", "params": self._hello})
        self._ids += 1
        self._send(first + dumps({"jsonrpc": "2.0", "id": self._ids, "method": verb, "params": params}))
        if first:
            self.welcome = self._reply(0)
        return self._reply(self._ids)

    def _reply(self, id: int) -> "dict[str, object]":
        while True:
            frame = self._line()
            if not isinstance(frame, dict) or frame.get("id") != id:
                continue
            if "error" in frame:
                error = frame["error"]
                data = error.get("data") or {}
                raise from_status(data.pop("status", 500), data.pop("code", "error"), error["message"], data)
            result: dict[str, object] = frame["result"]
            return result

    # -- the socket

    def _connect(self) -> None:
        self._socket = _open(self._path)
        if self._socket is not None:
            return
        from synapse.client.starting import find_or_start

        self._path = find_or_start(self._data, self._path, start=self._start)
        self._socket = _open(self._path)
        if self._socket is None:
            raise Unavailable("no_hub", "The hub went away at once: `synapse logs hub` may say why.")

    def _send(self, content: bytes) -> None:
        assert self._socket is not None
        try:
            self._socket.sendall(content)
        except OSError:
            self._lost()

    def _line(self) -> object:
        assert self._socket is not None
        parts = [self._buffer]
        while b"\n" not in parts[-1]:
            try:
                part = self._socket.recv(262144)
            except OSError:
                part = b""
            if not part:
                self._lost()
            parts.append(part)
        line, _, self._buffer = b"".join(parts).partition(b"\n")
        return loads(line)

    def _lost(self) -> None:
        self.close()
        self._buffer = b""
        raise _Lost("no_hub", "The hub has closed the connection: try again, or see `synapse logs hub`.")


class _Lost(Unavailable):
    """The connection ended before the answer."""


def _open(path: str) -> "socket | None":
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        return None
    return connection


__all__ = ["Client", "identity"]
