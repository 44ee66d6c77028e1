"""`synapse memory ...` with a hub of its own: each command, its JSON, and what it says when it cannot."""

import json
import shlex
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from synapse_memory.commands import COMMANDS, seconds

from synapse.errors import BadRequest
from tests.e2e.hubs import ROOT, HubProcess


@pytest.fixture(scope="module")
def house() -> Iterator[HubProcess]:
    process = HubProcess()
    process.serve()
    yield process
    process.close()


@pytest.fixture
def fresh() -> Iterator[HubProcess]:
    """One in which nothing is remembered."""
    process = HubProcess()
    process.serve()
    yield process
    process.close()


def said(house: HubProcess, *words: str, **more: Any) -> str:
    done = house.synapse("memory", *words, **more)
    assert (done.returncode, done.stderr) == (0, ""), done
    text: str = done.stdout
    return text


def test_save_show_list_search_delete_stats(fresh: HubProcess) -> None:
    assert said(fresh, "save", "auth/tokens", "tokens are opaque", "--tags", "auth, web") == (
        "saved auth/tokens (version 1) for house\n"
    )
    said(fresh, "save", "auth/tokens", "tokens are opaque, 32 bytes", "--tags", "auth", "--evidence", "RFC 6750")
    said(fresh, "save", "sessions", "sessions end after an hour", "--supersedes", "auth/tokens", "--ttl", "7d")
    shown = said(fresh, "show", "auth/tokens")
    assert "superseded by sessions" in shown
    assert "RFC 6750" in shown
    assert "--- before ---" in shown
    listed = said(fresh, "list")
    assert [line.split()[0] for line in listed.splitlines()] == ["KEY", "sessions", "auth/tokens"]
    assert said(fresh).split()[:8] == listed.split()[:8]
    assert "auth/tokens" not in said(fresh, "list", "--fresh")
    assert "tokens are [opaque], 32 bytes" in said(fresh, "search", "opaque")
    assert "auth/tokens" in said(fresh, "search", "opaque, 32 bytes", "--tags", "auth")
    assert said(fresh, "stats").startswith("2 entries of 3 versions")
    assert said(fresh, "delete", "auth/tokens") == "deleted auth/tokens from house\n"
    gone = fresh.synapse("memory", "show", "auth/tokens")
    assert (gone.returncode, "no entry" in gone.stderr) == (1, True)


def test_only_global_touches_what_is_global_also_by_http(house: HubProcess) -> None:
    def asked(method: str, path: str, **body: Any) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{house.port}{path}", method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, json.dumps(body).encode() if body else None, timeout=20) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            return json.load(error)

    said(house, "save", "policy", "of all", "--global")
    assert said(house, "save", "policy", "own").endswith(" for house\n")
    assert asked("POST", "/memory/save", key="policy", text="by http")["workspace"] == "default"
    assert asked("DELETE", "/memory/policy")["workspace"] == "default"
    assert "There is a global one" in json.dumps(asked("DELETE", "/memory/policy"))
    assert said(house, "delete", "policy") == "deleted policy from house\n"
    again = house.synapse("memory", "delete", "policy")
    assert (again.returncode, "There is a global one: --global" in again.stderr) == (1, True), again
    assert "of all" in said(house, "show", "policy")
    assert asked("DELETE", "/memory/policy?global=true")["workspace"] == ""


def test_everything_that_prints_data_prints_json(house: HubProcess) -> None:
    assert json.loads(said(house, "save", "j", "json text", "--json"))["version"] == 1
    assert json.loads(said(house, "show", "j", "--json"))["entry"]["text"] == "json text"
    assert "j" in [one["key"] for one in json.loads(said(house, "list", "--json"))["entries"]]
    assert json.loads(said(house, "search", "json", "--json"))["entries"][0]["snippet"] == "[json] text"
    assert json.loads(said(house, "stats", "--json"))["entries"] >= 1
    assert json.loads(said(house, "delete", "j", "--json"))["key"] == "j"
    nothing = house.synapse("memory", "search", "nowhere", "--json")
    assert (nothing.returncode, json.loads(nothing.stdout)) == (1, {"entries": [], "many": False})


def test_a_text_comes_from_a_file_or_from_standard_input(house: HubProcess) -> None:
    (house.data / "note.txt").write_text("from a file\nof two lines\n")
    said(house, "save", "f", "--file", str(house.data / "note.txt"))
    assert "from a file\nof two lines" in said(house, "show", "f")
    with open(house.data / "note.txt") as file:
        said(house, "save", "g", "-", "--global", stdin=file)
    assert "global" in said(house, "show", "g")


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["save", "k"], 2, "nothing to save"),
        (["save"], 2, "Missing argument"),
        (["save", "k", "x", "--file", "y"], 2, "Give the text once"),
        (["save", "k", "x", "--ttl", "soon"], 2, "--ttl soon"),
        (["save", "k", "x", "--supersedes", "absent"], 1, "no entry 'absent'"),
        (["save", "k", "--file", "/nowhere"], 2, "cannot be read"),
        (["search", '"open'], 2, "quote is not closed"),
        (["search", "unheardof"], 1, "Nothing holds"),
        (["delete", "absent"], 1, "no entry 'absent'"),
        (["show", "absent"], 1, "no entry 'absent'"),
        (["list", "--limit", "0"], 2, "from 1 to 1000"),
        (["sve", "k"], 2, "Did you mean save"),
    ],
)
def test_what_is_wrong_is_one_sentence(house: HubProcess, words: list[str], status: int, sentence: str) -> None:
    done = house.synapse("memory", *words)
    assert (done.returncode, sentence in done.stderr, "Traceback" in done.stderr) == (status, True, False), done
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_command_has_help_and_its_example_runs(house: HubProcess, command: Any) -> None:
    said(house, "save", "auth/tokens", "the token format", "--tags", "auth")
    helped = house.synapse(*command.name.split(), "--help")
    assert helped.returncode == 0
    assert "Example" in helped.stdout
    words = shlex.split(command.example)
    assert words[: 1 + len(command.name.split())] == ["synapse", *command.name.split()]
    done = house.synapse(*words[1:])
    assert done.returncode == 0, done


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("1.5h", 5400), ("7d", 604_800), ("2w", 1_209_600), ("", 0)]
)
def test_a_time_is_seconds_or_has_a_unit(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["soon", "-1", "d", "nan", "inf", "1e99", "5y"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        seconds(text)


def test_every_line_of_the_page_runs(house: HubProcess) -> None:
    page = (ROOT / "docs" / "memory.md").read_text()
    lines = [line for block in page.split("```")[1::2] for line in block.strip().splitlines()]
    assert len(lines) == 8
    for line in lines:
        done = house.synapse(*shlex.split(line)[1:])
        assert (done.returncode, done.stderr) == (0, ""), (line, done)


def test_a_hub_that_is_killed_keeps_and_finds_everything(fresh: HubProcess) -> None:
    said(fresh, "save", "durable", "kept over a kill")
    fresh.kill()
    (fresh.data / "cache.db").unlink()
    fresh.serve()
    assert "durable" in said(fresh, "search", "kill")
