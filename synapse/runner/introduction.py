"""Types an agent's first words: once, as a message is typed, but that nobody waits for what becomes of them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from synapse.runner.composer import Composer
from synapse.runner.process import Child
from synapse.runner.profile import Profile
from synapse.runner.status import PROCESSING, StatusMachine

logger = logging.getLogger(__name__)

ECHO_WITHIN = 8.0  # seconds for the text to show, and for a program that still starts to take it
AGAIN_AFTER = 1.0  # seconds for Enter to have an effect, before it is pressed once more
BEGUN_WITHIN = 4.0  # seconds for the program to begin with it, before messages go on


class Introduction:
    """The way of the first words into the terminal.

    `until` waits for a condition on screen or status, at most so many seconds; `unsafe` says that Enter would do
    something else now, for a person writes or a dialog is open. `on_typed` is called before they are submitted.
    """

    def __init__(
        self, *, child: Child, status: StatusMachine, profile: Profile, composer: Composer, unsafe: Callable[[], bool],
        until: Callable[[Callable[[], bool], float], Awaitable[bool]],
    ) -> None:  # fmt: skip
        self.on_typed: Callable[[str], None] = lambda text: None
        self._loop = asyncio.get_running_loop()
        self._child = child
        self._status = status
        self._profile = profile
        self._composer = composer
        self._unsafe = unsafe
        self._until = until

    async def type(self, text: str, keys: bytes) -> bool:
        """Type and submit the text, which these keys write; False when it was not taken, and is taken back."""
        prompt = self._composer.prompt()
        if not self._child.write(keys):
            return False
        await self._until(lambda: self._unsafe() or self._composer.holds(text), ECHO_WITHIN)
        if not self._unsafe():
            await asyncio.sleep(self._profile.pause)
        shown = not self._unsafe() and self._composer.holds(text)
        if shown:
            self.on_typed(text)
            if await self._submit(text, prompt):
                return True
            self._status.unsubmitted()
        logger.warning(
            "it could not be told who it is: %s", "Enter had no effect" if shown else "the line did not show"
        )
        if not self._unsafe():
            self._child.write(self._profile.clear.encode())
        return False

    async def _submit(self, text: str, prompt: str) -> bool:
        pressed = self._loop.time()
        self._status.submitted()

        def taken() -> bool:
            return self._status.taken(text, pressed) or self._composer.let_go(text, prompt)

        self._child.write(self._profile.enter.encode())
        seen = await self._until(taken, AGAIN_AFTER)
        if not seen:
            if self._profile.again and self._composer.holds(text) and not self._unsafe():
                self._child.write(self._profile.enter.encode())
            seen = await self._until(taken, ECHO_WITHIN)
        if seen:
            self._status.reacted()
        return seen

    async def begun(self) -> None:
        """Wait, bounded, until it is seen to work on them: one that still starts takes what follows for more of them."""
        await self._until(self._works, BEGUN_WITHIN)

    def _works(self) -> bool:
        status = self._status
        return status.source != "submit" if status.status == PROCESSING else status.source != "screen"
