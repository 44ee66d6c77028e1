"""Delivery: a message into the terminal, once, in order, never on top of what a person types."""

import asyncio
import logging
from collections.abc import Callable

from synapse.errors import SynapseError
from synapse.runner.keys import PASTE_END, PASTE_START
from synapse.runner.letters import Letters, Message
from synapse.runner.link import Link
from synapse.runner.process import Child
from synapse.runner.profile import Profile
from synapse.runner.status import PROCESSING, WAITING, StatusMachine
from synapse.runner.terminal import Mark, Terminal
from synapse.runner.viewers import Viewers

logger = logging.getLogger(__name__)

QUIET = 2.0  # seconds since a person's last key
ECHO_WITHIN = 1.0  # seconds for the typed text to show
SUBMIT_WITHIN = 0.7  # seconds for Enter to have an effect, before it is pressed once more
INTERRUPT_WITHIN = 10.0  # seconds for an interrupted program to be ready
TRIES = 3
TAIL = 12  # characters by which the end of the typed text is found again


class Turn:
    """One message that is in the terminal now."""

    __slots__ = ("delivered", "mark", "message", "prompt", "typed")

    def __init__(self, message: Message, typed: str, mark: Mark, prompt: str) -> None:
        self.delivered = False
        self.message = message
        self.typed = typed
        self.mark = mark
        self.prompt = prompt


