"""The rules among viewers, as conversations on the private socket: a child that only writes down, a real model."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pytest

from synapse.runner import flow, frames, leaving, painter, sizing, viewer, viewers
from synapse.runner.flow import Flow
from synapse.runner.frames import Frames, Hello
from synapse.runner.process import Child, ExitStatus
from synapse.runner.terminal import Terminal
from synapse.runner.viewers import Viewers

WITHIN = 5.0  # seconds


class Recorder:
    """Stands in for the child."""

    def __init__(self) -> None:
        self.written = b""
        self.sizes: list[tuple[int, int]] = []
        self.paused = self.stopped = False
        self.pauses = 0
        self.proceeded = 0
        self.takes = True

    def write(self, data: bytes) -> bool:
        self.written += data if self.takes else b""
        return self.takes

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))

    def pause(self) -> None:
        self.pauses += not self.paused
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def proceed(self) -> None:
        self.proceeded += 1
        self.stopped = False


class Guest:
    """A viewer's end of the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.heard: list[tuple[int, bytes]] = []
        self._frames = Frames()

    @property
    def shown(self) -> bytes:
        return b"".join(payload for kind, payload in self.heard if kind == frames.OUTPUT)

    @property
    def kinds(self) -> list[int]:
        return [kind for kind, _ in self.heard]

    def say(self, kind: int, payload: bytes = b"") -> None:
        self.writer.write(frames.frame(kind, payload))

    def type(self, data: bytes) -> None:
        self.say(frames.INPUT, data)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WITHIN):
            while not condition():
                data = await self.reader.read(65536)
                assert data, f"the runner hung up after {self.heard}"
                self.heard += self._frames.feed(data)

    async def shows(self, text: bytes) -> None:
        await self.until(lambda: text in self.shown)

    async def ended(self) -> None:
        with suppress(ConnectionResetError):
            async with asyncio.timeout(WITHIN):
                while data := await self.reader.read(65536):
                    self.heard += self._frames.feed(data)


class Stage:
    """A runner's terminal with nobody at it yet."""

    def __init__(self, folder: Path) -> None:
        loop = asyncio.get_running_loop()
        self.path = folder / "run" / "socket"
        self.child = Recorder()
        self.terminal = Terminal(80, 24)
        self.viewers = Viewers(loop, cast(Child, self.child), self.terminal, self.path)
        self.flow = Flow(loop, cast(Child, self.child), self.terminal, self.viewers)
        self._guests: list[Guest] = []

    async def connect(self) -> Guest:
        guest = Guest(*await asyncio.open_unix_connection(str(self.path)))
        self._guests.append(guest)
        return guest

    async def join(self, columns: int = 80, rows: int = 24, **more: bool | str | int) -> Guest:
        """A viewer that has been shown the screen."""
        before = len(self.viewers)
        guest = await self.connect()
        guest.writer.write(Hello(columns, rows, **more).encode())  # type: ignore[arg-type]
        await self.until(lambda: len(self.viewers) > before)
        if not more.get("owner"):
            await guest.shows(b"\x1b[?2026l")
        guest.heard.clear()
        return guest

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WITHIN):
            while not condition():
                await asyncio.sleep(0.001)

    async def close(self) -> None:
        await self.viewers.finish(ExitStatus(0))
        for guest in self._guests:
            guest.writer.close()


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(viewers, "PART_WITHIN", 0.2)
    with TemporaryDirectory(prefix="syn") as folder:
        stage = Stage(Path(folder))
        await stage.viewers.open()
        try:
            yield stage
        finally:
            await stage.close()


# What is shown.


async def test_live_bytes_go_out_as_they_came(stage: Stage) -> None:
    one, two = await stage.join(), await stage.join()
    stage.flow.feed(b"\x1b[31mred\x1b[0m \xe6\xbc\xa2")
    for guest in (one, two):
        await guest.shows(b"\x1b[31mred\x1b[0m \xe6\xbc\xa2")


