"""The tiny client for commands: one line of JSON-RPC up, one line down, on the hub's local socket.

Where SYNAPSE_URL names a hub of another machine, the same frames go by its WebSocket (`far.py`).
"""

import os
from _socket import AF_UNIX, SOCK_STREAM, socket
from time import sleep

from synapse import __version__, paths, settings
from synapse.client.lines import dumps, loads
from synapse.errors import SynapseError, Unavailable, from_status

TYPE_CHECKING = False  # `typing` is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from synapse.client.far import Far

PROTOCOL = 1
PATIENCE = 15.0  # seconds for an answer, beyond those that were asked for
RETRIES = (0.0, 0.1, 0.3, 1.0)  # seconds before the next hub is asked
PASSING = frozenset({"lost", "stopping", "recovering"})  # the next hub may answer, under the same key


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
    """One connection to the hub of this data folder and port, or to the one at a URL.

    `call` is for verbs that change nothing; `change` adds an idempotency key. When the hub ends meanwhile, the next one
    is asked again under the same key, so that the change happens once. `start` says whether a hub may be started. Without
    `url` SYNAPSE_URL counts, "" is the hub of this machine whatever that says; `token` is shown there, else SYNAPSE_TOKEN
    or what SYNAPSE_TOKEN_FILE holds.
    """

    def __init__(
        self, as_name: str = "", workspace: str = "", *, start: bool = True, url: "str | None" = None, token: str = ""
    ) -> None:
        environ = os.environ
        self._hello = identity(as_name, workspace)
        self._start = start and not environ.get("SYNAPSE_AGENT_ID")
        self._data = paths.data_folder()
        self._url = environ.get("SYNAPSE_URL", "") if url is None else url
        if self._url and not (url is None and _runners_own(self._url)):
            from synapse.client.place import find

            self._path, self._token = find(self._url, token)
        else:
            self._path = environ.get("SYNAPSE_SOCKET") or paths.hub_socket(self._data, settings.hub_port())
        self._far: Far | None = None
        self._socket: socket | None = None
        self._buffer = b""
        self._patience = PATIENCE
        self._ids = 0
        self.welcome: dict[str, object] = {}

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        if self._far is not None:
            self._far.close()
            self._far = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def call(self, verb: str, **params: object) -> "dict[str, object]":
        """The reply to a verb; raises the error that the hub answered with, or Unavailable when there is no hub."""
        for pause in RETRIES:
            try:
                return self._ask(verb, params)
            except Unavailable as error:
                if error.code not in PASSING:
                    raise
                self._end()
            sleep(pause)
        return self._ask(verb, params)

    def change(self, verb: str, **params: object) -> "dict[str, object]":
        """The reply to a verb that changes something, asked under a key that makes a retry harmless."""
        return self.call(verb, idempotency_key=params.pop("idempotency_key", None) or os.urandom(12).hex(), **params)

    def notifications(self) -> "Iterator[dict[str, Any]]":
        """The frames that the hub sends by itself, one after the other, until the connection ends."""
        if self._far is not None:
            yield from self._far.notifications()
            return
        if self._socket is not None:
            self._socket.settimeout(None)
        while True:
            try:
                frame = self._line()
            except Unavailable:
                return
            if isinstance(frame, dict) and "method" in frame:
                yield frame

    def _ask(self, verb: str, params: "dict[str, object]") -> "dict[str, object]":
        asked_for = params.get("timeout")
        self._patience = PATIENCE + (float(asked_for) if isinstance(asked_for, int | float) else 0.0)
        if not self._path:
            return self._ask_far(verb, params)
        self._ids += 1
        request = dumps({"jsonrpc": "2.0", "id": self._ids, "method": verb, "params": params})
        if self._socket is not None:
            self._socket.settimeout(self._patience)
            self._send(request)
            return self._reply(self._ids)
        self._connect()
        assert self._socket is not None
        self._socket.settimeout(self._patience)
        self._send(dumps({"jsonrpc": "2.0", "id": 0, "method": "hello", "params": self._hello}) + request)
        try:
            self.welcome = self._reply(0)
        except SynapseError:
            self._end()  # not greeted: nothing else would be answered here
            raise
        return self._reply(self._ids)

    def _ask_far(self, verb: str, params: "dict[str, object]") -> "dict[str, object]":
        if self._far is None:
            from synapse.client.far import Far
            from synapse.client.place import abroad

            try:
                self._far = Far(self._url, self._token, abroad(self._hello))
            except Unavailable as error:
                if self.welcome and error.code == "no_hub":
                    raise Unavailable("lost", error.sentence) from None  # it was there: perhaps it starts again
                raise
            self.welcome = self._far.welcome
        return self._far.ask(verb, params, self._patience)

    def _reply(self, id: int) -> "dict[str, object]":
        while True:
            frame = self._line()
            if not isinstance(frame, dict) or frame.get("id", -1) not in (id, None):
                continue
            if "error" in frame:  # without an id: the hub could not even tell which request it was
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
            raise Unavailable("lost", "The hub went away at once: `synapse logs hub` may say why.")

    def _send(self, content: bytes) -> None:
        assert self._socket is not None
        try:
            self._socket.sendall(content)
        except OSError:
            pass  # what the hub has said before it closed the door is still there to be read

    def _line(self) -> object:
        assert self._socket is not None
        parts = [self._buffer]
        while b"\n" not in parts[-1]:
            try:
                part = self._socket.recv(262144)
            except TimeoutError:
                self._end()
                raise Unavailable(
                    "no_answer", f"The hub has not answered for {self._patience:g} s: is it stopped?"
                ) from None
            except OSError:
                part = b""
            if not part:
                self._end()
                raise Unavailable("lost", "The hub has closed the connection: try again, or see `synapse logs hub`.")
            parts.append(part)
        line, _, self._buffer = b"".join(parts).partition(b"\n")
        return loads(line)

    def _end(self) -> None:
        self.close()
        self._buffer = b""


def _runners_own(url: str) -> bool:
    """Is that what a runner has told its agent, whose hub is behind the socket that it names too?"""
    environ = os.environ
    return "SYNAPSE_SOCKET" in environ and url == f"http://127.0.0.1:{environ.get('SYNAPSE_PORT')}"


def _open(path: str) -> "socket | None":
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(path)
    except PermissionError:
        connection.close()
        why = f"{path} may not be opened: by its rights, or by a sandbox. Ask to run this outside of the sandbox."
        raise Unavailable("no_permission", why) from None
    except OSError as error:
        connection.close()
        if not isinstance(error, FileNotFoundError | ConnectionError):
            raise Unavailable("no_hub", f"{path} cannot be opened: {error.strerror or error}.") from None
        return None
    connection.settimeout(PATIENCE)
    return connection


__all__ = ["Client", "identity"]
