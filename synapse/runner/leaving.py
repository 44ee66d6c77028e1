"""How to leave each viewer's terminal: told ahead, so that it can be done even when the runner is killed."""

import asyncio
import re
from collections.abc import Sequence

from synapse.runner.terminal import Terminal
from synapse.runner.viewer import Viewer

INTERVAL = 0.02  # seconds between two looks at the modes while output comes
_TO_FREE_LINE = re.compile(rb"\x1b\[[0-9]+;1H\r\n\Z")


class Leaving:
    """Keeps the viewers' UNDO bytes as the program's modes change; no timer runs when nothing is put out."""

    def __init__(self, loop: asyncio.AbstractEventLoop, terminal: Terminal, viewers: Sequence[Viewer]) -> None:
        self._loop = loop
        self._terminal = terminal
        self._viewers = viewers
        self._timer: asyncio.TimerHandle | None = None
        self._changed = False
        self._pressing = False

    def pass_by(self, data: bytes) -> None:
        """Output on its way to the viewers: what looks like a change of modes is told with the next `update`."""
        self._pressing = self._pressing or b"\x1b[?" in data or b"\x1b[>" in data

    def update(self) -> None:
        """The model has followed the output; the modes may have changed."""
        self._changed = True
        if self._viewers and (self._pressing or self._timer is None):
            self.cancel()
            self._tell()

    def prepare(self, viewer: Viewer) -> None:
        """It leaves in the middle of things: what comes after goes below the picture."""
        viewer.undo(self._terminal.restore())

    def prepare_for_end(self, viewer: Viewer) -> None:
        """It leaves because the child has: whoever saw all its bytes has the cursor where the child left it."""
        if viewer.live:
            viewer.undo(self._modes())
        else:
            self.prepare(viewer)

    def cancel(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _tell(self) -> None:
        self._timer = None
        if not self._changed or self._terminal.lag:
            return  # while the model lags, `update` is still to come: nothing waits here for it to catch up
        self._changed = self._pressing = False
        self._timer = self._loop.call_later(INTERVAL, self._tell)
        modes = self._modes()
        for viewer in self._viewers:
            viewer.undo(modes)

    def _modes(self) -> bytes:
        return _TO_FREE_LINE.sub(b"", self._terminal.restore())
