"""Profiles: the built-in ones, the user's own, and what is wrong in a file."""

from pathlib import Path

import pytest

from synapse.errors import BadRequest, NotFound
from synapse.runner import profile_tables
from synapse.runner.profile import BUILT_IN, Profile, find, load, resolve


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's profiles."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "synapse" / "profiles"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("path", sorted(BUILT_IN.glob("*.toml")), ids=lambda path: path.stem)
def test_every_built_in_profile_can_be_read(path: Path) -> None:
    found = load(path)
    assert found.name == path.stem
    first, last = found.ports
    assert 8100 <= first <= last <= 8199
    if found.waiting:
        assert found.choice is not None, "a dialog counts only with its choices"


def test_the_users_own_profile_comes_first(own: Path) -> None:
    (own / "demo.toml").write_text('command = ["other"]\n')
    found = find("demo")
    assert found is not None
    assert found.command == ("other",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("command = [", "Invalid"),
        ('colour = "red"', "unknown key 'colour'"),
        ("[submit]\ncolour = 1", "unknown key 'submit.colour'"),
        ("[colours]\nred = 1", "unknown key 'colours.red'"),
        ('[submit]\npause = "long"', "'pause' is 'long'"),
        ("[submit]\nheader = 1", "'header' is 1"),
        ("[status]\nbusy = ['(']", "'busy'"),
        ("[status]\nbusy = 'x'", "must be a list"),
        ("[status]\nchoice = 3", "'choice'"),
        ("ports = ['a', 'b']", "must be a list of int"),
        ("submit = 3", "unknown key 'submit'"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(own: Path, text: str, said: str) -> None:
    (own / "broken.toml").write_text(text)
    with pytest.raises(BadRequest) as refused:
        find("broken")
    assert said in refused.value.sentence
    assert "broken.toml" in refused.value.sentence


def test_whole_seconds_are_seconds(own: Path) -> None:
    (own / "whole.toml").write_text("[submit]\npause = 1\n")
    found = find("whole")
    assert found is not None
    assert found.pause == 1.0


def test_words_mean_a_profile_with_arguments_or_any_program(own: Path) -> None:
    (own / "mine.toml").write_text('command = ["cat", "-u"]\n')
    found, argv = resolve(("mine", "file"))
    assert (found.name, argv) == ("mine", ["cat", "-u", "file"])
    found, argv = resolve(("env", "true"))
    assert (found.name, argv) == ("generic", ["env", "true"])
    (own / "env.toml").write_text("[submit]\nheader = false\n")
    found, argv = resolve(("env", "true"))
    assert (found.name, found.header, argv) == ("env", False, ["env", "true"])


@pytest.mark.parametrize("words", [("no-such-program",), ("./nowhere",), ("-x",), ("",), ("absent",)])
def test_what_is_neither_is_not_found_as_a_shell_would_say(own: Path, words: tuple[str, ...]) -> None:
    (own / "absent.toml").write_text('command = ["no-such-program"]\n')
    with pytest.raises(NotFound) as refused:
        resolve(words)
    assert refused.value.details["exit"] == 127


def test_the_names_in_a_file_cover_every_field() -> None:
    named = {field for fields in profile_tables.TABLES.values() for field in fields.values()}
    assert named | {"start", "rules", "streams", "session", "record", "answering"} == set(
        Profile.__dataclass_fields__
    ) - {"name"}


@pytest.mark.parametrize("path", sorted(BUILT_IN.glob("*.toml")), ids=lambda path: str(path.stem))
def test_a_profile_with_choices_says_how_they_are_made(path: Path) -> None:
    profile = load(path)
    assert bool(profile.choice) == bool(profile.approve_by)


def test_a_way_to_answer_that_there_is_not_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "odd.toml"
    file.write_text('[approve]\nby = "telepathy"\n')
    with pytest.raises(BadRequest, match="one of digit, letter, arrows, keys"):
        load(file)
