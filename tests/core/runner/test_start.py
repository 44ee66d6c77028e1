"""What a program gets at its start: arguments, environment, files of its own; and nothing of the person's is touched."""

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from synapse.runner.jsonfile import merged, parse
from synapse.runner.parts import File, Start, Words
from synapse.runner.start import Prepared, forget_old, prepare

SETTINGS = '{"hooks": {"Stop": [{"run": "{hook} Stop"}]}, "where": "{cwd}", "odd": {"x": 1}}'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder


def prepared(data: Path, start: Start, *given: str, env: dict[str, str] | None = None) -> Prepared:
    home = {"HOME": str(data.parent)}
    return prepare(
        start, ["tool", "-x", *given], 2, cwd='/some"where', data=str(data), key="a-1", env={**home, **(env or {})}
    )


def settings(made: Prepared) -> dict[str, Any]:
    return parse((made.folder / "settings.json").read_text())


def test_files_are_private_and_filled_in_and_go_at_the_end(data: Path) -> None:
    start = Start(args=(Words(("--settings", "{folder}/settings.json")),), files={"settings.json": File(SETTINGS)})
    made = prepared(data, start, "mine")
    file = made.folder / "settings.json"
    assert made.argv == ["tool", "-x", "--settings", str(file), "mine"]
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert settings(made)["where"] == '/some"where'
    assert settings(made)["hooks"]["Stop"][0]["run"].endswith("hook.py Stop")
    made.clear()
    assert not made.folder.exists()


def test_the_words_of_a_person_decide_what_is_added(data: Path) -> None:
    start = Start(
        args=(Words(("--id", "{session}"), unless=("--resume", "-r")), Words(("--port", "{port}"))),
        env={"TOOL_HOME": "{folder}", "TOOL_KEY": "{secret}"},
        unless=("mcp", "--version"),
    )
    made = prepared(data, start)
    assert made.argv[2:4] == ["--id", made.values["session"]]
    assert made.argv[5] == made.values["port"]
    assert made.env["TOOL_HOME"] == str(made.folder)
    assert len(made.env["TOOL_KEY"]) == 32
    assert "--id" not in prepared(data, start, "--resume=x").argv
    assert "--id" in prepared(data, start, "--", "--resume", "mcp").argv
    for words in (["mcp", "list"], ["--version"]):
        made = prepared(data, start, *words)
        assert (made.argv, made.env) == (["tool", "-x", *words], {})


def test_the_folder_of_letters_is_there_when_a_program_gets_to_know_of_it(data: Path) -> None:
    prepared(data, Start(args=(Words(("--also", "{folder}")),)))
    assert not (data / "letters").exists()
    made = prepared(data, Start(args=(Words(("--also", "{letters}")),)))
    own = data / "letters" / made.folder.name
    assert made.argv[2:] == ["--also", str(own)]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (own, own.parent)] == [0o700, 0o700]


def test_what_a_person_has_ruled_in_the_environment_or_in_a_file_is_left_so(data: Path, tmp_path: Path) -> None:
    says = re.compile("^log:", re.MULTILINE)
    words = Words(("--log", "{folder}/log"), unless=("$TOOL_LOG",), unless_in={"tool.yml": says}, record="{folder}/log")
    inside = tmp_path / "project" / "src"
    inside.mkdir(parents=True)

    def given(**env: str) -> Prepared:
        env = {"HOME": str(tmp_path), **env}
        return prepare(Start(args=(words,)), ["tool"], 1, cwd=str(inside), data=str(data), key="a-1", env=env)

    made = given()
    assert made.argv == ["tool", "--log", f"{made.folder}/log"]
    assert made.values["record"] == f"{made.folder}/log"
    assert given(TOOL_LOG="mine").argv == ["tool"]
    (inside.parent / "tool.yml").write_text("other: 1\n# log:\n")
    assert len(given().argv) == 3
    (inside.parent / "tool.yml").write_text("other: 1\nlog: mine\n")
    assert given().argv == ["tool"]
    assert "record" not in given().values


