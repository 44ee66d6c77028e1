"""Notices: a person who looks elsewhere hears that something waits, on the desktop and in the terminals they look at."""

import asyncio
import logging
import shutil
from collections.abc import Collection, Coroutine, Iterator
from html import escape
from typing import Any, NamedTuple

from msgspec import Struct, json

from synapse import settings
from synapse.errors import BadRequest, Unavailable
from synapse.event import Event
from synapse.hub.agents import Agents
from synapse.hub.attention import (
    ELSEWHERE,
    INPUT,
    PERMISSION,
    QUESTION,
    RATE_LIMIT,
    STALLED,
    Found,
    Item,
    of_agent,
    of_box,
    patience,
    told,
)
from synapse.hub.facts import Submitted
from synapse.hub.loop import Hub
from synapse.log.base import Log

logger = logging.getLogger(__name__)

SOON = 0.05  # seconds in which what changes is looked at together
AT_ONCE = 3  # notices; more become one
BETWEEN = 2.0  # seconds between two notices: what comes meanwhile is told together
LONGEST = 200  # characters of a notice
PATIENCE = 10.0  # seconds for the desktop's program
REASONS = {
    PERMISSION: "asks for permission", INPUT: "wants something typed", QUESTION: "asks you", STALLED: "does not go on",
    ELSEWHERE: "asks you", RATE_LIMIT: "has reached a limit",
}  # fmt: skip


class Notice(NamedTuple):
    """What the person reads; `agent` is the key of whose terminal it is about, "" for none."""

    title: str
    text: str
    agent: str = ""


class Chosen(NamedTuple):
    """The person's settings: seconds before a notice, the desktop's program ("" for none), and the terminals' way."""

    after: float
    program: str
    terminal: str


class _Seen(Struct):
    """Something that waits: where it was found, since when it is known, and whether the person has been told."""

    source: tuple[str, str]
    first: float
    told: bool = False


class _Told(Struct):
    params: dict[str, str]
    method: str = "notice"
    jsonrpc: str = "2.0"


class Notices:
    """Tells of each thing that waits once, after a moment in which it may be answered; never keeps the hub waiting."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._touched: set[tuple[str, str]] = set()
        self._seen: dict[str, _Seen] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0  # when something may be told again, in the loop's time
        self._work: set[asyncio.Task[None]] = set()
        hub.on_presence.append(self._changed)
        hub.on_publish.append(self._published)

    def close(self) -> None:
        """Nothing is told any more."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._work:
            task.cancel()

    # -- what is new

    def _changed(self, key: str) -> None:
        self._touch(("agent", key))

    def _published(self, position: int, events: list[Event]) -> None:
        for event in events:
            if isinstance(event.body, Submitted):
                self._touch(("box", event.body.box))

    def _touch(self, source: tuple[str, str]) -> None:
        self._touched.add(source)
        self._look_in(SOON)

    def _look_in(self, seconds: float) -> None:
        due = self._hub.loop.time() + seconds
        if self._timer is None or self._timer.when() > due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._hub.loop.call_at(due, self._look)

    def _look(self) -> None:
        """What waits at the places that were touched, or where something waited when they were last looked at?"""
        self._timer = None
        hub = self._hub
        if hub.suspended:
            return
        sources, self._touched = self._touched | {one.source for one in self._seen.values()}, set()
        now = hub.clock.now()
        try:
            here = {one.item.id: (source, one) for source in sources for one in self._found(source, now)}
        except Unavailable as error:
            logger.debug("nothing is told: %s", error)
            return
        self._seen = {id: seen for id, seen in self._seen.items() if id in here}
        for id, (source, one) in here.items():
            if id not in self._seen:
                old = one.item.since < hub.place.started_at - PATIENCE  # the hub before this one has told of it
                self._seen[id] = _Seen(source, now, told=old)
        untold = [one for id, (_, one) in here.items() if not self._seen[id].told]
        wait = self._next - hub.loop.time()
        if untold and wait > 0:
            self._look_in(wait)
        elif untold:
            self._do(self._tell(untold, now))

    def _found(self, source: tuple[str, str], now: float) -> Iterator[Found]:
        kind, key = source
        agent = self._hub.state.get(Agents).get(key) if kind == "agent" else None
        if agent is not None and agent.takes_work:
            yield from of_agent(self._hub, agent, now)
        elif kind == "box":
            yield from of_box(self._hub, key)

    # -- telling

    async def _tell(self, untold: list[Found], now: float) -> None:
        hub = self._hub
        first = {one.item.id: self._seen[one.item.id].first for one in untold}
        chosen, items, left = await hub.loop.run_in_executor(hub.readers, _ripe, hub.log, untold, first, now)
        fresh = [item for item in items if (seen := self._seen.get(item.id)) is not None and not seen.told]
        for item in fresh:
            self._seen[item.id].told = True
            self._next = hub.loop.time() + BETWEEN
        if left > 0:
            self._look_in(left)
        keys = {item.id: self._seen[item.id].source[1] for item in fresh}
        for notice in notices([(item, keys[item.id]) for item in fresh]):
            if chosen.terminal != "off":
                self._show(notice, chosen.terminal)
            if chosen.program:
                self._do(_run(command(chosen.program, notice)))

    def _show(self, notice: Notice, way: str) -> None:
        """In the terminals of people who look at that agent; else of those who look at any."""
        runners = [runner for runner in self._hub.sessions.runners() if runner.live.viewed]
        there = [runner for runner in runners if runner.runner_of == notice.agent] or runners
        frame = json.encode(_Told({"title": notice.title, "text": notice.text, "way": way}))
        for runner in there:
            runner.push(frame)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._hub.loop.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._work.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a notice failed", exc_info=task.exception())


