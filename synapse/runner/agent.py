"""One agent: its child, terminal, viewers, status, delivery and line to the hub, wired together."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synapse import paths
from synapse.runner.approve import Approvals
from synapse.runner.beginning import Beginning, ended_at_once
from synapse.runner.delivery import Delivery
from synapse.runner.draft import Draft
from synapse.runner.ears import Ears
from synapse.runner.first_words import first_words
from synapse.runner.flow import Flow
from synapse.runner.identity import environment, joining
from synapse.runner.keys import Token, match_key
from synapse.runner.letters import Letters, Message, Turn
from synapse.runner.link import Link
from synapse.runner.notice import notice
from synapse.runner.output import Output
from synapse.runner.press import Press
from synapse.runner.process import Child, ExitStatus
from synapse.runner.profile import Profile
from synapse.runner.queries import DEFAULTS, parse_probe
from synapse.runner.records import Reader
from synapse.runner.rules import Told
from synapse.runner.silence import Silence
from synapse.runner.spec import Spec, keep_screen
from synapse.runner.start import HOOK_SOCKET, Prepared, forget_old, prepare
from synapse.runner.status import WAITING, StatusMachine
from synapse.runner.stopping import REASONS, TERM_GRACE, Stopping, ending
from synapse.runner.terminal import Terminal
from synapse.runner.turns import Turns
from synapse.runner.viewer import Viewer
from synapse.runner.viewers import Viewers
from synapse.runner.who import start_of

logger = logging.getLogger(__name__)

OWNER_WITHIN = 2.0  # seconds that the child's first output waits for the terminal it was started from
GIVEN_BACK_WITHIN = 2.0  # seconds for an interrupted program to put what it was sent into its composer again
PREVIEW = 80  # characters of a task shown in a list


class Agent:
    """Runs until its child has ended; makes one with `run`."""

    def __init__(self, spec: Spec, profile: Profile, argv: list[str], data: str) -> None:
        self._spec = spec
        self._profile = profile
        self._argv = argv
        self._data = data
        self._loop = asyncio.get_running_loop()
        self._link = Link(joining(spec, profile, argv[0]), data=data, socket=spec.socket)
        self._beginning = Beginning()
        self._draft = Draft()
        self._last_key = 0.0
        self._interrupted = -GIVEN_BACK_WITHIN  # when a person last did so
        self._early: list[dict[str, Any]] = []  # handed over before there was a terminal
        self._link.on_deliver = self._early.append
        self._ended: asyncio.Future[ExitStatus] = self._loop.create_future()
        self._typing: asyncio.Task[None] | None = None
        self._prepared: Prepared | None = None
        self._owner_joined = asyncio.Event()

    # -- life

    async def run(self, begun: Callable[[str], None], ready: Callable[[dict[str, Any]], None]) -> ExitStatus:
        """Join, start the child (`begun`), tell `ready` when it can be attached or has stayed, see it through to its end.

        Refused when nobody looks at it and it ends at once.
        """
        agent = await self._link.open()
        try:
            await self._begin(agent)
        except BaseException:
            self._clear()
            await self._leave("not_started", "The program could not be started.")
            raise
        begun(agent["key"])
        known = {**agent, "socket": str(self._path), "pid": os.getpid(), "child_pid": self._child.pid}
        if self._spec.owned:
            ready(known)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._owner_joined.wait(), OWNER_WITHIN)
        self._child.start(self._loop, self._output, self._ended.set_result, self._child_stopped)
        self._status.begin()
        stays = self._spec.owned or await self._beginning.stays(self._ended)
        if stays and not self._spec.owned:
            ready(known)
        status = await self._ended
        await self._finish(status)
        if not stays:
            raise ended_at_once(os.path.basename(self._argv[0]), status, self._terminal.lines())
        return status

    async def _begin(self, agent: dict[str, Any]) -> None:
        spec = self._spec
        facts = parse_probe(spec.probe.encode("latin-1")) if spec.probe else DEFAULTS
        self._path = Path(paths.run_folder(self._data)) / f"{os.urandom(4).hex()}.sock"
        env = environment(agent, port=self._link.port, socket=spec.socket, data=self._data)
        prepared = self._prepared = self._prepare(env, agent["key"])
        if not prepared.active:
            self._profile = self._profile.unaided()
        self._ears = Ears(self._profile, self._path.with_suffix(".hook"), prepared.values)
        await self._ears.open()
        env |= {**prepared.env, HOOK_SOCKET: str(self._ears.path)}
        self._child = Child.spawn(prepared.argv, cwd=spec.cwd, env=env, columns=spec.columns, rows=spec.rows)
        terminal = self._terminal = Terminal(spec.columns, spec.rows, facts=facts)
        viewers = self._viewers = Viewers(self._loop, self._child, terminal, self._path)
        self._flow = Flow(self._loop, self._child, terminal, viewers)
        self._status = StatusMachine(self._loop, self._profile, self._child, terminal)
        self._delivery = Delivery(
            link=self._link, child=self._child, terminal=terminal, viewers=viewers, status=self._status,
            profile=self._profile, letters=Letters(self._profile, self._data, agent["key"]),
            draft_empty=lambda: self._draft.empty, last_key=lambda: self._last_key, handing=lambda: self._turns.handing,
        )  # fmt: skip
        reader = Reader(self._profile.record, prepared.values) if self._profile.record else None
        self._turns = Turns(
            link=self._link, profile=self._profile, terminal=terminal, status=self._status, reader=reader
        )
        self._said = Output(
            self._loop, link=self._link, profile=self._profile, terminal=terminal, turns=self._turns,
            prompted=lambda: self._status.prompted,
        )  # fmt: skip
        self._stopping = Stopping(self._loop, self._child, self._ask_to_stop)
        press = Press(
            child=self._child, terminal=terminal, viewers=viewers, profile=self._profile, values=prepared.values
        )
        self._approvals = Approvals(link=self._link, status=self._status, press=press, last_key=lambda: self._last_key)
        self._silence = Silence(self._loop, self._status)
        own = len(self._argv) - len(spec.words) + 1
        self._delivery.introduce(first_words(spec, self._profile, self._argv[own:], agent), self._ears.typed)
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
        self._ears.on_told = self._told
        self._turns.on_handed_in = self._delivery.poke
        self._delivery.on_turn = self._began
        self._delivery.on_submitted = self._submitted
        self._delivery.on_interrupt = self._turns.interrupted
        self._delivery.on_held = self._report
        self._link.on_deliver = lambda params: self._delivery.offer(Message.of(params))
        for params in self._early:
            self._link.on_deliver(params)
        self._approvals.on_change = self._silence.on_change = self._report
        self._link.on_answer = self._approvals.answer
        self._link.on_notice = lambda params: self._viewers.personal(notice(params))
        self._link.on_watch = self._said.watch
        self._link.on_command = self._command
        self._link.on_joined = self._introduce
        self._link.on_back = self._back
        self._viewers.on_input = self._typed
        self._child.on_continue = self._status.resumed
        self._viewers.on_change = self._looked_at
        self._viewers.on_owner_gone = self._owner_gone
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stopping.now, "stopped", TERM_GRACE)

    def _prepare(self, env: dict[str, str], key: str) -> Prepared:
        """What the profile gives the program at its start."""
        spec, profile = self._spec, self._profile
        own = len(self._argv) - len(spec.words) + 1  # the person's words stand behind the command's own
        forget_old(self._data)
        return prepare(profile.start, self._argv, own, cwd=spec.cwd, data=self._data, key=key, env=env)

    async def _finish(self, status: ExitStatus) -> None:
        self._flow.catch_up()
        self._stopping.over()
        self._status.stopped()
        self._delivery.close()
        self._turns.close()
        self._said.forget()
        self._ears.close()
        await self._viewers.finish(status, self._stopping.reason)
        keep_screen(self._data, self._link.agent["key"], self._terminal)
        await self._stopping.done()
        reason = self._stopping.reason
        await self._leave(reason, REASONS.get(reason) or ending(status))
        self._child.close()
        self._clear()

    def _clear(self) -> None:
        if self._prepared is not None:
            self._prepared.clear()
            with contextlib.suppress(OSError):  # there never was one, or a letter lies there for an hour
                os.rmdir(paths.letters_folder(self._data, self._prepared.folder.name))

    async def _leave(self, reason: str, text: str) -> None:
        self._link.change("agents.leave", reason=reason, text=text)
        await self._link.flush(3.0)
        await self._link.close()

    # -- what happens

    def _output(self, data: bytes) -> None:
        self._beginning.output()
        self._ears.output()
        self._flow.feed(data)
        self._status.output()
        self._silence.output()

    def _child_stopped(self) -> None:
        self._status.suspended()
        self._viewers.child_stopped()

    def _settled(self) -> None:
        self._ears.terminal(self._terminal.signals())
        self._status.settled()
        if self._loop.time() - self._interrupted < GIVEN_BACK_WITHIN and self._delivery.given_back:
            self._draft.given_back()
        self._approvals.settled()
        self._delivery.settled()
        self._said.settled()

    def _began(self, turn: Turn) -> None:
        self._ears.typed(turn.typed)
        self._turns.began(turn)

    def _submitted(self, turn: Turn, seen: bool) -> None:
        self._turns.submitted(turn, seen)
        self._said.settled()

    def _told(self, told: Told) -> None:
        """The program has reported something by itself."""
        self._turns.told(told)
        self._status.told(told)
        if self._ears.session != self._link.told("session"):
            self._report()
        self._delivery.wake()

    def _typed(self, viewer: Viewer, tokens: list[Token]) -> None:
        status, written = self._status, not self._draft.empty
        goes_on = written and not self._profile.patterns
        early = not (written or status.idle) and status.asks() is not None  # a dialog that is told in a moment
        if not (status.status == WAITING or early) or goes_on:  # what answers a dialog is no draft
            self._draft.observe(tokens)
        if any(token.kind in ("key", "text", "paste") for token in tokens):
            self._last_key = self._loop.time()
        entered = any(match_key(token, key) for token in tokens for key in ("enter", "ctrl-j"))
        if any(_presses(token, key) for token in tokens for key in self._profile.interrupt):
            self._status.interrupted()
            self._interrupted = self._loop.time()
            self._draft.interrupted()
        if entered and not self._profile.patterns and self._status.idle:
            self._status.submitted()  # a person has given it something to do
        if (entered or written) and self._draft.empty:
            self._delivery.poke()

    def _looked_at(self) -> None:
        """Somebody looks, or looks away."""
        self._owner_joined.set()
        self._report()

    def _changed(self, before: str) -> None:
        status = self._status.status
        logger.info("%s -> %s (%s)", before, status, self._status.source)
        if self._status.idle:
            self._ears.rested()
        self._approvals.look()
        self._silence.look()
        self._turns.changed(before)
        self._report()
        self._delivery.poke()

    def _report(self) -> None:
        status, question, turn = self._status, self._status.question, self._turns.current
        live: dict[str, Any] = {
            "status": status.status,
            "source": status.source,
            "since": _wall(self._loop, status.since),
        }
        if turn is not None:
            live["preview"] = turn.message.text[:PREVIEW]
        if question is not None:
            live["question"], live["choices"] = question.text, list(question.choices)
        if self._ears.session:
            live["session"] = self._ears.session
        if status.silent:
            live["silent"] = list(status.silent)
        if self._viewers.driver is not None:
            live["viewed"] = True
        live.update(self._approvals.live())
        if self._silence.since:
            live["quiet_since"] = _wall(self._loop, self._silence.since)
        if self._delivery.holding:
            live["holding"] = str(self._delivery.holding)
        self._link.report(**live)

    def _back(self) -> None:
        """A hub is there again: what was handed over is handed over again."""
        self._delivery.forget()
        self._said.forget()
        self._loop.create_task(self._viewers.ensure())
        self._loop.create_task(self._ears.ensure())

    # -- what is asked of it

    def _command(self, command: str) -> None:
        if command == "interrupt":
            self._loop.create_task(self._delivery.interrupt())
        elif command == "stop":
            self._stopping.kindly()
        elif command == "kill":
            self._stopping.now("killed", 1.0)

    def _ask_to_stop(self) -> bool:
        """Type the program's own command for it, when it can be typed now."""
        text = self._profile.stop_text
        if not text or not self._status.idle or not self._draft.empty:
            return False
        self._typing = self._loop.create_task(self._delivery.command(text))
        return True

    def _owner_gone(self) -> None:
        if not self._spec.keep:
            self._stopping.terminal_closed()


def _presses(token: Token, key: str) -> bool:
    named = {"\x1b": "escape", "\x03": "ctrl-c"}.get(key)
    return token.data == key.encode() or (named is not None and match_key(token, named))


def _wall(loop: asyncio.AbstractEventLoop, moment: float) -> float:
    """A time of the loop as seconds since 1970."""
    return time.time() - (loop.time() - moment)
