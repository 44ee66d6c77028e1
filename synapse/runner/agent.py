"""One agent: its child, terminal, viewers, status, delivery and line to the hub, wired together."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synapse import names, paths
from synapse.runner import profile as profiles
from synapse.runner.approve import Approvals
from synapse.runner.delivery import Delivery
from synapse.runner.draft import Draft
from synapse.runner.flow import Flow
from synapse.runner.keys import Token, match_key
from synapse.runner.letters import Letters, Message, Turn
from synapse.runner.link import Link
from synapse.runner.press import Press
from synapse.runner.process import Child, ExitStatus
from synapse.runner.profile import Profile
from synapse.runner.queries import DEFAULTS, parse_probe
from synapse.runner.replies import from_screen
from synapse.runner.silence import Silence
from synapse.runner.status import PROCESSING, STOPPED, WAITING, Question, StatusMachine
from synapse.runner.terminal import Terminal
from synapse.runner.viewer import Viewer
from synapse.runner.viewers import Viewers
from synapse.runner.who import start_of

logger = logging.getLogger(__name__)

OWNER_WITHIN = 2.0  # seconds that the child's first output waits for the terminal it was started from
GRACE = 30.0  # seconds between the request to stop and SIGTERM
TERM_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
HANGUP_GRACE = 5.0  # seconds for a program to end by itself when its terminal is gone
PREVIEW = 80  # characters of a task shown in a list
REASONS = {"killed": "It was killed.", "stopped": "It was stopped.", "terminal_closed": "Its terminal was closed."}


@dataclass(frozen=True, slots=True)
class Spec:
    """What a runner is told at its start."""

    words: tuple[str, ...]  # a profile with arguments, or a command line
    cwd: str
    folder: str = ""
    workspace: str = ""
    name: str = ""
    role: str = ""
    skill_set: str = ""
    port: int = 0
    columns: int = 120
    rows: int = 40
    owned: bool = False
    keep: bool = False
    probe: str = ""  # the answers of the person's terminal, in Latin-1
    cursor: tuple[int, ...] = ()
    socket: str = ""

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Spec":
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in told.items()}
        return cls(**values)


class Agent:
    """Runs until its child has ended; makes one with `run`."""

    def __init__(self, spec: Spec, profile: Profile, argv: list[str], data: str) -> None:
        self._spec = spec
        self._profile = profile
        self._argv = argv
        self._data = data
        self._loop = asyncio.get_running_loop()
        self._link = Link(self._joining(), data=data, socket=spec.socket)
        self._draft = Draft()
        self._last_key = 0.0
        self._turn: Turn | None = None
        self._asked: Question | None = None
        self._early: list[dict[str, Any]] = []  # handed over before there was a terminal
        self._link.on_deliver = self._early.append
        self._ended: asyncio.Future[ExitStatus] = self._loop.create_future()
        self._ending: asyncio.Task[Any] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._reason = "exited"
        self._owner_joined = asyncio.Event()

    def _joining(self) -> dict[str, Any]:
        spec, pid = self._spec, os.getpid()
        joining: dict[str, Any] = {
            "profile": self._profile.name if self._profile.command else _profile_name(self._argv[0]),
            "name": spec.name,
            "role": spec.role,
            "skill_set": spec.skill_set,
            "workspace": spec.workspace,
            "folder": "" if spec.workspace else spec.folder,
            "cwd": spec.cwd,
            "pid": pid,
            "pid_start": start_of(pid),
            "ports": self._profile.ports,
            "port": spec.port,
        }
        return joining

    # -- life

    async def run(self, ready: Callable[[dict[str, Any]], None]) -> ExitStatus:
        """Join, start the child, tell `ready`, and see it through to its end."""
        agent = await self._link.open()
        try:
            await self._begin(agent)
        except BaseException:
            await self._leave("not_started", "The program could not be started.")
            raise
        ready({**agent, "socket": str(self._path), "pid": os.getpid(), "child_pid": self._child.pid})
        if self._spec.owned:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._owner_joined.wait(), OWNER_WITHIN)
        self._child.start(self._loop, self._output, self._ended.set_result, self._child_stopped)
        self._status.begin()
        status = await self._ended
        await self._finish(status)
        return status

    async def _begin(self, agent: dict[str, Any]) -> None:
        spec = self._spec
        facts = parse_probe(spec.probe.encode("latin-1")) if spec.probe else DEFAULTS
        self._path = Path(paths.run_folder(self._data)) / f"{os.urandom(4).hex()}.sock"
        self._child = Child.spawn(
            self._argv, cwd=spec.cwd, env=self._environment(agent), columns=spec.columns, rows=spec.rows
        )
        terminal = self._terminal = Terminal(spec.columns, spec.rows, facts=facts)
        viewers = self._viewers = Viewers(self._loop, self._child, terminal, self._path)
        self._flow = Flow(self._loop, self._child, terminal, viewers)
        self._status = StatusMachine(self._loop, self._profile, self._child, terminal)
        self._delivery = Delivery(
            link=self._link, child=self._child, terminal=terminal, viewers=viewers, status=self._status,
            profile=self._profile, letters=Letters(self._profile, self._data),
            draft_empty=lambda: self._draft.empty, last_key=lambda: self._last_key,
        )  # fmt: skip
        press = Press(child=self._child, terminal=terminal, viewers=viewers, profile=self._profile)
        self._approvals = Approvals(link=self._link, status=self._status, press=press, last_key=lambda: self._last_key)
        self._silence = Silence(self._loop, self._status)
        self._connect()
        if len(spec.cursor) == 2:
            viewers.begin_at(*spec.cursor)
        await viewers.open()
        self._introduce()
        self._report()

    def _introduce(self) -> None:
        pid = self._child.pid
        self._link.change("agents.started", child_pid=pid, child_start=start_of(pid), socket=str(self._path))

    def _connect(self) -> None:
        self._flow.on_settled = self._settled
        self._status.on_change = self._changed
        self._delivery.on_turn = self._began
        self._delivery.on_submitted = self._submitted
        self._delivery.on_interrupt = self._interrupted
        self._delivery.on_held = self._report
        self._link.on_deliver = lambda params: self._delivery.offer(Message.of(params))
        for params in self._early:
            self._link.on_deliver(params)
        self._approvals.on_change = self._silence.on_change = self._report
        self._link.on_answer = self._approvals.answer
        self._link.on_command = self._command
        self._link.on_joined = self._introduce
        self._link.on_back = self._back
        self._viewers.on_input = self._typed
        self._child.on_continue = self._status.resumed
        self._viewers.on_change = self._owner_joined.set
        self._viewers.on_owner_gone = self._owner_gone
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            self._loop.add_signal_handler(number, self._end, "stopped", TERM_GRACE)

    def _environment(self, agent: dict[str, Any]) -> dict[str, str]:
        """The child's environment: what its starter had, and who it is."""
        env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        env.setdefault("TERM", "xterm-256color")
        port = self._link.port
        env.update(
            SYNAPSE_AGENT_ID=agent["id"],
            SYNAPSE_AGENT_NAME=agent["name"],
            SYNAPSE_WORKSPACE=agent["workspace"],
            SYNAPSE_URL=f"http://127.0.0.1:{port}",
            SYNAPSE_PORT=str(port),
            SYNAPSE_SOCKET=self._spec.socket,
            SYNAPSE_DATA=self._data,
        )
        env.setdefault("SYNAPSE_COMMAND", profiles.own_command())
        return env

    async def _finish(self, status: ExitStatus) -> None:
        self._flow.catch_up()
        self._status.stopped()
        self._delivery.close()
        await self._viewers.finish(status, self._reason)
        self._keep_screen()
        await self._leave(self._reason, REASONS.get(self._reason) or _ending(status))
        self._child.close()

    async def _leave(self, reason: str, text: str) -> None:
        self._link.change("agents.leave", reason=reason, text=text)
        await self._link.flush(3.0)
        await self._link.close()

    def _keep_screen(self) -> None:
        """What was on its terminal, for `synapse logs` afterwards."""
        path = log_path(self._data, self._link.agent["key"], ".txt")
        try:
            path.write_text("\n".join([*self._terminal.history(), *self._terminal.lines()]).rstrip() + "\n")
            path.chmod(0o600)
        except OSError as error:
            logger.warning("its last screen cannot be kept: %s", error)

    # -- what happens

    def _output(self, data: bytes) -> None:
        self._flow.feed(data)
        self._status.output()
        self._silence.output()

    def _child_stopped(self) -> None:
        self._status.suspended()
        self._viewers.child_stopped()

    def _settled(self) -> None:
        for told in self._terminal.signals():
            self._status.signal(told)
        self._status.settled()
        self._approvals.settled()
        self._delivery.settled()

    def _typed(self, viewer: Viewer, tokens: list[Token]) -> None:
        written = not self._draft.empty
        if self._status.status != WAITING:  # what answers a dialog is no draft
            self._draft.observe(tokens)
        if any(token.kind in ("key", "text", "paste") for token in tokens):
            self._last_key = self._loop.time()
        entered = any(match_key(token, key) for token in tokens for key in ("enter", "ctrl-j"))
        if entered and not self._profile.patterns and self._status.idle:
            self._status.submitted()  # a person has given it something to do
        if (entered or written) and self._draft.empty:
            self._delivery.poke()

    def _changed(self, before: str) -> None:
        status = self._status.status
        logger.info("%s -> %s (%s)", before, status, self._status.source)
        self._approvals.look()
        self._silence.look()
        if self._status.idle and before in (PROCESSING, WAITING):
            self._answered()
        elif status == WAITING:
            self._ask()
        elif before == WAITING and status == PROCESSING:
            self._resume()
        self._report()
        self._delivery.poke()

    def _began(self, turn: Turn) -> None:
        self._turn = turn
        self._asked = None

    def _submitted(self, turn: Turn, seen: bool) -> None:
        """The message was submitted (or nobody can say so); the program may have answered meanwhile."""
        turn.delivered = seen
        if not seen:
            self._turn = None
        elif self._status.idle:
            self._answered()
        elif self._status.status == WAITING:
            self._ask()

    def _interrupted(self) -> None:
        """What it was at is over, whatever it still says of it."""
        turn = self._turn
        if turn is None or not turn.delivered:
            return
        self._turn = None
        if turn.message.task:
            self._link.change("tasks.cancel", task=turn.message.task, reason="It was interrupted.")

    def _ask(self) -> None:
        question, turn = self._status.question, self._turn
        if question is None or turn is None or not turn.delivered or question == self._asked:
            return
        self._asked = question
        if turn.message.task:
            self._link.change("tasks.ask", task=turn.message.task, question=question.text, choices=question.choices)

    def _resume(self) -> None:
        turn, asked, self._asked = self._turn, self._asked, None
        if turn is not None and asked is not None and turn.message.task:
            self._link.change("tasks.resume", task=turn.message.task)

    def _answered(self) -> None:
        """The program is ready again: what it said is the answer, if it has not given one by `synapse reply`."""
        turn = self._turn
        if turn is None or not turn.delivered:
            return  # it is not said yet that it was submitted: that comes first
        self._turn = None
        if turn.message.task:
            text = from_screen(self._profile, self._terminal, turn)
            self._link.change("tasks.complete", task=turn.message.task, text=text, source="screen" if text else "none")

    def _report(self) -> None:
        status, question, turn = self._status, self._status.question, self._turn
        live: dict[str, Any] = {
            "status": status.status,
            "source": status.source,
            "since": _wall(self._loop, status.since),
        }
        if turn is not None:
            live["preview"] = turn.message.text[:PREVIEW]
        if question is not None:
            live["question"], live["choices"] = question.text, list(question.choices)
        live.update(self._approvals.live())
        if self._silence.since:
            live["quiet_since"] = _wall(self._loop, self._silence.since)
        if self._delivery.holding:
            live["holding"] = str(self._delivery.holding)
        self._link.report(**live)

    def _back(self) -> None:
        """A hub is there again: what was handed over is handed over again."""
        self._delivery.forget()
        self._loop.create_task(self._viewers.ensure())

    # -- what is asked of it

    def _command(self, command: str) -> None:
        if command == "interrupt":
            self._loop.create_task(self._delivery.interrupt())
        elif command == "stop":
            self._stop_kindly()
        elif command == "kill":
            self._end("killed", 1.0)

    def _stop_kindly(self) -> None:
        """Ask it in its own way, then as a terminal does that is closed, then by SIGTERM, at last by SIGKILL."""
        if self._reason != "exited":
            return
        self._reason = "stopped"
        if self._profile.stop_text and self._status.idle and self._draft.empty:
            self._stopping = self._loop.create_task(self._delivery.command(self._profile.stop_text))
            self._loop.call_later(GRACE, self._hang_up)
        else:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._status.status != STOPPED:
            self._child.hangup()
            self._loop.call_later(HANGUP_GRACE, self._end, self._reason, TERM_GRACE)

    def _end(self, reason: str, grace: float) -> None:
        if self._status.status == STOPPED:
            return
        self._reason = reason
        if self._ending is not None:
            self._ending.cancel()  # more pressing now
        self._ending = self._loop.create_task(self._child.terminate(grace))

    def _owner_gone(self) -> None:
        """The terminal of `synapse run` was closed."""
        if not self._spec.keep and self._reason == "exited":
            self._reason = "terminal_closed"
            self._hang_up()


def _ending(status: ExitStatus) -> str:
    if status.signal is None:
        return f"It ended with exit status {status.code}."
    return f"It was ended by signal {status.signal} ({signal.Signals(status.signal).name})."


def _profile_name(program: str) -> str:
    return names.fit(os.path.basename(program), profiles.GENERIC)


def _wall(loop: asyncio.AbstractEventLoop, moment: float) -> float:
    """A time of the loop as seconds since 1970."""
    return time.time() - (loop.time() - moment)


def log_path(data: str, key: str, ending: str) -> Path:
    """Where an agent's log, or its last screen, lies."""
    folder = os.path.join(data, "logs")
    paths.make_private(folder)
    return Path(folder) / f"{key}{ending}"
