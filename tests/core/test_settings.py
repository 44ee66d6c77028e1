"""What was chosen: which source counts, what is wrong in a file, and what a cloned repository cannot set."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from synapse import paths, settings
from synapse.errors import BadRequest, SynapseError
from synapse.runner import profile
from synapse.server.app import Options
from synapse.settings import declared, page, reading


class House:
    """A user's config folder and a project beside it."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "shop"
        self.environ = {"XDG_CONFIG_HOME": str(folder / "config")}

    def path(self, scope: str) -> Path:
        return Path(settings.file(scope, str(self.project), self.environ))

    def write(self, scope: str, content: "str | bytes") -> Path:
        path = self.path(scope)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def load(self, **environ: str) -> reading.Loaded:
        return reading.load(str(self.project), {**self.environ, **environ})

    def value(self, key: str, tell: Any = None, **environ: str) -> object:
        return settings.value(key, str(self.project), {**self.environ, **environ}, tell)

    def wrong(self, scope: str, content: "str | bytes") -> str:
        """The sentence with which a content is refused."""
        self.write(scope, content)
        with pytest.raises(BadRequest) as refused:
            self.value("a2a.flow")
        return refused.value.sentence.replace(str(self.path(scope)), "FILE")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    found = House(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", found.environ["XDG_CONFIG_HOME"])
    return found


def test_later_sources_win_and_each_value_says_where_it_comes_from(house: House) -> None:
    assert house.value("a2a.flow") == "auto"
    for scope in settings.SCOPES:
        for flow in ("oneway", "roundtrip"):
            path = house.write(scope, f"# mine\n\n[a2a]\nflow = '{flow}'\n")
            assert house.value("a2a.flow") == flow
        found = house.load().values["a2a.flow"]
        assert (found.value, found.scope, found.source, found.line) == ("roundtrip", scope, str(path), 4)
    assert house.value("a2a.flow", SYNAPSE_A2A_FLOW="oneway") == "oneway"
    found = house.load(SYNAPSE_A2A_FLOW="oneway").values["a2a.flow"]
    assert (found.value, found.scope, found.source, found.line) == ("oneway", "env", "SYNAPSE_A2A_FLOW", 0)


def test_a_variable_that_is_empty_is_not_set(house: House) -> None:
    assert house.value("a2a.flow", SYNAPSE_A2A_FLOW="") == "auto"


def test_the_variables_of_older_systems_set_what_they_used_to(house: House) -> None:
    old = {"SYNAPSE_LONG_MESSAGE_THRESHOLD": "150", "SYNAPSE_LONG_MESSAGE_TTL": "1800", "SYNAPSE_NO_SETUP": "1"}
    assert house.value("long_message.threshold", **old) == 150
    assert house.value("long_message.ttl", **old) == 1800.0
    assert house.value("setup.ask", **old) is False
    assert house.value("hub.port", SYNAPSE_PORT="9000") == 9000


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[a2a]\nflwo = 'auto'\n", "FILE, line 2: there is no setting 'a2a.flwo': did you mean 'a2a.flow'?"),
        ("hub.prot = 1\n", "FILE, line 1: there is no setting 'hub.prot': did you mean 'hub.port'?"),
        ("\n[zebra]\n", "FILE, line 2: there is no setting 'zebra': `synapse config show` lists them."),
        ("a2a = 'auto'\n", "FILE, line 1: there is no setting 'a2a': `synapse config show` lists them."),
        ("[hub]\nport = '80'\n", "FILE, line 2: 'hub.port' is '80': it must be a whole number from 1 to 65535."),
        ("[hub]\nport = true\n", "FILE, line 2: 'hub.port' is True: it must be a whole number from 1 to 65535."),
        ("hub = {port = 0}\n", "FILE, line 1: 'hub.port' is 0: it must be a whole number from 1 to 65535."),
        ("[hub]\nrate = nan\n", "FILE, line 2: 'hub.rate' is nan: it must be a number, 0 or more."),
        ("[a2a]\nflow = 'both'\n", "FILE, line 2: 'a2a.flow' is 'both': it must be one of auto, roundtrip, oneway."),
        ("[a2a]\nflow = [1]\n", "FILE, line 2: 'a2a.flow' is a list: it must be one of auto, roundtrip, oneway."),
        ("[setup]\nask = 1\n", "FILE, line 2: 'setup.ask' is 1: it must be true or false."),
        ("detach_key = ''\n", "FILE, line 1: 'detach_key' is '': it must be a text."),
        (
            "[list]\ncolumns = ['ID', 'X']\n",
            f"FILE, line 2: 'list.columns' is a list: it must be a list of {', '.join(declared.COLUMNS)}.",
        ),
        (
            "[approvals]\nallow = ['git (']\n",
            "FILE, line 2: 'approvals.allow' is a list: it must be a list of regular expressions.",
        ),
        (
            "[a2a\n",
            "FILE, line 1, column 5: this is no TOML: Expected ']' at the end of a table declaration;"
            " `synapse config edit` opens it.",
        ),
        (b"\xff\n", "FILE is not UTF-8 (byte 0)."),
        (
            b"\x00\n",
            "FILE, line 1, column 1: this is no TOML: Invalid statement; `synapse config edit` opens it.",
        ),
        (b"#" * (1 << 20) + b"\n", "FILE is larger than 1 MB: that is no settings file."),
        ("x = " + "[" * 5000, "FILE: this is no TOML: too deep; `synapse config edit` opens it."),
        (".".join("a" * 500) + " = 1\n", f"FILE: there is no setting '{'a.' * 9}a': `synapse config show` lists them."),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_told_with_its_line(house: House, content: "str | bytes", sentence: str) -> None:
    assert house.wrong("user", content) == sentence


def test_of_many_mistakes_the_first_is_told_and_how_many_there_are_and_no_file_takes_long(house: House) -> None:
    assert "(And 1 more: `synapse config show`.)" in house.wrong("user", "a = 1\nb = 2\n")
    lines = "".join(f"k{number} = 1\n" for number in range(60_000))
    began = time.process_time()
    assert "(And 50 more" in house.wrong("user", lines)
    assert time.process_time() - began < 5


def test_a_wrong_variable_is_told_by_its_name(house: House) -> None:
    with pytest.raises(BadRequest, match=r"SYNAPSE_PORT is 'x': it must be a whole number from 1 to 65535\."):
        house.value("hub.port", SYNAPSE_PORT="x")
    for text in ("1_0", "٣", "1e3", "-1", "", " "):
        with pytest.raises(ValueError, match="must be"):
            settings.find("hub.port").of_text(text)


def test_a_project_can_set_only_what_is_marked_and_the_person_is_told(house: House) -> None:
    for setting in declared.declared():
        value = "['ID']" if setting.kind is tuple else {bool: "false", int: "7", float: "7.5"}.get(setting.kind, "")
        value = value or f"'{(setting.choices or ('ctrl-q',))[-1]}'"
        for scope in ("project", "local"):
            house.write(scope, f"{setting.key} = {value}\n")
            told: list[str] = []
            found = house.value(setting.key, told.append)
            assert (found == setting.default) is not setting.project
            assert bool(told) is not setting.project
            house.path(scope).unlink()


def test_only_the_keys_that_can_do_no_harm_are_marked_for_projects() -> None:
    """A new one here is a decision: whoever clones a repository runs with it."""
    assert [one.key for one in declared.declared() if one.project] == ["a2a.flow", "list.columns"]


def test_the_rest_of_a_projects_file_counts_and_the_refusal_says_what_to_do(house: House) -> None:
    path = house.write("project", "[hub]\nhost = '0.0.0.0'\n[a2a]\nflow = 'oneway'\n")
    told: list[str] = []
    assert house.value("a2a.flow", told.append) == "oneway"
    assert told == [
        f"{path}, line 2: a project's file may not set 'hub.host', so it has no effect; put it into {house.path('user')}."
    ]
    assert settings.value("hub.host", "", house.environ) == "127.0.0.1"


def test_settings_of_a_plugin_that_is_not_here_are_kept_and_told_apart(house: House) -> None:
    house.write("user", "[plugins.zebra]\nstripes = 3\n[plugins.zebra.deep]\nx = 1\n[plugins]\n")
    loaded = house.load()
    assert not loaded.problems
    assert [sentence.partition(": ")[2] for sentence in loaded.absent] == [
        "'plugins.zebra.stripes' is of a plugin that is not here; it is kept.",
        "'plugins.zebra.deep.x' is of a plugin that is not here; it is kept.",
    ]


def test_a_plugin_declares_its_settings_and_they_are_like_any(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declared, "_DECLARED", dict(declared._DECLARED))
    stripes = settings.Setting("plugins.zebra.stripes", int, 40, "How many stripes.", least=1)
    settings.declare("zebra", (stripes,))
    settings.declare("zebra", (stripes,))  # it is loaded again
    assert house.value("plugins.zebra.stripes") == 40
    assert house.value("plugins.zebra.stripes", SYNAPSE_PLUGINS_ZEBRA_STRIPES="3") == 3
    assert "did you mean 'plugins.zebra.stripes'?" in house.wrong("user", "[plugins.zebra]\nstrips = 3\n")
    for key in ("plugins.zebra", "zebra.stripes", "plugins.zebra.", "plugins.zebra.a-b", "plugins.other.x", "hub.port"):
        with pytest.raises(ValueError, match="is not called plugins"):
            settings.declare("zebra", (settings.Setting(key, int, 40, "How many."),))
    wrong: list[tuple[settings.Setting, str]] = [
        (settings.Setting("plugins.zebra.a", int, "x", "How many."), "must be a whole number"),
        (settings.Setting("plugins.zebra.a", dict, {}, "How many."), "is a dict"),  # type: ignore[arg-type]
        (settings.Setting("plugins.zebra.a", int, 1, "How many.", environ=("PATH",)), "variable PATH"),
        (settings.Setting("plugins.zebra.a", int, 1, "How many.", environ=("SYNAPSE_PORT",)), "variable SYNAPSE_PORT"),
    ]
    for setting, said in wrong:
        with pytest.raises(ValueError, match=said):
            settings.declare("zebra", (setting,))
    with pytest.raises(ValueError, match="is there twice"):
        settings.declare("zebra", (stripes, stripes))
    assert settings.find("plugins.zebra.stripes") is stripes


def test_nothing_is_read_through_a_pipe_or_a_device_that_a_repository_put_there(house: House) -> None:
    for kind in ("fifo", "device", "folder", "loop", "nothing"):
        path = house.path("project")
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to({"device": "/dev/zero", "loop": str(path), "nothing": "/nowhere"}[kind])
        with pytest.raises(BadRequest):
            house.value("a2a.flow")
        path.rmdir() if kind == "folder" else path.unlink()


def test_unicode_is_kept_as_it_is(house: House) -> None:
    assert "'日本.\\u202e'" in house.wrong("user", '"日本"."\u202e" = "ü"\n')


def test_the_hubs_port_is_read_without_parsing_a_file_that_does_not_speak_of_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.hub_port(house.environ) == 8876
    house.write("user", "[a2a]\nflow = 'auto'\n")
    with monkeypatch.context() as patched:
        patched.delattr(reading, "load")
        assert settings.hub_port(house.environ) == 8876
    for text in ("[hub]\nport = 9001\n", 'hub."p\\u006frt" = 9001\n'):
        house.write("user", text)
        assert settings.hub_port(house.environ) == 9001
        assert settings.hub_port({**house.environ, "SYNAPSE_PORT": "9002"}) == 9002
    for wrong in ("hub.port = 0\n", "port", "[hub]\nprot = 1\nport = 3\n"):
        house.write("user", wrong)
        with pytest.raises(BadRequest):
            settings.hub_port(house.environ)


def test_a_key_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(SynapseError, match=r"no setting 'hub.prot': did you mean 'hub.port'\?"):
        settings.find("hub.prot")


def test_what_two_places_say_is_the_same() -> None:
    hub = Options("")
    for name in ("host", "port", "rate", "burst", "max_clients", "max_per_host"):
        assert settings.find(f"hub.{name}").default == getattr(hub, name)
    assert hub.port == paths.DEFAULT_PORT
    assert settings.config_folder() == str(profile.config_folder())
    for setting in declared.declared():
        assert setting.default is None or setting.checked(setting.default) == setting.default
        assert setting.help[-1] in ".?"


def test_the_page_of_settings_is_what_the_declarations_say() -> None:
    text = page.PAGE.read_text()
    assert text == page.page(text), "run: python -m synapse.settings.page"
