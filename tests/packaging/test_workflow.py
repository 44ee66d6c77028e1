"""The release workflow, as far as it can be looked at without running it: its form, its scripts, what it calls."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from synapse import __version__
from tests.packaging.boxes import ROOT

FILE = ROOT / ".github" / "workflows" / "release.yml"


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(FILE)["jobs"]
    return found


def scripts(jobs: dict[str, Any]) -> list[str]:
    return [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]


def systems(job: dict[str, Any]) -> set[str]:
    return {one["system"] for one in job["strategy"]["matrix"]["include"]}


def test_it_is_a_workflow_by_its_schema() -> None:
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(FILE)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_scripts_can_be_read_by_a_shell(jobs: dict[str, Any], tmp_path: Path) -> None:
    assert len(scripts(jobs)) >= 6
    for script in scripts(jobs):
        plain = re.sub(r"\$\{\{[^}]*\}\}", "VALUE", script)
        done = subprocess.run(["bash", "-n", "-c", plain], capture_output=True, text=True, timeout=10, check=False)
        assert done.returncode == 0, done.stderr


def test_what_it_calls_is_there(jobs: dict[str, Any]) -> None:
    called = "\n".join(scripts(jobs))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", called, re.MULTILINE)) <= targets
    for path in re.findall(r"packaging/\w+\.py", called):
        assert (ROOT / path).exists()


def test_every_system_that_is_built_must_be_in_the_release(jobs: dict[str, Any]) -> None:
    built = systems(jobs["linux"]) | systems(jobs["macos"])
    assert built == {"linux-x86_64", "linux-arm64", "macos-x86_64", "macos-arm64"}
    wanted = next(script for script in scripts(jobs) if "for system in" in script)
    listed = re.search(r"for system in (.+); do", wanted)
    assert listed
    assert set(listed[1].split()) == built
    assert set(jobs["release"]["needs"]) == {"linux", "macos"}


def test_every_job_tests_what_it_has_packed(jobs: dict[str, Any]) -> None:
    for name in ("linux", "macos"):
        steps = [step.get("run", step.get("uses", "")) for step in jobs[name]["steps"]]
        tested = next(index for index, step in enumerate(steps) if "selftest.py unpacked/synapse" in step)
        assert steps[tested + 1].startswith("actions/upload-artifact")


def uploaded(job: dict[str, Any], system: str, root: Path) -> list[str]:
    """The names of the files that a job gives to the last one, of those that it has made below a folder."""
    found = []
    for step in job["steps"]:
        only = step.get("if", "")
        if step.get("uses", "").startswith("actions/upload-artifact") and (not only or f"'{system}'" in only):
            path = step["with"]["path"]
            found += [file.name for file in root.glob(f"{path}*" if path.endswith("/") else path)]
    return found


def test_what_the_jobs_upload_is_the_whole_release_and_nothing_twice(jobs: dict[str, Any], tmp_path: Path) -> None:
    """The last job puts all of it into one folder."""
    found = []
    for name in ("linux", "macos"):
        for system in systems(jobs[name]):
            root = tmp_path / system
            made = root / ("dist/release" if name == "linux" else "dist")
            made.mkdir(parents=True)
            files = [f"synapse-{__version__}-{system}.tar.gz"]
            if name == "linux":
                files += [f"synapse-{__version__}-{system}", f"synapse_hub-{__version__}-py3-none-any.whl"]
            for file in files:
                (made / file).touch()
                (made / f"{file}.sha256").touch()
            found += uploaded(jobs[name], system, root)
    assert sorted(found) == sorted(released(jobs))


def released(jobs: dict[str, Any]) -> list[str]:
    """Every file of a release that a job has built, with its sum."""
    names = [f"synapse-{__version__}-{system}.tar.gz" for system in systems(jobs["linux"]) | systems(jobs["macos"])]
    names += [f"synapse-{__version__}-{system}" for system in systems(jobs["linux"])]
    names += [f"synapse_hub-{__version__}-py3-none-any.whl"]
    return [*names, *(f"{name}.sha256" for name in names)]


def test_the_last_job_makes_the_recipes_of_the_files_that_are_released(jobs: dict[str, Any], tmp_path: Path) -> None:
    """Its scripts, run on files of a few bytes in a copy of what they touch."""
    for name in (
        "packaging/recipes.py",
        "packaging/released.json",
        "synapse/__init__.py",
        "scoop",
        "homebrew",
        "CHANGELOG.md",
    ):
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    files = tmp_path / "files"
    files.mkdir()
    names = [name for name in released(jobs) if not name.endswith(".sha256")]
    for name in names:
        (files / name).write_text(name)
        (files / f"{name}.sha256").write_text(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n")
    for step in jobs["release"]["steps"]:
        if "run" in step and "gh release" not in step["run"]:
            done = subprocess.run(
                ["bash", "-e", "-c", step["run"]], cwd=tmp_path / step.get("working-directory", "."),
                env=os.environ | {"GITHUB_REF_NAME": f"v{__version__}"},
                capture_output=True, text=True, timeout=30, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
    made = {"synapse.ps1", "synapse.ps1.sha256", "synapse-hub.rb", "synapse.json"}
    assert {path.name for path in files.iterdir()} == {*names, *(f"{name}.sha256" for name in names), *made}
    recipes = (files / "synapse-hub.rb").read_text() + (files / "synapse.json").read_text()
    assert "0" * 64 not in recipes
    for name in (*names, "synapse.ps1"):
        if name.endswith(".whl"):
            continue  # pip's, of which neither knows
        assert hashlib.sha256((files / name).read_bytes()).hexdigest() in recipes
    assert (files / "synapse.ps1.sha256").read_text().split()[0] in (files / "synapse.json").read_text()