async def test_queries_are_answered_by_the_runner_alone(stage: Stage) -> None:
    guest = await stage.join()
    stage.flow.feed(b"a\x1b[6nb\x1b[c")
    await guest.shows(b"ab")
    await stage.until(lambda: stage.child.written == b"\x1b[1;2R\x1b[?62;22c")


async def test_bells_and_the_clipboard_are_for_the_viewer_that_typed_last(stage: Stage) -> None:
    one, two = await stage.join(), await stage.join()
    two.type(b"x")
    await stage.until(lambda: stage.child.written == b"x")
    stage.flow.feed(b"\x07\x1b]52;c;eA==\x07done")
    await one.shows(b"done")
    await two.shows(b"\x1b]52;c;eA==\x07")
    assert b"\x07" not in one.shown


async def test_a_viewer_of_another_size_is_painted_and_not_sent_live_bytes(stage: Stage) -> None:
    await stage.join()
    small = await stage.join(40, 10)
    stage.flow.feed(b"\x1b[24;1Hbottom")
    await small.shows(b"bottom")
    assert b"\x1b[24;1H" not in small.shown
    assert small.shown.startswith(b"\x1b[?2026h")


async def test_nobody_is_switched_in_while_a_frame_is_half_drawn(stage: Stage) -> None:
    stage.flow.feed(b"\x1b[?2026hhalf")
    guest = await stage.connect()
    guest.writer.write(Hello(80, 24).encode())
    await stage.until(lambda: len(stage.viewers) == 1)
    stage.flow.feed(b" and whole\x1b[?2026l")
    await guest.shows(b"half and whole")


async def test_a_frame_that_is_never_finished_is_shown_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painter, "BOUNDARY_WITHIN", 0.01)
    stage.flow.feed(b"\x1b[?2026hhalf")
    guest = await stage.connect()
    guest.writer.write(Hello(80, 24).encode())
    await guest.shows(b"half")


async def test_the_owners_screen_is_left_alone_when_its_cursor_is_known(stage: Stage) -> None:
    stage.viewers.begin_at(1, 10)
    owner = await stage.join(owner=True)
    stage.flow.feed(b"first \x1b[6n")
    await owner.shows(b"first ")
    assert owner.shown == b"first "
    await stage.until(lambda: stage.child.written == b"\x1b[10;7R")


async def test_a_new_viewer_can_scroll_back(stage: Stage) -> None:
    stage.flow.feed(b"".join(b"line %d\r\n" % n for n in range(100)))
    stage.flow.catch_up()
    guest = await stage.connect()
    guest.writer.write(Hello(80, 24).encode())
    await guest.shows(b"\x1b[?2026l")
    assert b"line 0\r\nline 1\r\n" in guest.shown


async def test_a_note_is_shown_and_taken_away(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painter, "NOTE_FOR", 0.01)
    stage.flow.feed(b"\x1b[24;1Hbottom line\x1b[H")
    guest = await stage.join()
    stage.viewers.note("1 message waiting")
    await guest.until(lambda: (frames.NOTE, b"1 message waiting") in guest.heard)
    await guest.shows(b"bottom line")
    assert guest.shown == b"\x1b7\x1b[24;1H\x1b[0m\x1b[2K\x1b[0;mbottom line\x1b8".ljust(len(guest.shown))


async def test_a_note_that_is_shown_again_and_again_is_taken_away_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painter, "NOTE_FOR", 0.05)
    stage.flow.feed(b"\x1b[24;1Hbottom line\x1b[H")
    guest = await stage.join()
    await asyncio.sleep(painter.INTERVAL)
    for _ in range(20):
        stage.viewers.note("1 message waiting")
    await guest.shows(b"bottom line")
    await asyncio.sleep(0.1)
    stage.flow.feed(b"more")
    await guest.shows(b"more")
    assert guest.shown.count(b"bottom line") == 1
    assert b"\x1b[2J" not in guest.shown  # nothing was painted over


# Slow ones.


