"""The examples and the page of the library, each run as a program with nothing else set up."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "library.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
SAID = (
    "alice says hi\n",
    "SHIP IT\nno_such_class ['shout']\n",
    "messages.sent hi\n",
    '{"n":12,"t":1.5,"k":"messages.sent","b":"alice","d":{"text":"hi"}}\nhi\n',
)


def run(words: list[str], folder: Path) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SYNAPSE_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", *words], capture_output=True, text=True, timeout=30, cwd=folder, check=False,
        env={**environ, "PYTHONPATH": str(ROOT), "SYNAPSE_DATA": str(folder / "data")},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert not (folder / "data").exists()
    return done.stdout


@pytest.mark.parametrize(("number", "said"), list(enumerate(SAID)))
def test_each_example_on_the_page_runs(number: int, said: str, tmp_path: Path) -> None:
    assert run(["-c", BLOCKS[number]], tmp_path) == said


def test_every_example_on_the_page_is_run() -> None:
    assert len(BLOCKS) == len(SAID)


def test_the_coordination_demo(tmp_path: Path) -> None:
    said = run([str(ROOT / "docs/examples/coordination_demo.py")], tmp_path).splitlines()
    assert said[0] == "declared: build by builder, review by reviewer"
    assert said[1] in ("remembered: auth-design", "remembered: nothing, for there is no shared memory")
    assert said[2:] == [
        "builder is blocked: expiry of tokens? It asks.",
        "builder is unblocked: an hour",
        "refused: held: builder holds src/auth.",
        "refused: not_yours",
        "handed back: built; the review says: fine",
        "the reviewer holds: src/auth/tokens.py",
    ]


def test_the_team_demo(tmp_path: Path) -> None:
    said = run([str(ROOT / "docs/examples/llm_team_demo.py")], tmp_path)
    assert said == "class:count: many hands make light work -> 5 words\nclass:shout: ship it -> SHIP IT\n"
