"""Answers and tokens from a program's own record, word for word."""

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synapse.runner import records
from synapse.runner.parts import Failure, Record, Usage
from synapse.runner.records import Reader

LONG = (
    "\n".join(f"line {number} - ünïcode 漢字 🎉" for number in range(300))
    + "\n\n```python\n  print('x')\n```\n| a | b |\n\nerror: none"
)
RECORD = Record(
    lines={"type": "assistant"},
    text="message.content[type=text].text",
    fresh=({"type": "user"},),
    prompt="message.content",
    settle=0.05,
    wait=1.0,
    usage=Usage({"input": "message.usage.in", "output": "message.usage.out"}, {"type": "assistant"}, once="message.id"),
)


def user(text: str) -> dict[str, Any]:
    return {"type": "user", "message": {"content": text}}


def result() -> dict[str, Any]:
    return {"type": "user", "message": {"content": [{"type": "tool_result", "content": "ok"}]}}


def said(text: str, id: str = "1") -> dict[str, Any]:
    content = [{"type": "thinking", "text": "hm"}, {"type": "text", "text": text}]
    return {"type": "assistant", "message": {"id": id, "content": content, "usage": {"in": 10, "out": 2}}}


def lines(*entries: dict[str, Any]) -> str:
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)


PLAIN = Record(
    sections={"asked": re.compile("^ASKED \\d"), "said": re.compile("^SAID \\d")},
    prefix=re.compile("^AGENT ?"),
    without=re.compile(r"(?s)\A<think>.*?</think>\s*"),
    lines={"kind": "said"},
    text="text",
    join="",
    fresh=({"kind": "asked", "raw": {"match": r"(?m)^(?!AGENT )[^\n]*\Z"}},),
    settle=0.05,
)  # fmt: skip


def asked(*lines: str) -> str:
    return "\n".join(["ASKED 1", *(f"USER {line}" for line in lines), ""])


def told(text: str) -> str:
    return "\n".join(["SAID 2", *(f"AGENT {line}" for line in text.split("\n")), ""])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "session-7.jsonl"


def reader(file: Path, record: Record = RECORD) -> Reader:
    return Reader(record, {"record": str(file), "session": "7", "folder": str(file.parent)})


async def test_the_answer_is_what_was_said_last_word_for_word(file: Path) -> None:
    file.write_text(lines(user("do it"), said("first I look"), result(), said(LONG, "2")))
    assert await reader(file).answer("do it", {}) == (LONG, {"input": 20, "output": 4})


async def test_only_what_stands_behind_the_prompt_counts(file: Path) -> None:
    file.write_text(lines(user("do it"), said("old")))
    before = reader(file).size()
    with file.open("a") as opened:
        opened.write("not json\n[1]\n" + lines(user("A2A: and now that"), said("new", "2"), said("er", "3")))
    assert (await reader(file).answer("A2A: and now that", {}))[0] == "new\n\ner"
    assert (await reader(file).answer("A2A: and now that", before))[0] == "new\n\ner"


async def test_an_answer_that_is_written_late_is_waited_for(file: Path) -> None:
    file.write_text(lines(user("do it"), said("I will run that"), result()))
    asking = asyncio.create_task(reader(file, replace(RECORD, wait=60.0)).answer("do it", {}))
    await asyncio.sleep(0.2)
    assert not asking.done()
    whole = lines(said("done", "2"))
    with file.open("a") as opened:
        opened.write(whole[:20])
        opened.flush()
        await asyncio.sleep(0.1)
        opened.write(whole[20:])
    assert (await asking)[0] == "done"


async def test_a_record_that_cannot_be_read_or_has_gone_says_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(lines(user("do it"), said("done")))
    gone = reader(file)
    monkeypatch.setattr(gone, "_files", lambda: [str(file), str(file) + ".gone"])
    assert gone.size() == {str(file): file.stat().st_size}
    assert await gone.answer("do it", {}) == ("", {})