async def test_a_viewer_that_does_not_read_slows_nobody_and_is_painted_when_it_does(stage: Stage) -> None:
    quick, stuck = await stage.join(), await stage.join()
    for n in range(400):
        stage.flow.feed(b"%05d " % n + b"x" * 9994)
        await quick.until(lambda: (frames.OUTPUT, b"%05d " % n + b"x" * 9994) in quick.heard[-2:])  # noqa: B023
    stage.flow.feed(b"\r\nthe end")
    await quick.shows(b"the end")
    await stuck.shows(b"the end")
    assert len(stuck.shown) < len(quick.shown) / 2


async def test_the_viewer_that_typed_last_slows_the_child_only_while_it_reads(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewers, "STALLED_AFTER", 0.05)
    guest = await stage.join()
    while not stage.child.paused:
        stage.flow.feed(b"x" * 50_000)
        stage.flow.catch_up()
    await stage.until(lambda: not stage.child.paused)  # it has not read anything
    stage.flow.feed(b"\r\nthe end")
    await guest.shows(b"the end")


async def test_a_slow_viewer_that_begins_to_type_slows_the_child_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewers, "STALLED_AFTER", 0.05)
    await stage.join()
    stuck = await stage.join()
    _, viewer = stage.viewers
    while not viewer.slow:
        stage.flow.feed(b"x" * 50_000)
        stage.flow.catch_up()
    before = stage.child.pauses
    stuck.type(b"k")
    await stage.until(lambda: stage.child.written == b"k")
    assert stage.child.pauses == before + 1
    await stage.until(lambda: not stage.child.paused)  # it has not read anything
    assert not viewer.live


async def test_nobody_waits_for_a_model_that_lags_to_know_how_to_leave(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "INTERVAL", 0.001)
    guest = await stage.join()
    for data in (b"\x1b[?2004h", b"x"):  # after the second a look at the modes is due
        stage.flow.feed(data)
        stage.flow.catch_up()
    monkeypatch.setattr(flow, "SLICE", 0.0)
    stage.flow.feed(b"\x1b[?2004l" + b"x\r\n" * 60_000)
    await asyncio.sleep(0.005)
    await asyncio.sleep(0)
    assert stage.terminal.lag
    monkeypatch.undo()
    stage.flow.catch_up()
    await guest.until(lambda: (frames.UNDO, stage.viewers._leaving._modes()) in guest.heard)


# What is typed.


async def test_reports_are_dropped_and_keys_go_through(stage: Stage) -> None:
    guest = await stage.join()
    guest.type(b"a\x1b[?62c\x1b]11;rgb:0/0/0\x1b\\\x1b[A\x1b[200~p\r\x1b[201~b")
    await stage.until(lambda: stage.child.written == b"a\x1b[A\x1b[200~p\r\x1b[201~b")


async def test_who_watches_types_nothing(stage: Stage) -> None:
    watcher = await stage.join(watch=True)
    watcher.type(b"abc")
    watcher.type(b"\x1c")
    await watcher.ended()
    assert watcher.kinds[-1] == frames.GOODBYE
    assert stage.child.written == b""


@pytest.mark.parametrize("key", [b"\x1c", b"\x1b[92;5u", b"\x1b[27;5;92~"])
async def test_the_detach_key_is_known_in_all_its_forms(stage: Stage, key: bytes) -> None:
    guest = await stage.join()
    guest.type(b"ab" + key + b"cd")
    await guest.ended()
    assert frames.decode_end(guest.heard[-1][1]) == (0, "detached")
    assert stage.child.written == b"ab"


async def test_the_detach_key_in_a_paste_is_text(stage: Stage) -> None:
    guest = await stage.join()
    guest.type(b"\x1b[200~a\x1cb\x1b[201~")
    await stage.until(lambda: stage.child.written == b"\x1b[200~a\x1cb\x1b[201~")


