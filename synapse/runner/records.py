"""An agent's own record of its conversation: a file of JSON lines, or a text of known parts, and its answers in it."""

import asyncio
import glob
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

from synapse.client.lines import loads
from synapse.runner import picking
from synapse.runner.filling import fill
from synapse.runner.parts import Record, Usage
from synapse.runner.sections import sections
from synapse.runner.skeleton import TAIL, skeleton

logger = logging.getLogger(__name__)
LOOK_AGAIN = 0.03  # seconds between looks at a file that is still being written
COUNTED_WITHIN = 0.3  # seconds for the tokens of an answer that is known already to be written
MOST = 64 << 20  # bytes of a record that are read for one answer: the last ones


class Reader:
    """Finds one turn's answer in a record."""

    def __init__(self, record: Record, values: Mapping[str, str]) -> None:
        self.failure = ""  # why the turn failed whose answer was looked for last
        self._record = record
        self._values = values

    def size(self) -> dict[str, int]:
        """How much of it there is, before a turn: for `answer`."""
        return {path: size for path in self._files() if (size := _size(path)) >= 0}

    def _files(self) -> list[str]:
        """The files that may be it, the newest last."""
        found = fill(self._record.file, self._values)
        paths = glob.glob(os.path.expanduser(found)) if any(sign in found for sign in "*?[") else [found]
        return sorted((path for path in paths if os.path.isfile(path)), key=_written)

    @property
    def known(self) -> bool:
        """Has the program said which file it is?"""
        return "{" not in fill(self._record.file, self._values)

    @property
    def counts(self) -> bool:
        """Does it say how many tokens were used?"""
        return self._record.usage is not None

    async def answer(
        self, typed: str, before: Mapping[str, int], *, within: float | None = None, said: str = ""
    ) -> tuple[str, dict[str, int]]:
        """The answer to what was typed, and its usage; waits a bounded time until it is written.

        `said`: the answer is known already, and the record is whole once it has that.
        """
        self.failure = ""
        if not self.known:
            return "", {}
        loop = asyncio.get_running_loop()
        end = loop.time() + (self._record.wait if within is None else within)
        seen, still, turn = -1, loop.time(), Turn(self._record)
        while True:
            files = self._files()
            size = _size(files[-1]) if files else -1
            if size != seen:
                seen, still = size, loop.time()
                turn = await asyncio.to_thread(self._read, files[-1], typed, before) if files else turn
            if (turn.text or turn.failure) and self._whole(turn, loop.time() - still, said):
                end = min(end, loop.time() + (0.0 if turn.failure or self._counted(turn) else COUNTED_WITHIN))
            if loop.time() >= end:
                self.failure = turn.failure
                return turn.text, turn.usage()
            await asyncio.sleep(LOOK_AGAIN)

    def _counted(self, turn: "Turn") -> bool:
        return not self.counts or bool(turn.usage())

    def _whole(self, turn: "Turn", quiet: float, said: str) -> bool:
        if said and turn.text.endswith(said.strip("\n")):
            return True
        return turn.ended if self._record.end else quiet >= self._record.settle

    def _read(self, path: str, typed: str, before: Mapping[str, int]) -> "Turn":
        known = path in before  # else it may hold earlier turns: only what stands behind the prompt counts
        start = before.get(path, 0)
        turn = Turn(self._record, "" if known else skeleton(typed)[-TAIL:])
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(start, size - MOST) if size >= start else 0)
                for entry in self._entries(file):
                    turn.line(entry)
        except OSError as error:
            logger.warning("the record cannot be read: %s", error)
        return turn

    def _entries(self, file: Iterable[bytes]) -> Iterator[Any]:
        whole = takewhile(lambda line: line.endswith(b"\n"), file)  # the last one may be being written
        if self._record.sections:
            yield from sections(self._record, (line.decode("utf-8", "replace")[:-1] for line in whole))
            return
        for line in whole:
            try:
                yield loads(line)
            except (ValueError, RecursionError):
                continue


def _size(path: str) -> int:
    """In bytes; -1 when it has gone."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _written(path: str) -> float:
    """When it was written last; 0 when it has gone."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


class Turn:
    """What the lines of one turn say."""

    def __init__(self, record: Record, typed: str = "") -> None:
        self.ended = False
        self.failure = ""
        self._record = record
        self._typed = typed if record.prompt else ""
        self._inside = not self._typed
        self._texts: list[str] = []
        self._counts: dict[str, dict[str, int]] = {}

    @property
    def text(self) -> str:
        return self._record.join.join(self._texts).strip("\n")

    def usage(self) -> dict[str, int]:
        """Tokens by kind."""
        sums: dict[str, int] = {}
        for counts in self._counts.values():
            for name, count in counts.items():
                sums[name] = sums.get(name, 0) + count
        return sums

    def line(self, line: Any) -> None:
        """One more line."""
        record = self._record
        if self._typed and self._typed in skeleton(picking.text(line, record.prompt)):
            self._inside, self.ended, self.failure = True, False, ""
            self._texts.clear()
            self._counts.clear()
        if not self._inside:
            return
        if any(picking.matches(line, conditions) for conditions in record.fresh):
            self._texts.clear()
        if picking.matches(line, record.lines) and (text := picking.text(line, record.text, record.join)):
            self._texts.append(text)
            self.failure = ""
        if record.failure is not None and picking.matches(line, record.failure.lines):
            self.failure = picking.text(line, record.failure.text)
        if record.end and picking.matches(line, record.end):
            self.ended = True
        if record.usage is not None:
            self._count(record.usage, line)

    def _count(self, usage: Usage, line: Any) -> None:
        if not picking.matches(line, usage.lines):
            return
        counts = {
            name: count for name, path in usage.fields.items() if (count := picking.number(line, path)) is not None
        }
        if counts:
            once = picking.text(line, usage.once) or str(len(self._counts))
            self._counts["" if usage.last else once] = counts
