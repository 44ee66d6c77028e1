"""What the agent has said so far in this turn, told while somebody watches; else nothing of it is computed."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from synapse.runner.letters import Turn
from synapse.runner.link import Link
from synapse.runner.profile import Profile
from synapse.runner.replies import from_screen
from synapse.runner.terminal import Terminal
from synapse.runner.turns import Turns

logger = logging.getLogger(__name__)

EVERY = 0.2  # seconds between two looks, at the least
SHARE = 25  # a look that took long is followed by as many times as long without one
PACE = 1_000_000  # characters told in a second, at the most


class Output:
    """Looks at the screen when it has settled, and tells what is new of the answer."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, link: Link, profile: Profile, terminal: Terminal, turns: Turns,
        prompted: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._loop = loop
        self._link = link
        self._profile = profile
        self._terminal = terminal
        self._turns = turns
        self._prompted = prompted  # may a prompt stand there? Else what looks like one is output
        self._watched = ""  # the task
        self._told = ""
        self._next = 0.0  # when it may be looked at again
        self._timer: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[dict[str, Any]] | None = None
        self._more = False  # something was written while it was told

    def watch(self, params: dict[str, Any]) -> None:
        """The hub says whether somebody watches a task; asked again, everything is told once more."""
        task = str(params.get("task", ""))
        if params.get("on"):
            self._watched, self._told = task, ""
            self.settled()
        elif task == self._watched:
            self.forget()

    def forget(self) -> None:
        """Nobody watches; also when the hub that said so is gone."""
        self._watched = self._told = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def settled(self) -> None:
        """The screen shows all that has been written."""
        turn = self._turns.current
        if not self._watched or turn is None or turn.message.task != self._watched or not turn.delivered:
            return
        if self._telling is not None:
            self._more = True
        elif self._timer is None:
            wait = self._next - self._loop.time()
            if wait > 0:
                self._timer = self._loop.call_later(wait, self._later)
            else:
                self._look(turn)

    def _later(self) -> None:
        self._timer = None
        self.settled()

    def _look(self, turn: Turn) -> None:
        began, pace = self._loop.time(), 0.0
        text = from_screen(self._profile, self._terminal, turn, self._prompted())
        if text and text != self._told:
            append = bool(self._told) and text.startswith(self._told)
            news = text[len(self._told) :] if append else text
            self._told, pace = text, len(news) / PACE
            telling = self._link.ask("tasks.output", task=self._watched, text=news, append=append)
            self._telling = self._loop.create_task(telling)
            self._telling.add_done_callback(partial(self._heard, self._watched))
        now = self._loop.time()
        self._next = max(began + max(EVERY, pace), now + SHARE * (now - began))

    def _heard(self, task: str, telling: "asyncio.Task[dict[str, Any]]") -> None:
        """The hub has taken it: what came meanwhile is next."""
        self._telling, more, self._more = None, self._more, False
        if telling.cancelled():
            return
        error = telling.exception()
        if error is not None:
            logger.debug("what was said so far was not heard: %s", error)
            if task == self._watched:
                self.forget()  # a hub that still wants it says so again
        elif more:
            self.settled()
