"""Tables that follow the log: filled in one way only, whatever happens to their file, and never in the others' way."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from synapse import Call, follower, query
from synapse.errors import Unavailable
from synapse.event import Event
from synapse.follower import Follower, Page, Table
from synapse.testing import BOUND, Bench, Peer, hub
from tests.core.toys import Added, Lines, LinesReply, LinesRequest, add, pad
from tests.e2e.hubs import ROOT

LINES = "SELECT line FROM pad_lines ORDER BY position"


class Source:
    """A log of lines."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)
        self.name = b"this log"
        self.broken = ""
        self.pages = 0

    def head(self) -> int:
        return len(self.lines)

    def page(self, after: int, records: int, kinds: frozenset[str]) -> Page:
        if self.broken:
            raise Unavailable("storage_unavailable", self.broken)
        self.pages += 1
        found = list(enumerate(self.lines, 1))[after : after + records]
        events = [Event(at, 0, 0.0, Added.kind, "a", "w", "pad", Added(line=line)) for at, line in found]
        return Page(events, found[-1][0] if found else after, (found[-1][0], self.name) if found else (0, b""))

    def holds(self, position: int, id: bytes) -> bool:
        return id == self.name


class Following:
    """A follower, and a way to wait for it."""

    def __init__(self, path: Path, source: Source, *tables: Table) -> None:
        self._moved = threading.Condition()
        self.source = source
        self.follower = Follower(path, tables or (Lines(),), source, self._progress)
        self.follower.follow_to(source.head())

    def _progress(self) -> None:
        with self._moved:
            self._moved.notify_all()

    def until(self, what: Any) -> None:
        with self._moved:
            assert self._moved.wait_for(what, BOUND)

    def level(self, name: str = "pad") -> None:
        def level() -> bool:
            try:
                return self.follower.reached(name) >= self.source.head()
            except Unavailable:
                return False

        self.until(level)

    def lines(self) -> list[str]:
        with self.follower.reading() as db:
            return [row[0] for row in db.execute(LINES).fetchall()]


@contextmanager
def following(path: Path, source: Source, *tables: Table) -> Iterator[Following]:
    one = Following(path, source, *tables)
    try:
        yield one
    finally:
        one.follower.close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache.db"


def filled(cache: Path, source: Source, *tables: Table) -> list[str]:
    with following(cache, source, *tables) as one:
        one.level()
        return one.lines()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "RETRY", (0.01,))


def test_a_table_is_filled_from_the_log_and_goes_on_where_it_stood(cache: Path) -> None:
    source = Source(*map(str, range(1200)))
    assert len(filled(cache, source)) == 1200
    pages = source.pages
    source.lines.append("one more")
    assert filled(cache, source)[-1] == "one more"
    assert source.pages == pages + 1


def test_a_file_that_is_deleted_is_filled_again(cache: Path) -> None:
    source = Source("a", "b")
    filled(cache, source)
    cache.unlink()
    assert filled(cache, source) == ["a", "b"]