async def test_keys_are_held_during_an_injection_and_let_go_after_it(stage: Stage) -> None:
    guest = await stage.join()
    seen: list[bytes] = []
    stage.viewers.on_input = lambda _, tokens: seen.extend(token.data for token in tokens)
    stage.viewers.hold()
    guest.type(b"ab\r")
    guest.say(frames.RESIZE, frames.encode_size(81, 24))
    await stage.until(lambda: stage.child.sizes)
    stage.child.write(b"<injected>")
    assert seen == []
    stage.viewers.release()
    assert stage.child.written == b"<injected>ab\r"
    assert b"".join(seen) == b"ab\r"


async def test_keys_are_held_for_a_bounded_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "HOLD_AT_MOST", 0.02)
    guest = await stage.join()
    stage.viewers.hold()
    guest.type(b"a")
    await stage.until(lambda: stage.child.written == b"a")
    assert not stage.viewers.holding


async def test_half_a_paste_is_seen(stage: Stage) -> None:
    guest = await stage.join()
    guest.type(b"\x1b[200~half")
    await stage.until(lambda: stage.viewers.mid_token)
    guest.type(b"\x1b[201~")
    await stage.until(lambda: not stage.viewers.mid_token)


async def test_a_person_hears_of_keys_that_the_child_does_not_take(stage: Stage) -> None:
    guest = await stage.join()
    stage.child.takes = False
    guest.type(b"a")
    await guest.until(lambda: frames.NOTE in guest.kinds)


# Sizes.


async def test_a_second_viewer_resizes_only_when_it_types(stage: Stage) -> None:
    await stage.join()
    small = await stage.join(40, 10)
    assert stage.child.sizes == []
    small.type(b"\x1b[<35;1;1M")  # a mouse that passes over it is not typing
    small.type(b"x")
    await stage.until(lambda: stage.child.sizes == [(40, 10)])


async def test_who_types_is_sent_live_bytes_only_once_the_terminal_has_its_size(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizing, "INTERVAL", 0.2)
    large, small = await stage.join(), await stage.join(40, 10)
    small.type(b"a")
    await stage.until(lambda: stage.child.sizes == [(40, 10)])
    large.type(b"b")
    await stage.until(lambda: stage.child.written == b"ab")
    await large.shows(b"\x1b[?2026l")
    stage.flow.feed(b"a line that is wrapped where the terminal ends, and no other")
    await stage.until(lambda: stage.child.sizes == [(40, 10), (80, 24)])
    stage.flow.feed(b"\r\nlive")
    await large.shows(b"live")
    glass = Terminal(80, 24)
    glass.write(large.shown)
    while not glass.advance():
        pass
    assert glass.lines() == stage.terminal.lines()


async def test_when_the_viewer_that_typed_last_goes_the_one_before_has_the_size(stage: Stage) -> None:
    first, second = await stage.join(100, 30), await stage.join(40, 10)
    first.type(b"x")
    second.type(b"y")
    await stage.until(lambda: stage.child.sizes[-1:] == [(40, 10)])
    second.writer.close()
    await stage.until(lambda: stage.child.sizes[-1] == (100, 30))


async def test_sizes_are_coalesced_and_the_last_one_comes_true(stage: Stage) -> None:
    guest = await stage.join()
    for columns in range(81, 181):
        guest.say(frames.RESIZE, frames.encode_size(columns, 24))
    await stage.until(lambda: stage.child.sizes[-1:] == [(180, 24)])
    assert len(stage.child.sizes) < 10
    assert (stage.terminal.columns, stage.terminal.rows) == (180, 24)


async def test_an_absurd_size_is_bounded(stage: Stage) -> None:
    guest = await stage.join()
    guest.say(frames.RESIZE, frames.encode_size(65535, 0))
    await stage.until(lambda: stage.child.sizes == [(2000, 1)])


# Focus.


