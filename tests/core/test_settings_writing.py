"""Settings files as they are written: comments stay, nothing is lost, nothing is left half written."""

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synapse.errors import BadRequest, NotFound, Refused, SynapseError
from synapse.settings import writing

FILES = [
    "", "# c\n", "detach_key = 'a'\n[x]\ny = 1", "[a2a]\n# why\nflow = 'x' # because\n[hub]\n[a2a.z]\nq = 1\n",
    "hub.port = 1\n", "hub = {port = 1}\n", "hub = {}\n", "[hub]", "[a]\n[[a.b]]\nc = 1\n[hub.x]\ny = 1\n[z]\n[hub.y]\n",
    "\r\n[hub]\r\nport = 1\r\n", "[list]\ncolumns = [\n  'A', # first\n]\n", "'日本' = 'ü'\n[hub]\n",
]  # fmt: skip
VALUES: dict[str, Any] = {
    "hub.port": 9, "hub.rate": 2.5, "a2a.flow": "auto", "detach_key": "a\"b'\\", "list.columns": ("A", "B"),
    "setup.ask": False,
}  # fmt: skip


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own file, which is not there yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "synapse" / "settings.toml"


def at(path: Path, key: str) -> object:
    table: Any = tomllib.loads(path.read_text())
    for name in key.split("."):
        table = table[name]
    return tuple(table) if isinstance(table, list) else table


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.sampled_from(FILES), st.lists(st.sampled_from(list(VALUES)), unique=True, min_size=1))
def test_what_was_put_is_there_and_what_was_there_stays(tmp_path: Path, content: str, keys: list[str]) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(content, newline="")
    writing.put(str(path), {key: VALUES[key] for key in keys})
    assert {key: at(path, key) for key in keys} == {key: VALUES[key] for key in keys}
    for comment in ("# c", "# why", "# because"):
        assert (comment in path.read_text()) is (comment in content)
    for key in keys:
        writing.drop(str(path), key)
        with pytest.raises(KeyError):
            at(path, key)


def test_a_users_file_is_nobody_elses_to_read(own: Path) -> None:
    writing.put(str(own), {"hub.port": 9000})
    assert (own.stat().st_mode & 0o777, own.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    own.chmod(0o644)
    writing.put(str(own), {"hub.port": 9001})
    assert own.stat().st_mode & 0o777 == 0o600


def test_a_projects_file_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / ".synapse" / "settings.toml"
    writing.put(str(path), {"a2a.flow": "auto"})
    assert path.stat().st_mode & 0o044 == 0o044
    path.chmod(0o640)
    writing.put(str(path), {"a2a.flow": "oneway"})
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_to_a_users_file_stays_a_link(own: Path, tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles.toml"
    kept.write_text("# kept\n")
    own.parent.mkdir(parents=True)
    own.symlink_to(kept)
    writing.put(writing.place("user", ""), {"hub.port": 9000})
    assert own.is_symlink()
    assert "# kept" in kept.read_text()
    assert at(kept, "hub.port") == 9000


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_projects_link_leads_nowhere_outside(tmp_path: Path, what: str) -> None:
    project, outside = tmp_path / "shop", tmp_path / "outside"
    (project / ".synapse").parent.mkdir()
    outside.mkdir()
    if what == "folder":
        (project / ".synapse").symlink_to(outside)
    else:
        (project / ".synapse").mkdir()
        (project / ".synapse" / "settings.toml").symlink_to(outside / "settings.toml")
    with pytest.raises(Refused, match="leads out of the project"):
        writing.place("project", str(project))
    project.rename(tmp_path / "real")
    (tmp_path / "real" / ".synapse").unlink() if what == "folder" else None
    (tmp_path / "link").symlink_to(tmp_path / "real")
    if what == "folder":
        assert writing.place("project", str(tmp_path / "link")) == str(tmp_path / "real/.synapse/settings.toml")


@pytest.mark.parametrize("content", [b"\xff", b"[a", b"a = 1\na = 2\n", b"x = " + b"[" * 5000, b"\0"])
def test_a_file_that_is_no_toml_is_left_as_it_is(own: Path, content: bytes) -> None:
    own.parent.mkdir(parents=True)
    own.write_bytes(content)
    with pytest.raises(BadRequest):
        writing.put(str(own), {"hub.port": 9000})
    assert own.read_bytes() == content
    assert os.listdir(own.parent) == ["settings.toml"]


def test_a_key_where_a_table_should_be_is_told(own: Path) -> None:
    own.parent.mkdir(parents=True)
    own.write_text("hub = 3\n")
    with pytest.raises(BadRequest, match="'hub' must be a table"):
        writing.put(str(own), {"hub.port": 9000})


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be written"):
        writing.put(str(tmp_path / "file" / "settings.toml"), {"hub.port": 9000})


def test_taking_out_what_is_not_there_is_told(own: Path) -> None:
    for content in (None, "", "hub = 3\n", "[hub]\nhost = 'x'\n"):
        if content is not None:
            own.parent.mkdir(parents=True, exist_ok=True)
            own.write_text(content)
        with pytest.raises(NotFound, match=r"does not set 'hub\.port'"):
            writing.drop(str(own), "hub.port")


def test_a_whole_file_is_replaced_only_if_it_is_as_it_was_seen(own: Path) -> None:
    writing.replace(str(own), "# one\n", None)
    for seen in (None, "# other\n"):
        with pytest.raises(Refused, match="meanwhile"):
            writing.replace(str(own), "# two\n", seen)
    writing.replace(str(own), "# two\n", "# one\n")
    assert own.read_text() == "# two\n"


def test_a_file_that_is_taken_away_is_kept_beside(own: Path) -> None:
    writing.replace(str(own), "# one\n", None)
    assert Path(writing.remove(str(own))).read_text() == "# one\n"
    with pytest.raises(NotFound):
        writing.remove(str(own))


def test_a_projects_file_is_not_written_with_what_it_may_not_say() -> None:
    writing.may_say("hub.host", "user")
    writing.may_say("a2a.flow", "project")
    for scope in ("project", "local"):
        with pytest.raises(Refused, match=r"may not set 'hub\.host'"):
            writing.may_say("hub.host", scope)
    with pytest.raises(SynapseError, match="no setting"):
        writing.may_say("hub.prot", "project")
