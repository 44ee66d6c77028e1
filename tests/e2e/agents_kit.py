"""A house with agents in it: a hub, demo agents and other programs in their terminals, and people who look at them."""

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.core.runner.attached import Glass
from tests.e2e.hubs import SYNAPSE, HubProcess, alive, until

SOON = 15.0  # seconds


def gate(file: Path) -> str:
    """What a shell runs to wait until this file is there."""
    return f"until [ -e {file} ]; do sleep 0.1; done"


class House(HubProcess):
    """Starts agents and looks at them; `close` ends whatever of it is still there, by process number."""

    def __init__(self) -> None:
        super().__init__()
        self.env |= {"TERM": "xterm-256color", "SYNAPSE_WORKSPACE": "house", "SHELL": "/bin/bash", "LANG": "C.UTF-8"}
        self.env |= {"PS1": "$ ", "HOME": str(self.data), "SYNAPSE_AGENT_SAVE_PROMPT_ENABLED": "false"}
        self.env["SYNAPSE_INSTRUCTIONS_ENABLED"] = "false"  # a test of them says otherwise
        self.processes: set[int] = set()
        self._glasses: list[Glass] = []

    def synapse(
        self, *words: str, timeout: float = 30.0, input: str | None = None, **options: Any
    ) -> "subprocess.CompletedProcess[str]":
        """A command that has ended; `input` is what it reads."""
        if input is not None:
            options["stdin"] = subprocess.PIPE
        process = self.start(*words, **options)
        try:
            said, complained = process.communicate(input, timeout=timeout)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        return subprocess.CompletedProcess(words, process.returncode, said, complained)

    @property
    def program(self) -> str:
        """How a shell calls the command."""
        return shlex.join(SYNAPSE)

    def profile(self, name: str, text: str) -> None:
        """A profile of the user's own."""
        folder = self.data / ".config" / "synapse" / "profiles"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.toml").write_text(text)

    # -- agents

    def agent(self, name: str, *words: str, ready: bool = True, options: Sequence[str] = ()) -> dict[str, Any]:
        """A started agent; by default once it is ready."""
        done = self.synapse("start", "--json", "--name", name, *options, *(words or ("demo",)))
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        self.processes |= {told["pid"], told["child_pid"]}
        if ready:
            self.becomes(name, "READY")
        return told

    def send(self, to: str, text: str, *options: str, **more: Any) -> str:
        """The answer to a text."""
        done = self.synapse("send", to, "--stdin", "--wait", *options, input=text, **more)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout.removesuffix("\n")

    def queue(self, to: str, text: str, *options: str) -> str:
        """The id of a message that was accepted."""
        done = self.synapse("send", to, "--stdin", "--json", *options, input=text)
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["id"])

    def ask(self, *words: str) -> Any:
        """What a command says in JSON."""
        done = self.synapse(*words, "--json")
        assert done.returncode == 0, (words, done.stderr)
        return json.loads(done.stdout)

    def status(self, name: str) -> dict[str, Any]:
        """What the hub knows of an agent."""
        return self.call("agents.show", target=name)

    def waiting(self) -> list[dict[str, Any]]:
        """What waits for a person."""
        found: list[dict[str, Any]] = self.call("attention.waiting", workspace="*").get("items", [])
        return found

    def events(self, last: int = 100) -> list[dict[str, Any]]:
        """What is newest in the log."""
        found: list[dict[str, Any]] = self.call("events.page", last=last).get("events", [])
        return found

    def becomes(self, name: str, *statuses: str, seconds: float = SOON) -> dict[str, Any]:
        """Wait until it has one of these statuses; READY is DONE as well."""
        wanted = {*statuses, *(["DONE"] if "READY" in statuses else [])}
        seen: list[Any] = []

        def there() -> dict[str, Any] | None:
            live: dict[str, Any] = self.status(name)["live"]
            seen.append((live["status"], live.get("source")))
            return live if live["status"] in wanted else None

        try:
            found: dict[str, Any] = until(there, seconds)
        except AssertionError:
            told = [(event["kind"], event["body"].get("reason", "")) for event in self.events(20)]
            raise AssertionError(f"{name} was never {statuses}, but {seen[-5:]}, after {told}") from None
        return found

    def task(self, id: str, *states: str) -> dict[str, Any]:
        """A task once it is in one of these states (by default: once it has ended)."""
        wanted = states or ("completed", "failed", "canceled", "rejected")
        seen: dict[str, Any] = {}

        def there() -> bool:
            seen.update(self.call("history.show", task=id))
            return seen["state"] in wanted

        until(there, SOON)
        return seen

    def screen(self, name: str) -> str:
        """What stands in an agent's terminal, its past included, after it has ended."""
        keys = {agent["name"]: agent["key"] for agent in self.ask("list")}
        key = keys[name]
        self.synapse("stop", name)
        return (self.data / "logs" / f"{key}.txt").read_text()

    def answer_of_command(self, name: str, command: str) -> str:
        """What a command prints that a demo agent runs, with a person's consent."""
        task = self.queue(name, f"RUN {command}")
        self.task(task, "input-required")
        glass = self.attach(name)
        glass.shows("1. Yes")
        glass.type("1")
        answer = str(self.task(task)["answer"])
        glass.close()
        return answer

    def names(self) -> list[str]:
        """Who is in the list."""
        return sorted(agent["name"] for agent in self.call("agents.list").get("agents", []))

    # -- people

    def glass(
        self,
        *words: str,
        columns: int = 80,
        rows: int = 24,
        env: dict[str, str] | None = None,
        program: Sequence[str] = SYNAPSE,
    ) -> Glass:
        """A terminal with a command in it."""
        settings = [f"{name}={value}" for name, value in (self.env | (env or {})).items()]
        glass = Glass(["env", "-i", "-C", str(self.data), *settings, *program, *words], columns, rows)
        self._glasses.append(glass)
        return glass

    def attach(self, name: str, columns: int = 80, rows: int = 24) -> Glass:
        """A person who looks at an agent."""
        return self.glass("attach", name, columns=columns, rows=rows)

    # -- the end

    def leave(self) -> None:
        """All people look away."""
        for glass in self._glasses:
            glass.close()
        self._glasses.clear()

    def mine(self) -> list[int]:
        """All processes of this data folder."""
        sign = f"SYNAPSE_DATA={self.data}\0".encode()
        found = []
        for place in Path("/proc").iterdir():
            try:
                if place.name.isdigit() and sign in (place / "environ").read_bytes() and alive(int(place.name)):
                    found.append(int(place.name))
            except OSError:
                pass  # it has ended, or is somebody else's
        return found

    def close(self) -> None:
        self.leave()
        deadline = time.monotonic() + SOON
        while (left := {*self.mine(), *filter(alive, self.processes)}) and time.monotonic() < deadline:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # it was quicker
            time.sleep(0.01)
        super().close()