async def test_focus_is_in_when_any_viewer_is_in(stage: Stage) -> None:
    stage.flow.feed(b"\x1b[?1004h")
    one, two = await stage.join(), await stage.join()
    one.type(b"\x1b[O")
    one.type(b"1")
    await stage.until(lambda: b"1" in stage.child.written)
    stage.child.written = b""
    two.type(b"\x1b[O")
    await stage.until(lambda: stage.child.written == b"\x1b[O")
    one.type(b"\x1b[I")
    two.type(b"\x1b[I")
    two.type(b"2")
    await stage.until(lambda: stage.child.written == b"\x1b[O\x1b[I2")


async def test_the_last_viewer_that_detaches_takes_the_focus_along(stage: Stage) -> None:
    guest = await stage.join()
    stage.flow.feed(b"\x1b[?1004h")
    await guest.shows(b"\x1b[?1004h")
    guest.type(b"\x1c")
    await guest.ended()
    await stage.until(lambda: not len(stage.viewers))
    assert stage.child.written == b"\x1b[O"


async def test_a_program_that_does_not_ask_hears_nothing_of_focus(stage: Stage) -> None:
    guest = await stage.join()
    guest.type(b"\x1b[Ox")
    await stage.until(lambda: stage.child.written == b"x")


# Stopping.


async def test_only_the_viewer_that_typed_last_is_stopped_and_repainted_when_it_goes_on(stage: Stage) -> None:
    one, two = await stage.join(), await stage.join()
    two.type(b"\x1a")
    await stage.until(lambda: stage.child.written)
    stage.child.stopped = True
    stage.viewers.child_stopped()
    await two.until(lambda: frames.STOP in two.kinds)
    two.heard.clear()
    two.say(frames.CONTINUE)
    await two.shows(b"\x1b[?2026l")
    await stage.until(lambda: stage.child.proceeded == 1)
    assert frames.STOP not in one.kinds


async def test_keys_of_another_viewer_continue_the_child(stage: Stage) -> None:
    one, two = await stage.join(), await stage.join()
    two.type(b"\x1a")
    await stage.until(lambda: stage.child.written)
    stage.child.stopped = True
    stage.viewers.child_stopped()
    two.type(b"too late for the shell")
    one.type(b"x")
    await stage.until(lambda: stage.child.proceeded == 1)


async def test_a_stopped_viewer_that_is_closed_continues_the_child(stage: Stage) -> None:
    guest = await stage.join()
    stage.child.stopped = True
    stage.viewers.child_stopped()
    guest.writer.close()
    await stage.until(lambda: stage.child.proceeded == 1)


async def test_without_a_viewer_or_with_watchers_alone_the_child_goes_on_at_once(stage: Stage) -> None:
    stage.viewers.child_stopped()
    await stage.join(watch=True)
    stage.viewers.child_stopped()
    assert stage.child.proceeded == 2


# Coming and going.


async def test_an_owner_that_is_lost_ends_the_agent_and_one_that_detaches_does_not(stage: Stage) -> None:
    gone = 0

    def count() -> None:
        nonlocal gone
        gone += 1

    stage.viewers.on_owner_gone = count
    owner = await stage.join(owner=True)
    owner.type(b"\x1c")
    await stage.until(lambda: not len(stage.viewers))
    assert gone == 0
    owner = await stage.join(owner=True)
    owner.writer.close()
    await stage.until(lambda: gone == 1)


async def test_how_to_leave_is_known_to_a_viewer_of_a_silent_program(stage: Stage) -> None:
    stage.flow.feed(b"\x1b[?1049h\x1b[?2004h")
    stage.flow.catch_up()
    guest = await stage.connect()
    guest.writer.write(Hello(80, 24).encode())
    await guest.until(lambda: frames.UNDO in guest.kinds)
    undo = dict(guest.heard)[frames.UNDO]
    assert b"\x1b[?1049l" in undo
    assert b"\x1b[?2004l" in undo