def test_settings_that_the_person_gives_are_joined_with_ours(data: Path, tmp_path: Path) -> None:
    start = Start(
        args=(Words(("--settings", "{folder}/settings.json")),),
        files={"settings.json": File(SETTINGS, merge=("--settings", "$TOOL_SETTINGS", "{home}/tool.json"))},
    )
    mine = tmp_path / "mine.json"
    mine.write_text('{ // mine\n "hooks": {"Stop": [{"run": "mine // too"}]}, "odd": {"x": 2, "y": 3,}, }')
    before = mine.read_text()
    for words, env in (
        (["--settings", str(mine), "go"], {}),
        ([f"--settings={mine}", "go"], {}),
        (["go"], {"TOOL_SETTINGS": str(mine)}),
        (["--settings", '{"odd": {"x": 2, "y": 3}, "hooks": {"Stop": [{"run": "mine // too"}]}}', "go"], {}),
    ):
        made = prepared(data, start, *words, env=env)
        assert made.argv[-1] == "go"
        assert made.argv.count("--settings") == 1
        assert settings(made)["odd"] == {"x": 2, "y": 3}
        assert [one["run"][-9:] for one in settings(made)["hooks"]["Stop"]] == ["ne // too", "k.py Stop"]
    assert mine.read_text() == before


def test_settings_that_cannot_be_read_are_left_to_the_program(data: Path) -> None:
    start = Start(files={"settings.json": File(SETTINGS, merge=("--settings",))})
    made = prepared(data, start, "--settings", "/no/such/file")
    assert made.argv[2:] == ["--settings", "/no/such/file"]


def test_an_overlay_stands_in_front_of_a_folder_and_brings_back_what_the_program_writes(
    data: Path, tmp_path: Path
) -> None:
    home = tmp_path / ".tool"
    (home / "hooks").mkdir(parents=True)
    (home / "hooks" / "mine.json").write_text("mine")
    (home / "login.json").write_text("old")
    start = Start(
        overlays={"conf": "$TOOL_HOME|{home}/.tool"},
        files={"conf/hooks/ours.json": File("{}"), "conf/config.json": File("ours", executable=True)},
        env={"TOOL_HOME": "{folder}/conf"},
    )
    made = prepared(data, start)
    conf = made.folder / "conf"
    assert (conf / "hooks" / "mine.json").read_text() == "mine"
    assert (conf / "hooks" / "ours.json").read_text() == "{}"
    (conf / "login.json").unlink()
    (conf / "login.json").write_text("new")  # a program replaces its file
    (conf / "sessions").mkdir()
    (conf / "sessions" / "1.jsonl").write_text("{}")
    made.clear()
    assert (home / "login.json").read_text() == "new"
    assert (home / "sessions" / "1.jsonl").read_text() == "{}"
    assert sorted(path.name for path in (home / "hooks").iterdir()) == ["mine.json"]
    assert not (home / "config.json").exists()


def test_a_file_of_ours_never_writes_through_a_link(data: Path, tmp_path: Path) -> None:
    home = tmp_path / ".tool"
    home.mkdir()
    (home / "config.json").write_text("mine")
    made = prepared(data, Start(overlays={"conf": str(home)}, files={"conf/config.json": File("ours")}))
    assert (made.folder / "conf" / "config.json").read_text() == "ours"
    made.clear()
    assert (home / "config.json").read_text() == "mine"


def test_folders_of_dead_runners_are_taken_away(data: Path) -> None:
    made = prepared(data, Start(files={"x": File("x")}))
    dead = made.folder.with_name("a-2")
    dead.mkdir()
    (dead / ".runner").write_text("999999999 1")
    new = made.folder.with_name("a-3")
    new.mkdir()
    (new / ".runner").touch()
    forget_old(str(data))
    assert sorted(os.listdir(made.folder.parent)) == ["a-1", "a-3"]


def test_joined_objects_keep_what_the_person_says() -> None:
    assert json.loads(merged('{"a": [1], "b": {"c": 1}, "d": 1}', {"a": [2], "b": {"e": 2}, "d": 2})) == {
        "a": [2, 1], "b": {"c": 1, "e": 2}, "d": 2,
    }  # fmt: skip
