"""What is typed for a message."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from synapse.runner.letters import Letters, Message, header
from synapse.runner.profile import Profile


def message(text: str = "hi", **more: Any) -> Message:
    return Message("m-1", "task", text, **more)


@pytest.fixture
def letters(tmp_path: Path) -> Letters:
    return Letters(Profile("plain", longest=100), str(tmp_path), "a-1")


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({}, "A2A: "),
        ({"reply_expected": True}, "A2A: [REPLY EXPECTED] "),
        ({"sender_id": "synapse-demo-8150"}, "A2A: [From: synapse-demo-8150] "),
        ({"sender": "bob", "sender_id": "synapse-demo-8150"}, "A2A: [From: bob (synapse-demo-8150)] "),
        ({"sender": "ada", "sender_id": "ada"}, "A2A: [From: ada] "),
    ],
)
def test_the_header_says_who_asks_and_whether_an_answer_is_expected(more: dict[str, Any], line: str) -> None:
    assert header(message(**more)) == line


def test_controls_are_taken_out_and_lines_are_kept(letters: Letters) -> None:
    text = "a\r\nb\x1b[201~\x1b[31m\x03\tc\n\n"
    assert letters.typed(message(text), bracketed=True, canonical=False) == "A2A: a\nb[31m\tc"


@pytest.mark.parametrize(
    ("text", "bracketed", "canonical"),
    [
        ("x" * 101, True, False),
        ("two\nlines", False, False),
        ("é" * 98 + "\n" + "x", False, True),
    ],
)
def test_what_the_program_would_not_take_goes_by_a_private_file(
    letters: Letters, text: str, bracketed: bool, canonical: bool
) -> None:
    typed = letters.typed(message(text), bracketed=bracketed, canonical=canonical)
    path = Path(typed.rpartition(" ")[2])
    assert typed == f"A2A: The message is long: read it in {path}"
    assert path.read_text() == text + "\n"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_line_in_a_file_is_no_longer_than_every_agent_can_read_it(letters: Letters) -> None:
    text = "\n".join(("é" * 2000, "y" * 4001, "", "z" * 1999 + "  z", " " * 2001))
    typed = letters.typed(message(text), bracketed=True, canonical=False)
    path = Path(typed.removesuffix(" (a line longer than 2000 characters goes on in the next)").rpartition(" ")[2])
    assert path.read_text() == "\n".join(
        ("é" * 2000, "y" * 2000, "y" * 2000, "y", "", "z" * 1999, "  z", " " * 2000, " ", "")
    )


def test_a_line_for_a_line_reader_is_measured_in_bytes_with_its_header(tmp_path: Path) -> None:
    letters = Letters(Profile("plain"), str(tmp_path), "a-1")
    for text, fits in (("x" * 995, True), ("x" * 996, False), ("é" * 497, True), ("é" * 498, False)):
        typed = letters.typed(message(text), bracketed=False, canonical=True)
        assert typed.endswith(text) is fits


def test_more_than_a_hundred_kilobytes_always_go_by_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_LONG_MESSAGE_THRESHOLD", "1000000")
    letters = Letters(Profile("plain"), str(tmp_path), "a-1")
    assert "read it in" not in letters.typed(message("é" * 51_200), bracketed=True, canonical=False)
    assert "read it in" in letters.typed(message("é" * 51_201), bracketed=True, canonical=False)


def test_tabs_that_are_no_paste_become_spaces(letters: Letters) -> None:
    assert letters.typed(message("a\tb"), bracketed=False, canonical=False) == "A2A: a    b"


def test_files_older_than_an_hour_are_taken_away(letters: Letters, tmp_path: Path) -> None:
    letters.typed(message("x" * 200), bracketed=True, canonical=False)
    folder = tmp_path / "letters" / "a-1"
    old = folder / "m-0.txt"
    old.write_text("old")
    os.utime(old, (time.time() - 3700,) * 2)
    letters.typed(message("y" * 200), bracketed=True, canonical=False)
    assert [file.name for file in folder.iterdir()] == ["m-1.txt"]


def test_attachments_are_private_files_with_harmless_names_and_the_text_says_where(
    letters: Letters, tmp_path: Path
) -> None:
    sent = message("see", attachments=[{"name": "../a b;\n$(rm).png"}, {"name": "-rf"}, {"name": ""}])
    files = [letters.keep(sent, number, b"\0content") for number in range(3)]
    folder = tmp_path / "letters" / "a-1"
    assert files == [str(folder / name) for name in ("m-1-1-a_b____rm_.png", "m-1-2-rf", "m-1-3-file")]
    assert {(Path(file).stat().st_mode & 0o777, Path(file).read_bytes()) for file in files} == {(0o600, b"\0content")}
    typed = Letters(Profile("plain"), str(tmp_path), "a-1").typed(
        sent, bracketed=True, canonical=False, files=files[:2]
    )
    assert typed == f"A2A: see (attached: {files[0]}, {files[1]})"
