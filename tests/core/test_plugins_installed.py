"""Plugins as they are found for real, by entry points of installed distributions; and the command line with them."""

import fcntl
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.hubs import ROOT, HubProcess, until

TOY = """
from synapse import Argument, Client, Column, Command, Extension, Option, Section, hookimpl, write
from tests.core import toys

globals().update({name: hook for name, hook in vars(toys.pad()).items() if name.startswith("synapse_")})


def added(line: str, as_json: bool) -> None:
    with Client() as client:
        write(f"{client.change('pad.add', line=line)['lines']} lines\\n")


def sent(client, values, reply) -> None:
    client.change("pad.add", line=f"{values['pad']} for {reply['to'][0]}")


AS_JSON = Option("--json", flag=True, help="Print JSON.", parameter="as_json")


@hookimpl
def synapse_commands():
    return (
        Command("pad", added, "Add a line.", Argument("line", help="It."), AS_JSON, example="synapse pad hello"),
    )


@hookimpl
def synapse_extensions():
    return (Extension("send", (Option("--pad", help="Note it on the pad.", metavar="LINE"),), sent),)


@hookimpl
def synapse_sections():
    return (Section("Pad", "pad.lines"),)


@hookimpl
def synapse_columns():
    return (Column("pad", "pad.lines"),)
"""
BAD = {
    "atimport": "raise LookupError('no such moon')",
    "ender": "raise SystemExit(7)",
    "inhook": "from synapse import hookimpl\n@hookimpl\ndef synapse_verbs():\n    return [1]\n",
    "clasher": "from synapse import Command, hookimpl\n@hookimpl\ndef synapse_commands():\n"
    "    return [Command('send', print, 'Mine.', example='synapse send')]\n",
}


def install(folder: Path, name: str, source: str, version: str = "1.2") -> None:
    """What pip would leave behind."""
    (folder / f"toy_{name}.py").write_text(source)
    info = folder / f"toy_{name}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: toy-{name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[synapse.plugins]\n{name} = toy_{name}\n")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    install(folder, "pad", TOY)
    return folder


@pytest.fixture
def house(site: Path, tmp_path: Path) -> Iterator[HubProcess]:
    process = HubProcess()
    process.env |= {"PYTHONPATH": f"{site}:{ROOT}", "XDG_CONFIG_HOME": str(tmp_path / "config")}
    yield process
    process.close()


def plugins(house: HubProcess) -> dict[str, Any]:
    done = house.synapse("plugins", "list", "--json")
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)["plugins"]}


