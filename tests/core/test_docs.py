"""What the documentation must not forget."""

import dataclasses
import re
import runpy
import tomllib
from pathlib import Path

import pytest

from synapse.runner import parts
from synapse.runner.profile import BUILT_IN, load
from synapse.runner.profile_tables import TABLES

DOCS = Path(__file__).parents[2] / "docs"


def test_every_key_of_a_profile_is_in_its_page_and_the_pages_example_is_one(tmp_path: Path) -> None:
    page = (DOCS / "profiles.md").read_text()
    example = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert example
    shown = tomllib.loads(example.group(1))
    for table, keys in TABLES.items():
        assert set(keys) == {
            key for key, value in (shown[table] if table else shown).items() if not isinstance(value, dict)
        }
    (tmp_path / "mine.toml").write_text(example.group(1))
    assert load(tmp_path / "mine.toml").command == ("mytool", "--chat")


@pytest.mark.parametrize("part", [parts.Rule, parts.Session, parts.Start, parts.Words, parts.File, parts.Stream,
                                  parts.Record, parts.Usage])  # fmt: skip
def test_every_key_of_a_part_of_a_profile_is_in_its_page(part: type) -> None:
    page = (DOCS / "profiles.md").read_text()
    keys = [field.metadata.get("key", field.name) for field in dataclasses.fields(part)]
    assert [key for key in keys if not re.search(rf"^{key} = |\[.*\b{key}\b.*\]", page, re.MULTILINE)] == []


def test_every_built_in_profile_is_named() -> None:
    page = (DOCS / "profiles.md").read_text()
    assert [path.stem for path in BUILT_IN.glob("*.toml") if f"`{path.stem}`" not in page] == []


def test_every_file_that_the_readme_links_to_is_there() -> None:
    root = DOCS.parent
    linked = re.findall(r"\]\((?!http)([^)#]+)\)", (root / "README.md").read_text())
    assert linked
    assert [name for name in linked if not (root / name).exists()] == []


def test_the_reference_is_what_the_declarations_give() -> None:
    made = runpy.run_path(str(DOCS / "generate.py"))
    assert (DOCS / "reference.md").read_text() == made["page"](), "run `make docs`"