@pytest.mark.parametrize("content", [b"", b"no database at all" * 1000, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_that_is_none_is_made_anew(cache: Path, content: bytes) -> None:
    cache.write_bytes(content)
    assert filled(cache, Source("a")) == ["a"]


def test_a_file_that_is_damaged_inside_is_made_anew(cache: Path) -> None:
    source = Source(*[f"line {n} {'x' * 200}" for n in range(500)])
    filled(cache, source)
    content = bytearray(cache.read_bytes())
    content[8192:-4096] = b"\xff" * (len(content) - 12288)
    cache.write_bytes(content)
    for ending in ("-wal", "-shm"):
        cache.with_name(cache.name + ending).unlink(missing_ok=True)
    assert len(filled(cache, source)) == 500


def test_a_file_that_is_taken_away_under_a_hub_is_filled_again(cache: Path) -> None:
    source = Source("a")
    with following(cache, source) as one:
        one.level()
        for ending in ("", "-wal", "-shm"):
            cache.with_name(cache.name + ending).unlink(missing_ok=True)
        with pytest.raises(Unavailable):
            one.lines()
        one.until(cache.exists)
        one.level()
        assert one.lines() == ["a"]


def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    source = Source("a")
    with following(tmp_path / "absent" / "cache.db", source) as one:
        one.until(lambda: one.follower.trouble)
        assert "cache.db" in one.follower.failures
        with pytest.raises(Unavailable):
            one.follower.reached("pad")
        (tmp_path / "absent").mkdir()
        one.level()
        assert one.lines() == ["a"]
        assert one.follower.failures == {}


def test_a_log_that_cannot_be_read_is_tried_again(cache: Path) -> None:
    source = Source("a")
    source.broken = "the disk is away"
    with following(cache, source) as one:
        one.until(lambda: one.follower.trouble == "the disk is away")
        source.broken = ""
        one.level()
        assert one.lines() == ["a"]


class Second(Lines):
    version = 2


def test_a_version_that_was_raised_and_another_log_fill_the_table_anew(cache: Path) -> None:
    source = Source("a", "b")
    filled(cache, source)
    assert filled(cache, source, Second()) == ["a", "b"]
    other = Source("c", "d", "e")
    other.name = b"another"
    assert filled(cache, other, Second()) == ["c", "d", "e"]
    assert filled(cache, Source("f"), Second()) == ["f"], "a backup that is older than the table"


def test_the_tables_of_a_plugin_that_is_gone_are_dropped(cache: Path) -> None:
    class Words(Lines):
        name = "words"
        schema = ("CREATE VIRTUAL TABLE words_text USING fts5 (line)", "CREATE TABLE words_more (line TEXT)")

        def apply(self, db: Any, event: Event) -> None:
            db.execute("INSERT INTO words_text VALUES (?)", (event.body.line,))

    source = Source("a secret")
    with following(cache, source, Lines(), Words()) as one:
        one.level("words")
        one.level()
    assert b"a secret" in cache.read_bytes()
    with following(cache, source, Words()) as one:
        one.level("words")
        with one.follower.reading() as db:
            names = {row[0] for row in db.execute("SELECT name FROM sqlite_schema").fetchall()}
        assert "words_text" in names
        assert not any(name.startswith("pad") for name in names)
    with following(cache, source) as one:
        one.level()
        assert one.lines() == ["a secret"]
    assert b"words_text" not in cache.read_bytes()


@pytest.mark.parametrize("error", [ValueError("torn"), SystemExit(1), apsw.ConstraintError("twice")])
def test_a_table_that_fails_stands_still_at_its_event_and_the_others_go_on(cache: Path, error: BaseException) -> None:
    class Torn(Lines):
        name = "torn"
        schema = ("CREATE TABLE torn_lines (line TEXT)",)

        def apply(self, db: Any, event: Event) -> None:
            if event.body.line == "b":
                raise error
            db.execute("INSERT INTO torn_lines VALUES (?)", (event.body.line,))

    with following(cache, Source("a", "b", "c"), Lines(), Torn()) as one:
        one.level()
        assert one.lines() == ["a", "b", "c"]
        assert "at event 2.0 (pad.added)" in one.follower.failures["torn"]
        with pytest.raises(Unavailable, match=r"event 2\.0"):
            one.follower.reached("torn")


def test_a_table_that_is_only_being_made_has_not_reached_the_beginning(cache: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    class Slow(Lines):
        name = "slow"

        @property
        def schema(self) -> tuple[str, ...]:  # type: ignore[override]
            begun.set()
            assert go.wait(10)
            return ("CREATE TABLE slow_lines (line TEXT)",)

        def apply(self, db: Any, event: Event) -> None:
            pass

    with following(cache, Source("a"), Slow()) as one:
        try:
            assert begun.wait(10)
            assert one.follower.reached("slow") == -1
        finally:
            go.set()
        one.level("slow")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM pad_lines", "DROP TABLE pad_lines", "UPDATE followers SET position = 0", "COMMIT", "ROLLBACK",
        "ATTACH ':memory:' AS other", "CREATE TABLE stray (x)", "CREATE INDEX pad_index ON pad_lines (line)", "nonsense",
    ],
)  # fmt: skip
def test_a_table_writes_only_what_is_its_own(cache: Path, sql: str) -> None:
    class Greedy(Lines):
        name = "greedy"
        schema = ("CREATE TABLE greedy_lines (line TEXT)",)

        def apply(self, db: Any, event: Event) -> None:
            db.execute(sql).fetchall()

    class Owner(Greedy):
        name = "owner"
        schema = (sql,)

    with following(cache, Source("a"), Lines(), Greedy(), Owner()) as one:
        one.level()
        assert one.lines() == ["a"]
        assert set(one.follower.failures) == {"greedy", "owner"}


def test_a_question_that_takes_too_long_is_ended(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "LONGEST", 0.05)
    endless = "WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with following(cache, Source("a")) as one:
        one.level()
        with pytest.raises(Unavailable, match="takes more than"), one.follower.reading() as db:
            db.execute(endless).fetchall()
        assert one.lines() == ["a"]
        with pytest.raises(Unavailable), one.follower.reading() as db:
            db.execute("DELETE FROM pad_lines")


def test_a_follower_that_has_nothing_to_do_sleeps(cache: Path) -> None:
    source = Source("a")
    with following(cache, source) as one:
        one.level()
        pages, thread = source.pages, one.follower._thread.native_id
        status = Path(f"/proc/self/task/{thread}/status")

        def slept() -> int:
            lines = status.read_text().splitlines()
            return int(next(line for line in lines if line.startswith("voluntary")).split()[1])

        before = slept()
        threading.Event().wait(0.3)
        assert source.pages == pages
        assert slept() - before <= 1  # on its way to sleep when we looked first


# -- through the hub


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with hub({"pad": pad()}) as bench:
        yield bench


@pytest.fixture
def ada(bench: Bench) -> Peer:
    return bench.client("ada")


async def test_everybody_reads_their_own_writes_many_at_once(bench: Bench) -> None:
    async def one(name: str) -> None:
        peer = bench.client(name)
        for number in range(20):
            await peer("pad.add", line=f"{name} {number}")
            assert f"{name} {number}" in (await peer("pad.stored"))["lines"]

    await asyncio.gather(*[one(f"peer-{n}") for n in range(20)])


async def test_a_table_that_fails_answers_unavailable_and_the_plugin_goes_on(bench: Bench, ada: Peer) -> None:
    await ada("pad.add", line="tear")
    refusal = await ada.refused("pad.stored")
    assert (refusal.status, refusal.code) == (503, "table_failed")
    assert "(pad.added): the page is torn" in refusal.sentence
    assert (await ada("pad.lines"))["lines"] == ["tear"]
    broken = (await ada("hub.status"))["hub"]["broken"]
    assert "the page is torn" in broken["table pad"]
    [row] = (await ada("plugins.list"))["plugins"]
    assert not row["working"]


async def test_a_table_that_is_far_behind_is_waited_for_and_not_for_ever(
    bench: Bench, ada: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()

    class Slow(Lines):
        def apply(self, db: Any, event: Event) -> None:
            free.wait(BOUND)
            super().apply(db, event)

    bench.modules["pad"] = pad(tables=lambda: (Slow(),))
    await bench.refill()
    ada = bench.client("ada")
    await ada("pad.add", line="a")
    monkeypatch.setattr("synapse.hub.tables.BEHIND", 0.05)
    assert (await ada.refused("pad.stored")).code == "tables_behind"
    monkeypatch.setattr("synapse.hub.tables.BEHIND", BOUND)
    asked = ada.ask("pad.stored")
    await asyncio.sleep(0.01)
    free.set()
    assert await asked == b'{"lines":["a"]}'


async def test_whoever_waits_when_the_hub_stops_is_told(bench: Bench, ada: Peer) -> None:
    free = threading.Event()

    class Slow(Lines):
        def apply(self, db: Any, event: Event) -> None:
            free.wait(BOUND)

    bench.modules["pad"] = pad(tables=lambda: (Slow(),))
    await bench.refill()
    ada = bench.client("ada")
    await ada("pad.add", line="a")
    asked = ada.ask("pad.stored")
    await asyncio.sleep(0.01)
    threading.Timer(0.2, free.set).start()
    await bench.restart()
    with pytest.raises(Unavailable, match="stopping"):
        await asked


async def test_what_others_write_does_not_wake_the_tables(bench: Bench, ada: Peer) -> None:
    await ada("pad.add", line="a")
    await ada("pad.stored")
    assert bench.hub.tables is not None
    one = bench.hub.tables._follower
    before = one._head
    await bench.agent("bob")
    for _ in range(10):
        await ada("messages.send", to="bob", text="x", mode="silent")
    assert (await ada("pad.stored"))["lines"] == ["a"]
    assert one._head == before


async def test_what_comes_in_a_row_is_taken_together_and_who_asks_is_answered_at_once(
    bench: Bench, ada: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "LINGER", 60.0)  # before the first: what lingers already does so as long as before
    await ada("pad.add", line="first")
    await ada("pad.stored")
    assert bench.hub.tables is not None
    source, pages = bench.hub.tables._follower._source, list[int]()
    read = source.page

    def page(after: int, records: int, kinds: frozenset[str]) -> Page:
        pages.append(after)
        return read(after, records, kinds)

    monkeypatch.setattr(source, "page", page)
    for number in range(10):
        await ada("pad.add", line=f"line {number}")
    assert pages == []
    assert len((await ada("pad.stored"))["lines"]) == 11
    assert len(pages) == 1


async def test_a_bug_in_a_question_is_one_unavailable_answer(bench: Bench) -> None:
    @query("pad.stored", tables=("pad",))
    def wrong(call: Call, request: LinesRequest) -> Callable[[Any], LinesReply]:
        """Ask for what is not there."""

        def fetch(db: Any) -> LinesReply:
            return LinesReply(lines=db.execute("SELECT * FROM pad_nothing").fetchall())

        return fetch

    bench.modules["pad"] = pad(verbs=(add, wrong))
    await bench.restart()
    refusal = await bench.client("ada").refused("pad.stored")
    assert (refusal.status, "no such table" in refusal.sentence) == (503, True)


KILLED = """
import asyncio, sys
from pathlib import Path
from synapse.testing import hub
from tests.core.toys import pad

async def main(file):
    async with hub({"pad": pad()}, file=Path(file), cache=Path(file + ".cache")) as bench:
        ada = bench.client("ada")
        print("open", flush=True)
        for number in range(100_000):
            await ada("pad.add", line=f"{number}")
            print(number, flush=True)

asyncio.run(main(sys.argv[1]))
"""


async def test_a_hub_that_is_killed_at_any_moment_leaves_tables_that_catch_up(tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    for round_ in range(6):
        process = await asyncio.to_thread(
            subprocess.Popen, [sys.executable, "-c", KILLED, str(file)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert process.stdout is not None
        for _ in range(5 + 17 * round_):
            await asyncio.to_thread(process.stdout.readline)
        os.kill(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.communicate)
        async with hub({"pad": pad()}, file=file, cache=Path(f"{file}.cache")) as bench:
            lines = [body["line"] for body in bench.bodies("pad.added")]
            assert (await bench.client("eve")("pad.stored"))["lines"] == lines
            assert len(lines) >= 4