class Delivery:
    """Types what the hub hands over, most urgent first, as soon as the agent is idle and its person's draft is empty."""

    def __init__(
        self, *, link: Link, child: Child, terminal: Terminal, viewers: Viewers, status: StatusMachine, profile: Profile,
        letters: Letters, draft_empty: Callable[[], bool], last_key: Callable[[], float],
    ) -> None:  # fmt: skip
        self.on_turn: Callable[[Turn], None] = lambda turn: None
        self.on_submitted: Callable[[Turn, bool], None] = lambda turn, seen: None
        self._link = link
        self._child = child
        self._terminal = terminal
        self._viewers = viewers
        self._status = status
        self._profile = profile
        self._letters = letters
        self._draft_empty = draft_empty
        self._last_key = last_key
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, Message] = {}
        self._tries: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._later: asyncio.TimerHandle | None = None
        self._settled: list[asyncio.Future[None]] = []
        self._noted = ""

    @property
    def waiting(self) -> int:
        """How many messages are held back."""
        return len(self._waiting)

    def offer(self, message: Message) -> None:
        """The hub hands a message over; one that is here already is the same one again."""
        if message.id not in self._waiting:
            self._waiting[message.id] = message
            self.poke()

    def forget(self) -> None:
        """The hub is gone: what it had handed over it will hand over again."""
        self._waiting.clear()

    def settled(self) -> None:
        """The screen has been brought up to date."""
        waiting, self._settled = self._settled, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def poke(self) -> None:
        """Something changed: can the next one go?"""
        if self._task is not None or not self._waiting or not self._link.connected:
            return
        message = max(self._waiting.values(), key=lambda each: each.priority)
        if not (self._status.idle or message.urgent) or self._held():
            return
        self._task = self._loop.create_task(self._deliver(message))
        self._task.add_done_callback(self._delivered)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._later is not None:
            self._later.cancel()

    def _held(self) -> bool:
        """Is a person in the middle of something? Time alone releases only an empty composer."""
        if not self._draft_empty() or self._viewers.mid_token:
            count = len(self._waiting)
            note = f"{count} message{'s' if count > 1 else ''} waiting"
            if note != self._noted:
                self._noted = note
                self._viewers.note(note)
            return True
        left = self._last_key() + QUIET - self._loop.time()
        if left > 0:
            self._again_in(left)
            return True
        self._noted = ""
        return False

    def _again_in(self, seconds: float) -> None:
        if self._later is not None:
            self._later.cancel()
        self._later = self._loop.call_later(seconds, self.poke)

    def _delivered(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if not task.cancelled() and task.exception() is not None:
            logger.error("a delivery failed", exc_info=task.exception())
        if not task.cancelled():
            self.poke()

    # -- one message

    async def _deliver(self, message: Message) -> None:
        if message.urgent and not self._status.idle and not await self._interrupted():
            logger.warning("%s: the program did not become ready after the interrupt", message.id)
            self._again_in(1.0)
            return
        try:
            await self._link.change("messages.typing", id=message.id)
        except SynapseError as error:
            logger.info("%s is not to be typed: %s", message.id, error)
            self._waiting.pop(message.id, None)
            return
        if not self._draft_empty() or self._viewers.mid_token:
            await self._take_back(message, "somebody is typing")
            return
        self._viewers.hold()
        try:
            await self._type(message)
        finally:
            self._viewers.release()

    async def _type(self, message: Message) -> None:
        bracketed = self._terminal.bracketed_paste
        typed = self._letters.typed(message, bracketed=bracketed, canonical=self._child.canonical)
        turn = Turn(message, typed, self._terminal.mark(), self._cursor_line())
        content = typed.encode() if bracketed else typed.replace("\n", self._profile.enter).encode()
        if not self._child.write(PASTE_START + content + PASTE_END if bracketed else content):
            await self._take_back(message, "the program takes no input")
            return
        if not await self._until(lambda: self._holds(typed), ECHO_WITHIN):
            self._child.write(self._profile.clear.encode())
            await self._take_back(message, "the text did not show")
            return
        await asyncio.sleep(self._profile.pause)
        self._waiting.pop(message.id, None)
        self._tries.pop(message.id, None)
        await self._submit(turn)

    async def _submit(self, turn: Turn) -> None:
        enter = self._profile.enter.encode()
        self._status.submitted()
        self.on_turn(turn)
        self._child.write(enter)
        if not await self._until(lambda: not self._holds(turn.typed), SUBMIT_WITHIN):
            logger.info("%s: Enter had no effect: once more", turn.message.id)
            self._child.write(enter)
            if not await self._until(lambda: not self._holds(turn.typed), SUBMIT_WITHIN):
                self._link.change("messages.unknown", id=turn.message.id, reason="Enter had no visible effect")
                self.on_submitted(turn, False)
                return
        self._link.change("messages.delivered", id=turn.message.id)
        self.on_submitted(turn, True)

    async def _take_back(self, message: Message, reason: str) -> None:
        """It was not submitted: the queue has it again, and after some tries its sender is told."""
        tries = self._tries[message.id] = self._tries.get(message.id, 0) + 1
        self._waiting.pop(message.id, None)
        if tries >= TRIES:
            self._link.change("messages.unknown", id=message.id, reason=reason)
            self._tries.pop(message.id, None)
        else:
            self._link.change("messages.returned", id=message.id, reason=reason)

    async def _interrupted(self) -> bool:
        """Stop what it does in its own way; True when it is idle."""
        await self.interrupt()
        return await self._until(lambda: self._status.idle, INTERRUPT_WITHIN)

    async def interrupt(self) -> None:
        """Press the program's own keys for it."""
        for place, key in enumerate(self._profile.interrupt):
            if place:
                await asyncio.sleep(self._profile.interrupt_pause)
            if self._status.status in (PROCESSING, WAITING):
                self._child.write(key.encode())

    # -- looking

    async def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for a screen on which it is true; False when the time is over."""
        end = self._loop.time() + seconds
        while not condition():
            left = end - self._loop.time()
            if left <= 0:
                return False
            settled: asyncio.Future[None] = self._loop.create_future()
            self._settled.append(settled)
            await asyncio.wait([settled], timeout=left)
        return True

    def _holds(self, typed: str) -> bool:
        """Does the end of the typed text (or a placeholder for it) stand before the cursor?"""
        if self._terminal.lag:
            return False
        if self._profile.placeholder is not None and self._profile.placeholder.search(self._cursor_line()):
            return True
        tail = "".join(typed.split())[-TAIL:]
        return "".join(self._before_cursor().split()).endswith(tail)

    def _before_cursor(self) -> str:
        row, column = self._terminal.cursor
        lines = self._terminal.lines()
        above = lines[max(0, row - 2) : row]
        return "".join(above) + (lines[row] if row < len(lines) else "")[:column]

    def _cursor_line(self) -> str:
        row, _ = self._terminal.cursor
        lines = self._terminal.lines()
        return lines[row] if row < len(lines) else ""
