"""Agents elsewhere for tests: the SDK's, as processes, and servers that say just what a test wants."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.e2e.hubs import HubProcess, alive, free_port, until

PROGRAM = Path(__file__).with_name("sdk_agent.py")


class SdkAgent:
    """An agent of the official SDK in a process of its own; `kind` is jsonrpc, rest or old."""

    def __init__(self, folder: Path, kind: str, *words: str, port: int = 0) -> None:
        self.port = port or free_port()
        self.kind = kind
        self._words = words
        self._log = folder / f"{kind}-{self.port}.jsonl"
        self._log.touch()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        words = [sys.executable, str(PROGRAM), str(self.port), self.kind, "--log", str(self._log), *self._words]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._listens)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the agent of the SDK did not start"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def messages(self, id: str = "") -> list[dict[str, Any]]:
        """What it was sent, in order; all, or those of an id."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [line for line in lines if "messageId" in line and line["messageId"].startswith(id)]

    def canceled(self) -> list[str]:
        """The tasks (as it calls them) that it was told to call off."""
        return [line["canceled"] for line in map(json.loads, self._log.read_text().splitlines()) if "canceled" in line]

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


class Says:
    """A server that answers each request as `answer(method, path, headers, body)` says: status, headers, body."""

    def __init__(self, answer: Callable[[str, str, dict[str, str], bytes], tuple[int, dict[str, str], bytes]]) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.asked.append((self.command, self.path, dict(self.headers), body))
                status, headers, content = answer(self.command, self.path, dict(self.headers), body)
                if status == 0:  # it breaks off
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = _any  # noqa: N815 - its base class calls them so
            do_POST = _any  # noqa: N815

            def log_message(self, *words: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def posted(self) -> list[dict[str, Any]]:
        """The JSON of what was posted, in order."""
        return [json.loads(body) for method, _, _, body in self.asked if method == "POST"]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def card(url: str, **more: Any) -> bytes:
    """A card of 1.0 whose interface lies at a URL."""
    told = {
        "name": "Odd Agent",
        "description": "says what a test wants",
        "supportedInterfaces": [{"url": f"{url}/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "version": "1",
        "capabilities": {},
        "skills": [],
    }
    return json.dumps(told | more).encode()


def ask(hub: HubProcess, *words: str) -> Any:
    """What a command says in JSON."""
    done = hub.synapse(*words, "--json")
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return json.loads(done.stdout)


def send(hub: HubProcess, to: str, text: str, *words: str) -> str:
    """The id of the task that a message became."""
    return str(ask(hub, "send", to, text, *words)["task_id"])


def task(hub: HubProcess, id: str, *states: str, seconds: float = 20.0) -> dict[str, Any]:
    """A task once it is in one of these states (by default: once it has ended)."""
    wanted = states or ("completed", "failed", "canceled", "rejected")
    seen: dict[str, Any] = {}

    def there() -> bool:
        seen.update(hub.call("history.show", task=id))
        return seen["state"] in wanted

    try:
        until(there, seconds)
    except AssertionError:
        raise AssertionError(f"never {wanted}, but {seen}") from None
    return seen


def kill_hub(hub: HubProcess) -> None:
    """The hub ends as by a crash."""
    pid = hub.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid))
