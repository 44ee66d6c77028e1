"""Delivery: a message into the terminal, once, in order, never on top of what a person types."""

import asyncio
import logging
from binascii import a2b_base64
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from synapse.errors import NotFound, SynapseError
from synapse.runner.composer import Composer
from synapse.runner.introduction import Introduction
from synapse.runner.keys import PASTE_END, PASTE_START
from synapse.runner.letters import Letters, Message, Turn
from synapse.runner.link import Link
from synapse.runner.news import News
from synapse.runner.process import Child
from synapse.runner.profile import Profile
from synapse.runner.replies import before
from synapse.runner.status import PROCESSING, WAITING, StatusMachine
from synapse.runner.terminal import Terminal
from synapse.runner.viewers import Viewers

logger = logging.getLogger(__name__)

QUIET = 2.0  # seconds since a person's last key
ECHO_WITHIN = 8.0  # seconds for the typed text to show; a person's keys are held back for one of them
SUBMIT_WITHIN = 1.0  # seconds for Enter to have an effect, before it is pressed once more
TORN = 0.06  # seconds; while a screen is painted its composer may be missing from it
COMES_OF_IT = 5.0  # seconds for a command of the program's own to have an effect
ENTERS = 3  # times that Enter is pressed behind a command of the program's own that stays in its composer
GIVEN_BACK_WITHIN = 1.0  # seconds for an interrupted program to put a message into its composer again
CLEARED_WITHIN = 0.3  # seconds for it to show that a line of it was taken out
LINE_WITHIN = 60.0  # seconds for a line reader to read the next line, before it is typed ahead
LOOK = 0.005  # seconds between two looks whether it does
STILL = 0.1  # seconds without output in which it has shown nothing of an empty line
CLOSES_WITHIN = 0.4  # seconds for it to show that something is still open
BUSY_FOR = 0.5  # seconds until the hub is asked again whether a message may be typed
INTERRUPT_WITHIN = 10.0  # seconds for an interrupted program to be ready