def _ripe(log: Log, untold: list[Found], first: dict[str, float], now: float) -> tuple[Chosen, list[Item], float]:
    """The settings, what is to be told now, and in how many seconds there may be more (0: never); on a reader's thread."""
    chosen = _chosen()
    stalled = patience() if any(one.patient for one in untold) else 0.0
    due = {
        one.item.id: max(first[one.item.id] + chosen.after, one.item.since + stalled * one.patient) for one in untold
    }
    later = [at for at in due.values() if at > now]
    ripe = [one for one in untold if due[one.item.id] <= now]
    return chosen, told(log, ripe), max(SOON, min(later) - now) if later else 0.0


def _chosen() -> Chosen:
    names = ("notify.after", "notify.desktop", "notify.terminal")
    try:
        after, desktop, terminal = (settings.value(name) for name in names)
    except BadRequest:  # `synapse config show` says what is wrong
        after, desktop, terminal = (settings.find(name).default for name in names)
    assert isinstance(after, float)
    return Chosen(after, program() if desktop else "", str(terminal))


def program() -> str:
    """The desktop's program for notices, where there is one."""
    return shutil.which("notify-send") or shutil.which("terminal-notifier") or ""


def notices(items: Collection[tuple[Item, str]]) -> list[Notice]:
    """What the person reads of some items, each with the key of its agent: one notice each, or one for many."""
    if len(items) > AT_ONCE:
        names = ", ".join(dict.fromkeys(_line(_name(item)) for item, _ in items))
        return [Notice(f"{len(items)} things wait for you", _line(f"{names}: synapse waiting"))]
    return [Notice(_line(_name(item)), _line(f"{REASONS[item.kind]}: {item.what}"), key) for item, key in items]


def _name(item: Item) -> str:
    return f"{item.workspace}/{item.agent}" if item.workspace else item.agent


def _line(text: str) -> str:
    """One line, without anything that a terminal or a desktop could take for more than text."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def command(program: str, notice: Notice) -> list[str]:
    """How the desktop's program is called."""
    if program.endswith("terminal-notifier"):
        return [program, "-group", "synapse", "-title", notice.title, "-message", f"{notice.text}"]
    return [program, "--app-name=synapse", "--", notice.title, escape(notice.text, quote=False)]


async def _run(words: list[str]) -> None:
    """Run it to its end, or to ours."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        logger.warning("%s cannot be run: %s", words[0], error)
        return
    try:
        status = await asyncio.wait_for(process.wait(), PATIENCE)
        if status:
            logger.info("%s ended with status %d", words[0], status)
    except TimeoutError:
        logger.warning("%s did not end", words[0])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
