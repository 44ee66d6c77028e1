"""`config`, `init`, `reset`, and that what was chosen is what the other commands do."""

import json
import os
import pty
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.e2e.commands_kit import BOUND, SLOW_START, SYNAPSE, Shell, until
from tests.e2e.hubs import free_port

EDITOR = """#!/bin/sh
cp "$1" "{seen}"
printf '%s' '{content}' > "$1"
"""


class House(Shell):
    """A shell whose user has a config folder of his own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environ["XDG_CONFIG_HOME"] = str(folder / "config")
        self.user = folder / "config" / "synapse" / "settings.toml"
        self.shared = self.project / ".synapse" / "settings.toml"
        (self.project / ".git").mkdir()

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = House(tmp_path)
    yield found
    found.stop_hub()


def test_a_value_is_set_shown_got_and_unset(house: House) -> None:
    assert house.ok("config", "set", "a2a.flow", "oneway") == f"a2a.flow = oneway ({house.user})\n"
    assert house.ok("config", "get", "a2a.flow") == "oneway\n"
    assert house.json("config", "get", "a2a.flow") == {
        "key": "a2a.flow", "value": "oneway", "scope": "user", "source": str(house.user), "line": 2,
    }  # fmt: skip
    rows = [line.split() for line in house.ok("config", "show").splitlines()]
    assert rows[0] == ["KEY", "VALUE", "SCOPE", "FROM"]
    assert ["a2a.flow", "oneway", "user", f"{house.user}:2"] in rows
    assert ["setup.ask", "true", "default"] in rows
    assert (house.user.stat().st_mode & 0o777, house.user.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    house.ok("config", "unset", "a2a.flow")
    assert house.ok("config", "get", "a2a.flow") == "auto\n"
    assert house.run("config", "unset", "a2a.flow").returncode == 1


def test_scopes_are_shown_apart_and_a_stronger_one_is_told(house: House) -> None:
    house.ok("config", "set", "a2a.flow", "oneway")
    house.ok("config", "set", "a2a.flow", "roundtrip", "--scope", "project")
    again = house.run("config", "set", "a2a.flow", "oneway")
    assert "it does not count here" in again.stderr
    for scope, flow in (("user", "oneway"), ("project", "roundtrip")):
        found = house.json("config", "show", "--scope", scope)["settings"]
        assert [(one["key"], one["value"], one["scope"]) for one in found] == [("a2a.flow", flow, scope)]
    port = house.json("config", "show", "--scope", "env")["settings"]
    assert ("hub.port", "SYNAPSE_PORT") in [(one["key"], one["source"]) for one in port]
    assert {one["scope"] for one in port} == {"env"}
    assert house.ok("config", "show", "--scope", "local").startswith("Nothing is set here by local")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("config", "set", "hub.prot", "1"), 2, "did you mean 'hub.port'?"),
        (("config", "get", "nothing"), 2, "There is no setting 'nothing'"),
        (("config", "set", "hub.port", "70000"), 2, "must be a whole number from 1 to 65535, not '70000'"),
        (("config", "set", "hub.host", "0.0.0.0", "--scope", "project"), 1, "A project's file may not set 'hub.host'"),
        (("config", "set", "hub.host", "0.0.0.0", "--scope", "local"), 1, "A project's file may not set 'hub.host'"),
        (("config", "set", "a2a.flow", "auto", "--scope", "env"), 2, "--scope"),
        (("config", "import", "none.json"), 2, "cannot be read"),
        (("init",), 2, "Give --scope user or --scope project"),
        (("reset",), 1, "There is no"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(house: House, words: tuple[str, ...], status: int, said: str) -> None:
    done = house.run(*words)
    assert done.returncode == status
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not house.user.exists()
    assert not house.shared.exists()


def test_a_wrong_file_stops_what_reads_it_and_config_still_shows_the_rest(house: House) -> None:
    house.write(house.user, "[a2a]\nflow = 'oneway'\n[hub]\nprot = 1\n")
    shown = house.run("config", "show")
    assert shown.returncode == 1
    assert f"{house.user}, line 4: there is no setting 'hub.prot': did you mean 'hub.port'?" in shown.stderr
    assert "oneway" in shown.stdout
    for words in (("send", "me", "x"), ("config", "get", "a2a.flow"), ("serve",)):
        done = house.run(*words)
        assert done.returncode == 2
        assert "hub.prot" in done.stderr
    house.user.write_text("[hub]\nport = 'x'\n")
    del house.environ["SYNAPSE_PORT"]
    assert house.refused("who", status=2) == "bad_settings"


def test_a_hub_in_the_background_that_cannot_read_its_settings_is_told_why(house: House) -> None:
    house.write(house.user, "[hub]\nrate = -1\n")
    done = house.run("inbox")
    assert done.returncode == 2
    assert "'hub.rate' is -1: it must be a number, 0 or more." in done.stderr
    assert done.stderr.count("\n") == 1


def test_keys_that_are_set_at_once_are_all_there_and_no_file_is_ever_half(house: House) -> None:
    house.write(house.user, "# kept\n" + "".join(f"[plugins.p{n}]\nx = {n}\n" for n in range(2)))
    wanted = {"hub.rate": "7", "hub.burst": "8", "hub.max_clients": "9", "hub.log_level": "debug", "a2a.flow": "oneway",
              "detach_key": "ctrl-]", "setup.ask": "false", "long_message.ttl": "5"}  # fmt: skip
    running = [
        subprocess.Popen([*SYNAPSE, "config", "set", *pair], env=house.environ, cwd=house.project, stdout=subprocess.DEVNULL)
        for pair in wanted.items()
    ]  # fmt: skip
    while any(process.poll() is None for process in running):
        tomllib.loads(house.user.read_text())
    assert [process.wait(BOUND) for process in running] == [0] * len(wanted)
    for key, value in wanted.items():
        assert house.ok("config", "get", key).strip() == value
    assert "# kept" in house.user.read_text()
    assert len(house.json("config", "show")["absent"]) == 2
    assert os.listdir(house.user.parent) == ["settings.toml"]


def test_a_folder_that_may_not_be_written_is_told(house: House) -> None:
    powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    if powerless and shutil.which("setpriv") is None:
        pytest.skip("not run: root may write everywhere, and setpriv is absent")
    house.user.parent.mkdir(parents=True)
    house.user.parent.chmod(0o500)
    done = subprocess.run(
        [*powerless, *SYNAPSE, "config", "set", "a2a.flow", "auto"], env=house.environ, cwd=house.project, check=False,
        capture_output=True, text=True, timeout=BOUND,
    )  # fmt: skip
    house.user.parent.chmod(0o700)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"{house.user} cannot be written" in done.stderr


def test_a_cloned_repository_sets_nothing_that_matters_and_the_person_sees_that_it_tried(house: House) -> None:
    house.write(house.shared, "[hub]\nhost = '0.0.0.0'\nport = 1\n[a2a]\nflow = 'oneway'\n[plugins.x]\ny = 1\n")
    sent = house.run("send", "me", "hello")
    assert sent.returncode == 0
    assert sent.stderr.count("may not set") == 2
    assert f"{house.shared}, line 2: a project's file may not set 'hub.host'" in sent.stderr
    assert house.json("config", "get", "hub.host")["value"] == "127.0.0.1"
    assert house.json("status")["hub"]["port"] == int(house.environ["SYNAPSE_PORT"])
    assert "may not set 'hub.host'" in house.run("doctor").stdout


def test_the_hub_is_as_the_user_has_chosen(house: House) -> None:
    del house.environ["SYNAPSE_PORT"]
    port = free_port()
    house.ok("config", "set", "hub.port", str(port))
    house.ok("config", "set", "hub.rate", "0.2")
    house.ok("config", "set", "hub.burst", "3")
    first = house.run("who")
    assert (first.returncode, first.stderr.replace(SLOW_START, "")) == (0, "")
    assert house.json("status")["hub"]["port"] == port
    assert house.run("who").stderr == ""  # nobody is led to another port
    codes = [house.run("send", "me", "--silent", f"{number}").returncode for number in range(6)]
    assert 1 in codes
    house.ok("restart")
    assert house.json("status")["hub"]["port"] == port


def test_sending_goes_as_the_project_has_chosen_unless_an_option_says_otherwise(house: House) -> None:
    house.ok("send", "me", "hello", "--from", "alice", "--silent")
    house.ok("config", "set", "a2a.flow", "oneway", "--scope", "project")
    note = house.json("send", "alice", "a note")
    assert not note.get("task_id")
    assert house.json("send", "alice", "work", "--notify")["task_id"]
    house.ok("config", "set", "a2a.flow", "roundtrip", "--scope", "project")
    waited = house.run("send", "alice", "work", "--timeout", "0.2")
    assert waited.returncode == 124
    assert house.json("send", "alice", "work", "--silent").get("task_id") in (None, "")
    assert house.run("send", "alice", "work", SYNAPSE_A2A_FLOW="auto").returncode == 0


def test_list_shows_the_columns_that_were_chosen(house: House) -> None:
    house.ok("start", "--name", "bob", "demo")
    house.ok("config", "set", "list.columns", "STATUS,NAME", "--scope", "project")
    assert house.ok("list").split("\n")[0].split() == ["STATUS", "NAME"]
    assert house.ok("list", "--all").split("\n")[0].split()[-2:] == ["STATUS", "NAME"]
    assert len(house.json("list")[0]) > 5
    house.ok("kill", "-f", "bob")


def test_init_writes_every_key_as_a_comment_once_and_reset_keeps_the_old_file(house: House) -> None:
    for scope, path in (("user", house.user), ("project", house.shared)):
        house.ok("init", "--scope", scope)
        text = path.read_text()
        assert '# flow = "auto"' in text
        assert ("# port = 8876" in text) is (scope == "user")
        assert house.refused("init", "--scope", scope) == "there_already"
        assert house.refused("reset", "--scope", scope) == "not_asked"
        assert house.json("reset", "--scope", scope, "--yes")["kept"] == f"{path}.old"
        assert not path.exists()
        assert Path(f"{path}.old").read_text() == text


def test_at_a_terminal_init_asks_whose_and_reset_asks_whether(house: House) -> None:
    for words, answer, there in (
        (("init",), "project\n", True), (("reset", "--scope", "project"), "n\n", True),
        (("reset", "--scope", "project"), "y\n", False), (("init",), "\x04", False),
    ):  # fmt: skip
        ours, theirs = pty.openpty()
        try:
            process = subprocess.Popen([*SYNAPSE, *words], stdin=theirs, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, env=house.environ, cwd=house.project)  # fmt: skip
            os.write(ours, answer.encode())
            process.wait(BOUND)
        finally:
            os.close(ours)
            os.close(theirs)
        assert house.shared.exists() is there


def test_an_old_file_is_imported(house: House) -> None:
    old = house.project / "settings.json"
    old.write_text(
        json.dumps({"a2a": {"flow": "roundtrip"}, "env": {"SYNAPSE_LONG_MESSAGE_THRESHOLD": "200"}, "hooks": {}})
    )
    done = house.json("config", "import", "settings.json")
    assert done["imported"] == {"a2a.flow": "roundtrip", "long_message.threshold": 200}
    assert done["left"] == ["hooks: no setting of this version"]
    assert tomllib.loads(house.user.read_text()) == {"a2a": {"flow": "roundtrip"}, "long_message": {"threshold": 200}}
    mine = house.json("config", "import", "settings.json", "--scope", "project")
    assert (mine["imported"], len(mine["left"])) == ({"a2a.flow": "roundtrip"}, 2)


def test_an_editor_changes_the_file_only_when_nothing_is_wrong_in_it(house: House, tmp_path: Path) -> None:
    editor, seen = tmp_path / "editor", tmp_path / "seen"

    def edit(content: str) -> subprocess.CompletedProcess[str]:
        editor.write_text(EDITOR.format(seen=seen, content=content))
        editor.chmod(0o700)
        return house.run("config", "edit", EDITOR=str(editor), VISUAL="", TMPDIR=str(tmp_path))

    assert edit("# mine\n[hub]\nport = 9000\n").returncode == 0
    assert "# port = 8876" in seen.read_text()  # it began with every key
    assert house.user.read_text() == "# mine\n[hub]\nport = 9000\n"
    wrong = edit("[hub]\nport = 0\n")
    assert wrong.returncode == 2
    assert "'hub.port' is 0" in wrong.stderr
    kept = Path(wrong.stderr.rpartition(" is in ")[2].strip().rstrip("."))
    assert kept.read_text() == "[hub]\nport = 0\n"
    assert house.user.read_text() == "# mine\n[hub]\nport = 9000\n"
    left = set(tmp_path.iterdir())
    assert house.run("config", "edit", EDITOR="false", VISUAL="", TMPDIR=str(tmp_path)).returncode == 1
    assert set(tmp_path.iterdir()) == left
    assert house.run("config", "edit", EDITOR="/nowhere/x", VISUAL="", TMPDIR=str(tmp_path)).returncode == 1
    assert set(tmp_path.iterdir()) == left


@pytest.mark.parametrize("editor", ["", "vi", "/usr/bin/nano -w"])
def test_an_editor_that_needs_a_terminal_is_not_opened_where_there_is_none(
    house: House, editor: str, tmp_path: Path
) -> None:
    left = set(tmp_path.iterdir())
    done = house.run("config", "edit", EDITOR=editor, VISUAL="", TMPDIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no terminal here for the editor" in done.stderr
    assert "`synapse config set KEY VALUE`" in done.stderr
    assert set(tmp_path.iterdir()) == left


def test_two_who_edit_at_once_do_not_overwrite_each_other(house: House, tmp_path: Path) -> None:
    editor, go = tmp_path / "editor", tmp_path / "go"
    editor.write_text(
        f"#!/bin/sh\necho '[hub]\nport = 9000' > \"$1\"\ntouch {go}.ready\nuntil [ -e {go} ]; do sleep 0.05; done\n"
    )
    editor.chmod(0o700)
    house.environ.update(EDITOR=str(editor), VISUAL="", TMPDIR=str(tmp_path))
    with house.start("config", "edit") as editing:
        until(lambda: Path(f"{go}.ready").exists())
        house.ok("config", "set", "a2a.flow", "oneway")
        go.touch()
        assert editing.ends() == 1
        assert "meanwhile" in editing.complained
    assert tomllib.loads(house.user.read_text()) == {"a2a": {"flow": "oneway"}}


def test_the_form_changes_one_setting_after_the_other_in_a_real_terminal(house: House) -> None:
    form = pexpect.spawn(SYNAPSE[0], [*SYNAPSE[1:], "config"], env=house.environ, cwd=str(house.project),
                         dimensions=(50, 120), encoding="utf-8", timeout=BOUND)  # fmt: skip
    try:
        form.expect(r"(\d+) +hub\.rate +2000 +default")
        form.expect("Enter ends: ")
        form.sendline("a2a.flow")  # by its key
        form.expect("takes one of auto, roundtrip, oneway; now auto")
        form.sendline("sideways")
        form.expect("It must be one of auto")
        form.sendline("oneway")
        form.expect(r"\[user\] ")
        form.sendline("project")
        form.expect(r"a2a\.flow = oneway \(")
        form.expect(r"(\d+) +hub\.rate")
        assert tomllib.loads(house.shared.read_text()) == {"a2a": {"flow": "oneway"}}
        number = form.match[1]
        form.sendline(number)  # by its number; nobody asks for whom: a project may not
        form.expect("takes a number, 0 or more; now 2000")
        form.sendline("50")
        form.expect(r"hub\.rate = 50 \(")
        assert tomllib.loads(house.user.read_text()) == {"hub": {"rate": 50.0}}
        form.expect("Enter ends: ")
        form.sendline(number)
        form.expect("now 50 .*settings.toml:2")
        form.sendline("-")
        form.expect("hub.rate is not set any more")
        form.expect("Enter ends: ")
        form.sendline("hub.prot")
        form.expect("did you mean 'hub.port'")
        form.expect("Enter ends: ")
        form.sendline("999")
        form.expect("There is no setting '999'")
        form.expect("Enter ends: ")
        form.sendline("")
        form.expect(pexpect.EOF)
        form.wait()
        assert form.exitstatus == 0
    finally:
        form.close(force=True)
    assert tomllib.loads(house.user.read_text()) == {"hub": {}}


def test_the_form_says_what_to_do_where_there_is_no_terminal(house: House) -> None:
    done = house.run("config")
    assert (done.returncode, done.stdout) == (1, "")
    assert "`synapse config show`" in done.stderr
    assert len(house.json("config")["settings"]) > 10  # for a program it is what is set
