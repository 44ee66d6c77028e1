"""The author's guide is held to the code: every hook with its signature, every public name, and its example runs."""

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import synapse
from synapse import errors, hookspecs, testing
from tests.e2e.hubs import ROOT, HubProcess

GUIDE = (ROOT / "docs" / "plugin-author.md").read_text()
BLOCKS = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", GUIDE, re.DOTALL))


def specs() -> dict[str, tuple[str, str]]:
    """Each hook's signature as an author writes it, and its first sentence."""
    tree = ast.parse(Path(hookspecs.__file__).read_text())
    hooks = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Hooks")
    found = {}
    for node in hooks.body:
        if isinstance(node, ast.FunctionDef):
            assert node.returns is not None
            returns = ast.unparse(node.returns).strip("'\"")
            found[node.name] = (f"def {node.name}() -> {returns}\n", ast.get_docstring(node) or "")
    return found


@pytest.mark.parametrize("name", hookspecs.NAMES)
def test_each_hook_is_there_with_its_exact_signature_and_promise(name: str) -> None:
    signature, sentence = specs()[name]
    assert f"```python\n{signature}```" in GUIDE
    assert sentence.rstrip(".") in " ".join(GUIDE.split())


@pytest.mark.parametrize(
    "thing", ["Owed", "Reaction", "Guard", "Route", "Extension", "Section", "Column", "Background"]
)
def test_what_hooks_return_is_shown_with_all_its_fields(thing: str) -> None:
    fields = [field.name for field in dataclasses.fields(getattr(hookspecs, thing))]
    assert f"`{thing}({', '.join(fields)})`" in GUIDE


def test_a_setting_is_shown_with_all_that_it_takes() -> None:
    taken = [name for name in inspect.signature(synapse.Setting).parameters]
    assert f"`Setting({', '.join(taken)})`" in GUIDE


def test_every_public_name_is_told_and_there() -> None:
    for_programs = ("library", "client.aio", "client.agent", "lite")  # they are told in a page of their own
    for name, home in synapse._HOMES.items():
        if home.startswith(for_programs):
            continue
        assert getattr(synapse, name) is not None
        assert f"`{name}`" in GUIDE or f"@{name}" in GUIDE, name
    assert set(synapse._HOMES) <= set(dir(synapse))
    with pytest.raises(AttributeError):
        synapse.nothing  # noqa: B018
    for error in (errors.Refused, errors.BadRequest, errors.NotFound, errors.Unavailable):
        assert f"`{error.__name__}`" in GUIDE


def test_everything_of_a_call_and_of_a_bench_is_told() -> None:
    for name in vars(hookspecs.Call):
        if not name.startswith("_"):
            assert re.search(rf"`{name}[`(]", GUIDE), name
    assert re.search(r"`check_projection\(", GUIDE)
    for name in re.findall(r"`bench\.(\w+)", GUIDE):
        assert hasattr(testing.Bench, name) or name == "clock", name


def test_the_example_is_a_plugin_in_order_and_its_test_passes(tmp_path: Path) -> None:
    for name, source in BLOCKS.items():
        (tmp_path / name).write_text(source)
    assert "python -m pytest -o asyncio_mode=auto test_tally.py" in GUIDE
    command = [
        sys.executable,
        *["-m", "pytest", "-o", "asyncio_mode=auto", "-q", "-p", "no:cacheprovider", "test_tally.py"],
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=50,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_is_installed_and_used_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "tally.py").write_text(BLOCKS["tally.py"])
    info = tmp_path / "synapse_tally-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: synapse-tally\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[synapse.plugins]\ntally = tally\n")
    house = HubProcess()
    house.env["PYTHONPATH"] = f"{tmp_path}:{ROOT}"
    try:
        house.serve()
        assert "tally" in house.synapse("plugins").stdout
        assert house.synapse("tally", "bugs", "--amount", "2").stdout == "bugs: 2\n"
        assert "Tally\n  counts  " in house.synapse("status").stdout
    finally:
        house.close()


def test_importing_synapse_loads_nothing() -> None:
    script = "import sys; before = set(sys.modules); import synapse; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["synapse"]
