"""Homebrew, Scoop and the units for services: made from one place, read by the tools they are for, where those are."""

import hashlib
import json
import os
import plistlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.boxes import ROOT, box, kept, script

RECIPES = script("recipes")
UNITS = ROOT / "packaging" / "units"
WORDS = ["send", "two words", "", "*", "$HOME", '"quoted" \\', "ü", "; echo no", "-n"]
WINDOWS = r"C:\Users\Kim Doe\scoop\apps\synapse\current\synapse-linux"


def schema(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """A foreign eye on a file."""
    tool = Path(sys.executable).with_name("check-jsonschema")
    return subprocess.run([tool, *words], capture_output=True, text=True, timeout=60, check=False)


def test_the_recipes_are_what_their_data_gives() -> None:
    data = json.loads(RECIPES.DATA.read_text())
    for path, text in RECIPES.written(data).items():
        assert path.read_text() == text, f"{path}: python packaging/recipes.py"
    assert f'__version__ = "{data["version"]}"' in (ROOT / "synapse" / "__init__.py").read_text()


def release(folder: Path, version: str) -> None:
    """A release's files, of a few bytes each, with their sums."""
    names = [f"synapse-{version}-{system}.tar.gz" for system in RECIPES.SYSTEMS]
    for name in [*names, f"synapse-{version}-linux-x86_64", f"synapse-{version}-linux-arm64"]:
        (folder / name).write_text(name)
        (folder / f"{name}.sha256").write_text(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n")


def test_a_release_s_sums_come_into_both_each_where_it_belongs(tmp_path: Path) -> None:
    version = json.loads(RECIPES.DATA.read_text())["version"]
    release(tmp_path, version)
    data = RECIPES.of_release(tmp_path)
    formula, manifest = RECIPES.formula(data), json.loads(RECIPES.manifest(data, b"shim"))
    pairs = re.findall(r'url "[^"]*/([^"/]+)"\s+sha256 "(\w+)"', formula)
    assert len(pairs) == 4
    both = [(url[0], files["hash"][0]) for files in manifest["architecture"].values() for url in [files["url"]]]
    pairs += [(url.rpartition("/releases/")[2].split("/")[2].partition("#")[0], sum) for url, sum in both]
    assert len({name for name, _ in pairs}) == 6
    for name, sum in pairs:
        assert sum == hashlib.sha256(name.encode()).hexdigest()
    for files in manifest["architecture"].values():
        assert len(set(files["hash"])) == 2


def test_a_release_that_is_not_whole_or_not_right_makes_nothing(tmp_path: Path) -> None:
    version = json.loads(RECIPES.DATA.read_text())["version"]
    release(tmp_path, version)
    (tmp_path / f"synapse-{version}-macos-arm64.tar.gz").write_text("other")
    with pytest.raises(ValueError, match="is not what"):
        RECIPES.of_release(tmp_path)
    (tmp_path / f"synapse-{version}-macos-arm64.tar.gz").unlink()
    done = subprocess.run(
        [sys.executable, ROOT / "packaging" / "recipes.py", "--files", tmp_path],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, "macos-arm64" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
    test_the_recipes_are_what_their_data_gives()


@pytest.mark.skipif(shutil.which("ruby") is None, reason="not run: there is no ruby to read the formula")
def test_the_formula_is_ruby() -> None:
    done = subprocess.run(
        ["ruby", "-c", ROOT / "homebrew" / "synapse-hub.rb"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


BREW = """
$found = {}
class Formula
  def self.test; end
  def self.method_missing(name, *words, &block)
    chosen = { on_macos: "macos", on_linux: "linux", on_arm: "arm64", on_intel: "x86_64" }[name]
    return if chosen && !ENV["HERE"].split("-").include?(chosen)
    block && %i[on_macos on_linux on_arm on_intel].include?(name) ? block.call : $found[name] = words.first
  end
end
"""


@pytest.mark.skipif(shutil.which("ruby") is None, reason="not run: there is no ruby to read the formula")
@pytest.mark.parametrize("system", RECIPES.SYSTEMS)
def test_the_formula_s_class_is_its_file_s_and_chooses_the_file_of_each_system(system: str) -> None:
    """With a stand-in for what brew gives a formula; its libraries keep their names, for which else there is no room."""
    file = ROOT / "homebrew" / "synapse-hub.rb"
    script = f'{BREW}\nload {str(file)!r}\nraise unless SynapseHub.superclass == Formula\nrequire "json"\nputs $found.to_json'
    done = subprocess.run(
        ["ruby", "-e", script],
        env=os.environ | {"HERE": system},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["url"].endswith(f"-{system}.tar.gz")
    assert "preserve_rpath" in found


def test_the_manifest_is_one_for_scoop() -> None:
    done = schema("--schemafile", ROOT / "tests" / "packaging" / "scoop.schema.json", ROOT / "scoop" / "synapse.json")
    assert done.returncode == 0, done.stdout


# -- the way through WSL


def shim() -> str:
    """What the PowerShell script has `sh` do inside WSL."""
    found = re.search(r"^\$script = @'\n(.*?)^'@", (ROOT / "scoop" / "synapse.ps1").read_text(), re.S | re.M)
    assert found is not None
    return found[1]


def wsl(folder: Path, file: Path) -> dict[str, str]:
    """An environment with a stand-in for `wslpath`, which knows that one file."""
    tools = folder / "tools"
    tools.mkdir()
    stand_in = tools / "wslpath"
    stand_in.write_text(f"#!/bin/sh\n[ \"$1\" = -u ] && [ \"$2\" = '{WINDOWS}' ] && echo '{file}'\n")
    stand_in.chmod(0o755)
    return {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(folder)}


def test_every_word_arrives_as_it_was_given(tmp_path: Path) -> None:
    env = wsl(tmp_path, box(tmp_path))
    done = subprocess.run(
        ["sh", "-c", shim(), WINDOWS, *WORDS], env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.returncode) == ("|".join(["1.0", *WORDS, ""]), 0)
    assert subprocess.run(["sh", "-c", shim(), WINDOWS, "exit", "7"], env=env, timeout=30, check=False).returncode == 7


def test_ten_first_calls_at_once_all_work(tmp_path: Path) -> None:
    env = wsl(tmp_path, box(tmp_path, megabytes=4))
    words = ["sh", "-c", shim(), WINDOWS]
    started = [subprocess.Popen([*words, str(n)], env=env, stdout=subprocess.PIPE, text=True) for n in range(10)]
    assert [process.communicate(timeout=50)[0] for process in started] == [f"1.0|{n}|" for n in range(10)]
    assert len(kept(tmp_path)) == 1


def test_where_something_is_missing_it_says_what(tmp_path: Path) -> None:
    words = ["sh", "-c", shim(), WINDOWS]
    env = wsl(tmp_path, tmp_path / "not-there")
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "cannot be read from here" in done.stderr) == (1, True)
    env["PATH"] = os.environ["PATH"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "no WSL distribution" in done.stderr) == (1, True)


# -- services


def test_the_unit_for_systemd_leaves_agents_alone_and_is_understood(tmp_path: Path) -> None:
    text = (UNITS / "synapse.service").read_text()
    assert "KillMode=process" in text
    if shutil.which("systemd-analyze") is None:
        pytest.skip("not run: there is no systemd-analyze to read the unit")
    unit = tmp_path / "synapse.service"
    unit.write_text(text.replace("%h/.local/bin/synapse", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", unit],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_the_one_for_launchd_is_a_property_list_that_leaves_agents_alone() -> None:
    unit = plistlib.loads((UNITS / "dev.synapse.hub.plist").read_bytes())
    assert unit["ProgramArguments"][1:] == ["serve"]
    assert unit["AbandonProcessGroup"] is True
    assert unit["KeepAlive"] == {"SuccessfulExit": False}


def test_the_one_for_containers_publishes_on_loopback_alone() -> None:
    file = UNITS / "compose.yaml"
    done = schema("--builtin-schema", "vendor.compose-spec", file)
    assert done.returncode == 0, done.stdout
    assert re.findall(r'- "([\d.:]+)"', file.read_text()) == ["127.0.0.1:8876:8876"]


def test_each_of_them_starts_the_hub_as_it_takes_it() -> None:
    from synapse.cli.serve import COMMANDS

    [serve] = [command for command in COMMANDS if command.name == "serve"]
    options = {name for param in serve.params for name in getattr(param, "names", ())}
    words = re.findall(r"(--[a-z-]+)", re.search(r"command: \[(.*)\]", (UNITS / "compose.yaml").read_text())[1])  # type: ignore[index]
    assert words
    assert set(words) <= options
