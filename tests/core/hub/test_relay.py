"""The relay file: what it holds, how it is bounded, and that its place survives the hub's end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from synapse.errors import Refused
from synapse.hub.relay import LONGEST_TEXT, Relay, RelayFile
from synapse.lite import decode_lite, encode_lite
from tests.core.hub.kit import BOUND, Bench


def lines(path: Path) -> list[dict[str, Any]]:
    return [decode_lite(line) for line in path.read_text().splitlines()]


def texts(path: Path) -> list[str]:
    return [line["body"]["text"] for line in lines(path) if line["kind"] == "messages.sent"]


async def until(path: Path, count: int) -> list[str]:
    """The texts, when there are so many."""
    async with asyncio.timeout(BOUND):
        while len(texts(path)) < count:
            await asyncio.sleep(0.001)
    return texts(path)


@asynccontextmanager
async def relayed(bench: Bench, path: Path, most: int = 1000) -> AsyncIterator[Relay]:
    relay = Relay(bench.hub, path, most)
    await relay.open()
    try:
        yield relay
    finally:
        await relay.close()


async def note(bench: Bench, text: str) -> None:
    await bench.client("alice")("messages.send", to="bob", text=text, mode="silent")


@pytest.fixture
async def talking(bench: Bench) -> Bench:
    await bench.client("bob")("agents.here")
    return bench


async def test_what_happens_is_mirrored_in_few_letters_with_names(talking: Bench, tmp_path: Path) -> None:
    path = tmp_path / "relay.ndjson"
    async with relayed(talking, path):
        await note(talking, "hi")
        await until(path, 1)
    [line] = [json.loads(line) for line in path.read_text().splitlines() if "messages.sent" in line]
    assert set(line) == {"n", "t", "k", "b", "w", "s", "d"}
    assert (line["b"], line["w"]) == ("alice", "w")
    assert line["d"] == {"to": ["bob"], "role": "note", "text": "hi"}
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_task_names_who_asks_whom(talking: Bench, tmp_path: Path) -> None:
    path = tmp_path / "relay.ndjson"
    async with relayed(talking, path):
        await talking.client("alice")("messages.send", to="bob", text="do it")
    [submitted] = [line for line in lines(path) if line["kind"] == "tasks.submitted"]
    assert (submitted["body"]["box"], submitted["body"]["requester"]) == ("bob", "alice")


async def test_a_new_file_begins_with_what_happens_now(talking: Bench, tmp_path: Path) -> None:
    path = tmp_path / "relay.ndjson"
    await note(talking, "before")
    async with relayed(talking, path):
        await note(talking, "after")
    assert texts(path) == ["after"]


async def test_it_goes_on_where_it_stood(talking: Bench, tmp_path: Path) -> None:
    path = tmp_path / "relay.ndjson"
    async with relayed(talking, path):
        await note(talking, "one")
    await note(talking, "two")
    await talking.restart()
    async with relayed(talking, path):
        await note(talking, "three")
    assert texts(path) == ["one", "two", "three"]
    numbers = [(line["position"], line["index"]) for line in lines(path)]
    assert numbers == sorted(set(numbers))


async def test_a_line_that_was_not_finished_is_written_again(talking: Bench, tmp_path: Path) -> None:
    path = tmp_path / "relay.ndjson"
    async with relayed(talking, path):
        await talking.client("alice")("messages.send", to="bob", text="one")
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines()[-1]) + 2, 7):
        path.write_bytes(whole[:-cut])
        async with relayed(talking, path):
            pass
        assert path.read_bytes() == whole


async def test_it_is_bounded_and_event_numbers_survive(talking: Bench, tmp_path: Path) -> None:
    path = tmp_path / "relay.ndjson"
    async with relayed(talking, path, most=20):
        for number in range(50):
            await note(talking, str(number))
            assert len(lines(path)) <= 20
    kept = texts(path)
    assert kept == [str(number) for number in range(50 - len(kept), 50)]
    assert 10 <= len(kept) <= 20
    numbers = [line["position"] for line in lines(path)]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == talking.hub.outbox.committed


async def test_nothing_is_mirrored_that_is_not_stored(held: Bench, tmp_path: Path) -> None:
    path = tmp_path / "relay.ndjson"
    await held.client("bob")("agents.here")
    async with relayed(held, path):
        held.log.hold()  # type: ignore[attr-defined]
        asked = held.client("alice").ask("messages.send", to="bob", text="hi", mode="silent")
        await asyncio.to_thread(held.log.reached.wait, BOUND)  # type: ignore[attr-defined]
        assert texts(path) == []
        held.log.let_go()  # type: ignore[attr-defined]
        await asked
        assert await until(path, 1) == ["hi"]


async def test_a_long_text_is_cut(talking: Bench, tmp_path: Path) -> None:
    path = tmp_path / "relay.ndjson"
    async with relayed(talking, path):
        await note(talking, "x" * 5000)
    assert [len(text) for text in texts(path)] == [LONGEST_TEXT + 1]


async def test_the_file_of_another_log_is_set_aside(talking: Bench, tmp_path: Path) -> None:
    path = tmp_path / "relay.ndjson"
    path.write_text(encode_lite({"position": 999, "kind": "x.happened"}) + "\n")
    async with relayed(talking, path):
        await note(talking, "hi")
    assert texts(path) == ["hi"]
    assert lines(path.with_name("relay.ndjson.old"))[0]["position"] == 999


async def test_a_file_of_something_else_is_left_alone(talking: Bench, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n")
    for wrong in (path, tmp_path / "no" / "folder"):
        with pytest.raises(Refused) as refusal:
            await Relay(talking.hub, wrong).open()
        assert refusal.value.code == "bad_relay"
    assert path.read_text() == "my notes\n"
    with pytest.raises(Refused):
        Relay(talking.hub, path, 3)


async def test_a_file_that_cannot_be_written_for_a_while_misses_nothing(
    talking: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "relay.ndjson"
    monkeypatch.setattr("synapse.hub.relay.TRY_AGAIN", 0.001)
    append, failures = RelayFile.append, [OSError(28, "No space left on device")] * 3

    def failing(self: RelayFile, lines: list[str]) -> None:
        if failures:
            raise failures.pop()
        append(self, lines)

    monkeypatch.setattr(RelayFile, "append", failing)
    async with relayed(talking, path):
        for number in range(5):
            await note(talking, str(number))
        assert await until(path, 5) == [str(number) for number in range(5)]


async def test_the_saving_is_measured(talking: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Against the events as `events export` writes them."""
    path = tmp_path / "relay.ndjson"
    async with relayed(talking, path):
        for number in range(50):
            sent = await talking.client("alice")("messages.send", to="bob", text=f"Please review file {number}.")
            await talking.client("bob")("messages.reply", to=sent["task_id"], text=f"File {number} is fine.")
    first = lines(path)[0]["position"]
    full = [
        {
            "position": record.position, "index": index, "at": record.at, "kind": e.kind, "by": e.by,
            "workspace": e.workspace, "story": e.story, "body": json.loads(e.body),
        }
        for record in talking.truth.read(first - 1) for index, e in record.numbered()
    ]  # fmt: skip
    exported = sum(len(json.dumps(event, separators=(",", ":"))) + 1 for event in full)
    alone = sum(len(encode_lite(event)) + 1 for event in full)
    relay = path.stat().st_size
    with capsys.disabled():
        print(
            f"\nrelay file: {len(full)} events, {exported} bytes as exported; short keys alone {alone / exported:.0%}, "
            f"with names and nothing twice {relay / exported:.0%}"
        )
    assert len(lines(path)) == len(full)
    assert alone < 0.9 * exported
    assert relay < 0.6 * exported