class Delivery:
    """Types what the hub hands over, most urgent first, as soon as the agent is idle and its person's draft is empty.

    From `messages.typing` on a message is never typed again: what becomes of it is reported once, as delivered, as
    returned (not a byte was typed) or as unknown.
    """

    def __init__(
        self, *, link: Link, child: Child, terminal: Terminal, viewers: Viewers, status: StatusMachine, profile: Profile,
        letters: Letters, draft_empty: Callable[[], bool], last_key: Callable[[], float],
        handing: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self.on_turn: Callable[[Turn], None] = lambda turn: None
        self.on_submitted: Callable[[Turn, bool], None] = lambda turn, seen: None
        self.on_interrupt: Callable[[], None] = lambda: None
        self.on_held: Callable[[], None] = lambda: None
        self._link = link
        self._child = child
        self._terminal = terminal
        self._viewers = viewers
        self._status = status
        self._profile = profile
        self._letters = letters
        self._draft_empty = draft_empty
        self._last_key = last_key
        self._handing = handing  # is the answer to the message before still being looked for?
        self._composer = Composer(terminal, profile)
        self._news = News()
        self._loop = asyncio.get_running_loop()
        self._introduction = Introduction(
            child=child, status=status, profile=profile, composer=self._composer, unsafe=lambda: self._unsafe,
            until=self._news.until,
        )  # fmt: skip
        self._first = ""
        self._waiting: dict[str, Message] = {}
        self._task: asyncio.Task[None] | None = None
        self._later: asyncio.TimerHandle | None = None
        self._note = ""
        self._sent = ""  # what was submitted last
        self._newest: Turn | None = None  # ... with its message
        self._interrupting: asyncio.Task[None] | None = None

    @property
    def holding(self) -> int:
        """How many messages a person's draft holds back."""
        return len(self._waiting) if self._note else 0

    def offer(self, message: Message) -> None:
        """The hub hands a message over; one that is here already is the same one again."""
        if message.id not in self._waiting:
            self._waiting[message.id] = message
            self.poke()

    def introduce(self, text: str, on_typed: Callable[[str], None]) -> None:
        """Type this once, before any message; it is no task, and when it fails nothing waits for it."""
        self._first = text
        self._introduction.on_typed = on_typed

    def forget(self) -> None:
        """The hub is gone: what it had handed over it will hand over again."""
        self._waiting.clear()

    def settled(self) -> None:
        """The screen has been brought up to date."""
        self._news.come()
        if self._note:
            self._viewers.note(self._note)  # the program has painted over it

    def wake(self) -> None:
        """Something has happened that may be waited for."""
        self._news.come()

    def poke(self) -> None:
        """Something changed: can the next one go?"""
        self._news.come()
        if self._task is None and self._first and self._status.idle and not self._held() and self._status.verify():
            text, self._first = self._first, ""
            self._start(self._introduce(text))
        if self._task is not None or not self._waiting or not self._link.connected or self._handing():
            return
        message = max(self._waiting.values(), key=lambda each: each.priority)
        if not (self._status.idle or message.urgent) or self._held():
            return
        if not message.urgent and not self._status.verify():
            return
        self._start(self._deliver(message))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._over)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._later is not None:
            self._later.cancel()
        if self._interrupting is not None:
            self._interrupting.cancel()

    @property
    def _disturbed(self) -> bool:
        """Is a person in the middle of something? Time alone never ends that."""
        return not self._draft_empty() or self._viewers.mid_token

    @property
    def _unsafe(self) -> bool:
        """Would Enter do something else now? A dialog takes it for a choice."""
        return self._disturbed or self._status.status == WAITING or self._status.asks() is not None

    def _held(self) -> bool:
        """Must they wait for a person? Everybody who looks is told."""
        count = len(self._waiting)
        note = f"{count} message{'s' if count > 1 else ''} waiting" if count and self._disturbed else ""
        if note != self._note:
            self._note = note
            self.on_held()
            if note:
                self._viewers.note(note)
        left = self._last_key() + QUIET - self._loop.time()
        if left > 0:
            self._poke_in(left)
        return self._disturbed or left > 0

    def _poke_in(self, seconds: float) -> None:
        if self._later is not None:
            self._later.cancel()
        self._later = self._loop.call_later(seconds, self.poke)

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if task.cancelled():
            return
        if task.exception() is not None:
            logger.error("a delivery failed", exc_info=task.exception())
            self._poke_in(1.0)
        else:
            self.poke()

    async def _introduce(self, text: str) -> None:
        self._viewers.hold()
        try:
            taken = await self._introduction.type(text, self._keys(text, self._terminal.bracketed_paste))
        finally:
            self._viewers.release()
        if taken:
            await self._introduction.begun()

    # -- one message

    async def _deliver(self, message: Message) -> None:
        if message.urgent and not self._status.idle and not await self._interrupted():
            logger.warning("%s: the program did not become ready after the interrupt", message.id)
            self._poke_in(1.0)
            return
        try:
            files = [await self._fetched(message, number) for number in range(len(message.attachments))]
            await self._link.change("messages.typing", id=message.id)
        except SynapseError as error:
            logger.info("%s is not to be typed now: %s", message.id, error)
            if error.code == "busy":
                await asyncio.sleep(BUSY_FOR)
            else:
                self._waiting.pop(message.id, None)
            return
        self._waiting.pop(message.id, None)
        if self._disturbed or not self._status.verify():  # the answer may have taken long
            self._link.change("messages.returned", id=message.id, reason="somebody was quicker")
            return
        self._viewers.hold()
        try:
            await self._type(message, files)
        finally:
            self._viewers.release()

    async def _fetched(self, message: Message, number: int) -> str:
        """Where an attachment lies, once its pieces are here."""
        blobs = message.attachments[number].get("blobs", ())
        try:
            pieces = [await self._link.ask("blobs.get", blob=blob) for blob in blobs]
        except NotFound:
            return "a file that is not stored any more"
        content = b"".join(a2b_base64(piece["content"]) for piece in pieces)
        try:
            return self._letters.keep(message, number, content)
        except (OSError, SynapseError) as error:
            return f"a file that cannot be written here: {error}"

    async def _type(self, message: Message, files: Sequence[str]) -> None:
        bracketed = self._terminal.bracketed_paste
        try:
            typed = self._letters.typed(message, bracketed=bracketed, canonical=self._child.canonical, files=files)
        except (OSError, SynapseError) as error:
            self._lost_track(message, f"it is long, and cannot be written to a file: {error}")
            return
        mark, above = before(self._profile, self._terminal)
        turn = Turn(message, typed, mark=mark, above=above, line=self._composer.line())
        prompt = self._composer.prompt()
        lines = [typed] if bracketed else typed.split("\n")
        if not self._child.write(self._keys(lines[0], bracketed)):
            self._link.change("messages.returned", id=message.id, reason="the program takes no input")
            return
        for line in lines[1:]:
            await self._entered(turn, line)
        await self._news.until(lambda: self._disturbed or self._composer.holds(typed), ECHO_WITHIN)
        if not self._disturbed:
            await asyncio.sleep(self._profile.pause)
        if self._disturbed:
            self._lost_track(message, "somebody typed while it was typed")
        elif not self._composer.holds(typed):
            self._child.write(self._profile.clear.encode())
            self._lost_track(message, "the text did not show in the terminal")
        else:
            await self._submit(turn, prompt)

    async def _entered(self, turn: Turn, line: str) -> None:
        """Press Enter, wait until a line is read again, and write the next: what is typed ahead shows twice, or is lost."""
        if self._disturbed:
            return
        before = self._composer.prompt()
        await self._news.until(lambda: self._composer.prompt() != before or self._disturbed, STILL)
        place, before, pressed = self._terminal.mark(), self._composer.line(), self._loop.time()
        self._child.write(self._profile.enter.encode())
        while (now := self._loop.time()) < pressed + LINE_WITHIN and not self._disturbed:
            await asyncio.sleep(LOOK)
            moved = self._status.last_output > pressed and self._composer.line() != before
            still = now - max(pressed, self._status.last_output) > STILL
            if self._status.unchanged and (moved or still) and not self._terminal.lag:
                break
        turn.between.append((place, self._terminal.mark(), self._composer.prompt()))
        if not self._disturbed:
            self._child.write(line.encode())

    async def _close(self) -> None:
        """What is still open behind what was typed is closed by an empty line, where that is known to do it."""
        if not self._profile.closes:
            return
        await self._news.until(lambda: self._composer.is_open or self._status.status != PROCESSING, CLOSES_WITHIN)
        if self._composer.is_open and not self._disturbed:
            self._child.write(self._profile.enter.encode())

    def _keys(self, typed: str, bracketed: bool) -> bytes:
        if bracketed:
            return PASTE_START + typed.encode() + PASTE_END
        return typed.replace("\n", self._profile.enter).encode()

    def _lost_track(self, message: Message, reason: str) -> None:
        logger.warning("%s: %s", message.id, reason)
        self._link.change("messages.unknown", id=message.id, reason=reason)

    async def _submit(self, turn: Turn, prompt: str) -> None:
        enter = self._profile.enter.encode()
        pressed = self._loop.time()
        self._status.submitted()
        self._sent, self._newest = turn.typed, turn
        turn.entered = self._terminal.mark()
        self.on_turn(turn)
        self._child.write(enter)
        again = self._profile.again
        seen = await self._goes(turn, prompt, pressed, SUBMIT_WITHIN if again else ECHO_WITHIN)
        if not seen and again and self._profile.patterns and self._composer.holds(turn.typed) and not self._unsafe:
            logger.info("%s: Enter had no effect: once more", turn.message.id)
            self._child.write(enter)
            seen = await self._goes(turn, prompt, pressed, SUBMIT_WITHIN)
        if seen:
            self._status.reacted()
            told = self._link.change("messages.delivered", id=turn.message.id)
            told.add_done_callback(partial(self._told, turn))
            await self._close()
        else:
            if not self._unsafe:
                self._child.write(self._profile.clear.encode())
            self._lost_track(turn.message, "Enter had no visible effect")
            self._status.unsubmitted()
        self.on_submitted(turn, seen)

    def _told(self, turn: Turn, told: "asyncio.Future[dict[str, Any]]") -> None:
        """A task that was called off while it was typed is not to be worked on."""
        error = None if told.cancelled() else told.exception()
        if isinstance(error, NotFound) and self._newest is turn:
            logger.info("%s was called off while it was typed", turn.message.id)
            self._interrupting = self._loop.create_task(self.interrupt())

    async def _goes(self, turn: Turn, prompt: str, pressed: float, seconds: float) -> bool:
        """Wait until it is submitted; False when the time is over."""
        end = self._loop.time() + seconds
        while await self._news.until(lambda: self._submitted(turn, prompt, pressed), end - self._loop.time()):
            if self._profile.composer is None or self._status.taken(turn.typed, pressed):
                return True
            await asyncio.sleep(TORN)
            if self._submitted(turn, prompt, pressed):
                return True
        return False

    def _submitted(self, turn: Turn, prompt: str, pressed: float) -> bool:
        """The program says that it has taken it; a composer has let go of the text; a line reader has reacted in any way."""
        if self._status.taken(turn.typed, pressed):
            return True
        if not self._profile.patterns:
            return self._child.canonical or self._status.last_output > pressed
        return self._composer.let_go(turn.typed, prompt)

    async def _interrupted(self) -> bool:
        """Stop what it does in its own way; True when it is idle."""
        await self.interrupt()
        return await self._news.until(lambda: self._status.idle, INTERRUPT_WITHIN)

    async def command(self, text: str) -> None:
        """Type a command of the program's own, such as the one that ends it; once more when nothing comes of it."""
        await self._enter(text)
        await asyncio.sleep(COMES_OF_IT)
        if self._status.idle and not self._unsafe:
            logger.info("nothing came of %s: once more", text)
            await self._enter(text)

    async def _enter(self, text: str) -> None:
        """Type a line, and press Enter until it has gone."""
        if not self._composer.holds(text):
            self._child.write(self._keys(text, self._terminal.bracketed_paste))
            await self._news.until(lambda: self._composer.holds(text), SUBMIT_WITHIN)
            await asyncio.sleep(self._profile.pause)
        for _ in range(ENTERS):
            self._child.write(self._profile.enter.encode())
            if await self._news.until(lambda: not self._composer.holds(text), SUBMIT_WITHIN):
                return

    async def interrupt(self) -> None:
        """Press the program's own keys for it."""
        self.on_interrupt()
        for place, key in enumerate(self._profile.interrupt):
            if place:
                await asyncio.sleep(self._profile.interrupt_pause)
            if self._status.status in (PROCESSING, WAITING):
                self._child.write(key.encode())
        self._status.interrupted()
        await self._take_back()

    async def _take_back(self) -> None:
        """A program that is interrupted early puts the message into its composer again: it is taken out of there."""
        typed = self._sent
        if not await self._news.until(lambda: self._status.idle or self._gave_back(typed), GIVEN_BACK_WITHIN):
            return
        for _ in range(2 * typed.count("\n") + 2):
            if self._status.idle or self._disturbed or self._status.status == WAITING:
                return
            self._child.write(self._profile.clear.encode())
            await self._news.until(lambda: self._status.idle, CLEARED_WITHIN)

    @property
    def given_back(self) -> bool:
        """Has it put into its composer again what it took last?"""
        return self._gave_back(self._status.took or self._sent)

    def _gave_back(self, typed: str) -> bool:
        return bool(typed) and not self._disturbed and self._profile.patterns and self._composer.holds(typed)
