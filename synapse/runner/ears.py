"""Everything by which a program tells its runner of itself: hooks, streams, and what it tells its terminal."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synapse.runner.events import Listener
from synapse.runner.hooks import Hooks
from synapse.runner.profile import Profile
from synapse.runner.rules import Hearing, Told
from synapse.runner.streams import Follower
from synapse.runner.terminal import Signal

logger = logging.getLogger(__name__)


class Ears:
    """Calls `on_told` with each report that means something. `values` also get the `session` and its `record`."""

    def __init__(self, profile: Profile, path: Path, values: dict[str, str]) -> None:
        self.on_told: Callable[[Told], None] = lambda told: None
        self.path = path
        self._profile = profile
        self._values = values
        self._hearing = Hearing(profile.heeded, profile.session)
        self._hooks = Hooks(path, lambda event, fields: self.heard("hook", event, fields))
        self._wants_hooks = any(rule.source == "hook" for rule in profile.rules)
        self._followers: list[Follower | Listener] = []

    @property
    def session(self) -> str:
        """The program's own id of its conversation, once it has said it."""
        return self._hearing.session

    async def open(self) -> None:
        """Listen: before the program starts."""
        if self._wants_hooks:
            await self._hooks.open()
        for name, stream in self._profile.streams.items():
            kind = Listener if stream.url else Follower
            self._followers.append(kind(name, stream, self._values, self.heard))

    def close(self) -> None:
        self._hooks.close()
        for follower in self._followers:
            follower.close()

    async def ensure(self) -> None:
        """Listen again if the socket's file is gone."""
        await self._hooks.ensure()

    def typed(self, text: str) -> None:
        """This is typed now: a report that quotes it is of the agent's own session."""
        self._hearing.typed(text)

    def output(self) -> None:
        """The program has written something to its terminal."""
        for follower in self._followers:
            if isinstance(follower, Follower):
                follower.wake()

    def rested(self) -> None:
        """The agent is seen to rest."""
        self._hearing.rested()

    def terminal(self, signals: list[Signal]) -> None:
        """What the program told its terminal."""
        for signal in signals:
            for told in self._hearing.terminal(signal):
                self.on_told(told)

    def heard(self, source: str, event: str, fields: Mapping[str, Any]) -> None:
        """A hook's report, or an event of a stream."""
        logger.debug("%s %s: %s", source, event, fields)
        for told in self._hearing.report(source, event, fields):
            if self._hearing.session:
                self._values["session"] = self._hearing.session
            if self._hearing.file:
                self._values["record"] = self._hearing.file
            self.on_told(told)