async def test_how_to_leave_follows_the_modes(stage: Stage) -> None:
    guest = await stage.join()
    stage.flow.feed(b"\x1b[?2004h")
    await guest.until(lambda: any(kind == frames.UNDO and b"\x1b[?2004l" in undo for kind, undo in guest.heard))
    stage.flow.feed(b"\x1b[?2004l")
    await guest.until(lambda: guest.heard[-1][0] == frames.UNDO and b"2004" not in guest.heard[-1][1])


async def test_the_end_reaches_everyone_after_the_last_bytes(stage: Stage) -> None:
    guest, small = await stage.join(), await stage.join(40, 10)
    stage.flow.feed(b"last words")
    stage.flow.catch_up()
    await stage.viewers.finish(ExitStatus(-15))
    for each in (guest, small):
        await each.ended()
        assert b"last words" in each.shown
        assert each.heard[-1] == (frames.EXIT, frames.encode_end(-15))


async def test_whoever_comes_when_it_has_ended_sees_the_last_screen_and_the_status(stage: Stage) -> None:
    await stage.join()
    late = await stage.connect()
    stage.flow.feed(b"the last words")
    stage.flow.catch_up()
    await asyncio.sleep(0.05)  # it is let in, and has not said hello
    await stage.viewers.finish(ExitStatus(3))
    late.writer.write(Hello(80, 24).encode())
    await late.ended()
    assert b"the last words" in late.shown
    assert late.heard[-1] == (frames.EXIT, frames.encode_end(3))


async def test_the_end_does_not_wait_for_ever_for_one_that_does_not_read(stage: Stage) -> None:
    await stage.join()
    stage.viewers.output(b"x" * 3_000_000)
    async with asyncio.timeout(WITHIN):
        await stage.viewers.finish(ExitStatus(0))
    assert len(stage.viewers) == 0


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n" * 9,
        frames.frame(frames.INPUT, b"keys before hello"),
        frames.frame(frames.HELLO, b"short"),
        frames.frame(frames.HELLO, b"\0\1\0\1\0\1\0\xff\xfe\0"),
    ],
)
async def test_whoever_speaks_something_else_is_shown_out(stage: Stage, said: bytes) -> None:
    guest = await stage.connect()
    guest.writer.write(said)
    await guest.ended()
    assert guest.heard == []
    assert len(stage.viewers) == 0


async def test_whoever_says_nothing_is_shown_out(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "HELLO_WITHIN", 0.02)
    await (await stage.connect()).ended()


@pytest.mark.parametrize(
    ("more", "reason"), [({"protocol": 99}, "protocol 1"), ({"detach_key": "some key"}, "not the name of a key")]
)
async def test_what_cannot_be_served_is_said(stage: Stage, more: dict[str, str | int], reason: str) -> None:
    guest = await stage.connect()
    guest.writer.write(Hello(80, 24, **more).encode())  # type: ignore[arg-type]
    await guest.ended()
    status, said = frames.decode_end(guest.heard[-1][1])
    assert status == 1
    assert reason in said


# The door.


async def test_the_socket_is_for_this_user_alone(stage: Stage) -> None:
    assert stat.S_IMODE(stage.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(stage.path.parent.stat().st_mode) == 0o700


async def test_another_user_is_not_let_in(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synapse.runner.platform.peer_uid", lambda _: os.getuid() + 1)
    guest = await stage.connect()
    guest.writer.write(Hello(80, 24).encode())
    await guest.ended()
    assert len(stage.viewers) == 0


async def test_a_socket_that_was_deleted_comes_back_and_viewers_stay(stage: Stage) -> None:
    guest = await stage.join()
    stage.path.unlink()
    stage.path.parent.rmdir()
    await stage.viewers.ensure()
    await stage.join()
    stage.flow.feed(b"both")
    await guest.shows(b"both")
    inode = stage.path.stat().st_ino
    await stage.viewers.ensure()
    assert stage.path.stat().st_ino == inode


async def test_the_socket_goes_with_the_runner(stage: Stage) -> None:
    await stage.viewers.finish(ExitStatus(0))
    assert list(stage.path.parent.iterdir()) == []