def doctor(house: HubProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(house.synapse("doctor", "--json").stdout)["checks"]
    return found


GUARDER = """
from synapse import Guard, hookimpl

@hookimpl
def synapse_guards():
    return (Guard(frozenset({"messages.sned"}), print),)
"""


def test_a_plugin_that_guards_what_is_not_there_is_told(house: HubProcess, site: Path) -> None:
    install(site, "guarder", GUARDER)
    house.serve()
    why = "it guards messages.sned, which is not there: did you mean messages.send?"
    assert plugins(house)["guarder"]["failure"] == why
    assert why in house.synapse("plugins", "list").stdout
    [told] = [check for check in doctor(house) if check["name"] == "plugins"]
    assert (told["state"], told["said"]) == ("warn", f"guarder does not work: {why}")


def test_a_plugin_that_fails_later_is_named_by_the_doctor(house: HubProcess) -> None:
    house.serve()
    [well] = [check for check in doctor(house) if check["name"] == "plugins"]
    assert (well["state"], well["said"]) == ("ok", "memory, pad")
    house.synapse("pad", "boom")
    [broken] = [check for check in doctor(house) if check["name"] == "plugins"]
    assert (broken["state"], "pad does not work: pad: " in broken["said"]) == ("warn", True)
    assert "`synapse plugins disable pad` and `synapse restart`" in broken["next"]
    assert [check["state"] for check in doctor(house) if check["name"] == "hub"] == ["ok"]


def test_broken_plugins_are_told_and_left_out_and_the_rest_runs(house: HubProcess, site: Path) -> None:
    for name, source in BAD.items():
        install(site, name, source)
    without = plugins(house)
    house.serve()
    rows = plugins(house)
    for found in (without, rows):
        assert {name for name, row in found.items() if row["working"]} == {"memory", "pad"}
        assert found["pad"]["source"] == "toy-pad 1.2"
        assert "no such moon" in found["atimport"]["failure"]
        assert "end the program (7)" in found["ender"]["failure"]
        assert "returns 1, not a Verb" in found["inhook"]["failure"]
        assert "there is a command 'send' already" in found["clasher"]["failure"]
    assert "send --pad" in rows["pad"]["contributes"]["options"]
    assert house.synapse("pad", "hello").stdout == "1 lines\n"
    status = house.synapse("status")
    assert "plugin atimport" in status.stdout
    told = {check["said"].partition(" ")[0]: check for check in doctor(house) if check["name"] == "plugins"}
    assert {name for name, check in told.items() if check["state"] == "warn"} == set(BAD)
    assert "no such moon" in told["atimport"]["said"]
    assert "`synapse plugins disable atimport`" in told["atimport"]["next"]
    helped = house.synapse("--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert "Add a line." in helped.stdout
    assert "`synapse plugins` says why" in house.synapse("atimport").stderr


def test_a_plugin_adds_to_core_commands_and_plain_ones_do_not_load_it(house: HubProcess) -> None:
    house.serve()
    house.synapse("send", "ada", "hello", "--silent")
    sent = house.synapse("send", "me", "hello", "--silent", "--pad", "seen")
    assert sent.returncode == 0, sent.stderr
    assert house.synapse("send", "me", "again", "--silent", "--pad=twice").returncode == 0
    status = json.loads(house.synapse("status", "--json").stdout)
    assert status["sections"]["Pad"]["lines"] == ["seen for ada", "twice for ada"]
    assert "Pad\n  lines  seen for ada, twice for ada\n" in house.synapse("status").stdout
    assert "--pad" in house.synapse("send", "--help").stdout
    wrong = house.synapse("send", "me", "x", "--pat", "y")
    assert (wrong.returncode, "--pad" in wrong.stderr) == (2, True)
    listed = json.loads(house.synapse("list", "--all", "--json").stdout)
    assert listed == [] or "pad" in listed[0]["columns"]


def test_a_plain_quick_command_loads_no_plugin(house: HubProcess) -> None:
    house.serve()
    script = "import sys; from synapse.__main__ import _run; _run(sys.argv[1:]); print(sorted(sys.modules))"
    for words in (["who"], ["status"], ["list"], ["send", "me", "hello", "--silent"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *words],
            env=house.env,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        for module in ("'toy_pad'", "'pluggy'", "'importlib.metadata'", "'synapse.plugins'", "'synapse.hookspecs'"):
            assert module not in done.stdout, (words, module)


def test_disabling_takes_effect_at_the_next_start_and_keeps_what_was_written(house: HubProcess, tmp_path: Path) -> None:
    settings = tmp_path / "config" / "synapse" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("# mine\n[hub]\nlog_level = 'debug' # all of it\n")
    house.serve()
    house.synapse("pad", "kept")
    done = house.synapse("plugins", "disable", "pad")
    assert "synapse restart" in done.stdout
    assert "# mine\n" in settings.read_text()
    assert "# all of it" in settings.read_text()
    assert settings.stat().st_mode & 0o777 == 0o600
    assert (plugins(house)["pad"]["pending"], plugins(house)["pad"]["enabled"]) == (True, False)
    assert "is disabled: `synapse plugins enable pad`" in house.synapse("pad", "x").stderr
    assert house.synapse("restart").returncode == 0
    assert not plugins(house)["pad"]["pending"]
    assert "already" in house.synapse("plugins", "disable", "pad").stdout
    assert house.synapse("plugins", "enable", "pad").returncode == 0
    house.synapse("restart")
    assert json.loads(house.synapse("status", "--json").stdout)["sections"]["Pad"]["lines"] == ["kept"]
    assert house.synapse("plugins", "enable", "nothing").returncode == 1
    assert house.synapse("plugins", "disable", "nothing", "--json").returncode == 1


KNOWN = """
from pathlib import Path

from synapse import (
    AS_JSON, Command, Reply, Request, Section, Setting, chosen, hookimpl, read, setting, write,
)


class Told(Reply, kw_only=True):
    greeting: str


@read("greet.told")
def told(call, request: Request) -> Told:
    \"\"\"What the hub was told to say.\"\"\"
    return Told(greeting=str(setting("plugins.greet.word")))


@hookimpl
def synapse_settings():
    return (
        Setting("plugins.greet.word", str, "hello", "What is said."),
        Setting("plugins.greet.times", int, 1, "How often.", project=True, least=1, most=9),
    )


@hookimpl
def synapse_verbs():
    return (told,)


@hookimpl
def synapse_sections():
    return (Section("Greeting", "greet.told"),)


@hookimpl
def synapse_profiles():
    return (Path(__file__).parent / "greet_profiles",)


def greet(as_json):
    write(" ".join([chosen("plugins.greet.word")] * chosen("plugins.greet.times")) + "\\n")


@hookimpl
def synapse_commands():
    return (Command("greet", greet, "Greet.", AS_JSON, example="synapse greet"),)
"""


def test_a_plugin_has_settings_of_its_own_in_the_hub_in_commands_and_in_config(house: HubProcess, site: Path) -> None:
    install(site, "greet", KNOWN)
    (site / "greet_profiles").mkdir()
    (site / "greet_profiles" / "greeter.toml").write_text("command = ['cat']\n")
    assert house.synapse("greet").stdout == "hello\n"
    for words in (("word", "good day"), ("times", "2", "--scope", "project")):
        done = house.synapse("config", "set", f"plugins.greet.{words[0]}", *words[1:])
        assert done.returncode == 0, done.stderr
    assert house.synapse("greet").stdout == "good day good day\n"
    wrong = house.synapse("config", "set", "plugins.greet.times", "10")
    assert (wrong.returncode, "from 1 to 9" in wrong.stderr) == (2, True)
    shown = house.synapse("config", "show")
    assert ("plugins.greet.word" in shown.stdout, shown.stderr) == (True, "")
    assert house.synapse("config", "get", "plugins.greet.times").stdout == "2\n"
    house.serve()
    assert json.loads(house.synapse("status", "--json").stdout)["sections"]["Greeting"]["greeting"] == "good day"
    rows = plugins(house)["greet"]["contributes"]
    assert (rows["settings"], rows["profiles"]) == (["plugins.greet.word", "plugins.greet.times"], ["greeter"])
    assert (
        house.synapse("send", "ada", "hello", "--silent").returncode == 0
    )  # one that loads no plugin minds no setting
    house.synapse("plugins", "disable", "greet")
    left = house.synapse("config", "show")
    assert (left.returncode, "of a plugin that is not here; it is kept" in left.stderr) == (0, True)


def test_a_plugin_knows_programs_that_nobody_else_does(house: HubProcess, site: Path, tmp_path: Path) -> None:
    install(site, "greet", KNOWN)
    (site / "greet_profiles").mkdir()
    (site / "greet_profiles" / "greeter.toml").write_text("command = ['sh', '-c', 'cat; :']\nports = [8177, 8178]\n")
    (site / "greet_profiles" / "demo.toml").write_text("command = ['false']\n")  # the core's own counts
    house.serve()
    done = house.synapse("start", "--json", "greeter")
    assert done.returncode == 0, done.stderr
    agent = json.loads(done.stdout)
    assert agent["id"] == "synapse-greeter-8177"
    assert house.synapse("kill", "--force", agent["name"]).returncode == 0
    demo = json.loads(house.synapse("start", "--json", "demo").stdout)
    assert demo["id"].startswith("synapse-demo-")
    assert house.synapse("kill", "--force", demo["name"]).returncode == 0
    assert "This needs a terminal" in house.synapse("greeter").stderr  # it is `synapse run greeter`
    assert "There is no command" in house.synapse("greater").stderr


def waits_for_a_lock(pid: int) -> bool:
    return any("->" in line and f" {pid} " in line for line in Path("/proc/locks").read_text().splitlines())


@pytest.mark.skipif(sys.platform != "linux", reason="who waits for a lock is told by /proc")
def test_of_several_that_are_disabled_or_enabled_at_once_none_is_lost(
    house: HubProcess, site: Path, tmp_path: Path
) -> None:
    names = [f"toy{number}" for number in range(4)]
    for name in names:
        install(site, name, "")
    folder = tmp_path / "config" / "synapse"
    folder.mkdir(parents=True)
    for what, left in (("disable", names), ("enable", [])):
        turn = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX)  # all have looked at the file before any has its turn to write
            running = [house.start("plugins", what, name) for name in names]
            for process in running:
                until(partial(waits_for_a_lock, process.pid))
        finally:
            os.close(turn)
        for process in running:
            said, complained = process.communicate(timeout=30)
            assert process.returncode == 0, (said, complained)
        chosen = tomllib.loads((folder / "settings.toml").read_text())
        assert sorted(chosen["plugins"]["disabled"]) == left


def test_a_variable_that_is_stronger_than_the_choice_is_told(house: HubProcess) -> None:
    done = house.synapse("plugins", "enable", "pad", env={"SYNAPSE_PLUGINS_DISABLED": "pad"})
    assert (done.returncode, "SYNAPSE_PLUGINS_DISABLED is stronger" in done.stderr) == (1, True)
    assert house.synapse("plugins", "disable", "pad", env={"SYNAPSE_PLUGINS_DISABLED": "pad"}).stdout.endswith(
        "already.\n"
    )


def test_one_that_is_removed_leaves_its_events_and_finds_them_when_it_comes_back(house: HubProcess, site: Path) -> None:
    house.serve()
    house.synapse("pad", "one")
    (site / "toy_pad-1.2.dist-info" / "entry_points.txt").unlink()
    assert "not installed any more" in plugins(house)["pad"]["failure"]
    house.kill()
    house.serve()
    assert "pad" not in plugins(house)
    assert "pad.added" in house.synapse("events", "export").stdout
    install(site, "pad", TOY, "1.3")
    house.kill()
    house.serve()
    assert plugins(house)["pad"]["source"] == "toy-pad 1.3"
    assert json.loads(house.synapse("status", "--json").stdout)["sections"]["Pad"]["lines"] == ["one"]
    with house.peer() as peer:
        peer.hello(**{"as": "eve"})
        until(lambda: peer.ask("pad.stored")["result"]["lines"] == ["one"])