async def test_an_answer_that_never_comes_is_none(file: Path) -> None:
    record = Record(lines={"type": "assistant"}, text="text", file="{record}", wait=0.1)
    assert await reader(file, record).answer("do it", {}) == ("", {})
    unnamed = Record(lines={"type": "assistant"}, text="text", file="{unnamed}", wait=60.0)
    assert await reader(file, unnamed).answer("do it", {}) == ("", {})


async def test_a_record_that_says_when_it_is_whole_is_believed(file: Path) -> None:
    record = Record(
        file="{folder}/*-{session}.jsonl", lines={"kind": "says"}, text="text", end={"kind": "over"}, settle=60.0, wait=5.0,
        usage=Usage({"total": "total"}, {"kind": "count"}, last=True),
    )  # fmt: skip
    counts = [{"kind": "count", "total": 5}, {"kind": "count", "total": 9}]
    file.write_text(
        lines({"kind": "says", "text": "a"}, counts[0], {"kind": "says", "text": "b"}, counts[1], {"kind": "over"})
    )
    assert await reader(file, record).answer("x", {}) == ("a\n\nb", {"total": 9})


async def test_tokens_that_are_counted_behind_the_end_are_waited_for_a_moment(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record(
        file="{record}", lines={"kind": "says"}, text="text", end={"kind": "over"}, wait=60.0,
        usage=Usage({"total": "total"}, {"kind": "count"}),
    )  # fmt: skip
    file.write_text(lines({"kind": "says", "text": "a"}, {"kind": "over"}))
    assert await reader(file, record).answer("x", {}) == ("a", {})  # none came
    monkeypatch.setattr(records, "COUNTED_WITHIN", 30.0)
    asking = asyncio.create_task(reader(file, record).answer("x", {}))
    await asyncio.sleep(0.1)
    with file.open("a") as opened:
        opened.write(lines({"kind": "count", "total": 5}))
    assert await asking == ("a", {"total": 5})


async def test_a_record_that_is_a_plain_text_says_the_same_word_for_word(file: Path) -> None:
    file.write_text(asked("old") + told("an old one") + asked("do it") + told(LONG))
    assert (await reader(file, PLAIN).answer("do it", {}))[0] == LONG


async def test_what_stands_in_a_part_begins_none(file: Path) -> None:
    text = "\nSAID 3\nASKED 3\n\n  AGENT said so\n"
    file.write_text(asked("what", "SAID 4") + told(text) + "half a li")
    assert (await reader(file, PLAIN).answer("what", {}))[0] == text.strip("\n")


async def test_an_answer_that_was_cut_off_and_goes_on_is_one_and_its_thoughts_are_none(file: Path) -> None:
    goes_on = asked("tell") + "AGENT one, tw\n"
    file.write_text(asked("tell") + told("<think>hm\nhm</think>\n\none, tw") + goes_on + told("o, three"))
    assert (await reader(file, PLAIN).answer("tell", {}))[0] == "one, two, three"


async def test_a_part_that_is_still_written_is_waited_for(file: Path) -> None:
    whole = asked("do it") + told("one\ntwo")
    file.write_text(whole[:-6])
    asking = asyncio.create_task(reader(file, PLAIN).answer("do it", {}))
    await asyncio.sleep(0.02)
    file.write_text(whole)
    assert (await asking)[0] == "one\ntwo"


async def test_a_failure_is_told_unless_an_answer_comes_behind_it(file: Path) -> None:
    record = Record(
        lines={"kind": "says"},
        text="text",
        prompt="typed",
        settle=0.05,
        wait=1.0,
        failure=Failure({"kind": "fails"}, "why"),
    )
    failed = {"kind": "fails", "why": "It is full."}
    found = reader(file, record)
    file.write_text(lines({"typed": "old"}, failed, {"typed": "do it"}, {"kind": "says", "text": "well"}))
    assert ((await found.answer("do it", {}))[0], found.failure) == ("well", "")
    file.write_text(lines({"typed": "do it"}, {"kind": "says", "text": "I"}, failed))
    assert ((await found.answer("do it", {}))[0], found.failure) == ("I", "It is full.")
    file.write_text(lines({"typed": "do it"}, failed, {"kind": "says", "text": "at last"}))
    assert ((await found.answer("do it", {}))[0], found.failure) == ("at last", "")
