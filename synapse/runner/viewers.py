"""Everyone who looks at the agent's terminal: who sees what, whose keys go in, whose size counts.

A viewer of the terminal's own size gets the child's bytes as they come; one of another size is painted from the model,
at most 30 times a second. One that does not keep up misses bytes and is painted when it has drained: it never slows
the child or the others. Only the viewer that typed last may slow the child, as a terminal does, and only while it
goes on reading.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from synapse.runner import frames
from synapse.runner.door import Door
from synapse.runner.focus import Focus
from synapse.runner.keys import Token, match_key
from synapse.runner.leaving import Leaving
from synapse.runner.painter import Painter
from synapse.runner.process import Child, ExitStatus
from synapse.runner.sizing import Sizing
from synapse.runner.terminal import Terminal
from synapse.runner.viewer import Viewer

HOLD_AT_MOST = 1.0  # seconds that keys may wait for an injection
STALLED_AFTER = 0.5  # seconds without progress, then a slow viewer no longer slows the child
PART_WITHIN = 2.0  # seconds for the last bytes to a viewer


class Viewers:
    """The attached terminals of one child, and the door they come in by."""

    def __init__(self, loop: asyncio.AbstractEventLoop, child: Child, terminal: Terminal, path: Path) -> None:
        self.driver: Viewer | None = None  # the one that typed last
        self.on_input: Callable[[Viewer, list[Token]], None] = _ignore
        self.on_change: Callable[[], None] = _ignore
        self.on_owner_gone: Callable[[], None] = _ignore
        self.on_congestion: Callable[[bool], None] = _ignore
        self.on_resize: Callable[[int, int], None] = _ignore
        self._loop = loop
        self._child = child
        self._terminal = terminal
        self._door = Door(path, loop, lambda: Viewer(self, loop))
        self._sizing = Sizing(loop, terminal.columns, terminal.rows, self._resize)
        self._focus = Focus(self._report_focus)
        self._all: list[Viewer] = []
        self._untouched = False  # the owner's screen agrees with the model: nothing has been written
        self._turns = 0
        self._held: list[tuple[Viewer, list[Token]]] | None = None
        self._release: asyncio.TimerHandle | None = None
        self._nobody = asyncio.Event()
        self._last_frame: tuple[int, bytes] | None = None  # for everyone, and whoever comes later
        self._painter = Painter(loop, terminal, self._all, self._fits)
        self._leaving = Leaving(loop, terminal, self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Viewer]:
        return iter(self._all)

    # Life.

    async def open(self) -> None:
        """Let viewers in."""
        await self._door.open()

    def begin_at(self, column: int, row: int) -> None:
        """The owner's cursor is there (from 1) before the child's first byte: the screen above it is left alone.

        Without this the owner starts on an empty screen, lest model and terminal disagree about places.
        """
        self._terminal.write(b"\x1b[%d;%dH" % (row, column))
        self._untouched = True

    async def ensure(self) -> None:
        """Open the door again if its file has been deleted; cheap enough for every heartbeat."""
        await self._door.ensure()

    async def finish(self, status: ExitStatus, why: str = "") -> None:
        """The child has ended: tell everyone, wait at most 2 s for slow ones, and close the door."""
        self._painter.paint(at_once=True)
        for viewer in self._all:
            self._leaving.prepare_for_end(viewer)
        await self._part(frames.EXIT, frames.encode_end(status.code, why))

    async def dismiss(self, reason: str) -> None:
        """The runner goes and the child may live: detach everyone."""
        for viewer in self._all:
            self._leaving.prepare(viewer)
        await self._part(frames.GOODBYE, frames.encode_end(0, reason))

    # What the child says.

    def output(self, data: bytes) -> None:
        """Bytes for the terminals, in the order the child wrote them."""
        self._untouched = False
        self._leaving.pass_by(data)
        for viewer in self._all:
            if viewer.slow and viewer is not self.driver:
                viewer.live = False
            if viewer.live:
                viewer.show(data)
            else:
                viewer.stale = True

    def personal(self, data: bytes) -> None:
        """Bells and the clipboard: only for the viewer that typed last."""
        if self.driver and not self.driver.stopped:
            self.driver.show(data)

    def settled(self) -> None:
        """The model has caught up with all that was put out."""
        self._focus.reporting(self._terminal.focus_reporting)
        self._leaving.update()
        self._painter.paint()

    def child_stopped(self) -> None:
        """Ctrl-Z: the viewer that typed last gives its terminal back to its shell; without a viewer nobody waits."""
        viewer = self.driver or next((each for each in self._all if not each.hello.watch), None)
        if viewer is None:
            self._child.proceed()
            return
        viewer.stopped = True
        self._leaving.prepare_for_end(viewer)
        viewer.live, viewer.stale = False, False
        viewer.say(frames.STOP)

    def note(self, text: str) -> None:
        """Show one line to everyone for a moment, such as `1 message waiting`."""
        for viewer in self._all:
            viewer.note = text
        self._painter.paint()

    # Injection.

    def hold(self) -> None:
        """Keep the viewers' keys back, for at most one second."""
        if self._held is None:
            self._held = []
            self._release = self._loop.call_later(HOLD_AT_MOST, self.release)

    def release(self) -> None:
        """Let the keys go that were kept back."""
        held, self._held = self._held or [], None
        if self._release:
            self._release.cancel()
            self._release = None
        for viewer, tokens in held:
            self._forward(viewer, tokens)

    @property
    def holding(self) -> bool:
        return self._held is not None

    @property
    def mid_token(self) -> bool:
        """Whether half a key or half a paste has come in from someone."""
        return any(viewer.mid_token for viewer in self._all)

    # What viewers say (Host).

    def joined(self, viewer: Viewer) -> None:
        self._all.append(viewer)
        if self._untouched and viewer.hello.owner:
            viewer.live = True  # there is nothing to restore, and its own screen stays as it is
        else:
            viewer.stale = viewer.enters = viewer.wants_past = True
        if not viewer.hello.watch:
            self._focus.set(viewer, True)
            if self.driver is None:
                self._drive(viewer)
        self._painter.paint()
        self._leaving.update()
        self.on_change()
        if self._last_frame:
            self._painter.paint(at_once=True)
            self._leaving.prepare_for_end(viewer)
            viewer.part(*self._last_frame)

    def typed(self, viewer: Viewer, tokens: list[Token]) -> None:
        for place, token in enumerate(tokens):
            if match_key(token, viewer.hello.detach_key):
                self._take(viewer, tokens[:place])
                self._detach(viewer)
                return
        self._take(viewer, tokens)

    def resized(self, viewer: Viewer) -> None:
        if viewer is self.driver:
            self._sizing.want(viewer.columns, viewer.rows)
        else:
            viewer.live, viewer.stale = False, True
            self._painter.paint()

    def continued(self, viewer: Viewer) -> None:
        viewer.stopped = False
        viewer.stale = viewer.enters = True
        self._painter.paint(at_once=True)
        if self._child.stopped:
            self._child.proceed()

    def must_leave(self, viewer: Viewer) -> None:
        self._detach(viewer)
        if viewer.hello.owner:
            self.on_owner_gone()

    def _detach(self, viewer: Viewer) -> None:
        self._focus.set(viewer, False)
        self._leaving.prepare(viewer)
        viewer.part(frames.GOODBYE, frames.encode_end(0, "detached"))

    def slow(self, viewer: Viewer) -> None:
        if viewer is self.driver:
            self.on_congestion(True)
            if viewer.judge:
                viewer.judge.cancel()
            viewer.judge = self._loop.call_later(STALLED_AFTER, self._judge, viewer, viewer.queued)

    def drained(self, viewer: Viewer) -> None:
        if viewer.judge:
            viewer.judge.cancel()
            viewer.judge = None
        if viewer is self.driver:
            self.on_congestion(False)
        if viewer.stale:
            self._painter.paint()

    def gone(self, viewer: Viewer) -> None:
        self._all.remove(viewer)
        if not self._all:
            self._nobody.set()
        self._focus.set(viewer, False)
        if viewer is self.driver:
            self.on_congestion(False)
            self._succeed()
        if viewer.stopped and self._child.stopped:
            self._child.proceed()
        if viewer.hello.owner and not viewer.left:
            self.on_owner_gone()
        self.on_change()

    def places(self) -> list[str]:
        """Where the viewers are, whoever typed last first."""
        return [viewer.hello.place for viewer in sorted(self._all, key=lambda each: -each.turn)]

    # Keys.

    def _take(self, viewer: Viewer, tokens: list[Token]) -> None:
        if viewer.hello.watch:
            return
        for token in tokens:
            if token.kind == "focus":
                self._focus.set(viewer, token.data == b"\x1b[I")
        tokens = [token for token in tokens if token.kind not in ("report", "focus")]
        if any(token.kind != "mouse" for token in tokens):
            self._drive(viewer)
        if not tokens:
            return
        if self._held is not None:
            self._held.append((viewer, tokens))
        else:
            self._forward(viewer, tokens)

    def _forward(self, viewer: Viewer, tokens: list[Token]) -> None:
        if not viewer.stopped and any(other.stopped for other in self._all):
            self._child.proceed()  # someone else stopped it, and this one goes on
        if self._child.write(b"".join(token.data for token in tokens)):
            self.on_input(viewer, tokens)
        else:
            viewer.note = "the agent does not read its input: keys were dropped"
            self._painter.paint()

    def _drive(self, viewer: Viewer) -> None:
        self._turns += 1
        viewer.turn = self._turns
        if viewer is not self.driver:
            self.driver = viewer
            self.on_congestion(False)  # the one before may no longer slow the child
            if viewer.slow:
                self.slow(viewer)
            self._sizing.want(viewer.columns, viewer.rows)

    def _succeed(self) -> None:
        """The viewer that typed last has gone: whoever typed before it has the terminal now."""
        self.driver = max((each for each in self._all if each.turn), key=lambda each: each.turn, default=None)
        if self.driver:
            self._sizing.want(self.driver.columns, self.driver.rows)

    def _report_focus(self, focused: bool) -> None:
        self._child.write(b"\x1b[I" if focused else b"\x1b[O")

    # Sizes.

    def _fits(self, viewer: Viewer) -> bool:
        return (viewer.columns, viewer.rows) == self._sizing.size  # not yet, while the driver's is on its way

    def _resize(self, columns: int, rows: int) -> None:
        self._terminal.resize(columns, rows)
        self._child.resize(columns, rows)
        for viewer in self._all:
            fits = self._fits(viewer)
            viewer.stale |= not (fits and viewer.live)
            viewer.live &= fits
        self.on_resize(columns, rows)
        self._painter.paint()

    def _judge(self, viewer: Viewer, queued: int) -> None:
        """A slow terminal slows the child while it reads; one that has stopped reading is left behind."""
        if viewer is self.driver and viewer.queued < queued:
            viewer.judge = self._loop.call_later(STALLED_AFTER, self._judge, viewer, viewer.queued)
            return
        viewer.judge = None
        viewer.live, viewer.stale = False, True
        if viewer is self.driver:
            self.on_congestion(False)

    # The end.

    async def _part(self, kind: int, payload: bytes) -> None:
        self._last_frame = kind, payload
        for viewer in self._all:
            viewer.part(kind, payload)
        if self._all:
            self._nobody.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._nobody.wait(), PART_WITHIN)
        for viewer in self._all:
            viewer.abort()
        await asyncio.sleep(0)  # the loop tells of them
        self._door.close()
        self._sizing.cancel()
        self._leaving.cancel()


def _ignore(*_: object) -> None:
    pass
